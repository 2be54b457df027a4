"""What the user sets: frozen values, checked as they are made. An error says what is wrong and what would be right.

An option left at ``None`` is not sent, so that the service's own default holds. Facts of the wire: the vendor's
AsyncAPI and OpenAPI files for Pulse and Lightning (August 2026).
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias, get_args
from urllib.parse import urlsplit

import msgspec

from .audio import AudioFormat, Encoding
from .checks import (
    check_booleans,
    check_id,
    check_number,
    check_one_of,
    check_web_url,
    check_whole,
    is_encodable,
    is_number,
)
from .errors import ConfigurationError
from .values import Secret, Value, hide

Route: TypeAlias = Literal["unified", "model", "direct"]
OutputFormat: TypeAlias = Literal["pcm", "mp3", "wav", "ulaw", "alaw"]

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

SPEECH_MODELS = ("lightning_v3.1", "lightning_v3.1_pro")
# fmt: off
SPEECH_LANGUAGES = frozenset((
    "auto", "en", "es", "fr", "de", "it", "nl", "sv", "pt", "pl", "ru",
    "hi", "mr", "gu", "pa", "bn", "or", "ta", "te", "kn", "ml",
))
PRO_SPEECH_LANGUAGES = SPEECH_LANGUAGES | {"el", "fi", "no", "zh", "ja", "ko", "id", "ms", "vi", "tr", "ar"}
# fmt: on
SPEECH_SAMPLE_RATES = (8000, 16000, 24000, 44100)  # Hz
MAX_TEXT = 100_000  # characters of one request: an hour and a half of speech; the service names no limit of its own

# Models before these: "lightning", "lightning-v2", "lightning-large". The hyphen is the older spelling.
_SPEECH_MODEL = re.compile(r"lightning(-[a-z0-9.]+)*")
_VOICE = re.compile(r"[^\W_][\w.:-]{0,127}")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+( [\x21-\x7e]+)*")
_BASE_URL = re.compile(
    r"(https?|wss?)://([a-z0-9][a-z0-9_.-]*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?(/[a-z0-9._~!$&'()*+,;=:@%/-]*)?", re.I
)
# Headers that the library or its transport writes itself: a second one would contradict it.
_OWN_HEADER = re.compile(
    "accept|accept-encoding|authorization|connection|content-.*|expect|host|keep-alive|sec-websocket-.*|te|trailer|transfer-encoding"
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
        # From here on they cannot be shown by accident, not even by a traceback of the checks that follow.
        msgspec.structs.force_setattr(self, "api_key", hide(self.api_key))
        msgspec.structs.force_setattr(self, "headers", hide(self.headers))
        if not isinstance(self.api_key, str) or not self.api_key.strip():
            raise ConfigurationError(
                "no API key: pass api_key, or set SMALLEST_API_KEY where the client reads the environment"
            )
        if not _HEADER_VALUE.fullmatch(self.api_key) or self.api_key[0] in "'\"":
            raise ConfigurationError("the API key holds characters that no key has: check for line ends and quotes")
        if self.route not in get_args(Route):
            raise ConfigurationError(f"route must be one of {', '.join(get_args(Route))}, not {self.route!r}")
        self._check_url()
        if not isinstance(self.source, str) or not _HEADER_VALUE.fullmatch(self.source):
            raise ConfigurationError("source cannot stand in a header: use ASCII without line ends")
        _check_headers(self.headers)

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
        check_one_of("model", self.model, LIVE_MODELS)
        _check_language(self.language, LIVE_LANGUAGES, self.model, "live transcription")
        check_whole("endpointing_timeout", self.endpointing_timeout, 1, None, "milliseconds")
        if self.eou_timeout_ms != 0 or type(self.eou_timeout_ms) is not int:
            check_whole("eou_timeout_ms", self.eou_timeout_ms, 100, 10_000, "milliseconds, or 0 for the default")
        check_whole("max_words", self.max_words, 1, None, "words")
        msgspec.structs.force_setattr(self, "keywords", _checked_keywords(self.keywords))
        check_booleans(self)
        check_id("external_session_id", self.external_session_id)

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
        check_one_of("model", self.model, FILE_MODELS)
        _check_language(self.language, FILE_LANGUAGES, self.model, "file transcription")
        if (self.encoding is None) != (self.sample_rate is None):
            raise ConfigurationError("raw PCM needs both encoding and sample_rate; any other file needs neither")
        if self.encoding is not None and self.sample_rate is not None:
            AudioFormat(encoding=self.encoding, sample_rate=self.sample_rate)
        msgspec.structs.force_setattr(self, "keywords", _checked_keywords(self.keywords))
        check_booleans(self)
        if self.webhook_url is None:
            if self.webhook_method is not None or self.webhook_extra is not None:
                raise ConfigurationError("webhook_method and webhook_extra need a webhook_url")
        elif self.model != "pulse-pro":
            raise ConfigurationError("only model='pulse-pro' answers by webhook_url")
        else:
            check_web_url("webhook_url", self.webhook_url)
            if self.webhook_extra is not None and not is_encodable(self.webhook_extra):
                raise ConfigurationError("webhook_extra must be text such as 'call:1234,agent:7'")
        if self.webhook_method not in (None, "GET", "POST"):
            raise ConfigurationError("webhook_method must be 'GET' or 'POST'")


class SynthesisConfig(Value, frozen=True, kw_only=True):
    """A synthesis (Lightning): voice, language, format of the audio and the options of the socket.

    Raises ``ConfigurationError`` for what the service does not have. Which voices a model has, the service alone knows:
    see ``check_voice``. A socket carries pcm alone; ``word_timestamps`` and what follows it are for sockets alone.
    """

    model: str = "lightning_v3.1"  # or lightning_v3.1_pro, with hyphens too; an older one by its name (route="model")
    voice_id: str | None = None  # None: that of ``voice``
    sample_rate: int = 24000  # Hz: 8000, 16000, 24000, 44100
    speed: float | None = None  # 0.5..2
    language: str | None = None  # a code such as en, or auto
    output_format: OutputFormat = "pcm"  # pcm is 16 bit, mono; ulaw and alaw are 8 bit
    pronunciation_dicts: tuple[str, ...] = ()  # ids
    number_pronunciation_language: str | None = None
    math_notation: bool | None = None
    session_id: str | None = None  # at most 128 of A-Z a-z 0-9 _ . -
    request_id: str | None = None  # likewise
    consistency: float | None = None  # 0..1; older models alone
    similarity: float | None = None  # 0..1; older models alone
    enhancement: float | None = None  # 0..2; older models alone
    word_timestamps: bool = False  # voices of English and Hindi have them
    continuations: bool = False  # the socket's protocol: prosody goes on from sentence to sentence
    max_buffer_flush_ms: int | None = None  # 0..1000, without continuations: wait so long for more text, then speak
    complete_backoff_ms: int | None = None  # 0..10000, likewise: from the last chunk to complete; server default 4000
    max_buffer_delay_ms: int | None = None  # 0..5000, with continuations; server default 3000

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not (self.current_model or _SPEECH_MODEL.fullmatch(self.model)):
            raise ConfigurationError(f"model must be one of {', '.join(SPEECH_MODELS)}, not {self.model!r}")
        if self.voice_id is not None and not (isinstance(self.voice_id, str) and _VOICE.fullmatch(self.voice_id)):
            raise ConfigurationError("voice_id must be the id of a voice such as 'sophia' or 'voice_FlPK'")
        check_one_of("sample_rate", self.sample_rate, SPEECH_SAMPLE_RATES, " Hz")
        check_one_of("output_format", self.output_format, get_args(OutputFormat))
        check_number("speed", self.speed, 0.5, 2, "1 is the natural pace")
        for name in ("language", "number_pronunciation_language"):
            self._check_language(getattr(self, name), name)
        for name, highest in (("consistency", 1), ("similarity", 1), ("enhancement", 2)):
            check_number(name, getattr(self, name), 0, highest, "of older models")
            if getattr(self, name) is not None and self.current_model:
                raise ConfigurationError(f"{self.model} has no {name}: leave it out, older models alone have it")
        check_id("session_id", self.session_id)
        check_id("request_id", self.request_id)
        check_booleans(self)
        check_whole("max_buffer_flush_ms", self.max_buffer_flush_ms, 0, 1000, "milliseconds")
        check_whole("complete_backoff_ms", self.complete_backoff_ms, 0, 10_000, "milliseconds")
        check_whole("max_buffer_delay_ms", self.max_buffer_delay_ms, 0, 5000, "milliseconds")
        dicts = self.pronunciation_dicts
        if not isinstance(dicts, (tuple, list)) or not all(is_encodable(one) and one.strip() for one in dicts):
            raise ConfigurationError("pronunciation_dicts must be a tuple of the ids of dictionaries")
        msgspec.structs.force_setattr(self, "pronunciation_dicts", tuple(dicts))

    def _check_language(self, language: object, name: str) -> None:
        known = PRO_SPEECH_LANGUAGES if self.current_model != SPEECH_MODELS[0] else SPEECH_LANGUAGES
        if language is not None and (not isinstance(language, str) or language not in known):
            raise ConfigurationError(f"{self.model} has no {name} {language!r}: use one of {', '.join(sorted(known))}")

    @property
    def current_model(self) -> str | None:
        """The model as the unified route names it, or ``None`` for one of the older models."""
        return next((model for model in SPEECH_MODELS if model == self.model.replace("-", "_")), None)

    @property
    def voice(self) -> str:
        """The voice that speaks: ``voice_id``, or the model's own ("sophia", "meher" for the pro model)."""
        return self.voice_id or ("meher" if self.current_model == SPEECH_MODELS[1] else "sophia")

    @property
    def sample_width(self) -> int | None:
        """Bytes of one sample of ``output_format``, or ``None`` where samples cannot be told apart (mp3, wav)."""
        return {"pcm": 2, "ulaw": 1, "alaw": 1}.get(self.output_format)


