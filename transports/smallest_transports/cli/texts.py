"""The text to speak: as typed or piped in, checked before any of it is sent, in pieces that one request takes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from smallest_proto.checks import is_encodable
from smallest_proto.synthesis import pieces
from smallest_proto.synthesis.script import NOTHING_TO_SAY, says_something

from .problems import WrongUse


def given_text(words: Sequence[str], *, local: bool) -> str:
    """The words that were typed, or what comes over standard input where they are ``-``.

    Raises ``WrongUse`` for what cannot be spoken, and ``ConfigurationError`` for what the ``local`` server cannot
    speak; neither repeats it.
    """
    text = _standard_input() if tuple(words) == ("-",) else " ".join(words)
    if not is_encodable(text):  # arguments are bytes: those that are no UTF-8 come as lone surrogates
        raise WrongUse("the text is no UTF-8: check the encoding of the terminal")
    if not text.strip():
        raise WrongUse("the text is empty: there is nothing to say")
    if not says_something(text):
        raise WrongUse(NOTHING_TO_SAY)
    if local:
        from smallest_transports.local.synthesiser import check_sayable

        check_sayable(text)
    return text


def pieces_of(text: str) -> list[str]:
    """The text in pieces for one request each, without those that make no sound."""
    return [piece for piece in pieces.pieces_of(text, within_words=True) if says_something(piece)]


def _standard_input() -> str:
    if sys.stdin.isatty():
        raise WrongUse("standard input is a terminal: pipe text into it, or type the text in place of '-'")
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WrongUse("standard input is no UTF-8 text: convert it first") from None
