"""The framework's own adapters around our STT, over real sockets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions, stt, vad
from livekit.agents.stt import SpeechEventType
from livekit.agents.utils import AudioBuffer

from .stage import SPEECH, are_paired, finals, frames, heard, open_bench, push, scripted, words


class Other(stt.STT[str]):
    """An STT that is not ours: it says the same of everything, or fails."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))
        self.fails = fails

    async def _recognize_impl(self, buffer: AudioBuffer, **_: Any) -> stt.SpeechEvent:
        if self.fails:
            raise APIConnectionError("on purpose", retryable=False)
        return _said("another")

    def stream(self, *, conn_options: APIConnectOptions, **_: Any) -> stt.RecognizeStream:
        return _OtherStream(stt=self, conn_options=conn_options)


class _OtherStream(stt.RecognizeStream):
    async def _run(self) -> None:
        assert isinstance(self._stt, Other)
        if self._stt.fails:
            raise APIConnectionError("on purpose", retryable=False)
        async for item in self._input_ch:
            if not isinstance(item, rtc.AudioFrame):
                self._event_ch.send_nowait(_said("another"))


def _said(text: str) -> stt.SpeechEvent:
    return stt.SpeechEvent(
        type=SpeechEventType.FINAL_TRANSCRIPT,
        alternatives=[stt.SpeechData(language="en", text=text)],  # type: ignore[arg-type]
    )


class TestFallback:
    async def call(self, adapter: stt.FallbackAdapter) -> list[str]:
        stream = adapter.stream()
        said = await heard(stream, SPEECH.pcm)
        await stream.aclose()
        return finals(said)

    async def test_ours_first(self) -> None:
        async with open_bench() as bench, stt.FallbackAdapter([bench.stt, Other()]) as adapter:
            assert await self.call(adapter) == ["w1 w2", "w3 w4"]
            event = await adapter.recognize(list(frames(SPEECH.pcm)))
            assert event.alternatives[0].text == SPEECH.text

    @pytest.mark.parametrize("fault", ["refuse:401", "refuse:503x9"])
    async def test_ours_first_and_refused(self, fault: str) -> None:
        changes: list[tuple[str, bool]] = []
        async with open_bench(faults=[fault]) as bench:
            adapter = stt.FallbackAdapter([bench.stt, Other()], max_retry_per_stt=0)
            adapter.on("stt_availability_changed", lambda e: changes.append((e.stt.label, e.available)))
            assert await self.call(adapter) == ["another"]
            assert changes == [(bench.stt.label, False)]
            await adapter.aclose()

    async def test_ours_second(self) -> None:
        async with open_bench() as bench:
            adapter = stt.FallbackAdapter([Other(fails=True), bench.stt], max_retry_per_stt=0)
            turned = asyncio.Event()  # what comes before it is lost with the first, as the adapter has it
            adapter.on("stt_availability_changed", lambda _: turned.set())
            stream = adapter.stream()
            await turned.wait()
            assert finals(await heard(stream, SPEECH.pcm)) == ["w1 w2", "w3 w4"]
            await stream.aclose()
            event = await adapter.recognize(list(frames(SPEECH.pcm)))
            assert event.alternatives[0].text == SPEECH.text
            await adapter.aclose()


class Halves(vad.VAD):
    """A detector that hears speech in all that comes, and its end where it is flushed."""

    def __init__(self) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=0.1))

    def stream(self) -> vad.VADStream:
        return _HalvesStream(self)


class _HalvesStream(vad.VADStream):
    async def _main_task(self) -> None:
        gathered: list[rtc.AudioFrame] = []
        async for item in self._input_ch:
            if isinstance(item, rtc.AudioFrame):
                gathered.append(item)
            elif gathered:
                for kind, given in ((vad.VADEventType.START_OF_SPEECH, []), (vad.VADEventType.END_OF_SPEECH, gathered)):
                    self._event_ch.send_nowait(
                        vad.VADEvent(
                            type=kind,
                            samples_index=0,
                            timestamp=0.0,
                            speech_duration=1.0,
                            silence_duration=0.0,
                            frames=given,
                        )
                    )
                gathered = []


async def test_a_detector_cuts_what_a_batch_model_is_given() -> None:
    async with open_bench(model="pulse-pro") as bench:
        adapter = stt.StreamAdapter(stt=bench.stt, vad=Halves())
        async with adapter.stream() as stream:
            push(stream, SPEECH.pcm)
            stream.flush()
            push(stream, SPEECH.pcm)
            events = await heard(stream, b"")
        assert finals(events) == [SPEECH.text] * 2
        assert are_paired(events)
        await adapter.aclose()


async def test_speakers_are_told_apart() -> None:
    def final(text: str, speaker: int, start: float) -> str:
        spoken = [{"word": text, "start": start, "end": start + 0.4, "confidence": 0.9, "speaker": speaker}]
        return json.dumps({"transcript": text, "is_final": True, "words": spoken, "session_id": "s"})

    async def answer(socket: Any, message: dict[str, Any] | bytes) -> None:
        if isinstance(message, dict) and message["type"] == "close_stream":
            await socket.send(final("hello", 1, 0.0))
            await socket.send(final("there", 2, 0.5))
            await socket.send('{"transcript":"","is_final":true,"is_last":true}')

    async with scripted(answer) as service, open_bench(base_url=service.base_url, diarize=True) as bench:
        adapter = stt.MultiSpeakerAdapter(stt=bench.stt, detect_primary_speaker=False)
        stream = adapter.stream()
        events = await heard(stream, bytes(32000))
        await stream.aclose()
    told = [event.alternatives[0] for event in events if event.type is SpeechEventType.FINAL_TRANSCRIPT]
    assert [data.speaker_id for data in told] == ["S1", "S2"]
    assert {event.request_id for event in events if event.alternatives} == {"s"}  # the service's own name
    assert [data.text for data in told] == ["hello", "there"]
    assert service.queries[0]["diarize"] == "true"


async def test_each_adapter_tells_our_metrics_once() -> None:
    async with open_bench() as bench:
        adapter = stt.FallbackAdapter([bench.stt])
        told: list[Any] = []
        adapter.on("metrics_collected", told.append)
        stream = adapter.stream()
        events = await heard(stream, SPEECH.pcm)
        await stream.aclose()
        assert len(words(events)) == len(SPEECH.words)
        assert [metric.label for metric in told] == [bench.stt.label] * len(bench.metrics)
        assert sum(metric.audio_duration for metric in told) == pytest.approx(SPEECH.seconds, abs=0.05)
        await adapter.aclose()
