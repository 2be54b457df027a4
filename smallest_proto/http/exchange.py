"""One HTTP exchange as a state machine: a request goes out, one answer or one failure comes of it.

``HttpExchange`` knows HTTP alone: status, the deadline, what a refusal means. What the body of a good answer means, a
``Reader`` handed in says: all at its end (``WholeBody``), or while it comes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeAlias, TypeVar

from smallest_proto.codings import Decoder
from smallest_proto.commands import AbortRequest, ExchangeCommand, SendRequest
from smallest_proto.config import Timeouts
from smallest_proto.errors import Failure, FailureKind, LocalProtocolError
from smallest_proto.refusals import MAX_REFUSAL_BYTES, refusal
from smallest_proto.requests import Request
from smallest_proto.timers import Timer, Timers
from smallest_proto.values import Name, Value

from .bodies import Headers, Reader

Answer = TypeVar("Answer")


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
    DAMAGED = "damaged"  # the body cannot be read: it is not compressed as it should be
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
        longest: float = math.inf,  # seconds to the end, however much comes
    ) -> None:
        self._request = request
        self._reader = reader
        self._patience = timeouts.response if first is None else first
        self._next = timeouts.audio
        self._longest = longest
        self._until = math.inf  # when all is to be there
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
        self._until = now + self._longest
        self._timers[Timer.RESPONSE] = now + self._patience
        self._outputs.append(SendRequest(request=self._request))

    def _begin(self, value: tuple[int, Headers], now: float) -> None:
        self._reader.begin(*value)
        self._decoder = Decoder(value[1])
        if self._decoder.failure is not None:
            self._step(Input.DAMAGED, now, self._decoder.failure)

    def _feed(self, data: bytes, now: float) -> None:
        for piece in self._decoder.feed(data):
            if made := self._reader.feed(piece):
                self._outputs.extend(made)
                self._patience = self._next
                self._timers[Timer.RESPONSE] = min(now + self._patience, self._until)
            if self._reader.settled:
                return self._step(Input.SETTLED, now)
        if self._decoder.failure is not None:
            self._step(Input.DAMAGED, now, self._decoder.failure)
        return None

    def _spoil(self, failure: Failure, _: float) -> None:
        self._outputs.append(AbortRequest())
        self._end(failure)

    def _settle(self, _: None, now: float) -> None:
        self._outputs.append(AbortRequest())
        self._answer(None, now)

    def _finish(self, _: None, now: float) -> None:
        if (failure := self._decoder.end()) is not None:
            self._end(failure)
        else:
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

    def _too_late(self, _: None, now: float) -> None:
        reason = f"no whole answer, or no more of it, came within {self._patience:g} s: check base_url and the network"
        if now >= self._until:
            reason = f"the answer has not ended after {self._longest:g} s: it is longer than what was asked for can be"
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
    (State.ANSWERED, Input.DAMAGED): (HttpExchange._spoil, State.ENDED),
    (State.ANSWERED, Input.END): (HttpExchange._finish, State.ENDED),
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
