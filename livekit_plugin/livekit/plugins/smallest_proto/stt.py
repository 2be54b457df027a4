"""Pulse for LiveKit Agents: ``STT``, which makes ``SpeechStream``s and keeps track of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import aiohttp
import msgspec
from livekit import rtc
from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions, stt, utils
from livekit.agents.types import NOT_GIVEN, NotGiven, NotGivenOr
from livekit.agents.utils import AudioBuffer, is_given

from smallest_proto import (
    BASE_URL,
    Endpoint,
    ExchangeRetried,
    FileTranscript,
    RemoteError,
    RetryPolicy,
    Timeouts,
    TranscriptionConfig,
)
from smallest_proto.config import Numerals
from smallest_proto.requests import live_transcription_request
from smallest_proto.values import hide
from smallest_transports.aiohttp import Client

from ._errors import api_error
from ._events import file_event
from ._options import DEFAULT_STREAM_PATH, KEY_VARIABLE, STTOptions, endpoint, retry_policy
from ._stt_stream import SpeechStream, StreamingSTT
from .log import logger

__all__ = ["STT", "SpeechStream"]

_FILE_SECONDS = 30.0  # from a request to the end of its answer: a buffer is one utterance


class STT(StreamingSTT):
    """Smallest AI's Pulse: live transcription by ``stream()``, whole buffers by ``recognize()``."""

    def __init__(
        self,
        *,
        model: str = "pulse",
        language: str = "en",
        sample_rate: int = 16000,
        encoding: str = "linear16",
        word_timestamps: bool = True,
        diarize: bool = False,
        format: bool = True,
        itn_normalize: bool = False,
        numerals: NotGivenOr[Numerals] = NOT_GIVEN,
        keywords: NotGivenOr[list[tuple[str, float]]] = NOT_GIVEN,
        sentence_timestamps: bool = False,
        redact_pii: bool = False,
        redact_pci: bool = False,
        endpointing: bool = True,
        endpointing_timeout_ms: int | None = 300,
        eou_timeout_ms: NotGivenOr[int] = 0,
        vad_events: bool = True,
        finalize_on_flush: bool = True,
        finalize_on_words: NotGivenOr[bool] = NOT_GIVEN,
        max_words: NotGivenOr[int] = NOT_GIVEN,
        keepalive_interval: NotGivenOr[float | None] = NOT_GIVEN,
        extra: NotGivenOr[Mapping[str, str]] = NOT_GIVEN,
        any_region: bool = False,
        api_key: str | None = None,
        http_session: aiohttp.ClientSession | None = None,
        ssl_context: ssl.SSLContext | None = None,
        base_url: str = BASE_URL,
        stream_path: str = DEFAULT_STREAM_PATH,
    ) -> None:
        """
        Args:
            model: "pulse", "pulse-2" (live, English), or "pulse-pro" (English; ``recognize()`` alone).
            language: A code such as "en" or "hi", or one of the service's groups such as "multi-asian".
            sample_rate: Hz: 8000, 16000, 22050, 24000, 44100 or 48000; frames of another rate are resampled.
            encoding: "linear16", which is what frames are.
            word_timestamps: Words with times and confidences on finals.
            diarize: A speaker for each word.
            format: Punctuation and capitals.
            itn_normalize: Numbers as digits.
            numerals: The older way to that: True, False, "auto", "words" or "digits"; not given: the service's default.
            keywords: (word, boost) pairs, boosts of about 1 to 3.
            sentence_timestamps: Sentences with times, in ``SpeechData.metadata["utterances"]``.
            redact_pii: Mask names, addresses, phone numbers.
            redact_pci: Mask card numbers and the like.
            endpointing: A pause makes a final.
            endpointing_timeout_ms: How long a pause, in ms; None: the service's default (600).
            eou_timeout_ms: Another way to a final: 100 to 10000 ms without a word; 0 or not given: the default (800).
            vad_events: Turns start and end where the service hears a voice start and end, not with transcripts.
            finalize_on_flush: ``flush()`` asks for what was said so far as a final.
            finalize_on_words: A final after every ``max_words`` words; not given: the service's default.
            max_words: See there.
            keepalive_interval: Seconds between messages that keep a silent connection alive; None: none; not given: 5.
                A server that is reached directly ("/transcribe", "/v1/listen/stream") is never sent any.
            extra: Query parameters and languages that are not known here, sent as they are: ``{"language": "xx"}``.
            any_region: Take languages that ``base_url`` is not known to have: your contract has them.
            api_key: The key; None: that in the environment variable ``SMALLEST_API_KEY``.
            http_session: A session to open connections with; None: the framework's.
            ssl_context: Whom to trust, and as whom to come; None: as the session has it.
            base_url: Where the service is.
            stream_path: What follows it for live transcription: "/stt/live"; "/pulse/get_text", the older contract;
                "/transcribe" of a server that is reached directly; "/v1/listen/stream" of one on premises.

        Raises ``ValueError`` without a key, and for what the service does not have.
        """
        # Before all that can raise.
        api_key, base_url = hide(api_key or os.environ.get(KEY_VARIABLE) or ""), hide(base_url)
        self._opts = STTOptions(
            model=model,
            language=language,
            sample_rate=sample_rate,
            encoding=encoding,
            word_timestamps=word_timestamps,
            diarize=diarize,
            format=format,
            itn_normalize=itn_normalize,
            numerals=None if isinstance(numerals, NotGiven) else numerals,
            keywords=keywords if is_given(keywords) else (),
            sentence_timestamps=sentence_timestamps,
            redact_pii=redact_pii,
            redact_pci=redact_pci,
            endpointing=endpointing,
            endpointing_timeout_ms=endpointing_timeout_ms,
            eou_timeout_ms=eou_timeout_ms if is_given(eou_timeout_ms) else None,
            vad_events=vad_events,
            finalize_on_flush=finalize_on_flush,
            finalize_on_words=finalize_on_words if is_given(finalize_on_words) else None,
            max_words=max_words if is_given(max_words) else None,
            keepalive_interval=keepalive_interval if is_given(keepalive_interval) else Timeouts().keepalive,
            extra=extra if is_given(extra) else {},
        )
        self._opts.check()
        if not api_key:
            raise ValueError(f"no API key: pass api_key, or set the environment variable {KEY_VARIABLE}")
        self._live = endpoint(api_key, base_url, stream_path, any_region=any_region)
        self._files = endpoint(api_key, base_url, any_region=any_region)
        self._http_session = http_session
        self._ssl_context = ssl_context
        self._keyterms: tuple[str, ...] = ()  # the framework's
        self._streams: weakref.WeakSet[SpeechStream] = weakref.WeakSet()
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=self._opts.streams,
                interim_results=True,
                diarization=diarize,
                aligned_transcript="word" if word_timestamps else False,
                keyterms=True,
            )
        )

    @property
    def model(self) -> str:
        return self._opts.model

    @property
    def provider(self) -> str:
        return "SmallestAI"

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> SpeechStream:
        """Begin a live transcription. Raises ``ValueError`` for a model or a language that has none."""
        opts = msgspec.structs.replace(self._opts, language=language) if is_given(language) else self._opts
        stream = SpeechStream(stt=self, opts=opts, conn_options=conn_options, http_session=self._session())
        self._streams.add(stream)
        return stream

    def prewarm(self) -> None:
        """Make what the first connection needs: the framework's HTTP session. A stream connects as it is made."""
        with contextlib.suppress(RuntimeError):  # outside a job there is none
            self._session()

    async def aclose(self) -> None:
        """End every stream."""
        await asyncio.gather(*(stream.aclose() for stream in tuple(self._streams)))

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        opts = msgspec.structs.replace(self._opts, language=language) if is_given(language) else self._opts
        config = opts.file()
        wav = rtc.combine_audio_frames(buffer).to_wav_bytes()
        timeouts = msgspec.structs.replace(
            opts.timeouts(conn_options), response=max(_FILE_SECONDS, conn_options.timeout)
        )
        transcript: FileTranscript | None = None
        async with self._client(self._files, self._session(), timeouts, retry_policy(conn_options)) as client:
            try:
                transcript = await client.transcribe(wav, config)
            except RemoteError as error:
                failure = error.failure
        if transcript is None:
            raise api_error(failure, final=True)  # tried again it was already, as ``conn_options`` say
        return file_event(transcript, language=config.language, request_id=utils.shortuuid())

    def _update_session_keyterms(self, keyterms: list[str]) -> None:
        self._keyterms = tuple(keyterms)
        for stream in self._live_streams():
            stream.use(stream.options)

    def _change(self, changes: dict[str, Any]) -> None:
        opts = msgspec.structs.replace(self._opts, **changes)
        opts.check()
        updates = [(stream, msgspec.structs.replace(stream.options, **changes)) for stream in self._live_streams()]
        for _, update in updates:
            self.live_config(update)
        self._opts = opts
        self._capabilities.streaming = opts.streams
        self._capabilities.diarization = opts.diarize
        self._capabilities.aligned_transcript = "word" if opts.word_timestamps else False
        for stream, update in updates:
            stream.use(update)

    def live_config(self, opts: STTOptions) -> TranscriptionConfig:
        config = opts.live(self._keyterms)
        live_transcription_request(config, self._live)  # checks what depends on the endpoint, such as the region
        return config

    def live_client(self, http_session: aiohttp.ClientSession, timeouts: Timeouts, retry: RetryPolicy) -> Client:
        return self._client(self._live, http_session, timeouts, retry)

    def _live_streams(self) -> Iterable[SpeechStream]:
        return [stream for stream in self._streams if stream.live]

    def _session(self) -> aiohttp.ClientSession:
        if self._http_session is None:
            self._http_session = utils.http_context.http_session()
        return self._http_session

    def _retried(self, retried: ExchangeRetried) -> None:
        error = api_error(retried.failure)
        logger.warning("%s; trying again in %.1f s", error.message, retried.retry_in, extra={"stt": self._label})
        self._emit_error(error, recoverable=True)

    def _client(
        self, where: Endpoint, http_session: aiohttp.ClientSession, timeouts: Timeouts, retry: RetryPolicy
    ) -> Client:
        return Client(
            api_key=where.api_key,
            base_url=where.base_url,
            route=where.route,
            source=where.source,
            headers=where.headers,
            any_region=where.any_region,
            http_session=http_session,
            ssl_context=self._ssl_context,
            timeouts=timeouts,
            retry=retry,
            on_retry=self._retried,
        )
