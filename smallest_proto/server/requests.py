"""Requests to the service: each is read and accepted, or answered.

The paths, the options and their checks are those of the client, seen from the other side. A synthesis over HTTP says
what it wants in its body, a socket in each of its messages; the fields are the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from smallest_proto.audio import AudioFormat
from smallest_proto.config import (
    FileTranscriptionConfig,
    SynthesisConfig,
    TranscriptionConfig,
    check_text,
)
from smallest_proto.errors import ConfigurationError
from smallest_proto.reading import read_json_object
from smallest_proto.requests import MAX_FILE_BYTES
from smallest_proto.values import Value

from .answers import (
    Response,
    error_answer,
    expiry_headers,
    json_answer,
    language_answer,
    synthesis_error_answer,
    wire_utterances,
    wire_words,
)
from .endpointing import Heard
from .options import FieldError, read_synthesis_fields, read_transcription

MAX_IDLE = 86_400  # seconds: the longest idle time that a synthesis socket may ask for
GONE_MODELS = ("lightning", "lightning-large", "lightning-v2")  # the service answers 410
WRONG_LANGUAGE = "LANGUAGE_NOT_ENABLED_IN_REGION"  # its error_code for a language that a region does not have

_ON_PREMISES = {"timestamps": "word_timestamps", "callback_url": "webhook_url"}
_SCHEMES = ("bearer", "token")  # of the header Authorization; without a key it is no credential


class LiveRequest(Value, frozen=True, kw_only=True):
    """A live transcription that is accepted: accept the WebSocket and make a ``LiveService``."""

    options: TranscriptionConfig  # what the client set; None where the service's default holds
    gateway: bool  # False on /transcribe: without the gateway there is no keepalive, and errors look different
    notes: tuple[str, ...] = ()  # for the log: what was asked for and is passed over
    refused: str | None = None  # the error_code that is sent once the link is open

    @property
    def audio_format(self) -> AudioFormat:
        """The format of the audio."""
        return self.options.audio_format


class FileRequest(Value, frozen=True, kw_only=True):
    """The transcription of a file that is accepted: read the body (at most 250 MB), then give ``file_answer``."""

    options: FileTranscriptionConfig
    content_type: str
    expire: bool = False  # what is kept of it is to be deleted
    notes: tuple[str, ...] = ()  # for the log: what was asked for and is passed over


class SynthesisRequest(Value, frozen=True, kw_only=True):
    """A synthesis over HTTP that is accepted: read the body, then give it to ``read_synthesis``."""

    sse: bool = False  # as server-sent events
    model: str | None = None  # of the model route; None: the body names it
    expire: bool = False  # what is kept of it is to be deleted


class SynthesisSocketRequest(Value, frozen=True, kw_only=True):
    """A synthesis socket that is accepted: accept it and make a ``SynthesisService``."""

    timeout: float | None = None  # seconds without a message from the client after which it is closed


class VoicesRequest(Value, frozen=True, kw_only=True):
    """The list of voices: answer with ``voices_answer``."""

    model: str | None = None  # None: of all models


class SynthesisOrder(Value, frozen=True, kw_only=True):
    """What is to be spoken, and how."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    text: str
    options: SynthesisConfig


Asked: TypeAlias = LiveRequest | FileRequest | SynthesisRequest | SynthesisSocketRequest | VoicesRequest


def read_request(
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]],
    *,
    websocket: bool,
    api_key: str | None = None,
    languages: Collection[str] | None = None,
    request_id: str | None = None,
) -> Asked | Response:
    """Read a request's head: what is to be done, or the answer that refuses it. Never raises.

    ``target`` is the path with its query; any path may stand before those of the service. ``websocket`` says whether
    an upgrade was asked for. ``api_key`` is the one that is let in; with ``None`` any is, but not none at all.
    ``languages`` are those that this service transcribes, ``None``: it takes any. What the service passes over is in
    the ``notes`` of what comes out.
    """
    method = method.upper()
    fields = {name.lower(): value for name, value in headers}
    answer = error_answer
    try:
        url = urlsplit(target)
        query = dict(parse_qsl(url.query, keep_blank_values=True, max_num_fields=1000))
    except ValueError:
        return error_answer(400, "the request target cannot be read", request_id)
    try:
        route = _route(url.path, query)
        if route.job != "transcription":
            answer = synthesis_error_answer
        if websocket and not route.socket:
            raise _Refusal(404, "no WebSocket here: live transcription is at /stt/live, synthesis at /tts/live")
        allowed = ("GET",) if websocket else route.methods
        if method not in allowed:
            raise _Refusal(405, f"use {' or '.join(allowed)} here, not {method[:16]}", ("Allow", ", ".join(allowed)))
        _check_key(fields.get("authorization", ""), api_key)
        if method == "GET" and not websocket and route.socket:
            raise _Refusal(426, "this is a WebSocket: ask for an upgrade", ("Upgrade", "websocket"))
        if route.job == "transcription":
            return _transcription_request(route, query, fields, websocket=websocket, languages=languages)
        if route.job == "voices":
            return VoicesRequest(model=_path_model(route))
        if websocket:
            return SynthesisSocketRequest(timeout=_idle(query))
        return SynthesisRequest(sse=route.socket, model=_path_model(route), expire=_expires(fields))
    except _Refusal as refusal:
        if refusal.code is not None:
            return language_answer(refusal.code, str(refusal), query.get("language", ""), request_id)
        return answer(refusal.status, str(refusal), request_id, headers=refusal.headers)
    except ConfigurationError as error:
        return answer(400, str(error), request_id)


