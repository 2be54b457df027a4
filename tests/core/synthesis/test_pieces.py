"""Where a long text is cut: at the best place there is, and nothing of it is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.synthesis.pieces import PIECE, pieces_of
from smallest_proto.synthesis.script import Script

SENTENCE = "The river rose in the night, and nobody slept. "  # 47 characters


@given(st.text(alphabet="ab A.,!?。，\n\u00a0\u0301👍", max_size=40).map(lambda text: text * 20), st.booleans())
def test_the_pieces_are_the_text(text: str, within_words: bool) -> None:
    pieces = list(pieces_of(text, within_words=within_words))
    assert "".join(pieces) == text
    assert all(pieces)
    for piece in pieces:
        words = piece.replace("\u00a0", "-").split()
        assert len(piece) <= PIECE or (not within_words and len(words) <= 1)


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        (SENTENCE * 6, [47 * 5, 47]),
        ("x" * 100 + ". " + "y" * 200 + ".", [102, 201]),
        ("我们走吧。" * 60, [250, 50]),
        ("x" * 100 + ", " + "y " * 100, [102, 200]),
        ("He met Dr. " + "x" * 238 + " and left.", [250, 9]),
        ("word " * 60, [250, 50]),
        ("x" * 600, [250, 250, 100]),
        ("e\u0301" * 130, [250, 10]),
        ("x" + "e\u0301" * 130, [249, 12]),
    ],
    ids=lambda value: str(value)[:12],
)
def test_the_best_place(text: str, lengths: list[int]) -> None:
    assert [len(piece) for piece in pieces_of(text, within_words=True)] == lengths


@pytest.mark.parametrize("abbreviation", ["Dr. ", "e.g. ", "J. ", "St. "])
def test_an_abbreviation_ends_no_sentence(abbreviation: str) -> None:
    text = f"{SENTENCE * 4}so {abbreviation}{'x' * 60}."
    assert next(pieces_of(text)) == SENTENCE * 4


@pytest.mark.parametrize("text", [SENTENCE * 20, "no end " * 100, "x" * 900 + " y"], ids=["sentences", "words", "word"])
def test_a_socket_is_sent_no_more_at_once(text: str) -> None:
    script = Script()
    script.add(text)
    script.close()
    sent = list(script.fragments())
    assert "".join(sent) == text
    assert all(len(piece) <= PIECE for piece in sent) or sent == ["x" * 900 + " ", "y"]
    assert all(piece[-1].isspace() for piece in sent[:-1]), "no word is cut"
