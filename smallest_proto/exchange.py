"""One HTTP exchange as a state machine: a request goes out, one answer or one failure comes of it.

``HttpExchange`` knows HTTP alone: status, the deadline, what a refusal means. What the body of a good answer means, a
``Reader`` handed in says: all at its end (``WholeBody``), or while it comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from .bodies import Headers, Reader, WholeBody
from .commands import AbortRequest, ExchangeCommand, SendRequest
from .config import Endpoint, FileTranscriptionConfig, Timeouts
from .errors import Failure, FailureKind, LocalProtocolError
from .reading import Utterance, Word, read_each, read_json_object, read_number, read_text, read_utterance, read_word
from .refusals import no_answer, refusal, request_id, tells_error
from .requests import Request, file_transcription_request
from .timers import Timer, Timers
from .values import Name, Value

MAX_REFUSAL_BYTES = 64 * 2**10  # more of an error page helps nobody

Answer = TypeVar("Answer")


class FileTranscript(Value, frozen=True, kw_only=True):
    """What was said in a file. Times are seconds from its start."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset(("text", "words", "utterances", "emotions", "gender"))

    text: str
    words: tuple[Word, ...] = ()  # when word_timestamps were asked for
    utterances: tuple[Utterance, ...] = ()  # likewise; pulse-pro has none
    language: str | None = None
    duration: float | None = None  # seconds of audio in the file
    request_id: str | None = None  # the service's name for the request, for its support
    emotions: tuple[tuple[str, float], ...] = ()  # (label, 0..1), when emotion_detection was asked for
    gender: str | None = None  # when gender_detection was asked for


class TranscriptionAccepted(Value, frozen=True, kw_only=True):
    """The service works on it and will answer by webhook (pulse-pro with a ``webhook_url``)."""

    request_id: str | None


class ExchangeFailed(Value, frozen=True, kw_only=True):
    """No answer came; ``failure.error()`` is the exception to raise."""

    failure: Failure


class State(Name):
    """Where an exchange stands."""

    IDLE = "idle"
    WAITING = "waiting"  # the request is out, no status has come
    ANSWERED = "answered"  # a success: its body is coming
    REFUSED = "refused"  # any other status: its body is coming, and may say why
    ENDED = "ended"  # the one outcome has been put out


class Input(Name):
    """What an exchange can be told."""

    START = "start"
    INTERIM = "interim"  # a 1xx status: the answer is still to come
    SUCCESS = "success"  # a 2xx status
    REFUSAL = "refusal"  # any other status
    DATA = "data"
    SETTLED = "settled"  # the reader knows the outcome before the body ends
    OVERFLOW = "overflow"  # data beyond the bound of a refusal
    END = "end"
    FAILURE = "failure"
    DEADLINE = "deadline"
    ABORT = "abort"