def file_answer(
    request: FileRequest,
    heard: Sequence[Heard],
    duration: float,
    request_id: str,
    *,
    size: int = 0,
    took: float = 0.0,
) -> Response:
    """The answer to a file that was transcribed: ``heard`` in order (finals count), ``duration`` of the audio in s.

    ``size`` is the file's, in bytes, and ``took`` how long it took, in seconds. The two models tell different things,
    as the examples in the vendor's API file do.
    """
    options = request.options
    finals = [item for item in heard if item.final and item.text]
    words = [word for final in finals for word in wire_words(final, options.diarize)]
    body: dict[str, Any] = {
        "status": "success",
        "transcription": " ".join(final.text for final in finals),
        "words": words if options.word_timestamps else [],
    }
    if options.model == "pulse-pro":
        speed = {"rtfx": round(duration / took, 2)} if took else {}
        metadata = {"duration": duration, "processing_time_ms": round(1000 * took, 2), **speed, "num_chunks": 1}
        body |= {"language": options.language, "metadata": metadata, "totalBytes": size, "request_id": request_id}
    else:
        # One flag turns on words and utterances, as the vendor's API file says.
        asked = options.word_timestamps or options.sentence_timestamps
        utterances = [one for final in finals for one in wire_utterances(final, options.diarize)]
        body |= {"utterances": utterances if asked else [], "metadata": {"duration": duration, "fileSize": size}}
    return json_answer(200, body, (("X-Request-Id", request_id), *expiry_headers(request.expire)))


def read_synthesis(request: SynthesisRequest, body: bytes, *, voices: Collection[str] | None = None) -> SynthesisOrder:
    """Read what a synthesis over HTTP asks for.

    ``voices`` are those that there are beside cloned ones; ``None``: any. Raises ``ConfigurationError`` for what cannot
    be had, a ``FieldError`` where a field is to blame.
    """
    fields = read_json_object(body)
    if isinstance(fields, str):
        raise ConfigurationError(f"the body must be a JSON object, and it is {fields}")
    options = read_synthesis_fields(fields, model=request.model, voices=voices)
    text = fields.get("text")
    if not isinstance(text, str):
        raise FieldError("text is missing: send the text to be spoken as a string", "text", "invalid_type")
    try:
        check_text(text)
    except ConfigurationError as error:
        raise FieldError(str(error), "text", "too_big" if text.strip() else "too_small") from None
    return SynthesisOrder(text=text, options=options)


