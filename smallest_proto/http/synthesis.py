"""HTTP synthesis: one exchange whose audio is given out while it comes, as a body or as server-sent events.

Facts of the wire: the vendor's OpenAPI file for Lightning (August 2026). An answer that is no audio (the page of a
proxy, an error with a status of success) is a failure and never audio.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec

from smallest_proto.checks import whole_text
from smallest_proto.commands import ExchangeCommand
from smallest_proto.config import Endpoint, RetryPolicy, SynthesisConfig, Timeouts, check_text
from smallest_proto.errors import ConfigurationError, Failure, FailureKind
from smallest_proto.reading import ErrorMessage, decode_audio, error_text, read_json_object, read_text
from smallest_proto.refusals import MAX_REFUSAL_BYTES, content_expiry, header, message_failure, no_answer, request_id
from smallest_proto.requests import synthesis_request, synthesis_sse_request
from smallest_proto.retry import no_jitter
from smallest_proto.synthesis.events import AudioChunk, SpeechFinished
from smallest_proto.synthesis.pieces import pieces_of
from smallest_proto.synthesis.script import NOTHING_TO_SAY, says_something

from .bodies import Headers
from .chunks import Chunker
from .exchange import ExchangeFailed, ExchangeRetried, HttpExchange
from .seams import Seam, seam_of
from .sse import MAX_EVENT_BYTES, ServerSentEvent, SseDecoder

# What the speech of a text is at most: what is longer has no end, and is not waited for.
LEAST_BOUND = 60.0  # seconds
SLOWEST = 4.0  # seconds of a character: "9" is a word, a sign of mathematics several, and both at half the speed
WIDEST = 2  # bytes of a sample; mp3 needs fewer

MAX_WAV_HEAD = 4096  # bytes in which a WAV says how long it is
UNKNOWN_LENGTH = 0x7FFFFF00  # and more: what streaming encoders write where they do not know it, as they do with 0

# Content types of answers that are no audio. PCM goes by many names, and by none.
_FOREIGN = re.compile(r"text/(?!event-stream$).*|.*[/+](json|xml|html|problem)", re.I)
_LIKE_TEXT = re.compile(rb"\s{0,64}(\{|<[!?a-z]|<?\Z)", re.I)  # where JSON or a page begins, or could with more
_NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # what neither holds, and what PCM soon does
_APPLIED = "applied"  # content_expiry, as the service says it; of several requests, if all of them were so
_ERROR_STATUS = re.compile(r"error|[45][0-9][0-9]")

Output: TypeAlias = ExchangeCommand | AudioChunk | SpeechFinished | ExchangeRetried | ExchangeFailed


class Synthesis:
    """The synthesis of a whole text: ``AudioChunk``s while they come, then ``SpeechFinished``.

    A text of over 250 characters is asked for in several requests, one after the other, each of whole sentences; their
    audio is joined (of wav, which says how long it is, nothing comes before the end of the last). What is told and
    asked of it is what an ``HttpExchange`` has; each request is tried again as long as none of its own audio was given
    out, and what came before it is kept. With ``sse`` the service sends the audio while it makes it (pcm, ulaw,
    alaw). Raises ``ConfigurationError`` for a text that cannot be spoken and for what the route, the model or
    server-sent events do not have.
    """

    def __init__(
        self,
        config: SynthesisConfig,
        endpoint: Endpoint,
        text: str,
        *,
        sse: bool = False,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        jitter: Callable[[], float] = no_jitter,
    ) -> None:
        text = whole_text(text) if isinstance(text, str) else text
        check_text(text)
        pieces = [piece for piece in pieces_of(text, within_words=True) if says_something(piece)]
        if not pieces:
            raise ConfigurationError(NOTHING_TO_SAY)
        of_one = config
        if len(pieces) > 1 and isinstance(config, SynthesisConfig) and config.output_format == "wav":
            of_one = msgspec.structs.replace(config, output_format="pcm")
        self._left = deque(
            PieceSynthesis(of_one, endpoint, piece, sse=sse, timeouts=timeouts, retry=retry, jitter=jitter)
            for piece in pieces
        )
        self._seam = None if len(pieces) == 1 else seam_of(config)
        self._chunker = Chunker(config)
        self._dropped = 0
        self._expiry: str | None = _APPLIED
        self._outputs: deque[Output] = deque()

    @property
    def ended(self) -> bool:
        """Whether the outcome has been put out."""
        return len(self._left) == 1 and self._left[0].ended

    def start(self, now: float) -> None:
        """Begin: puts out ``SendRequest``."""
        self._left[0].start(now)
        self._take(now)

    def response_started(self, status: int, headers: Iterable[tuple[str, str]], now: float) -> None:
        """The status line and the headers of the answer are here."""
        self._left[0].response_started(status, headers, now)
        self._take(now)

    def body_received(self, data: bytes, now: float) -> None:
        """A part of the answer's body is here."""
        self._left[0].body_received(data, now)
        self._take(now)

    def response_ended(self, now: float) -> None:
        """The answer is whole."""
        self._left[0].response_ended(now)
        self._take(now)

    def exchange_failed(self, failure: Failure, now: float) -> None:
        """No connection could be made, or it was lost before the answer was whole."""
        self._left[0].exchange_failed(failure, now)
        self._take(now)

    def abort(self, now: float) -> None:
        """The application no longer wants the answer."""
        self._left[0].abort(now)
        self._take(now)

    def handle_timer(self, now: float) -> None:
        """Time has passed. May be called at any time."""
        self._left[0].handle_timer(now)
        self._take(now)

    def poll_output(self) -> Output | None:
        """The next command, chunk or outcome, or ``None`` when there is nothing more to do now."""
        return self._outputs.popleft() if self._outputs else None

    def get_timer(self) -> float | None:
        """When to call ``handle_timer``, or ``None``."""
        return self._left[0].get_timer()

    def _take(self, now: float) -> None:
        """What the request under way put out; go on to the next one where it is over."""
        while (output := self._left[0].poll_output()) is not None:
            if isinstance(output, ExchangeFailed):
                self._forget()
                self._outputs.append(output)
            elif self._seam is None:
                self._outputs.append(output)
            elif isinstance(output, AudioChunk):
                self._give(self._seam.feed(output.data))
            elif isinstance(output, SpeechFinished):
                self._dropped += output.dropped
                self._expiry = output.content_expiry if self._expiry == _APPLIED else self._expiry
                self._go_on(self._seam, output, now)
            else:
                self._outputs.append(output)

    def _go_on(self, seam: Seam, finished: SpeechFinished, now: float) -> None:
        if len(self._left) > 1:
            self._give(seam.next())
            self._left.popleft()
            self._left[0].start(now)
            return
        self._give(seam.end())
        chunker = self._chunker
        self._outputs.append(
            SpeechFinished(
                seconds=chunker.seconds,
                size=chunker.size,
                dropped=self._dropped,
                request_id=finished.request_id,
                content_expiry=self._expiry,
            )
        )

    def _give(self, audio: bytes) -> None:
        if (chunk := self._chunker.take(audio)) is not None:
            self._outputs.append(chunk)

    def _forget(self) -> None:
        """What was still to be asked for is not, and an exchange that is kept does not keep what was to be said."""
        while len(self._left) > 1:
            self._left.pop()


