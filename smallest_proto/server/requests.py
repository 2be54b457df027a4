"""What comes to the service's door: a request is read and let in, or answered.

The paths, the options and their checks are those that a client has, read from the other side. A synthesis over HTTP
says what it wants in its body, a socket in each of its messages; the fields are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from smallest_proto.audio import AudioFormat
from smallest_proto.config import (
    SPEECH_MODELS,
    FileTranscriptionConfig,
    Numerals,
    Redaction,
    SynthesisConfig,
    TranscriptionConfig,
    check_text,
)
from smallest_proto.errors import ConfigurationError
from smallest_proto.reading import read_json_object
from smallest_proto.requests import MAX_FILE_BYTES
from smallest_proto.values import Value

from .answers import Response, error_answer, json_answer, speech_error_answer, wire_utterances, wire_word
from .segmenter import Heard

MAX_IDLE = 86_400  # seconds: the longest time for idle links that a synthesis's socket may ask for
DEFAULT_SAMPLE_RATE = 44100  # Hz: the service's own default

# A context_id says that a socket speaks continuations.
_FIELDS = tuple(name for name in SynthesisConfig.__struct_fields__ if name != "continuations")
_OF_OLDER_MODELS = ("consistency", "similarity", "enhancement")


class LiveRequest(Value, frozen=True, kw_only=True):
    """A live transcription that may begin: accept the WebSocket and make a ``LiveService``."""

    options: TranscriptionConfig  # what the client set; None where the service's default holds
    gateway: bool  # False on /transcribe: a server reached directly knows no keepalive and shapes its errors otherwise

    @property
    def audio_format(self) -> AudioFormat:
        """The format of the audio that will come."""
        return self.options.audio_format


class FileRequest(Value, frozen=True, kw_only=True):
    """The transcription of a file that may begin: read the body (at most 250 MB), then give ``file_answer``."""

    options: FileTranscriptionConfig
    content_type: str


class SpeechRequest(Value, frozen=True, kw_only=True):
    """A synthesis over HTTP that may begin: read the body, then give it to ``read_speech``."""

    sse: bool = False  # as server-sent events
    model: str | None = None  # of the model route; None: the body names it


class SpeechSocketRequest(Value, frozen=True, kw_only=True):
    """A synthesis's WebSocket that may open: accept it and make a ``SpeechService``."""

    timeout: float | None = None  # seconds without a message from the client after which it is closed


class VoicesRequest(Value, frozen=True, kw_only=True):
    """The list of voices: answer with ``voices_answer``."""

    model: str | None = None  # None: of all models


class SpeechOrder(Value, frozen=True, kw_only=True):
    """What is to be spoken, and how."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    text: str
    options: SynthesisConfig


Asked: TypeAlias = LiveRequest | FileRequest | SpeechRequest | SpeechSocketRequest | VoicesRequest


def read_request(
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]],
    *,
    websocket: bool,
    api_key: str | None = None,
    diarization: bool = False,
    request_id: str | None = None,
) -> Asked | Response:
    """Read a request's head: what is to be done, or the answer that refuses it. Never raises.

    ``target`` is the path with its query; any path may stand before those of the service. ``websocket`` says whether
    an upgrade was asked for. ``api_key`` is the one that is let in; with ``None`` any is, but not none at all.
    ``diarization`` says whether the recogniser can tell speakers apart; if not, ``diarize=true`` is refused.
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
            answer = speech_error_answer
        if websocket and not route.socket:
            raise _Refusal(404, "no WebSocket here: live transcription is at /stt/live, synthesis at /tts/live")
        allowed = ("GET",) if websocket else route.methods
        if method not in allowed:
            raise _Refusal(405, f"use {' or '.join(allowed)} here, not {method[:16]}", ("Allow", ", ".join(allowed)))
        _check_key(fields.get("authorization", ""), api_key)
        if method == "GET" and not websocket and route.socket:
            raise _Refusal(426, "this is a WebSocket: ask for an upgrade", ("Upgrade", "websocket"))
        if route.job == "transcription":
            return _transcription_request(route, query, fields, websocket=websocket, diarization=diarization)
        if route.job == "voices":
            return VoicesRequest(model=_path_model(route))
        if websocket:
            return SpeechSocketRequest(timeout=_idle(query))
        return SpeechRequest(sse=route.socket, model=_path_model(route))
    except _Refusal as refusal:
        return answer(refusal.status, str(refusal), request_id, headers=refusal.headers)
    except ConfigurationError as error:
        return answer(400, str(error), request_id)


