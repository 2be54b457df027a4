"""Links of one session with their output, for the tests of what becomes of them."""

from __future__ import annotations

from collections import deque
from typing import Any

from smallest_proto.config import RetryPolicy, Timeouts
from smallest_proto.errors import Failure, FailureKind
from smallest_proto.link import Link
from smallest_proto.links import Change, Links
from smallest_proto.requests import Request

OLD, NEW, NEWER = (Request(method="GET", url=f"wss://{name}") for name in ("old", "new", "newer"))
LOST = Failure(kind=FailureKind.DISCONNECTED, reason="lost", code=1006)
MUTE = Failure(kind=FailureKind.DEADLINE, reason="mute")
REFUSED = Failure(kind=FailureKind.STATUS, reason="no", status=400)
REFUSED_LATER = Failure(kind=FailureKind.STATUS, reason="not now", status=500)
BUSY = Failure(kind=FailureKind.STATUS, reason="busy", status=429, retry_after=7.0)

TIMEOUTS = Timeouts(opening=10.0, closing=2.0, ping=5.0, pong=4.0, write=3.0, keepalive=6.0)
QUIET = Timeouts(opening=10.0, ping=1e6, write=1e6, keepalive=1e6)  # nothing happens by itself on an open link


class Line(Links):
    """Links whose output is read by ``said``."""

    def __init__(
        self,
        timeouts: Timeouts = QUIET,
        keepalive: bool = True,
        jitter: float = 1.0,
        quotes: bool = True,
        **retry: Any,
    ) -> None:
        self.output: deque[Any] = deque()
        super().__init__(
            OLD,
            keepalive=keepalive,
            quotes=quotes,
            timeouts=timeouts,
            retry=RetryPolicy(**{"first_delay": 1.0, "longest_delay": 8.0, "healthy_after": 10.0, **retry}),
            jitter=lambda: jitter,
            output=self.output,
        )

    def said(self) -> list[Any]:
        said = list(self.output)
        self.output.clear()
        return said

    def serve(self, now: float) -> Link:
        """Open the first link, and let it serve."""
        self.open(now)
        self.opened(1, now)
        self.said()
        assert self.serving is not None
        return self.serving


def wake(line: Line, at: float) -> Change | None:
    """Wake ``line`` whenever it wants to look until a moment before ``at``, when nothing may happen, and at it."""
    while (due := line.next_timer()) is not None and due < at:
        assert line.handle_timer(due) is None
    assert due == at
    assert line.handle_timer(at - 0.001) is None
    assert line.said() == []
    return line.handle_timer(at)
