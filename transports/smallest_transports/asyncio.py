"""The driver for asyncio: sockets, TLS and timers around the core's state machines. It holds no policy.

A connection is an ``asyncio.Protocol``, so that bytes go through the core without a task switch, and one task, which is
its life: when that has ended, nothing of the connection is left.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from smallest_proto.config import (
    BASE_URL,
    Endpoint,
    FileTranscriptionConfig,
    RetryPolicy,
    Route,
    Timeouts,
    TranscriptionConfig,
)
from smallest_proto.errors import Failure, FailureKind
from smallest_proto.events import Event
from smallest_proto.exchange import ExchangeFailed, FileTranscript, FileTranscription, TranscriptionAccepted
from smallest_proto.requests import MAX_FILE_BYTES, Request
from smallest_proto.stats import SessionStats
from smallest_proto.transcription import TranscriptionSession

from . import _wire as wire
from ._common import KEY_VARIABLE, check_size, check_webhook, pieces, unexpected
from ._driving import Driving

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

__all__ = ["Client", "TranscriptionStream"]

Audio: TypeAlias = "bytes | str | os.PathLike[str]"


def _no_connection(exc: OSError | UnicodeError, where: wire.Address) -> Failure:
    final = isinstance(exc, ssl.SSLCertVerificationError)
    if isinstance(exc, ssl.SSLCertVerificationError):
        reason = f"the certificate of {where.host} does not hold: {exc.verify_message}"
    elif isinstance(exc, (socket.gaierror, UnicodeError)):  # a name that is too long is a UnicodeError
        reason = f"the host {where.host} was not found: check base_url and the network"
    else:
        reason = f"no connection to {where.host}, port {where.port}: {_said(exc)}"
    return Failure(kind=FailureKind.CONNECT, reason=reason, final=final)


def _connection_lost(exc: OSError) -> Failure:
    return Failure(kind=FailureKind.DISCONNECTED, reason=f"the connection was lost: {_said(exc)}", code=1006)


def _said(exc: OSError) -> str:
    if isinstance(exc, ssl.SSLError):
        return f"TLS failed ({exc.reason})"
    return os.strerror(exc.errno) if exc.errno else str(exc) or type(exc).__name__


class Client:
    """A client of the service, for any number of transcriptions at once, in one event loop.

    The key comes from ``api_key``, else from the environment variable ``SMALLEST_API_KEY``. Leaving ``async with``
    ends what is still under way. Raises ``ConfigurationError`` without a key, and for a ``base_url`` that is none.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str = BASE_URL,
        route: Route = "unified",
        ssl_context: ssl.SSLContext | None = None,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
    ) -> None:
        key = os.environ.get(KEY_VARIABLE, "") if api_key is None else api_key
        self._endpoint = Endpoint(api_key=key, base_url=base_url, route=route)
        if ssl_context is None and base_url.lower().startswith(("https:", "wss:")):
            ssl_context = ssl.create_default_context()  # the system's roots
        self._ssl = ssl_context
        self._timeouts = timeouts
        self._retry = retry
        self._drivers: set[_Driver] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for driver in tuple(self._drivers):
            await driver.close()

    async def transcribe(
        self, audio: Audio | None = None, config: FileTranscriptionConfig | None = None, *, url: str | None = None
    ) -> FileTranscript:
        """Transcribe a whole file: its bytes, its path, or the URL that the service is to fetch it from.

        Raises ``OSError`` for a file that cannot be read, ``ConfigurationError`` for one that is empty or over 250 MB
        and for options that cannot be, and ``RemoteError`` for what the service or the network did.
        """
        answer = await self._exchange(audio, check_webhook(config, wanted=False), url)
        if not isinstance(answer, FileTranscript):
            raise unexpected(answer).error()
        return answer

    async def transcribe_by_webhook(
        self, audio: Audio | None = None, config: FileTranscriptionConfig | None = None, *, url: str | None = None
    ) -> TranscriptionAccepted:
        """Hand a file in; the transcript goes to ``config.webhook_url``. Raises as ``transcribe`` does."""
        answer = await self._exchange(audio, check_webhook(config, wanted=True), url)
        if not isinstance(answer, TranscriptionAccepted):
            raise unexpected(answer).error()
        return answer

    @asynccontextmanager
    async def stream_transcription(
        self, config: TranscriptionConfig | None = None
    ) -> AsyncIterator[TranscriptionStream]:
        """A live transcription, which begins at once: audio that is given before the connection is open waits for it.

        Leaving the block aborts what has not ended by then. Raises ``ConfigurationError`` for options that cannot be.
        """
        session = TranscriptionSession(
            config or TranscriptionConfig(),
            self._endpoint,
            timeouts=self._timeouts,
            retry=self._retry,
            jitter=random.random,
        )
        async with self._driving(session) as driver:
            yield TranscriptionStream(session, driver)

    async def _exchange(
        self, audio: Audio | None, config: FileTranscriptionConfig, url: str | None
    ) -> FileTranscript | TranscriptionAccepted:
        if isinstance(audio, (str, os.PathLike)):
            audio = await asyncio.to_thread(_read_file, audio)
        exchange = FileTranscription(config, self._endpoint, audio=audio, audio_url=url, timeouts=self._timeouts)
        async with self._driving(exchange) as driver:
            outcome: FileTranscript | TranscriptionAccepted | ExchangeFailed = await driver.next()
        if isinstance(outcome, ExchangeFailed):
            raise outcome.failure.error()
        return outcome

    @asynccontextmanager
    async def _driving(self, machine: TranscriptionSession | FileTranscription) -> AsyncIterator[_Driver]:
        driver = _Driver(machine, self._ssl)
        self._drivers.add(driver)
        try:
            driver.tell(machine.start)
            yield driver
        finally:
            await driver.close()
            self._drivers.discard(driver)


