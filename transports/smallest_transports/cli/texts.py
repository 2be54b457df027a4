"""The text to speak: as typed or piped in, checked before any of it is sent, in pieces that one request takes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from smallest_proto.checks import is_encodable
from smallest_proto.server.synthesiser import sentence_end
from smallest_proto.synthesis.script import Script

from .problems import WrongUse

PIECE = 250  # characters of one request: what the vendor's own SDK sends at a time, so that speech begins soon


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
    if _wordless(text):
        raise WrongUse("the text holds nothing that can be said: no words, no numbers")
    if local:
        from smallest_transports.local.synthesiser import check_sayable

        check_sayable(text)
    return text


def pieces_of(text: str) -> list[str]:
    """The text in pieces of whole sentences, as many as fit in ``PIECE`` characters, without what makes no sound.

    A sentence that is longer is cut between two words.
    """
    return [piece for piece in _cut(text) if not _wordless(piece)]


def _cut(text: str) -> Iterator[str]:
    at = 0
    while len(text) - at > PIECE:
        window = text[at : at + PIECE]
        size = sentence_end(window) or _whole_words(window) or PIECE
        yield window[:size]
        at += size
    yield text[at:]


def _whole_words(text: str) -> int:
    script = Script()
    script.text = text
    return len(next(script.fragments(), ""))


def _wordless(text: str) -> bool:
    script = Script()
    script.text = text
    return script.wordless(0)


def _standard_input() -> str:
    if sys.stdin.isatty():
        raise WrongUse("standard input is a terminal: pipe text into it, or type the text in place of '-'")
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WrongUse("standard input is no UTF-8 text: convert it first") from None
