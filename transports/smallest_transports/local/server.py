"""The local server: the service's transcription and synthesis, by all their routes, on a socket of this machine.

A tool for development: any key opens it unless one is named, it has no limits of rate, and it speaks plain HTTP unless
it is given a TLS context. It binds to loopback unless told otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import threading
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from smallest_proto.config import FileTranscriptionConfig, TranscriptionConfig
from smallest_proto.errors import ConfigurationError, LocalProtocolError
from smallest_proto.server.answers import speech_error_answer, voices_answer
from smallest_proto.server.imperfection import Imperfection
from smallest_proto.server.recogniser import Heard, Recogniser, RecogniserFactory
from smallest_proto.server.synthesiser import Synthesiser, SynthesiserFactory
from smallest_proto.server.transcription import (
    INACTIVITY_SECONDS,
    FileRequest,
    LiveRequest,
    Response,
    SpeechRequest,
    SpeechSocketRequest,
    VoicesRequest,
    error_answer,
    file_answer,
    read_request,
)
from smallest_transports._wire import BadRequest, RequestReceived, ServerConnection

from . import check_installed
from .faults import AnyFault, Fault, FaultPlan
from .link import CLOSING_SECONDS, Connection, Link
from .live_link import LiveLink
from .speech_answer import SpeechAnswer
from .speech_link import SpeechLink
from .voices import VOICES

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

BASE_PATH = "/waves/v1"  # as the service has it; any other path before the routes does as well
RETRY_AFTER = 2  # seconds: what a client is told when all places are taken
SPEECH_THREADS = 2  # a sentence takes some 20 ms: links share them
FILE_PIECE = 64_000  # bytes: 2 s of a file go to the recogniser at once, so that a stop is heard soon


class LocalServer:
    """The server, running inside ``async with``; ``base_url`` is what a client needs.

    ``port=0`` takes any that is free. ``key`` is the one that is let in; ``None`` lets in any. Beyond ``max_live``
    links a socket is accepted and closed with 1013, beyond ``max_files`` files a request is answered with 503, and both
    beyond ``max_speech`` syntheses (links that are idle too).
    ``recogniser`` makes an ear for each link and each file, off the event loop; what it refuses with a
    ``ConfigurationError`` is answered with 400. Without one Moonshine listens: its models are loaded, once for the
    process, when the first client comes. ``synthesiser`` likewise makes a voice; without one Hibari speaks, English.
    ``inactivity`` is how long a client may say nothing, in seconds. ``faults``
    are done to links on purpose, in order: values, or as they are written, such as ``"drop@5"`` (``faults.py``).
    ``imperfection`` is what live transcription does otherwise than an ideal service, on each link in its own way.

    Raises ``ConfigurationError`` for a fault that there is not, and for bounds below 1. Entering raises ``OSError`` if
    the address cannot be had (``errno.EADDRINUSE`` for a port in use), and ``ConfigurationError`` if the engines are
    needed and not installed.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        key: str | None = None,
        max_live: int = 4,
        max_files: int = 2,
        max_speech: int = 16,
        recogniser: RecogniserFactory | None = None,
        synthesiser: SynthesiserFactory | None = None,
        ssl_context: ssl.SSLContext | None = None,
        inactivity: float = INACTIVITY_SECONDS,
        faults: Iterable[AnyFault] = (),
        imperfection: Imperfection = Imperfection(),  # noqa: B008 - frozen
    ) -> None:
        if min(max_live, max_files, max_speech) < 1:
            raise ConfigurationError("max_live, max_files and max_speech must be at least 1")
        self._host, self._port = host, port
        self._key = key
        self._max_live, self._max_files, self._max_speech = max_live, max_files, max_speech
        self._recogniser = recogniser
        self._synthesiser = synthesiser or _local_synthesiser
        self._ssl = ssl_context
        self._inactivity = inactivity
        self._plan = FaultPlan(faults)
        self._imperfection = imperfection
        self._links = count(1)
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], Link | None] = {}  # the link, where it is one by now
        self._live = self._files = self._speech = 0  # places taken
        self._stopping = threading.Event()

    @property
    def base_url(self) -> str:
        """Where it listens, as a client's base URL. Raises ``LocalProtocolError`` while it does not."""
        if self._server is None or not self._server.sockets:
            raise LocalProtocolError("the server is not running: enter it with `async with` first")
        host, port = self._server.sockets[0].getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # all addresses: name one that can be called
        scheme = "https" if self._ssl is not None else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{BASE_PATH}"

    @property
    def faults_left(self) -> tuple[Fault, ...]:
        """The faults that did not happen yet, or not to as many links as they were to."""
        return self._plan.left

    async def __aenter__(self) -> Self:
        if self._recogniser is None:
            check_installed()
        # A thread for each place: the audio of one link never waits for that of another.
        self._live_threads = ThreadPoolExecutor(self._max_live, "local-server-live")
        self._file_threads = ThreadPoolExecutor(self._max_files, "local-server-file")
        self._speech_threads = ThreadPoolExecutor(SPEECH_THREADS, "local-server-speech")
        self._stopping.clear()
        self._server = await asyncio.start_server(self._connected, self._host, self._port, ssl=self._ssl)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self._stopping.set()
        for task, link in tuple(self._connections.items()):
            if link is None:
                task.cancel()
            else:
                link.fail("the server goes away", 1001)
        while self._connections:
            await asyncio.wait(tuple(self._connections))
        await self._server.wait_closed()
        self._server = None
        for threads in (self._live_threads, self._file_threads, self._speech_threads):
            await asyncio.get_running_loop().run_in_executor(None, threads.shutdown)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = None
        connection = Connection(ServerConnection(), reader, writer)
        try:
            request = await self._receive(connection)
            if request is not None and not self._stopping.is_set():
                await self._serve(request, connection)
        except (OSError, asyncio.TimeoutError):
            pass  # the client is gone, or never said what it wanted
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise
        finally:
            writer.transport.abort()
            del self._connections[task]

    async def _receive(self, connection: Connection) -> RequestReceived | BadRequest | None:
        while not connection.wire.finished:
            data = await asyncio.wait_for(connection.reader.read(2**18), self._inactivity)
            for event in connection.wire.receive_data(data):
                if isinstance(event, (RequestReceived, BadRequest)):
                    return event
        return None

    async def _serve(self, request: RequestReceived | BadRequest, connection: Connection) -> None:
        request_id = str(uuid.uuid4())
        if isinstance(request, BadRequest):
            await _respond(error_answer(request.status, request.reason, request_id), connection)
            return
        asked = read_request(
            request.method,
            request.target,
            request.headers,
            websocket=request.websocket,
            api_key=self._key,
            request_id=request_id,
        )
        if isinstance(asked, LiveRequest):
            answer = await self._live_link(asked, request_id, connection)
        elif isinstance(asked, SpeechSocketRequest):
            answer = await self._speech_link(asked, request_id, connection)
        elif isinstance(asked, SpeechRequest):
            answer = await self._speech_answer(asked, request.body, request_id, connection)
        elif isinstance(asked, FileRequest):
            answer = await self._file(asked, request.body, request_id)
        elif isinstance(asked, VoicesRequest):
            answer = voices_answer(asked.model, VOICES)
        else:
            answer = asked
        if answer is not None:
            await _respond(answer, connection)

    async def _refuse_link(self, link: Link, connection: Connection, message: str) -> None:
        """Every place is taken."""
        self._keep(link)
        link.open(connection.wire.accept())
        link.fail(message, 1013)
        await link.read()

    def _keep(self, link: Link) -> None:
        """The connection of this task is a link now: stopping says goodbye to it."""
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = link

    async def _live_link(self, request: LiveRequest, request_id: str, connection: Connection) -> Response | None:
        """Serve a link to its end; or the answer that refuses it."""
        if (refusal := self._plan.refusal(request_id)) is not None:
            return refusal
        link = LiveLink(
            request,
            connection,
            inactivity=self._inactivity,
            faults=self._plan,
            imperfection=self._imperfection.on_link(next(self._links)),
        )
        if self._live >= self._max_live:
            await self._refuse_link(
                link, connection, f"the server is full: it serves {self._max_live} live links at once"
            )
            return None
        place = contextlib.ExitStack()
        self._live += 1
        place.callback(self._leave)
        with place:
            make = self._recogniser or _local_recogniser
            loop = asyncio.get_running_loop()
            try:
                recogniser = await loop.run_in_executor(self._live_threads, make, link.recogniser_options)
            except ConfigurationError as error:
                return error_answer(400, str(error), request_id)
            except Exception as error:
                logger.error("no recogniser could be made: %s", type(error).__name__)
                return error_answer(500, "no recogniser could be made", request_id)
            self._keep(link)
            link.open(connection.wire.accept())
            await link.run(recogniser, self._live_threads, place.close)
        return None

    def _leave(self) -> None:
        self._live -= 1

    async def _speech_link(
        self, request: SpeechSocketRequest, request_id: str, connection: Connection
    ) -> Response | None:
        """As ``_live_link``."""
        if (refusal := self._plan.refusal(request_id)) is not None:
            return refusal
        link = SpeechLink(request, connection, inactivity=self._inactivity, faults=self._plan)
        if self._speech >= self._max_speech:
            await self._refuse_link(link, connection, self._full_of_speech)
            return None
        self._speech += 1
        try:
            synthesiser = await self._make_synthesiser(request_id)
            if isinstance(synthesiser, Response):
                return synthesiser
            self._keep(link)
            link.open(connection.wire.accept())
            await link.run(synthesiser, self._speech_threads)
        finally:
            self._speech -= 1
        return None

    async def _speech_answer(
        self, request: SpeechRequest, body: bytes, request_id: str, connection: Connection
    ) -> Response | None:
        """Speak over HTTP; or the answer that refuses it."""
        if (refusal := self._plan.refusal(request_id)) is not None:
            return refusal
        if self._speech >= self._max_speech:
            retry = ("Retry-After", str(RETRY_AFTER))
            return speech_error_answer(503, self._full_of_speech, request_id, headers=(retry,))
        self._speech += 1
        try:
            synthesiser = await self._make_synthesiser(request_id)
            if isinstance(synthesiser, Response):
                return synthesiser
            answer = SpeechAnswer(connection, self._speech_threads, self._plan)
            given = await answer.give(request, body, synthesiser, request_id)
        finally:
            self._speech -= 1
        if isinstance(given, Response):
            return given
        if given:
            await _see_off(connection)
        return None

    @property
    def _full_of_speech(self) -> str:
        return f"the server is full: it has {self._max_speech} syntheses at once"

    async def _make_synthesiser(self, request_id: str) -> Synthesiser | Response:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._speech_threads, self._synthesiser)
        except Exception as error:
            logger.error("no synthesiser could be made: %s", type(error).__name__)
            said = str(error) if isinstance(error, ConfigurationError) else "no synthesiser could be made"
            return speech_error_answer(500, said, request_id)

    async def _file(self, request: FileRequest, body: bytes, request_id: str) -> Response:
        if self._files >= self._max_files:
            return error_answer(
                503,
                f"the server is full: it transcribes {self._max_files} files at once",
                request_id,
                headers=(("Retry-After", str(RETRY_AFTER)),),
            )
        self._files += 1
        try:
            work = partial(self._transcribe, request.options, body)
            heard, seconds = await asyncio.get_running_loop().run_in_executor(self._file_threads, work)
        except ConfigurationError as error:
            return error_answer(400, str(error), request_id)
        except Exception as error:  # a plugged-in recogniser can raise anything; its words can be the user's
            logger.error("a file could not be transcribed: %s", type(error).__name__)
            return error_answer(500, "the recogniser failed", request_id)
        finally:
            self._files -= 1
        return file_answer(request, heard, seconds, request_id)

    def _transcribe(self, options: FileTranscriptionConfig, body: bytes) -> tuple[list[Heard], float]:
        """What is said in a file, and how long it is. Runs on a thread."""
        # Imported here, as a recogniser that is plugged in needs none of the engines.
        from .files import read_body
        from .pcm import SAMPLE_RATE, to_linear16
        from .recogniser import LocalRecogniser, file_recogniser_options

        live_options = file_recogniser_options(options)
        pcm = to_linear16(read_body(body, options.encoding, options.sample_rate))
        make = self._recogniser or partial(LocalRecogniser, interims=False)
        recogniser = make(live_options)
        heard: list[Heard] = []
        for at in range(0, len(pcm), FILE_PIECE):
            if self._stopping.is_set():
                break
            heard += (item for item in recogniser.hear(pcm[at : at + FILE_PIECE]) if isinstance(item, Heard))
        heard += (item for item in recogniser.finalize() if isinstance(item, Heard))
        return heard, len(pcm) / 2 / SAMPLE_RATE


async def _respond(answer: Response, connection: Connection) -> None:
    headers = [(name, value) for name, value in answer.headers if name.lower() != "content-length"]  # the wire's own
    connection.wire.respond(answer.status, headers, answer.body)
    await _see_off(connection)


async def _see_off(connection: Connection) -> None:
    """The answer is whole: send the rest of it, and close so that none of it is lost."""
    wire, reader, writer = connection
    writer.write(wire.data_to_send())
    await writer.drain()
    if not writer.can_write_eof():  # TLS says goodbye in its own way
        writer.close()
        await asyncio.wait_for(writer.wait_closed(), CLOSING_SECONDS)
        return
    # A client that is still sending would lose the answer if the socket were closed under what it sends.
    writer.write_eof()
    deadline = asyncio.get_running_loop().call_later(CLOSING_SECONDS, writer.transport.abort)
    try:
        while await reader.read(2**18):
            pass
    finally:
        deadline.cancel()


def _local_recogniser(options: TranscriptionConfig) -> Recogniser:
    from .recogniser import LocalRecogniser

    return LocalRecogniser(options)


def _local_synthesiser() -> Synthesiser:
    check_installed()
    from .synthesiser import synthesiser

    return synthesiser()
