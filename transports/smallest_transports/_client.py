"""The client of every driver. It awaits the driver and nothing else, so it belongs to no framework; pure as well."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

from smallest_proto.checks import check_whole
from smallest_proto.config import (
    BASE_URL,
    Endpoint,
    FileTranscriptionConfig,
    RetryPolicy,
    Route,
    SynthesisConfig,
    Timeouts,
    TranscriptionConfig,
    check_seconds,
)
from smallest_proto.errors import ConfigurationError, Failure, FailureKind, LocalProtocolError
from smallest_proto.events import LinkOpened
from smallest_proto.http.exchange import ExchangeFailed, ExchangeRetried
from smallest_proto.http.files import FileTranscript, FileTranscription, TranscriptionAccepted
from smallest_proto.http.synthesis import Synthesis
from smallest_proto.http.voices import Voice, VoiceList, Voices
from smallest_proto.synthesis.session import SynthesisSession
from smallest_proto.transcription.events import Event
from smallest_proto.transcription.session import TranscriptionSession
from smallest_proto.values import hide

from ._address import address_of
from ._driver import Driver, M
from ._live import File, Pieces, given, heard
from ._metrics import CallMetrics, Told
from ._pool import Pool
from ._proxy import ENVIRONMENT
from ._speech import Speech, SynthesisStream
from ._trace import K, S, Trace, TracedSession, construct
from ._transcription import TranscriptionStream

if TYPE_CHECKING:
    import ssl

    from typing_extensions import Buffer, Self

    from ._world import World

KEY_VARIABLE = "SMALLEST_API_KEY"


class Options(TypedDict, total=False):
    """What every client takes; see ``Client``."""

    api_key: str | None
    base_url: str
    route: Route
    source: str
    headers: tuple[tuple[str, str], ...]
    ssl_context: ssl.SSLContext | None
    proxy: str | None
    timeouts: Timeouts
    retry: RetryPolicy
    buffer_seconds: float
    pool: int
    pool_seconds: float
    trace: str | PathLike[str] | Callable[[bytes], object] | None
    trace_private: bool
    on_retry: Callable[[ExchangeRetried], object] | None
    on_metrics: Told | None
    any_region: bool


class _Tries(TypedDict):
    timeouts: Timeouts
    retry: RetryPolicy


def hide_options(options: Any) -> None:
    """What a client's options hold of keys, so that no local variable shows it."""
    options.update(
        {name: hide(options[name]) for name in ("api_key", "headers", "proxy", "base_url") if name in options}
    )


