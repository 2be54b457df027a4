"""The place of one link in the stream: its clock, what was left out of it, and when what was sent."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.audio import AudioFormat
from smallest_proto.transcription.cursor import Cursor
from smallest_proto.transcription.timeline import Timeline

from .way import open_link


def cursor(start: int = 0, *parts: tuple[int, int], now: float = 0.0) -> Cursor:
    """One that was sent ``parts``, a second apart."""
    made = Cursor(open_link(1), start, deque(), now)
    for at, (first, last) in enumerate(parts):
        made.reach(first, last, now + at)
    return made


def test_its_clock_counts_what_it_was_sent() -> None:
    made = cursor(1000)
    assert (made.start, made.sent, made.lasting, made.whole) == (1000, 1000, 0, False)
    made.reach(1000, 1800, 0.0)
    made.reach(1800, 2000, 0.0)
    assert (made.sent, made.lasting, made.left_out(999.0)) == (2000, 1000, 0)


def test_one_that_began_with_the_part_and_was_sent_all_of_it_is_whole() -> None:
    made = cursor(0, (0, 100), (100, 200))
    assert made.whole
    made.reach(210, 300, 0.0)
    assert not made.whole


def test_what_was_given_up_is_left_out_of_its_clock() -> None:
    made = cursor(0, (0, 100), (150, 200), (270, 300))  # 100 to 150 were given up before they could be sent
    assert (made.sent, made.lasting) == (300, 180)
    assert [made.left_out(at) for at in (0.0, 99.5, 100.0, 149.5, 150.0, 180.0)] == [0, 0, 50, 50, 120, 120]


@given(st.integers(0, 1000), st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), max_size=8))
def test_every_sample_of_its_clock_has_one_place_in_the_stream(start: int, sent: list[tuple[int, int]]) -> None:
    made = cursor(start)
    places, at = list[int](), start
    for left_out, samples in sent:
        made.reach(at + left_out, at + left_out + samples, 0.0)
        places += range(at + left_out, at + left_out + samples)
        at += left_out + samples
    assert made.lasting == len(places)
    assert [start + sample + made.left_out(float(sample)) for sample in range(len(places))] == places


def test_packets_without_a_time_of_their_own_change_nothing() -> None:
    made = cursor(0, (0, 960), (960, 960), (960, 1920))
    assert (made.sent, made.lasting, made.whole) == (1920, 1920, True)


def test_when_a_sample_was_sent() -> None:
    made = cursor(0, (0, 100), (100, 200), (200, 300), now=10.0)
    assert [made.first_sent_after(at) for at in (-1, 0, 99, 100, 250, 299)] == [10.0, 10.0, 10.0, 11.0, 12.0, 12.0]
    assert made.first_sent_after(300) is None
    assert (made.sent_at(100), made.sent_at(101), made.sent_at(300)) == (10.0, 11.0, 12.0)
    assert made.sent_at(50) == 12.0  # what is before the last question is forgotten: it is final
    assert made.sent_at(301) is None


def test_what_the_service_cannot_have_heard_yet() -> None:
    """A recogniser that works in real time needs as long as the audio lasts; what comes at once waits for it."""
    timeline = Timeline(AudioFormat(sample_rate=8000))
    made = cursor(0, (0, 80_000))  # 10 s at once
    assert made.unheard == 80_000
    assert timeline.ahead(made, 2.0) == 8.0
    assert timeline.ahead(made, 8.9) == pytest.approx(1.1)
    assert timeline.ahead(made, 9.5) == 0.0  # some wait is no lead
    made.heard(9.5)
    assert (made.unheard, made.heard_at) == (0, 9.5)
    made.reach(80_000, 120_000, 9.5)
    assert timeline.ahead(made, 9.5) == 5.0
