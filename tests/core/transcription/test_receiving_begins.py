"""What the receiver expects of a link that begins to serve: what it hears again, and whether a turn is over."""

from __future__ import annotations

from typing import Any

import pytest

from smallest_proto.transcription.events import FinalTranscript, InterimTranscript, SpeechEnded, SpeechStarted

from .ear import Ear, words
from .way import open_link

# --- turns ---


def before_a_long_silence(**fields: Any) -> Ear:
    """One word, whose end is told late, and then nothing: a new link begins after it."""
    ear = Ear(origin=10.0)
    ear.speak(1.0)
    ear.pause(10.0)
    ear.say(("a", 0.25, 1.4), **fields)
    return ear


def test_a_turn_is_over_where_only_silence_is_left() -> None:
    ear = before_a_long_silence(speech_final=False)
    assert [type(event) for event in ear.events()] == [SpeechStarted, FinalTranscript]
    ear.new_link()
    assert ear.cursor.start > ear.timeline.watermark
    assert ear.events() == [SpeechEnded(time=11.4)]


def test_a_turn_of_which_something_is_not_final_is_not_over() -> None:
    ear = before_a_long_silence(speech_final=False)
    ear.hear("and")
    ear.events()
    ear.new_link()
    assert ear.events() == []


def test_a_turn_that_is_over_does_not_end_again() -> None:
    ear = before_a_long_silence(speech_final=True)
    assert isinstance(ear.events()[-1], SpeechEnded)
    ear.new_link()
    assert ear.events() == []


@pytest.mark.parametrize("timed", [False, True])
def test_a_turn_goes_on_where_its_last_words_are_heard_again(timed: bool) -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.final("a", words=words(("a", 0.25, 1.0)) if timed else (), speech_final=False)
    ear.events()
    ear.new_link()
    assert ear.cursor.start <= ear.timeline.watermark
    assert ear.events() == []


# --- a link that was not sent everything again yet ---


def begin_unsent(ear: Ear) -> None:
    """A new link serves, and was sent nothing yet."""
    (before,) = ear.sender.cursors
    ear.sender.leave(before.link)
    ear.cursor = ear.sender.begin(open_link(2), 0.0)
    ear.sender.cursors.append(ear.cursor)
    ear.receiver.serve(ear.cursor, ear.sender)


def test_what_a_link_says_is_new_only_once_it_was_sent_something_new() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.say(("a", 0.5, 1.0), ("b", 1.5, 2.0))
    begin_unsent(ear)
    ear.events()
    ear.hear("something")
    assert ear.events() == []
    ear.sender.pump(ear.cursor, 0.0)
    assert ear.cursor.sent == ear.timeline.watermark
    ear.events()
    ear.hear("something")
    assert ear.events() == []
    ear.speak(0.5)
    ear.events()
    ear.hear("something")
    assert ear.events()[-1] == InterimTranscript(text="something", start=2.0, end=2.5, session_id=None)


@pytest.mark.parametrize(("sent", "late", "told"), [(False, 5.0, []), (True, 4.9, []), (True, 5.0, ["yes"])])
def test_nothing_is_late_while_it_is_not_sent_all_of_it(sent: bool, late: float, told: list[str]) -> None:
    """Three seconds after that, what it hears was not sent to an earlier link."""
    ear = Ear()
    ear.speak(2.0)
    ear.final("yes", 1.0)
    begin_unsent(ear)
    if sent:
        ear.sender.pump(ear.cursor, 2.0)
    ear.final("", 2.0)
    ear.sender.pump(ear.cursor, late)
    ear.final("yes", late)
    assert ear.texts() == ["yes", *told]


# --- words without times ---


def test_words_that_end_before_it_begins_are_not_expected() -> None:
    """The one of them that is said again is new."""
    ear = Ear()
    ear.speak(3.0)
    ear.say(("no", 0.5, 0.75), ("yes", 1.75, 2.0))
    ear.new_link()
    ear.final("no yes", 3.0)
    ear.final("no", 9.0)
    assert ear.texts() == ["no yes", "no yes", "no"], "rather twice than lost"


