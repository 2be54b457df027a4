"""The life of one connection, as a table. What a dead connection still says finds nobody."""

from __future__ import annotations

from typing import TypeAlias

from .errors import Failure, LocalProtocolError
from .timers import Timers
from .values import Name


class LinkState(Name):
    """Where a connection is in its life."""

    OPENING = "opening"
    OPEN = "open"
    DRAINING = "draining"  # close_stream is sent; the last final is awaited
    CLOSING = "closing"  # the close frame is asked for
    GONE = "gone"


class LinkInput(Name):
    """What can happen to a connection."""

    OPENED = "opened"  # the transport: the WebSocket is open
    FAILED = "failed"  # the transport: it could not be opened, or was lost
    CLOSED = "closed"  # the transport: the peer said goodbye
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


class Link:
    """One connection: its number, where in the stream it begins, how far it was sent, and its own timers."""

    __slots__ = (
        "alive",
        "confirmed_at",
        "drained",
        "headers",
        "hesitated",
        "holes",
        "next_message",
        "number",
        "opened_at",
        "requested_at",
        "rested",
        "sent",
        "session_id",
        "start",
        "state",
        "suspected",
        "timers",
        "told",
        "trial",
    )

    def __init__(self, number: int, now: float, *, trial: bool = False) -> None:
        self.number = number
        self.trial = trial  # it is opened with options that no link was accepted with yet
        self.start = 0  # the sample of the stream at which the service begins to count this link's seconds
        self.sent = 0  # the end of what it was sent, in samples of the stream
        self.headers = 0  # how many pages of a file's header it was sent
        self.holes: list[tuple[int, int]] = []  # (samples it was sent by then, samples of the stream left out so far)
        self.state = LinkState.OPENING
        self.timers = Timers()
        self.drained = False  # close_stream was sent on it
        self.told: Failure | None = None  # the error that the service told of; a close usually follows
        self.alive = False  # something came back on it
        self.rested = False  # it was open before it was asked for anything: its end since then counts as no failure
        self.suspected = False  # it has been quiet for long
        self.hesitated = 0  # how often it was not asked about that, as somebody may be speaking
        self.session_id: str | None = None  # the service's name for it, as first told
        self.requested_at = now
        self.opened_at: float | None = None
        self.confirmed_at = now  # when it was last known how far the service has heard
        self.next_message = now  # no audio message before then

    @property
    def open(self) -> bool:
        """Whether it takes audio."""
        return self.state is LinkState.OPEN

    @property
    def serves(self) -> bool:
        """Whether what it says counts."""
        return self.state is LinkState.OPEN or self.state is LinkState.DRAINING

    @property
    def lasting(self) -> int:
        """Samples that it was sent: the service's clock of this link."""
        return self.sent - self.start - (self.holes[-1][1] if self.holes else 0)

    def begin(self, position: int) -> None:
        """It serves the stream from sample ``position`` on."""
        self.start = self.sent = position

    def reach(self, start: int, end: int) -> None:
        """It is sent the samples from ``start`` to ``end``; what lies between them and the ones before was given up."""
        if start > self.sent:
            self.holes.append((self.lasting, (self.holes[-1][1] if self.holes else 0) + start - self.sent))
            self.sent = start
        self.sent = max(self.sent, end)

    def left_out(self, sample: float) -> int:
        """Samples of the stream that it was not sent before its own ``sample``."""
        return next((left_out for at, left_out in reversed(self.holes) if sample >= at), 0)

    def take(self, what: LinkInput) -> LinkAction:
        """Move on; raises ``LocalProtocolError`` for what a transport must not tell of such a link."""
        try:
            action, self.state = LINKS[self.state, what]
        except KeyError:
            raise LocalProtocolError(f"link {self.number} is {self.state.value}: it cannot be {what.value}") from None
        if self.state is LinkState.DRAINING:
            self.drained = True
        return action

    def renamed(self, session_id: str | None) -> bool:
        """Whether the service calls it by another name than before."""
        if session_id is None or session_id[:256] == self.session_id:
            return False
        first, self.session_id = self.session_id is None, session_id[:256]
        return not first
