"""What the user sets: frozen values, checked as they are made. An error says what is wrong and what would be right.

An option left at ``None`` is not sent, so that the service's own default holds. Facts of the wire: the vendor's
AsyncAPI and OpenAPI files for Pulse (August 2026).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Literal, TypeAlias, TypeGuard, get_args
from urllib.parse import urlsplit

import msgspec

from .audio import AudioFormat, Encoding
from .errors import ConfigurationError
from .values import Secret, Value

Route: TypeAlias = Literal["unified", "model", "direct"]

BASE_URL = "https://api.smallest.ai/waves/v1"
US_BASE_URL = "https://api.us.smallest.ai/waves/v1"

LIVE_MODELS = ("pulse", "pulse-2")
FILE_MODELS = ("pulse", "pulse-pro")
# fmt: off
LIVE_LANGUAGES = frozenset((
    "en", "hi", "de", "es", "ru", "it", "fr", "nl", "pt", "zh", "yue", "ja", "ko", "gu", "mr", "or", "bn",
    "ta", "te", "kn", "ml", "north_indic", "multi-asian", "multi-south-indic",
))
FILE_LANGUAGES = frozenset((
    "en", "hi", "de", "es", "ru", "it", "fr", "nl", "pt", "uk", "pl", "cs", "sk", "lv", "et", "ro", "fi", "sv", "bg",
    "hu", "da", "lt", "mt", "zh", "ja", "ko", "multi-eu", "multi-asian", "multi-indic",
))
# fmt: on
US_ONLY_LANGUAGES = frozenset(("zh", "yue", "ja", "ko", "multi-asian"))  # live
INDIA_ONLY_LANGUAGES = frozenset(("ta", "te", "kn", "ml", "multi-south-indic"))  # live
ENGLISH_ONLY_MODELS = ("pulse-2", "pulse-pro")
MAX_KEYWORDS = 10_000

_SESSION_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+( [\x21-\x7e]+)*")
_BASE_URL = re.compile(
    r"(https?|wss?)://([a-z0-9][a-z0-9_.-]*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?(/[a-z0-9._~!$&'()*+,;=:@%/-]*)?", re.I
)
# Headers that the library or its transport writes itself: a second one would contradict it.
_OWN_HEADER = re.compile(
    "accept|authorization|connection|content-.*|expect|host|keep-alive|sec-websocket-.*|te|trailer|transfer-encoding"
    "|upgrade|x-source",
    re.I,
)


class Endpoint(Value, frozen=True, kw_only=True):
    """Where the service is and who calls it.

    ``route`` is the shape of its paths: ``unified`` (``/stt/live?model=pulse``, today's), ``model``
    (``/pulse/get_text``, the older contract), or ``direct`` (``/transcribe``, a server reached without the gateway).

    Raises ``ConfigurationError`` for a URL that is no base URL and for a key that cannot stand in a header.
    """

    api_key: str = Secret()
    base_url: str = BASE_URL
    route: Route = "unified"
    source: str = "smallest-proto"  # sent as X-Source
    headers: tuple[tuple[str, str], ...] = ()  # more headers, such as X-LiveKit-Version

    def __post_init__(self) -> None:
        if not isinstance(self.api_key, str) or not self.api_key.strip():
            raise ConfigurationError(
                "no API key: pass api_key, or set SMALLEST_API_KEY where the client reads the environment"
            )
        # From here on it cannot be shown by accident, not even by a traceback of the checks that follow.
        msgspec.structs.force_setattr(self, "api_key", Secret(self.api_key))
        if not _HEADER_VALUE.fullmatch(self.api_key) or self.api_key[0] in "'\"":
            raise ConfigurationError("the API key holds characters that no key has: check for line ends and quotes")
        if self.route not in get_args(Route):
            raise ConfigurationError(f"route must be one of {', '.join(get_args(Route))}, not {self.route!r}")
        self._check_url()
        if not isinstance(self.source, str) or not _HEADER_VALUE.fullmatch(self.source):
            raise ConfigurationError("source cannot stand in a header: use ASCII without line ends")
        msgspec.structs.force_setattr(self, "headers", _checked_headers(self.headers))

    def _check_url(self) -> None:
        example = f"use a URL such as {BASE_URL}"
        try:
            url = urlsplit(self.base_url)
            url.port  # noqa: B018 - reading it checks it
        except (ValueError, AttributeError, TypeError):
            raise ConfigurationError(f"base_url cannot be read: {example}") from None
        if not isinstance(self.base_url, str):
            raise ConfigurationError(f"base_url must be text: {example}")
        if url.scheme not in ("http", "https", "ws", "wss"):
            raise ConfigurationError(f"base_url has the scheme {url.scheme!r}, not http, https, ws or wss: {example}")
        if "?" in self.base_url or "#" in self.base_url:
            raise ConfigurationError("base_url must end with its path: options are set in the configuration")
        if "@" in url.netloc:
            raise ConfigurationError("base_url must not hold a user or a password: the key goes into api_key")
        if not _BASE_URL.fullmatch(self.base_url) or url.port == 0:
            raise ConfigurationError(f"base_url has no host that can be reached: {example}")


class TranscriptionConfig(Value, frozen=True, kw_only=True):
    """A live transcription (Pulse): audio format, language and the options of the stream.

    Raises ``ConfigurationError`` for what the live service does not have.
    """

    model: str = "pulse"
    language: str = "en"
    encoding: Encoding = "linear16"
    sample_rate: int = 16000  # Hz
    word_timestamps: bool = True  # False: events carry no words (they are asked for all the same, for the watermark)
    sentence_timestamps: bool | None = None
    diarize: bool | None = None
    vad_events: bool | None = None  # acoustic speech starts and ends: turns are truer with them
    endpointing: bool | None = None
    endpointing_timeout: int | None = None  # ms of silence; server default 600
    eou_timeout_ms: int | None = None  # 100..10000; 0 counts as not set; server default 800
    format: bool | None = None
    punctuate: bool | None = None
    capitalize: bool | None = None
    itn_normalize: bool | None = None
    numerals: bool | None = None
    finalize_on_words: bool | None = None
    max_words: int | None = None
    redact_pii: bool | None = None
    redact_pci: bool | None = None
    full_transcript: bool | None = None
    keywords: tuple[str | tuple[str, float], ...] = ()  # words or (words, boost), at most 10,000
    external_session_id: str | None = None  # at most 128 of A-Z a-z 0-9 _ . -

    PRIVATE = frozenset({"keywords"})  # names of customers, as a rule

    def __post_init__(self) -> None:
        self.audio_format  # noqa: B018 - making it checks it
        if self.model == "pulse-pro":
            raise ConfigurationError("pulse-pro has no live transcription: use model='pulse', or transcribe a file")
        _one_of("model", self.model, LIVE_MODELS)
        _check_language(self.language, LIVE_LANGUAGES, self.model, "live transcription")
        _check_whole("endpointing_timeout", self.endpointing_timeout, 1, None, "milliseconds")
        if self.eou_timeout_ms != 0 or type(self.eou_timeout_ms) is not int:
            _check_whole("eou_timeout_ms", self.eou_timeout_ms, 100, 10_000, "milliseconds, or 0 for the default")
        _check_whole("max_words", self.max_words, 1, None, "words")
        msgspec.structs.force_setattr(self, "keywords", _checked_keywords(self.keywords))
        _check_booleans(self)
        if self.external_session_id is not None and not (
            isinstance(self.external_session_id, str) and _SESSION_ID.fullmatch(self.external_session_id)
        ):
            raise ConfigurationError(
                "external_session_id must be 1 to 128 of the characters A-Z, a-z, 0-9, '_', '.' and '-'"
            )

    @property
    def audio_format(self) -> AudioFormat:
        """The format of the audio that the stream takes."""
        return AudioFormat(encoding=self.encoding, sample_rate=self.sample_rate)


class FileTranscriptionConfig(Value, frozen=True, kw_only=True):
    """The transcription of a whole file (Pulse, Pulse Pro) over HTTP.

    ``encoding`` and ``sample_rate`` (Hz) are for raw PCM alone; of a WAV, MP3, FLAC or OGG file the service reads them
    itself. Raises ``ConfigurationError`` for what the service does not have.
    """

    model: str = "pulse"
    language: str = "en"
    encoding: Encoding | None = None
    sample_rate: int | None = None
    word_timestamps: bool | None = None
    sentence_timestamps: bool | None = None
    diarize: bool | None = None
    format: bool | None = None
    punctuate: bool | None = None
    capitalize: bool | None = None
    itn_normalize: bool | None = None
    numerals: bool | None = None
    redact_pii: bool | None = None
    redact_pci: bool | None = None
    emotion_detection: bool | None = None
    gender_detection: bool | None = None
    keywords: tuple[str | tuple[str, float], ...] = ()
    webhook_url: str | None = None  # pulse-pro: the answer comes there, later
    webhook_method: Literal["GET", "POST"] | None = None
    webhook_extra: str | None = None

    PRIVATE = frozenset({"keywords", "webhook_url", "webhook_extra"})

    def __post_init__(self) -> None:
        _one_of("model", self.model, FILE_MODELS)
        _check_language(self.language, FILE_LANGUAGES, self.model, "file transcription")
        if (self.encoding is None) != (self.sample_rate is None):
            raise ConfigurationError("raw PCM needs both encoding and sample_rate; any other file needs neither")
        if self.encoding is not None and self.sample_rate is not None:
            AudioFormat(encoding=self.encoding, sample_rate=self.sample_rate)
        msgspec.structs.force_setattr(self, "keywords", _checked_keywords(self.keywords))
        _check_booleans(self)
        if self.webhook_url is None:
            if self.webhook_method is not None or self.webhook_extra is not None:
                raise ConfigurationError("webhook_method and webhook_extra need a webhook_url")
        elif self.model != "pulse-pro":
            raise ConfigurationError("only model='pulse-pro' answers by webhook_url")
        else:
            check_web_url("webhook_url", self.webhook_url)
            if self.webhook_extra is not None and not _encodable(self.webhook_extra):
                raise ConfigurationError("webhook_extra must be text such as 'call:1234,agent:7'")
        if self.webhook_method not in (None, "GET", "POST"):
            raise ConfigurationError("webhook_method must be 'GET' or 'POST'")


class Timeouts(Value, frozen=True, kw_only=True):
    """Deadlines and paces, in seconds. Everything that is waited for ends."""

    opening: float = 10.0  # from OpenLink to link_opened
    last: float = 10.0  # from close_stream to the last final, beside the time that the unfinalised audio lasts
    closing: float = 2.0  # from CloseLink to link_closed
    response: float = 300.0  # from a request to the end of its answer
    ping: float = 5.0  # between a pong and the next ping
    pong: float = 5.0  # from a ping to its pong
    write: float = 5.0  # from a send to write_done
    mute: float = 12.0  # audio goes out and nothing comes back; at half of it the service is asked for a final
    keepalive: float = 5.0  # without anything sent, before the gateway is sent a keepalive
    # The service takes messages of 50 ms no closer together than 20 ms; shorter packets of opus get their share.
    message_interval: float = 0.02  # 0: as fast as the application gives them

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            check_seconds(name, getattr(self, name), least=0.0 if name == "message_interval" else None)


class RetryPolicy(Value, frozen=True, kw_only=True):
    """When a lost connection is opened again: exponential waits with full jitter, in seconds."""

    max_retries: int = 8  # consecutive failures that are forgiven; 0: none
    first_delay: float = 0.25  # the longest wait after the first failure; it doubles with each one
    longest_delay: float = 10.0
    longest_retry_after: float = 60.0  # no longer is waited, whatever the service asks for
    healthy_after: float = 10.0  # a link open for so long starts the count over

    def __post_init__(self) -> None:
        _check_whole("max_retries", self.max_retries, 0, None, "retries")
        for name in ("first_delay", "longest_delay", "longest_retry_after", "healthy_after"):
            check_seconds(name, getattr(self, name), least=0.0)


def check_seconds(name: str, value: object, *, least: float | None = None) -> None:
    """Raises ``ConfigurationError`` unless ``value`` is a number of seconds of at least ``least``, or above 0."""
    if not _is_number(value) or value < (least or 0.0) or (value == 0 and least is None):
        bound = "above 0" if least is None else f"of at least {least:g}"
        raise ConfigurationError(f"{name} must be a number of seconds {bound}, not {value!r}")


def _one_of(name: str, value: object, allowed: Iterable[str]) -> None:
    if value not in tuple(allowed):
        raise ConfigurationError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")


def _check_language(language: object, allowed: frozenset[str], model: str, job: str) -> None:
    if not isinstance(language, str) or language not in allowed:
        raise ConfigurationError(f"{job} has no language {language!r}: use one of {', '.join(sorted(allowed))}")
    if model in ENGLISH_ONLY_MODELS and language != "en":
        raise ConfigurationError(f"{model} knows English alone: use language='en', or model='pulse'")


def _check_whole(name: str, value: object, lowest: int, highest: int | None, unit: str) -> None:
    if value is None:
        return
    bounds = f"from {lowest} to {highest}" if highest is not None else f"of at least {lowest}"
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or value < lowest
        or (highest is not None and value > highest)
    ):
        raise ConfigurationError(f"{name} must be a whole number {bounds} ({unit}), not {value!r}")


def _checked_keywords(keywords: object) -> tuple[str | tuple[str, float], ...]:
    checked: list[str | tuple[str, float]] = []
    if isinstance(keywords, str) or not isinstance(keywords, (tuple, list)):
        raise ConfigurationError("keywords must be a tuple of words or of (words, boost) pairs")
    if len(keywords) > MAX_KEYWORDS:
        raise ConfigurationError(f"{len(keywords):,} keywords: the service takes at most {MAX_KEYWORDS:,}")
    for at, keyword in enumerate(keywords):
        word, boost = keyword if isinstance(keyword, (tuple, list)) and len(keyword) == 2 else (keyword, 1.0)
        if not _encodable(word) or not word.strip() or "," in word or ":" in word:
            raise ConfigurationError(
                f"keyword {at} must be a word or phrase without ',' and ':' (they separate keywords on the wire)"
            )
        if not _is_number(boost) or boost <= 0:
            raise ConfigurationError(f"the boost of keyword {at} must be a number above 0; 1 to 3 is the useful range")
        checked.append(word if isinstance(keyword, str) else (word, boost))
    return tuple(checked)


def check_web_url(name: str, url: object) -> None:
    """Raise ``ConfigurationError`` for what is no URL that the service could call or fetch from."""
    try:
        parts = urlsplit(url) if _encodable(url) else None
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{name} must be an absolute http or https URL")


def _checked_headers(headers: object) -> tuple[tuple[str, Secret], ...]:
    if not isinstance(headers, (tuple, list)):
        raise ConfigurationError("headers must be a tuple of (name, value) pairs")
    for at, pair in enumerate(headers):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise ConfigurationError(f"header {at} must be a pair (name, value) of texts")
        name, value = pair
        if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not _HEADER_VALUE.fullmatch(value):
            raise ConfigurationError(f"the header {name!r} cannot be sent: use ASCII without line ends")
        if _OWN_HEADER.fullmatch(name):
            raise ConfigurationError(f"the header {name!r} is written by the library: leave it out (key: api_key)")
    return tuple((name, Secret(value)) for name, value in headers)  # one can hold the key of a proxy


def _is_number(value: object) -> TypeGuard[int | float]:
    """Whether value is a finite number; a whole one too large for a float is none."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def _encodable(text: object) -> TypeGuard[str]:
    """Whether it is text without lone surrogates, which no URL can carry."""
    return isinstance(text, str) and not re.search("[\ud800-\udfff]", text)


def _check_booleans(config: TranscriptionConfig | FileTranscriptionConfig) -> None:
    for name in _BOOLEANS.intersection(config.__struct_fields__):
        value = getattr(config, name)
        if value is not None and not isinstance(value, bool):
            raise ConfigurationError(f"{name} must be True, False or None, not {value!r}")


# fmt: off
_BOOLEANS = frozenset((
    "word_timestamps", "sentence_timestamps", "diarize", "vad_events", "endpointing", "format", "punctuate",
    "capitalize", "itn_normalize", "numerals", "finalize_on_words", "redact_pii", "redact_pci", "full_transcript",
    "emotion_detection", "gender_detection",
))
# fmt: on