class _Refusal(Exception):
    """The answer that refuses a request."""

    def __init__(self, status: int, message: str, *headers: tuple[str, str], code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.code = code


class _Route(Value, frozen=True, kw_only=True):
    methods: tuple[str, ...]
    job: Literal["transcription", "speech", "voices"] = "transcription"
    socket: bool = False  # GET is a WebSocket
    model: str = ""  # empty: none was named
    gateway: bool = True
    # The service has two defaults (the vendor's API files): without being asked for, words come on the older routes.
    words: bool = True
    names: Mapping[str, str] = {}  # parameters with another name on this route: the name there -> the usual name


def _route(path: str, query: Mapping[str, str]) -> _Route:
    names = [unquote(name) for name in path.split("/") if name]
    end, before = names[-1:], names[-2:-1]
    if names[-2:] == ["stt", "live"]:
        return _Route(methods=("GET",), socket=True, model=query.get("model", ""), words=False)
    if end == ["stt"]:
        return _Route(methods=("POST",), model=query.get("model", ""))
    if end == ["get_text"] and before:
        return _Route(methods=("POST", "GET"), socket=True, model=before[0])
    if end == ["transcribe"]:
        return _Route(methods=("GET",), socket=True, model=query.get("model", "pulse"), gateway=False)
    if names[-2:] == ["listen", "stream"]:
        return _Route(methods=("GET",), socket=True, model=query.get("model", "pulse"), words=False)
    if end == ["listen"]:
        return _Route(methods=("POST",), model=query.get("model", "pulse"), names=_ON_PREMISES)
    if names[-2:] == ["tts", "live"]:
        return _Route(methods=("POST", "GET"), job="speech", socket=True)
    if end == ["tts"]:
        return _Route(methods=("POST",), job="speech")
    if end == ["get_speech"] and before:
        return _Route(methods=("POST",), job="speech", model=before[0])
    if names[-2:] == ["voice", "get-all-models"]:
        return _Route(methods=("GET",), job="voices")
    if end == ["get_voices"] and before:
        return _Route(methods=("GET",), job="voices", model=before[0])
    raise _Refusal(
        404,
        "no such path: live transcription is at /stt/live, file transcription at /stt/, "
        "synthesis at /tts and /tts/live, the list of voices at /voice/get-all-models",
    )


def _check_key(authorization: str, api_key: str | None) -> None:
    """``Bearer KEY``, ``Token KEY`` (on premises), or the key alone."""
    key = authorization.strip().rpartition(" ")[2]
    challenge = ("WWW-Authenticate", "Bearer")
    if not key or key.lower() in _SCHEMES:
        raise _Refusal(401, "the API key is missing: send the header Authorization: Bearer KEY", challenge)
    if api_key is not None and key != api_key:  # this protects nothing real, so it need not take constant time
        raise _Refusal(401, "the API key is wrong", challenge)


def _path_model(route: _Route) -> str | None:
    """The model that a path names. Raises ``ConfigurationError`` for one that has no synthesis."""
    if route.model in GONE_MODELS:
        raise _Refusal(410, f"{route.model} is gone: use lightning-v3.1 or lightning-v3.1-pro")
    return SynthesisConfig(model=route.model).model if route.model else None


def _expires(fields: Mapping[str, str]) -> bool:
    return fields.get("x-expire-content", "").lower() == "true"


def _idle(query: Mapping[str, str]) -> float | None:
    """The idle time that a client asks for, in whole seconds."""
    if (seconds := query.get("timeout")) is None:
        return None
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) < 9 and 1 <= int(seconds) <= MAX_IDLE):
        raise _Refusal(400, f"timeout must be a whole number of seconds from 1 to {MAX_IDLE}, not {seconds[:40]!r}")
    return float(seconds)


def _transcription_request(
    route: _Route,
    query: Mapping[str, str],
    fields: Mapping[str, str],
    *,
    websocket: bool,
    languages: Collection[str] | None,
) -> LiveRequest | FileRequest:
    if not route.model:
        raise _Refusal(400, "model is missing: add model=pulse to the query")
    query = {route.names.get(name, name): value for name, value in query.items()}
    language = query.get("language", "en")
    refused = None if languages is None or language in languages else WRONG_LANGUAGE
    if websocket:
        return _live_request(route, query, refused)
    if refused:
        raise _Refusal(400, f"language {language[:40]!r} is not enabled in this region", code=WRONG_LANGUAGE)
    return _file_request(route, query, fields)


def _live_request(route: _Route, query: Mapping[str, str], refused: str | None) -> LiveRequest:
    # Without being asked, the service sends no voice events.
    fixed: dict[str, Any] = {"model": route.model, "word_timestamps": route.words, "vad_events": None}
    if "vad" in query and "vad_events" not in query:  # an older name of the same
        query = {**query, "vad_events": query["vad"]}
    options, notes = read_transcription(TranscriptionConfig, query, **fixed)
    return LiveRequest(options=options, gateway=route.gateway, notes=notes, refused=refused)


def _file_request(route: _Route, query: Mapping[str, str], fields: Mapping[str, str]) -> FileRequest:
    options, notes = read_transcription(FileTranscriptionConfig, query, model=route.model)
    content_type = fields.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if "webhook_url" in query:
        raise _Refusal(400, "webhook_url: this server reaches no network; leave it out and wait for the answer")
    if content_type == "application/json":
        raise _Refusal(400, "audio by URL: this server reaches no network; send the file itself as the body")
    if content_type.startswith("multipart/"):
        raise _Refusal(400, "send the file itself as the body (application/octet-stream), not a form")
    length = fields.get("content-length", "").strip()
    if length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > MAX_FILE_BYTES):
        raise _Refusal(413, f"the file is larger than {MAX_FILE_BYTES // 1_000_000} MB")
    return FileRequest(options=options, content_type=content_type, expire=_expires(fields), notes=notes)
