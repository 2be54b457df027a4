"""Lightning for LiveKit Agents: ``TTS`` with its ``ChunkedStream`` (one reply) and ``SynthesizeStream`` (a socket).

Connections, their reuse, retries and what was spoken are the core's; here its events become the framework's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import aiohttp
import msgspec
from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions, APIError, tts, utils
from livekit.agents.types import NOT_GIVEN, NotGivenOr, TimedString
from livekit.agents.utils import is_given

from smallest_proto import (
    BASE_URL,
    AudioChunk,
    ConfigurationError,
    EndReason,
    LinkLost,
    LinkOpened,
    RemoteError,
    SegmentDone,
    SessionEnded,
    SpokenSoFar,
    WordSpoken,
)
from smallest_proto.requests import live_synthesis_request
from smallest_proto.transcription.turns import says_something
from smallest_proto.values import hide
from smallest_transports.aiohttp import Client

from ._errors import api_error
from ._options import KEY_VARIABLE, endpoint, retry_policy
from ._tts_options import TTSOptions, speech_timeouts
from .log import logger

if TYPE_CHECKING:
    from smallest_transports.aiohttp import SynthesisStream

WS_URL = "wss://api.smallest.ai/waves/v1/tts/live"
_CHANNELS = 1  # the service makes mono alone
_SILENT = "the service sent no audio: check the text, the language and the voice"


class TTS(tts.TTS[str]):
    """Smallest AI's Lightning: whole texts by ``synthesize()``, text as it is written by ``stream()``."""

    def __init__(
        self,
        *,
        api_key: str | None = None,
        model: str = "lightning-v3.1",
        voice_id: str | None = None,
        sample_rate: int = 24000,
        speed: float = 1.0,
        consistency: float = 0.5,
        similarity: float = 0,
        enhancement: float = 1,
        language: str = "en",
        output_format: str = "pcm",
        word_timestamps: bool = False,
        max_buffer_flush_ms: int = 0,
        use_continuations: bool = True,
        max_buffer_delay_ms: int = 3000,
        extra: NotGivenOr[Mapping[str, str]] = NOT_GIVEN,
        base_url: str = BASE_URL,
        ws_url: str = WS_URL,
        http_session: aiohttp.ClientSession | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """
        Args:
            api_key: The key; None: that in the environment variable ``SMALLEST_API_KEY``.
            model: "lightning-v3.1" or "lightning-v3.1_pro"; with an underscore both mean the same.
            voice_id: Who speaks; None: "sophia", or "meher" of the pro model.
            sample_rate: Hz: 8000, 16000, 24000 or 44100.
            speed: 0.5 to 2.
            consistency: 0 to 1; older models alone.
            similarity: 0 to 1; older models alone.
            enhancement: 0 to 2; older models alone.
            language: A code such as "en", or "auto".
            output_format: How ``synthesize()`` is sent its audio: "pcm", "mp3" or "wav" ("ulaw" and "alaw" come as PCM,
                as frames are PCM).
            word_timestamps: Words with their times beside the audio of ``stream()``. A link that is lost in
                mid-sentence then costs no word: the rest is spoken over a new one.
            max_buffer_flush_ms: Without continuations: wait so long for more text, then speak; 0: until the flush.
            use_continuations: The service speaks at sentence ends and carries the prosody over.
            max_buffer_delay_ms: With continuations: the longest wait for a sentence's end.
            extra: Fields and languages that are not known here, sent as they are: ``{"language": "xx"}``.
            base_url: Where the service is.
            ws_url: Where its socket is; as it is, at ``base_url``.
            http_session: A session to open connections with; None: the framework's.
            ssl_context: Whom to trust, and as whom to come; None: as the session has it.

        Raises ``ValueError`` without a key, and for what the service does not have.
        """
        # Before all that can raise.
        api_key, base_url = hide(api_key or os.environ.get(KEY_VARIABLE) or ""), hide(base_url)
        self._opts = TTSOptions(
            model=model,
            voice_id=voice_id,
            sample_rate=sample_rate,
            speed=speed,
            consistency=consistency,
            similarity=similarity,
            enhancement=enhancement,
            language=language,
            output_format=output_format,
            word_timestamps=word_timestamps,
            max_buffer_flush_ms=max_buffer_flush_ms,
            use_continuations=use_continuations,
            max_buffer_delay_ms=max_buffer_delay_ms,
            extra=extra if is_given(extra) else {},
        )
        self._opts.check()
        if not api_key:
            raise ValueError(f"no API key: pass api_key, or set the environment variable {KEY_VARIABLE}")
        self._http_session = http_session
        self._ssl_context = ssl_context
        self._whole = endpoint(api_key, base_url)
        self._live = (
            self._whole if ws_url == WS_URL else endpoint(api_key, ws_url.rstrip("/").removesuffix("/tts/live"))
        )
        live_synthesis_request(self._opts.live(), self._live)
        self._clients: dict[tuple[bool, APIConnectOptions], Client] = {}
        self._open = contextlib.AsyncExitStack()  # the clients, with the connections that they keep
        self._warming: set[asyncio.Task[None]] = set()
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True, aligned_transcript=word_timestamps),
            sample_rate=sample_rate,
            num_channels=_CHANNELS,
        )

    @property
    def model(self) -> str:
        return self._opts.model

    @property
    def provider(self) -> str:
        return "SmallestAI"

    def update_options(
        self,
        *,
        model: NotGivenOr[str] = NOT_GIVEN,
        voice_id: NotGivenOr[str] = NOT_GIVEN,
        speed: NotGivenOr[float] = NOT_GIVEN,
        sample_rate: NotGivenOr[int] = NOT_GIVEN,
        consistency: NotGivenOr[float] = NOT_GIVEN,
        similarity: NotGivenOr[float] = NOT_GIVEN,
        enhancement: NotGivenOr[float] = NOT_GIVEN,
        language: NotGivenOr[str] = NOT_GIVEN,
        output_format: NotGivenOr[str] = NOT_GIVEN,
        word_timestamps: NotGivenOr[bool] = NOT_GIVEN,
        max_buffer_flush_ms: NotGivenOr[int] = NOT_GIVEN,
        use_continuations: NotGivenOr[bool] = NOT_GIVEN,
        max_buffer_delay_ms: NotGivenOr[int] = NOT_GIVEN,
        extra: NotGivenOr[Mapping[str, str]] = NOT_GIVEN,
    ) -> None:
        """Options of what is spoken from now on; what is being spoken goes on as it is.

        Raises ``ValueError`` for what the service does not have; then nothing has changed.
        """
        given = locals()
        changes = {name: value for name, value in given.items() if name != "self" and is_given(value)}
        opts = msgspec.structs.replace(self._opts, **changes)
        opts.check()
        self._opts = opts
        self._sample_rate = opts.sample_rate  # the framework reads it
        self._capabilities.aligned_transcript = opts.word_timestamps

    def synthesize(self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> ChunkedStream:
        """Speak a whole text."""
        return ChunkedStream(tts=self, input_text=text, conn_options=conn_options)

    def stream(self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> SynthesizeStream:
        """Speak text as it is written: one segment."""
        return SynthesizeStream(tts=self, conn_options=conn_options)

    def prewarm(self) -> None:
        """Open a connection, so that the first sentence does not wait for one."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # where a worker is set up, say: a connection belongs to a loop
            return
        task = loop.create_task(self._prewarm())
        self._warming.add(task)
        task.add_done_callback(self._warming.discard)

    async def _prewarm(self) -> None:
        try:
            client = await self.client(DEFAULT_API_CONNECT_OPTIONS, live=True)
            config = self._opts.live()
            await client.prewarm(config, resume=config.word_timestamps)
        except (RemoteError, RuntimeError) as error:  # outside a job there is no session
            logger.debug("no connection could be opened ahead: %s", type(error).__name__)

    async def aclose(self) -> None:
        """Close the connections that are kept, and what is still under way."""
        await utils.aio.cancel_and_wait(*self._warming)
        self._clients.clear()
        await self._open.aclose()

    async def client(self, conn_options: APIConnectOptions, *, live: bool) -> Client:
        """The client for what is spoken with these options, which keeps connections for the next time."""
        if (client := self._clients.get((live, conn_options))) is None:
            if self._http_session is None:
                self._http_session = utils.http_context.http_session()
            where = self._live if live else self._whole
            client = self._clients[live, conn_options] = Client(
                api_key=where.api_key,
                base_url=where.base_url,
                route=where.route,
                source=where.source,
                headers=where.headers,
                http_session=self._http_session,
                ssl_context=self._ssl_context,
                timeouts=speech_timeouts(conn_options),
                retry=retry_policy(conn_options),
                on_retry=lambda retried: self.warn(api_error(retried.failure), retried.retry_in),
            )
            await self._open.enter_async_context(client)
        return client

    def warn(self, error: APIError, retry_in: float) -> None:
        """Report an error that does not end the speech."""
        logger.warning("%s; trying again in %.1f s", error.message, retry_in, extra={"tts": self.label})
        # Not by the stream's own way: that would take the segment's metrics back.
        self.emit("error", tts.TTSError(timestamp=time.time(), label=self.label, error=error, recoverable=True))


class ChunkedStream(tts.ChunkedStream):
    """A whole text, spoken in one reply. What fails before its first sound is tried again by the core."""

    def __init__(self, *, tts: TTS, input_text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, input_text=input_text, conn_options=conn_options)
        self._owner = tts
        self._config = tts._opts.whole()

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        config, failure, silent = self._config, None, True
        to_say = says_something(self._input_text)
        output_emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=config.sample_rate,
            num_channels=_CHANNELS,
            mime_type=f"audio/{config.output_format if to_say else 'pcm'}",
        )
        if not to_say:
            if self._input_text.strip():
                output_emitter.push(_moment(config.sample_rate))
            return
        client = await self._owner.client(self._conn_options, live=False)
        try:
            async with client.synthesize(self._input_text, config) as speech:
                async for chunk in speech:
                    output_emitter.push(chunk.data)
                    silent = False
        except RemoteError as error:
            failure = error.failure
        except ConfigurationError as error:
            raise APIError(str(error), retryable=False) from None
        if failure is not None:
            raise api_error(failure, final=True)
        if silent:  # the framework's own error would repeat the text
            raise APIError(_SILENT)
        output_emitter.flush()


class SynthesizeStream(tts.SynthesizeStream):
    """One segment: text as it is written, spoken over a connection that is kept for the next one."""

    def __init__(self, *, tts: TTS, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, conn_options=conn_options)
        self._owner = tts
        self._config = tts._opts.live()

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        request_id = utils.shortuuid()
        output_emitter.initialize(
            request_id=request_id,
            sample_rate=self._config.sample_rate,
            num_channels=_CHANNELS,
            mime_type="audio/pcm",
            stream=True,
        )
        output_emitter.start_segment(segment_id=request_id)
        client = await self._owner.client(self._conn_options, live=True)
        begun = time.perf_counter()
        self._connection_reused = True  # until it shows that one had to be opened
        # While the first text is being written, a connection opens.
        async with client.stream_synthesis(self._config, resume=self._config.word_timestamps) as stream:
            self._acquire_time = time.perf_counter() - begun
            text, to_say = await self._first_text()
            if to_say:
                await self._speak(text, stream, output_emitter)
            elif text.strip():
                output_emitter.push(_moment(self._config.sample_rate))
        output_emitter.end_segment()

    async def _first_text(self) -> tuple[str, bool]:
        """The text up to where there is something to say, or to the end of the segment; and whether there is."""
        text = ""
        async for item in self._input_ch:
            if isinstance(item, self._FlushSentinel):
                break
            text += item
            if says_something(text):
                return text, True
        return text, False

    async def _speak(self, first: str, stream: SynthesisStream, output_emitter: tts.AudioEmitter) -> None:
        feeding = asyncio.create_task(self._feed(first, stream))
        hearing = asyncio.create_task(self._hear(stream, output_emitter))
        try:
            await asyncio.wait((feeding, hearing), return_when=asyncio.FIRST_COMPLETED)
            if feeding.done():
                feeding.result()
            error = await hearing
        except ConfigurationError as wrong:
            error = APIError(str(wrong), retryable=False)
        finally:
            await utils.aio.cancel_and_wait(feeding, hearing)
        if error is not None:
            raise error

    async def _feed(self, first: str, stream: SynthesisStream) -> None:
        """Give what is pushed to the synthesis."""
        with contextlib.suppress(RemoteError):  # the events tell of it
            self._mark_started()
            await stream.send_text(first)
            async for item in self._input_ch:
                if isinstance(item, self._FlushSentinel):
                    break
                await stream.send_text(item)
            await stream.end_input()

    async def _hear(self, stream: SynthesisStream, output_emitter: tts.AudioEmitter) -> APIError | None:
        """Give the audio to the framework, to the end of the segment, or the error that ended it."""
        with contextlib.suppress(RemoteError):  # the last event holds it
            async for event in stream:
                if isinstance(event, AudioChunk):
                    output_emitter.push(event.data)
                elif isinstance(event, WordSpoken):
                    if self._config.word_timestamps:
                        # The framework makes a transcript of them by putting one after the other.
                        word = TimedString(event.written, start_time=event.start, end_time=event.end)
                        output_emitter.push_timed_transcript(word)
                elif isinstance(event, LinkOpened):
                    self._acquire_time, self._connection_reused = event.seconds, False
                elif isinstance(event, LinkLost):
                    self._owner.warn(api_error(event.failure), event.retry_in)
                elif isinstance(event, SegmentDone):
                    return None if event.seconds else APIError(_SILENT, retryable=False)
                elif isinstance(event, (SpokenSoFar, SessionEnded)) and event.failure is not None:
                    return api_error(event.failure, final=True)
                elif isinstance(event, SessionEnded) and event.reason is not EndReason.COMPLETED:
                    return APIError("the synthesis ended before all was spoken", retryable=False)
        output_emitter.push(_moment(self._config.sample_rate))  # the text has nothing to speak
        return None


def _moment(sample_rate: int) -> bytes:
    """Text that is no word ("...") is silence: the framework takes no audio at all for an error that tells the text."""
    return bytes(2 * (sample_rate // 50))
