"""The text of a segment: what goes out is what was given, in whole words; what was spoken is known to the letter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.synthesis.script import Script

pieces = st.lists(st.text(alphabet="ab1 \n\t.,!?-'é你。\u00a0", max_size=6), max_size=20)


def fragments(given_pieces: list[str]) -> list[str]:
    script = Script()
    out = []
    for piece in given_pieces:
        script.text += piece
        out += list(script.fragments())
    script.closed = True
    return [*out, *script.fragments()]


@given(pieces)
def test_no_word_is_lost_or_split(given_pieces: list[str]) -> None:
    text, out = "".join(given_pieces), fragments(given_pieces)
    said = "".join(out)
    assert text.startswith(said)
    rest = Script()
    rest.text = text[len(said) :]
    assert rest.wordless(0), "what is not sent at the end is no word"
    for part in out[:-1]:
        assert part[-1].isspace() or part[-1] in "。"
        assert part[-1] != "\u00a0"
    assert all(map(str.strip, out))


@pytest.mark.parametrize(
    ("given_pieces", "expected"),
    [
        (["Hel", "lo ", "there"], ["Hello ", "there"]),
        (["  ", "\n"], []),
        (["...", " - "], []),
        ([" - ", "yes"], [" - yes"]),
        (["你好。", "世界"], ["你好。", "世界"]),
        (["在10：", "30，我有3，", "000", "个。"], ["在10：30，我有3，000个。"]),
        (["10\u00a0", "000 km"], ["10\u00a0000 ", "km"]),
        (["Ça va ", "?"], ["Ça va ", "?"]),
        (["Yes. ", "—"], ["Yes. "]),
        (["$", "5 "], ["$5 "]),
    ],
)
def test_where_text_is_cut(given_pieces: list[str], expected: list[str]) -> None:
    assert fragments(given_pieces) == expected


def sent(text: str) -> Script:
    script = Script()
    script.text, script.closed = text, True
    assert list(script.fragments()) == [text]
    return script


def test_words_are_followed_through_the_text() -> None:
    script = sent('"Well, the $5 - the, end."')
    ends = [script.follow(word) for word in ("Well,", "the", "$5", "the", "end.")]
    assert [script.text[:end] for end in ends if end is not None] == [
        '"Well,',
        '"Well, the',
        '"Well, the $5',
        '"Well, the $5 - the,',
        '"Well, the $5 - the, end."',
    ]
    assert script.wordless(script.told)


def test_a_word_that_is_not_the_next_one_proves_nothing() -> None:
    script = sent("the one and the other")
    assert script.follow("the") == 3
    assert script.follow("and") is None, "one was skipped"
    assert script.astray
    assert script.follow("one") is None
    script.spoken = 3
    script.restart()
    assert (script.begin, script.told, script.astray) == (3, 3, False)


def test_what_was_sent_is_counted() -> None:
    script = sent("One. Two? Dr. Three")
    assert script.sentences == 4  # "Dr." counts: the wait is longer then, never shorter
    assert sent("One.").sentences == 1
    assert sent("你好。世界！").sentences == 2
    assert sent('He said "no." Then').sentences == 2
    assert sent("3.5 million").sentences == 1
    assert script.untold == len("OneTwoDrThree")
    assert sent("你好 a").untold == 7
