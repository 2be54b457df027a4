"""The client of every driver. It awaits the driver and nothing else, so it belongs to no framework; pure as well."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from smallest_proto.config import (
    BASE_URL,
    Endpoint,
    FileTranscriptionConfig,
    RetryPolicy,
    Route,
    Timeouts,
    TranscriptionConfig,
)
from smallest_proto.errors import ConfigurationError, Failure, FailureKind
from smallest_proto.events import Event
from smallest_proto.exchange import ExchangeFailed, FileTranscript, FileTranscription, TranscriptionAccepted
from smallest_proto.requests import MAX_FILE_BYTES
from smallest_proto.stats import SessionStats
from smallest_proto.transcription import TranscriptionSession

from ._driving import Driving

if TYPE_CHECKING:
    import ssl

    from typing_extensions import Buffer, Self

    from ._world import World

Audio: TypeAlias = "bytes | str | PathLike[str]"

KEY_VARIABLE = "SMALLEST_API_KEY"
PIECE_BYTES = 64 * 2**10  # of audio that a session is given at once: 2 s of linear16 at 16 kHz


class Client:
    """A client of the service, for any number of transcriptions at once. A subclass names its driver and its world.

    The key comes from ``api_key``, else from the environment variable ``SMALLEST_API_KEY``. Leaving ``async with``
    ends what is still under way. ``buffer_seconds`` of audio may be held for what a lost connection did not hear.
    Raises ``ConfigurationError`` without a key, and for a ``base_url`` that is none.
    """

    _driver: ClassVar[type[Driving]]
    _world_of: ClassVar[type[World]]

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str = BASE_URL,
        route: Route = "unified",
        ssl_context: ssl.SSLContext | None = None,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        buffer_seconds: float = 30.0,
    ) -> None:
        key = self._world_of.getenv(KEY_VARIABLE) or "" if api_key is None else api_key
        self._endpoint = Endpoint(api_key=key, base_url=base_url, route=route)
        secure = base_url.lower().startswith(("https:", "wss:"))
        self._world = self._world_of(secure=secure, ssl_context=ssl_context)
        self._timeouts = timeouts
        self._retry = retry
        self._buffer_seconds = buffer_seconds
        self._drivers: set[Driving] = set()

    async def __aenter__(self) -> Self:
        await self._world.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        # What the application failed with is none of the world's business: it comes out as it is, in no group.
        try:
            for driver in tuple(self._drivers):
                await driver.close()
        finally:
            await self._world.__aexit__(None, None, None)

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
            buffer_seconds=self._buffer_seconds,
            jitter=self._world.jitter,
        )
        async with self._driving(session) as driver:
            yield TranscriptionStream(session, driver)

    async def _exchange(
        self, audio: Audio | None, config: FileTranscriptionConfig, url: str | None
    ) -> FileTranscript | TranscriptionAccepted:
        if isinstance(audio, (str, PathLike)):
            audio = await self._driver.read_file(audio)
        exchange = FileTranscription(config, self._endpoint, audio=audio, audio_url=url, timeouts=self._timeouts)
        async with self._driving(exchange) as driver:
            outcome: FileTranscript | TranscriptionAccepted | ExchangeFailed = await driver.next()
        if isinstance(outcome, ExchangeFailed):
            raise outcome.failure.error()
        return outcome

    @asynccontextmanager
    async def _driving(self, machine: TranscriptionSession | FileTranscription) -> AsyncIterator[Driving]:
        driver = self._driver(machine, self._world)
        self._drivers.add(driver)
        try:
            async with driver:
                driver.tell(machine.start)
                yield driver
        finally:
            self._drivers.discard(driver)


class TranscriptionStream:
    """One live transcription: audio in, events out.

    Iterating gives the session's events, the last of them ``SessionEnded``; where the session failed it then raises
    the ``RemoteError`` of its failure.
    """

    def __init__(self, session: TranscriptionSession, driver: Driving) -> None:
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


def pieces(audio: Buffer) -> Iterator[Buffer]:
    """Audio of any length in pieces that a session can hold, so that back-pressure holds for a whole file at once too.

    What is no audio comes out as it is: the session says what is wrong with it.
    """
    try:
        view = memoryview(audio)
    except TypeError:
        view = memoryview(b"")
    if view.nbytes <= PIECE_BYTES or view.ndim != 1:
        yield audio
        return
    items = PIECE_BYTES // view.itemsize
    for at in range(0, len(view), items):
        yield view[at : at + items]


def check_size(name: object, size: int) -> None:
    """Raises ``ConfigurationError`` for a file of so many bytes that is empty, or more than the service takes."""
    if size > MAX_FILE_BYTES:
        limit = f"{MAX_FILE_BYTES / 1e6:.0f} MB"
        raise ConfigurationError(f"{name} is over {limit}, the service's limit: compress it, or stream it live")
    if not size:
        raise ConfigurationError(f"{name} is empty: there is nothing to transcribe")


def check_webhook(config: FileTranscriptionConfig | None, *, wanted: bool) -> FileTranscriptionConfig:
    """The configuration, or the default one.

    Raises ``ConfigurationError`` for a configuration whose answer would not come where it is awaited.
    """
    config = config or FileTranscriptionConfig()
    if config.webhook_url is not None and not wanted:
        raise ConfigurationError("with a webhook_url the transcript goes there: use transcribe_by_webhook()")
    if config.webhook_url is None and wanted:
        raise ConfigurationError("set model='pulse-pro' and webhook_url, which the transcript is to go to")
    return config


def unexpected(answer: FileTranscript | TranscriptionAccepted) -> Failure:
    """The service answers at once what was to come by webhook, or the other way round."""
    when = (
        "at once and not by webhook" if isinstance(answer, FileTranscript) else "later, though no webhook_url was set"
    )
    return Failure(kind=FailureKind.PROTOCOL, reason=f"the service answers {when}", request_id=answer.request_id)