class Timeouts(Value, frozen=True, kw_only=True):
    """Deadlines and paces, in seconds. Everything that is waited for ends."""

    opening: float = 10.0  # from OpenLink to link_opened
    last: float = 10.0  # from close_stream to the last final, beside the time that the unfinalised audio lasts
    closing: float = 2.0  # from CloseLink to link_closed
    response: float = 300.0  # from a request to the end of its answer
    audio: float = 15.0  # from a piece of speech to the next; over SSE also from the request to the first
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
        check_whole("max_retries", self.max_retries, 0, None, "retries")
        for name in ("first_delay", "longest_delay", "longest_retry_after", "healthy_after"):
            check_seconds(name, getattr(self, name), least=0.0)


def check_seconds(name: str, value: object, *, least: float | None = None) -> None:
    """Raises ``ConfigurationError`` unless ``value`` is a number of seconds of at least ``least``, or above 0."""
    if not is_number(value) or value < (least or 0.0) or (value == 0 and least is None):
        bound = "above 0" if least is None else f"of at least {least:g}"
        raise ConfigurationError(f"{name} must be a number of seconds {bound}, not {value!r}")


def check_text(text: str) -> None:
    """Raises ``ConfigurationError`` for a text that cannot be spoken in one request; no message repeats it."""
    if not isinstance(text, str):
        raise ConfigurationError(f"the text must be a str, not {type(text).__name__}")
    if not text.strip():
        raise ConfigurationError("the text is empty: there is nothing to say")
    if len(text) > MAX_TEXT:
        raise ConfigurationError(
            f"the text has {len(text):,} characters: one request takes at most {MAX_TEXT:,}; send it in parts"
        )
    if not is_encodable(text):
        raise ConfigurationError("the text holds lone surrogates, which no UTF-8 can carry: decode it anew")


