"""The STT over real sockets with a healthy service: events, times, options, whole buffers, and what is refused."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import APIConnectOptions, APIStatusError
from livekit.agents.metrics import STTMetrics
from livekit.agents.stt import SpeechEvent, SpeechEventType
from livekit.plugins import smallest_proto
from livekit.plugins.smallest_proto import _stt_stream as stt_stream

from smallest_proto.config import TranscriptionConfig
from smallest_proto.server.recogniser import CodedRecogniser, coded_speech

from .stage import KEY, RATE, SPEECH, are_paired, busy, finals, frames, heard, open_bench, push, scripted, turns, words

QUICK = APIConnectOptions(max_retry=2, retry_interval=0.01)
WORDS = [(word.text, word.start / RATE, word.end / RATE) for word in SPEECH.words]
KIND = SpeechEventType
LAST = '{"type":"transcription","transcript":"","is_final":true,"is_last":true}'


def close(found: list[tuple[str, float, float]], offset: float = 0.0) -> bool:
    """Whether these are the words of ``SPEECH``, to the sample."""
    assert [word for word, _, _ in found] == [word for word, _, _ in WORDS]
    return all(
        abs(start - other_start - offset) < 1e-3 and abs(end - other_end - offset) < 1e-3
        for (_, start, end), (_, other_start, other_end) in zip(found, WORDS, strict=True)
    )


async def until_direct(stream: Any) -> None:
    """Until nothing that was pushed waits: what comes then goes straight to the transcription."""
    while stream._input_ch.take is None:  # noqa: ASYNC110
        await asyncio.sleep(0)


class TestStream:
    @pytest.mark.parametrize("vad_events", [True, False])
    async def test_every_word_comes_with_its_time_in_a_turn(self, vad_events: bool) -> None:
        async with open_bench(vad_events=vad_events) as bench:
            events = await heard(bench.stt.stream(), SPEECH.pcm)
        assert close(words(events))
        assert " ".join(finals(events)) == SPEECH.text
        assert are_paired(events)
        assert len(turns(events)) == 4
        kinds = [event.type for event in events]
        assert kinds.index(KIND.START_OF_SPEECH) < kinds.index(KIND.INTERIM_TRANSCRIPT)
        assert {event.request_id for event in events if event.alternatives} != {""}
        assert bench.errors == []

    async def test_usage_is_told_every_5_s_and_at_the_end(self) -> None:
        speech = coded_speech([1, 5.0, 2, 1.0])
        async with open_bench() as bench:
            events = await heard(bench.stt.stream(), speech.pcm)
            await asyncio.sleep(0)
        used = [event.recognition_usage for event in events if event.type is KIND.RECOGNITION_USAGE]
        seconds = [usage.audio_duration for usage in used if usage is not None]
        assert 4.5 < seconds[0] < 5.5
        assert sum(seconds) == pytest.approx(speech.seconds)
        acquired, *usages = bench.metrics
        assert isinstance(acquired, STTMetrics)
        assert acquired.acquire_time > 0
        assert acquired.connection_reused is False
        assert [metric.audio_duration for metric in usages] == seconds
        assert all(metric.streamed and metric.metadata.model_name == "pulse" for metric in usages)

    async def test_who_stops_waiting_for_an_event_can_go_on_later(self) -> None:
        async with open_bench() as bench:
            stream = bench.stt.stream()
            waiting = asyncio.ensure_future(stream.__anext__())
            await asyncio.sleep(0)
            waiting.cancel()
            assert close(words(await heard(stream, SPEECH.pcm)))

    async def test_times_count_from_the_callers_base(self) -> None:
        async with open_bench() as bench:
            stream = bench.stt.stream()
            stream.start_time_offset = 1000.0
            assert close(words(await heard(stream, SPEECH.pcm)), 1000.0)

    @pytest.mark.parametrize("rate", [8000, 48000])
    async def test_frames_of_another_rate_are_resampled(self, rate: int) -> None:
        heard_bytes = 0

        class Counting(CodedRecogniser):
            def hear(self, audio: bytes) -> Any:
                nonlocal heard_bytes
                heard_bytes += len(audio)
                return ()

        async with open_bench(recogniser=Counting) as bench:
            await heard(bench.stt.stream(), bytes(2 * rate), rate=rate)
        assert heard_bytes / 2 / RATE == pytest.approx(1.0, abs=0.02)

    async def test_a_flush_brings_what_was_said_so_far(self) -> None:
        speech = coded_speech([1, 2])
        async with open_bench() as bench:
            stream = bench.stt.stream()
            push(stream, speech.pcm)
            stream.flush()
            events: list[SpeechEvent] = []
            async for event in stream:
                events.append(event)
                if finals(events):
                    break
            assert finals(events) == ["w1 w2"]
            events += await heard(stream, speech.pcm)
            assert finals(events) == ["w1 w2"] * 2
            assert are_paired(events)

    async def test_what_is_pushed_at_once_keeps_its_place_behind_what_waits(self) -> None:
        """Frames go straight to the transcription, but for those that follow a flush that has not had its turn."""
        async with open_bench() as bench:
            stream = bench.stt.stream()
            for number in (1, 4):
                await until_direct(stream)
                push(stream, coded_speech([number, 0.2]).pcm)
                assert stream._input_ch.empty()
                stream.flush()  # waits for its turn, and so does what follows
                push(stream, coded_speech([number + 1, 0.2]).pcm)
                assert stream._input_ch.qsize() > 1
                await until_direct(stream)
                push(stream, coded_speech([number + 2, 0.2]).pcm)
                assert stream._input_ch.empty()
            stream.end_input()
            events = await heard(stream)
        assert [word for word, _, _ in words(events)] == ["w1", "w2", "w3", "w4", "w5", "w6"]

    async def test_a_mistake_in_telling_an_event_ends_the_stream_with_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with open_bench() as bench:
            stream = bench.stt.stream()
            await until_direct(stream)
            monkeypatch.setattr(stt_stream, "speech_event", lambda *_, **__: {}["no such event"])
            push(stream, SPEECH.pcm)  # who pushes hears nothing of it
            with pytest.raises(KeyError, match="no such event"):
                await heard(stream)
            assert not bench.errors[-1].recoverable

    async def test_a_flush_asks_for_nothing_if_it_is_not_to(self) -> None:
        asked: list[str] = []

        async def answer(socket: Any, message: dict[str, Any] | bytes) -> None:
            if isinstance(message, dict):
                asked.append(message["type"])
                if message["type"] == "close_stream":
                    await socket.send(LAST)

        async with scripted(answer) as service, open_bench(base_url=service.base_url) as bench:
            bench.stt.update_options(finalize_on_flush=False)
            stream = bench.stt.stream()
            push(stream, bytes(RATE))
            stream.flush()
            await heard(stream, b"")
            assert asked == ["close_stream"]
            await heard(bench.stt.stream(), b"")
            bench.stt.update_options(finalize_on_flush=True)
            await heard(bench.stt.stream(), b"")
            assert asked == ["close_stream"] * 2 + ["finalize", "close_stream"]

    async def test_who_calls_and_what_is_asked_for(self) -> None:
        async def answer(socket: Any, message: dict[str, Any] | bytes) -> None:
            if isinstance(message, dict) and message["type"] == "close_stream":
                await socket.send(LAST)

        async with scripted(answer) as service, open_bench(base_url=service.base_url) as bench:
            await heard(bench.stt.stream(language="hi"), b"")
            (query,), (headers,) = service.queries, service.headers
        assert headers["authorization"] == f"Bearer {KEY}"
        assert headers["x-source"] == "livekit"
        assert headers["x-livekit-version"] == smallest_proto.__version__
        assert (query["model"], query["language"], query["encoding"]) == ("pulse", "hi", "linear16")
        assert (query["endpointing_timeout"], query["vad_events"], query["sample_rate"]) == ("300", "true", "16000")
        assert "eou_timeout_ms" not in query

    async def test_a_server_reached_directly(self) -> None:
        async with open_bench() as bench:
            base = bench.server.base_url.removesuffix("/waves/v1")
            async with smallest_proto.STT(
                api_key=KEY, base_url=base, stream_path="/transcribe", http_session=bench.http
            ) as direct:
                assert close(words(await heard(direct.stream(), SPEECH.pcm)))


class TestUpdate:
    async def test_new_options_reach_every_stream_and_lose_nothing(self) -> None:
        made: list[TranscriptionConfig] = []

        class Noting(CodedRecogniser):
            def __init__(self, options: TranscriptionConfig) -> None:
                made.append(options)
                super().__init__(options)

        async with open_bench(recogniser=Noting) as bench:
            streams = [bench.stt.stream() for _ in range(2)]
            middle = len(SPEECH.pcm) // 3 // 2 * 2  # in the middle of a word
            for stream in streams:
                push(stream, SPEECH.pcm[:middle])
            await asyncio.gather(*(first(stream) for stream in streams))
            bench.stt.update_options(language="hi", endpointing_timeout_ms=400)
            for stream in streams:
                push(stream, SPEECH.pcm[middle:])
                stream.end_input()
            for events in await asyncio.gather(*(heard(stream) for stream in streams)):
                assert close(words(events))
            assert {options.language for options in made} == {"en", "hi"}
            assert [options.endpointing_timeout for options in made[2:]] == [400, 400]

    async def test_on_a_stream_it_is_for_that_one_alone(self) -> None:
        async with open_bench() as bench:
            one, other = bench.stt.stream(), bench.stt.stream()
            one.update_options(language="hi")
            assert (one.options.language, other.options.language, bench.stt._opts.language) == ("hi", "en", "en")
            await asyncio.gather(heard(one, b""), heard(other, b""))

    async def test_a_new_rate_holds_from_the_next_frame_on(self) -> None:
        slow, fast = coded_speech([1, 2, 0.9], sample_rate=8000), coded_speech([3, 4, 0.9], sample_rate=16000)
        async with open_bench(sample_rate=8000) as bench:
            stream = bench.stt.stream()
            push(stream, slow.pcm, rate=8000)
            bench.stt.update_options(sample_rate=16000)
            # Frames have one rate for the life of a stream: what is pushed now is what the resampler makes.
            for frame in frames(fast.pcm, rate=16000):
                stream._input_ch.send_nowait(frame)
            stream.end_input()
            events = await heard(stream)
        assert finals(events) == ["w1 w2", "w3 w4"]
        assert words(events)[2][1] == pytest.approx(slow.seconds + fast.words[0].start / 16000, abs=1e-3)

    async def test_refused_options_leave_the_old_ones_in_use(self) -> None:
        class Picky(CodedRecogniser):
            def __init__(self, options: TranscriptionConfig) -> None:
                super().__init__(options)
                if options.language == "hi":
                    raise ValueError

        async with open_bench(recogniser=Picky) as bench:
            stream = bench.stt.stream(conn_options=APIConnectOptions(max_retry=0))
            push(stream, SPEECH.pcm[:16000])
            await first(stream)
            stream.update_options(language="hi")
            push(stream, SPEECH.pcm[16000:])
            stream.end_input()
            events = await heard(stream)
            assert close(words(events))
            assert stream.options.language == "en"
            (error,) = bench.errors
            assert error.recoverable
            assert isinstance(error.error, APIStatusError)
            assert error.error.status_code == 500

    async def test_keyterms_of_the_framework_join_the_users_keywords(self) -> None:
        async def answer(socket: Any, message: dict[str, Any] | bytes) -> None:
            if isinstance(message, dict) and message["type"] == "close_stream":
                await socket.send(LAST)

        async with scripted(answer) as service:
            async with open_bench(base_url=service.base_url, keywords=[("NVIDIA", 2.0)]) as bench:
                bench.stt._update_session_keyterms(["Miriam", "nvidia", "a:b, c", " ", "\ud800"])
                stream = bench.stt.stream()
                await heard(stream, b"")
            assert service.queries[0]["keywords"] == "NVIDIA:2,Miriam,a b c"

    async def test_keyterms_reach_a_stream_that_lives(self) -> None:
        made: list[TranscriptionConfig] = []

        class Noting(CodedRecogniser):
            def __init__(self, options: TranscriptionConfig) -> None:
                made.append(options)
                super().__init__(options)

        async with open_bench(recogniser=Noting) as bench:
            stream = bench.stt.stream()
            push(stream, SPEECH.pcm[:16000])
            await first(stream)
            bench.stt._update_session_keyterms(["Miriam"])
            assert close(words(await heard(stream, SPEECH.pcm[16000:])))
        assert [options.keywords for options in made] == [(), ("Miriam",)]


async def first(stream: smallest_proto.SpeechStream) -> SpeechEvent:
    """Wait until something was heard."""
    return await stream.__anext__()


class TestRecognise:
    async def test_a_buffer_is_one_final(self) -> None:
        async with open_bench() as bench:
            event = await bench.stt.recognize(list(frames(SPEECH.pcm)))
        assert event.type is KIND.FINAL_TRANSCRIPT
        assert event.alternatives[0].text == SPEECH.text
        assert close(words([event]))
        (metric,) = bench.metrics
        assert metric.audio_duration == pytest.approx(SPEECH.seconds)
        assert metric.streamed is False

    async def test_a_model_for_files_alone(self) -> None:
        async with open_bench(model="pulse-pro") as bench:
            assert not bench.stt.capabilities.streaming
            with pytest.raises(ValueError, match="pulse-pro has no live transcription"):
                bench.stt.stream()
            event = await bench.stt.recognize(next(frames(SPEECH.pcm, milliseconds=60_000)), language="en")
        assert event.alternatives[0].text == SPEECH.text

    async def test_what_is_refused_for_good_is_asked_once(self) -> None:
        async with open_bench(key="another") as bench:
            with pytest.raises(APIStatusError) as refused:
                await bench.stt.recognize(next(frames(SPEECH.pcm)))
        assert (refused.value.status_code, refused.value.retryable) == (401, False)
        assert [error.recoverable for error in bench.errors] == [False]

    @pytest.mark.parametrize("statuses", [[503], [429, 503]])
    async def test_a_busy_service_is_asked_again(self, statuses: list[int]) -> None:
        async with busy(*statuses) as base_url, open_bench(base_url=base_url) as bench:
            event = await bench.stt.recognize(list(frames(SPEECH.pcm)), conn_options=QUICK)
        assert event.alternatives[0].text == "whole"
        assert [error.recoverable for error in bench.errors] == [True] * len(statuses)

    async def test_so_often_as_the_framework_says_and_no_more(self) -> None:
        async with busy(503, 429, 503) as base_url, open_bench(base_url=base_url) as bench:
            with pytest.raises(APIStatusError) as refused:
                await bench.stt.recognize(list(frames(SPEECH.pcm)), conn_options=QUICK)
        assert (refused.value.status_code, refused.value.retryable) == (503, False)
        assert [error.recoverable for error in bench.errors] == [True, True, False]


class TestMisuse:
    async def test_frames_that_cannot_be(self) -> None:
        async with open_bench() as bench:
            stream = bench.stt.stream()
            push(stream, bytes(640))
            with pytest.raises(ValueError, match="sample rate of the input frames must be consistent"):
                stream.push_frame(rtc.AudioFrame(bytes(480), 24000, 1, 240))
            with pytest.raises(ValueError, match="2 channels: give one of them"):
                stream.push_frame(rtc.AudioFrame(bytes(640), RATE, 2, 160))
            stream.end_input()
            with pytest.raises(RuntimeError, match="input ended"):
                push(stream, bytes(640))
            await heard(stream)
            stream.update_options(language="hi")  # too late, and no harm
            await stream.aclose()
            with pytest.raises(RuntimeError, match=r"is closed|input ended"):
                stream.flush()

    async def test_outside_of_a_job_without_a_session(self) -> None:
        made = smallest_proto.STT(api_key=KEY)
        made.prewarm()
        with pytest.raises(RuntimeError, match="http_context"):
            made.stream()


class TestClosing:
    async def test_a_stream_that_nobody_holds_is_forgotten(self) -> None:
        async with open_bench() as bench:
            stream = bench.stt.stream()
            await heard(stream, b"")
            gone = weakref.ref(stream)
            await stream.aclose()
            del stream
            await asyncio.sleep(0)
            gc.collect()
            assert gone() is None
            bench.stt.update_options(language="hi")

    async def test_the_stt_ends_its_streams(self) -> None:
        async with open_bench() as bench:
            streams = [bench.stt.stream() for _ in range(3)]
            push(streams[0], SPEECH.pcm)
            await first(streams[0])
            await bench.stt.aclose()
            assert not any(stream.live for stream in streams)
            assert bench.errors == []
