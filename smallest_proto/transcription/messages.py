"""The wire's JSON <-> typed messages. Total: whatever a peer sends comes out as a value, nothing raises.

A message that is as it should be is decoded by msgspec in one step. One that is not (a field of the wrong type, a lone
surrogate, a number that is no number) is read once more, field by field, and what can be understood is kept.

Fields of the wire: the vendor's AsyncAPI and OpenAPI files for Pulse (August 2026). Every one can be missing or null.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias, TypeVar

import msgspec

from smallest_proto.reading import (
    ErrorMessage,
    MalformedMessage,
    UnknownMessage,
    Utterance,
    Word,
    error_text,
    finite,
    read_each,
    read_json_object,
    read_number,
    read_shares,
    read_speaker,
    read_text,
    read_utterance,
    read_word,
    refused_fields,
)
from smallest_proto.statuses import read_code
from smallest_proto.values import Value

FINALIZE = '{"type":"finalize"}'
CLOSE_STREAM = '{"type":"close_stream"}'


class Transcription(Value, frozen=True, kw_only=True):
    """What the service heard: interim, final, or last."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset(
        ("text", "full_transcript", "words", "utterances", "redacted_entities", "emotions", "gender")
    )

    text: str = ""
    is_final: bool = False
    is_last: bool = False
    from_finalize: bool = False
    speech_final: bool | None = None  # None: the service did not say
    session_id: str | None = None
    language: str | None = None
    languages: tuple[str, ...] = ()
    words: tuple[Word, ...] = ()
    utterances: tuple[Utterance, ...] = ()
    redacted_entities: tuple[str, ...] = ()
    full_transcript: str | None = None
    emotions: tuple[tuple[str, float], ...] = ()  # (label, 0..1), when emotion_detection was asked for
    gender: str | None = None  # when gender_detection was asked for
    repaired: bool = False  # something in it was not as it should be


class SpeechOnset(Value, frozen=True, kw_only=True):
    """``speech_started``: the service's voice activity detector heard speech begin."""

    timestamp: float | None = None  # seconds of this link
    session_id: str | None = None


class SpeechOffset(Value, frozen=True, kw_only=True):
    """``speech_ended``: the service's voice activity detector heard speech end."""

    timestamp: float | None = None  # seconds of this link
    session_id: str | None = None


class Pong(Value, frozen=True, kw_only=True):
    """The gateway's answer to ``keepalive``."""


Message: TypeAlias = (
    Transcription | SpeechOnset | SpeechOffset | ErrorMessage | Pong | UnknownMessage | MalformedMessage
)


class _Wire(msgspec.Struct):
    """Every field of every server message: one decoder for all, told apart afterwards as some come without ``type``."""

    type: str | None = None
    session_id: str | None = None
    status: str | int | None = None
    transcript: str | None = None
    transcription: str | None = None
    is_final: bool | None = None
    is_last: bool | None = None
    from_finalize: bool | None = None
    speech_final: bool | None = None
    full_transcript: str | None = None
    language: str | None = None
    languages: tuple[str, ...] | None = None
    words: tuple[Word, ...] | None = None
    utterances: tuple[Utterance, ...] | None = None
    redacted_entities: tuple[str, ...] | None = None
    timestamp: float | None = None
    emotions: Any = None
    gender: str | None = None
    error_code: Any = None
    code: Any = None
    error: Any = None
    errors: Any = None
    message: Any = None


_decoder = msgspec.json.Decoder(_Wire)


def decode(data: str | bytes | bytearray | memoryview) -> Message:
    """One server message, from a text or a binary frame. Never raises."""
    repaired = False
    try:
        wire = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        read = read_json_object(data)
        if isinstance(read, str):
            return MalformedMessage(reason=read)
        wire = _repair(read)
        repaired = True
    return _typed(wire, repaired)


def _typed(wire: _Wire, repaired: bool) -> Message:
    kind = wire.type
    if kind == "speech_started":
        return SpeechOnset(timestamp=finite(wire.timestamp), session_id=wire.session_id)
    if kind == "speech_ended":
        return SpeechOffset(timestamp=finite(wire.timestamp), session_id=wire.session_id)
    if kind == "pong":
        return Pong()
    text = wire.transcript or wire.transcription
    spoken = wire.transcript is not None or wire.transcription is not None
    if kind == "error" or (
        (wire.error is not None or wire.errors or wire.error_code or wire.status == "error") and not text
    ):
        words = next((one for one in (wire.message, wire.error, wire.errors) if one is not None), None)
        status = None if wire.status is None else str(wire.status)
        code = read_code(wire.error_code, wire.code)
        return ErrorMessage(
            text=error_text(words),
            status=status,
            code=code,
            fields=refused_fields(wire.error, wire.errors),
            session_id=wire.session_id,
        )
    words, utterances = wire.words or (), wire.utterances or ()
    if not spoken and not words and wire.is_final is None and wire.is_last is None and kind != "transcription":
        return UnknownMessage()
    # With diarization a speaker is an integer, on some versions of the service the same in a string.
    for word in words:
        if type(word.speaker) is str:
            words = tuple(_numbered(word) for word in words)
            break
    for utterance in utterances:
        if type(utterance.speaker) is str:
            utterances = tuple(_numbered(utterance) for utterance in utterances)
            break
    return Transcription(
        text=text or " ".join(word.text for word in words),  # any field can be missing, no word may be
        is_final=wire.is_final or wire.is_last or False,  # a last that is no final is not in the contract: it is one
        is_last=wire.is_last or False,
        from_finalize=wire.from_finalize or False,
        speech_final=wire.speech_final,
        session_id=wire.session_id,
        language=wire.language,
        languages=wire.languages or (),
        words=words,
        utterances=utterances,
        redacted_entities=wire.redacted_entities or (),
        full_transcript=wire.full_transcript,
        emotions=read_shares(wire.emotions) if wire.emotions else (),
        gender=wire.gender,
        repaired=repaired,
    )


def _repair(read: dict[str, Any]) -> _Wire:
    """Keep of each field what can be understood."""
    return _Wire(
        type=read_text(read.get("type")),
        session_id=read_text(read.get("session_id")),
        status=read_text(read.get("status")),
        transcript=read_text(read.get("transcript")),
        transcription=read_text(read.get("transcription")),
        is_final=_flag(read.get("is_final")),
        is_last=_flag(read.get("is_last")),
        from_finalize=_flag(read.get("from_finalize")),
        speech_final=_flag(read.get("speech_final")),
        full_transcript=read_text(read.get("full_transcript")),
        language=read_text(read.get("language")),
        languages=read_each(read.get("languages"), read_text),
        words=read_each(read.get("words"), read_word),
        utterances=read_each(read.get("utterances"), read_utterance),
        redacted_entities=read_each(read.get("redacted_entities"), read_text),
        timestamp=read_number(read.get("timestamp")),
        emotions=read.get("emotions"),
        gender=read_text(read.get("gender")),
        error_code=read.get("error_code"),
        code=read.get("code"),
        error=read.get("error"),
        errors=read.get("errors"),
        message=read.get("message"),
    )


def _flag(read: Any) -> bool | None:
    if isinstance(read, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(read.strip().lower())
    if isinstance(read, (bool, int)):
        return bool(read)
    return None


_Numbered = TypeVar("_Numbered", Word, Utterance)


def _numbered(value: _Numbered) -> _Numbered:
    speaker = read_speaker(value.speaker)
    return value if speaker is value.speaker else msgspec.structs.replace(value, speaker=speaker)
