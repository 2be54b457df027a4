"""What every driver does between a state machine of the core and its connections; pure as well.

A driver adds all that is of the world: a clock, connections, a timer, a way to wait, files, the environment. The calls
that can change something end in ``pump``.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, get_args

import msgspec

from smallest_proto import commands
from smallest_proto.contract import Exchange, Machine, Session
from smallest_proto.errors import Failure, FailureKind
from smallest_proto.events import EndReason, SessionEnded
from smallest_proto.http.exchange import ExchangeRetried
from smallest_proto.requests import Request

from . import _events as wire
from ._logs import CallLog
from ._metrics import CallMetrics
from ._trace import TracedSession

if TYPE_CHECKING:
    from typing_extensions import Self


LATE = 0.05  # seconds; a timer that comes later than so was held up: the loop was blocked, or the machine asleep
QUIET_TURNS = 10  # of the loop in which nothing came: what there was to hear has been heard, over TLS and two tasks too
WORTH_TELLING = 0.25  # seconds of being held up: a deadline that passed may have passed of that
MAX_TURNS = 200  # of waiting for that, where a peer never stops: about a second

_COMMANDS = frozenset(get_args(commands.Command) + get_args(commands.ExchangeCommand))

M = TypeVar("M", bound=Machine)


class Wire(Protocol):
    """The client's side of a connection, as messages and bytes. An exchange is sent none: its request has all."""

    unread: bool  # more of what came is still to be read
    out: Sequence[bytes | bytearray]  # what waits for ``data_to_send``

    def send_binary(self, data: bytes) -> None: ...
    def send_text(self, text: str) -> None: ...
    def ping(self) -> None: ...
    def close(self, code: int) -> None: ...
    def data_to_send(self) -> bytes: ...
    def receive_data(self, data: bytes | None) -> Sequence[wire.WebSocketEvent | wire.ExchangeEvent]: ...


class Link(Protocol):
    """One connection of a driver: it carries what its wire is told, and says what it hears to ``Driver``."""

    number: int
    wire: Wire
    paused: bool  # the socket does not take what was written: more only makes it late
    owed: bool  # the session is to be told when what was written is out

    def flush(self) -> bool:
        """Write what waits. True if all that was written since the last time has left for the socket. Tells no one."""

    def finish(self) -> None:
        """Close the connection once what waits is out."""

    def abort(self) -> None:
        """Drop the connection, or the attempt to open it."""


