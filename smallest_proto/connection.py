"""A connection that outlives its links: opens them, watches them, replaces them, and gives up when that is hopeless.

Three things are watched on a link: a ping without a pong, a write that does not finish, and quiet where an answer is
due. What is sent and heard on it is not known here.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from .commands import KEEPALIVE, AbortLink, CloseLink, Command, OpenLink, SendPing, SendText
from .config import RetryPolicy, Timeouts
from .errors import Failure, FailureKind
from .events import LinkLost, LinkOpened
from .link import Link, LinkAction, LinkInput, LinkState
from .requests import Request
from .retry import Verdict, classify, delay
from .stats import LinkRecord
from .timers import Timer, Timers
from .values import Name, Sink, Value

NORMAL_CLOSURE = 1000  # WebSocket close code


class ChangeKind(Name):
    """What became of the connection."""

    SERVING = "serving"  # a link is open and takes over
    ACCEPTED = "accepted"  # the same, and it was opened with the new options
    LOST = "lost"  # the link that served is gone; another one follows by itself
    LAPSED = "lapsed"  # the same, but it was not needed: none follows before ``want``
    REJECTED = "rejected"  # the new options cannot be had; the old ones go on
    QUIET = "quiet"  # an answer is due, and nothing comes back
    REFUSED = "refused"  # the service told of an error a moment ago, and the link lives
    CLOSED = "closed"  # the link that we closed is gone
    GIVEN_UP = "given up"  # no more links follow


class Change(Value, frozen=True):
    """One change of the connection, told to the session that owns it."""

    kind: ChangeKind
    link: Link
    failure: Failure | None = None


class Connection:
    """The links of one session: at most one serves, at most one is to replace it, some are saying goodbye.

    ``needed`` tells whether a link that is lost must be followed by another one at once.
    """

    def __init__(
        self,
        request: Request,
        *,
        keepalive: bool,
        timeouts: Timeouts,
        retry: RetryPolicy,
        jitter: Callable[[], float],
        output: Sink[Command | LinkOpened | LinkLost],
        needed: Callable[[], bool] = lambda: True,
    ) -> None:
        self._request = request
        self._trial: Request | None = None  # options that no link was accepted with yet
        self._keepalive = keepalive
        self._timeouts = timeouts
        self._retry = retry
        self._jitter = jitter
        self._output = output
        self._needed = needed
        self._links: dict[int, Link] = {}
        self._candidate: Link | None = None
        self._failures = 0  # consecutive
        self._timers = Timers()
        self.serving: Link | None = None
        self.replaced: Link | None = None  # the link that the one that serves took over from
        self.records: list[LinkRecord] = []

    # What the session tells.

    def open(self, now: float) -> None:
        """Open the link that is to serve."""
        self.serving = self._open(now)

    def want(self, now: float) -> None:
        """See to it that a link serves, or will."""
        if self.serving is None and Timer.RETRY not in self._timers:
            self.open(now)

    def renew(self, now: float) -> None:
        """Say goodbye on the link that serves, and let a new one take its place."""
        self.close(now)
        self.open(now)

    def replace(self, request: Request | None, now: float) -> None:
        """Go over to ``request``; ``None`` takes back what was wanted. Of several the last one counts."""
        self._trial = request
        self._drop_candidate()
        if self.serving is None:
            return  # the next try takes it up
        if self.serving.state is not LinkState.OPENING:
            self._candidate = self._open(now) if request is not None else None
        else:
            self._abort(self.serving, None)
            self.open(now)

    def sent(self, link: Link, now: float) -> None:
        """Something was sent on ``link``."""
        timers = link.timers
        if Timer.WRITE not in timers:
            timers[Timer.WRITE] = now + self._timeouts.write
        if self._keepalive and link.open:  # after close_stream it would be no use
            timers[Timer.KEEPALIVE] = now + self._timeouts.keepalive
        elif self._keepalive:
            timers.stop(Timer.KEEPALIVE)

    def close(self, now: float, next_request: Request | None = None) -> None:
        """Say goodbye on the link that serves; with ``next_request`` another one is opened with that."""
        self._drop_candidate()
        self._timers.clear()
        if (link := self.serving) is not None:
            self.serving = None
            self._say_goodbye(link, now)
        if next_request is not None:
            self._trial = next_request
            self.open(now)

    def doubt(self, link: Link, failure: Failure, now: float, timer: Timer = Timer.CLOSING) -> None:
        """The service told of an error on ``link``: its close, which usually follows, says what kind of error it is.

        If none follows the link is given up; with ``Timer.REFUSED`` the session says what becomes of it.
        """
        if link.told is None:
            link.told = failure
            link.timers[timer] = now + CLOSE_FOLLOWS

    def leave(self, link: Link, failure: Failure, times: int, now: float) -> None:
        """Go over from ``link``, where the service refused something ``times`` times in a row, to one in a while.

        The link lived, so it costs no try of the connection's own.
        """
        wait = delay(failure, times, self._retry, self._jitter)
        self._output.append(LinkLost(link=link.number, failure=failure, retry_in=wait))
        self.close(now)
        self._timers[Timer.RETRY] = now + wait

    def abandon(self, link: Link, failure: Failure, now: float) -> Change | None:
        """Give up ``link``: it failed."""
        self._abort(link, failure)
        return self._gone(link, failure, now)

    def abort(self) -> None:
        """Drop every link at once."""
        self._timers.clear()
        for link in tuple(self._links.values()):
            self._abort(link, None)
        self.serving = self._candidate = None

    # What the transport tells. A number of a link that is gone finds nobody.

    def find(self, number: int) -> Link | None:
        """The link that serves, if ``number`` is its number: what another one hears is heard again by this one."""
        link = self.serving
        return link if link is not None and link.number == number and link.serves else None

    @property
    def idle(self) -> bool:
        """Whether there is no link, not even one that says goodbye."""
        return not self._links

    def opened(self, number: int, now: float) -> Change | None:
        """The WebSocket is open: the link serves from now on, and the one that it replaces says goodbye."""
        if (link := self._links.get(number)) is None:
            return None
        link.take(LinkInput.OPENED)
        link.opened_at = link.next_message = link.confirmed_at = now
        link.timers.stop(Timer.OPENING)
        link.timers[Timer.PING] = now + self._timeouts.ping
        if self._keepalive:
            link.timers[Timer.KEEPALIVE] = now + self._timeouts.keepalive
        self.records[number - 1] = LinkRecord(link=number, opened=True)
        self._output.append(LinkOpened(link=number, seconds=now - link.requested_at))
        kind = ChangeKind.SERVING
        if link.trial and self._trial is not None:
            self._request, self._trial, link.trial = self._trial, None, False
            kind = ChangeKind.ACCEPTED
        if link is self._candidate:
            self._candidate = None
            self.replaced = self.serving
            if self.serving is not None:
                self._say_goodbye(self.serving, now)
        else:
            self.replaced = None
        self.serving = link
        return Change(kind, link)

    def failed(self, number: int, failure: Failure, now: float) -> Change | None:
        """The link could not be opened, or was lost."""
        return self._ended(number, LinkInput.FAILED, failure, now)

    def closed(self, number: int, failure: Failure, now: float, *, goodbye: bool = False) -> Change | None:
        """The peer closed the link, or answered ours. ``goodbye``: it had done all that was asked on it."""
        return self._ended(number, LinkInput.CLOSED, failure, now, goodbye=goodbye)

    def ponged(self, number: int, now: float) -> None:
        """The peer answered a ping."""
        if (link := self._links.get(number)) is not None and Timer.PONG in link.timers:
            link.alive = True
            link.timers.stop(Timer.PONG)
            link.timers[Timer.PING] = now + self._timeouts.ping

    def written(self, number: int) -> None:
        """What was sent has left."""
        if (link := self._links.get(number)) is not None:
            link.timers.stop(Timer.WRITE)

    def next_timer(self) -> float | None:
        """When to call ``handle_timer``, or ``None``."""
        due = self._timers.next()
        for link in self._links.values():
            when = link.timers.next()
            if when is not None and (due is None or when < due):
                due = when
        return due

    def handle_timer(self, now: float) -> Change | None:
        """Do what is due; call it again until it returns ``None``."""
        if self._timers.pop_due(now) is not None:  # RETRY
            self.open(now)
        for link in tuple(self._links.values()):
            while (timer := link.timers.pop_due(now)) is not None:
                change = self._due(link, timer, now)
                if change is not None:
                    return change
        return None

    # What follows.

    def _due(self, link: Link, timer: Timer, now: float) -> Change | None:
        if timer is Timer.QUIET:
            return Change(ChangeKind.QUIET, link)
        if timer is Timer.REFUSED:
            return Change(ChangeKind.REFUSED, link, link.told)
        if timer is Timer.PING:
            self._output.append(SendPing(link=link.number))
            link.timers[Timer.PONG] = now + self._timeouts.pong
            return None
        if timer is Timer.KEEPALIVE:
            self._output.append(SendText(link=link.number, text=KEEPALIVE))
            self.sent(link, now)
            return None
        failure = Failure(kind=FailureKind.DEADLINE, reason=_OVERDUE[timer]) if link.told is None else link.told
        return self.abandon(link, failure, now)

    def _open(self, now: float) -> Link:
        request = self._request if self._trial is None else self._trial
        link = Link(len(self.records) + 1, now, trial=request is self._trial)
        self.records.append(LinkRecord(link=link.number))
        self._links[link.number] = link
        link.timers[Timer.OPENING] = now + self._timeouts.opening
        self._output.append(OpenLink(link=link.number, request=request))
        return link

    def _say_goodbye(self, link: Link, now: float) -> None:
        if link.take(LinkInput.CLOSE) is LinkAction.ABORT:  # it was not open yet
            self._output.append(AbortLink(link=link.number))
            self._forget(link, None)
            return
        self._forgive_if_healthy(link, now)
        link.timers.clear()
        link.timers[Timer.CLOSING] = now + self._timeouts.closing
        self._output.append(CloseLink(link=link.number, code=NORMAL_CLOSURE))

    def _forgive_if_healthy(self, link: Link, now: float) -> None:
        if link.alive and link.opened_at is not None and now - link.opened_at >= self._retry.healthy_after:
            self._failures = 0

    def _drop_candidate(self) -> None:
        if (link := self._candidate) is not None:
            self._candidate = None
            self._abort(link, None)

    def _abort(self, link: Link, failure: Failure | None) -> None:
        link.take(LinkInput.ABORT)
        self._output.append(AbortLink(link=link.number))
        self._forget(link, failure)

    def _forget(self, link: Link, failure: Failure | None) -> None:
        del self._links[link.number]
        opened = link.opened_at is not None
        self.records[link.number - 1] = LinkRecord(link=link.number, opened=opened, ended=True, failure=failure)

    def _ended(
        self, number: int, what: LinkInput, failure: Failure, now: float, *, goodbye: bool = False
    ) -> Change | None:
        if (link := self._links.get(number)) is None:
            return None
        closing = link.state is LinkState.CLOSING
        if (told := link.told) is not None:
            reason = f"{told.reason}, and {failure.reason}"
            failure = msgspec.structs.replace(told, code=failure.code, reason=reason)
        link.take(what)
        self._forget(link, None if closing else failure)
        return self._gone(link, failure, now, goodbye=goodbye)

    def _gone(self, link: Link, failure: Failure, now: float, *, goodbye: bool = False) -> Change | None:
        """``link`` is no more: what follows from it."""
        if link is self._candidate:
            self._candidate = self._trial = None
            return Change(ChangeKind.REJECTED, link, failure)
        if link is not self.serving:
            return Change(ChangeKind.CLOSED, link)
        self.serving = None
        self._forgive_if_healthy(link, now)
        if link.opened_at is not None and (goodbye or not self._needed()):
            return Change(ChangeKind.LAPSED, link, failure)
        if link.rested:
            self._output.append(LinkLost(link=link.number, failure=failure, retry_in=0.0))
            self.open(now)
            return Change(ChangeKind.LOST, link, failure)
        self._failures += 1
        if self._candidate is not None:  # it takes over when it opens
            self.serving, self._candidate = self._candidate, None
            self._output.append(LinkLost(link=link.number, failure=failure, retry_in=0.0))
            return Change(ChangeKind.LOST, link, failure)
        hopeless = classify(failure) is Verdict.FINAL or self._failures > self._retry.max_retries
        if hopeless and link.trial:  # the old options were good once
            self._trial, self._failures = None, 0
            self.open(now)
            return Change(ChangeKind.REJECTED, link, failure)
        if hopeless:
            return Change(ChangeKind.GIVEN_UP, link, failure)
        wait = delay(failure, self._failures, self._retry, self._jitter)
        self._timers[Timer.RETRY] = now + wait
        self._output.append(LinkLost(link=link.number, failure=failure, retry_in=wait))
        return Change(ChangeKind.LOST, link, failure)


CLOSE_FOLLOWS = 0.5  # seconds after an error message

_OVERDUE = {
    Timer.OPENING: "the connection did not open in time: check base_url and the network",
    Timer.CLOSING: "the connection did not close in time",
    Timer.PONG: "the service did not answer a ping in time: the connection is dead",
    Timer.WRITE: "what was sent did not leave in time: the connection is stuck",
}
