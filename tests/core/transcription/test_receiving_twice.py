"""A final that comes twice is told once, and what was said twice is told twice: on one link, and over two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from smallest_proto.reading import Word
from smallest_proto.transcription import receiving
from smallest_proto.transcription.events import FinalTranscript, SpeechEnded
from smallest_proto.transcription.repetition import Known, same_again

from .ear import RATE, Ear, words

# --- one link, no word times ---


@pytest.mark.parametrize(("last", "again", "told"), [(0.0, 0.3, 1), (0.0, 0.31, 2), (5.0, 5.25, 1), (5.0, 6.0, 2)])
@pytest.mark.parametrize("listed", [(), (Word(text="no"), Word(text="no"))], ids=["text", "words"])
def test_the_same_final_is_one_only_within_three_tenths_of_a_second(
    last: float, again: float, told: int, listed: tuple[Word, ...]
) -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.final("No, no.", last, words=listed)
    ear.final("no no", again, words=listed)
    assert len(ear.texts()) == told


@pytest.mark.parametrize("texts", [("no", "maybe"), ("maybe", "no"), ("no", "no no"), ("no no", "no")])
def test_another_final_is_another_one_however_soon(texts: tuple[str, str]) -> None:
    ear = Ear()
    ear.speak(2.0)
    for text in texts:
        ear.final(text, 1.0)
    assert ear.texts() == [*texts]


@pytest.mark.parametrize(
    ("last", "asked", "speech", "again", "told"),
    [
        (0.0, 0.3, 0.0, 9.0, 1),  # asked at once: the answer can be long on its way
        (1.0, 1.2, 0.0, 9.0, 1),
        (0.0, 0.31, 0.0, 0.9, 2),  # asked later: it was said once more
        (1.0, 2.0, 0.0, 2.5, 2),
        (1.0, 1.2, 0.5, 1.7, 1),  # spoken since then, but the answer comes too soon to be of that
        (0.0, 0.0, 0.5, 0.6, 1),
        (0.0, 0.0, 0.5, 0.61, 2),
        (1.0, 1.2, 0.5, 2.0, 2),
        (1.0, 1.2, 0.1, 2.0, 1),  # too short for a word
        (1.0, 1.2, 0.12, 2.0, 2),
    ],
)
def test_the_answer_to_a_question_can_repeat_the_final_just_before_it(
    last: float, asked: float, speech: float, again: float, told: int
) -> None:
    ear = Ear()
    ear.speak(1.0)
    ear.final("yes", last)
    ear.finalize(asked)
    ear.speak(speech, asked)
    ear.pause(0.5, asked)
    ear.final("yes", again)
    assert [text for text in ear.texts() if text] == ["yes"] * told


def test_an_answer_repeats_no_final_that_came_after_the_question() -> None:
    ear = Ear()
    ear.speak(1.0)
    ear.finalize(0.9)
    ear.speak(1.0)
    ear.finalize(1.4)
    ear.final("yes", 1.5)  # answers the first
    ear.final("yes", 2.0)
    assert ear.texts() == ["yes", "yes"]


def test_the_answer_to_a_question_of_our_own_can_repeat_a_final_as_well() -> None:
    ear = Ear(bound=4.0)
    ear.speak(2.0)
    ear.pause(1.0)
    ear.final("yes", 5.0)
    assert ear.sender.probe(ear.cursor, 5.0)
    ear.final("yes", 5.4)
    assert ear.texts() == ["yes"]


# --- one link, word times ---


@pytest.mark.parametrize(("first", "again", "told"), [(0.0, 0.3, 1), (10.0, 10.2, 1), (10.0, 10.4, 2)])
def test_a_part_of_a_word_is_the_same_one_only_at_once(first: float, again: float, told: int) -> None:
    """A finalize cut the word; what comes later at its place is the rest of it, or the whole."""
    ear = Ear()
    ear.speak(2.0)
    ear.finalize()
    ear.speak(1.0)
    for now in (first, again):
        ear.say(("one", 0.5, 1.0), ("tw", 1.7, 2.0), now=now)
    assert ear.texts() == ["one tw"] * told


def test_words_are_compared_with_those_before_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with the last final as well, whose words they are."""
    compared: list[int] = []

    def count(known: Sequence[Known], words: Sequence[Word], *, soon: bool = True) -> int:
        compared.append(len(words))
        return same_again(known, words, soon=soon)

    monkeypatch.setattr(receiving, "same_again", count)
    ear = Ear()
    ear.speak(4.0)
    ear.say(("a", 0.0, 0.5))
    ear.say(("b", 0.5, 1.0), ("c", 1.0, 1.5))
    ear.say(("d", 1.5, 2.0))
    ear.say(("e", 2.0, 2.5))
    assert compared == [1, 2, 1, 1]


