"""What a new link repeats is taken off; of anything else, not a word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.transcription.repetition import normalised, overlap, without_words

WORDS = st.lists(st.sampled_from("abcd"), max_size=8)
TEXTS = st.text(st.sampled_from("aB é9.,!-।  \t\n"), max_size=30)


@given(WORDS, WORDS)
def test_it_takes_off_no_more_than_was_heard_and_only_what_is_the_same(expected: list[str], heard: list[str]) -> None:
    repeated, done = overlap(expected, heard)
    assert 0 <= repeated <= len(heard)
    assert repeated <= done <= len(expected)
    assert heard[:repeated] == expected[done - repeated : done] or repeated == 0


@given(WORDS, WORDS)
def test_nothing_in_common_nothing_taken_off(expected: list[str], heard: list[str]) -> None:
    other = [word.upper() for word in heard]
    repeated, _ = overlap(expected, other)
    assert repeated == 0


@given(WORDS, WORDS)
def test_what_is_repeated_exactly_is_taken_off_whole(expected: list[str], more: list[str]) -> None:
    assert overlap(expected, [*expected, *more]) == (len(expected), len(expected))


@given(WORDS, st.data())
def test_a_repetition_in_several_finals_is_taken_off_whole(expected: list[str], data: st.DataObject) -> None:
    left, taken = expected, 0
    while left:
        part = left[: data.draw(st.integers(1, len(left)))]
        repeated, done = overlap(left, part)
        assert repeated == len(part)
        taken, left = taken + repeated, left[done:]
    assert taken == len(expected)


@pytest.mark.parametrize(
    ("expected", "heard", "result"),
    [
        ("", "", (0, 0)),
        ("", "a b", (0, 0)),
        ("a b", "", (0, 0)),
        ("a", "a", (1, 1)),
        ("a b c", "a b", (2, 2)),
        ("a b c", "a b c d", (3, 3)),
        ("a b c", "a x c", (0, 3)),  # not surely the same: rather heard twice than lost
        ("x a b c", "a b c d", (3, 4)),  # the audio of x was not held any more
        ("x a b", "a b", (0, 3)),  # two words can be a coincidence
        ("x a b", "a b c", (0, 3)),
        ("x y a b c d", "a b c", (3, 5)),
        ("a a a", "a", (1, 1)),
    ],
)
def test_what_counts_as_a_repetition(expected: str, heard: str, result: tuple[int, int]) -> None:
    assert overlap(expected.split(), heard.split()) == result


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n", []),
        ("Hello, World!", ["hello", "world"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("it's 5%", ["its", "5"]),
        ("wait - no", ["wait", "", "no"]),
        ("नमस्ते।", normalised("नमस्ते")),
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
    assert without_words(" a, b. ", 0) == "a, b. "
    assert without_words("a, b.", 1) == "b."
    assert without_words("a, b.", 2) == without_words("a, b.", 3) == without_words("", 0) == ""
