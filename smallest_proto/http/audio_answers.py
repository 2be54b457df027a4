"""Reads an HTTP answer with audio: a body that is audio, or server-sent events with pieces of it.

Facts of the wire: the vendor's OpenAPI file for Lightning (August 2026). An answer that is no audio (the page of a
proxy, an error with a status of success) is a failure and never audio.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from smallest_proto.config import SynthesisConfig
from smallest_proto.errors import Failure, FailureKind
from smallest_proto.reading import ErrorMessage, decode_audio, error_text, read_json_object, read_text, refused_fields
from smallest_proto.refusals import MAX_REFUSAL_BYTES, content_expiry, header, message_failure, no_answer, request_id
from smallest_proto.synthesis.events import AudioChunk, SpeechFinished

from .bodies import Headers
from .chunks import Chunker
from .sse import MAX_EVENT_BYTES, ServerSentEvent, SseDecoder

MAX_WAV_HEAD = 4096  # bytes in which a WAV says how long it is
UNKNOWN_LENGTH = 0x7FFFFF00  # or more, or 0: streaming encoders write this when they do not know the length

# Content types that are not audio. PCM has many names, or none.
_FOREIGN = re.compile(r"text/(?!event-stream$).*|.*[/+](json|xml|html|problem)", re.I)
_LIKE_TEXT = re.compile(rb"\s{0,64}(\{|<[!?a-z]|<?\Z)", re.I)  # how JSON or a page begins, or may begin
_NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # neither has such bytes; PCM soon does
_ERROR_STATUS = re.compile(r"error|[45][0-9][0-9]")


class AudioSource(Protocol):
    """Reads the body of a success, once it is known to be audio."""

    chunker: Chunker
    settled: bool  # its end is known already

    def feed(self, data: bytes) -> list[AudioChunk]:
        """Take a part of the body; return the audio that is complete now."""

    def end(self) -> tuple[list[AudioChunk], Failure | None]:
        """The body has ended: return the audio that was left, and what is wrong, if anything."""


class AudioBody:
    """The body is the audio."""

    settled = False  # it lasts as long as the body

    def __init__(self, config: SynthesisConfig) -> None:
        self.chunker = Chunker(config)
        self._head = bytearray()
        self._has_head = config.output_format == "wav"

    def feed(self, data: bytes) -> list[AudioChunk]:
        if self._has_head and len(self._head) < MAX_WAV_HEAD:
            self._head += data[: MAX_WAV_HEAD - len(self._head)]
        return [] if (chunk := self.chunker.take(data)) is None else [chunk]

    def end(self) -> tuple[list[AudioChunk], Failure | None]:
        # If the body ends with the connection, only this shows whether it was cut.
        length, came = wav_length(self._head), self.chunker.size
        if length is None or came >= length:
            return [], None
        reason = f"the connection was lost in mid-speech: {came:,} of {length:,} bytes came"
        return [], Failure(kind=FailureKind.DISCONNECTED, reason=reason)


def wav_length(head: bytes | bytearray) -> int | None:
    """The bytes of a WAV up to the end of its audio, as its header says; ``None`` if it does not say."""
    at = 12
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    while at + 8 <= len(head):
        size = int.from_bytes(head[at + 4 : at + 8], "little")
        if head[at : at + 4] == b"data":
            return at + 8 + size if 0 < size < UNKNOWN_LENGTH else None
        at += 8 + size + size % 2
    return None


class AudioEvents:
    """The body is server-sent events that hold the audio in base64; ``done`` says that it is whole."""

    def __init__(self, config: SynthesisConfig) -> None:
        self.chunker = Chunker(config)
        self.settled = False
        self._decoder = SseDecoder()
        self._failure: Failure | None = None

    def feed(self, data: bytes) -> list[AudioChunk]:
        chunks = []
        for event in self._decoder.feed(data):
            if (chunk := self._read(event)) is not None:
                chunks.append(chunk)
        if self._decoder.overflowed and not self.settled:
            self._fail(f"an event is longer than {MAX_EVENT_BYTES // 2**20} MiB")
        return chunks

    def end(self) -> tuple[list[AudioChunk], Failure | None]:
        # The last event may lack its blank line: it counts if its JSON is complete.
        event = self._decoder.end()
        chunk = None if event is None else self._read(event)
        if not self.settled:
            reason = "the events ended before the service said that the speech is whole"
            self._failure = Failure(kind=FailureKind.DISCONNECTED, reason=reason)
        return [] if chunk is None else [chunk], self._failure

    def _read(self, event: ServerSentEvent) -> AudioChunk | None:
        if self.settled:
            return None  # events after the end are ignored
        frame = _read_frame(event.data)
        if isinstance(frame, str):
            if event.type in ("audio", "message"):  # other events may hold anything
                self._fail(f"the data of an event is {frame}")
            return None
        status = None if frame.status is None else str(frame.status)
        if frame.error is not None or event.type == "error" or (status and _ERROR_STATUS.fullmatch(status)):
            text = error_text(frame.error) or error_text(frame.message)
            error = ErrorMessage(text=text, status=status, fields=refused_fields(frame.error))
            self._failure, self.settled = message_failure(error), True
            return None
        self.settled = frame.done or False
        return None if frame.audio is None else self.chunker.take(frame.audio)

    def _fail(self, what: str) -> None:
        reason = f"{what}: it was damaged on its way, or base_url does not lead to the service"
        self._failure, self.settled = Failure(kind=FailureKind.PROTOCOL, reason=reason), True


def looks_like_text(held: bytes | bytearray, newest: bytes | None = None) -> bool:
    """Whether a body that began so can be JSON or a page, and no audio; ``newest`` is what of it was not looked at."""
    return (
        len(held) <= MAX_REFUSAL_BYTES
        and _LIKE_TEXT.match(held) is not None
        and _NO_TEXT.search(held if newest is None else newest) is None
    )


class AudioReader:
    """Gives a success to an audio source, unless it is text: that is a failure."""

    def __init__(self, source: AudioSource, *, limit: int) -> None:
        self._source = source
        self._limit = limit  # bytes
        self._status = 0
        self._headers: Headers = ()
        self._foreign = False  # the content type is one of text
        self._held: bytearray | None = bytearray()  # what may be text so far; None: it is audio

    @property
    def settled(self) -> bool:
        if self._held is not None:
            return len(self._held) > MAX_REFUSAL_BYTES
        return self._source.settled or self._source.chunker.size > self._limit

    def begin(self, status: int, headers: Headers) -> None:
        self._status, self._headers = status, headers
        kind = (header(headers, "Content-Type") or "").partition(";")[0].strip()
        self._foreign = _FOREIGN.fullmatch(kind) is not None

    def feed(self, data: bytes) -> Sequence[AudioChunk | SpeechFinished]:
        if self._held is None:
            return self._source.feed(data)
        self._held += data
        if self._foreign or looks_like_text(self._held, data):
            return ()
        held, self._held = bytes(self._held), None
        return self._source.feed(held)

    def end(self) -> Sequence[AudioChunk | SpeechFinished | Failure]:
        chunks: list[AudioChunk] = []
        if self._held:
            held = bytes(self._held[:MAX_REFUSAL_BYTES])
            if self._foreign or held.strip() not in (b"", b"<"):
                return (no_answer(self._status, self._headers, held, "it holds text in place of audio"),)
            chunks += self._source.feed(held)
        left, failure = self._source.end()
        chunker = self._source.chunker
        if chunker.size > self._limit:
            reason = f"the speech went on after {self._limit:,} bytes, which is more than its text can be"
            failure = Failure(kind=FailureKind.PROTOCOL, reason=reason, final=True)
        if failure is None and chunker.size == 0:
            failure = no_answer(self._status, self._headers, b"", "there is no audio in it")
        name = request_id({}, self._headers)
        if failure is not None:
            return (*chunks, *left, msgspec.structs.replace(failure, request_id=name))
        finished = SpeechFinished(
            seconds=chunker.seconds,
            size=chunker.size,
            dropped=chunker.held,
            request_id=name,
            content_expiry=content_expiry(self._headers),
        )
        return (*chunks, *left, finished)


class _Frame(msgspec.Struct):
    """The data of an event; msgspec decodes the base64 of ``audio`` within the JSON."""

    audio: bytes | None = None
    done: bool | None = None
    status: str | int | None = None
    error: Any = None
    message: Any = None


_decoder = msgspec.json.Decoder(_Frame)


def _read_frame(data: str) -> _Frame | str:
    """The data of an event, or what is wrong with it. Never raises."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        read = read_json_object(data)
    if isinstance(read, str):
        return read
    encoded = read.get("audio")
    audio = decode_audio(encoded)
    if encoded is not None and audio is None:
        return "not base64"
    return _Frame(
        audio=audio,
        done=read.get("done") in (True, "true"),
        status=read_text(read.get("status")),
        error=read.get("error"),
        message=read.get("message"),
    )
