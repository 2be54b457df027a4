"""Options that change in a storm or are refused, and ends that come at any moment."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable

import pytest
from livekit.agents import APIConnectOptions
from livekit.agents.stt import SpeechEvent
from livekit.plugins.smallest_proto import AudioLostError, AudioLostMetrics

from smallest_proto.config import TranscriptionConfig
from smallest_proto.server.recogniser import CodedRecogniser

from .stage import ONCE, RATE, SPEECH, Bench, are_paired, finals, frames, heard, open_bench, push, turns

pytestmark = pytest.mark.usefixtures("hurry")


class Picky(CodedRecogniser):
    """An ear that takes neither Hindi nor 8 kHz."""

    def __init__(self, options: TranscriptionConfig) -> None:
        super().__init__(options)
        if options.language == "hi" or options.sample_rate == 8000:
            raise ValueError


class TestStorms:
    async def call(self, bench: Bench, change: Callable[[int], None]) -> list[SpeechEvent]:
        stream = bench.stt.stream()
        for number, frame in enumerate(frames(SPEECH.pcm)):
            stream.push_frame(frame)
            if number % 5 == 0:
                change(number)
        stream.end_input()
        return await heard(stream)

    async def test_the_last_of_many_counts_and_no_word_is_lost(self) -> None:
        async with open_bench(recogniser=Picky) as bench:
            events = await self.call(bench, lambda at: bench.stt.update_options(endpointing_timeout_ms=300 + at))
            assert finals(events) == ["w1 w2", "w3 w4"]
            assert are_paired(events)
            assert bench.errors == []

    async def test_nor_where_some_are_refused(self) -> None:
        def change(bench: Bench, at: int) -> None:
            bench.stt.update_options(language="hi" if at % 2 else "en", endpointing_timeout_ms=300 + at)

        async with open_bench(recogniser=Picky) as bench:
            events = await self.call(bench, lambda at: change(bench, at))
            assert finals(events) == ["w1 w2", "w3 w4"]
            assert are_paired(events)
            assert all(error.recoverable for error in bench.errors)


@pytest.mark.parametrize("pushed", [RATE, 48000])
async def test_a_refused_rate_costs_what_was_told_and_no_more(pushed: int) -> None:
    """Also where the refusal comes after the end of the input, and while frames are on their way to that rate."""
    before, after = 2.0, 20.0  # seconds; more than the core takes at once, so that frames have to wait for it
    async with open_bench(recogniser=Picky) as bench:
        stream = bench.stt.stream(conn_options=ONCE)
        push(stream, bytes(2 * round(before * pushed)), rate=pushed)
        stream.update_options(sample_rate=8000)
        push(stream, bytes(2 * round(after * pushed)), rate=pushed)
        stream.end_input()
        await heard(stream)
        assert stream.options.sample_rate == RATE
        lost = [metric.lost_duration for metric in bench.metrics if isinstance(metric, AudioLostMetrics)]
        used = sum(metric.audio_duration for metric in bench.metrics)
        assert used + sum(lost) == pytest.approx(before + after, abs=0.1)
        assert [error.recoverable for error in bench.errors] == [True] * (1 + len(lost))
        assert [type(error.error) for error in bench.errors].count(AudioLostError) == len(lost)


async def test_what_is_refused_at_once_leaves_nothing_behind() -> None:
    async with open_bench() as bench:
        with pytest.raises(ValueError, match="opening must be"):
            bench.stt.stream(conn_options=APIConnectOptions(timeout=float("inf")))
        for language in ("xx", "", None):
            with pytest.raises(ValueError, match="live transcription has no language"):
                bench.stt.stream(language=language)  # type: ignore[arg-type]


class TestEnds:
    @pytest.mark.parametrize("faults", [[], ["drop@0.5"], ["refuse:503"], ["close:1011@0.5"]], ids=str)
    async def test_aclose_at_any_turn_of_the_loop(self, faults: list[str]) -> None:
        async with open_bench(faults=faults) as bench:
            for count in range(0, 120, 4):
                stream = bench.stt.stream(conn_options=APIConnectOptions(retry_interval=0.0))
                push(stream, SPEECH.pcm)
                if count % 3 == 0:
                    stream.update_options(endpointing_timeout_ms=400)
                if count % 8 == 0:
                    stream.end_input()
                for _ in range(count):
                    await asyncio.sleep(0)
                await asyncio.wait_for(stream.aclose(), 5)

    @pytest.mark.parametrize("vad_events", [False, True])
    async def test_the_turn_that_was_open_is_closed(self, vad_events: bool) -> None:
        events: list[SpeechEvent] = []
        async with open_bench(vad_events=vad_events) as bench:
            stream = bench.stt.stream()
            push(stream, SPEECH.pcm[: 2 * RATE // 2])
            async for event in stream:
                events.append(event)
                if turns(events):
                    break
            # What is told from now on is told while the stream ends.
            last = asyncio.create_task(heard(stream))
            await asyncio.sleep(0)
            await stream.aclose()
            events += await last
        assert turns(events)
        assert are_paired(events)

    async def test_who_does_not_close_what_has_ended_leaves_nothing(self) -> None:
        async with open_bench() as bench:
            stream = bench.stt.stream()
            await heard(stream, SPEECH.pcm)
            gone = weakref.ref(stream)
            del stream
            await asyncio.sleep(0)
            gc.collect()
            assert gone() is None
