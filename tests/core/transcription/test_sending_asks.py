"""The outgoing half: finalizes in their places, in storms, on two links, and the session's own question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smallest_proto.transcription.cursor import Cursor
from smallest_proto.transcription.messages import FINALIZE

from .way import MESSAGE, RATE, Way, joined, pcm

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
