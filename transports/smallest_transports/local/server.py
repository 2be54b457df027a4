"""The local server: the service's transcription and synthesis, by all their routes, on a socket of this machine.

A tool for development: any key opens it unless one is named, it has no limits of rate unless those of a plan are asked
for, and it speaks plain HTTP unless it is given a TLS context. It binds to loopback unless told otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Protocol

from smallest_proto.config import TranscriptionConfig
from smallest_proto.errors import ConfigurationError, LocalProtocolError
from smallest_proto.server.answers import Response, error_answer, voices_answer
from smallest_proto.server.imperfection import Imperfection
from smallest_proto.server.recogniser import Recogniser, RecogniserFactory
from smallest_proto.server.requests import (
    FileRequest,
    LiveRequest,
    SynthesisRequest,
    SynthesisSocketRequest,
    VoicesRequest,
    read_request,
)
from smallest_proto.server.synthesiser import Synthesiser, SynthesiserFactory
from smallest_proto.server.transcription import INACTIVITY_SECONDS
from smallest_transports._client import Options
from smallest_transports._events import Headers
from smallest_transports._wire import BadRequest, RequestReceived, ServerConnection

from . import check_installed
from .browsers import why_foreign
from .desks import FileDesk, SynthesisDesk
from .faults import AnyFault, Fault, FaultPlan
from .link import CLOSING_SECONDS, Connection, Link
from .live_link import LiveLink
from .places import Places
from .plan import Limits, Plan
from .synthesis_link import SynthesisLink
from .voices import VOICES

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

BASE_PATH = "/waves/v1"  # as the service has it; any other path before the routes does as well
OWN_FAULTS = "x-own-faults"  # the header of a client whose links have faults of their own: a name of ``faults_apart``
HEAD_SECONDS = 10.0  # how long the head of a request may take, and a TLS handshake
ENGLISH = frozenset(("en", "multi", "multi-eu", "multi-asian", "multi-indic", "north_indic"))  # and what holds it


class Pages(Protocol):
    """What a server shows to browsers, beside the routes of the service."""

    def has(self, path: str) -> bool:
        """Whether it is at that path."""

    async def answer(self, request: RequestReceived, connection: Connection, server: LocalServer) -> Response | None:
        """The answer, or ``None`` where the connection has had all that it gets."""


class LocalServer:
    """The server, running inside ``async with``; ``base_url`` is what a client needs.

    ``port=0`` takes any that is free. ``key`` is the one that is let in; ``None`` lets in any. One link more than
    ``max_live`` is accepted and waits a second for a place, then it is closed with 1013; so are sockets beyond
    ``max_speech`` syntheses (links that are idle too), where HTTP is answered with 503. Files beyond ``max_files``
    wait for their turn. ``plan`` adds the limits of one of the service's plans, with its 429.
    ``recogniser`` makes an ear for each link and each file, off the event loop; what it refuses with a
    ``ConfigurationError`` is answered with 400. Without one Moonshine listens: its models are loaded, once for the
    process, by ``warm_up`` or when the first client comes. ``synthesiser`` likewise makes a voice; without one Hibari
    speaks, English. ``english_only`` refuses what is to be heard in another language as the service does in a region
    that lacks it; otherwise it is heard as English. Voices that are not listed are refused unless ``any_voice``.
    ``inactivity`` is how long a client may say nothing, in seconds. ``faults``
    are done to links on purpose, in order: values, or as they are written, such as ``"drop@5"`` (``faults.py``).
    ``imperfection`` is what live transcription does otherwise than an ideal service, on each link in its own way.
    ``pages`` are shown to browsers (``page.LocalPage``). What a page from elsewhere asks is refused, on every route.

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
        plan: Plan | None = None,
        recogniser: RecogniserFactory | None = None,
        synthesiser: SynthesiserFactory | None = None,
        english_only: bool = False,
        any_voice: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        inactivity: float = INACTIVITY_SECONDS,
        faults: Iterable[AnyFault] = (),
        imperfection: Imperfection = Imperfection(),  # noqa: B008 - frozen
        pages: Pages | None = None,
    ) -> None:
        if min(max_live, max_files, max_speech) < 1:
            raise ConfigurationError("max_live, max_files and max_speech must be at least 1")
        self._host, self._port = host, port
        self._key = key
        self._max_live, self._max_files, self._max_speech = max_live, max_files, max_speech
        self._plan = plan
        self._recogniser = recogniser
        self._synthesiser = synthesiser
        self._languages = ENGLISH if english_only else None
        self._any_voice = any_voice
        self._ssl = ssl_context
        self._inactivity = inactivity
        self._faults = FaultPlan(faults)
        self._imperfection = imperfection
        self._pages = pages
        self._plans: dict[str, FaultPlan] = {}  # of those whose faults are their own
        self._links = count(1)
        self._noted: set[str] = set()
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], Link | None] = {}  # the link, where it is one by now
        self._stopping = False

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
        return self._faults.left

    @property
    def keyed(self) -> bool:
        """Whether one key alone is let in."""
        return self._key is not None

    @contextlib.contextmanager
    def faults_apart(self) -> Iterator[tuple[Options, FaultPlan]]:
        """For a client in this process: its options, and faults that are done to its links and to no others'."""
        name, plan = uuid.uuid4().hex, FaultPlan()
        options = Options(api_key=self._key or "any", base_url=self.base_url, headers=((OWN_FAULTS, name),), proxy=None)
        if self._ssl is not None:  # it speaks with itself: there is nobody whose certificate would tell it anything
            options["ssl_context"] = context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._plans[name] = plan
        try:
            yield options, plan
        finally:
            del self._plans[name]

    async def __aenter__(self) -> Self:
        if self._recogniser is None:
            check_installed()
        self._limits = Limits(self._plan)
        self._places = Places(self._max_live, waiting=self._max_live)
        # Two threads for each place: the audio of one link never waits for that of another, nor for the last step of
        # one that is gone.
        self._live_threads = ThreadPoolExecutor(2 * self._max_live, "local-server-live")
        self._files = FileDesk(self._max_files, self._recogniser, self._limits)
        make = self._synthesiser or _local_synthesiser
        self._speech = SynthesisDesk(self._max_speech, make, self._limits, self._faults, any_voice=self._any_voice)
        self._stopping = False
        self._server = await asyncio.start_server(
            self._connected,
            self._host,
            self._port,
            ssl=self._ssl,
            ssl_handshake_timeout=None if self._ssl is None else HEAD_SECONDS,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self._stopping = True
        self._files.stop()
        for task, link in tuple(self._connections.items()):
            if link is None:
                task.cancel()
            else:
                link.fail("the server goes away", 1001)
        while self._connections:
            await asyncio.wait(tuple(self._connections))
        await self._server.wait_closed()
        self._server = None
        for close in (self._live_threads.shutdown, self._files.close, self._speech.close):
            await asyncio.get_running_loop().run_in_executor(None, close)

    async def warm_up(self) -> None:
        """Load what the first client would wait for: a second or two for the engines; nothing for those plugged in."""
        loop = asyncio.get_running_loop()
        if self._recogniser is None:
            await loop.run_in_executor(self._live_threads, _warm_ear)
        if self._synthesiser is None:
            await loop.run_in_executor(self._live_threads, _warm_voice)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = None
        connection = Connection(ServerConnection(), reader, writer)
        try:
            request = await self._receive(connection)
            if request is not None and not self._stopping:
                await self._serve(request, connection)
        except (OSError, asyncio.TimeoutError):
            pass  # the client is gone, or sent no request
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            writer.transport.abort()
            del self._connections[task]

    async def _receive(self, connection: Connection) -> RequestReceived | BadRequest | None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HEAD_SECONDS
        while not connection.wire.finished:
            wait = self._inactivity
            if not connection.wire.has_head:  # else a request sent byte by byte would never end
                wait = min(wait, max(0.0, deadline - loop.time()))
            data = await asyncio.wait_for(connection.reader.read(2**18), wait)
            for event in connection.wire.receive_data(data):
                if isinstance(event, (RequestReceived, BadRequest)):
                    return event
        return None

    async def _serve(self, request: RequestReceived | BadRequest, connection: Connection) -> None:
        request_id = str(uuid.uuid4())
        if isinstance(request, BadRequest):
            await _respond(error_answer(request.status, request.reason, request_id), connection)
            return
        shown = self._pages is not None and self._pages.has(request.target.partition("?")[0])
        foreign = why_foreign(request.headers, self._host, secure=self._ssl is not None, page=shown)
        if foreign is not None:
            await _respond(error_answer(403, foreign, request_id), connection)
            return
        if self._pages is not None and shown:
            page = await self._pages.answer(request, connection, self)
            if page is not None:
                await _respond(page, connection)
            return
        await self._answer(request, request_id, connection)

    async def _answer(self, request: RequestReceived, request_id: str, connection: Connection) -> None:
        """What the service would do."""
        faults = self._faults_of(request.headers)
        asked = read_request(
            request.method,
            request.target,
            request.headers,
            websocket=request.websocket,
            api_key=self._key,
            languages=self._languages,
            request_id=request_id,
        )
        answer: Response | bool | None
        if isinstance(asked, (LiveRequest, FileRequest)):
            self._note(asked.notes)
        if isinstance(asked, LiveRequest):
            answer = await self._live_link(asked, request_id, connection, faults)
        elif isinstance(asked, SynthesisSocketRequest):
            answer = await self._speech_link(asked, request_id, connection, faults)
        elif isinstance(asked, SynthesisRequest):
            refusal = self._faults.refusal(request_id)
            answer = refusal or await self._speech.answer(asked, request.body, request_id, connection)
        elif isinstance(asked, FileRequest):
            answer = await self._files.answer(asked, request.body, request_id, connection.reader.at_eof)
        elif isinstance(asked, VoicesRequest):
            answer = voices_answer(asked.model, VOICES)
        else:
            answer = asked
        if isinstance(answer, Response):
            await _respond(answer, connection)
        elif answer:  # all of it was sent
            await _see_off(connection)

    def _faults_of(self, headers: Headers) -> FaultPlan:
        name = dict(headers).get(OWN_FAULTS)
        return self._faults if name is None else self._plans.get(name, FaultPlan())

    def _note(self, notes: Iterable[str]) -> None:
        """Log what is ignored, once for each."""
        for note in notes:
            if note not in self._noted:
                self._noted.add(note)
                logger.warning("%s", note)

    def _keep(self, link: Link, connection: Connection) -> None:
        """The connection of this task is a link now: the server closes it when it stops."""
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = link
        link.open(connection.wire.accept())

    async def _live_link(
        self, request: LiveRequest, request_id: str, connection: Connection, faults: FaultPlan
    ) -> Response | None:
        """Serve a link to its end; or the answer that refuses it."""
        if (refusal := faults.refusal(request_id)) is not None:
            return refusal
        if (session := self._limits.live.take()) is None:
            return self._limits.too_many_live(request_id)
        with session:
            number = next(self._links)
            link = LiveLink(
                request,
                connection,
                inactivity=self._inactivity,
                faults=faults,
                imperfection=self._imperfection.on_link(number),
            )
            make = self._recogniser or _local_recogniser
            loop = asyncio.get_running_loop()
            try:
                recogniser = await loop.run_in_executor(self._live_threads, make, link.recogniser_options)
            except ConfigurationError as error:
                return error_answer(400, str(error), request_id)
            except Exception as error:
                logger.error("no recogniser could be made: %s", type(error).__name__)
                return error_answer(500, "no recogniser could be made", request_id)
            self._keep(link, connection)
            await link.run(recogniser, self._live_threads, self._places)
        return None

    async def _speech_link(
        self, request: SynthesisSocketRequest, request_id: str, connection: Connection, faults: FaultPlan
    ) -> Response | None:
        """As ``_live_link``."""
        if (refusal := faults.refusal(request_id)) is not None:
            return refusal
        link = SynthesisLink(
            request,
            connection,
            inactivity=self._inactivity,
            faults=faults,
            voices=self._speech.voices,
            limits=self._limits,
        )
        return await self._speech.serve(link, partial(self._keep, link, connection), request_id)


async def _respond(answer: Response, connection: Connection) -> None:
    headers = [(name, value) for name, value in answer.headers if name.lower() != "content-length"]  # the wire's own
    connection.wire.respond(answer.status, headers, answer.body)
    await _see_off(connection)


async def _see_off(connection: Connection) -> None:
    """The answer is complete: send the rest, and close so that none of it is lost."""
    wire, reader, writer = connection
    writer.write(wire.data_to_send())
    await writer.drain()
    if not writer.can_write_eof():  # TLS has its own close
        writer.close()
        await asyncio.wait_for(writer.wait_closed(), CLOSING_SECONDS)
        return
    # If the socket were closed while the client still sends, it would lose the answer.
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


def _warm_ear() -> None:
    from .recogniser import engines

    engines()


def _warm_voice() -> None:
    """Speak one text: the first takes longer than any other."""
    for _ in _local_synthesiser().speak("Good morning.", sample_rate=24000):
        pass
