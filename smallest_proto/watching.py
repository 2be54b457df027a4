"""Whether one link still lives: it opens and closes in time, what was sent leaves, and a ping is answered.

What is sent, written and heard is noted when it happens, and looked at when a deadline comes: each message would
otherwise move some of them.
"""

from __future__ import annotations

from .commands import KEEPALIVE, Command, SendPing, SendText
from .config import Timeouts
from .errors import Failure, FailureKind
from .link import Link
from .timers import Timer
from .values import Sink

_OVERDUE = {
    Timer.OPENING: "the connection did not open in time: check base_url and the network",
    Timer.CLOSING: "the connection did not close in time",
    Timer.PONG: "the service did not answer a ping in time: the connection is dead",
    Timer.WRITE: "what was sent did not leave in time: the connection is stuck",
}


class Watch:
    """Watches the links of one session. ``keepalive``: the gateway closes a link on which nothing is said for long."""

    __slots__ = ("_keepalive", "_output", "_timeouts")

    def __init__(self, timeouts: Timeouts, *, keepalive: bool, output: Sink[Command]) -> None:
        self._timeouts = timeouts
        self._keepalive = keepalive
        self._output = output

    def opening(self, link: Link, now: float) -> None:
        """``link`` is being opened."""
        link.timers[Timer.OPENING] = now + self._timeouts.opening

    def opened(self, link: Link, now: float) -> None:
        """``link`` is open."""
        link.opened_at = link.sent_at = now
        link.timers.stop(Timer.OPENING)
        link.timers[Timer.PING] = now + self._timeouts.ping
        link.timers[Timer.WRITE] = now + self._timeouts.write
        if self._keepalive:
            link.timers[Timer.KEEPALIVE] = now + self._timeouts.keepalive

    def closing(self, link: Link, now: float) -> None:
        """We closed ``link``."""
        link.timers.clear()
        link.timers[Timer.CLOSING] = now + self._timeouts.closing

    def ponged(self, link: Link, now: float) -> None:
        """The peer answered a ping, if one was sent."""
        if link.pinged_at is not None:
            link.heard_at = now
            link.round_trip = max(0.0, now - link.pinged_at)
            link.pinged_at = None
            link.timers.stop(Timer.PONG)
            link.timers[Timer.PING] = now + self._timeouts.ping

    def written(self, link: Link, now: float) -> None:
        """A ping has left. What has not cannot be answered: from here on a pong is due."""
        if Timer.PONG not in link.timers:
            link.pinged_at = now
            link.timers[Timer.PONG] = self._pong_due(link)

    def due(self, link: Link, timer: Timer, now: float) -> Failure | None:
        """A deadline of ``link`` has come: do what follows; returns what the link has failed with, if it has."""
        if timer is Timer.PING:
            self._output.append(SendPing(link=link.number))
            link.pinged_at = now
            if link.owed_at is None:  # else the ping waits behind what has not left yet
                link.timers[Timer.PONG] = self._pong_due(link)
            return None
        if timer is Timer.KEEPALIVE:
            self._keep_alive(link, now)
            return None
        if timer is Timer.PONG or timer is Timer.WRITE:
            due = self._pong_due(link) if timer is Timer.PONG else self._write_due(link)
            if due is None or due > now:
                link.timers[timer] = now + self._timeouts.write if due is None else due
                return None
        return Failure(kind=FailureKind.DEADLINE, reason=_OVERDUE[timer]) if link.error is None else link.error

    def _keep_alive(self, link: Link, now: float) -> None:
        """Send something if nothing was sent; after ``close_stream`` that is of no use."""
        if link.open:
            if now >= link.sent_at + self._timeouts.keepalive:
                self._output.append(SendText(link=link.number, text=KEEPALIVE))
                link.sent(now)
            link.timers[Timer.KEEPALIVE] = link.sent_at + self._timeouts.keepalive

    def _write_due(self, link: Link) -> float | None:
        """When what was sent is overdue, if anything of it has not left."""
        return None if link.owed_at is None else link.owed_at + self._timeouts.write

    def _pong_due(self, link: Link) -> float:
        """When a pong is overdue. It can wait behind what the service still reads; any message is a sign of life."""
        last = max(link.pinged_at or 0.0, link.heard_at or 0.0)
        return last + self._timeouts.pong + link.round_trip
