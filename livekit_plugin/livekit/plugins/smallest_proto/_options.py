"""What a user of the STT sets, in the framework's names, and how it becomes the core's configurations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions, LanguageCode
from livekit.agents.types import NOT_GIVEN, NotGivenOr
from livekit.agents.utils import is_given

from smallest_proto import (
    BASE_URL,
    ConfigurationError,
    Endpoint,
    FileTranscriptionConfig,
    RetryPolicy,
    Route,
    Timeouts,
    TranscriptionConfig,
)
from smallest_proto.checks import is_encodable
from smallest_proto.config import LIVE_MODELS, MAX_KEYWORDS, Numerals
from smallest_proto.languages import FILE_LANGUAGES, LIVE_LANGUAGES
from smallest_proto.values import Value, hide

from .version import __version__

KEY_VARIABLE = "SMALLEST_API_KEY"
DEFAULT_STREAM_PATH = "/stt/live"
_NEVER = 1e9  # seconds
_LAST_SECONDS = 5.0  # for the last final: a user is waiting


class STTOptions(Value, frozen=True, kw_only=True):
    """The options of an STT, and of each of its streams; defaults and units are those of ``STT``."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"keywords", "extra"})

    model: str
    language: str
    sample_rate: int  # Hz
    encoding: str
    word_timestamps: bool
    diarize: bool
    format: bool
    itn_normalize: bool
    numerals: Numerals | None
    keywords: Sequence[tuple[str, float]]
    sentence_timestamps: bool
    redact_pii: bool
    redact_pci: bool
    endpointing: bool
    endpointing_timeout_ms: int | None
    eou_timeout_ms: int | None
    vad_events: bool
    finalize_on_flush: bool
    finalize_on_words: bool | None
    max_words: int | None
    keepalive_interval: float | None  # seconds; None: no keepalives
    extra: Mapping[str, str] = {}

    @property
    def streams(self) -> bool:
        """Whether the model has live transcription."""
        return self.model in LIVE_MODELS

    def check(self) -> None:
        """Raises ``ConfigurationError`` for what cannot be. Some languages the service has for files alone."""
        self.timeouts(DEFAULT_API_CONNECT_OPTIONS)
        live_only = service_language(self.language, FILE_LANGUAGES) not in FILE_LANGUAGES
        if self.streams and (live_only or service_language(self.language, LIVE_LANGUAGES) in LIVE_LANGUAGES):
            self.live()
        else:
            self.file()

    def live(self, keyterms: Iterable[str] = ()) -> TranscriptionConfig:
        """The configuration of a live transcription; ``keyterms`` are the framework's own keywords.

        Raises ``ConfigurationError`` for what the live service does not have.
        """
        if self.encoding != "linear16":
            raise ConfigurationError(f"LiveKit's frames are 16-bit PCM: use encoding='linear16', not {self.encoding!r}")
        return TranscriptionConfig(
            model=self.model,
            language=service_language(self.language, LIVE_LANGUAGES),
            encoding="linear16",
            sample_rate=self.sample_rate,
            word_timestamps=self.word_timestamps,
            sentence_timestamps=self.sentence_timestamps,
            diarize=self.diarize,
            vad_events=self.vad_events,
            endpointing=self.endpointing,
            endpointing_timeout=self.endpointing_timeout_ms,
            eou_timeout_ms=self.eou_timeout_ms,
            format=self.format,
            itn_normalize=self.itn_normalize,
            numerals=self.numerals,
            finalize_on_words=self.finalize_on_words,
            max_words=self.max_words,
            redact_pii=self.redact_pii,
            redact_pci=self.redact_pci,
            keywords=_merged(self.keywords, keyterms),
            extra=self.extra,
        )

    def file(self) -> FileTranscriptionConfig:
        """The configuration of a file's transcription: what differs from the service's defaults is asked for.

        Raises ``ConfigurationError`` for what the service does not have.
        """
        return FileTranscriptionConfig(
            model=self.model,
            language=service_language(self.language, FILE_LANGUAGES),
            word_timestamps=self.word_timestamps,
            sentence_timestamps=self.sentence_timestamps or None,
            diarize=self.diarize,
            format=None if self.format else False,
            itn_normalize=self.itn_normalize or None,
            numerals=self.numerals,
            redact_pii=self.redact_pii or None,
            redact_pci=self.redact_pci or None,
            keywords=_merged(self.keywords, ()),
            extra=self.extra,
        )

    def timeouts(self, connecting: APIConnectOptions) -> Timeouts:
        """The deadlines: what the framework allows for a connection, and for the last final a little more."""
        return Timeouts(
            opening=max(connecting.timeout, 0.001),
            last=connecting.timeout + _LAST_SECONDS,  # the connection may still be opening
            keepalive=self.keepalive_interval or _NEVER,
        )


