"""Which final answers a question, and what an answer says of the audio before it."""

from __future__ import annotations

import pytest

from smallest_proto.transcription.questions import is_cut, settled

from .ear import RATE, Ear


def asked(*, speech: float = 2.0, pause: float = 1.0) -> Ear:
    """A question at the end of a pause, or in the middle of speech."""
    ear = Ear()
    ear.speak(speech)
    ear.pause(pause)
    ear.finalize(1.0)
    return ear


def answers(ear: Ear) -> list[str]:
    return [final.text for final in ear.finals() if final.from_finalize]


@pytest.mark.parametrize("text", ["", "."])
def test_an_empty_final_answers_with_the_label_or_without(text: str) -> None:
    for label in (True, False):
        ear = asked()
        ear.final(text, 1.2, from_finalize=label)
        assert answers(ear) == [""]
        assert not ear.sender.asks


def test_the_first_final_that_covers_what_was_said_answers_without_a_label() -> None:
    ear = asked()
    ear.say(("a", 0.2, 0.8), now=1.1)  # there is sound after it, before the question
    assert answers(ear) == []
    ear.say(("b", 0.9, 1.85), now=1.2)
    assert answers(ear) == ["b"]
    ear.say(("c", 3.0, 3.0), now=1.3)
    assert answers(ear) == [], "there is one answer"


def test_the_label_makes_it_certain() -> None:
    ear = asked()
    ear.say(("a", 0.2, 0.8), now=1.1, from_finalize=True)
    assert answers(ear) == ["a"]


def test_answers_come_in_the_order_of_the_questions() -> None:
    ear = Ear()
    for second in range(3):
        ear.speak(1.0, float(second))
        ear.finalize(float(second) + 0.9)
    for text in "abc":
        ear.final(text, 9.0, from_finalize=True)
    ear.final("d", 9.0, from_finalize=True)  # of which nobody asked
    assert answers(ear) == ["a", "b", "c"]


def test_each_of_several_calls_gets_one_event_of_one_answer() -> None:
    ear = Ear()
    ear.speak(1.0)
    for _ in range(4):
        ear.sender.finalize()
    ear.sender.pump(ear.cursor, 0.0)
    ear.say(("a", 0.2, 0.9), now=1.0, from_finalize=True)
    assert answers(ear) == ["a", "", "", ""]


def test_an_interim_that_claims_to_be_an_answer_is_none() -> None:
    ear = asked()
    ear.hear("a b", 1.1, from_finalize=True)
    assert answers(ear) == []
    ear.final("a b", 1.2, from_finalize=True)
    assert answers(ear) == ["a b"]


def test_the_answer_to_a_question_of_our_own_is_not_shown_as_one() -> None:
    ear = Ear(bound=4.0)
    ear.speak(2.0)
    ear.pause(1.0)
    assert ear.sender.probe(ear.cursor, 0.0)
    ear.final("", 1.1, from_finalize=True)
    assert ear.events() == []
    assert ear.cursor.probe is None
    ear = Ear(bound=4.0)
    ear.speak(2.0)
    ear.pause(1.0)
    assert ear.sender.probe(ear.cursor, 0.0)
    ear.final("a", 1.5, from_finalize=True)
    (final,) = ear.finals()
    assert (final.text, final.from_finalize) == ("a", False)


def test_a_question_of_our_own_is_not_asked_again_with_each_answer() -> None:
    """Else a caller's silence would be a finalize for each round trip, and nothing would ever be settled."""
    ear = Ear(bound=4.0)
    ear.speak(2.0)
    ear.pause(1.0)
    assert ear.sender.probe(ear.cursor, 0.0)
    ear.final("", 1.1, from_finalize=True)
    assert not ear.sender.probe(ear.cursor, 0.0)
    ear.receiver.settle(ear.cursor, 2.1)
    assert ear.watermark == pytest.approx(2.85)
    assert not ear.sender.probe(ear.cursor, 0.0), "nothing is left to ask for"


def test_an_answer_to_a_question_of_our_own_may_come_late_where_words_have_no_times() -> None:
    ear = Ear(bound=4.0)
    ear.speak(2.0)
    ear.pause(1.0)
    assert ear.sender.probe(ear.cursor, 1.0)
    ear.speak(1.0, 1.0)
    ear.final("a", 2.0)
    ear.receiver.settle(ear.cursor, 3.0)
    assert ear.watermark == pytest.approx(2.85)


