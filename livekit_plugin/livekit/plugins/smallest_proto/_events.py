"""The core's events -> the framework's. No I/O, no state.

Times of the core are seconds of the stream's audio; those of the framework have the caller's ``offset`` on top.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
from livekit.agents import LanguageCode
from livekit.agents.stt import RecognitionUsage, SpeechData, SpeechEvent, SpeechEventType
from livekit.agents.types import NOT_GIVEN, NotGivenOr, TimedString

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


def speech_event(event: Event, *, language: str, offset: float, request_id: str) -> SpeechEvent | None:
    """The framework's event for an event of a live transcription, or ``None``.

    ``language`` is that of the configuration, for what names none; ``offset`` is in seconds.
    """
    if isinstance(event, (InterimTranscript, FinalTranscript)):
        if not says_something(event.text):  # a final can be empty where it answers a finalize
            return None
        final = isinstance(event, FinalTranscript)
        return SpeechEvent(
            type=SpeechEventType.FINAL_TRANSCRIPT if final else SpeechEventType.INTERIM_TRANSCRIPT,
            request_id=request_id,
            alternatives=[_speech_data(event, language, offset)],
        )
    if isinstance(event, SpeechStarted):
        return SpeechEvent(type=SpeechEventType.START_OF_SPEECH, request_id=request_id)
    if isinstance(event, SpeechEnded):
        return SpeechEvent(type=SpeechEventType.END_OF_SPEECH, request_id=request_id)
    if isinstance(event, Usage):
        usage = RecognitionUsage(audio_duration=event.seconds)
        return SpeechEvent(type=SpeechEventType.RECOGNITION_USAGE, request_id=request_id, recognition_usage=usage)
    return None


def file_event(transcript: FileTranscript, *, language: str, request_id: str) -> SpeechEvent:
    """The framework's event for a transcribed file. Times are seconds from its start."""
    words = transcript.words
    data = SpeechData(
        language=LanguageCode(transcript.language or language),
        text=transcript.text,
        start_time=_first(word.start for word in words),
        end_time=_first(word.end for word in reversed(words)),
        confidence=confidence(words),
        words=timed_words(words, 0.0),
        speaker_id=speaker(words),
        metadata=_metadata(utterances=_utterances(transcript.utterances, 0.0)),
    )
    return SpeechEvent(
        type=SpeechEventType.FINAL_TRANSCRIPT, request_id=transcript.request_id or request_id, alternatives=[data]
    )


def confidence(words: Iterable[Word]) -> float:
    """The geometric mean of the words' confidences, from 0 to 1; 0 where none is known."""
    known = [max(word.confidence, 1e-10) for word in words if word.confidence is not None]
    return min(1.0, math.exp(sum(map(math.log, known)) / len(known))) if known else 0.0


def speaker(words: Iterable[Word]) -> str | None:
    """Who said most of the words, as ``S1``; ``None`` without diarization."""
    spoken = Counter(word.speaker for word in words if word.speaker is not None)
    return _speaker_id(spoken.most_common(1)[0][0]) if spoken else None


def timed_words(words: Iterable[Word], offset: float) -> list[TimedString] | None:
    """The words with their times, ``offset`` seconds later; ``None`` for none."""
    return [
        TimedString(
            word.text,
            start_time=_later(word.start, offset),
            end_time=_later(word.end, offset),
            confidence=NOT_GIVEN if word.confidence is None else word.confidence,
            start_time_offset=offset,
            speaker_id=None if word.speaker is None else _speaker_id(word.speaker),
        )
        for word in words
    ] or None


def _speech_data(event: InterimTranscript | FinalTranscript, language: str, offset: float) -> SpeechData:
    data = SpeechData(
        language=LanguageCode(language),
        text=event.text.strip(),
        start_time=event.start + offset,
        end_time=event.end + offset,
    )
    if isinstance(event, FinalTranscript):
        if event.language:
            data.language = LanguageCode(event.language)
        if event.languages:
            data.source_languages = [LanguageCode(code) for code in event.languages]
        data.confidence = confidence(event.words)
        data.words = timed_words(event.words, offset)
        data.speaker_id = speaker(event.words)
        data.metadata = _metadata(
            utterances=_utterances(event.utterances, offset),
            redacted_entities=list(event.redacted_entities),
            provisional=event.provisional,
        )
    return data


def _metadata(**values: Any) -> dict[str, Any] | None:
    return {name: value for name, value in values.items() if value} or None


def _utterances(utterances: Iterable[Utterance], offset: float) -> list[dict[str, Any]]:
    timed = []
    for utterance in utterances:
        fields = {name: value for name, value in msgspec.to_builtins(utterance).items() if value is not None}
        timed.append({**fields, **{name: fields[name] + offset for name in ("start", "end") if name in fields}})
    return timed


def _speaker_id(name: int | str) -> str:
    return f"S{name}"


def _later(time: float | None, offset: float) -> NotGivenOr[float]:
    return NOT_GIVEN if time is None else time + offset


def _first(times: Iterable[float | None]) -> float:
    return next((time for time in times if time is not None), 0.0)
