"""The life of one connection, as a table. What a dead connection still says finds nobody."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, TypeAlias

from .errors import LocalProtocolError
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


class Ask(NamedTuple):
    """A finalize, and where in the stream it was asked."""

    position: int  # samples: everything before it is asked for
    probe: bool  # asked by the session itself, to hear whether the service still hears


class Link:
    """One connection: its number, where in the stream it begins, how far it was sent, and its own timers."""

    __slots__ = (
        "asked",
        "drained",
        "next_message",
        "number",
        "opened_at",
        "requested_at",
        "sent",
        "start",
        "state",
        "suspected",
        "timers",
        "trial",
    )

    def __init__(self, number: int, now: float, *, trial: bool = False) -> None:
        self.number = number
        self.trial = trial  # it is opened with options that no link was accepted with yet
        self.start = 0  # the sample of the stream at which the service begins to count this link's seconds
        self.sent = 0  # the end of what it was sent, in samples of the stream
        self.state = LinkState.OPENING
        self.timers = Timers()
        self.asked: deque[Ask] = deque()  # the finalizes that it has not answered
        self.drained = False  # close_stream was sent on it
        self.suspected = False  # it has been quiet for long
        self.requested_at = now
        self.opened_at: float | None = None
        self.next_message = now  # no audio message before then

    @property
    def open(self) -> bool:
        """Whether it takes audio."""
        return self.state is LinkState.OPEN

    def take(self, what: LinkInput) -> LinkAction:
        """Move on; raises ``LocalProtocolError`` for what a transport must not tell of such a link."""
        try:
            action, self.state = LINKS[self.state, what]
        except KeyError:
            raise LocalProtocolError(f"link {self.number} is {self.state.value}: it cannot be {what.value}") from None
        if self.state is LinkState.DRAINING:
            self.drained = True
        return action