def file_answer(request: FileRequest, heard: Sequence[Heard], duration: float, request_id: str) -> Response:
    """The answer to a file that was transcribed: ``heard`` in order (finals count), ``duration`` of the audio in s."""
    options = request.options
    finals = [item for item in heard if item.final and item.text]
    body: dict[str, Any] = {
        "status": "success",
        "transcription": " ".join(final.text for final in finals),
        # One flag turns on both, as the vendor's API file says.
        "words": [wire_word(word) for final in finals for word in final.words] if options.word_timestamps else [],
        "language": options.language,
        "metadata": {"duration": duration},
        "request_id": request_id,
    }
    if options.model != "pulse-pro":  # which answers with no utterances
        asked = options.word_timestamps or options.sentence_timestamps
        body["utterances"] = [utterance for final in finals for utterance in wire_utterances(final)] if asked else []
    return json_answer(200, body)


def read_speech(request: SpeechRequest, body: bytes) -> SpeechOrder:
    """Read what a synthesis over HTTP asks for. Raises ``ConfigurationError`` for what cannot be had."""
    fields = read_json_object(body)
    if isinstance(fields, str):
        raise ConfigurationError(f"the body must be a JSON object, and it is {fields}")
    options = read_speech_options(fields, model=request.model)
    text = fields.get("text")
    if not isinstance(text, str):
        raise ConfigurationError("text is missing: send the text to be spoken as a string")
    check_text(text)
    return SpeechOrder(text=text, options=options)


def read_speech_options(fields: Mapping[str, Any], *, model: str | None = None) -> SynthesisConfig:
    """The options of a synthesis from the fields of its JSON. What is not known is passed over, as the service does.

    ``model`` is that of the path, if it names one. Raises ``ConfigurationError`` for what the service does not have.
    """
    given = {name: fields[name] for name in _FIELDS if fields.get(name) is not None}
    given["model"] = given.get("model", SPEECH_MODELS[0]) if model is None else model
    if "voice_id" not in given:
        raise ConfigurationError("voice_id is missing: name the voice that is to speak, such as sophia")
    given.setdefault("sample_rate", DEFAULT_SAMPLE_RATE)
    if isinstance(given["model"], str) and given["model"].replace("-", "_") in SPEECH_MODELS:
        for name in _OF_OLDER_MODELS:  # clients of these models send them all the same
            given.pop(name, None)
    options = SynthesisConfig(**given)
    if model is None and options.current_model is None:
        raise ConfigurationError(
            f"model must be one of {', '.join(SPEECH_MODELS)} here: older ones have their own path"
        )
    return options


