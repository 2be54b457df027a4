"""One HTTP exchange as a state machine: a request, and one answer or one failure.

``HttpExchange`` knows HTTP alone: status, the deadline, what a refusal means, when to try again. What the body of a
good answer means, a ``Reader`` says: all at its end (``WholeBody``), or while it comes. Each try has one of its own.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from smallest_proto.codings import Decoder
from smallest_proto.commands import AbortRequest, ExchangeCommand, SendRequest
from smallest_proto.config import RetryPolicy, Timeouts
from smallest_proto.errors import Failure, FailureKind, LocalProtocolError
from smallest_proto.refusals import MAX_REFUSAL_BYTES, refusal
from smallest_proto.requests import Request
from smallest_proto.retry import classify, delay, no_jitter
from smallest_proto.statuses import Verdict
from smallest_proto.timers import Timer, Timers
from smallest_proto.values import Name, Value

from .bodies import Headers, Reader

Answer = TypeVar("Answer")

_NO_CONNECTION = frozenset((FailureKind.CONNECT, FailureKind.DISCONNECTED))  # the service may never have seen it
_NEVER = RetryPolicy(max_retries=0)


class ExchangeFailed(Value, frozen=True, kw_only=True):
    """No answer came; ``failure.error()`` is the exception to raise."""

    failure: Failure


class ExchangeRetried(Value, frozen=True, kw_only=True):
    """A try failed, and another one follows by itself. Nothing of an answer was given out before."""

    failure: Failure
    retry_in: float  # seconds until the next try


class State(Name):
    """Where an exchange stands."""

    IDLE = "idle"
    WAITING = "waiting"  # the request is out, no status has come
    ANSWERED = "answered"  # a success: its body is coming
    REFUSED = "refused"  # any other status: its body is coming, and may say why
    OVER = "over"  # the try is over; what follows is decided at once
    PAUSED = "paused"  # between two tries
    ENDED = "ended"  # the outcome was given out


class Input(Name):
    """What an exchange can be told."""

    START = "start"
    INTERIM = "interim"  # a 1xx status: the answer is still to come
    SUCCESS = "success"  # a 2xx status
    REFUSAL = "refusal"  # any other status
    DATA = "data"
    SETTLED = "settled"  # the reader knows the outcome before the body ends
    DAMAGED = "damaged"  # the body cannot be read: its compression is broken
    OVERFLOW = "overflow"  # more data than a refusal may have
    END = "end"
    FAILURE = "failure"
    DEADLINE = "deadline"
    ABORT = "abort"
    AGAIN = "again"  # the try failed, and another one may succeed
    OUTCOME = "outcome"  # it succeeded, or no other try follows


class HttpExchange(Generic[Answer]):
    """One request and its one outcome, without I/O and without a clock.

    Tell it what happens, with ``now`` in seconds of any monotonic clock. After each call take all of ``poll_output()``,
    and call ``handle_timer`` at ``get_timer()``. The outputs: first ``SendRequest``; then what the reader makes of the
    body as it comes; ``AbortRequest`` if a try ends before its answer; last, exactly one of the reader's outcome and
    ``ExchangeFailed``. If another try may succeed (429, 5xx, no connection, a lost one) and nothing of an answer was
    given out, ``ExchangeRetried`` comes in place of the failure, and ``SendRequest`` again at the next timer: as often
    as ``retry`` says, and no later than ``timeouts.response`` after the start. Tell it nothing about a try after its
    end.

    What the peer does wrong never raises. Calls out of order raise ``LocalProtocolError`` and change nothing.
    ``make_reader`` makes the reader of one try. ``repeatable``: whether to send a request again when it is not known
    whether the service took it.
    """

    def __init__(
        self,
        request: Request,
        make_reader: Callable[[], Reader[Answer]],
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        jitter: Callable[[], float] = no_jitter,
        first: float | None = None,  # seconds to the first output of the reader; None: ``timeouts.response``
        longest: float = math.inf,  # seconds to the end of a try, however much comes
        repeatable: bool = True,
    ) -> None:
        self._request = request
        self._make_reader = make_reader
        self._reader = make_reader()
        self._timeouts = timeouts
        self._retry = retry
        self._jitter = jitter
        self._repeatable = repeatable
        self._first = timeouts.response if first is None else first
        self._patience = self._first
        self._longest = longest
        self._until = math.inf  # when all of this try must be here
        self._latest = 0.0  # no try begins after it
        self._failures = 0
        self._state = State.IDLE
        self._timers = Timers()
        self._outputs: deque[ExchangeCommand | Answer | ExchangeRetried | ExchangeFailed] = deque()
        self._status = 0
        self._headers: Headers = ()
        self._refused = bytearray()  # the body of a refusal

    @property
    def ended(self) -> bool:
        """Whether the outcome was given out."""
        return self._state is State.ENDED

    def start(self, now: float) -> None:
        """Begin: gives ``SendRequest``."""
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
        """The answer is complete."""
        self._step(Input.END, now)

    def exchange_failed(self, failure: Failure, now: float) -> None:
        """There was no connection, or it was lost before the answer was complete."""
        self._step(Input.FAILURE, now, failure)

    def abort(self, now: float) -> None:
        """The application no longer wants the answer."""
        self._step(Input.ABORT, now)

    def handle_timer(self, now: float) -> None:
        """Time has passed. Call it at any time."""
        while self._timers.pop_due(now) is not None:
            self._step(Input.DEADLINE, now)

    def poll_output(self) -> ExchangeCommand | Answer | ExchangeRetried | ExchangeFailed | None:
        """The next command or the outcome, or ``None`` when there is nothing more to do now."""
        return self._outputs.popleft() if self._outputs else None

    def get_timer(self) -> float | None:
        """When to call ``handle_timer``, or ``None``."""
        return self._timers.due

    def _step(self, what: Input, now: float, value: Any = None) -> None:
        cell = _TABLE.get((self._state, what))
        if cell is None:
            raise LocalProtocolError(f"an exchange that is {self._state.value} cannot be told {what.value}")
        action, state = cell
        self._state = state
        if action is not None:
            action(self, value, now)

    # The actions of the table; the value is what the input brought.

    def _begin(self, _: None, now: float) -> None:
        self._latest = now + self._timeouts.response
        self._send(None, now)

    def _send(self, _: None, now: float) -> None:
        self._until = now + self._longest
        self._timers[Timer.RESPONSE] = now + self._patience
        self._outputs.append(SendRequest(request=self._request))

    def _answered(self, value: tuple[int, Headers], now: float) -> None:
        self._reader.begin(*value)
        self._decoder = Decoder(value[1])
        if self._decoder.failure is not None:
            self._step(Input.DAMAGED, now, self._decoder.failure)

    def _feed(self, data: bytes, now: float) -> None:
        for piece in self._decoder.feed(data):
            if made := self._reader.feed(piece):
                self._outputs.extend(made)
                self._retry = _NEVER  # what was given out cannot be taken back
                self._patience = self._timeouts.audio
                self._timers[Timer.RESPONSE] = min(now + self._patience, self._until)
            if self._reader.settled:
                return self._step(Input.SETTLED, now)
        if self._decoder.failure is not None:
            self._step(Input.DAMAGED, now, self._decoder.failure)
        return None

    def _spoil(self, failure: Failure, now: float) -> None:
        self._outputs.append(AbortRequest())
        self._judge(failure, now)

    def _settle(self, _: None, now: float) -> None:
        self._outputs.append(AbortRequest())
        self._read(None, now)

    def _finish(self, _: None, now: float) -> None:
        if (failure := self._decoder.end()) is not None:
            self._judge(failure, now)
        else:
            self._read(None, now)

    def _read(self, _: None, now: float) -> None:
        last = self._reader.end()
        if len(last) == 1 and isinstance(last[0], Failure):
            self._judge(last[0], now)
        else:
            self._step(Input.OUTCOME, now, last)

    def _note_refusal(self, value: tuple[int, Headers], _: float) -> None:
        self._status, self._headers = value

    def _keep(self, data: bytes, _: float) -> None:
        self._refused += data

    def _refuse(self, _: Failure | None, now: float) -> None:
        # Also if the connection was lost: the status says more, and servers that refuse a file close early.
        self._judge(refusal(self._status, self._headers, bytes(self._refused)), now)

    def _cut_refusal(self, data: bytes | None, now: float) -> None:
        self._refused += (data or b"")[: MAX_REFUSAL_BYTES - len(self._refused)]
        self._outputs.append(AbortRequest())
        self._refuse(None, now)

    def _too_late(self, _: None, now: float) -> None:
        reason = f"no whole answer, or no more of it, came within {self._patience:g} s: check base_url and the network"
        if now >= self._until:
            reason = f"the answer has not ended after {self._longest:g} s: it is longer than what was asked for can be"
        self._outputs.append(AbortRequest())
        self._judge(Failure(kind=FailureKind.DEADLINE, reason=reason), now)

    def _drop(self, _: None, now: float) -> None:
        self._outputs.append(AbortRequest())
        self._drop_unsent(_, now)

    def _drop_unsent(self, _: None, __: float) -> None:
        reason = "the application aborted the request"
        self._end((Failure(kind=FailureKind.DISCONNECTED, reason=reason, final=True),), 0.0)

    def _judge(self, failure: Failure, now: float) -> None:
        """A try failed: whether another one follows."""
        self._failures += 1
        if self._failures <= self._retry.max_retries and self._worth_another(failure):
            wait = delay(failure, self._failures, self._retry, self._jitter, live=False)
            if now + wait <= self._latest:
                self._step(Input.AGAIN, now, ExchangeRetried(failure=failure, retry_in=wait))
                return
        self._step(Input.OUTCOME, now, (failure,))

    def _worth_another(self, failure: Failure) -> bool:
        if failure.kind is FailureKind.DISCONNECTED and not self._repeatable:
            return False
        answered = failure.status is not None  # else the connection failed
        return classify(failure) is not Verdict.FINAL and (answered or failure.kind in _NO_CONNECTION)

    def _pause(self, retried: ExchangeRetried, now: float) -> None:
        self._reader, self._patience = self._make_reader(), self._first
        self._refused.clear()
        self._timers[Timer.RESPONSE] = now + retried.retry_in
        self._outputs.append(retried)

    def _end(self, last: Sequence[Answer | Failure], _: float) -> None:
        self._timers.clear()
        del self._reader, self._make_reader, self._request  # an exchange that is kept does not keep what was said
        self._refused.clear()
        self._outputs.extend(ExchangeFailed(failure=one) if isinstance(one, Failure) else one for one in last)


_Action: TypeAlias = Callable[[HttpExchange[Any], Any, float], None]

_TABLE: dict[tuple[State, Input], tuple[_Action | None, State]] = {
    (State.IDLE, Input.START): (HttpExchange._begin, State.WAITING),
    (State.IDLE, Input.ABORT): (HttpExchange._drop_unsent, State.ENDED),
    (State.WAITING, Input.INTERIM): (None, State.WAITING),
    (State.WAITING, Input.SUCCESS): (HttpExchange._answered, State.ANSWERED),
    (State.WAITING, Input.REFUSAL): (HttpExchange._note_refusal, State.REFUSED),
    (State.WAITING, Input.FAILURE): (HttpExchange._judge, State.OVER),
    (State.WAITING, Input.DEADLINE): (HttpExchange._too_late, State.OVER),
    (State.WAITING, Input.ABORT): (HttpExchange._drop, State.ENDED),
    (State.ANSWERED, Input.DATA): (HttpExchange._feed, State.ANSWERED),
    (State.ANSWERED, Input.SETTLED): (HttpExchange._settle, State.OVER),
    (State.ANSWERED, Input.DAMAGED): (HttpExchange._spoil, State.OVER),
    (State.ANSWERED, Input.END): (HttpExchange._finish, State.OVER),
    (State.ANSWERED, Input.FAILURE): (HttpExchange._judge, State.OVER),
    (State.ANSWERED, Input.DEADLINE): (HttpExchange._too_late, State.OVER),
    (State.ANSWERED, Input.ABORT): (HttpExchange._drop, State.ENDED),
    (State.REFUSED, Input.DATA): (HttpExchange._keep, State.REFUSED),
    (State.REFUSED, Input.OVERFLOW): (HttpExchange._cut_refusal, State.OVER),
    (State.REFUSED, Input.END): (HttpExchange._refuse, State.OVER),
    (State.REFUSED, Input.FAILURE): (HttpExchange._refuse, State.OVER),
    (State.REFUSED, Input.DEADLINE): (HttpExchange._cut_refusal, State.OVER),
    (State.REFUSED, Input.ABORT): (HttpExchange._drop, State.ENDED),
    (State.OVER, Input.AGAIN): (HttpExchange._pause, State.PAUSED),
    (State.OVER, Input.OUTCOME): (HttpExchange._end, State.ENDED),
    (State.PAUSED, Input.DEADLINE): (HttpExchange._send, State.WAITING),
    (State.PAUSED, Input.ABORT): (HttpExchange._drop_unsent, State.ENDED),
    # What still arrives after the end of a try, or of the exchange, is ignored.
    (State.PAUSED, Input.INTERIM): (None, State.PAUSED),
    (State.PAUSED, Input.SUCCESS): (None, State.PAUSED),
    (State.PAUSED, Input.REFUSAL): (None, State.PAUSED),
    (State.PAUSED, Input.DATA): (None, State.PAUSED),
    (State.PAUSED, Input.END): (None, State.PAUSED),
    (State.PAUSED, Input.FAILURE): (None, State.PAUSED),
    (State.ENDED, Input.INTERIM): (None, State.ENDED),
    (State.ENDED, Input.SUCCESS): (None, State.ENDED),
    (State.ENDED, Input.REFUSAL): (None, State.ENDED),
    (State.ENDED, Input.DATA): (None, State.ENDED),
    (State.ENDED, Input.END): (None, State.ENDED),
    (State.ENDED, Input.FAILURE): (None, State.ENDED),
    (State.ENDED, Input.ABORT): (None, State.ENDED),
}
