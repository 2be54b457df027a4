"""The core's events -> the framework's. No I/O, no state.

Times of the core are seconds of the stream's audio; those of the framework have the caller's ``offset`` on top.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec
from livekit.agents import LanguageCode
from livekit.agents.stt import RecognitionUsage, SpeechData, SpeechEvent, SpeechEventType
from livekit.agents.types import NOT_GIVEN, TimedString

from smallest_proto import (
    Event,
    FileTranscript,
    FinalTranscript,
    InterimTranscript,
    SpeechEnded,
    SpeechStarted,
    Usage,
    Utterance,
    Word,
)
from smallest_proto.transcription.turns import says_something

# Bound once: up to Python 3.11 each mention of an enum's member is a call.
_START, _END = SpeechEventType.START_OF_SPEECH, SpeechEventType.END_OF_SPEECH
_INTERIM, _FINAL = SpeechEventType.INTERIM_TRANSCRIPT, SpeechEventType.FINAL_TRANSCRIPT
_USAGE = SpeechEventType.RECOGNITION_USAGE

# A call hears few languages, and each is made out anew in some twenty steps.
_language = lru_cache(maxsize=64)(LanguageCode)


def speech_event(event: Event, *, language: str, offset: float, request_id: str) -> SpeechEvent | None:
    """The framework's event for an event of a live transcription, or ``None``.

    ``language`` is that of the configuration, for what names none; ``offset`` is in seconds.
    """
    if isinstance(event, (InterimTranscript, FinalTranscript)):
        if not says_something(event.text):  # a final can be empty where it answers a finalize
            return None
        kind = _INTERIM
        data = SpeechData(
            language=_language(language),
            text=event.text.strip(),
            start_time=event.start + offset,
            end_time=event.end + offset,
        )
        if isinstance(event, FinalTranscript):
            kind = _FINAL
            _complete(data, event, offset)
        return SpeechEvent(type=kind, request_id=request_id, alternatives=[data])
    if isinstance(event, SpeechStarted):
        return SpeechEvent(type=_START, request_id=request_id)
    if isinstance(event, SpeechEnded):
        return SpeechEvent(type=_END, request_id=request_id)
    if isinstance(event, Usage):
        usage = RecognitionUsage(audio_duration=event.seconds)
        return SpeechEvent(type=_USAGE, request_id=request_id, recognition_usage=usage)
    return None


def file_event(transcript: FileTranscript, *, language: str, request_id: str) -> SpeechEvent:
    """The framework's event for a transcribed file. Times are seconds from its start."""
    words = transcript.words
    data = SpeechData(
        language=_language(transcript.language or language),
        text=transcript.text,
        start_time=_first(word.start for word in words),
        end_time=_first(word.end for word in reversed(words)),
        metadata=_metadata(utterances=_utterances(transcript.utterances, 0.0)),
    )
    _put_words(data, words, 0.0)
    return SpeechEvent(type=_FINAL, request_id=transcript.request_id or request_id, alternatives=[data])


def _complete(data: SpeechData, event: FinalTranscript, offset: float) -> None:
    """What a final has beyond an interim. Most have none of the rare things: nothing is made for them."""
    if event.language:
        data.language = _language(event.language)
    if event.languages:
        data.source_languages = [_language(code) for code in event.languages]
    _put_words(data, event.words, offset)
    if event.utterances or event.redacted_entities or event.provisional:
        data.metadata = _metadata(
            utterances=_utterances(event.utterances, offset),
            redacted_entities=list(event.redacted_entities),
            provisional=event.provisional,
        )


def _put_words(data: SpeechData, words: Iterable[Word], offset: float) -> None:
    """The words with their times, ``offset`` seconds later, and what they say together.

    That is the geometric mean of the confidences that are known, and who said most of the words.
    """
    timed, logs, speakers = [], [], []
    for word in words:
        name = None
        if word.speaker is not None:
            name = f"S{word.speaker}"
            speakers.append(name)
        if word.confidence is not None:
            logs.append(math.log(max(word.confidence, 1e-10)))
        timed.append(
            TimedString(
                word.text,
                start_time=NOT_GIVEN if word.start is None else word.start + offset,
                end_time=NOT_GIVEN if word.end is None else word.end + offset,
                confidence=NOT_GIVEN if word.confidence is None else word.confidence,
                start_time_offset=offset,
                speaker_id=name,
            )
        )
    if timed:
        data.words = timed
    if logs:
        data.confidence = min(1.0, math.exp(sum(logs) / len(logs)))
    if speakers:
        data.speaker_id = Counter(speakers).most_common(1)[0][0]


def _metadata(**values: Any) -> dict[str, Any] | None:
    return {name: value for name, value in values.items() if value} or None


def _utterances(utterances: Iterable[Utterance], offset: float) -> list[dict[str, Any]]:
    timed = []
    for utterance in utterances:
        fields = {name: value for name, value in msgspec.to_builtins(utterance).items() if value is not None}
        timed.append({**fields, **{name: fields[name] + offset for name in ("start", "end") if name in fields}})
    return timed


def _first(times: Iterable[float | None]) -> float:
    return next((time for time in times if time is not None), 0.0)
