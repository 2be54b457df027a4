"""Link seconds become stream seconds, whatever the service says of times."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smallest_proto.audio import SAMPLE_RATES, AudioFormat
from smallest_proto.reading import Utterance, Word
from smallest_proto.transcription.cursor import Cursor
from smallest_proto.transcription.timeline import Timeline

from .way import open_link

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


# --- what can have been heard ---


def test_a_recogniser_in_real_time_hears_a_second_in_a_second() -> None:
    clock = timeline(8000)
    sent = Cursor(open_link(1), 0, deque(), 100.0)
    sent.reach(0, 40_000, 100.5)  # 5 s at once
    assert clock.heard_by(sent) == 105.0
    assert [clock.ahead(sent, now) for now in (100.0, 101.5, 103.5, 103.75)] == [5.0, 3.5, 1.5, 1.25]
    assert [clock.ahead(sent, now) for now in (104.0, 105.0, 200.0)] == [0.0, 0.0, 0.0]  # a second of it is nothing
    sent.heard(102.0)
    assert (clock.heard_by(sent), clock.ahead(sent, 102.0)) == (102.0, 0.0)
    sent.reach(40_000, 64_000, 102.5)
    assert (clock.heard_by(sent), clock.ahead(sent, 103.0)) == (105.0, 2.0)


# --- times of words ---


def link(start: int, *parts: tuple[int, int]) -> Cursor:
    """A link that serves from ``start`` on and was sent ``parts``, each from a sample to a sample of the stream."""
    made = Cursor(open_link(1), start, deque(), 0.0)
    for first, last in parts:
        made.reach(first, last, 0.0)
    return made


LINKS = st.builds(
    lambda start, sent, hole, more: link(
        start, (start, start + sent), (start + sent + hole, start + sent + hole + more)
    ),
    *(st.integers(0, 10**7) for _ in range(4)),
)


def times(words: tuple[Word, ...]) -> list[tuple[float | None, float | None]]:
    return [(word.start, word.end) for word in words]


@given(RATES, ORIGINS, WORDS, LINKS)
def test_words_lie_in_order_inside_of_the_audio_of_their_link(
    rate: int, origin: float, words: list[Word], link: Cursor
) -> None:
    clock = timeline(rate, origin)
    moved = clock.words(tuple(words), link)
    assert [(word.text, word.confidence) for word in moved] == [(word.text, word.confidence) for word in words]
    for word, found in zip(words, moved, strict=True):
        assert (found.start is None, found.end is None) == (word.start is None, word.end is None)
        for time in (found.start, found.end):
            assert time is None or link.start <= clock.position(time) <= link.sent
    starts = [word.start for word in moved if word.start is not None]
    assert starts == sorted(starts)


@given(RATES, ORIGINS, WORDS, LINKS)
@example(16000, 0.0, [Word(text="w", start=1.0, end=1.0)], link(0, (0, 16_000), (20_000, 24_000)))
@example(16000, 0.0, [Word(text="w", start=0.99999, end=1.00001)], link(0, (0, 16_000), (20_000, 24_000)))
def test_no_word_ends_before_it_starts(rate: int, origin: float, words: list[Word], link: Cursor) -> None:
    for word in timeline(rate, origin).words(tuple(words), link):
        assert word.start is None or word.end is None or word.start <= word.end


@given(RATES, ORIGINS, st.lists(st.integers(0, 10**6), min_size=2, max_size=12), st.integers(0, 10**7))
def test_good_times_come_out_to_the_sample(rate: int, origin: float, bounds: list[int], start: int) -> None:
    clock = timeline(rate, origin)
    bounds = sorted(bounds)[: len(bounds) // 2 * 2]
    spans = list(zip(bounds[::2], bounds[1::2], strict=True))
    words = tuple(Word(text="w", start=first / rate, end=last / rate) for first, last in spans)
    for found, (first, last) in zip(clock.words(words, link(start, (start, start + bounds[-1]))), spans, strict=True):
        assert found.start is not None
        assert found.end is not None
        assert (clock.position(found.start), clock.position(found.end)) == (start + first, start + last)
    assert clock.mended == 0


def test_good_words_of_the_first_link_are_passed_on_as_they_are() -> None:
    for times in ([(0.5, 1.0), (1.0, 1.5)], [(0.0, 1.0), (1.0, 1.0), (1.0, 2.0)]):
        words = tuple(Word(text="a", start=start, end=end, speaker=1) for start, end in times)
        assert timeline().words(words, link(0, (0, 32_000))) is words


def test_what_the_link_was_not_sent_moves_what_comes_after_it() -> None:
    sent = link(16_000, (16_000, 32_000), (40_000, 56_000))  # 2.0 to 2.5 s were given up
    words = tuple(Word(text="w", start=start, end=end) for start, end in [(0.5, 1.0), (1.0, 1.5), (0.75, 1.25)])
    assert times(timeline().words(words[:2], sent)) == [(1.5, 2.0), (2.5, 3.0)]
    assert times(timeline().words(words[2:], sent)) == [(1.75, 2.75)]
    assert timeline().time(sent, 1.5) == 3.0
    sample = 1 / 16_000  # the first one after what was left out, and the last one before it
    edge = (Word(text="w", start=0.5, end=1.0 + sample), Word(text="w", start=1.0 - sample, end=1.5))
    assert times(timeline().words(edge[:1], sent)) == [(1.5, pytest.approx(2.5 + sample, abs=sample / 10))]
    assert times(timeline().words(edge[1:], sent)) == [(pytest.approx(2.0 - sample, abs=sample / 10), 3.0)]


ODD = [
    ([(0.5, 1.0)], [(10.5, 11.0)], 0),
    ([(-3.0, 1.0)], [(10.0, 11.0)], 1),
    ([(-3.0, -2.0)], [(10.0, 10.0)], 1),
    ([(1.0, 0.5)], [(11.0, 11.0)], 1),
    ([(1.0, 99.0)], [(11.0, 15.0)], 1),
    ([(1.0, 5.1)], [(11.0, 15.0)], 0),  # a recogniser that counts in frames
    ([(98.0, 99.0)], [(15.0, 15.0)], 1),
    ([(2.0, 3.0), (1.0, 1.5)], [(12.0, 13.0), (12.0, 12.0)], 1),
    ([(None, 1.0), (1.0, None), (None, None)], [(None, 11.0), (11.0, None), (None, None)], 1),
    ([(2.0, 3.0), (None, 1.0)], [(12.0, 13.0), (None, 12.0)], 1),
]


@pytest.mark.parametrize(("said", "told", "mended"), ODD)
def test_odd_times_are_moved_to_where_they_can_be_and_counted(
    said: list[tuple[float | None, float | None]], told: list[tuple[float | None, float | None]], mended: int
) -> None:
    words = tuple(Word(text="w", start=start, end=end) for start, end in said)
    clock = timeline()
    assert times(clock.words(words, link(160_000, (160_000, 240_000)))) == told
    assert clock.mended == mended
    first = times(timeline().words(words, link(0, (0, 80_000))))  # the first link has a way of its own
    assert first == [tuple(None if time is None else time - 10.0 for time in pair) for pair in told]


@pytest.mark.parametrize(
    ("said", "mended"),
    [
        ([(2.0, 3.0), (1.85, 3.5)], 0),  # each time is off by some 70 ms: this is no disorder
        ([(2.0, 3.0), (1.84375, 3.5)], 1),
        ([(1.0, 2.0), (3.0, 4.0), (2.875, 4.5)], 0),  # before the word before it, not before the first
        ([(1.0, 2.0), (3.0, 4.0), (2.5, 4.5)], 1),
        ([(3.0, 4.0), (2.875, 3.5), (2.75, 3.5)], 1),  # each a little before the latest of those before it
        ([(2.0, 1.85)], 0),
        ([(0.0, 5.25)], 0),
        ([(2.0, 1.84375)], 1),
        ([(-0.0625, 1.0)], 1),
        ([(4.0, 5.25)], 0),  # a quarter of a second after the audio
        ([(4.0, 5.28125)], 1),
        ([(5.125, 5.25)], 0),
        ([(4.0, 5.28125), (4.5, 5.0)], 1),
    ],
)
def test_times_that_are_off_by_a_little_are_no_impossible_ones(said: list[tuple[float, float]], mended: int) -> None:
    words = tuple(Word(text="w", start=start, end=end) for start, end in said)
    for start in (0, 160_000):
        clock = timeline()
        clock.words(words, link(start, (start, start + 80_000)))
        assert clock.mended == mended


@pytest.mark.parametrize(("seconds", "mended"), [(0.0, 0), (-0.0625, 1), (5.0, 0), (5.25, 0), (5.28125, 1)])
def test_a_time_a_little_after_the_audio_is_no_impossible_one(seconds: float, mended: int) -> None:
    clock = timeline()
    clock.time(link(160_000, (160_000, 240_000)), seconds)
    assert clock.mended == mended


def test_no_word_of_the_first_link_ends_beyond_its_audio() -> None:
    words = (Word(text="a", start=0.0, end=100.0), Word(text="b", start=1.0, end=2.0))
    assert times(timeline().words(words, link(0, (0, 80_000)))) == [(0.0, 5.0), (1.0, 2.0)]


# --- times of anything else ---


@given(RATES, ORIGINS, st.floats(allow_nan=False), LINKS)
def test_any_time_lies_inside_of_the_audio_of_its_link(rate: int, origin: float, seconds: float, link: Cursor) -> None:
    clock = timeline(rate, origin)
    assert link.start <= clock.position(clock.time(link, seconds)) <= link.sent
    assert clock.mended == (not 0.0 <= seconds <= link.lasting / rate + 0.25)


def test_utterances_are_in_stream_time_and_keep_what_else_they_say() -> None:
    utterances = (
        Utterance(text="a", start=0.5, end=1.0, speaker="1"),
        Utterance(text="b", start=-1.0, end=99.0, speaker=2),
        Utterance(text="c"),
    )
    assert timeline(8000, 1.0).utterances(utterances, link(8000, (8000, 24000))) == (
        Utterance(text="a", start=2.5, end=3.0, speaker="1"),
        Utterance(text="b", start=2.0, end=4.0, speaker=2),
        Utterance(text="c"),
    )
