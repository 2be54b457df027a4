"""The transcription of a file over HTTP: an exchange, and what its answer says."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from smallest_proto.config import Endpoint, FileTranscriptionConfig, RetryPolicy, Timeouts
from smallest_proto.errors import Failure
from smallest_proto.reading import (
    Utterance,
    Word,
    read_each,
    read_json_object,
    read_number,
    read_shares,
    read_text,
    read_utterance,
    read_word,
)
from smallest_proto.refusals import content_expiry, no_answer, request_id, tells_error
from smallest_proto.requests import file_transcription_request
from smallest_proto.retry import no_jitter
from smallest_proto.subtitles import to_srt, to_vtt
from smallest_proto.values import Value

from .bodies import Headers, WholeBody
from .exchange import HttpExchange


class FileTranscript(Value, frozen=True, kw_only=True):
    """What was said in a file. Times are seconds from its start."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset(("text", "words", "utterances", "emotions", "gender", "filename"))

    text: str
    words: tuple[Word, ...] = ()  # when word_timestamps were asked for
    utterances: tuple[Utterance, ...] = ()  # likewise; pulse-pro has none
    language: str | None = None
    duration: float | None = None  # seconds of audio in the file
    request_id: str | None = None  # the service's name for the request, for its support
    emotions: tuple[tuple[str, float], ...] = ()  # (label, 0..1), when emotion_detection was asked for
    gender: str | None = None  # when gender_detection was asked for
    size: int | None = None  # bytes that the service received
    filename: str | None = None  # of audio that it fetched from a URL
    processing_time_ms: float | None = None  # pulse-pro
    rtfx: float | None = None  # pulse-pro: how much faster than real time it was
    num_chunks: int | None = None  # pulse-pro: pieces that it cut the audio into
    # What became of expire_content: "applied", "not-entitled", or "unavailable" (it could not be verified: try again).
    content_expiry: str | None = None

    def to_srt(self) -> str:
        """Subtitles in SubRip's format: two lines of 42 columns, cut at pauses. Ask for ``word_timestamps``."""
        return to_srt(self)

    def to_vtt(self) -> str:
        """The same in WebVTT."""
        return to_vtt(self)


class TranscriptionAccepted(Value, frozen=True, kw_only=True):
    """The service accepted it and will answer by webhook."""

    request_id: str | None
    content_expiry: str | None = None  # as in ``FileTranscript``


class FileTranscription(HttpExchange[FileTranscript | TranscriptionAccepted]):
    """The transcription of a whole file over HTTP: its bytes, or the URL that the service is to fetch it from.

    Raises ``ConfigurationError`` for no audio, for over 250 MB of it, and for what the route or the model lacks.
    """

    def __init__(
        self,
        config: FileTranscriptionConfig,
        endpoint: Endpoint,
        *,
        audio: bytes | None = None,
        audio_url: str | None = None,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        jitter: Callable[[], float] = no_jitter,
    ) -> None:
        super().__init__(
            file_transcription_request(config, endpoint, audio=audio, audio_url=audio_url),
            lambda: WholeBody(read_file_answer),
            timeouts=timeouts,
            retry=retry,
            jitter=jitter,
            repeatable=config.webhook_url is None,  # or the webhook would be called twice
        )


def read_file_answer(status: int, headers: Headers, body: bytes) -> FileTranscript | TranscriptionAccepted | Failure:
    """Read the answer about a file. Never raises: it keeps what can be understood of each field."""
    answer = read_json_object(body)
    if isinstance(answer, str):
        return no_answer(status, headers, body, f"its body is {'empty' if not body.strip() else answer}")
    text = read_text(answer.get("transcription"))
    for name in ("transcript", "text"):  # the latter on premises
        text = read_text(answer.get(name)) if text is None else text
    if not text and tells_error(answer):
        return no_answer(status, headers, body, "there is an error in it")
    if text is None:
        if answer.get("status") == "processing":
            job = request_id(answer, headers) or request_id({"request_id": answer.get("job_id")})  # so on premises
            return TranscriptionAccepted(request_id=job, content_expiry=content_expiry(headers))
        return no_answer(status, headers, body, "there is no transcription in it")
    metadata = answer.get("metadata")
    fields = {**answer, **(metadata if isinstance(metadata, dict) else {})}  # each field is in one of the two

    def number(*names: str) -> float | None:
        return next((read for name in names if (read := read_number(fields.get(name))) is not None), None)

    size, chunks = number("fileSize", "totalBytes"), number("num_chunks")
    return FileTranscript(
        text=text,
        words=read_each(answer.get("words"), read_word) or (),
        utterances=read_each(answer.get("utterances"), read_utterance) or (),
        language=read_text(answer.get("language")),
        duration=number("duration", "audio_length"),
        request_id=request_id(answer, headers),
        emotions=read_shares(answer.get("emotions")),
        gender=read_text(answer.get("gender")),
        size=None if size is None else int(size),
        filename=read_text(fields.get("filename")),
        processing_time_ms=number("processing_time_ms"),
        rtfx=number("rtfx"),
        num_chunks=None if chunks is None else int(chunks),
        content_expiry=content_expiry(headers),
    )
