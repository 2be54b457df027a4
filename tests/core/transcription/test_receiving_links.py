"""What a new link hears again is taken off; speakers and the full transcript go on over links."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.reading import Utterance, Word
from smallest_proto.transcription.events import FinalTranscript, InterimTranscript

from .ear import RATE, Ear, words

# --- with word times ---


def test_what_a_link_that_begins_before_the_watermark_hears_again_is_taken_off() -> None:
    ear = Ear()
    ear.speak(3.0)
    ear.say(("a", 0.5, 1.0), ("b", 1.0, 1.5))
    ear.events()
    ear.new_link()
    assert 1.0 <= ear.cursor.start / RATE <= 1.2
    ear.say(("b", 1.2, 1.5))
    assert ear.events() == []
    ear.say(("c", 1.6, 2.5))
    (final,) = ear.finals()
    assert (final.text, final.start, final.end) == ("c", pytest.approx(1.6), pytest.approx(2.5))


def test_a_repetition_that_goes_on_is_cut_off_before_what_is_new() -> None:
    ear = Ear()
    ear.speak(3.0)
    ear.say(("a", 0.5, 1.0), ("b", 1.0, 1.5))
    ear.events()
    ear.new_link()
    ear.say(("B,", 1.15, 1.45), ("c", 1.6, 2.0), ("d.", 2.0, 2.5))
    (final,) = ear.finals()
    assert (final.text, [word.text for word in final.words]) == ("c d.", ["c", "d."])
    assert final.start == pytest.approx(1.6)


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from(("yes", "no", "and", "well")), min_size=2, max_size=12),
    st.lists(st.floats(-0.1, 0.1), min_size=40, max_size=40),
    st.data(),
)
def test_no_word_is_lost_or_told_twice_when_times_are_off(
    said: list[str], jitter: list[float], data: st.DataObject
) -> None:
    """Words of 0.3 s with 0.1 s between them, each hearing off by up to 0.1 s; the link is lost anywhere."""
    spans = [(text, 0.5 + 0.4 * at, 0.8 + 0.4 * at) for at, text in enumerate(said)]
    ear = Ear()
    ear.pause(0.5)
    for _ in said:
        ear.speak(0.3)
        ear.pause(0.1)
    ear.pause(1.0)
    noise = iter(jitter)

    def heard(span: tuple[str, float, float]) -> tuple[str, float, float]:
        text, start, end = span
        off = next(noise)
        return text, max(0.0, start + off), max(0.0, end + off)

    first = data.draw(st.integers(1, len(said)))
    ear.say(*map(heard, spans[:first]))
    told = [word.text for final in ear.finals() for word in final.words]
    ear.new_link()
    start = ear.cursor.start / RATE
    again = [span for span in spans if span[1] >= start - 0.05]
    if again:
        ear.say(*map(heard, again))
        told += [word.text for final in ear.finals() for word in final.words]
    assert told == said


# --- without word times ---


def test_what_a_new_link_repeats_is_taken_off() -> None:
    ear = Ear()
    ear.speak(4.0)
    ear.final("Hello you.", now=1.0)
    ear.final("How are", now=2.0)
    ear.events()
    ear.new_link(3.0)
    ear.hear("hello", 3.1)  # all of it was told before
    assert ear.events() == []
    ear.hear("hello you how are they", 3.2)
    assert [event.text for event in ear.events() if isinstance(event, InterimTranscript)] == ["they"]
    ear.final("Hello, you!", 3.3)
    ear.final("how are they?", 4.0, words=tuple(Word(text=text) for text in ("how", "are", "they?")))
    (final,) = ear.finals()
    assert (final.text, final.words) == ("they?", (Word(text="they?"),))
    ear.final("how are", 9.0)
    assert ear.texts() == ["how are"]  # said once more


@pytest.mark.parametrize(("text", "told"), [("yes", []), ("no", ["no"])])
def test_after_a_final_with_word_times_nothing_is_taken_off_any_more(text: str, told: list[str]) -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.final("yes", 1.0)
    ear.new_link(2.0)
    ear.say((text, 0.5, 1.0), now=3.0)
    ear.speak(2.0)
    ear.final("yes", 9.0)
    assert ear.texts() == ["yes", *told, "yes"]


def test_what_may_be_told_twice_says_so() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.final("a b c", 1.0)
    assert [final.may_repeat for final in ear.finals()] == [False]
    ear.new_link(2.0)
    ear.final("x y z", 3.0)  # heard otherwise, or said after it
    assert [(final.text, final.may_repeat) for final in ear.finals()] == [("x y z", True)]
    ear.speak(20.0, 4.0)  # more than is ever late: what comes now was not heard before
    ear.final("a b c", 25.0)
    assert [(final.text, final.may_repeat) for final in ear.finals()] == [("a b c", False)]


def test_words_with_times_never_may_repeat() -> None:
    ear = Ear()
    ear.speak(4.0)
    ear.say(("a", 0.5, 1.0))
    ear.new_link()
    ear.say(("b", 1.5, 2.0))
    assert [final.may_repeat for final in ear.finals()] == [False, False]


@pytest.mark.parametrize(
    ("start", "told"), [(1.45, True), (1.75, False), (1.8, False)], ids=["the whole word", "the next word", "later"]
)
def test_the_whole_of_a_word_whose_part_is_final_says_so(start: float, told: bool) -> None:
    ear = Ear()
    ear.speak(1.75)
    ear.finalize()  # in the middle of the second word
    ear.speak(2.25)
    ear.say(("one", 0.5, 1.0), ("tw", 1.5, 1.75), from_finalize=True)
    ear.new_link()
    ear.say(("2", start, 2.2), ("3", 2.5, 3.0))
    assert [(final.text, final.may_repeat) for final in ear.finals()] == [("one tw", False), ("2 3", told)]


def test_a_word_that_differs_by_a_vowel_sign_is_another_word() -> None:
    ear = Ear()
    ear.speak(4.0)
    ear.final("की", 1.0)
    ear.new_link(2.0)
    ear.final("का", 3.0)
    assert ear.texts() == ["की", "का"]


def test_words_of_another_part_of_the_stream_are_not_expected_again() -> None:
    """After a change of format the first words are new, even if they are those that were said last."""
    ear, other = Ear(), Ear(origin=2.0)
    ear.speak(2.0)
    ear.final("yes", 1.0)
    ear.receiver.use(ear.receiver_config, other.timeline)
    ear.receiver.serve(other.cursor, other.sender)
    other.speak(2.0, 2.0)
    ear.cursor, ear.sender = other.cursor, other.sender
    ear.final("yes please", 3.0)
    assert ear.texts() == ["yes", "yes please"]


# --- one link, one hearing ---


def test_the_same_final_twice_is_told_once() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.pause(1.0)
    for _ in range(2):
        ear.say(("a", 0.5, 1.0), ("b", 1.0, 2.0))
    kinds = [type(event).__name__ for event in ear.events()]
    assert kinds == ["SpeechStarted", "FinalTranscript", "SpeechEnded"], "and one turn"


def test_the_same_words_at_other_times_are_said_twice() -> None:
    ear = Ear()
    ear.speak(4.0)
    ear.say(("no", 0.5, 0.75))
    ear.say(("no", 0.8, 1.05))
    ear.say(("no", 1.1, 1.35), ("no", 1.4, 1.65))
    assert ear.texts() == ["no", "no", "no no"]


def test_a_final_that_goes_on_from_the_end_of_the_one_before_is_told_from_there() -> None:
    ear = Ear()
    ear.speak(4.0)
    ear.say(("a", 0.5, 1.0), ("b", 1.0, 1.5))
    ear.say(("b", 1.0, 1.5), ("c", 1.5, 2.0))
    assert ear.texts() == ["a b", "c"]


def test_without_times_the_same_final_is_one_only_at_once_or_around_a_question() -> None:
    ear = Ear()
    ear.speak(4.0)
    ear.final("no", 1.0)
    ear.final("no", 1.2)  # a question raced the end of the utterance
    ear.final("no", 2.0)  # said once more
    assert ear.texts() == ["no", "no"]
    ear.finalize(2.1)
    ear.final("no", 2.6, from_finalize=True)
    (answer,) = ear.finals()
    assert (answer.text, answer.from_finalize) == ("", True), "asked just after it: it is the same one"
    ear.finalize(9.0)
    ear.final("no", 9.5, from_finalize=True)
    assert ear.texts() == ["no"]


# --- parts of words ---


@pytest.mark.parametrize(
    ("first", "second", "begins"),
    [
        ("Uh", "-huh. ", True),
        ("Oh I", "'m here", True),
        ("Uh", " huh.", False),
        ("Uh ", "-huh.", False),
        ("Uh.", "-huh.", False),
        ("Uh", "- huh.", False),
        ("one", "Two", False),
        ("one", "two", False),
    ],
)
def test_a_final_says_whether_it_begins_in_mid_word(first: str, second: str, begins: bool) -> None:
    ear = Ear()
    ear.speak(4.0)
    ear.final(first, words=words((first.strip(), 0.5, 1.0)))
    ear.final(second, words=words((second.strip(), 1.0, 1.5)))
    assert [final.begins_in_mid_word for final in ear.finals()] == [False, begins]


@pytest.mark.parametrize(
    ("second", "start", "begins"),
    [
        ("thing", 2.0, True),
        ("thing", 2.05, True),
        ("thing", 2.07, False),  # not at once: another word
        ("thing", 4.0, False),
        ("Thing", 2.0, False),
        ("(thing)", 2.0, False),
        (" thing", 2.0, False),
    ],
)
def test_where_the_service_tells_blanks_a_word_without_one_goes_on(second: str, start: float, begins: bool) -> None:
    ear = Ear()
    ear.speak(6.0)
    ear.final("so there ", words=words(("so", 0.5, 1.0), ("there", 1.0, 1.5)))
    ear.final("is some", words=words(("is", 1.5, 1.75), ("some", 1.75, 2.0)))
    spoken = Word(text=second.strip(), start=start, end=start + 0.25)
    ear.final(f"{second} else", words=(spoken, Word(text="else")))  # one time is enough
    assert [final.begins_in_mid_word for final in ear.finals()] == [False, False, begins]


def test_a_word_that_begins_six_hundredths_of_a_second_later_is_another_one() -> None:
    ear = Ear()
    ear.speak(2.0)
    for text, start in (("so ", 0.0), ("some", 0.0), ("thing", 0.06)):
        ear.say((text, start, start), now=9.0 * start)
    assert [final.begins_in_mid_word for final in ear.finals()] == [False, False, False]


def joined(finals: list[FinalTranscript]) -> str:
    text = ""
    for final in finals:
        glued = not text or text[-1].isspace() or final.begins_in_mid_word
        text += final.text if glued else " " + final.text
    return text


def test_texts_can_be_put_together_as_the_docstring_says() -> None:
    ear = Ear()
    ear.speak(6.0)
    for text, start in (("Oh ", 0.5), ("well. ", 1.0), ("Uh", 1.5), ("-huh.", 2.0), ("Yes", 2.5)):
        ear.final(text, words=words((text.strip(), start, start + 0.5)))
    assert joined(ear.finals()) == "Oh well. Uh-huh. Yes"


# --- speakers ---


def spoken_by(speaker: Any, text: str, start: float, end: float) -> Word:
    return Word(text=text, start=start, end=end, speaker=speaker)


def test_speakers_are_numbered_over_links() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.final("a b", words=(spoken_by(0, "a", 0.0, 0.5), spoken_by(1, "b", 0.5, 1.0)))
    ear.new_link()
    begins = ear.cursor.start / RATE
    ear.speak(2.0)
    utterance = Utterance(text="c d", start=1.5 - begins, end=2.5 - begins, speaker=1)
    ear.final(
        "c d",
        words=(spoken_by(0, "c", 1.5 - begins, 2.0 - begins), spoken_by(1, "d", 2.0 - begins, 2.5 - begins)),
        utterances=(utterance,),
    )
    ear.new_link()
    begins = ear.cursor.start / RATE
    ear.final("e", words=(spoken_by(0, "e", 3.0 - begins, 3.5 - begins),))
    finals = ear.finals()
    assert [[word.speaker for word in final.words] for final in finals] == [[0, 1], [2, 3], [4]]
    assert [one.speaker for one in finals[1].utterances] == [3]


def test_speakers_that_are_no_numbers_keep_their_names() -> None:
    ear = Ear()
    ear.speak(4.0)
    ear.final("a", words=(spoken_by("anna", "a", 0.0, 0.5),))
    ear.new_link()
    begins = ear.cursor.start / RATE
    ear.final("b", words=(spoken_by("anna", "b", 1.0 - begins, 1.5 - begins),))
    assert [final.words[0].speaker for final in ear.finals()] == ["anna", "anna"]


@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4), min_size=1, max_size=4))
def test_no_two_links_share_a_speaker(links: list[list[int]]) -> None:
    ear = Ear()
    seen: set[Any] = set()
    at = 0.0
    for number, speakers in enumerate(links):
        if number:
            ear.new_link()
        here: dict[int, Any] = {}
        for speaker in speakers:
            ear.speak(1.0)
            begins = ear.cursor.start / RATE
            ear.final(f"w{at}", words=(spoken_by(speaker, f"w{at}", at + 0.5 - begins, at + 1.0 - begins),))
            (final,) = ear.finals()
            told = final.words[0].speaker
            assert here.setdefault(speaker, told) == told, "on one link they are as the service tells them apart"
            at += 1.0
        assert len(set(here.values())) == len(here)
        assert not seen & set(here.values())
        seen |= set(here.values())


# --- the full transcript ---


def test_the_full_transcript_goes_on_over_links() -> None:
    ear = Ear(full_transcript=True)
    ear.speak(2.0)
    ear.final("a b", words=words(("a", 0.0, 0.5), ("b", 0.5, 1.0)), full_transcript="a b")
    ear.new_link()
    begins = ear.cursor.start / RATE
    ear.speak(4.0)
    ear.final("b", words=words(("b", 0.7 - begins, 1.0 - begins)), full_transcript="b")  # heard again
    ear.final("c", words=words(("c", 2.0 - begins, 2.5 - begins)), full_transcript="b c")
    ear.final("d", words=words(("d", 3.0 - begins, 3.5 - begins)), full_transcript="b c d")
    assert [final.full_transcript for final in ear.finals()] == ["a b", "a b c", "a b c d"]


def test_where_nobody_asked_there_is_no_full_transcript() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.say(("a", 0.0, 0.5))
    ear.new_link()
    ear.say(("b", 1.0, 1.5))
    assert [final.full_transcript for final in ear.finals()] == [None, None]


def test_an_equal_word_that_was_said_after_an_unanswered_question_is_another_one() -> None:
    ear = Ear()
    ear.speak(0.3)
    ear.pause(0.7)
    ear.final("yes", 1.0)
    ear.finalize(1.2)  # the service has nothing to answer
    ear.pause(0.5)
    ear.speak(0.3, 2.0)
    ear.pause(0.6, 2.6)
    ear.final("yes", 2.7)
    assert ear.texts() == ["yes", "yes"]