class Driver(Generic[M]):
    """Runs one state machine of the core: tells it what happens, does what it asks, keeps what it puts out.

    ``world`` is what all connections of a client share (``_world.py``); nothing here looks into it.
    """

    world: object
    now: Callable[[], float]  # seconds of a monotonic clock: a driver's own

    def __init__(self, machine: M, world: object) -> None:
        self.machine = machine
        self.world = world
        self.trace: TracedSession | None = None
        self.log: CallLog | None = None
        self.metrics: CallMetrics | None = None
        self.on_retry: Callable[[ExchangeRetried], object] | None = None
        self.on_event: Callable[[Any], None] | None = None  # is given the outputs, in place of ``next``
        self.way = ""  # what leads to the service, where it is not direct
        self.late = 0.0  # seconds that a timer came too late since something was heard
        self.due = math.inf  # when the timer is armed for
        self._session: Session | None = machine if isinstance(machine, Session) else None
        self._exchange: Exchange | None = machine if isinstance(machine, Exchange) else None
        self._poll = machine.poll_output
        # By number, as a session can have two open at once: the old one goes on while the new one opens.
        self.links: dict[int, Link] = {}
        # Not bounded: a consumer that does not read must not hold up the protocol (pongs, deadlines, the end). Events
        # are few, some ten per second of speech; audio, which is much, is what back-pressure holds.
        self.outputs: deque[Any] = deque()
        self.readers: list[Any] = []  # who wait for an output: what wakes each of them
        self.writers: list[Any] = []  # who wait for room
        self.heard = 0  # how often something came in
        self.mistake: Exception | None = None  # ours, met where nobody awaits it
        self._last: Any = None
        self._told = 0  # how often there was something for who waits for an output
        self._ended = False  # the machine has: it says so with its last event

    # What a driver adds.

    def open(self, number: int, request: Request) -> Link:
        """Begin to connect, to a WebSocket or for an exchange as the URL says; ``lose`` is told if that fails."""
        raise NotImplementedError

    def wake_at(self, due: float) -> None:
        """Tell ``machine.handle_timer`` then; too early does no harm."""
        raise NotImplementedError

    def wake_up(self, sleeper: Any) -> None:
        """Wake one of the readers or writers: it checks again what it waits for. Once is as good as twice."""
        raise NotImplementedError

    async def next(self) -> Any:
        """The next output that is no command; ``None`` after the last."""
        raise NotImplementedError

    async def until_ready(self) -> None:
        """Wait while the machine or a socket has enough to do."""
        raise NotImplementedError

    async def close(self) -> None:
        """End everything: after it no task, socket or timer is left. Once is as good as twice."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @staticmethod
    async def read_file(path: str | PathLike[str]) -> bytes:
        """The bytes of a file of a size that ``check_size`` allows. Raises ``OSError`` if it cannot be read."""
        raise NotImplementedError

    @staticmethod
    async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
        """Call what blocks for a moment: here, or on a thread of the framework's."""
        return function(*args)

    # What happens.

    def tell(self, told: Callable[..., None], *args: Any) -> None:
        """Tell the machine something, and do what it asks. Raises what the machine raises."""
        now = self.now()
        if self.trace is not None:
            self.trace.note(told.__name__, args, now)
        told(*args, now)
        self.pump(now)

    def hear(self, link: Link, data: bytes | None) -> None:
        """Bytes came in over a link whose wire reads them; ``b""``: no more will; ``None``: it goes on reading."""
        self.heard += 1
        self.late = 0.0
        self.hear_events(link, link.wire.receive_data(data))

    def hear_events(self, link: Link, events: Sequence[wire.WebSocketEvent | wire.ExchangeEvent]) -> None:
        """Something came in over a link."""
        for event in events:
            if self.links.get(link.number) is not link:
                return  # given up in the meantime
            if self._session is not None:
                if type(event) is wire.TextMessage:  # nearly all that is heard
                    self.tell(self._session.message_received, link.number, event.text)
                else:
                    self._session_heard(self._session, link, event)
            elif self._exchange is not None:
                self._exchange_heard(self._exchange, link, event)
        if not events:
            self.pump(self.now())  # what the wire answers by itself

    def lose(self, link: Link, failure: Failure) -> None:
        """A link could not be opened, or broke."""
        if self.links.get(link.number) is not link:
            return
        self._let_go(link)
        if self._session is not None:
            self.tell(self._session.link_failed, link.number, failure)
        elif self._exchange is not None:
            self.tell(self._exchange.exchange_failed, failure)

    def pump(self, now: float) -> None:
        """Do all that the machine asks; what one drain of its queue gives is written together."""
        poll, session, before = self._poll, self._session, self._told
        output = poll()
        while True:
            while output is not None:
                self._do(output)
                output = poll()
            for link in self.links.values():
                if (link.wire.out or link.owed) and link.flush() and session is not None:
                    if self.trace is not None:
                        self.trace.note("write_done", (link.number,), now)
                    session.write_done(link.number, now)
                    output = poll() if output is None else output
            if output is None:
                break
        if self.metrics is not None:
            self.metrics.look(self.links, now)
        due = self.machine.get_timer()
        if due is not None and due < self.due:  # one that is armed for too early finds nothing to do, and is armed anew
            self.wake_at(due)
        if self.writers or (self.readers and self._told != before):
            self.changed()

    def changed(self) -> None:
        """Something changed: whoever waits for an output or for ``ready`` has to check again."""
        if self.readers and (self.outputs or self.over()):
            for sleeper in self.readers:
                self.wake_up(sleeper)
        if self.writers and self.ready():
            for sleeper in self.writers:
                self.wake_up(sleeper)

    def wake(self) -> None:
        """Let ``next`` give ``None`` once, after what there is."""
        self.outputs.append(None)
        self.changed()

    # What is asked.

    def takes(self) -> bool:
        """Whether there is room for more audio now."""
        session = self._session
        if session is None or self._ended or self.mistake is not None or not session.ready_for_input:
            return False
        for link in self.links.values():  # noqa: SIM110 - once per piece of audio, at a third of what any() costs
            if link.paused:
                return False
        return True

    def takes_at_once(self) -> bool:
        """Whether audio may be given with no ``until_ready`` before it: nobody has to wait, nor to let others run."""
        return False

    def ready(self) -> bool:
        """Whether to give more audio now, or to find out why there is no use in it."""
        return self._session is None or self.over() or self.takes()

    def over(self) -> bool:
        """Whether nothing more is put out."""
        return self._ended or self.mistake is not None

    def check(self) -> None:
        """Raises what the session failed with."""
        if self.mistake is not None:
            raise self.mistake
        if isinstance(self._last, SessionEnded) and self._last.reason is EndReason.FAILED and self._last.failure:
            raise self._last.failure.error()

    def give(self, told: Callable[[Any], None], event: Any) -> None:
        """Call it; what it raises is for those who wait for the machine, as nobody else is here to mend it."""
        try:
            told(event)
        except Exception as exc:
            self.mistake = self.mistake or exc
            self.changed()

    def _do(self, output: Any) -> None:
        kind = type(output)
        if kind not in _COMMANDS:
            output = self._explained(output)
        if self.log is not None:
            self.log.note(output, self.links)
        if self.metrics is not None:
            self.metrics.note(output, self.now())
        if kind is commands.SendBinary:  # most of what is asked
            self.links[output.link].wire.send_binary(output.data)
        elif kind in _COMMANDS:
            self._carry_out(output)
        elif kind is ExchangeRetried:
            if self.on_retry is not None:
                self.on_retry(output)
        else:
            self._last, self._ended = output, self.machine.ended
            if self.on_event is None:
                self.outputs.append(output)
                self._told += 1
            else:
                self.give(self.on_event, output)
                self._told += self._ended

    def _carry_out(self, command: Any) -> None:
        match command:
            case commands.OpenLink(link=number, request=request):
                self.links[number] = self.open(number, request)
            case commands.SendRequest(request=request):
                self.links[0] = self.open(0, request)
            case commands.SendText(link=number, text=text):
                self.links[number].wire.send_text(text)
            case commands.SendPing(link=number):
                self.links[number].wire.ping()
            case commands.CloseLink(link=number, code=code):
                self.links[number].wire.close(code)
            case commands.AbortLink(link=number):
                self._abort(number)
            case commands.AbortRequest():
                self._abort(0)

    def _explained(self, output: Any) -> Any:
        """An event whose failure is a deadline says what else than the service it can be the fault of."""
        failure = getattr(output, "failure", None)
        if failure is None or failure.kind is not FailureKind.DEADLINE:
            return output
        reason = failure.reason
        if self.way:
            reason += f"; the way leads through {self.way}"
        if self.late >= WORTH_TELLING:
            reason += (
                f"; this process was held up for {self.late:.1f} s meanwhile: look for a call that blocks the event "
                "loop, or for busy threads"
            )
        return msgspec.structs.replace(output, failure=msgspec.structs.replace(failure, reason=reason))

    def _session_heard(self, session: Session, link: Link, event: wire.WebSocketEvent | wire.ExchangeEvent) -> None:
        match event:
            case wire.BinaryMessage(data=data):
                self.tell(session.message_received, link.number, data)
            case wire.Pong():
                self.tell(session.pong_received, link.number)
            case wire.Opened():
                self.tell(session.link_opened, link.number)
            case wire.Closed(code=code, reason=reason):
                self._let_go(link)
                self.tell(session.link_closed, link.number, code, reason)
            case wire.Refused(failure=failure) | wire.ProtocolBroken(failure=failure):
                self.lose(link, failure)

    def _exchange_heard(self, exchange: Exchange, link: Link, event: wire.WebSocketEvent | wire.ExchangeEvent) -> None:
        match event:
            case wire.Body(data=data):
                self.tell(exchange.body_received, data)
            case wire.ResponseStarted(status=status, headers=headers):
                self.tell(exchange.response_started, status, headers)
            case wire.Ended():
                self._let_go(link)
                self.tell(exchange.response_ended)
            case wire.ProtocolBroken(failure=failure):
                self.lose(link, failure)

    def _abort(self, number: int) -> None:
        if (link := self.links.pop(number, None)) is not None:  # an exchange says it of what is lost as well
            link.abort()

    def _let_go(self, link: Link) -> None:
        del self.links[link.number]
        link.finish()
