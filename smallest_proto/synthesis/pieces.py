"""A text cut into pieces of the size that the service takes, at the ends of sentences, where it is not heard."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

PIECE = 250  # characters of one request: the vendor's advice, and what its own SDK sends at a time

# The best place first: the end of a sentence, a clause, a word. Scripts without blanks have their own signs.
_ENDS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?<![.!?…।])[.!?…।]+[\"'”’»)\]]*\s+|[。！？]+[”’」』）]*\s*",
        r"(?<![,;:—–])[,;:—–]+[\"'”’»)\]]*\s+|[，、；：]+(?!\d)\s*",
        r"[^\S\u00a0\u2007\u202f]+",
    )
)
# "Dr. ", "e.g. ", "J. ": not the end of a sentence, or of a very short one, where another place will do.
_ABBREVIATION = re.compile(r"(?<![^\s(\"“])(?:[A-Z][a-z]{0,3}|[a-z](?:\.[a-z])*)\.\s+\Z")
_LONGEST = 12  # characters of such an abbreviation, or of a letter with all its marks


def pieces_of(text: str, *, within_words: bool = False) -> Iterator[str]:
    """The text in pieces of whole sentences, as many as fit in 250 characters.

    A sentence that is longer is cut at the end of a clause, or between two words. A word that is longer is a piece of
    its own, or with ``within_words`` cut as well. Together the pieces are the text.
    """
    at = 0
    while len(text) - at > PIECE:
        end = _end(text, at, within_words=within_words)
        yield text[at:end]
        at = end
    if at < len(text):
        yield text[at:]


def _end(text: str, start: int, *, within_words: bool) -> int:
    most = start + PIECE
    for ends in _ENDS:
        places = [match.end() for match in ends.finditer(text, start, most)]
        for end in reversed(places):
            if _ABBREVIATION.search(text, max(start, end - _LONGEST), end) is None:
                return end
    if not within_words:
        match = _ENDS[-1].search(text, most)
        return len(text) if match is None else match.end()
    for end in range(most, most - _LONGEST, -1):
        if unicodedata.category(text[end])[0] != "M":  # else it belongs to the letter before it
            return end
    return most
