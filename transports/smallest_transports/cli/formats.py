"""A transcript as text, JSON, SRT or WebVTT."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

from smallest_proto.reading import Utterance, Word
from smallest_proto.subtitles import to_srt, to_vtt
from smallest_proto.values import Value

SUFFIXES = {"text": ".txt", "json": ".json", "srt": ".srt", "vtt": ".vtt"}


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
    return to_srt(transcript)


def _vtt(transcript: Transcript, headed: bool) -> str:  # noqa: ARG001
    return to_vtt(transcript)


_FORMATS: dict[str, Callable[[Transcript, bool], str]] = {"text": _text, "json": _json, "srt": _srt, "vtt": _vtt}
