"""What the user sets: frozen values, checked as they are made. An error says what is wrong and what would be right.

An option left at ``None`` is not sent. Each pair of ``extra`` goes out as it is, in place of an option of that name.
Facts of the wire: the vendor's AsyncAPI and OpenAPI files, changelogs and SDK (August 2026).
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
from .checks import check_seconds as check_seconds
from .endpoint import BASE_URL as BASE_URL
from .endpoint import US_BASE_URL as US_BASE_URL
from .endpoint import Endpoint as Endpoint
from .endpoint import Route as Route
from .errors import ConfigurationError
from .languages import FILE_LANGUAGES, LIVE_LANGUAGES, check_language
from .policies import RetryPolicy as RetryPolicy
from .policies import Timeouts as Timeouts
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
# The session counts with these: another value on the wire would make its clock wrong.
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

    ``None`` leaves an option to the service; "server" is what it takes then. Raises ``ConfigurationError`` for what the
    live service does not have.

    Fields (default):
        model ('pulse'): or 'pulse-2', which knows English alone.
        language ('en'): a code, or a group such as 'multi'; the error for a wrong one lists all.
        encoding ('linear16'): of the audio: linear16, linear32, alaw, mulaw, opus (packets), ogg_opus (pages).
        sample_rate (16000): Hz: 8000, 16000, 22050, 24000, 44100 or 48000.
        word_timestamps (True): finals have ``words``. With ``False`` they are still asked for, but not passed on.
        sentence_timestamps (None): finals have ``utterances``; server: off.
        diarize (None): words have a speaker; server: off.
        vad_events (True): the service tells when speech starts and ends. Without it the end of a turn is guessed.
        endpointing (None): a pause ends an utterance; server: on.
        endpointing_timeout (None): ms of silence that do, at least 1; server: 600.
        eou_timeout_ms (None): ms from the end of speech to its final, 100 to 10000; 0: not set; server: 800.
        format (None): ``False`` switches ``punctuate``, ``capitalize`` and ``itn_normalize`` off; server: on.
        punctuate (None): punctuation; server: on.
        capitalize (None): upper case; server: on.
        itn_normalize (None): numbers, dates and the like as one writes them; server: off.
        numerals (None): numbers as 'digits' or 'words', 'auto', ``True`` or ``False``.
        finalize_on_words (None): a number of words makes a final, in mid-sentence too; server: on.
        max_words (None): words of a final, at least 1.
        redact_pii (None): mask personal data: ``True``, or kinds such as ('name', 'phone'); server: off.
        redact_pci (None): mask data of payment cards, likewise; server: off.
        content_filter (None): filter offensive words; server: off.
        full_transcript (None): finals repeat all that was said before; server: off.
        emotion_detection (None): finals have ``emotions``; pulse-2 alone.
        gender_detection (None): finals have ``gender``; pulse-2 alone.
        no_format_delay (None): finals do not wait to be formatted.
        vad_threshold (None): probability from which on sound is speech, 0 to 1.
        vad_min_speech_ms (None): ms below which sound is no speech, at least 0.
        keywords (()): words or (word, boost) pairs to listen for, at most 10,000; useful boosts are 1 to 3.
        external_session_id (None): your name for the session: at most 128 of A-Z a-z 0-9 _ . -
        expire_content (False): the service deletes what it kept after 7 days; enterprise plans.
        extra ({}): query parameters and languages that are not known here, unchecked: {'language': 'xx'}.
    """

    model: str = "pulse"
    language: str = "en"
    encoding: Encoding = "linear16"
    sample_rate: int = 16000
    word_timestamps: bool = True
    sentence_timestamps: bool | None = None
    diarize: bool | None = None
    vad_events: bool | None = True
    endpointing: bool | None = None
    endpointing_timeout: int | None = None
    eou_timeout_ms: int | None = None
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
    emotion_detection: bool | None = None
    gender_detection: bool | None = None
    no_format_delay: bool | None = None
    vad_threshold: float | None = None
    vad_min_speech_ms: int | None = None
    keywords: tuple[str | tuple[str, float], ...] = ()
    external_session_id: str | None = None
    expire_content: bool = False
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

    ``None`` leaves an option to the service; "server" is what it takes then. Raises ``ConfigurationError`` for what the
    service does not have.

    Fields (default):
        model ('pulse'): or 'pulse-pro' or 'pulse-2', which know English alone.
        language ('en'): a code, or a group such as 'multi'; the error for a wrong one lists all.
        encoding (None): of raw audio, which is sent as a WAV. WAV, MP3, FLAC, OGG: leave it out.
        sample_rate (None): Hz of raw audio, 1000 to 384000; set both or neither.
        word_timestamps (None): the transcript has ``words``; server: off.
        sentence_timestamps (None): the transcript has ``utterances``; server: off.
        diarize (None): words and utterances have a speaker; server: off.
        format (None): ``False`` switches ``punctuate``, ``capitalize`` and ``itn_normalize`` off; server: on.
        punctuate (None): punctuation; server: on.
        capitalize (None): upper case; server: on.
        itn_normalize (None): numbers, dates and the like as one writes them; server: off.
        numerals (None): numbers as 'digits' or 'words', 'auto', ``True`` or ``False``.
        redact_pii (None): mask personal data: ``True``, or kinds such as ('name', 'phone'); server: off.
        redact_pci (None): mask data of payment cards, likewise; server: off.
        content_filter (None): filter offensive words; server: off.
        emotion_detection (None): the transcript has ``emotions``; server: off.
        gender_detection (None): the transcript has ``gender``; server: off.
        keywords (()): words or (word, boost) pairs to listen for, at most 10,000; useful boosts are 1 to 3.
        webhook_url (None): http or https URL to which the transcript is sent, later.
        webhook_method (None): 'GET' or 'POST', of that; server: POST.
        webhook_extra (None): text that is sent along, such as 'call:1234'.
        expire_content (False): the service deletes what it kept after 7 days; enterprise plans.
        extra ({}): query parameters and languages that are not known here, unchecked: {'language': 'xx'}.
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
    expire_content: bool = False
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

    ``None`` leaves an option to the service; "server" is what it takes then. A socket carries pcm alone. Raises
    ``ConfigurationError`` for what the service does not have; which voices a model has: see ``check_voice``.

    Fields (default):
        model ('lightning_v3.1'): or 'lightning_v3.1_pro'; an older one by its name, with ``route='model'``.
        voice_id (None): the id of a voice; ``None``: that of ``voice``.
        sample_rate (24000): Hz: 8000, 16000, 24000 or 44100.
        speed (None): times the natural pace, 0.5 to 2; server: 1.
        language (None): a code such as 'en', or 'auto'; ``None``: as the voice is.
        output_format ('pcm'): pcm (16 bit, mono), ulaw or alaw (8 bit), mp3 or wav.
        pronunciation_dicts (()): ids of pronunciation dictionaries.
        number_pronunciation_language (None): a code: the language in which numbers are read.
        math_notation (None): read "5 x 3" as a sum; server: off.
        session_id (None): your name for the session: at most 128 of A-Z a-z 0-9 _ . -
        request_id (None): your name for the request, likewise.
        consistency (None): 0 to 1; older models alone.
        similarity (None): 0 to 1; older models alone.
        enhancement (None): 0 to 2; older models alone.
        word_timestamps (False): tell when each word is spoken; sockets alone, voices of English and Hindi.
        continuations (False): the socket's other protocol: prosody goes on from sentence to sentence.
        max_buffer_flush_ms (None): ms to wait for more text, 0 to 1000; without continuations; server: 0.
        complete_backoff_ms (None): ms from the last audio to "complete", 0 to 10000; likewise; ``None`` is sent as 0.
        max_buffer_delay_ms (None): ms to wait for more text, 0 to 5000; with continuations; server: 3000.
        expire_content (False): the service deletes what it kept after 7 days; enterprise plans.
        extra ({}): fields and languages that are not known here, unchecked: {'language': 'xx'}.
    """

    model: str = "lightning_v3.1"
    voice_id: str | None = None
    sample_rate: int = 24000
    speed: float | None = None
    language: str | None = None
    output_format: OutputFormat = "pcm"
    pronunciation_dicts: tuple[str, ...] = ()
    number_pronunciation_language: str | None = None
    math_notation: bool | None = None
    session_id: str | None = None
    request_id: str | None = None
    consistency: float | None = None
    similarity: float | None = None
    enhancement: float | None = None
    word_timestamps: bool = False
    continuations: bool = False
    max_buffer_flush_ms: int | None = None
    complete_backoff_ms: float | None = None  # not sent, it would be 4000 before each next segment
    max_buffer_delay_ms: int | None = None
    expire_content: bool = False
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
