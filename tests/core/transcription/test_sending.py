"""The outgoing half: pace, places in the stream, the start of a link, and what is counted."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smallest_proto.commands import SendBinary, SendText
from smallest_proto.errors import LocalProtocolError
from smallest_proto.transcription.events import Usage

from .way import MESSAGE, RATE, Way, joined, pcm

# --- pace ---


def test_messages_go_out_whole_and_no_closer_than_the_interval() -> None:
    way = Way(interval=0.02)
    link = way.link(1.0)
    way.give(MESSAGE * 3 + 100)
    assert way.sender.pump(link, 1.0) == 1.02
    assert way.sent() == [pcm(0, MESSAGE)]
    assert way.sender.pump(link, 1.0199) == 1.02
    assert way.sent() == []
    assert way.sender.pump(link, 1.02) == 1.04
    assert way.sender.pump(link, 1.05) is None  # nothing is left
    assert way.sent() == [pcm(MESSAGE, 2 * MESSAGE), pcm(2 * MESSAGE, 3 * MESSAGE)]
    way.sender.flush()
    assert way.sender.pump(link, 1.06) == 1.07
    assert way.sender.pump(link, 1.07) is None
    assert way.sent() == [pcm(3 * MESSAGE, 3 * MESSAGE + 100)]


def test_without_an_interval_all_goes_out_at_once() -> None:
    way = Way(interval=0.0)
    link = way.link()
    way.give(MESSAGE * 40)
    assert way.sender.pump(link, 0.0) is None
    assert len(way.sent()) == 40


def test_new_messages_are_told_in_samples() -> None:
    way = Way()
    assert [way.sender.push(pcm(0, samples)) for samples in (2 * MESSAGE, 3 * MESSAGE + 10, 10)] == [1600, 2400, None]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("give"), st.integers(1, 5 * MESSAGE)),
        st.tuples(st.just("wait"), st.integers(0, 200)),  # milliseconds
        st.tuples(st.just("finalize"), st.just(0)),
        st.tuples(st.just("flush"), st.just(0)),
    ),
    max_size=15,
)


@settings(max_examples=60)
@given(STEPS, st.sampled_from([0.0, 0.02, 0.1]))
@example(  # the third waits behind the second, which comes too late for its place
    [("finalize", 0), ("give", 1), ("finalize", 0), ("give", 801), ("give", 4000), ("finalize", 0)], 0.02
)
def test_the_stream_goes_out_in_order_at_its_pace_with_each_finalize_in_its_place(
    steps: list[tuple[str, int]], interval: float
) -> None:
    way = Way(interval=interval)
    link = way.link()
    now, at = 0.0, 0
    asked: list[tuple[int, float]] = []
    calls: list[int] = []
    wake = way.sender.pump(link, now)
    times: list[float] = []

    def look() -> None:
        nonlocal at
        for output in way.said():
            if isinstance(output, SendBinary):
                assert output.data == pcm(at, at + len(output.data) // 2)
                at += len(output.data) // 2
                times.append(now)
            elif isinstance(output, SendText):
                asked.append((at, now))

    def pass_time(end: float) -> None:
        nonlocal now, wake
        while wake is not None and wake <= end:
            now = wake
            wake = way.sender.pump(link, now)
            look()
        now = end

    for kind, value in [*steps, ("flush", 0), ("wait", 100_000)]:
        if kind == "give":
            way.give(value)
        elif kind == "finalize":
            way.sender.finalize()
            calls.append(way.given)
        elif kind == "flush":
            way.sender.flush()
        else:
            pass_time(now + value / 1000)
        wake = way.sender.pump(link, now)
        look()
    assert at == way.given
    assert all(later - earlier >= interval * 0.999999 for earlier, later in itertools.pairwise(times))
    asks = list(way.sender.asks)
    assert len(asked) == link.asked
    for unsent in asks[link.asked :][:1]:  # in a storm of them; a pause or a final that covers it comes, and the rest
        assert unsent.position - asks[link.asked - 1].position < 0.3 * RATE
    assert sum(ask.calls for ask in asks) == len(calls)
    for ask, (position, _) in zip(asks, asked, strict=False):
        assert ask.position <= position, "nothing that was asked for goes out after the question"
        assert ask.position in calls
    for at_number, (ask, (position, _)) in enumerate(zip(asks, asked, strict=False)):
        if not at_number or ask.position - asks[at_number - 1].position >= 0.3 * RATE:
            assert position == ask.position
    for (one, _, early), (two, _, late) in itertools.pairwise(
        (ask.position, *sent) for ask, sent in zip(asks, asked, strict=False)
    ):
        assert two - one >= 0.3 * RATE or late - early >= 0.3 * 0.999999, "a storm of questions is one question"


# --- the start of a link ---


@given(watermark=st.integers(0, 40 * MESSAGE), sent=st.integers(0, 40))
def test_a_new_link_starts_a_margin_before_the_watermark(watermark: int, sent: int) -> None:
    way = Way(interval=0.02)
    first = way.link()
    way.give(60 * MESSAGE)
    for number in range(sent):
        way.sender.pump(first, number * 1.0)
    watermark = min(watermark, sent * MESSAGE)
    way.final_to(watermark)
    assert joined(way.sent()) == pcm(0, sent * MESSAGE)
    second = way.link(9.0)
    assert second.start == second.sent
    if watermark >= 0.3 * RATE:
        assert 0.3 * RATE <= watermark - second.start < 0.5 * RATE + MESSAGE
    else:
        assert second.start == 0
    assert joined(way.send_all(second, 10.0)) == pcm(second.start, 60 * MESSAGE)
    assert second.sent == 60 * MESSAGE
    assert way.sender.replayed == sent * MESSAGE - min(second.start, sent * MESSAGE)


def test_a_link_before_any_audio_starts_at_the_beginning() -> None:
    way = Way()
    link = way.link()
    assert (link.start, link.sent, way.sender.pump(link, 0.0)) == (0, 0, None)


def test_the_middle_of_a_long_silence_is_not_sent_again_and_left_out_of_the_clock() -> None:
    way = Way()
    first = way.link()
    way.give(RATE)
    way.give_silence(10 * RATE)
    way.give(RATE)
    way.sender.pump(first, 0.0)
    way.said()
    second = way.link()
    again = joined(way.send_all(second))
    assert second.lasting == len(again) // 2 == 2 * RATE + 2 * round(0.75 * RATE)
    assert again.endswith(pcm(11 * RATE, 12 * RATE))
    assert way.timeline.time(second, 3.0) == pytest.approx(11.5)
    assert way.sender.lost == 0, "nobody can have said anything in it"


def test_all_of_the_first_audio_goes_out_as_it_was_given() -> None:
    way = Way()
    way.give_silence(20 * RATE)  # before the first link opened
    way.give(RATE)
    link = way.link()
    assert len(joined(way.send_all(link))) == 2 * 21 * RATE
    assert link.whole


# --- counting ---


def usage(way: Way) -> list[float]:
    return [output.seconds for output in way.said() if isinstance(output, Usage)]


def test_usage_is_told_every_five_seconds_of_audio_and_at_the_end() -> None:
    way = Way(rate=8000, origin=3.0)
    link = way.link()
    way.give(5 * 8000 - 400)
    way.sender.pump(link, 0.0)
    assert usage(way) == []
    way.give(400)
    way.sender.pump(link, 0.0)
    assert usage(way) == [5.0]
    way.give(5 * 8000)
    way.sender.pump(link, 0.0)
    assert usage(way) == [5.0]
    way.give(8000)
    way.sender.pump(link, 0.0)
    way.sender.report_usage()
    assert usage(way) == [1.0]
    way.sender.report_usage()
    assert usage(way) == []


def test_usage_is_told_where_messages_do_not_fill_five_seconds() -> None:
    way = Way(rate=22050)
    way.give(101 * 1102)
    way.sender.pump(way.link(), 0.0)
    assert usage(way) == [101 * 1102 / 22050]


def test_what_is_sent_again_is_replayed_and_not_used_again() -> None:
    way = Way()
    way.give(RATE)
    way.sender.pump(way.link(), 0.0)
    assert (way.sender.given, way.sender.sent, way.sender.replayed) == (RATE, RATE, 0)
    way.final_to(RATE)
    way.give(RATE // 2)
    second = way.link()
    again = RATE - second.start
    assert 0.3 * RATE <= again <= 0.5 * RATE
    way.sender.pump(second, 1.0)
    assert (way.sender.sent, way.sender.replayed) == (RATE * 3 // 2, again)
    way.sender.pump(way.link(), 2.0)
    assert (way.sender.sent, way.sender.replayed) == (RATE * 3 // 2, 2 * again + RATE // 2)
    way.sender.report_usage()
    assert sum(usage(way)) == 1.5


def test_a_tail_that_is_not_sent_counts_as_given() -> None:
    way = Way()
    way.give(100)
    assert (way.sender.given, way.sender.sent) == (100, 0)


@pytest.mark.parametrize("audio", ["text", 5, None, [1, 2]])
def test_what_is_no_audio_is_refused_and_changes_nothing(audio: Any) -> None:
    way = Way()
    way.give(100)
    with pytest.raises(LocalProtocolError, match="bytes-like"):
        way.sender.push(audio)
    assert (way.sender.given, way.said()) == (100, [])