class HttpExchange(Generic[Answer]):
    """One request and its one outcome, without I/O and without a clock.

    Tell it what happens, with ``now`` in seconds of any monotonic clock; after each call drain ``poll_output()`` and
    wake up at ``get_timer()``. Outputs are ``SendRequest`` first, then what ``reader`` makes of the body as it comes,
    ``AbortRequest`` where the exchange ends before the answer does, and last exactly one of the reader's outcome and
    ``ExchangeFailed``. What the peer does wrong never raises; what comes after the end finds nobody. Calls out of
    order raise ``LocalProtocolError`` and change nothing.
    """

    def __init__(
        self,
        request: Request,
        reader: Reader[Answer],
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        first: float | None = None,  # seconds to the first output of the reader; None: ``timeouts.response``
    ) -> None:
        self._request = request
        self._reader = reader
        self._patience = timeouts.response if first is None else first
        self._next = timeouts.audio
        self._state = State.IDLE
        self._timers = Timers()
        self._outputs: deque[ExchangeCommand | Answer | ExchangeFailed] = deque()
        self._status = 0
        self._headers: Headers = ()
        self._refused = bytearray()  # the body of a refusal

    @property
    def ended(self) -> bool:
        """Whether the outcome has been put out."""
        return self._state is State.ENDED

    def start(self, now: float) -> None:
        """Begin: puts out ``SendRequest``."""
        self._step(Input.START, now)

    def response_started(self, status: int, headers: Iterable[tuple[str, str]], now: float) -> None:
        """The status line and the headers of the answer are here."""
        if 100 <= status <= 199 and status != 101:
            self._step(Input.INTERIM, now)
        else:
            self._step(Input.SUCCESS if 200 <= status <= 299 else Input.REFUSAL, now, (status, tuple(headers)))

    def body_received(self, data: bytes, now: float) -> None:
        """A part of the answer's body is here."""
        over = self._state is State.REFUSED and len(self._refused) + len(data) > MAX_REFUSAL_BYTES
        self._step(Input.OVERFLOW if over else Input.DATA, now, data)

    def response_ended(self, now: float) -> None:
        """The answer is whole."""
        self._step(Input.END, now)

    def exchange_failed(self, failure: Failure, now: float) -> None:
        """No connection could be made, or it was lost before the answer was whole."""
        self._step(Input.FAILURE, now, failure)

    def abort(self, now: float) -> None:
        """The application no longer wants the answer."""
        self._step(Input.ABORT, now)

    def handle_timer(self, now: float) -> None:
        """Time has passed. May be called at any time."""
        while self._timers.pop_due(now) is not None:
            self._step(Input.DEADLINE, now)

    def poll_output(self) -> ExchangeCommand | Answer | ExchangeFailed | None:
        """The next command or the outcome, or ``None`` when there is nothing more to do now."""
        return self._outputs.popleft() if self._outputs else None

    def get_timer(self) -> float | None:
        """When to call ``handle_timer``, or ``None``."""
        return self._timers.next()

    def _step(self, told: Input, now: float, value: Any = None) -> None:
        cell = _TABLE.get((self._state, told))
        if cell is None:
            raise LocalProtocolError(f"an exchange that is {self._state.value} cannot be told {told.value}")
        action, state = cell
        self._state = state
        if action is not None:
            action(self, value, now)

    # What happens on the way; the value is what the input brought.

    def _send(self, _: None, now: float) -> None:
        self._timers[Timer.RESPONSE] = now + self._patience
        self._outputs.append(SendRequest(request=self._request))

    def _begin(self, value: tuple[int, Headers], _: float) -> None:
        self._reader.begin(*value)

    def _feed(self, data: bytes, now: float) -> None:
        if made := self._reader.feed(data):
            self._outputs.extend(made)
            self._patience = self._next
            self._timers[Timer.RESPONSE] = now + self._patience
        if self._reader.settled:
            self._step(Input.SETTLED, now)

    def _settle(self, _: None, now: float) -> None:
        self._outputs.append(AbortRequest())
        self._answer(None, now)

    def _answer(self, _: None, __: float) -> None:
        self._end(*self._reader.end())

    def _note_refusal(self, value: tuple[int, Headers], _: float) -> None:
        self._status, self._headers = value

    def _keep(self, data: bytes, _: float) -> None:
        self._refused += data

    def _refuse(self, _: Failure | None, __: float) -> None:
        # Also where the connection was lost: the status says more, and servers that refuse a file hang up early.
        self._end(refusal(self._status, self._headers, bytes(self._refused)))

    def _cut_refusal(self, data: bytes | None, now: float) -> None:
        self._refused += (data or b"")[: MAX_REFUSAL_BYTES - len(self._refused)]
        self._outputs.append(AbortRequest())
        self._refuse(None, now)

    def _too_late(self, _: None, __: float) -> None:
        reason = f"no whole answer, or no more of it, came within {self._patience:g} s: check base_url and the network"
        self._outputs.append(AbortRequest())
        self._end(Failure(kind=FailureKind.DEADLINE, reason=reason))

    def _drop(self, _: None, now: float) -> None:
        self._outputs.append(AbortRequest())
        self._drop_unsent(_, now)

    def _drop_unsent(self, _: None, __: float) -> None:
        self._end(Failure(kind=FailureKind.DISCONNECTED, reason="the application aborted the request", final=True))

    def _lose(self, failure: Failure, _: float) -> None:
        self._end(failure)

    def _end(self, *last: Answer | Failure) -> None:
        self._timers.clear()
        del self._reader, self._request  # an exchange that is kept does not keep what was said
        self._refused.clear()
        self._outputs.extend(ExchangeFailed(failure=one) if isinstance(one, Failure) else one for one in last)


