"""Configuration -> request: method, URL, headers, body. The key is in the headers and in no ``repr``."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

import msgspec

from .checks import check_web_url
from .config import (
    INDIA_ONLY_LANGUAGES,
    SPEECH_MODELS,
    US_ONLY_LANGUAGES,
    Endpoint,
    FileTranscriptionConfig,
    SynthesisConfig,
    TranscriptionConfig,
    check_seconds,
    check_text,
)
from .errors import ConfigurationError
from .values import Secret, Value

MAX_FILE_BYTES = 250_000_000  # the service answers 413 to more

_LIVE_PATHS = {"unified": "/stt/live", "model": "/{model}/get_text", "direct": "/transcribe"}
_FILE_PATHS = {"unified": "/stt/", "model": "/{model}/get_text"}


class Request(Value, frozen=True, kw_only=True):
    """One HTTP request, or the opening of one WebSocket (``ws``/``wss`` URL).

    The query is private too: it can hold keywords and names.
    """

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"query", "body"})

    method: str
    url: str  # absolute, without the query
    query: str = ""  # URL-encoded, without "?"
    headers: tuple[tuple[str, str], ...] = ()  # the Authorization value is a Secret
    body: bytes | None = None

    @property
    def full_url(self) -> str:
        """The URL with its query."""
        return f"{self.url}?{self.query}" if self.query else self.url


def live_transcription_request(config: TranscriptionConfig, endpoint: Endpoint) -> Request:
    """The opening of a live transcription's WebSocket.

    Raises ``ConfigurationError`` for a language that the region of ``endpoint`` does not serve.
    """
    if not isinstance(config, TranscriptionConfig):
        raise ConfigurationError(f"the options of a live transcription are a TranscriptionConfig, not {config!r}")
    _check_region(config.language, endpoint)
    # Word times are always asked for: the watermark is the end of the last finalised word.
    options = msgspec.structs.replace(config, word_timestamps=True, eou_timeout_ms=config.eou_timeout_ms or None)
    return Request(
        method="GET",
        url=_url(endpoint, _LIVE_PATHS[endpoint.route], config.model, websocket=True),
        query=_query(options, endpoint),
        headers=_headers(endpoint),
    )


def file_transcription_request(
    config: FileTranscriptionConfig, endpoint: Endpoint, *, audio: bytes | None = None, audio_url: str | None = None
) -> Request:
    """The transcription of a file: its bytes, or the URL that the service is to fetch it from.

    Raises ``ConfigurationError`` for no audio, for over 250 MB of it, and for what the route or the model lacks.
    """
    if (audio is None) == (audio_url is None):
        raise ConfigurationError("give either the audio's bytes or its URL")
    if endpoint.route == "direct":
        raise ConfigurationError("a server reached directly transcribes no files: use route='unified' or 'model'")
    if audio is not None:
        if not isinstance(audio, bytes):
            raise ConfigurationError(f"the file's audio must be bytes, not {type(audio).__name__}")
        if not audio:
            raise ConfigurationError("the file is empty: there is nothing to transcribe")
        if len(audio) > MAX_FILE_BYTES:
            raise ConfigurationError(
                f"the file has {len(audio) / 1e6:.0f} MB: the service takes at most {MAX_FILE_BYTES / 1e6:.0f} MB; "
                "compress it, or stream it live"
            )
        content_type, body = "application/octet-stream", audio
    else:
        if config.model == "pulse-pro":
            raise ConfigurationError("pulse-pro fetches no URL: send the file's bytes, or use model='pulse'")
        check_web_url("audio_url", audio_url)
        content_type, body = "application/json", msgspec.json.encode({"url": audio_url})
    return Request(
        method="POST",
        url=_url(endpoint, _FILE_PATHS[endpoint.route], config.model, websocket=False),
        query=_query(config, endpoint),
        headers=(*_headers(endpoint), ("Accept", "application/json"), ("Content-Type", content_type)),
        body=body,
    )


def synthesis_request(config: SynthesisConfig, endpoint: Endpoint, text: str) -> Request:
    """The synthesis of a whole text, in one reply of any format.

    Raises ``ConfigurationError`` for a text that cannot be spoken and for a model that the route does not have.
    """
    check_text(text)
    _check_config(config)
    if endpoint.route == "model":
        if config.current_model == SPEECH_MODELS[1]:
            raise ConfigurationError(f"{config.model} is on the unified route alone: use route='unified'")
        path, model = "/{model}/get_speech", _hyphenated(config)
    else:
        _check_unified(config, endpoint)
        path, model = "/tts", ""
    # Of any format: without this the answer can be empty.
    return _speech_request(config, endpoint, text, _url(endpoint, path, model, websocket=False), "audio/wav")


def synthesis_sse_request(config: SynthesisConfig, endpoint: Endpoint, text: str) -> Request:
    """The synthesis of a whole text as server-sent events: the audio comes while it is made.

    Raises ``ConfigurationError`` for a text that cannot be spoken, for a route that has no events, and for the formats
    whose every piece would come with a header of its own.
    """
    check_text(text)
    _check_unified(config, endpoint)
    if config.sample_width is None:
        raise ConfigurationError(
            f"server-sent events carry pcm, ulaw or alaw, not {config.output_format}: use sse=False"
        )
    url = _url(endpoint, "/tts/live", "", websocket=False)
    return _speech_request(config, endpoint, text, url, "text/event-stream")


def live_synthesis_request(config: SynthesisConfig, endpoint: Endpoint, *, idle: float | None = None) -> Request:
    """The opening of a synthesis's WebSocket; ``idle`` seconds without a message from us end it (server default 60).

    Raises ``ConfigurationError`` for a route without such a socket, and for an output format other than pcm.
    """
    _check_unified(config, endpoint)
    if config.output_format != "pcm":
        raise ConfigurationError(f"a socket carries pcm alone, not {config.output_format}: synthesise the whole text")
    if idle is not None:
        check_seconds("idle", idle, least=1.0)
    return Request(
        method="GET",
        url=_url(endpoint, "/tts/live", "", websocket=True),
        query="" if idle is None else urlencode({"timeout": int(idle)}),
        headers=_headers(endpoint),
    )


def voices_request(endpoint: Endpoint, model: str | None = None) -> Request:
    """The list of voices: of one model (any spelling), or the whole catalogue.

    Raises ``ConfigurationError`` for what is no model, and for a server reached directly, which has no voices.
    """
    if endpoint.route == "direct":
        raise ConfigurationError("a server reached directly has no voices: use route='unified' or 'model'")
    if model is None:
        url = _url(endpoint, "/voice/get-all-models", "", websocket=False)
    else:
        url = _url(endpoint, "/{model}/get_voices", _hyphenated(SynthesisConfig(model=model)), websocket=False)
    return Request(method="GET", url=url, headers=(*_headers(endpoint), ("Accept", "application/json")))


def speech_fields(config: SynthesisConfig, *, model: bool = True) -> dict[str, Any]:
    """What every request for speech says of the voice, as JSON: what was not set is left out.

    ``model``: whether it names the model; where the path does, it does not.
    """
    fields: dict[str, Any] = {"voice_id": config.voice}
    if model:
        fields["model"] = config.current_model or config.model
    for name in _SPEECH_FIELDS:
        value = getattr(config, name)
        if value is not None and value != ():
            fields[name] = value
    return fields


_SPEECH_FIELDS = (
    *("sample_rate", "speed", "language", "pronunciation_dicts", "number_pronunciation_language", "math_notation"),
    *("session_id", "request_id", "consistency", "similarity", "enhancement"),
)


def _speech_request(config: SynthesisConfig, endpoint: Endpoint, text: str, url: str, accept: str) -> Request:
    fields = speech_fields(config, model=endpoint.route != "model")
    return Request(
        method="POST",
        url=url,
        headers=(*_headers(endpoint), ("Accept", accept), ("Content-Type", "application/json")),
        body=msgspec.json.encode({"text": text, **fields, "output_format": config.output_format}),
    )


def _check_config(config: SynthesisConfig) -> None:
    if not isinstance(config, SynthesisConfig):
        raise ConfigurationError(f"the options of a synthesis are a SynthesisConfig, not {config!r}")


def _check_unified(config: SynthesisConfig, endpoint: Endpoint) -> None:
    _check_config(config)
    if endpoint.route != "unified":
        raise ConfigurationError(f"route={endpoint.route!r} has no such synthesis: use route='unified'")
    if config.current_model is None:
        raise ConfigurationError(
            f"{config.model} is an older model: it answers whole texts over route='model' alone; "
            f"use {' or '.join(SPEECH_MODELS)}"
        )


def _hyphenated(config: SynthesisConfig) -> str:
    """The model as paths spell it."""
    return config.model.replace("_", "-")


def _url(endpoint: Endpoint, path: str, model: str, *, websocket: bool) -> str:
    scheme, rest = endpoint.base_url.split("://", 1)
    secure = scheme.lower() in ("https", "wss")
    scheme = {(True, True): "wss", (True, False): "ws", (False, True): "https", (False, False): "http"}[
        websocket, secure
    ]
    return f"{scheme}://{rest.rstrip('/')}{path.format(model=model)}"


def _query(config: TranscriptionConfig | FileTranscriptionConfig, endpoint: Endpoint) -> str:
    pairs: list[tuple[str, str]] = []
    for name in config.__struct_fields__:
        value = getattr(config, name)
        if name == "keywords":
            value = ",".join(map(_keyword, value)) or None
        if value is None or (name == "model" and endpoint.route == "model"):  # there the path names it
            continue
        pairs.append((name, str(value).lower() if isinstance(value, bool) else str(value)))
    return urlencode(pairs)


def _keyword(keyword: str | tuple[str, float]) -> str:
    return keyword if isinstance(keyword, str) else f"{keyword[0]}:{keyword[1]:g}"


def _headers(endpoint: Endpoint) -> tuple[tuple[str, str], ...]:
    return (
        ("Authorization", Secret(f"Bearer {endpoint.api_key}")),
        ("X-Source", endpoint.source),
        ("Accept-Encoding", "identity"),  # without it a gateway may compress as it likes, and audio does not shrink
        *endpoint.headers,
    )


def _check_region(language: str, endpoint: Endpoint) -> None:
    """The vendor's two hosts serve different live languages; of any other host nothing is known."""
    host = urlsplit(endpoint.base_url).hostname
    if host == "api.smallest.ai" and language in US_ONLY_LANGUAGES:
        raise ConfigurationError(f"{language} is served from the US alone: use https://api.us.smallest.ai/waves/v1")
    if host == "api.us.smallest.ai" and language in INDIA_ONLY_LANGUAGES:
        raise ConfigurationError(f"{language} is served from India alone: use https://api.smallest.ai/waves/v1")
