"""What a new link hears again of finals that had no word times, and how it is taken off.

Without word times the watermark stays where it is known to be, so a new link starts before what was finalised already.
Rather heard twice than lost: only what is surely the same is taken off.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_words = re.compile(r"\S+")
_SURE = 3  # so many words in a row are no coincidence


def normalised(text: str) -> list[str]:
    """The words of ``text`` without case and punctuation, which two recognitions of the same audio need not share."""
    return ["".join(c for c in word if c.isalnum()).casefold() for word in _words.findall(text)]


def overlap(expected: Sequence[str], heard: Sequence[str]) -> tuple[int, int]:
    """How ``heard`` repeats ``expected``: how many words of it do, and how many of ``expected`` are done with.

    They match from the first expected word on, as a link that starts at the watermark hears it; or, where the audio
    before was not held any more, from a later one on with at least three words.
    """
    for skipped in range(len(expected)):
        length = min(len(expected) - skipped, len(heard))
        if (skipped == 0 or length >= _SURE) and list(expected[skipped : skipped + length]) == list(heard[:length]):
            return length, skipped + length
    return 0, len(expected)


def without_words(text: str, count: int) -> str:
    """``text`` without its first ``count`` words."""
    words = list(_words.finditer(text))
    return text[words[count].start() :] if count < len(words) else ""