_Action: TypeAlias = Callable[[HttpExchange[Any], Any, float], None]

_TABLE: dict[tuple[State, Input], tuple[_Action | None, State]] = {
    (State.IDLE, Input.START): (HttpExchange._send, State.WAITING),
    (State.IDLE, Input.ABORT): (HttpExchange._drop_unsent, State.ENDED),
    (State.WAITING, Input.INTERIM): (None, State.WAITING),
    (State.WAITING, Input.SUCCESS): (HttpExchange._begin, State.ANSWERED),
    (State.WAITING, Input.REFUSAL): (HttpExchange._note_refusal, State.REFUSED),
    (State.WAITING, Input.FAILURE): (HttpExchange._lose, State.ENDED),
    (State.WAITING, Input.DEADLINE): (HttpExchange._too_late, State.ENDED),
    (State.WAITING, Input.ABORT): (HttpExchange._drop, State.ENDED),
    (State.ANSWERED, Input.DATA): (HttpExchange._feed, State.ANSWERED),
    (State.ANSWERED, Input.SETTLED): (HttpExchange._settle, State.ENDED),
    (State.ANSWERED, Input.END): (HttpExchange._answer, State.ENDED),
    (State.ANSWERED, Input.FAILURE): (HttpExchange._lose, State.ENDED),
    (State.ANSWERED, Input.DEADLINE): (HttpExchange._too_late, State.ENDED),
    (State.ANSWERED, Input.ABORT): (HttpExchange._drop, State.ENDED),
    (State.REFUSED, Input.DATA): (HttpExchange._keep, State.REFUSED),
    (State.REFUSED, Input.OVERFLOW): (HttpExchange._cut_refusal, State.ENDED),
    (State.REFUSED, Input.END): (HttpExchange._refuse, State.ENDED),
    (State.REFUSED, Input.FAILURE): (HttpExchange._refuse, State.ENDED),
    (State.REFUSED, Input.DEADLINE): (HttpExchange._cut_refusal, State.ENDED),
    (State.REFUSED, Input.ABORT): (HttpExchange._drop, State.ENDED),
    # What was under way when the exchange ended finds nobody.
    (State.ENDED, Input.INTERIM): (None, State.ENDED),
    (State.ENDED, Input.SUCCESS): (None, State.ENDED),
    (State.ENDED, Input.REFUSAL): (None, State.ENDED),
    (State.ENDED, Input.DATA): (None, State.ENDED),
    (State.ENDED, Input.END): (None, State.ENDED),
    (State.ENDED, Input.FAILURE): (None, State.ENDED),
    (State.ENDED, Input.ABORT): (None, State.ENDED),
}


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
    ) -> None:
        request = file_transcription_request(config, endpoint, audio=audio, audio_url=audio_url)
        super().__init__(request, WholeBody(read_file_answer), timeouts=timeouts)


def read_file_answer(status: int, headers: Headers, body: bytes) -> FileTranscript | TranscriptionAccepted | Failure:
    """What a success says about a file. Never raises: of each field is kept what can be understood."""
    answer = read_json_object(body)
    if isinstance(answer, str):
        return no_answer(status, headers, body, f"its body is {'empty' if not body.strip() else answer}")
    text = read_text(answer.get("transcription"))
    if text is None:
        text = read_text(answer.get("transcript"))
    if not text and tells_error(answer):
        return no_answer(status, headers, body, "there is an error in it")
    if text is None:
        if answer.get("status") == "processing":
            return TranscriptionAccepted(request_id=request_id(answer, headers))
        return no_answer(status, headers, body, "there is no transcription in it")
    metadata, emotions = answer.get("metadata"), answer.get("emotions")
    duration = read_number(metadata.get("duration")) if isinstance(metadata, dict) else None
    shares = emotions.items() if isinstance(emotions, dict) else ()
    return FileTranscript(
        text=text,
        words=read_each(answer.get("words"), read_word) or (),
        utterances=read_each(answer.get("utterances"), read_utterance) or (),
        language=read_text(answer.get("language")),
        duration=duration if duration is not None else read_number(answer.get("audio_length")),
        request_id=request_id(answer, headers),
        emotions=tuple((read_text(k) or "", share) for k, v in shares if (share := read_number(v)) is not None),
        gender=read_text(answer.get("gender")),
    )
