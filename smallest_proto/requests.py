"""Configuration -> request: method, URL, headers, body. The key is in the headers and in no ``repr``."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from .checks import check_web_url
from .config import (
    SPEECH_MODELS,
    FileTranscriptionConfig,
    SynthesisConfig,
    TranscriptionConfig,
    check_seconds,
    check_text,
)
from .endpoint import VOICES, Endpoint
from .errors import ConfigurationError
from .languages import check_region
from .values import Secret, Value
from .wav import has_container, to_wav

MAX_FILE_BYTES = 250_000_000  # the service answers 413 to more

# Options that do not go into the query.
_NOT_IN_QUERY = frozenset(("extra", "expire_content"))
_NOT_OF_FILES = frozenset(
    ("encoding", "sample_rate")
)  # the service ignores them of uploads: the WAV's header says them
# A server on premises has other names for some options of files (the vendor's pages on it, August 2026).
_ON_PREMISES = {"word_timestamps": "timestamps", "webhook_url": "callback_url"}


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
    _check_region(config, endpoint)
    # Word times are always asked for: the watermark is the end of the last finalised word.
    options = msgspec.structs.replace(config, word_timestamps=True, eou_timeout_ms=config.eou_timeout_ms or None)
    return Request(
        method="GET",
        url=_url(endpoint, endpoint.paths.live, _model(config), websocket=True),
        query=urlencode(_query(options, endpoint)),
        headers=_headers(endpoint, config),
    )


def file_transcription_request(
    config: FileTranscriptionConfig, endpoint: Endpoint, *, audio: bytes | None = None, audio_url: str | None = None
) -> Request:
    """The transcription of a file: its bytes, or the URL from which the service fetches it.

    Raw audio, as ``config.encoding`` has it, goes out as a WAV; a file with a header goes out as it is. Raises
    ``ConfigurationError`` for no audio, for over 250 MB of it, and for what the region, the route or the model lacks.
    """
    if (audio is None) == (audio_url is None):
        raise ConfigurationError("give either the audio's bytes or its URL")
    if endpoint.paths.file is None:
        raise ConfigurationError("a server reached directly transcribes no files: use route='unified' or 'model'")
    _check_region(config, endpoint)
    if audio is not None:
        content_type, body = "application/octet-stream", _file(audio, config)
    else:
        if config.model == "pulse-pro":
            raise ConfigurationError("pulse-pro fetches no URL: send the file's bytes, or use model='pulse'")
        if config.encoding is not None:
            raise ConfigurationError("raw audio cannot be fetched, as nothing says what it is: send its bytes")
        check_web_url("audio_url", audio_url)
        content_type, body = "application/json", msgspec.json.encode({"url": audio_url})
    query = {name: value for name, value in _query(config, endpoint).items() if name not in _NOT_OF_FILES}
    if endpoint.route == "on-premises":
        query |= {theirs: query[ours] for ours, theirs in _ON_PREMISES.items() if ours in query}
    return Request(
        method="POST",
        url=_url(endpoint, endpoint.paths.file, _model(config), websocket=False),
        query=urlencode(query),
        headers=(*_headers(endpoint, config), ("Accept", "application/json"), ("Content-Type", content_type)),
        body=body,
    )


def _file(audio: bytes, config: FileTranscriptionConfig) -> bytes:
    """The file to send."""
    if not isinstance(audio, bytes):
        raise ConfigurationError(f"the file's audio must be bytes, not {type(audio).__name__}")
    if not audio:
        raise ConfigurationError("the file is empty: there is nothing to transcribe")
    encoding, rate = config.encoding, config.sample_rate
    if encoding is not None and encoding != "opus" and encoding != "ogg_opus" and not has_container(audio):
        audio = to_wav(audio, encoding, rate or 0)
    if len(audio) > MAX_FILE_BYTES:
        raise ConfigurationError(
            f"the file has {len(audio) / 1e6:.0f} MB: the service takes at most {MAX_FILE_BYTES / 1e6:.0f} MB; "
            "compress it, or stream it live"
        )
    return audio


def synthesis_request(config: SynthesisConfig, endpoint: Endpoint, text: str) -> Request:
    """The synthesis of a whole text, in one reply of any format.

    Raises ``ConfigurationError`` for a text that cannot be spoken and for a model that the route does not have.
    """
    check_text(text)
    _check_config(config)
    if endpoint.route == "model":
        if config.current_model == SPEECH_MODELS[1]:
            raise ConfigurationError(f"{config.model} is on the unified route alone: use route='unified'")
        model = _hyphenated(config)
    else:
        _check_unified(config, endpoint)
        model = ""
    path = endpoint.paths.speech or ""
    # For any format: without this header the answer can be empty.
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
    url = _url(endpoint, endpoint.paths.speech_live or "", "", websocket=False)
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
        url=_url(endpoint, endpoint.paths.speech_live or "", "", websocket=True),
        query="" if idle is None else urlencode({"timeout": int(idle)}),
        headers=_headers(endpoint, config),
    )


def voices_request(endpoint: Endpoint, model: str | None = None) -> Request:
    """The list of voices: of one model (any spelling), or the whole catalogue.

    Raises ``ConfigurationError`` for what is no model, and for a server reached directly, which has no voices.
    """
    if not endpoint.paths.voices:
        raise ConfigurationError(f"route={endpoint.route!r} has no list of voices: use route='unified' or 'model'")
    if model is None:
        url = _url(endpoint, VOICES["all"], "", websocket=False)
    else:
        url = _url(endpoint, VOICES["model"], _hyphenated(SynthesisConfig(model=model)), websocket=False)
    return Request(method="GET", url=url, headers=(*_headers(endpoint), ("Accept", "application/json")))


def speech_fields(config: SynthesisConfig, *, model: bool = True) -> dict[str, Any]:
    """What every request for speech says about the voice, as JSON, without options that are not set.

    ``model``: whether it names the model; where the path does, it does not.
    """
    fields: dict[str, Any] = {"voice_id": config.voice}
    if model:
        fields["model"] = config.current_model or config.model
    for name in _SPEECH_FIELDS:
        value = getattr(config, name)
        if value is not None and value != ():
            fields[name] = value
    return {**fields, **config.extra}


_SPEECH_FIELDS = (
    *("sample_rate", "speed", "language", "pronunciation_dicts", "number_pronunciation_language", "math_notation"),
    *("session_id", "request_id", "consistency", "similarity", "enhancement"),
)


def _speech_request(config: SynthesisConfig, endpoint: Endpoint, text: str, url: str, accept: str) -> Request:
    fields = speech_fields(config, model=endpoint.route != "model")
    return Request(
        method="POST",
        url=url,
        headers=(*_headers(endpoint, config), ("Accept", accept), ("Content-Type", "application/json")),
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


def _query(config: TranscriptionConfig | FileTranscriptionConfig, endpoint: Endpoint) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for name in config.__struct_fields__:
        value = getattr(config, name)
        if name == "keywords":
            value = ",".join(map(_keyword, value)) or None
        if value is None or name in _NOT_IN_QUERY:
            continue
        if isinstance(value, tuple):
            value = ",".join(value)
        pairs[name] = str(value).lower() if isinstance(value, bool) else str(value)
    pairs |= config.extra
    if endpoint.route == "model":  # there the path names it
        del pairs["model"]
    return pairs


def _model(config: TranscriptionConfig | FileTranscriptionConfig) -> str:
    """The model as a path names it."""
    return quote(config.extra.get("model", config.model), safe="")


def _keyword(keyword: str | tuple[str, float]) -> str:
    return keyword if isinstance(keyword, str) else f"{keyword[0]}:{keyword[1]:g}"


def _headers(
    endpoint: Endpoint, config: TranscriptionConfig | FileTranscriptionConfig | SynthesisConfig | None = None
) -> tuple[tuple[str, str], ...]:
    expire = config is not None and config.expire_content
    return (
        ("Authorization", Secret(f"{endpoint.paths.scheme} {endpoint.api_key}")),
        ("X-Source", endpoint.source),
        *((("X-Expire-Content", "true"),) if expire else ()),
        ("Accept-Encoding", "identity"),  # without it a gateway may compress as it likes, and audio does not shrink
        *endpoint.headers,
    )


def _check_region(config: TranscriptionConfig | FileTranscriptionConfig, endpoint: Endpoint) -> None:
    if not endpoint.any_region and "language" not in config.extra:
        check_region(config.language, urlsplit(endpoint.base_url).hostname)
