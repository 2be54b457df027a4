"""The synthesis socket's JSON <-> typed messages, both ways. Total: whatever a peer sends comes out as a value.

The audio of a message is base64 of PCM: msgspec decodes it while it reads the JSON, without a text in between. A
message that is not as it should be is read once more, field by field, as those of a transcription are.

Fields of the wire: the vendor's AsyncAPI file for Lightning (August 2026). Every one can be missing or null.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

import msgspec

from smallest_proto.config import SynthesisConfig
from smallest_proto.reading import (
    ErrorMessage,
    MalformedMessage,
    UnknownMessage,
    decode_audio,
    error_text,
    finite,
    read_json_object,
    read_number,
    read_text,
    refused_fields,
)
from smallest_proto.requests import speech_fields
from smallest_proto.statuses import read_code
from smallest_proto.values import Value


class _Answer(Value, frozen=True, kw_only=True):
    """What every message of the service has: what it answers."""

    request_id: str | None = None  # the service's own name for one synthesis
    context_id: str | None = None  # ours, echoed, with continuations
    repaired: bool = False  # a field of it was wrong


class AudioMessage(_Answer, frozen=True, kw_only=True):
    """``chunk``: the next piece of the audio, of any number of bytes."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"data"})

    data: bytes | None  # PCM; None: it could not be decoded


class WordMessage(_Answer, frozen=True, kw_only=True):
    """``word_timestamp``: where a word is in the audio."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    text: str  # as it stands in the text that was sent
    start: float | None  # seconds from the start of the segment's audio on this link
    end: float | None  # likewise


class CompleteMessage(_Answer, frozen=True, kw_only=True):
    """``complete``: all that was asked for so far was spoken; with continuations more can follow."""


class RefusalMessage(_Answer, frozen=True, kw_only=True):
    """``error``: a close may follow."""

    error: ErrorMessage


ServiceMessage: TypeAlias = AudioMessage | WordMessage | CompleteMessage | RefusalMessage
Message: TypeAlias = ServiceMessage | UnknownMessage | MalformedMessage


class _Data(msgspec.Struct):
    audio: bytes | None = None
    word: str | None = None
    start: float | None = None
    end: float | None = None


class _Wire(msgspec.Struct):
    """Every field of every message: one decoder for all."""

    status: str | int | None = None
    data: _Data | None = None
    request_id: str | None = None
    context_id: str | None = None
    message: Any = None
    error: Any = None
    errors: Any = None
    error_code: Any = None
    private: Any = None


_decoder = msgspec.json.Decoder(_Wire)


def decode_message(data: str | bytes) -> Message:
    """One message of the service, from a text or a binary frame. Never raises."""
    try:
        wire = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        read = read_json_object(data)
        if isinstance(read, str):
            return MalformedMessage(reason=read)
        return _repaired(read)
    return _typed(wire, repaired=False)


def _typed(wire: _Wire, *, repaired: bool) -> Message:
    status, data = wire.status, wire.data
    # Names are cut, as some of them are remembered.
    request, context = wire.request_id and wire.request_id[:256], wire.context_id and wire.context_id[:256]
    if status == "chunk" and data is not None and data.audio is not None:
        return AudioMessage(data=data.audio, request_id=request, context_id=context, repaired=repaired)
    if status == "word_timestamp" and data is not None and data.word:
        start, end = finite(data.start), finite(data.end)
        return WordMessage(
            text=data.word, start=start, end=end, request_id=request, context_id=context, repaired=repaired
        )
    if status == "complete":
        return CompleteMessage(request_id=request, context_id=context, repaired=repaired)
    if status == "error" or wire.error is not None or wire.errors or wire.error_code:
        code = wire.error.get("code") if isinstance(wire.error, dict) else None
        words = next((one for one in (wire.message, wire.error, wire.errors) if one is not None), None)
        error = ErrorMessage(
            text=error_text(words),
            status=read_text(status if code is None else code),
            code=read_code(wire.error_code, code),
            fields=refused_fields(wire.error, wire.errors),
            private=wire.private is not False,
        )
        return RefusalMessage(error=error, request_id=request, context_id=context, repaired=repaired)
    return UnknownMessage()


def _repaired(read: dict[str, Any]) -> Message:
    """Keep what can be understood of each field."""
    nested = read.get("data")
    inner = nested if isinstance(nested, dict) else {}
    wire = _Wire(
        status=read_text(read.get("status")),
        data=_Data(
            audio=decode_audio(inner.get("audio")),
            word=read_text(inner.get("word")),
            start=read_number(inner.get("start")),
            end=read_number(inner.get("end")),
        ),
        request_id=read_text(read.get("request_id")),
        context_id=read_text(read.get("context_id")),
        message=read.get("message"),
        error=read.get("error"),
        errors=read.get("errors"),
        error_code=read.get("error_code"),
        private=read.get("private"),
    )
    if wire.status == "chunk" and inner.get("audio") is not None and wire.data is not None and wire.data.audio is None:
        request, context = wire.request_id, wire.context_id
        return AudioMessage(
            data=None, request_id=request and request[:256], context_id=context and context[:256], repaired=True
        )
    return _typed(wire, repaired=True)


class MessageWriter:
    """Makes the messages to the service, in either protocol: each names the voice and its options again.

    ``words``: whether word times are asked for.
    """

    def __init__(self, config: SynthesisConfig, *, words: bool) -> None:
        self._fields: dict[str, Any] = speech_fields(config)
        if words:
            self._fields["word_timestamps"] = True
        self._plain = not config.continuations
        if self._plain:
            self._fields["complete_backoff_ms"] = config.complete_backoff_ms or 0  # the service's own default is 4 s
        delay = "max_buffer_flush_ms" if self._plain else "max_buffer_delay_ms"
        if (value := getattr(config, delay)) is not None:
            self._fields[delay] = value

    def text(self, text: str, context: str) -> str:
        """A piece of the text; more follows. ``context`` names the segment; plain messages leave it out."""
        return self._message(context, text=text, **{"continue": True})

    def end(self, context: str) -> str:
        """No more text follows: speak what you have."""
        return self._message(context, text="", **{"continue": False})

    def cancel(self, context: str) -> str:
        """With continuations: drop what has not been spoken."""
        return self._message(context, text="", cancel_request=True)

    def _message(self, context: str, **more: Any) -> str:
        if not self._plain:
            more["context_id"] = context
        elif "continue" in more:
            more["flush"] = not more["continue"]
        return msgspec.json.encode(self._fields | more).decode()
