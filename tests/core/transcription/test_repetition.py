"""What a new link repeats is taken off; of anything else, not a word."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.reading import Word
from smallest_proto.transcription.repetition import Known, Repetition, normalised, same_again, without_words

TEXTS = st.text(st.sampled_from("aB é9.,!-।  \t\n"), max_size=30)
UNTIL = 100.0


def untimed(text: str, *, whole: bool = True) -> Repetition:
    return Repetition([Known(word, None, None) for word in normalised(text)], 0.0, whole=whole)


# --- by times ---


def known(text: str, start: float, end: float, *, cut: bool = False) -> Known:
    return Known(text, start, end, cut)


def word(text: str, start: float, end: float) -> Word:
    return Word(text=text, start=start, end=end)


VOCABULARY = st.sampled_from(("no", "yes", "and", "twenty", "one"))
OFF = st.floats(-0.1, 0.1)


@st.composite
def sentences(draw: st.DrawFn) -> list[tuple[str, float, float]]:
    """Words of 0.25 to 0.6 s, 0.05 to 0.6 s apart."""
    spans, at = [], 0.0
    for text in draw(st.lists(VOCABULARY, min_size=2, max_size=10)):
        at += draw(st.floats(0.05, 0.6))
        length = draw(st.floats(0.25, 0.6))
        spans.append((text, at, at + length))
        at += length
    return spans


@settings(max_examples=500)
@given(sentences(), st.data())
def test_with_times_that_are_off_by_a_tenth_no_word_is_lost_and_none_is_told_twice(
    spans: list[tuple[str, float, float]], data: st.DataObject
) -> None:
    """The middle of the words decides, and the text where that is too close to call. Each hearing is off by 0.1 s."""
    final = data.draw(st.integers(1, len(spans)))
    first = data.draw(st.integers(max(0, final - 2), final - 1))  # the margin holds so many words
    before, off = ([data.draw(OFF) for _ in spans] for _ in range(2))
    told = [known(t, s + o, e + o) for (t, s, e), o in zip(spans, before, strict=True)]
    until = told[final - 1].end or 0.0
    repetition = Repetition(told[first:final], until, whole=False)
    heard = [word(t, s + o, e + o) for (t, s, e), o in zip(spans[first:], off[first:], strict=True)]
    assert repetition.timed(heard) == final - first


@settings(max_examples=300)
@given(sentences(), st.data())
def test_a_second_hearing_in_other_words_is_told_by_its_times(
    spans: list[tuple[str, float, float]], data: st.DataObject
) -> None:
    final = data.draw(st.integers(1, len(spans)))
    until = spans[final - 1][2]
    repetition = Repetition([known(*span) for span in spans[max(0, final - 2) : final]], until, whole=False)
    heard = [word(f"other{at}", s, e) for at, (_, s, e) in enumerate(spans)][max(0, final - 2) :]
    assert repetition.timed(heard) == min(final, 2)


@settings(max_examples=300)
@given(sentences(), st.data())
def test_the_first_word_may_be_cut_at_the_edge_of_the_link(
    spans: list[tuple[str, float, float]], data: st.DataObject
) -> None:
    final = data.draw(st.integers(1, len(spans)))
    (_, start, end), until = spans[final - 1], spans[final - 1][2]
    share = data.draw(st.floats(0.2, 0.9))
    repetition = Repetition([known(*spans[final - 1])], until, whole=False)
    heard = [word("ty", start + share * (end - start), end), *(word(*span) for span in spans[final:])]
    assert repetition.timed(heard) == 1


@settings(max_examples=300)
@given(sentences(), st.data())
def test_in_several_finals_the_repetition_is_taken_off_all_the_same(
    spans: list[tuple[str, float, float]], data: st.DataObject
) -> None:
    final = data.draw(st.integers(1, len(spans)))
    first = max(0, final - 3)
    repetition = Repetition([known(*span) for span in spans[first:final]], spans[final - 1][2], whole=False)
    left, taken = [word(*span) for span in spans[first:]], 0
    while left:
        count = data.draw(st.integers(1, len(left)))
        taken += repetition.timed(left[:count])
        left = left[count:]
    assert taken == final - first
    assert repetition.over


def test_nothing_known_nothing_taken_off() -> None:
    repetition = Repetition((), UNTIL, whole=False)
    assert repetition.over
    assert repetition.timed([word("a", 99.0, 99.5)]) == 0


def test_what_lies_behind_the_watermark_is_new_and_ends_the_repetition() -> None:
    repetition = Repetition([known("a", 99.0, 99.5)], UNTIL, whole=False)
    assert repetition.timed([word("a", 100.5, 101.0)]) == 0
    assert repetition.over


def test_the_other_half_of_a_word_that_a_question_cut_is_not_taken_for_the_first() -> None:
    repetition = Repetition([known("hel", 99.0, 99.3, cut=True)], 99.0, whole=False)
    assert repetition.timed([word("hello", 99.0, 99.6)]) == 0, "heard whole now: rather its half twice than lost"


@pytest.mark.parametrize(
    ("text", "end", "count"),
    [("going to", 100.13, 0), ("GOING-to", 100.13, 0), ("goin", 100.13, 1), ("goingto", 100.04, 1)],
)
def test_a_word_that_is_written_as_one_with_the_next_is_not_taken_for_the_first_alone(
    text: str, end: float, count: int
) -> None:
    repetition = Repetition([known("going", 99.6, UNTIL)], UNTIL, whole=True)
    assert repetition.timed([word(text, 99.6, end), word("go", 100.3, 100.5)]) == count


def test_words_with_times_are_told_by_their_text_where_the_first_hearing_had_none() -> None:
    spans = [word("Hello,", 0.2, 0.5), word("New York", 0.6, 0.9), word("now", 1.0, 1.2)]
    assert untimed("hello new york").timed(spans) == 2
    assert untimed("hello").timed(spans) == 1
    assert untimed("good bye").timed(spans) == 0
    repetition = untimed("hello new york and more")
    assert repetition.timed(spans[:2]) == 2
    assert not repetition.over
    assert repetition.timed([word("other", 1.0, 1.2)]) == 0
    assert repetition.over


# --- by text ---


@given(st.lists(st.sampled_from(("alpha", "bravo", "charlie", "delta", "echo")), min_size=1, max_size=8), st.data())
def test_what_is_repeated_letter_for_letter_is_taken_off_whole(expected: list[str], data: st.DataObject) -> None:
    repetition = untimed(" ".join(expected))
    left, taken = expected, 0
    while left:  # in several finals
        part = left[: data.draw(st.integers(1, len(left)))]
        assert repetition.text(" ".join(part), final=False) == len(part)
        count = repetition.text(" ".join(part), final=True)
        assert count == len(part)
        taken, left = taken + count, left[count:]
    assert taken == len(expected)
    assert repetition.over


@given(st.lists(st.sampled_from("abcd"), max_size=8), st.lists(st.sampled_from("wxyz"), max_size=8))
def test_nothing_in_common_nothing_taken_off(expected: list[str], heard: list[str]) -> None:
    assert untimed(" ".join(expected)).text(" ".join(heard), final=True) == 0


@given(TEXTS, TEXTS)
def test_no_more_is_taken_off_than_was_heard(expected: str, heard: str) -> None:
    assert 0 <= untimed(expected).text(heard, final=True) <= len(normalised(heard))


@pytest.mark.parametrize(
    ("expected", "heard", "count"),
    [
        ("", "", 0),
        ("", "a b", 0),
        ("a b", "", 0),
        ("a", "a", 1),
        ("a b c", "a b", 2),
        ("a b c", "a b c d", 3),
        ("a b c", "a x c", 0),  # not surely the same: rather heard twice than lost
        ("x a b c", "a b c d", 3),  # the audio of x was not held any more
        ("x a b", "a b", 0),  # two words can be a coincidence
        ("a a a", "a", 1),
        ("Hello, you!", "hello you", 2),
        ("to day", "today and", 1),  # the same letters in other words
        ("twenty one", "21", 0),  # digits say nothing of letters
        ("I scream for all of it", "ice cream for all of it now", 6),
        ("का", "की", 0),  # another vowel sign, another word
        ("你好吗", "你好吗我很好", 3),
    ],
)
def test_what_counts_as_a_repetition(expected: str, heard: str, count: int) -> None:
    assert untimed(expected).text(heard, final=True) == count


def test_an_interim_uses_nothing_up() -> None:
    repetition = untimed("a b c")
    for _ in range(3):
        assert repetition.text("a b", final=False) == 2
    assert repetition.text("a b c", final=True) == 3


def test_the_first_words_may_not_be_heard_where_the_link_begins_in_the_margin() -> None:
    words = [known("a", 99.0, 99.5), Known("b", None, None), Known("c", None, None)]
    assert Repetition(words, UNTIL, whole=False).text("b c", final=True) == 2
    assert Repetition(words, UNTIL, whole=True).text("b c", final=True) == 0


def test_a_word_that_is_cut_at_the_edge_is_the_first_one_whatever_is_left_of_it() -> None:
    assert untimed("hello my friend", whole=False).text("lo my friend", final=True) == 3
    assert untimed("hello", whole=False).text("lo", final=True) == 0  # too little to be sure


# --- one link says it again ---


def test_the_same_words_at_the_same_places_are_said_again() -> None:
    last = [known("a", 1.0, 1.5), known("b", 1.5, 2.0)]
    assert same_again(last, [word("A.", 1.05, 1.55), word("b", 1.6, 2.1)]) == 2
    assert same_again(last, [word("b", 1.5, 2.0), word("c", 2.0, 2.5)]) == 1
    assert same_again(last, [word("c", 2.0, 2.5)]) == 0
    assert same_again(last, [word("a", 1.0, 1.5)]) == 0  # not where it was left
    assert same_again([], [word("a", 1.0, 1.5)]) == same_again(last, []) == 0


def test_a_short_word_said_twice_in_a_row_is_two() -> None:
    assert same_again([known("no", 1.0, 1.2)], [word("no", 1.22, 1.42)]) == 0
    assert same_again([known("no", 1.0, 1.2)], [word("no", 1.05, 1.25)]) == 1


@given(sentences(), st.integers(0, 10))
def test_a_final_that_comes_twice_is_known_whole(spans: list[tuple[str, float, float]], more: int) -> None:
    last = [known(*span) for span in spans]
    assert same_again(last, [word(*span) for span in spans]) == len(spans)
    end = spans[-1][2]
    after = [word("new", end + 0.3 * at, end + 0.3 * at + 0.2) for at in range(1, more + 1)]
    assert same_again(last, [*(word(*span) for span in spans), *after]) == len(spans)
    assert same_again(last, after) == 0


# --- words of a text ---


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n", []),
        ("Hello, World!", ["hello", "world"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("it's 5%", ["its", "5"]),
        ("wait - no", ["wait", "", "no"]),
        ("नमस्ते।", ["नमस्ते"]),
        ("की का के को", ["की", "का", "के", "को"]),
        ("மா மி", ["மா", "மி"]),
        ("你好 ok", ["你", "好", "ok"]),
    ],
)
def test_words_without_case_and_punctuation(text: str, words: list[str]) -> None:
    assert normalised(text) == words


@given(TEXTS, st.integers(0, 12))
def test_the_first_words_go_and_the_rest_stays_as_it_was(text: str, count: int) -> None:
    rest = without_words(text, count)
    assert text.endswith(rest)
    assert rest.split() == text.split()[count:]
    assert normalised(rest) == normalised(text)[count:]


def test_all_of_the_words_or_more() -> None:
    assert without_words(" a, b. ", 0) == " a, b. "
    assert without_words("a, b.", 1) == "b."
    assert without_words("a, b.", 2) == without_words("a, b.", 3) == without_words("", 0) == ""
