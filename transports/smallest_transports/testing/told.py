"""What an application was told, from whoever told it: the core, LiveKit, or somebody who has the texts alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, get_args

from smallest_proto.http.files import FileTranscript
from smallest_proto.reading import Word
from smallest_proto.transcription.events import (
    AudioLost,
    Event,
    FinalTranscript,
    InterimTranscript,
    SpeechEnded,
    SpeechStarted,
)

_EVENTS = get_args(Event)
# The types of LiveKit's SpeechEvent, by their values: the framework itself is not needed.
_LIVEKIT = {
    "interim_transcript": "interim",
    "preflight_transcript": "interim",
    "final_transcript": "final",
    "start_of_speech": "started",
    "end_of_speech": "ended",
}


class Told(NamedTuple):
    """One thing that was told. Times are seconds of the stream, ``None`` where they are not known."""

    kind: str  # final, interim, started, ended, lost, else
    event: object = None
    text: str = ""
    words: tuple[Word, ...] = ()
    start: float | None = None
    end: float | None = None
    inferred: bool = False  # a start that no detector heard
    provisional: bool = False
    may_repeat: bool = False


def read(events: str | Iterable[Any]) -> list[Told]:
    """Read events: those of the core, of LiveKit, finals as plain texts; each alone, or as ``(time, event)``.

    Raises ``TypeError`` for what is none of them.
    """
    if isinstance(events, str):
        events = [events]
    return [told for event in events for told in _read(event)]


def _read(event: Any) -> Iterator[Told]:
    if isinstance(event, tuple) and len(event) == 2 and isinstance(event[0], (int, float)):
        event = event[1]
    if isinstance(event, str):
        yield Told("final", event, event)
    elif isinstance(event, FileTranscript):
        yield Told("final", event, event.text, event.words)
    elif isinstance(event, FinalTranscript):
        start, end = event.start, event.end
        more = {"provisional": event.provisional, "may_repeat": event.may_repeat}
        yield Told("final", event, event.text, event.words, start, end, **more)
    elif isinstance(event, InterimTranscript):
        yield Told("interim", event, event.text, (), event.start, event.end)
    elif isinstance(event, SpeechStarted):
        yield Told("started", event, start=event.time, inferred=event.inferred)
    elif isinstance(event, SpeechEnded):
        yield Told("ended", event, start=event.time)
    elif isinstance(event, AudioLost):
        yield Told("lost", event, start=event.start, end=event.end)
    elif isinstance(event, _EVENTS):
        yield Told("else", event)
    elif hasattr(event, "type") and hasattr(event, "alternatives"):
        yield _of_livekit(event)
    else:
        raise TypeError(
            f"{type(event).__name__} is nothing that can be judged: "
            "give events of a session, LiveKit's SpeechEvents, or the texts of finals"
        )


def _of_livekit(event: Any) -> Told:
    kind = _LIVEKIT.get(str(getattr(event.type, "value", event.type)), "else")
    if kind not in ("final", "interim") or not event.alternatives:
        return Told(kind if kind in ("started", "ended") else "else", event)
    data = event.alternatives[0]
    # Both are 0 where a plugin knows neither.
    start, end = (data.start_time, data.end_time) if data.end_time else (None, None)
    words = tuple(
        Word(text=str(word), start=_time(word.start_time), end=_time(word.end_time)) for word in data.words or ()
    )
    provisional = bool((getattr(data, "metadata", None) or {}).get("provisional"))
    return Told(kind, event, data.text, words, start, end, provisional=provisional)


def _time(given: Any) -> float | None:
    return float(given) if isinstance(given, (int, float)) else None  # NOT_GIVEN
