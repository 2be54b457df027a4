"""The life of one connection, as a table. What a dead connection still says is ignored."""

from __future__ import annotations

from typing import TypeAlias

from .errors import Failure, LocalProtocolError
from .requests import Request
from .timers import Alarm, Timers
from .values import Name


class LinkState(Name):
    """Where a connection is in its life."""

    OPENING = "opening"
    OPEN = "open"
    DRAINING = "draining"  # close_stream is sent; we wait for the last final
    CLOSING = "closing"  # we sent a close frame
    GONE = "gone"


class LinkInput(Name):
    """What can happen to a connection."""

    OPENED = "opened"  # the transport: the WebSocket is open
    FAILED = "failed"  # the transport: it could not be opened, or was lost
    CLOSED = "closed"  # the transport: the peer's close frame came
    DRAIN = "drain"  # we have sent close_stream
    CLOSE = "close"  # we are done with it
    ABORT = "abort"  # we give it up


class LinkAction(Name):
    """What the transport is asked to do."""

    NOTHING = "nothing"
    CLOSE = "close"
    ABORT = "abort"


State, Input, Action = LinkState, LinkInput, LinkAction
LinkTable: TypeAlias = dict[tuple[LinkState, LinkInput], tuple[LinkAction, LinkState]]

# fmt: off
LINKS: LinkTable = {
    (State.OPENING,  Input.OPENED): (Action.NOTHING, State.OPEN),
    (State.OPENING,  Input.FAILED): (Action.NOTHING, State.GONE),
    (State.OPENING,  Input.CLOSED): (Action.NOTHING, State.GONE),
    (State.OPENING,  Input.CLOSE):  (Action.ABORT,   State.GONE),
    (State.OPENING,  Input.ABORT):  (Action.ABORT,   State.GONE),

    (State.OPEN,     Input.FAILED): (Action.NOTHING, State.GONE),
    (State.OPEN,     Input.CLOSED): (Action.NOTHING, State.GONE),
    (State.OPEN,     Input.DRAIN):  (Action.NOTHING, State.DRAINING),
    (State.OPEN,     Input.CLOSE):  (Action.CLOSE,   State.CLOSING),
    (State.OPEN,     Input.ABORT):  (Action.ABORT,   State.GONE),

    (State.DRAINING, Input.FAILED): (Action.NOTHING, State.GONE),
    (State.DRAINING, Input.CLOSED): (Action.NOTHING, State.GONE),
    (State.DRAINING, Input.CLOSE):  (Action.CLOSE,   State.CLOSING),
    (State.DRAINING, Input.ABORT):  (Action.ABORT,   State.GONE),

    (State.CLOSING,  Input.FAILED): (Action.NOTHING, State.GONE),
    (State.CLOSING,  Input.CLOSED): (Action.NOTHING, State.GONE),
    (State.CLOSING,  Input.ABORT):  (Action.ABORT,   State.GONE),
}
# fmt: on
del State, Input, Action


SERVES = frozenset((LinkState.OPEN, LinkState.DRAINING))  # in these states, what a link says counts


class Link:
    """One connection: its number, what it was opened with, where it is in its life, and its own timers."""

    __slots__ = (
        "error",
        "heard_at",
        "number",
        "opened_at",
        "owed_at",
        "pinged_at",
        "request",
        "requested_at",
        "round_trip",
        "sent_at",
        "session_id",
        "state",
        "timers",
        "warm_use_at",
    )

    def __init__(self, number: int, request: Request, now: float, alarm: Alarm | None = None) -> None:
        self.number = number
        self.request = request
        self.state = LinkState.OPENING
        self.timers = Timers(alarm)
        self.requested_at = now
        self.opened_at: float | None = None
        self.sent_at = now  # when something was last sent on it
        self.owed_at: float | None = None  # since when something that was sent has not left for the socket
        self.heard_at: float | None = None  # when something last came back on it
        self.pinged_at: float | None = None  # when a ping was sent that is not answered yet
        self.round_trip = 0.0  # seconds from the last answered ping to its pong
        self.error: Failure | None = None  # what the service reported; a close usually follows
        self.session_id: str | None = None  # the service's name for it
        self.warm_use_at: float | None = None  # its first use, if it was open before; None: answered

    @property
    def open(self) -> bool:
        """Whether it takes audio or text."""
        return self.state is LinkState.OPEN

    @property
    def was_warm(self) -> bool:
        """Whether it was open before its first use and has not answered that: to lose it then is no failure."""
        return self.warm_use_at is not None

    @property
    def serves(self) -> bool:
        """Whether what it says counts."""
        return self.state in SERVES

    def sent(self, now: float) -> None:
        """Something is sent on it: its deadlines look at that when they come."""
        self.sent_at = now
        if self.owed_at is None:
            self.owed_at = now

    def take(self, what: LinkInput) -> LinkAction:
        """Move on; raises ``LocalProtocolError`` for what a transport must not tell of such a link."""
        try:
            action, self.state = LINKS[self.state, what]
        except KeyError:
            raise LocalProtocolError(f"link {self.number} is {self.state.value}: it cannot be {what.value}") from None
        return action

    def renamed(self, session_id: str | None) -> bool:
        """Whether the service calls it by another name than before."""
        if session_id is None or session_id[:256] == self.session_id:
            return False
        first, self.session_id = self.session_id is None, session_id[:256]
        return not first
