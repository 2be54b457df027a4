"""The text to speak: where it comes from, what of it cannot be spoken, and how a long one is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import ConfigurationError
from smallest_proto.synthesis.pieces import PIECE
from smallest_transports.cli.problems import WrongUse
from smallest_transports.cli.texts import given_text, pieces_of

SENTENCE = "It was the best of times, it was the worst of times. "  # 53 characters


def test_words_that_were_typed_are_a_text() -> None:
    assert given_text(["Hello", "there,  you"], local=False) == "Hello there,  you"


def test_a_minus_among_words_is_a_minus() -> None:
    assert given_text(["ten", "-", "two"], local=False) == "ten - two"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the text is empty"),
        (" \n", "the text is empty"),
        ("... — 🙂!", "nothing that can be said"),
        ("secret caf\udce9", "the text is no UTF-8"),
    ],
)
def test_what_cannot_be_spoken_is_said_and_not_repeated(text: str, said: str) -> None:
    with pytest.raises(WrongUse, match=said) as caught:
        given_text([text], local=False)
    assert "secret" not in caught.value.message


def test_the_local_voice_speaks_english_alone() -> None:
    assert given_text(["Здравствуйте"], local=False) == "Здравствуйте"
    with pytest.raises(ConfigurationError, match="English alone"):
        given_text(["Здравствуйте"], local=True)


def test_a_short_text_stays_whole() -> None:
    assert pieces_of(SENTENCE * 2) == [SENTENCE * 2]


def test_a_long_text_is_cut_between_sentences() -> None:
    assert pieces_of(SENTENCE * 10) == [SENTENCE * 4, SENTENCE * 4, SENTENCE * 2]


def test_a_long_sentence_is_cut_between_words_and_a_long_word_anywhere() -> None:
    words = "never " * 100
    pieces = pieces_of(words)
    assert all(piece.startswith("never") and piece.endswith("never ") for piece in pieces)
    assert "".join(pieces) == words
    assert [len(piece) for piece in pieces_of("a" * (2 * PIECE + 1))] == [PIECE, PIECE, 1]


def test_what_makes_no_sound_is_not_sent() -> None:
    rule = f"{'*' * 70}\n" * 9
    assert "".join(pieces_of(f"{SENTENCE * 4}{rule}")).startswith(SENTENCE * 4)
    assert len(pieces_of(f"{SENTENCE * 4}{rule}")) == 1


@given(st.text(st.sampled_from("ab. !?।。\n"), max_size=2000))
def test_no_word_is_lost_and_no_piece_is_too_long(text: str) -> None:
    pieces = pieces_of(text)
    assert all(0 < len(piece) <= PIECE for piece in pieces)
    letters = str.maketrans("", "", ". !?।。\n")
    assert "".join(pieces).translate(letters) == text.translate(letters)
