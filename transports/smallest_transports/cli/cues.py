"""Words with times -> subtitle cues that can be read: two short lines, cut where the speaker pauses.

Pure: no file format is known here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

LINE_COLUMNS = 42  # what television and the web agree on; a wide character (Chinese, Japanese, Korean) counts as two
MAX_LINES = 2
PAUSE = 0.7  # seconds of silence that end a cue
MAX_SECONDS = 7.0  # of speech in one cue
SHOWN_SECONDS = 1.2  # a short cue stays that long, if the next one leaves it the time
_SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！", "।")
_CLAUSE_ENDS = (*_SENTENCE_ENDS, ",", ";", ":", "—", "、", "，")
_CLOSERS = "\"'”’»)]」』"
_SHORT_SENTENCE = 20  # columns: "Yes." does not need a cue of its own


class TimedWord(NamedTuple):
    """A word and when it was said: seconds, ``start <= end``, never before the end of the word before it."""

    text: str
    start: float
    end: float


class Cue(NamedTuple):
    """What is shown from ``start`` until ``end`` (milliseconds, ``start < end``)."""

    start: int
    end: int
    lines: tuple[str, ...]


def make_cues(words: Sequence[TimedWord], separator: str = " ") -> list[Cue]:
    """Every word once, in order, in cues that do not overlap.

    A line is at most 42 columns wide, unless it is one single word that is wider. ``separator`` stands between words:
    empty for scripts that have none.
    """
    groups = list(_groups(words, separator))
    cues: list[Cue] = []
    free = 0  # milliseconds: the end of the cue before
    for at, group in enumerate(groups):
        start = max(free, round(group[0].start * 1000))
        end = round(group[-1].end * 1000)
        shown = start + round(SHOWN_SECONDS * 1000)
        if at + 1 < len(groups):
            shown = min(shown, round(groups[at + 1][0].start * 1000))
        free = max(start + 1, end, shown)
        cues.append(Cue(start, free, _wrap([word.text for word in group], separator)))
    return cues


def _groups(words: Sequence[TimedWord], separator: str) -> Iterator[list[TimedWord]]:
    group: list[TimedWord] = []
    for word in words:
        if group and _ends_before(group, word, separator):
            yield group
            group = []
        while group and not _fits([*(held.text for held in group), word.text], separator):
            cut = _best_cut(group, separator)
            yield group[:cut]
            group = group[cut:]
        group.append(word)
    if group:
        yield group


def _ends_before(group: list[TimedWord], word: TimedWord, separator: str) -> bool:
    if word.start - group[-1].end >= PAUSE or word.end - group[0].start > MAX_SECONDS:
        return True
    columns = _columns(separator.join(held.text for held in group))
    return _ends_with(group[-1].text, _SENTENCE_ENDS) and columns >= _SHORT_SENTENCE


def _best_cut(group: list[TimedWord], separator: str) -> int:
    """How many words of a full cue to show: up to its last clause, if that is half of it; else all."""
    half = _columns(separator.join(word.text for word in group)) / 2
    for cut in range(len(group), 0, -1):
        if _columns(separator.join(word.text for word in group[:cut])) < half:
            break
        if _ends_with(group[cut - 1].text, _CLAUSE_ENDS):
            return cut
    return len(group)


def _fits(texts: list[str], separator: str) -> bool:
    lines, line = 1, texts[0]
    for text in texts[1:]:
        longer = line + separator + text
        if _columns(longer) <= LINE_COLUMNS:
            line = longer
        else:
            lines, line = lines + 1, text
    return lines <= MAX_LINES


def _wrap(texts: list[str], separator: str) -> tuple[str, ...]:
    """One line if it is short enough; else two, as equal as can be."""
    whole = separator.join(texts)
    if _columns(whole) <= LINE_COLUMNS or len(texts) == 1:
        return (whole,)
    # A line too wide is only taken where no cut avoids it: beside a single word that is too wide itself.
    splits = ((separator.join(texts[:cut]), separator.join(texts[cut:])) for cut in range(1, len(texts)))
    return min(splits, key=lambda lines: _badness(lines, separator))


def _badness(lines: tuple[str, str], separator: str) -> tuple[int, int]:
    too_wide = sum(_columns(line) > LINE_COLUMNS and separator in line for line in lines)
    return too_wide, max(map(_columns, lines))


def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _ends_with(text: str, marks: tuple[str, ...]) -> bool:
    return text.rstrip(_CLOSERS).endswith(marks)
