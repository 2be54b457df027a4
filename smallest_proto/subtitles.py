"""A transcript -> subtitles that can be read: two short lines, cut where the speaker pauses, as SRT or WebVTT."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from .reading import Utterance, Word

LINE_COLUMNS = 42  # what television and the web agree on; a wide character (Chinese, Japanese, Korean) counts as two
MAX_LINES = 2
PAUSE = 0.7  # seconds of silence that end a cue
MAX_SECONDS = 7.0  # of speech in one cue
SHOWN_SECONDS = 1.2  # a short cue stays that long, if the next one leaves it the time
_SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！", "।")
_CLAUSE_ENDS = (*_SENTENCE_ENDS, ",", ";", ":", "—", "、", "，")
_CLOSERS = "\"'”’»)]」』"
_SHORT_SENTENCE = 20  # columns: "Yes." does not need a cue of its own
_WITHOUT_SPACES = ("zh", "yue", "ja")  # languages whose script puts nothing between words
_SECONDS_A_CHARACTER = 0.07  # of English speech: for text of which no time at all is known


class Transcript(Protocol):
    """What was said, with the times that are known: seconds."""

    @property
    def text(self) -> str: ...
    @property
    def words(self) -> tuple[Word, ...]: ...
    @property
    def utterances(self) -> tuple[Utterance, ...]: ...
    @property
    def language(self) -> str | None: ...
    @property
    def duration(self) -> float | None: ...


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


def to_srt(transcript: Transcript) -> str:
    """Subtitles in SubRip's format."""
    return "".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{_lines(cue)}\n"
        for number, cue in enumerate(cues_of(transcript), 1)
    )


def to_vtt(transcript: Transcript) -> str:
    """Subtitles in WebVTT."""
    cues = (
        f"\n{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_escaped(_lines(cue))}" for cue in cues_of(transcript)
    )
    return "".join(("WEBVTT\n", *cues))


def cues_of(transcript: Transcript) -> list[Cue]:
    """The cues of a transcript, whatever the service left out of it."""
    return make_cues(timed_words(transcript), "" if transcript.language in _WITHOUT_SPACES else " ")


def _clock(milliseconds: int, point: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{milliseconds:03}"


def _lines(cue: Cue) -> str:
    return "".join(f"{line}\n" for line in cue.lines)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


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


def timed_words(transcript: Transcript) -> list[TimedWord]:
    """The words with times in order, whatever the service left out.

    Words without times lie between their neighbours; text without words is spread over its utterance or the file.
    """
    if any(word.start is not None or word.end is not None for word in transcript.words):
        return _settle([(word.text, word.start, word.end) for word in transcript.words])
    if any(utterance.start is not None for utterance in transcript.utterances):
        settled = _settle([(said.text, said.start, said.end) for said in transcript.utterances])
        return [word for said in settled for word in _spread(said.text, said.start, said.end)]
    text = transcript.text or " ".join(word.text for word in transcript.words)
    lasting = transcript.duration
    if lasting is None or not _is_time(lasting) or not lasting:
        lasting = len(text) * _SECONDS_A_CHARACTER
    return _spread(text, 0.0, lasting)


def _settle(pieces: Sequence[tuple[str, float | None, float | None]]) -> list[TimedWord]:
    # Where the next known start is, from behind: an unknown end reaches up to it.
    following: list[float | None] = [None]
    for _, start, _ in reversed(pieces):
        following.append(start if _is_time(start) else following[-1])
    following.reverse()
    settled: list[TimedWord] = []
    clock = 0.0
    for (text, start, end), limit in zip(pieces, following[1:], strict=True):
        begin = max(clock, start) if start is not None and _is_time(start) else clock
        stop = end if end is not None and _is_time(end) else limit
        clock = max(begin, stop) if stop is not None else begin
        text = " ".join(text.split())
        if text:
            settled.append(TimedWord(text, begin, clock))
    return settled


def _is_time(seconds: float | None) -> bool:
    return seconds is not None and math.isfinite(seconds) and seconds >= 0


def _spread(text: str, start: float, end: float) -> list[TimedWord]:
    """Words over a stretch of time, each as long as its share of the letters."""
    texts = text.split()
    letters = sum(map(len, texts))
    spread: list[TimedWord] = []
    before = 0
    for word in texts:
        at, before = before, before + len(word)
        spread.append(TimedWord(word, start + (end - start) * at / letters, start + (end - start) * before / letters))
    return spread
