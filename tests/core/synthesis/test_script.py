"""The text of a segment: what goes out is what was given, in whole words; what was spoken is known to the letter."""

from __future__ import annotations

import re

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
    sent = "".join(out)
    assert text.startswith(sent)
    rest = Script()
    rest.text = text[len(sent) :]
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
    ends = [script.follow(word).end for word in ("Well,", "the", "$5", "the", "end.")]
    assert [script.text[:end] for end in ends if end is not None] == [
        '"Well,',
        '"Well, the',
        '"Well, the $5',
        '"Well, the $5 - the,',
        '"Well, the $5 - the, end."',
    ]
    assert script.wordless(script.timed)


def follow(text: str, told: str) -> list[str]:
    """How far the text is known to be spoken after each word that is told of."""
    script = sent(text)
    places = [script.follow(word) for word in told.split()]
    return ["" if place.end is None else script.text[: place.end] for place in places]


@pytest.mark.parametrize(
    ("text", "told", "known"),
    [
        ("Pay $5 for it now.", "Pay five dollars for it now.", [0, 0, 0, 0, "Pay $5 for it", "Pay $5 for it now."]),
        ("At 24/7 st. on it.", "At twenty four seven street on it.", [0, 0, 0, 0, 0, 0, "At 24/7 st. on it."]),
        ("Room 5, or five?", "Room five or five?", [0, 0, 0, "Room 5, or five?"]),
        ("Say $5 dollars more.", "Say five dollars dollars more.", [0, 0, 0, 0, "Say $5 dollars more."]),
        ("共￥5元。好的", "共 五 元 好 的", [0, 0, 0, "共￥5元。好", "共￥5元。好的"]),
        ("I'm at home", "I am at home", [0, 0, 0, "I'm at home"]),
        ("No. 1 2 3 4 5 6 7 8 9 10 at", "No. nine at", ["No.", 0, 0]),
        ("the one and the other", "the other", ["the", 0]),
    ],
    ids=str,
)
def test_after_a_rewritten_word_two_words_in_a_row_are_a_place_again(
    text: str, told: str, known: list[str | int]
) -> None:
    first = text[: len(told.split()[0])]
    assert follow(text, told) == [first, *(place or "" for place in known[1:])]


def test_a_rewritten_word_is_forgotten_with_its_link() -> None:
    script = sent("the $1 and the other")
    assert script.follow("the").end == 3
    assert script.follow("one").end is None
    script.spoken = 3
    script.restart()
    assert (script.begin, script.timed) == (3, 3)
    assert list(script.fragments()) == [" $1 and the other"]
    assert script.follow("$1").end == 6


@pytest.mark.parametrize(
    "text",
    [
        "你好，我是你的助手。",
        "Wait—really?  Well …",
        "«Non !» dit-il\n- oui.",
        "(a) b/c, d... e",
        "  今天 10：30， ok？",
    ],
)
def test_words_as_they_are_written_are_the_text(text: str) -> None:
    script = sent(text)
    words = re.findall(r"[\u4e00-\u9fff]|[\w：]+", text)
    assert "".join(script.follow(word).written for word in words) == text[: script.timed]
    assert script.all_timed


@pytest.mark.parametrize(
    ("text", "told", "written"),
    [
        ("It is $5 — right?", "It is five dollars right?", "It is five dollars right?"),
        (
            "Dr. Wu, come at 3:30 sharp.",
            "doctor Wu come at three thirty sharp",
            "doctor Wu, come at three thirty sharp.",
        ),
        ("共￥5元", "共 五 元", "共五元"),
    ],
)
def test_a_rewritten_word_is_written_as_it_is_said(text: str, told: str, written: str) -> None:
    script = sent(text)
    assert "".join(script.follow(word).written for word in told.split()) == written


@given(
    st.text(alphabet="a1$ .你", max_size=12), st.lists(st.text(alphabet="a1$.你", min_size=1, max_size=3), max_size=12)
)
def test_words_that_are_told_go_forward_within_the_text(text: str, told: list[str]) -> None:
    script = Script()
    script.add(text)
    script.close()
    list(script.fragments())
    last = 0
    for word in told:
        end = script.follow(word).end
        if end is not None:
            assert last < end <= script.sent
            assert text[last:end].rstrip(".").endswith(word.rstrip(".")) or word in text[last:end]
            last = end


def test_what_was_sent_is_counted() -> None:
    script = sent("One. Two? Dr. Three")
    assert script.untimed == len("OneTwoDrThree")
    assert sent("你好 a").untimed == 7
