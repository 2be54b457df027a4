"""The outgoing half: pace, places in the stream, the start of a link, and what is counted."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.commands import SendBinary, SendText
from smallest_proto.errors import LocalProtocolError
from smallest_proto.transcription.cursor import Cursor
from smallest_proto.transcription.events import Usage
from smallest_proto.transcription.messages import FINALIZE

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
    for unsent in asks[link.asked :]:  # in a storm of them; a pause or a final that covers it comes
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


# --- finalize ---


def test_a_finalize_goes_out_between_the_samples_where_it_was_asked() -> None:
    way = Way()
    way.give(MESSAGE + 7)
    way.sender.finalize()
    way.give(RATE // 2)
    way.sender.finalize()
    way.sender.finalize()  # one answer does for both
    link = way.link()
    way.sender.pump(link, 0.0)
    sent = way.sent()
    assert sent.count(FINALIZE) == 2
    place = sent.index(FINALIZE)
    assert sent[-1] == FINALIZE
    assert joined(sent[:place]) == pcm(0, MESSAGE + 7)
    assert joined(sent[place + 1 : -1]) == pcm(MESSAGE + 7, MESSAGE + 7 + RATE // 2)
    assert [(ask.position, ask.calls) for ask in way.sender.asks] == [(MESSAGE + 7, 1), (MESSAGE + 7 + RATE // 2, 2)]
    assert link.asked == 2


def test_a_message_is_cut_in_two_for_a_finalize_that_moved_into_it() -> None:
    way = Way()
    way.give(100)
    way.sender.finalize()
    way.give(100)
    way.sender.finalize()  # one answer does for both: it goes out after the second
    way.give(MESSAGE)
    way.sender.pump(way.link(), 0.0)
    assert way.sent() == [pcm(0, 100), pcm(100, 200), FINALIZE, pcm(200, 100 + MESSAGE)]


def test_what_came_after_a_finalize_and_is_no_message_yet_does_not_go_out_before_it() -> None:
    way = Way()
    way.give(MESSAGE)
    way.sender.finalize()
    way.give(10)
    way.sender.pump(way.link(), 0.0)
    assert way.sent() == [pcm(0, MESSAGE), FINALIZE]


def test_what_came_before_a_finalize_and_is_no_message_yet_goes_out_before_it() -> None:
    way = Way()
    way.give(100)
    way.sender.finalize()
    way.give(100)
    way.sender.finalize()
    way.sender.pump(way.link(), 0.0)
    assert way.sent() == [pcm(0, 100), pcm(100, 200), FINALIZE]


def test_questions_with_three_tenths_of_a_second_of_audio_between_them_are_no_storm() -> None:
    for between, asked in ((6 * MESSAGE, 2), (6 * MESSAGE - 1, 1)):
        way = Way()
        link = way.link()
        for samples in (MESSAGE, between):
            way.give(samples)
            way.sender.finalize()
            way.sender.pump(link, 0.0)
        assert way.sent().count(FINALIZE) == asked


def test_one_answer_does_for_what_was_asked_within_three_tenths_of_a_second_of_the_first() -> None:
    way = Way()
    for _ in range(3):
        way.give(4 * MESSAGE)
        way.sender.finalize()
    assert [(ask.position, ask.calls) for ask in way.sender.asks] == [(8 * MESSAGE, 2), (12 * MESSAGE, 1)]


def stormy_way() -> tuple[Way, Cursor]:
    """A question was asked, and the next one came too soon after it."""
    way = Way()
    link = way.link()
    for now in (0.0, 0.1):
        way.give(MESSAGE)
        way.sender.finalize()
        way.sender.pump(link, now)
    assert (link.asked, link.sent, way.sender.asks[-1].position) == (1, 2 * MESSAGE, 2 * MESSAGE)
    return way, link


def test_a_question_that_its_place_has_passed_by_is_one_with_the_next() -> None:
    way, link = stormy_way()
    way.give(10 * MESSAGE)
    way.sender.pump(link, 0.15)
    way.give(10)
    way.sender.pump(link, 0.5)  # here it would cut a word, and what is no message yet stays
    assert joined(way.sent()[2:]) == pcm(MESSAGE, 12 * MESSAGE)
    way.sender.finalize()
    assert [(ask.position, ask.first, ask.calls) for ask in way.sender.asks][1:] == [(way.given, way.given, 2)]


def test_a_question_that_can_still_be_asked_in_its_place_is_not_moved() -> None:
    way, _ = stormy_way()
    way.give(10 * MESSAGE)
    way.sender.finalize()
    assert [ask.position for ask in way.sender.asks] == [MESSAGE, 2 * MESSAGE, 12 * MESSAGE]


def test_what_the_link_beside_has_passed_by_can_still_be_asked_of_the_one_that_serves() -> None:
    way = Way()
    first, second = way.link(), way.beside()
    way.give(MESSAGE)
    way.sender.finalize()
    way.sender.pump(first, 0.0)
    for messages in (1, 10):
        way.give(messages * MESSAGE)
        if messages == 1:
            way.sender.finalize()
        way.sender.pump(second, 0.1)
    assert (first.sent, second.sent) == (MESSAGE, 12 * MESSAGE)
    way.sender.finalize()
    assert [ask.position for ask in way.sender.asks] == [MESSAGE, 2 * MESSAGE, 12 * MESSAGE]


def test_an_answer_is_not_asked_for_on_the_link_beside() -> None:
    way = Way()
    first, second = way.link(), way.beside()
    way.give(MESSAGE)
    way.sender.finalize()
    way.sender.pump(first, 0.0)
    way.sender.answered()
    assert (first.asked, second.asked) == (0, 0)
    way.said()
    assert way.send_all(second) == [pcm(0, MESSAGE)]


def test_a_finalize_that_is_late_waits_for_a_pause() -> None:
    way = Way()
    link = way.link()

    def said_at(now: float, give: Callable[[int], None], messages: int) -> list[bytes | str]:
        give(messages * MESSAGE)
        way.sender.pump(link, now)
        return way.sent()

    way.give(MESSAGE)
    way.sender.finalize()
    assert said_at(0.0, way.give, 0) == [pcm(0, MESSAGE), FINALIZE]
    way.give(MESSAGE)
    way.sender.finalize()  # too soon after the first
    assert FINALIZE not in said_at(0.1, way.give, 10)
    assert FINALIZE not in said_at(0.5, way.give, 10), "here it would cut a word"
    assert FINALIZE not in said_at(1.0, way.give_silence, 5), "nor is this sure to be a pause"
    assert said_at(1.1, way.give_silence, 2) == [bytes(2 * MESSAGE), FINALIZE, bytes(2 * MESSAGE)]


def test_a_finalize_before_any_audio() -> None:
    way = Way()
    way.sender.finalize()
    way.give(10 * MESSAGE)
    way.sender.pump(way.link(), 0.0)
    sent = way.sent()
    assert sent[0] == FINALIZE
    assert joined(sent[1:]) == pcm(0, 10 * MESSAGE)


def test_a_storm_of_finalizes_is_a_question_each_three_tenths_of_a_second() -> None:
    way = Way(interval=0.02)
    link = way.link(0.0)
    wake: float | None = None
    for hundredth in range(500):
        now = hundredth / 100
        if hundredth % 5 == 0:
            way.give(MESSAGE)
        way.sender.finalize()
        if wake is None or wake <= now or hundredth % 5 == 0:
            wake = way.sender.pump(link, now)
    sent = way.sent()
    assert 5.0 / 0.35 - 1 <= sent.count(FINALIZE) <= 5.0 / 0.3 + 1
    assert sum(ask.calls for ask in way.sender.asks) == 500, "each call is counted: each gets its event"
    assert joined([data for data in sent if data != FINALIZE]) == pcm(0, way.given)


def test_once_a_question_is_answered_the_next_one_goes_out_at_once() -> None:
    way = Way()
    link = way.link()
    way.give(MESSAGE)
    way.sender.finalize()
    way.sender.pump(link, 0.0)
    assert way.sent() == [pcm(0, MESSAGE), FINALIZE]
    way.sender.finalize()
    assert way.sender.pump(link, 0.1) == pytest.approx(0.3)
    assert way.sent() == []
    assert way.sender.answered().calls == 1
    assert link.asked == 0
    assert way.sender.pump(link, 0.1) is None
    assert way.sent() == [FINALIZE]


def test_a_finalize_that_was_not_answered_is_said_again_at_the_same_sample() -> None:
    way = Way()
    first = way.link()
    way.give(MESSAGE)
    way.sender.finalize()
    way.give(9 * MESSAGE)
    way.sender.finalize()
    way.sender.pump(first, 0.0)
    way.sender.finalize()  # not sent before the link died
    sent = way.sent()
    assert [sent.index(FINALIZE), sent.count(FINALIZE), sent[-1]] == [1, 2, FINALIZE]
    second = way.link(1.0)
    way.sender.pump(second, 1.0)
    again = way.sent()
    assert again[: len(sent)] == sent
    assert [ask.position for ask in way.sender.asks] == [MESSAGE, 10 * MESSAGE, 10 * MESSAGE]
    assert sum(ask.calls for ask in way.sender.asks) == 3


def test_a_finalize_before_the_place_where_a_link_begins_is_said_first() -> None:
    way = Way()
    first = way.link()
    way.give(MESSAGE)
    way.sender.finalize()
    way.give(40 * MESSAGE)
    way.sender.pump(first, 0.0)
    way.final_to(30 * MESSAGE)
    way.said()
    second = way.link()
    way.sender.pump(second, 1.0)
    sent = way.sent()
    assert sent[0] == FINALIZE
    assert joined(sent[1:]) == pcm(second.start, way.given)


def test_both_of_two_links_are_asked_and_one_answer_is_enough() -> None:
    way = Way()
    first, second = way.link(), way.beside()
    way.give(MESSAGE)
    way.sender.finalize()
    for link in (first, second):
        way.sender.pump(link, 0.0)
        assert way.sent() == [pcm(0, MESSAGE), FINALIZE]
    assert (first.asked, second.asked) == (1, 1)
    way.sender.answered()
    assert (first.asked, second.asked, len(way.sender.asks)) == (0, 0, 0)


def test_an_answer_is_for_the_oldest_question_and_the_others_stay_asked() -> None:
    way = Way()
    link = way.link()
    for _ in range(4):
        way.give(10 * MESSAGE)
        way.sender.finalize()
    way.sender.pump(link, 0.0)
    assert (link.asked, len(way.sender.asks)) == (4, 4)
    assert [way.sender.answered().position for _ in range(2)] == [10 * MESSAGE, 20 * MESSAGE]
    assert (link.asked, len(way.sender.asks)) == (2, 2)
    way.said()
    assert way.sender.pump(link, 5.0) is None
    assert way.said() == []


# --- a question of our own ---


def quiet_way(*, speech: float, silence: float) -> tuple[Way, Any]:
    way = Way(bound=10.0)
    link = way.link()
    way.give(round(speech * RATE))
    way.give_silence(round(silence * RATE))
    way.sender.pump(link, 0.0)
    way.said()
    return way, link


def test_a_probe_asks_for_what_was_sent_where_that_is_surely_a_pause() -> None:
    way, link = quiet_way(speech=5.0, silence=0.5)
    assert way.sender.probe(link, 0.0)
    assert way.sent() == [FINALIZE]
    assert link.probe == way.given
    assert not way.sender.probe(link, 0.0), "one at a time"
    assert list(way.sender.asks) == [], "nobody else asked"


@pytest.mark.parametrize(
    ("speech", "silence", "why"),
    [
        (9.0, 0.0, "it would cut a word"),
        (9.0, 0.2, "the pause is too short to be sure"),
        (4.0, 0.5, "much room is left"),
        (4.5, 0.5, "half of the room is left"),
    ],
)
def test_where_no_probe_is_asked(speech: float, silence: float, why: str) -> None:
    way, link = quiet_way(speech=speech, silence=silence)
    assert not way.sender.probe(link, 0.0), why
    assert way.said() == []


def test_no_probe_where_what_is_final_leaves_room() -> None:
    way, link = quiet_way(speech=7.0, silence=0.5)
    way.final_to(RATE * 5 // 2)
    assert not way.sender.probe(link, 0.0)
    way.final_to(RATE * 5 // 2 - MESSAGE)
    assert way.sender.probe(link, 0.0)


def test_no_probe_beside_a_question_of_the_application_or_behind_what_waits() -> None:
    way, link = quiet_way(speech=5.0, silence=1.0)
    way.give_silence(MESSAGE)
    assert not way.sender.probe(link, 0.0)
    way.sender.finalize()
    way.sender.pump(link, 0.0)
    assert not way.sender.probe(link, 0.0)


def test_what_is_before_a_pause_can_be_settled_there_and_not_in_the_middle_of_speech() -> None:
    way, _ = quiet_way(speech=1.0, silence=0.5)
    place = way.sender.paused_before(way.given)
    assert place == way.given - 0.15 * RATE
    assert way.sender.paused_before(RATE) is None
    assert way.sender.paused_before(round(1.2 * RATE)) is None


def test_places_are_whole_samples_at_any_rate() -> None:
    rate, message = 22050, 1102
    way = Way(rate=rate)
    way.give(40 * message)
    way.sender.pump(way.link(), 0.0)
    way.final_to(10 * message - 3307)  # half of the 0.3 s that a new link begins before
    assert way.sender.unheard_since == 30 * message / rate
    way.give_silence(10 * message)
    assert way.sender.paused_before(way.given) == way.given - 3307


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