def test_a_question_of_our_own_that_got_no_answer_takes_none_from_the_application() -> None:
    ear = Ear(bound=4.0)
    ear.speak(2.0)
    ear.pause(1.0)
    assert ear.sender.probe(ear.cursor, 0.0)
    ear.speak(1.0, 3.0)
    ear.finalize(4.0)
    ear.say(("a", 3.2, 3.9), now=4.2, from_finalize=True)
    assert answers(ear) == ["a"]


# --- what an answer says of the audio ---


def test_no_answer_moves_the_watermark_past_the_last_word() -> None:
    for label in (True, False):
        ear = asked(pause=0.0)
        ear.final("", 1.1, from_finalize=label)
        assert ear.watermark == 0.0
        ear.say(("a", 0.2, 0.8), now=1.2, from_finalize=label)
        assert ear.watermark == 0.8


@pytest.mark.parametrize(("waits", "mark"), [(0.9, 0.0), (1.0, 2.85)])
def test_a_question_in_a_pause_settles_it_when_nothing_follows_for_a_second(waits: float, mark: float) -> None:
    ear = asked()
    ear.final("a", 2.0, from_finalize=True)  # no times
    ear.receiver.settle(ear.cursor, 2.0 + waits)
    assert ear.watermark == pytest.approx(mark)


def test_a_second_answer_puts_that_off() -> None:
    ear = asked()
    ear.final("a", 2.0, from_finalize=True)
    ear.final("b", 2.5)
    ear.receiver.settle(ear.cursor, 3.4)
    assert ear.watermark == 0.0
    ear.receiver.settle(ear.cursor, 3.5)
    assert ear.watermark == pytest.approx(2.85)
    assert settled(ear.cursor, 99.0) is None, "once"


def test_a_question_in_the_middle_of_speech_settles_nothing() -> None:
    ear = asked(pause=0.0)
    ear.final("a", 2.0, from_finalize=True)
    ear.receiver.settle(ear.cursor, 99.0)
    assert ear.watermark == 0.0


def test_what_was_settled_is_not_expected_again() -> None:
    ear = asked()
    ear.final("yes", 2.0, from_finalize=True)
    ear.receiver.settle(ear.cursor, 3.0)
    ear.speak(4.0, 3.0)
    ear.new_link(8.0)
    assert ear.cursor.start > 2.0 * RATE
    ear.final("yes", 9.0)
    assert ear.texts() == ["yes", "yes"], "its audio is not sent again: this is another one"


def test_what_was_said_after_the_question_is_heard_again() -> None:
    """A pause is settled by the next message, which can come when more was said: that is not settled with it."""
    ear = asked()
    ear.final("a", 2.0, from_finalize=True)
    ear.speak(4.0, 3.0)
    ear.final("one two three four five six", 4.0)
    ear.receiver.settle(ear.cursor, 7.0)
    assert ear.watermark == pytest.approx(2.85)
    ear.new_link(8.0)
    ear.final("one two three four five six seven", 9.0)
    assert ear.texts() == ["a", "one two three four five six", "seven"]


# --- words that a question cuts ---


def test_a_word_in_the_middle_of_which_a_question_came_is_cut() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.finalize()
    ear.speak(1.0)
    for end, cut in ((1.95, True), (2.0, True), (1.0, False)):
        assert is_cut(end, ear.cursor, ear.sender, ear.timeline) == cut


def test_a_question_in_a_pause_cuts_nothing() -> None:
    for speech, pause in ((2.0, 0.5), (2.0, 0.0)):  # or where one begins
        ear = Ear()
        ear.speak(speech)
        ear.pause(pause)
        ear.finalize()
        ear.pause(1.0)
        assert not is_cut(2.0, ear.cursor, ear.sender, ear.timeline)


def test_the_watermark_stays_before_a_word_that_was_cut() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.finalize()
    ear.speak(1.0)
    ear.say(("one", 0.5, 1.0), ("tw", 1.7, 2.0), from_finalize=True)
    assert ear.watermark == 1.7
    ear.new_link()
    ear.say(("one", 1.3, 1.3), ("two", 1.7, 2.3))
    assert "two" in [word.text for final in ear.finals() for word in final.words], "rather its half twice than lost"
