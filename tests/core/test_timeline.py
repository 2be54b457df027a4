"""Link seconds become stream seconds, whatever the service says of times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.audio import SAMPLE_RATES, AudioFormat
from smallest_proto.messages import Utterance, Word
from smallest_proto.timeline import Timeline

RATES = st.sampled_from(SAMPLE_RATES)
ORIGINS = st.integers(0, 10**6).map(lambda milliseconds: milliseconds / 1000)
TIMES = st.none() | st.floats(-10, 200) | st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.lists(st.builds(Word, text=st.just("w"), start=TIMES, end=TIMES, confidence=st.just(0.5)), max_size=6)


def timeline(rate: int = 16000, origin: float = 0.0) -> Timeline:
    return Timeline(AudioFormat(sample_rate=rate), origin)


# --- positions and seconds ---


@given(RATES, ORIGINS, st.integers(0, 10**9))
def test_a_position_comes_back_from_its_seconds(rate: int, origin: float, position: int) -> None:
    clock = timeline(rate, origin)
    assert clock.position(clock.seconds(position)) == position
    assert clock.samples(clock.duration(position)) == position


def test_seconds_are_samples_of_the_format_from_the_origin_on() -> None:
    clock = timeline(8000, 2.5)
    assert (clock.seconds(0), clock.seconds(4000), clock.duration(4000)) == (2.5, 3.0, 0.5)
    assert (clock.position(2.5), clock.position(3.0), clock.samples(0.5)) == (0, 4000, 4000)
    opus = Timeline(AudioFormat(encoding="opus", sample_rate=16000))
    assert opus.seconds(48000) == 1.0  # opus counts in 48 kHz whatever it was made from


# --- times of words ---


def times(words: tuple[Word, ...]) -> list[tuple[float | None, float | None]]:
    return [(word.start, word.end) for word in words]


def check_words(clock: Timeline, words: list[Word], moved: tuple[Word, ...], first: int, last: int) -> None:
    """What must hold of words in stream time, whatever they were in link time."""
    assert [(word.text, word.confidence) for word in moved] == [(word.text, word.confidence) for word in words]
    for word, found in zip(words, moved, strict=True):
        assert (found.start is None) == (word.start is None)
        assert (found.end is None) == (word.end is None)
        for time in (found.start, found.end):
            assert time is None or first <= clock.position(time) <= last
        if found.start is not None and found.end is not None:
            assert found.start <= found.end
    starts = [word.start for word in moved if word.start is not None]
    assert starts == sorted(starts)


@given(RATES, ORIGINS, WORDS, st.integers(0, 10**7), st.integers(0, 10**7))
def test_words_lie_in_order_inside_of_the_audio_of_their_link(
    rate: int, origin: float, words: list[Word], link_start: int, sent: int
) -> None:
    clock, end = timeline(rate, origin), link_start + sent
    moved = clock.words(tuple(words), link_start, end)
    check_words(clock, words, moved, link_start, end)


@given(RATES, ORIGINS, st.lists(st.integers(0, 10**6), min_size=2, max_size=12), st.integers(0, 10**7))
def test_good_times_come_out_to_the_sample(rate: int, origin: float, bounds: list[int], link_start: int) -> None:
    clock = timeline(rate, origin)
    bounds = sorted(bounds)[: len(bounds) // 2 * 2]
    spans = list(zip(bounds[::2], bounds[1::2], strict=True))
    words = tuple(Word(text="w", start=start / rate, end=end / rate) for start, end in spans)
    for found, (start, end) in zip(clock.words(words, link_start, link_start + bounds[-1]), spans, strict=True):
        assert found.start is not None
        assert found.end is not None
        assert (clock.position(found.start), clock.position(found.end)) == (link_start + start, link_start + end)


def test_good_words_of_the_first_link_are_passed_on_as_they_are() -> None:
    words = (Word(text="a", start=0.5, end=1.0), Word(text="b", start=1.0, end=1.5, speaker=1))
    assert timeline().words(words, 0, 16000 * 2) is words


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([(0.5, 1.0)], [(10.5, 11.0)]),
        ([(-3.0, 1.0)], [(10.0, 11.0)]),
        ([(-3.0, -2.0)], [(10.0, 10.0)]),
        ([(1.0, 0.5)], [(11.0, 11.0)]),
        ([(1.0, 99.0)], [(11.0, 15.0)]),
        ([(98.0, 99.0)], [(15.0, 15.0)]),
        ([(2.0, 3.0), (1.0, 1.5)], [(12.0, 13.0), (12.0, 12.0)]),
        ([(None, 1.0), (1.0, None), (None, None)], [(None, 11.0), (11.0, None), (None, None)]),
        ([(2.0, 3.0), (None, 1.0)], [(12.0, 13.0), (None, 12.0)]),
    ],
)
def test_odd_times_are_moved_to_where_they_can_be(
    said: list[tuple[float | None, float | None]], told: list[tuple[float, float]]
) -> None:
    words = tuple(Word(text="w", start=start, end=end) for start, end in said)
    assert times(timeline().words(words, 160_000, 240_000)) == told
    first = times(timeline().words(words, 0, 80_000))  # the first link has a way of its own
    assert first == [tuple(None if time is None else time - 10.0 for time in pair) for pair in told]


def test_no_word_of_the_first_link_ends_beyond_its_audio() -> None:
    words = (Word(text="a", start=0.0, end=100.0), Word(text="b", start=1.0, end=2.0))
    assert times(timeline().words(words, 0, 16000 * 5)) == [(0.0, 5.0), (1.0, 2.0)]


# --- times of anything else ---


@given(RATES, ORIGINS, st.floats(allow_nan=False), st.integers(0, 10**7), st.integers(0, 10**7))
def test_any_time_lies_inside_of_the_audio_of_its_link(
    rate: int, origin: float, seconds: float, link_start: int, sent: int
) -> None:
    clock, end = timeline(rate, origin), link_start + sent
    assert clock.seconds(link_start) <= clock.time(link_start, seconds, end) <= clock.seconds(end)


def test_utterances_are_in_stream_time_and_keep_what_else_they_say() -> None:
    utterances = (
        Utterance(text="a", start=0.5, end=1.0, speaker="1"),
        Utterance(text="b", start=-1.0, end=99.0, speaker=2),
        Utterance(text="c"),
    )
    assert timeline(8000, 1.0).utterances(utterances, 8000, 24000) == (
        Utterance(text="a", start=2.5, end=3.0, speaker="1"),
        Utterance(text="b", start=2.0, end=4.0, speaker=2),
        Utterance(text="c"),
    )