class Client:
    """A client of the service, for any number of calls at once. A subclass names its driver and its world.

    The key comes from ``api_key``, else from the environment variable ``SMALLEST_API_KEY``. Leaving ``async with``
    ends what is still under way. ``source`` and ``headers`` tell the service who calls. ``proxy`` is the URL of one,
    ``None`` for a direct connection; as it is, the environment decides (``HTTPS_PROXY``, ``NO_PROXY``).
    ``buffer_seconds`` of audio may be held for what a lost connection did not hear.
    Within ``async with``, up to ``pool`` connections of ``stream_synthesis`` are kept for its next calls, each for
    ``pool_seconds`` at most: the service closes what says nothing for 60 s.
    ``transcribe``, ``voices``, and each request of ``synthesize`` before its first byte, are tried again as ``retry``
    says: the live streams tell of it with ``LinkLost``, of these ``on_retry`` is told, at once and in the client's own
    loop.
    ``on_metrics`` is told of each connection of a live stream when it has ended (``LinkMetrics``), and of each final
    (``FinalMetrics``), in the client's own loop: it must not block. What it raises is logged, as an error of the logger
    ``smallest_proto``, and the call goes on.
    ``trace`` is a file to which every input of every session, and of every exchange over HTTP, is appended, for
    ``memory.replay`` and ``pictures``, or a function that is given each line: without the key, and without what was
    said unless ``trace_private``. A session raises ``OSError`` if it cannot be written there.
    ``any_region``: your contract has languages that the region of ``base_url`` does not have for all.
    Raises ``ConfigurationError`` without a key, and for a ``base_url`` or a ``proxy`` that is none.
    """

    _driver: ClassVar[type[Driver[Any]]]
    _world_of: ClassVar[type[World]]

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str = BASE_URL,
        route: Route = "unified",
        source: str = "smallest-proto",
        headers: tuple[tuple[str, str], ...] = (),
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = ENVIRONMENT,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        buffer_seconds: float = 30.0,
        pool: int = 4,
        pool_seconds: float = 45.0,
        trace: str | PathLike[str] | Callable[[bytes], object] | None = None,
        trace_private: bool = False,
        on_retry: Callable[[ExchangeRetried], object] | None = None,
        on_metrics: Told | None = None,
        any_region: bool = False,
    ) -> None:
        # Before all that can raise: tracebacks with local variables are what error services send home.
        api_key, headers, proxy, base_url = hide(api_key), hide(headers), hide(proxy), hide(base_url)
        check_whole("pool", pool, 0, None, "connections")
        check_seconds("pool_seconds", pool_seconds, least=0.0)
        api_key = hide(self._world_of.getenv(KEY_VARIABLE) or "") if api_key is None else api_key
        self._endpoint = Endpoint(
            api_key=api_key, base_url=base_url, route=route, source=source, headers=headers, any_region=any_region
        )
        self._world = self._world_of(address_of(base_url.lower()), ssl_context=ssl_context, proxy=proxy)
        self._timeouts = timeouts
        self._retry = retry
        self._buffer_seconds = buffer_seconds
        self._on_retry = on_retry
        self._on_metrics = on_metrics
        self._trace = None
        if trace is not None:
            append = trace if callable(trace) else partial(self._world.append_file, trace)
            self._trace = Trace(append, private=trace_private)
        self._drivers: set[Driver[Any]] = set()
        self._pool_size = pool
        self._pool = Pool(0, pool_seconds)  # outside ``async with`` nothing would close what it keeps

    async def __aenter__(self) -> Self:
        await self._world.__aenter__()
        self._pool.size = self._pool_size
        return self

    async def __aexit__(self, *_: object) -> None:
        # An error of the application itself is passed on as it is, in no group.
        self._pool.size = 0
        try:
            await self._end(*self._drivers)
        finally:
            await self._world.__aexit__(None, None, None)

    async def transcribe(
        self, audio: File | None = None, config: FileTranscriptionConfig | None = None, *, url: str | None = None
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
        self, audio: File | None = None, config: FileTranscriptionConfig | None = None, *, url: str | None = None
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
        driver = await self._session(
            TranscriptionSession, config or TranscriptionConfig(), buffer_seconds=self._buffer_seconds
        )
        try:
            yield TranscriptionStream(driver)
        finally:
            await self._end(driver)

    @asynccontextmanager
    async def transcribe_live(
        self, audio: File | Pieces | AsyncIterable[Buffer], config: TranscriptionConfig | None = None
    ) -> AsyncIterator[AsyncIterator[Event]]:
        """The events of a live transcription of a file, or of audio that comes in pieces: iterate over them.

        A WAV of one channel says its format itself; other audio has that of ``config``. A file is sent as fast as the
        service takes it. The next piece is asked for when all events so far have been taken, so pieces of a microphone
        should be short: 50 ms, say. ``LiveTranscript.of(events)`` puts the finals together.
        Raises ``OSError`` for a file that cannot be read, ``ConfigurationError`` for one that cannot be streamed, what
        asking for the next piece raises, and ``RemoteError`` after the last event where the session failed.
        """
        config = config or TranscriptionConfig()
        if isinstance(audio, (str, PathLike)):
            audio = await self._driver.read_file(audio)
        config, parts = given(audio, config)
        async with self.stream_transcription(config) as stream, aclosing(heard(stream, parts)) as events:
            yield events

    def synthesize(self, text: str, config: SynthesisConfig | None = None, *, sse: bool = False) -> Speech:
        """Speak a whole text: iterate over the audio, ``await speech.read()``, or ``await speech.save("x.wav")``.

        With ``sse`` the service sends the audio while it makes it (pcm, ulaw, alaw). Raises ``ConfigurationError`` for
        a text that cannot be spoken, and for options that cannot be.
        """
        config = config or SynthesisConfig()
        exchange, traced = self._made(Synthesis, config, text=text, sse=sse, **self._tries())
        return Speech(exchange, config, partial(self._driving, trace=traced), self._world.write_file)

    @asynccontextmanager
    async def stream_synthesis(
        self, config: SynthesisConfig | None = None, *, resume: bool = False, strict: bool = True
    ) -> AsyncIterator[SynthesisStream]:
        """Speak text as it is written, over a connection that is kept from before, or over a new one.

        With ``resume`` a connection that is lost in mid-speech costs no word, where the voice has word times. What
        cannot be spoken, or is cut off, raises a ``RemoteError`` at the end of the iteration; without ``strict`` the
        events alone tell of it.
        Leaving the block drops what was not spoken by then, and keeps the connection for the next call with the same
        options. Raises ``ConfigurationError`` for options that cannot be.
        """
        key = config or SynthesisConfig(), resume
        driver = self._pool.take(key) or await self._speaker(*key)
        stream = SynthesisStream(driver, strict=strict)
        try:
            yield stream
        finally:
            stream.leave()
            await self._end(*self._pool.give(key, driver))

    async def prewarm(self, config: SynthesisConfig | None = None, *, resume: bool = False) -> None:
        """Open a connection for the next ``stream_synthesis`` with the same options, if none is kept.

        Raises ``RemoteError`` where that fails, ``ConfigurationError`` for options that cannot be, and
        ``LocalProtocolError`` where the client keeps none.
        """
        if not self._pool.size:
            raise LocalProtocolError(
                "the client keeps no connection: use it within `async with Client(...) as client:`, with a pool above 0"
            )
        key = config or SynthesisConfig(), resume
        driver = self._pool.take(key) or await self._speaker(*key)
        try:
            event: Any = False
            # A link that has opened may be gone already: the next stream opens its own then.
            while not (driver.machine.warm or event is None or isinstance(event, LinkOpened)):
                event = await driver.next()
            driver.check()
        finally:
            await self._end(*self._pool.give(key, driver))

    async def voices(self, model: str | None = None) -> tuple[Voice, ...]:
        """The voices of a model, or all that there are.

        Raises ``ConfigurationError`` for what is no model, and ``RemoteError`` for what the service or the network did.
        """
        answer: Voices = await self._answer(*self._made(VoiceList, None, model=model, **self._tries()))
        return answer.voices

    async def _exchange(
        self, audio: File | None, config: FileTranscriptionConfig, url: str | None
    ) -> FileTranscript | TranscriptionAccepted:
        if isinstance(audio, (str, PathLike)):
            audio = await self._driver.read_file(audio)
        elif isinstance(audio, (bytearray, memoryview)):
            audio = bytes(audio)
        exchange = self._made(FileTranscription, config, audio=audio, audio_url=url, **self._tries())
        answer: FileTranscript | TranscriptionAccepted = await self._answer(*exchange)
        return answer

    def _tries(self) -> _Tries:
        return {"timeouts": self._timeouts, "retry": self._retry}

    async def _answer(self, exchange: FileTranscription | VoiceList, trace: TracedSession | None) -> Any:
        async with self._driving(exchange, trace) as driver:
            outcome = await driver.next()
            driver.check()
        if isinstance(outcome, ExchangeFailed):
            raise outcome.failure.error()
        return outcome

    async def _speaker(self, config: SynthesisConfig, resume: bool) -> Driver[SynthesisSession]:
        return await self._session(SynthesisSession, config, resume=resume)

    async def _session(self, kind: type[S], config: Any, **options: Any) -> Driver[S]:
        return await self._begin(*self._made(kind, config, **self._tries(), **options))

    def _made(self, kind: type[K], config: Any, **options: Any) -> tuple[K, TracedSession | None]:
        """A session or an exchange, and where its inputs are written down, if they are."""
        if self._trace is None:
            return construct(kind, config, self._endpoint, jitter=self._world.jitter, **options), None
        return self._trace.make(kind, config, self._endpoint, self._world.jitter, **options)

    @asynccontextmanager
    async def _driving(self, machine: M, trace: TracedSession | None = None) -> AsyncIterator[Driver[M]]:
        driver = await self._begin(machine, trace)
        try:
            yield driver
        finally:
            await self._end(driver)

    async def _begin(self, machine: M, trace: TracedSession | None = None) -> Driver[M]:
        driver: Driver[M] = self._driver(machine, self._world)
        if self._world.proxy is not None:
            driver.way = f"the proxy {self._world.proxy.host}, port {self._world.proxy.port}"
        driver.trace, driver.log = trace, self._world.log(machine)
        driver.on_retry = self._on_retry
        if self._on_metrics is not None and isinstance(machine, (TranscriptionSession, SynthesisSession)):
            driver.metrics = CallMetrics(self._on_metrics, machine, self._world.complain)
        self._drivers.add(driver)
        try:
            await driver.__aenter__()
            driver.tell(machine.start)
        except BaseException:
            await self._end(driver)
            raise
        return driver

    async def _end(self, *drivers: Driver[Any]) -> None:
        """Close every one of them, whatever comes of the others."""
        async with AsyncExitStack() as stack:
            for driver in drivers:
                stack.callback(self._drivers.discard, driver)
                stack.push_async_callback(driver.close)


def check_webhook(config: FileTranscriptionConfig | None, *, wanted: bool) -> FileTranscriptionConfig:
    """The configuration, or the default one.

    Raises ``ConfigurationError`` for a configuration whose answer would not come where it is awaited.
    """
    config = config or FileTranscriptionConfig()
    if config.webhook_url is not None and not wanted:
        raise ConfigurationError("with a webhook_url the transcript goes there: use transcribe_by_webhook()")
    if config.webhook_url is None and wanted:
        raise ConfigurationError("set webhook_url, which the transcript is to go to")
    return config


def unexpected(answer: FileTranscript | TranscriptionAccepted) -> Failure:
    """The service answers at once what was to come by webhook, or the other way round."""
    when = (
        "at once and not by webhook" if isinstance(answer, FileTranscript) else "later, though no webhook_url was set"
    )
    return Failure(kind=FailureKind.PROTOCOL, reason=f"the service answers {when}", request_id=answer.request_id)