class _Refusal(Exception):
    """What a request is answered with in place of what it asked for."""

    def __init__(self, status: int, message: str, *headers: tuple[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class _Route(Value, frozen=True, kw_only=True):
    methods: tuple[str, ...]
    job: Literal["transcription", "speech", "voices"] = "transcription"
    socket: bool = False  # GET is a WebSocket
    model: str = ""  # empty: none was named
    gateway: bool = True
    # The service has two defaults (the vendor's API files): without being asked for, words come on the older routes.
    words: bool = True


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
    scheme, _, key = authorization.strip().partition(" ")
    challenge = ("WWW-Authenticate", "Bearer")
    if scheme.lower() != "bearer" or not key.strip():
        raise _Refusal(401, "the API key is missing: send the header Authorization: Bearer KEY", challenge)
    if api_key is not None and key.strip() != api_key:  # a stand-in for the service guards nothing: no constant time
        raise _Refusal(401, "the API key is wrong", challenge)


def _path_model(route: _Route) -> str | None:
    """The model that a path names. Raises ``ConfigurationError`` for one that does not speak."""
    return SynthesisConfig(model=route.model).model if route.model else None


def _idle(query: Mapping[str, str]) -> float | None:
    """The time for idle links that a client asks for, in whole seconds."""
    if (said := query.get("timeout")) is None:
        return None
    if not (said.isascii() and said.isdigit() and len(said) < 9 and 1 <= int(said) <= MAX_IDLE):
        raise _Refusal(400, f"timeout must be a whole number of seconds from 1 to {MAX_IDLE}, not {said[:40]!r}")
    return float(said)


def _transcription_request(
    route: _Route, query: Mapping[str, str], fields: Mapping[str, str], *, websocket: bool, diarization: bool
) -> LiveRequest | FileRequest:
    if not route.model:
        raise _Refusal(400, "model is missing: add model=pulse to the query")
    request = _live_request(route, query) if websocket else _file_request(route, query, fields)
    if request.options.diarize and not diarization:
        raise _Refusal(400, "diarize: this server cannot tell speakers apart; leave it out")
    return request


def _live_request(route: _Route, query: Mapping[str, str]) -> LiveRequest:
    options = {"word_timestamps": route.words, **_options(TranscriptionConfig, query), "model": route.model}
    if "vad" in query and "vad_events" not in query:  # an older name of the same
        options["vad_events"] = _option("vad", query["vad"], bool)
    options.setdefault("vad_events", None)  # who does not ask for them gets none
    return LiveRequest(options=TranscriptionConfig(**options), gateway=route.gateway)


def _file_request(route: _Route, query: Mapping[str, str], fields: Mapping[str, str]) -> FileRequest:
    options = {**_options(FileTranscriptionConfig, query), "model": route.model}
    request = FileRequest(
        options=FileTranscriptionConfig(**options),
        content_type=fields.get("content-type", "application/octet-stream").partition(";")[0].strip().lower(),
    )
    if request.options.webhook_url is not None:
        raise _Refusal(400, "webhook_url: this server reaches no network; leave it out and wait for the answer")
    if request.content_type == "application/json":
        raise _Refusal(400, "audio by URL: this server reaches no network; send the file itself as the body")
    if request.content_type.startswith("multipart/"):
        raise _Refusal(400, "send the file itself as the body (application/octet-stream), not a form")
    length = fields.get("content-length", "").strip()
    if length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > MAX_FILE_BYTES):
        raise _Refusal(413, f"the file is larger than {MAX_FILE_BYTES // 1_000_000} MB")
    return request


_NO_PARAMETER = frozenset(("extra", "expire_content"))  # what a configuration says elsewhere than in the query


def _options(config: type[TranscriptionConfig | FileTranscriptionConfig], query: Mapping[str, str]) -> dict[str, Any]:
    """The options of the query as fields of ``config``. What it does not know is passed over, as the service does."""
    kinds = {field.name: field.type for field in msgspec.structs.fields(config)}
    options = {name: _option(name, query[name], kinds[name]) for name in kinds if name in query.keys() - _NO_PARAMETER}
    if "keywords" in options:
        options["keywords"] = tuple(map(_keyword, query["keywords"].split(",")))
    return options


def _option(name: str, value: str, kind: Any) -> Any:
    if kind in (Numerals | None, Redaction | None) and value.lower() not in ("true", "false"):
        return tuple(value.split(",")) if kind == Redaction | None else value
    if kind in (bool, bool | None, Numerals | None, Redaction | None):
        wanted = "true or false"
        kind = bool
    elif kind in (int, int | None):
        wanted = "a whole number"
        kind = int
    elif kind == float | None:
        wanted = "a number"
        kind = float
    else:  # the configuration itself checks a text
        return value
    try:
        return msgspec.convert(value.lower(), kind, strict=False)
    except msgspec.ValidationError:
        raise _Refusal(400, f"{name} must be {wanted}, not {value[:40]!r}") from None


def _keyword(entry: str) -> str | tuple[str, float]:
    word, colon, boost = entry.rpartition(":")
    if not colon:
        return entry
    try:
        return word, float(boost)
    except ValueError:
        raise _Refusal(400, "keywords must be like Blackwell:1,Jensen Huang:2") from None