class TranscriptionStream:
    """One live transcription: audio in, events out.

    Iterating gives the session's events, the last of them ``SessionEnded``; where the session failed it then raises
    the ``RemoteError`` of its failure.
    """

    def __init__(self, session: TranscriptionSession, driver: _Driver) -> None:
        self._session = session
        self._driver = driver

    @property
    def stats(self) -> SessionStats:
        """What the session did so far."""
        return self._session.stats

    async def send_audio(self, audio: Buffer) -> None:
        """Give audio of the configured format, in pieces of any size (opus: one packet at a time).

        Waits while the session or the socket has enough to do; what is cancelled while it waits has not been taken.
        Raises ``LocalProtocolError`` for what is no audio and after ``end_input``, and once the session has failed the
        ``RemoteError`` of its failure.
        """
        for piece in pieces(audio):
            await self._driver.until_ready()
            self._tell(self._session.send_audio, piece)

    async def finalize(self) -> None:
        """Ask for everything given so far as a final. The stream goes on."""
        self._tell(self._session.finalize)

    async def update(self, config: TranscriptionConfig) -> None:
        """Go over to other options without a gap; ``UpdateRejected`` is told where the service does not take them."""
        self._tell(self._session.update, config)

    async def end_input(self) -> None:
        """No more audio comes: the rest is sent, the last final awaited, and the session ends."""
        self._tell(self._session.end_input)

    def _tell(self, told: Callable[..., None], *args: Any) -> None:
        self._driver.check()
        self._driver.tell(told, *args)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event: Event | None = await self._driver.next()
        if event is None:
            self._driver.check()
            raise StopAsyncIteration
        return event


