"""What the user sets: frozen values, checked as they are made. An error says what is wrong and what would be right.

An option left at ``None`` is not sent, so that the service's own default holds. ``extra`` is the door for what the
service has learnt since: each pair goes out as it is, in place of an option of the same name. Facts of the wire: the
vendor's AsyncAPI and OpenAPI files, changelogs and SDK for Pulse and Lightning (August 2026).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

import msgspec

from .audio import AudioFormat, Encoding
from .checks import (
    check_booleans,
    check_id,
    check_number,
    check_one_of,
    check_redaction,
    check_web_url,
    check_whole,
    checked_extra,
    is_encodable,
    is_number,
)
from .endpoint import BASE_URL as BASE_URL
from .endpoint import US_BASE_URL as US_BASE_URL
from .endpoint import Endpoint as Endpoint
from .endpoint import Route as Route
from .errors import ConfigurationError
from .languages import FILE_LANGUAGES, LIVE_LANGUAGES, check_language
from .values import Value

OutputFormat: TypeAlias = Literal["pcm", "mp3", "wav", "ulaw", "alaw"]
Numerals: TypeAlias = bool | Literal["auto", "words", "digits"]
Redaction: TypeAlias = bool | tuple[str, ...]  # all, or kinds of what is to be masked, such as ("name", "phone")

LIVE_MODELS = ("pulse", "pulse-2")
FILE_MODELS = ("pulse", "pulse-pro", "pulse-2")
MAX_KEYWORDS = 10_000

SPEECH_MODELS = ("lightning_v3.1", "lightning_v3.1_pro")
# fmt: off
SPEECH_LANGUAGES = frozenset((
    "auto", "en", "es", "fr", "de", "it", "nl", "sv", "pt", "pl", "ru",
    "hi", "mr", "gu", "pa", "bn", "or", "ta", "te", "kn", "ml",
))
PRO_SPEECH_LANGUAGES = SPEECH_LANGUAGES | {"el", "fi", "no", "zh", "ja", "ko", "id", "ms", "vi", "tr", "ar"}
# fmt: on
FILE_SAMPLE_RATES = (1000, 384_000)  # Hz, of raw audio: a WAV can say any; these are the bounds of what is sold
# What the session reckons with: another value on the wire would make its clock wrong.
_RECKONED_WITH = frozenset(("encoding", "sample_rate", "word_timestamps"))
# Likewise, and what the protocol says itself in each message.
_SPEECH_PROTOCOL = frozenset(
    (
        "text",
        "continue",
        "flush",
        "context_id",
        "cancel_request",
        "sample_rate",
        "output_format",
    )
)
SPEECH_SAMPLE_RATES = (8000, 16000, 24000, 44100)  # Hz
MAX_TEXT = 100_000  # characters of one request: an hour and a half of speech; the service names no limit of its own

# Models before these: "lightning", "lightning-v2", "lightning-large". The hyphen is the older spelling.
_SPEECH_MODEL = re.compile(r"lightning(-[a-z0-9.]+)*")
_VOICE = re.compile(r"[^\W_][\w.:-]{0,127}")


class TranscriptionConfig(Value, frozen=True, kw_only=True):
    """A live transcription (Pulse): audio format, language and the options of the stream.

    ``extra`` are query parameters that are not known here, and languages: ``{"language": "xx"}``; of those no rule is
    checked. Raises ``ConfigurationError`` for what the live service does not have.
    """

    model: str = "pulse"
    language: str = "en"
    encoding: Encoding = "linear16"
    sample_rate: int = 16000  # Hz
    word_timestamps: bool = True  # False: events carry no words (they are asked for all the same, for the watermark)
    sentence_timestamps: bool | None = None
    diarize: bool | None = None
    # Acoustic starts and ends of speech: without them a final in mid-sentence is not told from the end of a turn.
    vad_events: bool | None = True
    endpointing: bool | None = None
    endpointing_timeout: int | None = None  # ms of silence; server default 600
    eou_timeout_ms: int | None = None  # 100..10000; 0 counts as not set; server default 800
    format: bool | None = None
    punctuate: bool | None = None
    capitalize: bool | None = None
    itn_normalize: bool | None = None
    numerals: Numerals | None = None
    finalize_on_words: bool | None = None
    max_words: int | None = None
    redact_pii: Redaction | None = None
    redact_pci: Redaction | None = None
    content_filter: bool | None = None
    full_transcript: bool | None = None
    emotion_detection: bool | None = None  # pulse-2: finals have ``emotions``
    gender_detection: bool | None = None  # pulse-2: finals have ``gender``
    no_format_delay: bool | None = None
    vad_threshold: float | None = None  # 0..1: from which probability on it is speech
    vad_min_speech_ms: int | None = None  # ms: what is shorter is no speech
    keywords: tuple[str | tuple[str, float], ...] = ()  # words or (words, boost), at most 10,000
    external_session_id: str | None = None  # at most 128 of A-Z a-z 0-9 _ . -
    expire_content: bool = False  # x-expire-content: the service deletes what it kept after 7 days (enterprise plans)
    extra: Mapping[str, str] = {}

    PRIVATE = frozenset(("keywords", "extra"))  # names of customers, as a rule

    def __post_init__(self) -> None:
        self.audio_format  # noqa: B018 - making it checks it
        if self.model == "pulse-pro":
            raise ConfigurationError("pulse-pro has no live transcription: use model='pulse', or transcribe a file")
        check_one_of("model", self.model, LIVE_MODELS)
        check_language(self.language, LIVE_LANGUAGES, self.model, "live transcription")
        check_whole("endpointing_timeout", self.endpointing_timeout, 1, None, "milliseconds")
        if self.eou_timeout_ms != 0 or type(self.eou_timeout_ms) is not int:
            check_whole("eou_timeout_ms", self.eou_timeout_ms, 100, 10_000, "milliseconds, or 0 for the default")
        check_whole("max_words", self.max_words, 1, None, "words")
        check_number("vad_threshold", self.vad_threshold, 0, 1, "of the probability of speech")
        check_whole("vad_min_speech_ms", self.vad_min_speech_ms, 0, None, "milliseconds")
        _check_written(self.numerals, self.redact_pii, self.redact_pci)
        msgspec.structs.force_setattr(self, "keywords", _checked_keywords(self.keywords))
        check_booleans(self)
        check_id("external_session_id", self.external_session_id)
        msgspec.structs.force_setattr(self, "extra", checked_extra(self.extra, _RECKONED_WITH))

    @property
    def audio_format(self) -> AudioFormat:
        """The format of the audio that the stream takes."""
        return AudioFormat(encoding=self.encoding, sample_rate=self.sample_rate)


class FileTranscriptionConfig(Value, frozen=True, kw_only=True):
    """The transcription of a whole file (Pulse, Pulse Pro) over HTTP.

    ``encoding`` and ``sample_rate`` (Hz) are for raw audio alone, which is sent as a WAV; of a WAV, MP3, FLAC or OGG
    file the service reads them itself. With a ``webhook_url`` the answer comes there, later. ``extra`` are query
    parameters that are not known here, and languages: ``{"language": "xx"}``; of those no rule is checked.
    Raises ``ConfigurationError`` for what the service does not have.
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
    numerals: Numerals | None = None
    redact_pii: Redaction | None = None
    redact_pci: Redaction | None = None
    content_filter: bool | None = None
    emotion_detection: bool | None = None
    gender_detection: bool | None = None
    keywords: tuple[str | tuple[str, float], ...] = ()
    webhook_url: str | None = None
    webhook_method: Literal["GET", "POST"] | None = None
    webhook_extra: str | None = None
    expire_content: bool = False  # x-expire-content: the service deletes what it kept after 7 days (enterprise plans)
    extra: Mapping[str, str] = {}

    PRIVATE = frozenset(("keywords", "webhook_url", "webhook_extra", "extra"))

    def __post_init__(self) -> None:
        check_one_of("model", self.model, FILE_MODELS)
        check_language(self.language, FILE_LANGUAGES, self.model, "file transcription")
        if (self.encoding is None) != (self.sample_rate is None):
            raise ConfigurationError("raw PCM needs both encoding and sample_rate; any other file needs neither")
        if self.encoding is not None and self.sample_rate is not None:
            self._check_raw(self.encoding, self.sample_rate)
        msgspec.structs.force_setattr(self, "keywords", _checked_keywords(self.keywords))
        check_booleans(self)
        _check_written(self.numerals, self.redact_pii, self.redact_pci)
        msgspec.structs.force_setattr(self, "extra", checked_extra(self.extra))
        if self.webhook_url is None:
            if self.webhook_method is not None or self.webhook_extra is not None:
                raise ConfigurationError("webhook_method and webhook_extra need a webhook_url")
        else:
            check_web_url("webhook_url", self.webhook_url)
            if self.webhook_extra is not None and not is_encodable(self.webhook_extra):
                raise ConfigurationError("webhook_extra must be text such as 'call:1234,agent:7'")
        if self.webhook_method not in (None, "GET", "POST"):
            raise ConfigurationError("webhook_method must be 'GET' or 'POST'")

    @staticmethod
    def _check_raw(encoding: object, sample_rate: object) -> None:
        check_one_of("encoding", encoding, get_args(Encoding))
        if encoding == "opus":
            raise ConfigurationError("packets of opus alone are no file: put them into an OGG file, and leave it out")
        check_whole("sample_rate", sample_rate, *FILE_SAMPLE_RATES, "Hz")


