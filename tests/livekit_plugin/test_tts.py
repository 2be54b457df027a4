"""The TTS over real sockets: one reply, a socket, both protocols, what is kept, what fails, and what is never shown."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from livekit.agents import APIError, APIStatusError, tts
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT
from livekit.plugins import smallest_proto

from smallest_proto.reading import Word
from smallest_proto.server.synthesiser import SpokenPiece

from .mouth import AGAIN, TEXT, WORDS, open_bench, say, spoken
from .stage import KEY, ONCE


class TestOneReply:
    @pytest.mark.parametrize("rate", [8000, 24000])
    async def test_the_text_is_spoken(self, rate: int) -> None:
        async with open_bench(sample_rate=rate) as bench, bench.tts.synthesize(TEXT) as stream:
            audio = [piece async for piece in stream]
        assert spoken(audio, rate) == WORDS
        assert audio[-1].is_final
        (metric,) = bench.metrics
        assert metric.characters_count == len(TEXT)
        assert bench.errors == []

    async def test_an_update_reaches_what_is_spoken_from_now_on(self) -> None:
        async with open_bench() as bench:
            bench.tts.update_options(sample_rate=16000, word_timestamps=True)
            assert bench.tts.sample_rate == 16000
            assert bench.tts.capabilities.aligned_transcript
            audio = [piece async for piece in bench.tts.synthesize(TEXT)]
        assert spoken(audio, 16000) == WORDS

    async def test_a_refusal_is_tried_again(self) -> None:
        async with open_bench(faults=["refuse:503"]) as bench:
            audio = [piece async for piece in bench.tts.synthesize(TEXT, conn_options=AGAIN)]
            assert spoken(audio) == WORDS
            (error,) = bench.errors
            assert error.recoverable
            assert isinstance(error.error, APIStatusError)
            assert error.error.status_code == 503


@pytest.mark.parametrize("continuations", [False, True])
class TestSocket:
    async def test_tokens_become_one_segment(self, continuations: bool) -> None:
        async with open_bench(use_continuations=continuations) as bench, bench.tts.stream() as stream:
            audio = await say(stream, "w1 w", "2 ", "w3. ", "w4 w5", ".")
        assert spoken(audio) == WORDS
        assert len({piece.segment_id for piece in audio}) == 1
        (metric,) = bench.metrics
        assert metric.characters_count == len(TEXT)
        assert metric.acquire_time > 0
        assert bench.errors == []

    async def test_words_have_their_times(self, continuations: bool) -> None:
        made = open_bench(use_continuations=continuations, word_timestamps=True)
        async with made as bench, bench.tts.stream() as stream:
            audio = await say(stream, TEXT)
        timed = [word for piece in audio for word in piece.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, ())]
        assert [word.strip(" .") for word in timed] == WORDS
        assert [word.start_time for word in timed] == sorted(word.start_time for word in timed)

    async def test_an_empty_segment_asks_for_nothing(self, continuations: bool) -> None:
        async with open_bench(use_continuations=continuations) as bench:
            async with bench.tts.stream() as stream:
                assert await say(stream) == []
            assert bench.errors == []

    async def test_segments_follow_each_other(self, continuations: bool) -> None:
        async with open_bench(use_continuations=continuations) as bench:
            for number in range(3):
                async with bench.tts.stream() as stream:
                    assert spoken(await say(stream, f"w{number} w7.")) == [f"w{number}", "w7"]
            reused = [metric.connection_reused for metric in bench.metrics]
            assert reused[0] is False
            if not continuations:  # there the service marks no end, and no link is used again that it did not end
                assert reused == [False, True, True]

    async def test_barge_in_leaves_nothing_behind(self, continuations: bool) -> None:
        async with open_bench(use_continuations=continuations) as bench:
            async with bench.tts.stream() as stream:
                stream.push_text("w1 w2 w3 w4 w5 w6 w7 w8. " * 20)
                stream.flush()
                await stream.__anext__()
            async with bench.tts.stream() as stream:
                assert spoken(await say(stream, TEXT)) == WORDS

    @pytest.mark.parametrize("fault", ["refuse:503", "drop", "close:1011"])
    async def test_before_anything_was_spoken_nothing_is_lost(self, continuations: bool, fault: str) -> None:
        async with open_bench(faults=[fault], use_continuations=continuations) as bench:
            async with bench.tts.stream(conn_options=AGAIN) as stream:
                assert spoken(await say(stream, TEXT)) == WORDS
            assert [error.recoverable for error in bench.errors] == [True]

    async def test_in_the_end_it_is_raised(self, continuations: bool) -> None:
        async with open_bench(faults=["refuse:401"], use_continuations=continuations) as bench:
            stream = bench.tts.stream(conn_options=AGAIN)
            with pytest.raises(APIStatusError) as raised:
                await say(stream, TEXT)
            await stream.aclose()
        assert (raised.value.status_code, raised.value.retryable) == (401, False)


async def test_a_link_lost_in_mid_sentence_costs_no_word_that_has_times() -> None:
    async with open_bench(faults=["drop@0.6"], word_timestamps=True, use_continuations=False) as bench:
        async with bench.tts.stream(conn_options=AGAIN) as stream:
            assert spoken(await say(stream, TEXT)) == WORDS
        assert [error.recoverable for error in bench.errors] == [True]


@pytest.mark.parametrize("fault", ["drop@0.3", "error@0.3", "refuse:401", "refuse:400", "close:1011@0.3"])
@pytest.mark.parametrize("whole", [False, True])
async def test_no_failure_shows_the_key_or_the_text(log_lines: Callable[[], str], fault: str, whole: bool) -> None:
    said = "Miriam"
    errors: list[BaseException] = []
    async with open_bench(faults=[fault]) as bench:
        text = f"{said} w1 w2 w3 w4."
        stream: Any
        try:
            if whole:
                stream = bench.tts.synthesize(text, conn_options=ONCE)
                [piece async for piece in stream]
            else:
                stream = bench.tts.stream(conn_options=ONCE)
                await say(stream, text)
        except APIError as error:
            errors.append(error)
        await stream.aclose()
        errors += [told.error for told in bench.errors]
    shown = "".join(f"{e} {e!r} {vars(e)} {e.__cause__!r} {e.__context__!r}" for e in errors) + log_lines()
    assert KEY not in shown
    assert said not in shown


class Splitting:
    """A voice that names words without the signs around them, and each sign of a script without blanks."""

    def speak(self, text: str, *, sample_rate: int, speed: float = 1.0) -> Iterator[SpokenPiece]:
        names = re.findall(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+", text)
        words = tuple(Word(text=name, start=at * 0.1, end=at * 0.1 + 0.1) for at, name in enumerate(names))
        seconds = 0.1 * len(words)
        return iter((SpokenPiece(pcm=bytes(2 * round(seconds * sample_rate)), seconds=seconds, words=words),))


@pytest.mark.parametrize("continuations", [False, True])
@pytest.mark.parametrize(
    "text", ["请稍等，我去看看。好吗？", "Oh—sure.  Three/four (at most)!\n- Yes", "我说“OK”，他 也 说 OK。"]
)
async def test_the_aligned_transcript_has_the_gaps_of_the_text(continuations: bool, text: str) -> None:
    made = open_bench(synthesiser=Splitting, word_timestamps=True, use_continuations=continuations)
    async with made as bench, bench.tts.stream() as stream:
        audio = await say(stream, *text)
    timed = [word for piece in audio for word in piece.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, ())]
    assert "".join(timed) == text


class Silent:
    """A voice that says nothing."""

    def speak(self, text: str, *, sample_rate: int, speed: float = 1.0) -> Iterator[SpokenPiece]:
        return iter((SpokenPiece(pcm=b"", seconds=0.0, words=()),))


@pytest.mark.parametrize("whole", [False, True])
async def test_silence_is_an_error_that_does_not_repeat_the_text(whole: bool) -> None:
    async with open_bench(synthesiser=Silent, use_continuations=False) as bench:
        stream: Any
        if whole:
            stream = bench.tts.synthesize("Miriam", conn_options=ONCE)
        else:
            stream = bench.tts.stream(conn_options=ONCE)
            stream.push_text("Miriam")
            stream.end_input()
        with pytest.raises(APIError) as raised:
            await stream.__anext__()
        await stream.aclose()
    assert "Miriam" not in f"{raised.value!r}"


class TestAdapters:
    async def test_ours_first_and_refused(self) -> None:
        async with open_bench(faults=["refuse:401"]) as bench, open_bench() as other:
            adapter = tts.FallbackAdapter([bench.tts, other.tts], max_retry_per_tts=0)
            async with adapter.stream() as stream:
                assert spoken(await say(stream, TEXT)) == WORDS
            await adapter.aclose()

    async def test_sentence_by_sentence(self) -> None:
        async with open_bench() as bench:
            adapter = tts.StreamAdapter(tts=bench.tts)
            async with adapter.stream() as stream:
                assert spoken(await say(stream, TEXT)) == WORDS
            await adapter.aclose()


def test_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMALLEST_API_KEY", raising=False)
    with pytest.raises(ValueError, match="SMALLEST_API_KEY"):
        smallest_proto.TTS()
    monkeypatch.setenv("SMALLEST_API_KEY", KEY)
    made = smallest_proto.TTS()
    assert (made.model, made.provider, made.sample_rate, made.num_channels) == (
        "lightning-v3.1",
        "SmallestAI",
        24000,
        1,
    )
    assert KEY not in repr(vars(made))


async def test_prewarmed_the_first_segment_waits_for_no_connection() -> None:
    async with open_bench(use_continuations=False) as bench:
        bench.tts.prewarm()
        await asyncio.gather(*bench.tts._warming)
        async with bench.tts.stream() as stream:
            assert spoken(await say(stream, TEXT)) == WORDS
        assert [metric.connection_reused for metric in bench.metrics] == [True]
