"""One live transcription of the core, for its whole life, as a stream of LiveKit's.

Connections, retries, replay and turns are the core's; here its events become the framework's.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Any

import aiohttp
import msgspec
from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, stt, utils
from livekit.agents.metrics.base import Metadata
from livekit.agents.stt import SpeechEvent

from smallest_proto import (
    AudioLost,
    EndReason,
    Event,
    FinalTranscript,
    InterimTranscript,
    LinkLost,
    LinkOpened,
    RemoteError,
    RetryPolicy,
    SessionEnded,
    SpeechStarted,
    Timeouts,
    TranscriptionConfig,
    UpdateRejected,
)
from smallest_transports.aiohttp import Client, TranscriptionStream

from ._errors import api_error
from ._events import speech_event
from ._losses import AudioLostError, AudioLostMetrics
from ._options import Adjustable, STTOptions, retry_policy
from .log import logger

_MESSAGES = 20  # a second: the service is sent 50 ms in each


class StreamingSTT(stt.STT[str], Adjustable):
    """What a stream needs of the STT that it is one of."""

    @abstractmethod
    def live_config(self, opts: STTOptions) -> TranscriptionConfig:
        """The configuration of a stream with these options. Raises ``ConfigurationError`` for what cannot be."""

    @abstractmethod
    def live_client(self, http_session: aiohttp.ClientSession, timeouts: Timeouts, retry: RetryPolicy) -> Client:
        """A client for one stream."""


class _Wanted(stt.RecognizeStream._FlushSentinel):
    """Options and what they mean for the core; new ones have their place among the frames."""

    def __init__(self, opts: STTOptions, config: TranscriptionConfig) -> None:
        self.opts = opts
        self.config = config


class _Input(utils.aio.Chan[Any]):
    """What is pushed: taken at once while nothing waits, else it has its turn."""

    take: Callable[[Any], bool] | None = None  # whether it took it; None: something that came before waits

    def send_nowait(self, value: Any) -> None:
        if self.take is None or not self.take(value):
            self.take = None
            super().send_nowait(value)

    def close(self) -> None:
        self.take = None
        super().close()


class SpeechStream(stt.RecognizeStream, Adjustable):
    """One live transcription. Frames go in by ``push_frame``, events come out by iteration."""

    def __init__(
        self,
        *,
        stt: StreamingSTT,
        opts: STTOptions,
        conn_options: APIConnectOptions,
        http_session: aiohttp.ClientSession,
    ) -> None:
        wanted = _Wanted(opts, stt.live_config(opts))
        self._client = stt.live_client(http_session, opts.timeouts(conn_options), retry_policy(conn_options))
        # The framework's tee, which gives every event to its task of metrics too, costs more than all else of an event.
        # That task needs these alone; whoever iterates has the channel itself.
        self._usage_ch = utils.aio.Chan[SpeechEvent]()
        # After all that can be refused: it starts tasks.
        super().__init__(stt=stt, conn_options=conn_options, sample_rate=opts.sample_rate)
        self._input_ch: _Input = _Input()  # nobody has read the other one yet
        self._task.add_done_callback(lambda _: self._usage_ch.close())
        self._event_aiter: AsyncIterator[SpeechEvent] = self._event_ch
        self._owner = stt
        self._wanted = wanted  # what was asked for last,
        self._current = wanted  # what the audio that is fed now goes with,
        self._requested = {wanted.config: wanted}  # and all that the service was asked for: some of it may be refused
        self._held: list[memoryview] = []  # the audio of frames shorter than a message
        self._held_samples = 0
        self._request_id = ""  # the service's name for the connection of the last event
        self._end: SessionEnded | None = None

    @property
    def options(self) -> STTOptions:
        """What was asked for last."""
        return self._wanted.opts

    @property
    def live(self) -> bool:
        """Whether frames can still be pushed."""
        return not self._input_ch.closed and not self._event_ch.closed

    def push_frame(self, frame: rtc.AudioFrame) -> None:
        """Push audio. What has another sample rate than the STT is resampled.

        Raises ``ValueError`` for several channels and where the sample rate changes, ``RuntimeError`` after the end.
        """
        rate, direct = frame.sample_rate, self._input_ch.take is not None
        if frame.num_channels != 1:
            raise ValueError(f"the frame has {frame.num_channels} channels: give one of them (a mean can cancel)")
        self._pushed_sr = self._pushed_sr or rate
        if rate != self._pushed_sr or not (direct or self.live):
            super().push_frame(frame)  # which refuses it
            return
        data, held = frame.data, self._held
        if held or len(data) * _MESSAGES < rate:
            # What is shorter than a message would wait further on as well, at a greater cost.
            held.append(data)
            self._held_samples += len(data)
            if self._held_samples * _MESSAGES >= rate:
                self._push_held()
        elif not (direct and rate == self._needed_sr and self._transcription.offer(bytes(data))):
            super().push_frame(frame)

    def flush(self) -> None:
        """Everything pushed so far is a segment: it comes back as a final (``finalize_on_flush``)."""
        self._push_held()
        super().flush()

    def _push_held(self) -> None:
        if self._held:
            data = b"".join(self._held)  # rtc.combine_audio_frames() takes ten times as long
            samples, self._held_samples = self._held_samples, 0
            self._held.clear()
            super().push_frame(rtc.AudioFrame(data, self._pushed_sr, 1, samples))

    def use(self, opts: STTOptions) -> None:
        """Go over to other options. Raises ``ConfigurationError`` for what cannot be; then nothing has changed."""
        before, self._wanted = self._wanted, _Wanted(opts, self._owner.live_config(opts))
        if self._wanted.config != before.config and self.live:
            self._push_held()
            self._resample_to(opts.sample_rate)
            self._input_ch.send_nowait(self._wanted)

    def _change(self, changes: dict[str, Any]) -> None:
        self.use(msgspec.structs.replace(self.options, **changes))

    def _resample_to(self, sample_rate: int) -> None:
        if sample_rate != self._needed_sr and self.live:
            for frame in self._resampler.flush() if self._resampler else ():
                self._input_ch.send_nowait(frame)
            self._resampler, self._needed_sr = None, sample_rate

    async def _metrics_monitor_task(self, event_aiter: AsyncIterable[SpeechEvent]) -> None:
        await super()._metrics_monitor_task(self._usage_ch)

    async def _run(self) -> None:
        async with (
            self._client as client,
            contextlib.AsyncExitStack() as last,
            client.stream_transcription(self._current.config) as stream,
        ):
            self._transcription = stream
            stream.listen(self._tell)
            # Once the transcription is over, cancelled or not: its end closes the turn that was open.
            last.push_async_callback(_over, stream)
            feeding, ending = asyncio.create_task(self._feed(stream)), asyncio.create_task(_over(stream))
            try:
                await asyncio.wait((feeding, ending), return_when=asyncio.FIRST_COMPLETED)
                if feeding.done():
                    feeding.result()
                await ending
            finally:
                self._input_ch.take = None
                await utils.aio.cancel_and_wait(feeding, ending)
        end = self._end
        if end is not None and end.failure is not None:
            if end.reason is EndReason.FAILED:
                raise api_error(end.failure, final=True)
            self._warn(api_error(end.failure))

    async def _feed(self, stream: TranscriptionStream) -> None:
        """Give what is pushed to the transcription: what waits here, and by ``_take`` what need not."""
        with contextlib.suppress(RemoteError):  # the events tell of it
            if self._input_ch.empty():
                self._input_ch.take = self._take
            async for item in self._input_ch:
                if isinstance(item, rtc.AudioFrame):
                    for frame in _at(self._current.config.sample_rate, item):
                        await stream.send_audio(bytes(frame.data))
                elif isinstance(item, _Wanted):
                    self._current = self._requested[item.config] = item
                    await stream.update(item.config)
                elif self.options.finalize_on_flush:
                    await stream.finalize()
                if self._input_ch.empty():
                    self._input_ch.take = self._take
            await stream.end_input()

    def _take(self, item: Any) -> bool:
        """Give a frame to the transcription at once, where there is room; whether it was."""
        return (
            type(item) is rtc.AudioFrame
            and item.sample_rate == self._current.config.sample_rate
            and self._transcription.offer(bytes(item.data))
        )

    def _tell(self, event: Event) -> None:
        if isinstance(event, (InterimTranscript, FinalTranscript)) and event.session_id:
            self._request_id = event.session_id
        language = self._current.config.language
        mapped = speech_event(event, language=language, offset=self.start_time_offset, request_id=self._request_id)
        if mapped is not None:
            if isinstance(event, SpeechStarted) and not event.inferred:
                mapped.speech_start_time = time.time() - (self._transcription.seconds_given - event.time)
            self._event_ch.send_nowait(mapped)
            if mapped.recognition_usage is not None:
                self._usage_ch.send_nowait(mapped)
        elif isinstance(event, LinkOpened):
            self._report_connection_acquired(event.seconds, False)
        elif isinstance(event, LinkLost):
            self._warn(api_error(event.failure), f"; trying again in {event.retry_in:.1f} s")
        elif isinstance(event, UpdateRejected):
            latest, self._current = self._wanted is self._current, self._requested[self._transcription.config]
            if latest:  # else others are on their way
                self._wanted = self._current
            self._resample_to(self.options.sample_rate)
            self._warn(api_error(event.failure), "; the old options stay in use")
        elif isinstance(event, AudioLost):
            self._lost(event)
        elif isinstance(event, SessionEnded):
            self._end = event

    def _lost(self, event: AudioLost) -> None:
        self._warn(AudioLostError(event, self.start_time_offset))
        metrics = AudioLostMetrics(
            request_id=self._request_id,
            timestamp=time.time(),
            duration=0.0,
            label=self._owner.label,
            audio_duration=0.0,
            streamed=True,
            lost_duration=event.end - event.start,
            metadata=Metadata(model_name=self._owner.model, model_provider=self._owner.provider),
        )
        self._owner.emit("metrics_collected", metrics)

    def _warn(self, error: APIError, what_follows: str = "") -> None:
        """Report an error that does not end the stream."""
        logger.warning("%s%s", error.message, what_follows, extra={"stt": self._owner.label})
        self._emit_error(error, recoverable=True)


async def _over(stream: TranscriptionStream) -> None:
    """Wait for the end of the transcription. Raises what telling its events met with."""
    with contextlib.suppress(RemoteError):  # the last event holds it
        async for _ in stream:
            raise AssertionError("the events go to the listener")


def _at(sample_rate: int, frame: rtc.AudioFrame) -> Iterable[rtc.AudioFrame]:
    """The frame at this rate: what was on its way to options that are refused has theirs, and is heard all the same."""
    if frame.sample_rate == sample_rate:
        return (frame,)
    resampler = rtc.AudioResampler(frame.sample_rate, sample_rate, quality=rtc.AudioResamplerQuality.HIGH)
    return (*resampler.push(frame), *resampler.flush())