class Adjustable(ABC):
    """What takes ``update_options``: the STT, for all its streams, and each stream for itself."""

    def update_options(
        self,
        *,
        model: NotGivenOr[str] = NOT_GIVEN,
        language: NotGivenOr[str] = NOT_GIVEN,
        sample_rate: NotGivenOr[int] = NOT_GIVEN,
        encoding: NotGivenOr[str] = NOT_GIVEN,
        word_timestamps: NotGivenOr[bool] = NOT_GIVEN,
        diarize: NotGivenOr[bool] = NOT_GIVEN,
        format: NotGivenOr[bool] = NOT_GIVEN,
        itn_normalize: NotGivenOr[bool] = NOT_GIVEN,
        numerals: NotGivenOr[Numerals] = NOT_GIVEN,
        keywords: NotGivenOr[list[tuple[str, float]]] = NOT_GIVEN,
        sentence_timestamps: NotGivenOr[bool] = NOT_GIVEN,
        redact_pii: NotGivenOr[bool] = NOT_GIVEN,
        redact_pci: NotGivenOr[bool] = NOT_GIVEN,
        endpointing: NotGivenOr[bool] = NOT_GIVEN,
        endpointing_timeout_ms: NotGivenOr[int | None] = NOT_GIVEN,
        eou_timeout_ms: NotGivenOr[int] = NOT_GIVEN,
        vad_events: NotGivenOr[bool] = NOT_GIVEN,
        finalize_on_flush: NotGivenOr[bool] = NOT_GIVEN,
        finalize_on_words: NotGivenOr[bool] = NOT_GIVEN,
        max_words: NotGivenOr[int] = NOT_GIVEN,
        extra: NotGivenOr[Mapping[str, str]] = NOT_GIVEN,
    ) -> None:
        """Change to other options without a gap: the present connection goes on until a new one is open.

        If the service refuses them the stream goes on with the old ones, and an ``error`` event tells of it. A new
        sample rate holds for the frames pushed from now on.
        Raises ``ValueError`` for what the service does not have; then nothing has changed.
        """
        given = locals()
        del given["self"]
        self._change({name: value for name, value in given.items() if is_given(value)})

    @abstractmethod
    def _change(self, changes: dict[str, Any]) -> None:
        """Take new values of ``STTOptions``."""


def endpoint(
    api_key: str, base_url: str, stream_path: str = DEFAULT_STREAM_PATH, *, any_region: bool = False
) -> Endpoint:
    """Where a service is that streams at ``stream_path`` under ``base_url``.

    Raises ``ConfigurationError`` for a URL that is none, and for a path that is not one of the service's.
    """
    where = hide(f"{base_url.rstrip('/')}/{stream_path.strip('/')}")
    for ending, route in _ROUTES.items():
        if where.endswith(ending):
            base = hide(where.removesuffix(ending))
            if route == "model":
                base = hide(base.rpartition("/")[0])
            return Endpoint(
                api_key=api_key,
                base_url=base,
                route=route,
                source="livekit",
                headers=(("X-LiveKit-Version", __version__),),
                any_region=any_region,
            )
    raise ConfigurationError(
        "stream_path must be '/stt/live', '/pulse/get_text' (the older contract), '/transcribe' (a server reached "
        f"directly), or '/v1/listen/stream' (a server on premises), not {stream_path!r}; the host belongs into "
        f"base_url, such as {BASE_URL}"
    )


_ROUTES: dict[str, Route] = {
    "/stt/live": "unified",
    "/get_text": "model",
    "/transcribe": "direct",
    "/v1/listen/stream": "on-premises",
}


def retry_policy(connecting: APIConnectOptions) -> RetryPolicy:
    """The framework's retries: so many, and as long apart, or an outage that it survives would be the end of ours."""
    first, further = connecting._interval_for_retry(0), connecting._interval_for_retry(1)
    return RetryPolicy(
        max_retries=connecting.max_retry,
        first_delay=min(first, further),
        growth=max(1.0, min(further / first, 1000.0)) if first else 1.0,
        longest_delay=further,
        jitter=0.0,
        longest_busy=further,
        longest_retry_after=connecting.timeout,
        healthy_after=connecting.timeout,
    )


def service_language(name: str, known: frozenset[str]) -> str:
    """The service's name of a language, also of one that is named as ``en-US`` or ``english``."""
    if isinstance(name, str) and name not in known:
        code = LanguageCode(name)
        return next((short for short in (str(code), code.language) if short in known), name)
    return name


def _merged(keywords: Any, keyterms: Iterable[str]) -> tuple[str | tuple[str, float], ...]:
    """The user's keywords as they are, and those of the framework's that can be sent and are not among them."""
    if not isinstance(keywords, (list, tuple)):
        raise ConfigurationError("keywords must be a list of (word, boost) pairs")
    merged = list(keywords)
    words = (entry[0] if isinstance(entry, (list, tuple)) and entry else entry for entry in merged)
    known = {word.casefold() for word in words if isinstance(word, str)}  # of all others the core says what is wrong
    for term in keyterms:
        if len(merged) == MAX_KEYWORDS:
            break
        word = " ".join(term.replace(",", " ").replace(":", " ").split())
        if word and is_encodable(word) and word.casefold() not in known:
            known.add(word.casefold())
            merged.append(word)
    return tuple(merged)