class PieceSynthesis(HttpExchange[AudioChunk | SpeechFinished]):
    """The synthesis of a text in one request. Raises ``ConfigurationError`` as ``Synthesis`` does."""

    def __init__(
        self,
        config: SynthesisConfig,
        endpoint: Endpoint,
        text: str,
        *,
        sse: bool = False,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        jitter: Callable[[], float] = no_jitter,
    ) -> None:
        request = (synthesis_sse_request if sse else synthesis_request)(config, endpoint, text)
        source = AudioEvents if sse else AudioBody
        seconds = LEAST_BOUND + SLOWEST * len(text)
        limit = math.ceil(seconds * config.sample_rate) * WIDEST
        super().__init__(
            request,
            lambda: SpeechReader(source(config), limit=limit),
            timeouts=timeouts,
            retry=retry,
            jitter=jitter,
            # A whole reply may begin only when all of it is made; events begin with the first sound.
            first=timeouts.audio if sse else timeouts.response,
            longest=timeouts.response + seconds,  # the service speaks faster than one hears
        )


class AudioSource(Protocol):
    """What the body of a success is, once it is no answer of something else."""

    chunker: Chunker
    settled: bool  # its end is known already

    def feed(self, data: bytes) -> list[AudioChunk]:
        """A part of the body: the audio that is whole with it."""

    def end(self) -> tuple[list[AudioChunk], Failure | None]:
        """No more will come: the audio that was left, and what is wrong, if anything is."""


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
        # A body that lasts to the end of the connection cannot be told from one that was cut, but for this.
        length, came = wav_length(self._head), self.chunker.size
        if length is None or came >= length:
            return [], None
        reason = f"the connection was lost in mid-speech: {came:,} of {length:,} bytes came"
        return [], Failure(kind=FailureKind.DISCONNECTED, reason=reason)