@pytest.mark.parametrize(
    ("heard", "told"), [("f g", "g"), ("d e f g", "g"), ("c d e f g", "g"), ("b c d e f g", "b c d e f g")]
)
def test_of_what_a_pause_settled_four_words_can_be_heard_again(heard: str, told: str) -> None:
    """No more fit into the margin before the watermark."""
    ear = Ear()
    ear.speak(2.0)
    ear.pause(0.3)
    ear.finalize(1.0)
    ear.final("a b c d e f", 2.0, from_finalize=True)
    ear.speak(4.0, 3.0)
    ear.receiver.settle(ear.cursor, 3.0)
    assert ear.watermark == pytest.approx(2.15)
    ear.new_link(4.0)
    assert not ear.sender.silent(ear.cursor.start, ear.timeline.watermark)
    ear.final(heard, 9.0)
    assert ear.texts() == ["a b c d e f", told]


def test_a_pause_before_the_watermark_settles_nothing() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.pause(1.0)
    ear.finalize(1.0)
    ear.final("a", 2.0, from_finalize=True)
    ear.speak(4.0, 3.0)
    ear.say(("b", 3.5, 4.0), now=4.0)
    ear.receiver.settle(ear.cursor, 5.0)
    assert ear.watermark == 4.0


def test_a_pause_at_the_watermark_settles_nothing_more() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.pause(1.0)
    ear.finalize(1.0)
    ear.final("a", 2.0, from_finalize=True)
    ear.say(("b", 2.5, 2.85), now=2.1)
    assert ear.cursor.settled == (ear.timeline.watermark, 2.1)
    ear.receiver.settle(ear.cursor, 3.1)
    ear.speak(4.0, 3.0)
    ear.new_link(8.0)
    ear.final("a b c", 9.0)
    assert ear.texts() == ["a", "b", "c"]


def test_an_answer_in_a_pause_settles_nothing_where_words_have_times() -> None:
    """It can be empty, and the words that it skips come later: they were lost where another link began after them."""
    ear = Ear()
    ear.speak(2.0)
    ear.say(("a", 1.5, 2.0), now=2.1)
    ear.speak(4.0, 3.0)
    ear.pause(1.0)
    ear.finalize(5.0)
    ear.final("", 5.5, from_finalize=True)
    ear.receiver.settle(ear.cursor, 8.0)
    assert ear.watermark == 2.0
    ear.say(("b", 3.5, 4.0), now=8.1)
    assert ear.texts() == ["a", "", "b"]


# --- finals that come twice on it ---


@pytest.mark.parametrize(("cut", "again", "told"), [(True, 5.2, []), (True, 6.0, ["b c d"]), (False, 6.0, [])])
def test_a_final_whose_first_words_were_taken_off_can_be_doubled(cut: bool, again: float, told: list[str]) -> None:
    """It is known by its own times; where a finalize cut its last word, what comes later can be the whole of that."""
    ear = Ear()
    ear.speak(2.5)
    ear.say(("a", 0.5, 1.0), ("b", 1.0, 1.5))
    ear.speak(1.0)
    ear.new_link()
    if cut:
        ear.finalize(5.0)
    ear.speak(2.0)
    for now in (5.1, again):
        ear.say(("b", 1.25, 1.75), ("c", 2.0, 2.5), ("d", 3.25, 3.5), now=now)
    assert ear.texts() == ["a b", "c d", *told]


def test_a_part_of_a_word_is_not_the_same_one_after_a_link_that_repeated_nothing() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.finalize(1.0)
    ear.speak(1.0, 1.0)
    ear.say(("tw", 1.7, 2.0), now=1.2)
    ear.new_link(2.0)
    ear.final("", 3.0)
    ear.final("", 6.0)  # so late that it will repeat nothing any more
    ear.say(("tw", 1.7, 2.0), now=6.1)
    assert ear.texts() == ["tw", "tw"]


def test_the_whole_of_a_word_that_begins_with_the_stream_says_so() -> None:
    ear = Ear()
    ear.speak(0.5)
    ear.finalize()
    ear.speak(1.0)
    ear.say(("tw", 0.0, 0.5), from_finalize=True)
    ear.new_link()
    ear.say(("2", 0.0, 0.75))
    assert [(final.text, final.may_repeat) for final in ear.finals()] == [("tw", False), ("2", True)]


def test_the_watermark_stays_before_a_word_that_was_cut_at_the_beginning_of_the_stream() -> None:
    ear = Ear()
    ear.speak(0.5)
    ear.finalize()
    ear.speak(1.0)
    ear.say(("tw", 0.0, 0.5), from_finalize=True)
    assert ear.watermark == 0.0


def test_a_question_that_was_answered_doubles_nothing() -> None:
    ear = Ear()
    ear.speak(1.0)
    ear.final("yes", 1.0)
    ear.finalize(1.1)
    ear.final("", 1.2)
    ear.final("yes", 2.0)
    assert ear.texts() == ["yes", "", "yes"]
