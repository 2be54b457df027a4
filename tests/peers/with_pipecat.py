"""Pipecat's services for Smallest AI in real pipelines, with their default settings but for ``base_url``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.smallest.stt import SmallestSTTService
from pipecat.services.smallest.tts import SmallestTTSService
from pipecat.workers.runner import WorkerRunner
from tell import TEXT, Check, arguments, heard, pieces, spoken, tell, waits

BASE_URL, AUDIO = arguments()
SERVER = BASE_URL.replace("http", "ws", 1).removesuffix("/waves/v1")  # the services add the path
FRAME = 0.02  # seconds: what Pipecat's transports give
SETTLE = 3.0  # seconds of silence after the audio: its last final comes within them

Feed = Callable[["Sink", PipelineWorker], Coroutine[Any, Any, None]]


class Sink(FrameProcessor):
    """The end of a pipeline: keeps what comes."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self._came = asyncio.Condition()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        async with self._came:
            self.frames.append(frame)
            self._came.notify_all()
        await self.push_frame(frame, direction)

    def of(self, kind: type[Any]) -> list[Any]:
        return [frame for frame in self.frames if isinstance(frame, kind)]

    async def wait_for(self, kind: type[Frame], count: int = 1) -> None:
        async with self._came:
            await self._came.wait_for(lambda: len(self.of(kind)) >= count)


async def run(processors: Sequence[FrameProcessor], feed: Feed) -> Sink:
    """Run a pipeline: ``feed`` gives it frames, then it ends. Raises ``RuntimeError`` for an error in it."""
    sink, errors = Sink(), list[str]()
    worker = PipelineWorker(Pipeline([*processors, sink]), params=PipelineParams(), enable_rtvi=False)

    @worker.event_handler("on_pipeline_error")
    async def on_error(_: PipelineWorker, frame: ErrorFrame) -> None:
        errors.append(frame.error)

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await feed(sink, worker)
    await worker.queue_frame(EndFrame())
    await running
    if errors:
        raise RuntimeError("; ".join(errors))
    return sink


def stt() -> str:
    async def feed(_: Sink, worker: PipelineWorker) -> None:
        rate, parts = pieces(AUDIO, FRAME)
        parts += [bytes(len(parts[0]))] * round(SETTLE / FRAME)
        for part, wait in zip(parts, waits(FRAME), strict=False):
            await asyncio.sleep(wait)
            await worker.queue_frame(InputAudioRawFrame(audio=part, sample_rate=rate, num_channels=1))

    async def main() -> Sink:
        service = SmallestSTTService(api_key="any", base_url=SERVER)
        return await run([VADProcessor(vad_analyzer=SileroVADAnalyzer()), service], feed)

    sink = asyncio.run(main())
    finals, interims = sink.of(TranscriptionFrame), sink.of(InterimTranscriptionFrame)
    told = heard(" ".join(frame.text for frame in finals))
    return f"{told}, {len(finals)} `TranscriptionFrame`s, {len(interims)} interim"


def tts(feed: Feed, audio_of: Callable[[Sink], list[TTSAudioRawFrame]] = lambda sink: sink.of(TTSAudioRawFrame)) -> str:
    async def main() -> Sink:
        return await run([SmallestTTSService(api_key="any", base_url=SERVER)], feed)

    sink = asyncio.run(main())
    audio = audio_of(sink)
    told = spoken(b"".join(frame.audio for frame in audio), audio[0].sample_rate)
    return f"{told}, {len(sink.of(TTSTextFrame))} words told of"


async def speak_once(sink: Sink, worker: PipelineWorker) -> None:
    await worker.queue_frame(TTSSpeakFrame(TEXT))
    await sink.wait_for(TTSStoppedFrame)


async def speak_tokens(sink: Sink, worker: PipelineWorker) -> None:
    tokens = [LLMTextFrame(f"{token} ") for token in TEXT.split(" ")]
    await worker.queue_frames([LLMFullResponseStartFrame(), *tokens, LLMFullResponseEndFrame()])
    await sink.wait_for(TTSStoppedFrame)


async def speak_interrupted(sink: Sink, worker: PipelineWorker) -> None:
    await worker.queue_frame(TTSSpeakFrame(TEXT))
    await sink.wait_for(TTSAudioRawFrame)
    await worker.queue_frame(InterruptionFrame())
    await sink.wait_for(InterruptionFrame)
    stopped = len(sink.of(TTSStoppedFrame))
    await worker.queue_frame(TTSSpeakFrame(TEXT))
    await sink.wait_for(TTSStoppedFrame, stopped + 1)


def after_interruption(sink: Sink) -> list[TTSAudioRawFrame]:
    (at,) = (index for index, frame in enumerate(sink.frames) if isinstance(frame, InterruptionFrame))
    return [frame for frame in sink.frames[at:] if isinstance(frame, TTSAudioRawFrame)]


logger.remove()
tell(
    "pipecat-ai",
    [
        Check("`SmallestSTTService` behind Silero VAD, audio in real time", stt),
        Check("`SmallestTTSService`, `TTSSpeakFrame`", lambda: tts(speak_once)),
        Check("`SmallestTTSService`, tokens of a language model", lambda: tts(speak_tokens)),
        Check("`SmallestTTSService`, interrupted, then said anew", lambda: tts(speak_interrupted, after_interruption)),
    ],
)