def wav_length(head: bytes | bytearray) -> int | None:
    """How many bytes a WAV has up to the end of its audio, as its head says; ``None`` where it does not say it."""
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
        chunks = [chunk for event in self._decoder.feed(data) if (chunk := self._read(event)) is not None]
        if self._decoder.overflowed and not self.settled:
            self._fail(f"an event is longer than {MAX_EVENT_BYTES // 2**20} MiB")
        return chunks

    def end(self) -> tuple[list[AudioChunk], Failure | None]:
        # Without the blank line after it an event counts if it is whole in itself: then its JSON can be read.
        event = self._decoder.end()
        chunk = None if event is None else self._read(event)
        if not self.settled:
            reason = "the events ended before the service said that the speech is whole"
            self._failure = Failure(kind=FailureKind.DISCONNECTED, reason=reason)
        return [] if chunk is None else [chunk], self._failure

    def _read(self, event: ServerSentEvent) -> AudioChunk | None:
        if self.settled:
            return None  # what comes after the end finds nobody
        frame = _read_frame(event.data)
        if isinstance(frame, str):
            if event.type in ("audio", "message"):  # others can hold what they like
                self._fail(f"the data of an event is {frame}")
            return None
        status = None if frame.status is None else str(frame.status)
        if frame.error is not None or event.type == "error" or (status and _ERROR_STATUS.fullmatch(status)):
            text = error_text(frame.error) or error_text(frame.message)
            self._failure, self.settled = message_failure(ErrorMessage(text=text, status=status)), True
            return None
        self.settled = frame.done or False
        return None if frame.audio is None else self.chunker.take(frame.audio)

    def _fail(self, what: str) -> None:
        reason = f"{what}: it was damaged on its way, or base_url does not lead to the service"
        self._failure, self.settled = Failure(kind=FailureKind.PROTOCOL, reason=reason), True


class SpeechReader:
    """Lets an audio source read a success, unless it is an answer of text: that is a failure."""

    def __init__(self, source: AudioSource, *, limit: int) -> None:
        self._source = source
        self._limit = limit  # bytes
        self._status = 0
        self._headers: Headers = ()
        self._foreign = False  # the content type is one of text
        self._held: bytearray | None = bytearray()  # what could be text so far; None: it is audio

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
        if self._foreign or (
            len(self._held) <= MAX_REFUSAL_BYTES and _LIKE_TEXT.match(self._held) and not _NO_TEXT.search(data)
        ):
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
    """The data of an event, or the reason why it is none. Never raises."""
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