def _check_language(language: object, allowed: frozenset[str], model: str, job: str) -> None:
    if not isinstance(language, str) or language not in allowed:
        raise ConfigurationError(f"{job} has no language {language!r}: use one of {', '.join(sorted(allowed))}")
    if model in ENGLISH_ONLY_MODELS and language != "en":
        raise ConfigurationError(f"{model} knows English alone: use language='en', or model='pulse'")


def _checked_keywords(keywords: object) -> tuple[str | tuple[str, float], ...]:
    checked: list[str | tuple[str, float]] = []
    if isinstance(keywords, str) or not isinstance(keywords, (tuple, list)):
        raise ConfigurationError("keywords must be a tuple of words or of (words, boost) pairs")
    if len(keywords) > MAX_KEYWORDS:
        raise ConfigurationError(f"{len(keywords):,} keywords: the service takes at most {MAX_KEYWORDS:,}")
    for at, keyword in enumerate(keywords):
        word, boost = keyword if isinstance(keyword, (tuple, list)) and len(keyword) == 2 else (keyword, 1.0)
        if not is_encodable(word) or not word.strip() or "," in word or ":" in word:
            raise ConfigurationError(
                f"keyword {at} must be a word or phrase without ',' and ':' (they separate keywords on the wire)"
            )
        if not is_number(boost) or boost <= 0:
            raise ConfigurationError(f"the boost of keyword {at} must be a number above 0; 1 to 3 is the useful range")
        checked.append(word if isinstance(keyword, str) else (word, boost))
    return tuple(checked)


def _check_headers(headers: object) -> None:
    """Of headers that are hidden already."""
    if not isinstance(headers, tuple):
        raise ConfigurationError("headers must be a tuple of (name, value) pairs")
    for at, pair in enumerate(headers):
        if not isinstance(pair, tuple) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise ConfigurationError(f"header {at} must be a pair (name, value) of texts")
        name, value = pair
        if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not _HEADER_VALUE.fullmatch(value):
            raise ConfigurationError(f"the header {name!r} cannot be sent: use ASCII without line ends")
        if _OWN_HEADER.fullmatch(name):
            raise ConfigurationError(f"the header {name!r} is written by the library: leave it out (key: api_key)")