def test_a_final_can_be_doubled_of_which_a_pause_settled_the_first_words() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.pause(1.0)
    ear.finalize(1.0)
    ear.final("so", 2.0, from_finalize=True)
    six = [(f"w{at}", 0.3 * at, 0.3 * at + 0.3) for at in range(6)]
    ear.say(*six, now=2.1)
    ear.receiver.settle(ear.cursor, 3.1)
    assert ear.watermark == pytest.approx(2.85)
    ear.say(*six, now=3.2)
    assert ear.texts() == ["so", "w0 w1 w2 w3 w4 w5"]


# --- what is left of a text ---


@pytest.mark.parametrize(
    ("text", "heard", "told"),
    [
        ("a你好吗再见", ("a", "你好吗", "再见"), "你好吗再见"),
        ("A  b,\nc", ("a", "b", "c"), "b,\nc"),  # as the service writes it, where words and text go together
        ("A bc", ("a", "b", "c"), "b c"),
        ("A b c", ("a", "b c"), "b c"),
        ("A  b , c", ("a", "b ,", "c"), "b , c"),
    ],
)
def test_of_a_text_the_words_that_are_new_are_left(text: str, heard: tuple[str, ...], told: str) -> None:
    ear = Ear()
    ear.speak(4.0)
    ear.say(("a", 0.5, 1.0))
    ear.final(text, words=words(*[(word, 0.5 + at / 2, 1.0 + at / 2) for at, word in enumerate(heard)]))
    assert [(final.text, final.begins_in_mid_word) for final in ear.finals()] == [("a", False), (told, False)]


def test_of_a_long_text_the_words_that_are_new_are_left_as_they_are_written() -> None:
    ear = Ear()
    ear.speak(40.0)
    ear.say(("w0", 0.0, 0.1))
    spans = [(f"w{at}", at / 10, at / 10 + 0.1) for at in range(300)]
    ear.final("; ".join(word for word, _, _ in spans), words=words(*spans))
    assert ear.texts()[1].startswith("w1; w2; ")


# --- the next link ---


def test_words_that_it_repeats_at_once_are_repetitions_and_no_doubled_final() -> None:
    ear = Ear()
    ear.speak(4.0)
    for now, text in enumerate(("no", "no", "yes")):
        ear.final(text, float(now))
    ear.new_link(4.0)
    for now, text in ((5.0, "no"), (5.1, "no"), (6.0, "yes please")):
        ear.final(text, now)
    assert ear.texts() == ["no", "no", "yes", "please"]


def test_a_new_final_that_it_doubles_is_told_once() -> None:
    ear = Ear()
    ear.speak(4.0)
    ear.final("something", 0.0)
    ear.new_link(4.0)
    ear.final("else", 5.0)
    ear.final("else", 5.1)
    assert ear.texts() == ["something", "else"]


@pytest.mark.parametrize(("end", "told"), [(0.3, "b c"), (1.5, "c")])
def test_only_a_link_that_begins_after_the_first_words_can_miss_them(end: float, told: str) -> None:
    """Their times say so: the one of the first words begins with them, however near the watermark is."""
    ear = Ear()
    ear.speak(2.0)
    ear.say(("a", end - 0.2, end - 0.1), ("b", end - 0.1, end))
    ear.new_link()
    assert (ear.cursor.start == 0) is (end < 0.5)
    ear.final("b c", 3.0, words=(Word(text="b"), Word(text="c")))
    assert ear.texts() == ["a b", told]


def test_words_that_a_pause_settled_are_not_expected_but_the_one_after_it_is() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.pause(1.0)
    ear.finalize(1.0)
    ear.final("a b c", 2.0, from_finalize=True)
    ear.speak(4.0, 3.0)
    ear.final("d", 4.0)
    ear.receiver.settle(ear.cursor, 7.0)
    ear.new_link(8.0)
    assert ear.cursor.start > 2.0 * RATE
    ear.final("d e", 9.0)
    assert ear.texts() == ["a b c", "d", "e"]


# --- what a doubled final does to a turn ---


@pytest.mark.parametrize(
    ("asked", "fields", "told"),
    [
        (False, {"speech_final": True}, []),  # it is of what was said before
        (True, {}, [FinalTranscript, SpeechEnded]),  # the answer: nothing more was said
        (False, {"is_last": True}, [FinalTranscript, SpeechEnded]),
    ],
)
def test_it_ends_what_was_said_since_only_as_an_answer(asked: bool, fields: dict[str, Any], told: list[type]) -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.say(("a", 0.5, 1.0), now=1.0)
    ear.hear("and", 1.1)
    if asked:
        ear.finalize(1.2)
    ear.events()
    ear.say(("a", 0.5, 1.0), now=1.3, **fields)
    assert [type(event) for event in ear.events()] == told
