"""What the local server does besides live links: it transcribes files and speaks texts.

Each desk has its places and its threads, and tells what is over its bounds, or over those of a plan.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from smallest_proto.config import FileTranscriptionConfig
from smallest_proto.errors import ConfigurationError
from smallest_proto.server.answers import Response, error_answer, synthesis_error_answer
from smallest_proto.server.recogniser import Heard, RecogniserFactory
from smallest_proto.server.requests import FileRequest, SynthesisRequest, file_answer
from smallest_proto.server.synthesiser import Synthesiser, SynthesiserFactory

from .faults import FaultPlan
from .link import Connection
from .places import Places
from .plan import Limits
from .synthesis_answer import SynthesisAnswer
from .synthesis_link import SynthesisLink
from .voices import NAMES

logger = logging.getLogger(__name__)

RETRY_AFTER = 2  # seconds: for a client that comes when all places are taken
SPEECH_THREADS = 2  # a sentence takes some 20 ms: links share them
FULL_SECONDS = 1.0  # seconds that a synthesis may wait for a place
FILE_PIECE = 64_000  # bytes: the recogniser gets 2 s of a file at once, so that it can be stopped soon
# Files that wait are in memory: at most this many, and this many bytes.
WAITING_FILES = 100
WAITING_FILE_BYTES = 2**30


class FileDesk:
    """Transcribes files, ``count`` at once; more wait in a row. ``recogniser`` makes an ear for each."""

    def __init__(self, count: int, recogniser: RecogniserFactory | None, limits: Limits) -> None:
        self._places = Places(count, waiting=WAITING_FILES)
        self._waiting = 0  # bytes of files that wait or are transcribed
        self._recogniser = recogniser
        self._limits = limits
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(count, "local-server-file")

    def stop(self) -> None:
        """Give up what is under way."""
        self._stopping.set()

    def close(self) -> None:
        """Wait for the threads."""
        self._threads.shutdown()

    async def answer(self, request: FileRequest, body: bytes, request_id: str, gone: Callable[[], bool]) -> Response:
        """Transcribe a file when its turn comes. ``gone`` says whether the client is gone."""
        loop = asyncio.get_running_loop()
        if (refusal := self._limits.file(request.options.model, loop.time(), request_id)) is not None:
            return refusal
        self._waiting += len(body)
        place = None
        try:
            if self._waiting - len(body) < WAITING_FILE_BYTES:
                place = await self._places.wait()
            if place is None or gone():
                message = "the server is full: too many files wait for their turn"
                return error_answer(503, message, request_id, headers=(("Retry-After", str(RETRY_AFTER)),))
            return await self._transcribed(request, body, request_id)
        finally:
            self._waiting -= len(body)
            if place is not None:
                place.leave()

    async def _transcribed(self, request: FileRequest, body: bytes, request_id: str) -> Response:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            work = partial(self._transcribe, request.options, body)
            heard, seconds = await loop.run_in_executor(self._threads, work)
        except ConfigurationError as error:
            return error_answer(400, str(error), request_id)
        except Exception as error:  # a plugged-in recogniser can raise anything; its words can be the user's
            logger.error("a file could not be transcribed: %s", type(error).__name__)
            return error_answer(500, "the recogniser failed", request_id)
        return file_answer(request, heard, seconds, request_id, size=len(body), took=loop.time() - began)

    def _transcribe(self, options: FileTranscriptionConfig, body: bytes) -> tuple[list[Heard], float]:
        """The results for a file, and its length. Runs on a thread."""
        # Imported here: with a recogniser of your own the engines need not be installed.
        from .files import read_body
        from .pcm import SAMPLE_RATE, to_linear16
        from .recogniser import LocalRecogniser, file_recogniser_options

        live_options = file_recogniser_options(options)
        pcm = to_linear16(read_body(body, options.encoding))
        make = self._recogniser or partial(LocalRecogniser, interims=False)
        recogniser = make(live_options)
        heard: list[Heard] = []
        for at in range(0, len(pcm), FILE_PIECE):
            if self._stopping.is_set():
                break
            heard += (item for item in recogniser.hear(pcm[at : at + FILE_PIECE]) if isinstance(item, Heard))
        heard += (item for item in recogniser.finalize() if isinstance(item, Heard))
        return heard, len(pcm) / 2 / SAMPLE_RATE


class SynthesisDesk:
    """Speaks, over HTTP and over sockets, ``count`` at once. ``synthesiser`` makes a voice for each."""

    def __init__(
        self, count: int, synthesiser: SynthesiserFactory, limits: Limits, faults: FaultPlan, *, any_voice: bool
    ) -> None:
        self._places = Places(count, waiting=count)
        self._full = f"the server is full: it has {count} syntheses at once"
        self._synthesiser = synthesiser
        self._limits = limits
        self._faults = faults
        self.voices = None if any_voice else NAMES
        self._threads = ThreadPoolExecutor(SPEECH_THREADS, "local-server-speech")

    @property
    def taken(self) -> int:
        """Places that are taken."""
        return self._places.taken

    def close(self) -> None:
        """Wait for the threads."""
        self._threads.shutdown()

    async def serve(self, link: SynthesisLink, open_link: Callable[[], None], request_id: str) -> Response | None:
        """Serve a socket to its end, once ``open_link`` was called; or the answer that refuses it."""
        if (socket := self._limits.sockets.take()) is None:
            return self._limits.too_much_speech("sockets", request_id)
        with socket:
            place = await self._places.wait(FULL_SECONDS)
            if place is None:
                open_link()
                link.fail(self._full, 1013)
                await link.read()
                return None
            with place:
                synthesiser = await self._make(request_id)
                if isinstance(synthesiser, Response):
                    return synthesiser
                open_link()
                await link.run(synthesiser, self._threads)
        return None

    async def answer(
        self, request: SynthesisRequest, body: bytes, request_id: str, connection: Connection
    ) -> Response | bool:
        """Speak over HTTP: whether the answer is whole; or the one that refuses it."""
        if (turn := self._limits.requests.take()) is None:
            return self._limits.too_much_speech("requests", request_id)
        with turn:
            place = await self._places.wait(FULL_SECONDS)
            if place is None:
                retry = ("Retry-After", str(RETRY_AFTER))
                return synthesis_error_answer(503, self._full, request_id, headers=(retry,))
            with place:
                synthesiser = await self._make(request_id)
                if isinstance(synthesiser, Response):
                    return synthesiser
                answer = SynthesisAnswer(connection, self._threads, self._faults, self.voices)
                return await answer.give(request, body, synthesiser, request_id)

    async def _make(self, request_id: str) -> Synthesiser | Response:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._synthesiser)
        except Exception as error:
            logger.error("no synthesiser could be made: %s", type(error).__name__)
            message = str(error) if isinstance(error, ConfigurationError) else "no synthesiser could be made"
            return synthesis_error_answer(500, message, request_id)
