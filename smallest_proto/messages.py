"""The wire's JSON <-> typed messages. Total: whatever a peer sends comes out as a value, nothing raises.

A message that is as it should be is decoded by msgspec in one step. One that is not (a field of the wrong type, a lone
surrogate, a number that is no number) is read once more, field by field, and what can be understood is kept.

Fields of the wire: the vendor's AsyncAPI and OpenAPI files for Pulse (August 2026). Every one can be missing or null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar

import msgspec

from .values import Value

T = TypeVar("T")

FINALIZE = '{"type":"finalize"}'
CLOSE_STREAM = '{"type":"close_stream"}'


_Spoken: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]  # a word without text is not let through


class Word(Value, frozen=True, kw_only=True, gc=False, rename={"text": "word"}):
    """One recognised word. Its times count from the link's first audio in a message, in stream time in an event."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    text: _Spoken
    start: float | None = None  # seconds
    end: float | None = None  # seconds
    confidence: float | None = None  # 0..1
    speaker: int | str | None = None  # with diarization; a number wherever the service means one
    speaker_confidence: float | None = None  # 0..1


class Utterance(Value, frozen=True, kw_only=True):
    """One sentence, when sentence times are on."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    text: _Spoken
    start: float | None = None  # seconds
    end: float | None = None  # seconds
    speaker: int | str | None = None


class Transcription(Value, frozen=True, kw_only=True):
    """What the service heard: interim, final, or last."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset(
        ("text", "full_transcript", "words", "utterances", "redacted_entities")
    )

    text: str = ""
    is_final: bool = False
    is_last: bool = False
    from_finalize: bool = False
    speech_final: bool = False
    session_id: str | None = None
    language: str | None = None
    languages: tuple[str, ...] = ()
    words: tuple[Word, ...] = ()
    utterances: tuple[Utterance, ...] = ()
    redacted_entities: tuple[str, ...] = ()
    full_transcript: str | None = None
    repaired: bool = False  # something in it was not as it should be


class SpeechOnset(Value, frozen=True, kw_only=True):
    """``speech_started``: the service's voice activity detector heard speech begin."""

    timestamp: float | None = None  # seconds of this link
    session_id: str | None = None


class SpeechOffset(Value, frozen=True, kw_only=True):
    """``speech_ended``: the service's voice activity detector heard speech end."""

    timestamp: float | None = None  # seconds of this link
    session_id: str | None = None


class ErrorMessage(Value, frozen=True, kw_only=True):
    """An error told over the open connection; a close usually follows. Its text can repeat the user's."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    text: str = ""
    status: str | None = None
    session_id: str | None = None


class Pong(Value, frozen=True, kw_only=True):
    """The gateway's answer to ``keepalive``."""


class UnknownMessage(Value, frozen=True, kw_only=True):
    """A JSON object of a type that we do not know."""


class MalformedMessage(Value, frozen=True, kw_only=True):
    """No JSON object at all."""

    reason: str


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
    error: Any = None
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
    return _told_apart(wire, repaired)


def _told_apart(wire: _Wire, repaired: bool) -> Message:
    kind = wire.type
    if kind == "speech_started":
        return SpeechOnset(timestamp=_finite(wire.timestamp), session_id=wire.session_id)
    if kind == "speech_ended":
        return SpeechOffset(timestamp=_finite(wire.timestamp), session_id=wire.session_id)
    if kind == "pong":
        return Pong()
    text = wire.transcript or wire.transcription
    spoken = wire.transcript is not None or wire.transcription is not None
    if kind == "error" or ((wire.error is not None or wire.status == "error") and not text):
        said = wire.message if wire.message is not None else wire.error
        status = None if wire.status is None else str(wire.status)
        return ErrorMessage(text=error_text(said), status=status, session_id=wire.session_id)
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
        speech_final=wire.speech_final or False,
        session_id=wire.session_id,
        language=wire.language,
        languages=wire.languages or (),
        words=words,
        utterances=utterances,
        redacted_entities=wire.redacted_entities or (),
        full_transcript=wire.full_transcript,
        repaired=repaired,
    )


def read_json_object(data: str | bytes | bytearray | memoryview) -> dict[str, Any] | str:
    """A JSON object, read as forgivingly as can be, or the reason why it is none. Never raises.

    Python's own reader takes what msgspec rightly refuses: NaN, lone surrogates, control characters, bytes that are
    not UTF-8.
    """
    try:
        text = data if isinstance(data, str) else str(data, "utf-8", "replace")
        read = json.loads(text, strict=False, parse_int=_whole)
    except RecursionError:
        return "nested too deeply"
    except ValueError:
        return "not JSON"
    return read if isinstance(read, dict) else "not a JSON object"


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
        error=read.get("error"),
        message=read.get("message"),
    )


def read_word(read: Any) -> Word | None:
    """A word from any JSON value, or ``None`` where there is none in it."""
    if not isinstance(read, dict) or not (text := read_text(read.get("word"))):
        return None
    return Word(
        text=text,
        start=read_number(read.get("start")),
        end=read_number(read.get("end")),
        confidence=read_number(read.get("confidence")),
        speaker=_speaker(read.get("speaker")),
        speaker_confidence=read_number(read.get("speaker_confidence")),
    )


def read_utterance(read: Any) -> Utterance | None:
    """An utterance from any JSON value, or ``None`` where there is none in it."""
    if not isinstance(read, dict) or not (text := read_text(read.get("text"))):
        return None
    return Utterance(
        text=text,
        start=read_number(read.get("start")),
        end=read_number(read.get("end")),
        speaker=_speaker(read.get("speaker")),
    )


def error_text(said: Any) -> str:
    """The words of an error, whatever JSON value they came as."""
    if isinstance(said, dict):
        said = said.get("message")
    return read_text(said) or ""


def _whole(digits: str) -> int | None:
    """A whole number; one of thousands of digits, which Python refuses to read, is none."""
    return int(digits) if len(digits) < 300 else None


def read_each(read: Any, element: Callable[[Any], T | None]) -> tuple[T, ...] | None:
    """What ``element`` makes of the items of a JSON list, without those of which it makes nothing."""
    if not isinstance(read, list):
        return None
    return tuple(made for item in read if (made := element(item)) is not None)


def read_text(read: Any) -> str | None:
    """Text from any JSON value, without lone surrogates; a number is the text of it."""
    if isinstance(read, str):
        return read.encode("utf-8", "replace").decode() if not read.isascii() else read
    if isinstance(read, (int, float)) and not isinstance(read, bool):
        return repr(read)
    return None


def _flag(read: Any) -> bool | None:
    if isinstance(read, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(read.strip().lower())
    if isinstance(read, (bool, int)):
        return bool(read)
    return None


def read_number(read: Any) -> float | None:
    """A finite number from any JSON value, also from the text of one."""
    if isinstance(read, bool) or not isinstance(read, (int, float, str)):
        return None
    try:
        return _finite(float(read))
    except (ValueError, OverflowError):
        return None


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def _speaker(read: Any) -> int | str | None:
    """With diarization an integer, on some versions of the service the same as a float or in a string."""
    if isinstance(read, bool):
        return None
    if isinstance(read, float) and read.is_integer():
        return int(read)
    if isinstance(read, str) and len(read) < 19 and read.isascii() and read.isdigit():
        return int(read)
    return read if isinstance(read, int) else read_text(read)


_Numbered = TypeVar("_Numbered", Word, Utterance)


def _numbered(value: _Numbered) -> _Numbered:
    speaker = _speaker(value.speaker)
    return value if speaker is value.speaker else msgspec.structs.replace(value, speaker=speaker)
