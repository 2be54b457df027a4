"""The shapes of the service's answers over HTTP, and of the parts that its messages share with them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import msgspec

from smallest_proto.config import SynthesisConfig
from smallest_proto.reading import Utterance
from smallest_proto.values import Value

from .endpointing import Heard

CONTENT_TYPE = "audio/wav"  # the service says so of every format, PCM and MP3 too
SSE_END = b'data: {"status":"200","done":true}\n\n'

_SPEECH_ERRORS = {401: "Unauthorized", 429: "TooManyRequests"}  # their names on the routes of synthesis


class Response(Value, frozen=True, kw_only=True):
    """An HTTP answer."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"body"})

    status: int
    headers: tuple[tuple[str, str], ...]  # Content-Type and Content-Length among them
    body: bytes


class ListedVoice(Value, frozen=True, kw_only=True):
    """A voice as the service lists it."""

    voice_id: str
    name: str
    models: tuple[str, ...]
    description: str = ""
    languages: tuple[str, ...] = ()  # in words: english
    gender: str | None = None
    accent: str | None = None
    age: str | None = None


def error_answer(
    status: int, message: str, request_id: str | None = None, *, headers: Iterable[tuple[str, str]] = ()
) -> Response:
    """An error as the service writes it: 400 for a file that is not audio, say, or 503 when no worker is free."""
    body = {"error": message.encode("utf-8", "replace").decode()}
    if request_id is not None:
        body["request_id"] = request_id
    return json_answer(status, body, headers)


def language_answer(code: str, message: str, language: str, request_id: str | None = None) -> Response:
    """The error for a file in a language that this region does not have, as the service writes it."""
    body = {"status": "error", "error_code": code, "message": message, "language": language[:40], "region": "local"}
    return json_answer(400, body if request_id is None else {**body, "request_id": request_id})


def synthesis_error_answer(
    status: int,
    message: str,
    request_id: str | None = None,
    *,
    path: str | None = None,
    code: str = "custom",
    headers: Iterable[tuple[str, str]] = (),
) -> Response:
    """An error in the shape that the routes of speech have: of a request that cannot be (400) a list, by field.

    ``path`` is the field, ``code`` what is wrong with it, such as ``invalid_enum_value``.
    """
    message = message.encode("utf-8", "replace").decode()
    body: dict[str, Any]
    if status == 400:
        body = {"error": [{"code": code, "path": [path] if path else [], "message": message}]}
    else:
        kind = _SPEECH_ERRORS.get(status) or ("InternalServerError" if status >= 500 else "RequestError")
        body = {"error": kind, "message": message}
    body["private"] = False  # our messages never repeat the text, so a client can show them
    return json_answer(status, body if request_id is None else {**body, "request_id": request_id}, headers)


def synthesis_headers(
    options: SynthesisConfig, session_id: str, request_id: str, *, sse: bool = False, expire: bool = False
) -> tuple[tuple[str, str], ...]:
    """The headers of speech over HTTP: what kind of audio it is, our ids and the client's own."""
    return (
        ("Content-Type", "text/event-stream" if sse else CONTENT_TYPE),
        ("X-Session-Id", session_id),
        ("X-Request-Id", request_id),
        ("X-External-Session-Id", options.session_id or ""),
        ("X-External-Request-Id", options.request_id or ""),
        *expiry_headers(expire),
    )


def expiry_headers(expire: bool) -> tuple[tuple[str, str], ...]:
    """What the service says to a wish for deletion; here nothing is kept in the first place."""
    return (("X-Content-Expiry", "applied"),) if expire else ()


def sse_audio(audio: bytes) -> bytes:
    """One server-sent event with audio; ``SSE_END`` follows the last."""
    return b"event: audio\ndata: " + msgspec.json.encode({"audio": audio, "done": False, "status": "206"}) + b"\n\n"


def wav_header(sample_rate: int, size: int) -> bytes:
    """The header of a WAV (16 bit, mono) with ``size`` bytes of samples."""
    form = struct.pack("<HHIIHH", 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    head = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", len(head) + size) + head


def voices_answer(model: str | None, voices: Iterable[ListedVoice]) -> Response:
    """The voices of all models, or of one; each route writes them in its own way."""
    model = model and model.replace("-", "_")
    shape = _catalogued if model is None else _listed
    return json_answer(200, {"voices": [shape(voice) for voice in voices if model is None or model in voice.models]})


def json_answer(status: int, body: Mapping[str, Any], headers: Iterable[tuple[str, str]] = ()) -> Response:
    """An answer of JSON."""
    data = msgspec.json.encode(body)
    fixed = (("Content-Type", "application/json"), ("Content-Length", str(len(data))))
    return Response(status=status, headers=(*fixed, *headers), body=data)


def wire_words(heard: Heard, diarize: bool | None) -> list[dict[str, Any]]:
    """The words of a final, as a message or an answer contains them."""
    words = [_set(word) for word in heard.words]
    if diarize:  # a recogniser that cannot tell speakers apart hears one
        words = [{"speaker": 0, "speaker_confidence": 1.0, **word} for word in words]
    return words


def wire_utterances(heard: Heard, diarize: bool | None) -> list[dict[str, Any]]:
    """The sentences of a final: those of the recogniser, or all of it as one."""
    utterances = heard.utterances
    if not utterances and heard.text:
        start, end = (heard.words[0].start, heard.words[-1].end) if heard.words else (None, None)
        utterances = (Utterance(text=heard.text, start=start, end=end),)
    return [({"speaker": 0} if diarize else {}) | _set(utterance) for utterance in utterances]


def _set(value: Value) -> dict[str, Any]:
    return {name: field for name, field in msgspec.to_builtins(value).items() if field is not None}


def _catalogued(voice: ListedVoice) -> dict[str, Any]:
    tags = {"age": voice.age or "", "emotions": [], "language": voice.languages}
    names = {"voiceId": voice.voice_id, "displayName": voice.name, "description": voice.description}
    return {"_id": voice.voice_id, **names, "audioPreview": "", "tags": tags}


def _listed(voice: ListedVoice) -> dict[str, Any]:
    tags = {"language": voice.languages, "accent": voice.accent or "", "gender": voice.gender or ""}
    return {"voiceId": voice.voice_id, "displayName": voice.name, "tags": tags}
