"""JSON read forgivingly, for both services: text, numbers, words, utterances, audio, errors. Nothing in it raises.

What is not as it should be (a field of the wrong type, a lone surrogate, a number that is no number) is read as far as
it can be understood.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar

import msgspec

from .values import Value

T = TypeVar("T")

# Of errors, each too short and plain to hold what a user said, as near as can be.
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}|[0-9]{1,4}")  # a name in a request, or a place in a list
_REASON = re.compile(r"[a-z][a-z_]{0,39}")  # invalid_enum_value
_MAX_FIELDS = 5  # that a sentence names

_Spoken: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]  # a word without text is not accepted


class Word(Value, frozen=True, kw_only=True, gc=False, rename={"text": "word"}):
    """One recognised word. Its times count from the link's first audio in a message, in stream time in an event."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    text: _Spoken
    start: float | None = None  # seconds
    end: float | None = None  # seconds
    confidence: float | None = None  # 0..1
    speaker: int | str | None = None  # with diarization; a number if the service means one
    speaker_confidence: float | None = None  # 0..1


class Utterance(Value, frozen=True, kw_only=True):
    """One sentence, when sentence times are on."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    text: _Spoken
    start: float | None = None  # seconds
    end: float | None = None  # seconds
    speaker: int | str | None = None


class ErrorMessage(Value, frozen=True, kw_only=True):
    """An error message over the open connection; a close usually follows. Its text can repeat the user's."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    text: str = ""
    status: str | None = None
    code: str | None = None  # such as LANGUAGE_NOT_ENABLED_IN_REGION
    fields: str = ""  # what of the request is wrong, see ``refused_fields``
    session_id: str | None = None
    private: bool = True  # False: the peer says that its text repeats nothing of the user's, as the local server does


class UnknownMessage(Value, frozen=True, kw_only=True):
    """A JSON object of a type that we do not know."""


class MalformedMessage(Value, frozen=True, kw_only=True):
    """No JSON object at all."""

    reason: str


def read_json_object(data: str | bytes | bytearray | memoryview) -> dict[str, Any] | str:
    """A JSON object, read as forgivingly as possible, or the reason why it cannot be read. Never raises.

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


def read_word(read: Any) -> Word | None:
    """A word from any JSON value, or ``None`` if it holds no word."""
    if not isinstance(read, dict) or not (text := read_text(read.get("word"))):
        return None
    return Word(
        text=text,
        start=read_number(read.get("start")),
        end=read_number(read.get("end")),
        confidence=read_number(read.get("confidence")),
        speaker=read_speaker(read.get("speaker")),
        speaker_confidence=read_number(read.get("speaker_confidence")),
    )


def read_utterance(read: Any) -> Utterance | None:
    """An utterance from any JSON value, or ``None`` if it holds none."""
    if not isinstance(read, dict) or not (text := read_text(read.get("text"))):
        return None
    return Utterance(
        text=text,
        start=read_number(read.get("start")),
        end=read_number(read.get("end")),
        speaker=read_speaker(read.get("speaker")),
    )


def error_text(value: Any) -> str:
    """The words of an error, whatever JSON value they came as."""
    if isinstance(value, list):
        return "; ".join(filter(None, (error_text(item) for item in value[:100] if not isinstance(item, list))))
    if isinstance(value, dict):
        value = value.get("message")
    return read_text(value) or ""


def refused_fields(*lists: Any) -> str:
    """Which fields of the request the service names as wrong, and of what kind that is: its names, never its words.

    ``lists`` are JSON values that can be lists of ``{"code", "path", "message"}``.
    """
    fields: dict[str, str] = {}
    for items in lists:
        for item in items[:100] if isinstance(items, list) else ():
            if not isinstance(item, dict):
                continue
            path, kind = item.get("path"), item.get("code")
            steps = [str(step) for step in (path if isinstance(path, list) else [path]) if type(step) in (str, int)]
            if steps and all(map(_FIELD.fullmatch, steps)):
                named = isinstance(kind, str) and _REASON.fullmatch(kind)
                fields.setdefault(".".join(steps), f" ({kind})" if named else "")
    return ", ".join(name + kind for name, kind in list(fields.items())[:_MAX_FIELDS])


def _whole(digits: str) -> int | None:
    """A whole number, or ``None`` for one of thousands of digits, which Python refuses to read."""
    return int(digits) if len(digits) < 300 else None


def read_each(read: Any, element: Callable[[Any], T | None]) -> tuple[T, ...] | None:
    """The items of a JSON list as ``element`` reads them, without those that it cannot read."""
    if not isinstance(read, list):
        return None
    return tuple(made for item in read if (made := element(item)) is not None)


def read_shares(read: Any) -> tuple[tuple[str, float], ...]:
    """Labels with their shares, from an object, from a list of objects, or from one label, which then has all.

    The vendor's files show the object; what ``pulse-2`` sends live is nowhere written down.
    """
    if isinstance(read, str):
        return ((read, 1.0),) if read else ()
    if isinstance(read, dict):
        pairs = list(read.items())
    else:
        items = [item for item in read if isinstance(item, dict)] if isinstance(read, list) else []
        pairs = [(item.get("label", item.get("emotion")), item.get("score", item.get("confidence"))) for item in items]
    shares = [(read_text(label), read_number(share)) for label, share in pairs]
    return tuple((label, share) for label, share in shares if label and share is not None)


def read_text(read: Any) -> str | None:
    """Text from any JSON value, without lone surrogates; a number becomes text."""
    if isinstance(read, str):
        return read.encode("utf-8", "replace").decode() if not read.isascii() else read
    if isinstance(read, (int, float)) and not isinstance(read, bool):
        return repr(read)
    return None


def read_number(read: Any) -> float | None:
    """A finite number from any JSON value, also from text."""
    if isinstance(read, bool) or not isinstance(read, (int, float, str)):
        return None
    try:
        return finite(float(read))
    except (ValueError, OverflowError):
        return None


def finite(number: float | None) -> float | None:
    """The number, or ``None`` if it is not finite."""
    return number if number is not None and math.isfinite(number) else None


def read_speaker(read: Any) -> int | str | None:
    """A speaker: an integer, or on some versions of the service a float or a string with one."""
    if isinstance(read, bool):
        return None
    if isinstance(read, float) and read.is_integer():
        return int(read)
    if isinstance(read, str) and len(read) < 19 and read.isascii() and read.isdigit():
        return int(read)
    return read if isinstance(read, int) else read_text(read)


def decode_audio(read: Any) -> bytes | None:
    """Audio from any JSON value, or ``None`` if it is not base64."""
    try:
        return msgspec.convert(read, bytes)
    except (msgspec.MsgspecError, UnicodeError):
        return None