class _Driver(Driving):
    """Lets a state machine run in the event loop, with sockets and a timer."""

    def __init__(self, machine: TranscriptionSession | FileTranscription, ssl_context: ssl.SSLContext | None) -> None:
        super().__init__(machine)
        self.ssl_context = ssl_context
        self.loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()  # one for each connection that has not wholly gone
        self._timer: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    def run(self, step: Callable[..., None], *args: Any) -> None:
        """What the event loop calls, and nobody awaits: a mistake of ours must reach those who wait for the machine."""
        try:
            step(*args)
        except Exception as exc:
            self.mistake = exc
            self._stop()
            self.changed()

    async def next(self) -> Any:
        """The next output that is no command; ``None`` after the last."""
        while not self.outputs and not self.over():
            self._news.clear()
            await self._news.wait()
        return self.outputs.popleft() if self.outputs else None

    async def until_ready(self) -> None:
        """Wait while the machine or a socket has enough to do."""
        await asyncio.sleep(0)  # others run between two calls: a file's audio would else keep the loop for itself
        while not self.ready():
            self._room.clear()
            await self._room.wait()

    async def close(self) -> None:
        """End everything: after it no task, socket or timer is left. A cancellation has to wait that moment."""
        self.run(self.tell, self.machine.abort)
        self._stop()
        cancelled: asyncio.CancelledError | None = None
        while self.tasks:
            try:
                await asyncio.wait(self.tasks)
            except asyncio.CancelledError as exc:
                cancelled = exc
        if cancelled is not None:
            raise cancelled

    def now(self) -> float:
        return self.loop.time()

    def open(self, number: int, request: Request, codec: wire.ClientWebSocket | wire.ClientExchange) -> _Link:
        return _Link(self, number, request, codec)

    def wake_at(self, due: float | None) -> None:
        # A timer that is armed for too early is left to itself: it finds nothing to do and is armed anew.
        if due is not None and (self._timer is None or due < self._timer.when()):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_at(due, self.run, self._wake)

    def changed(self) -> None:
        if self.outputs or self.over():
            self._news.set()
        if not self._room.is_set() and self.ready():
            self._room.set()

    def _wake(self) -> None:
        self._timer = None
        self.tell(self.machine.handle_timer)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.links.clear()
        for task in self.tasks:
            task.cancel()


class _Link(asyncio.Protocol):
    """One connection. Its task opens it, and ends when it is gone; cancelled, the task aborts it."""

    def __init__(self, driver: _Driver, number: int, request: Request, codec: Any) -> None:
        self.number = number
        self.wire = codec
        self.paused = False
        self._driver = driver
        self._transport: asyncio.Transport | None = None
        self._owed = False  # the driver is to be told when what was written is out
        self._gone = asyncio.Event()
        self.task = driver.loop.create_task(self._live(wire.address(request)))
        driver.tasks.add(self.task)
        self.task.add_done_callback(driver.tasks.discard)

    async def _live(self, where: wire.Address) -> None:
        driver, failure = self._driver, None
        try:
            await driver.loop.create_connection(
                lambda: self, where.host, where.port, ssl=driver.ssl_context if where.secure else None
            )
            await self._gone.wait()
        except (OSError, UnicodeError) as exc:
            failure = _no_connection(exc, where)
        finally:
            if self._transport is not None:
                self._transport.abort()
                await self._gone.wait()
        if failure is not None:
            driver.run(driver.lose, self, failure)

    def flush(self) -> bool:
        transport = self._transport
        while transport and not transport.is_closing() and not self.paused and (data := self.wire.data_to_send()):
            transport.write(data)
            self._owed = True
        done = self._owed and not self.paused
        self._owed = self._owed and not done
        return done

    def abort(self) -> None:
        self.task.cancel()

    def finish(self) -> None:
        self.flush()
        if self._transport is not None:
            self._transport.close()

    # What asyncio calls. It sets TCP_NODELAY itself.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # What the kernel does not take at once is back-pressure: its own buffer holds seconds of audio already.
        # Not 0: over TLS asyncio compares with >=, and 0 would be over the mark for ever.
        transport.set_write_buffer_limits(high=1, low=0)
        self.flush()

    def data_received(self, data: bytes) -> None:
        self._driver.run(self._driver.hear, self, data)

    def eof_received(self) -> None:
        self._driver.run(self._driver.hear, self, b"")

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self._driver.run(self._driver.pump)

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, OSError):
            self._driver.run(self._driver.lose, self, _connection_lost(exc))
        else:
            self.eof_received()
        self._gone.set()


def _read_file(path: str | os.PathLike[str]) -> bytes:
    # The size is checked before anything is read, and bounded as it is: the file may be growing, or a pipe.
    with open(path, "rb") as file:
        check_size(path, max(1, os.fstat(file.fileno()).st_size))
        audio = file.read(MAX_FILE_BYTES + 1)
    check_size(path, len(audio))
    return audio