class SynthesisConfig(Value, frozen=True, kw_only=True):
    """A synthesis (Lightning): voice, language, format of the audio and the options of the socket.

    Raises ``ConfigurationError`` for what the service does not have. Which voices a model has, the service alone knows:
    see ``check_voice``. A socket carries pcm alone; ``word_timestamps`` and the five after it are for sockets alone.
    ``extra`` are fields that are not known here, and languages: ``{"language": "xx"}``.
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
    # 0..10000, without continuations, 0.5 as well: from the last chunk to complete. None is sent as 0, as the service
    # would wait for 4000 before every next segment.
    complete_backoff_ms: float | None = None
    max_buffer_delay_ms: int | None = None  # 0..5000, with continuations; server default 3000
    expire_content: bool = False  # x-expire-content: the service deletes what it kept after 7 days (enterprise plans)
    extra: Mapping[str, str] = {}

    PRIVATE = frozenset({"extra"})

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
        check_number("complete_backoff_ms", self.complete_backoff_ms, 0, 10_000, "milliseconds")
        check_whole("max_buffer_delay_ms", self.max_buffer_delay_ms, 0, 5000, "milliseconds")
        dicts = self.pronunciation_dicts
        if not isinstance(dicts, (tuple, list)) or not all(is_encodable(one) and one.strip() for one in dicts):
            raise ConfigurationError("pronunciation_dicts must be a tuple of the ids of dictionaries")
        msgspec.structs.force_setattr(self, "pronunciation_dicts", tuple(dicts))
        msgspec.structs.force_setattr(self, "extra", checked_extra(self.extra, _SPEECH_PROTOCOL))

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
    response: float = 600.0  # from a request to the end of its answer: a file may take ten minutes
    audio: float = 15.0  # from a piece of speech to the next; over SSE also from the request to the first
    ping: float = 5.0  # between a pong and the next ping
    pong: float = 5.0  # from a ping to its pong
    write: float = 5.0  # from a send to write_done
    mute: float = 12.0  # loud audio goes out and nothing comes back, before a second link is opened beside
    finalize: float = 5.0  # from a finalize to its answer, beside what was sent faster than it is heard
    keepalive: float = 5.0  # without anything sent, before the gateway is sent a keepalive
    # The service takes messages of 50 ms no closer together than 20 ms; shorter packets of opus get their share.
    message_interval: float = 0.02  # 0: as fast as the application gives them

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            check_seconds(name, getattr(self, name), least=0.0 if name == "message_interval" else None)


class RetryPolicy(Value, frozen=True, kw_only=True):
    """When a lost connection is opened again, or a request is sent again: exponential waits with jitter, in seconds."""

    max_retries: int = 8  # consecutive failures that are forgiven; 0: none
    first_delay: float = 0.25  # the longest wait after the first failure
    growth: float = 2.0  # how many times as long it is after each further one
    longest_delay: float = 10.0
    # Of a request (a file, a text, the voices) to a service that is busy (429, 503): the vendor asks for 0.5 to 30 s,
    # and eight such waits let twenty files share two workers.
    longest_busy: float = 30.0
    jitter: float = 1.0  # the share of a wait that is left to chance; 0: none is shorter than it can be
    longest_retry_after: float = 60.0  # no longer is waited, whatever the service asks for
    healthy_after: float = 10.0  # a link open for so long starts the count over

    def __post_init__(self) -> None:
        check_whole("max_retries", self.max_retries, 0, None, "retries")
        for name in ("first_delay", "longest_delay", "longest_busy", "longest_retry_after", "healthy_after"):
            check_seconds(name, getattr(self, name), least=0.0)
        check_number("growth", self.growth, 1.0, 1000.0, "times")
        check_number("jitter", self.jitter, 0.0, 1.0, "a share")


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


def _check_written(numerals: object, pii: object, pci: object) -> None:
    if numerals is not None and not isinstance(numerals, bool):
        check_one_of("numerals", numerals, ("auto", "words", "digits"), ", True or False")
    check_redaction("redact_pii", pii)
    check_redaction("redact_pci", pci)


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
