"""A transcript as text, JSON, SRT or WebVTT."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from smallest_proto.reading import Utterance, Word
from smallest_proto.values import Value

from .cues import TimedWord, make_cues

SUFFIXES = {"text": ".txt", "json": ".json", "srt": ".srt", "vtt": ".vtt"}
_WITHOUT_SPACES = ("zh", "yue", "ja")  # languages whose script puts nothing between words
_SECONDS_A_CHARACTER = 0.07  # of English speech: for text of which no time at all is known


class Transcript(Value, frozen=True, kw_only=True):
    """One file's transcript, however it was made. Times are seconds of the file."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset(("text", "words", "utterances"))

    name: str  # as the user gave it
    text: str
    words: tuple[Word, ...] = ()
    utterances: tuple[Utterance, ...] = ()
    language: str | None = None
    duration: float | None = None  # seconds
    request_id: str | None = None  # the service's name for the request, for its support


def render(transcript: Transcript, format: str, *, headed: bool = False) -> str:
    """The transcript in one of the formats of ``SUFFIXES``, ending with a line end; ``headed``: its name above text."""
    return _FORMATS[format](transcript, headed)


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
    return _spread(text, 0.0, transcript.duration or len(text) * _SECONDS_A_CHARACTER)


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


def _text(transcript: Transcript, headed: bool) -> str:
    heading = f"==> {transcript.name} <==\n" if headed else ""
    return f"{heading}{transcript.text}\n"


def _json(transcript: Transcript, headed: bool) -> str:  # noqa: ARG001 - its name is in it, headed or not
    """One line, so that the output of several files is JSON Lines."""
    fields: dict[str, Any] = {
        "file": transcript.name,
        "text": transcript.text,
        "language": transcript.language,
        "duration": transcript.duration,
        "request_id": transcript.request_id,
        "words": [_fields(word, "word") for word in transcript.words],
        "utterances": [_fields(utterance, "text") for utterance in transcript.utterances],
    }
    return json.dumps({name: value for name, value in fields.items() if value is not None}, ensure_ascii=False) + "\n"


def _fields(value: Word | Utterance, text_name: str) -> dict[str, Any]:
    """The fields that are known, under the names that the service uses."""
    known = {name: getattr(value, name) for name in value.__struct_fields__ if getattr(value, name) is not None}
    return {text_name if name == "text" else name: known[name] for name in known}


def _srt(transcript: Transcript, headed: bool) -> str:  # noqa: ARG001
    return _subtitles(transcript, "srt", str)


def _vtt(transcript: Transcript, headed: bool) -> str:  # noqa: ARG001
    return _subtitles(transcript, "vtt", _escape_vtt)


def _escape_vtt(line: str) -> str:
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _subtitles(transcript: Transcript, format: str, escape: Callable[[str], str]) -> str:
    import pysubs2

    separator = "" if transcript.language in _WITHOUT_SPACES else " "
    subtitles = pysubs2.SSAFile()
    for cue in make_cues(timed_words(transcript), separator):
        # pysubs2 takes a backslash for one of its own marks; speech has none, so one that looks alike will do.
        lines = [escape(line.replace("\\", "⧵")) for line in cue.lines]
        subtitles.append(pysubs2.SSAEvent(start=cue.start, end=cue.end, text=r"\N".join(lines)))
    return subtitles.to_string(format, keep_ssa_tags=True)  # braces are text here, not marks


_FORMATS: dict[str, Callable[[Transcript, bool], str]] = {"text": _text, "json": _json, "srt": _srt, "vtt": _vtt}
