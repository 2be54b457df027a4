"""The links of one session, one after the other: opened, watched, replaced, and given up when there is no hope.

Whether a link lives is watched in ``watching.py``; what its messages say is not known here.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from .commands import AbortLink, CloseLink, Command, OpenLink
from .config import RetryPolicy, Timeouts
from .errors import Failure
from .events import LinkLost, LinkOpened
from .link import SERVES, Link, LinkAction, LinkInput, LinkState
from .refusals import silent_close
from .requests import Request
from .retry import classify, delay
from .stats import LinkRecord
from .statuses import Verdict
from .timers import Alarm, Timer, Timers
from .values import Name, Sink, Value
from .watching import Watch

NORMAL_CLOSURE = 1000  # WebSocket close code
CLOSE_FOLLOWS = 0.5  # seconds after an error message: the service closes with the code that says what kind it is

_AT_ONCE = 2.0  # seconds from opening to a close: far less than the minute that the service waits for a silent client

# Options that change again and again are one change: each link is a session that counts on the service's side.
_UPDATE_APART = 1.0  # seconds from a change to the next one that is no part of it
_UPDATE_LATEST = 5.0  # seconds that the first change waits at most


class ChangeKind(Name):
    """What happened to the links."""

    SERVING = "serving"  # a link is open and takes over
    ACCEPTED = "accepted"  # the same, and it was opened with the new options
    BESIDE = "beside"  # a link is open beside the one that serves
    BESIDE_GONE = "beside gone"  # it is gone again, or could not be opened
    LOST = "lost"  # the link that served is gone; another one follows by itself, or serves already
    LAPSED = "lapsed"  # the same, but it was not needed: none follows before ``want``
    REJECTED = "rejected"  # the new options cannot be had; the old ones go on
    QUIET = "quiet"  # an answer is due, and nothing comes back
    REFUSED = "refused"  # the service told of an error a moment ago, and the link lives
    CLOSED = "closed"  # the link that we closed is gone
    GIVEN_UP = "given up"  # no more links follow


class Change(Value, frozen=True):
    """One change of the links, told to the session that owns them."""

    kind: ChangeKind
    link: Link
    failure: Failure | None = None
    before: LinkState | None = None  # where the link was in its life when it ended

    @property
    def unfinished(self) -> bool:
        """Whether the service closed the link with 1000 before it sent the last final that it was asked for."""
        drained = self.before is LinkState.DRAINING
        return drained and self.failure is not None and self.failure.code == NORMAL_CLOSURE


class Links:
    """The links of one session: one serves, one can be opening to replace it or beside it, some are closing.

    ``quotes``: what the service says as it closes a link on which it said nothing else may be shown: it cannot repeat
    what the user wrote, as that is only heard. ``needed`` tells whether a link that is lost must be followed by another
    one at once.
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
        quotes: bool = False,
        alarm: Alarm | None = None,
    ) -> None:
        self._request = request
        self._trial: Request | None = None  # options that the service has not accepted yet
        self._changed_at = -1e9  # when other options were last wanted
        self._trial_since: float | None = None  # since when some wait for others to follow
        self._watch = Watch(timeouts, keepalive=keepalive, output=output)
        self._retry = retry
        self._jitter = jitter
        self._output = output
        self._needed = needed
        self._quotes = quotes
        self._links: dict[int, Link] = {}
        self._candidate: Link | None = None  # a link that is opened to replace the one that serves
        self._failures = 0  # in a row
        self._silent = 0  # links in a row that the service closed at once, without a message
        self._alarm = Alarm() if alarm is None else alarm
        self._timers = Timers(self._alarm)
        self.serving: Link | None = None
        self.beside: Link | None = None
        self.records: list[LinkRecord] = []

    # What the session tells.

    def open(self, now: float) -> None:
        """Open the link that will serve."""
        self.serving = self._open(now)

    def want(self, now: float) -> None:
        """Make sure that a link serves, or will."""
        if self.serving is None and Timer.RETRY not in self._timers:
            self.open(now)

    def renew(self, now: float) -> None:
        """Close the link that serves, and open a new one in its place."""
        self.close(now)
        self.open(now)

    def replace(self, request: Request | None, now: float) -> None:
        """Change to ``request``; ``None`` cancels the last change. Of several in a row only the last one counts."""
        changed_at, self._changed_at, self._trial = self._changed_at, now, request
        self._drop_candidate()
        self._timers.stop(Timer.UPDATE)
        if request is None or self.serving is None:
            self._trial_since = None
            return  # nothing is wanted, or the next link is opened with it
        if now - changed_at >= _UPDATE_APART:
            self._try(now)
            return
        self._trial_since = now if self._trial_since is None else self._trial_since
        self._timers[Timer.UPDATE] = min(now + _UPDATE_APART, self._trial_since + _UPDATE_LATEST)

    def open_beside(self, now: float) -> bool:
        """Open a link beside the one that serves, with the same options; whether it is opened."""
        if self.beside is not None or self._candidate is not None:
            return False
        self.beside = self._open(now, self._request)
        return True

    def close_beside(self, now: float) -> None:
        """Close the link beside."""
        if (link := self.beside) is not None:
            self.beside = None
            self._say_goodbye(link, now)

    def switch(self, failure: Failure) -> None:
        """The link beside serves now; the one that served is given up with ``failure``."""
        lost, self.serving, self.beside = self.serving, self.beside, None
        if lost is not None:
            self._abort(lost, failure)
            self._output.append(LinkLost(link=lost.number, failure=failure, retry_in=0.0))

    def close(self, now: float, next_request: Request | None = None) -> None:
        """Close the links that are open; ``next_request`` opens another one."""
        self._drop_candidate()
        self.close_beside(now)
        self._timers.clear()
        if (link := self.serving) is not None:
            self.serving = None
            self._say_goodbye(link, now)
        if next_request is not None:
            self._trial = next_request
            self.open(now)

    def doubt(self, link: Link, failure: Failure, now: float, timer: Timer = Timer.CLOSING) -> None:
        """The service reported an error on ``link``. A close usually follows, and says what kind of error it is.

        If none follows the link is given up; with ``Timer.REFUSED`` the session says what becomes of it.
        """
        if link.error is None:
            link.error = failure
            link.timers[timer] = now + CLOSE_FOLLOWS

    def leave(self, link: Link, failure: Failure, times: int, now: float) -> None:
        """Replace ``link`` after a wait: the service refused something on it ``times`` times in a row.

        The link lived, so this does not count as a failed try.
        """
        wait = delay(failure, times, self._retry, self._jitter)
        self._output.append(LinkLost(link=link.number, failure=failure, retry_in=wait))
        self.close(now)
        self._timers[Timer.RETRY] = now + wait

    def abandon(self, link: Link, failure: Failure, now: float) -> Change | None:
        """Give up ``link``: it failed."""
        before = link.state
        self._abort(link, failure)
        return self._gone(link, failure, before, now)

    def abort(self) -> None:
        """Drop every link at once."""
        self._timers.clear()
        for link in tuple(self._links.values()):
            self._abort(link, None)
        self.serving = self.beside = self._candidate = None

    # What the transport tells. What it tells of a link that is gone is ignored.

    def find(self, number: int) -> Link | None:
        """The link of this number, if it serves or is beside; what any other link hears, these hear again."""
        for link in (self.serving, self.beside):
            if link is not None and link.number == number and link.state in SERVES:
                return link
        return None

    @property
    def idle(self) -> bool:
        """Whether there is no link, not even one that is closing."""
        return not self._links

    def opened(self, number: int, now: float) -> Change | None:
        """The WebSocket is open: the link serves from now on, and the one that it replaces is closed."""
        if (link := self._links.get(number)) is None:
            return None
        link.take(LinkInput.OPENED)
        self._watch.opened(link, now)
        self.records[number - 1] = LinkRecord(link=number, opened=True)
        self._output.append(LinkOpened(link=number, seconds=now - link.requested_at))
        if link is self.beside:
            return Change(ChangeKind.BESIDE, link)
        kind = ChangeKind.SERVING
        if self._trial is not None and link.request is self._trial:
            self._request, self._trial = self._trial, None
            kind = ChangeKind.ACCEPTED
        if link is self._candidate:
            self._candidate = None
            if self.serving is not None:
                self._say_goodbye(self.serving, now)
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
        if (link := self._links.get(number)) is not None:
            self._watch.ponged(link, now)

    def written(self, number: int, now: float) -> None:
        """All that was sent on the link has left."""
        if (link := self._links.get(number)) is not None:
            link.owed_at = None
            if link.pinged_at is not None:
                self._watch.written(link, now)

    def next_timer(self) -> float | None:
        """When to call ``handle_timer``, or ``None``."""
        due = self._timers.due
        for link in self._links.values():
            when = link.timers.due
            if when is not None and (due is None or when < due):
                due = when
        return due

    def handle_timer(self, now: float) -> Change | None:
        """Do what is due; call it again until it returns ``None``."""
        while (due := self._timers.pop_due(now)) is not None:
            if due is Timer.UPDATE:
                self._try(now)
            else:
                self.open(now)
        for link in tuple(self._links.values()):
            while (timer := link.timers.pop_due(now)) is not None:
                if (change := self._due(link, timer, now)) is not None:
                    return change
        return None

    # What follows.

    def _due(self, link: Link, timer: Timer, now: float) -> Change | None:
        if timer is Timer.QUIET:
            return Change(ChangeKind.QUIET, link)
        if timer is Timer.REFUSED:
            return Change(ChangeKind.REFUSED, link, link.error)
        failure = self._watch.due(link, timer, now)
        return None if failure is None else self.abandon(link, failure, now)

    def _try(self, now: float) -> None:
        """Open a link with the new options."""
        self._trial_since = None
        if self._trial is None or self.serving is None:
            return
        self.close_beside(now)
        if self.serving.state is LinkState.OPENING:
            self._abort(self.serving, None)
            self.open(now)
        else:
            self._candidate = self._open(now)

    def _open(self, now: float, request: Request | None = None) -> Link:
        if request is None:
            request = self._request if self._trial is None else self._trial
        link = Link(len(self.records) + 1, request, now, self._alarm)
        self.records.append(LinkRecord(link=link.number))
        self._links[link.number] = link
        self._watch.opening(link, now)
        self._output.append(OpenLink(link=link.number, request=request))
        return link

    def _say_goodbye(self, link: Link, now: float) -> None:
        if link.take(LinkInput.CLOSE) is LinkAction.ABORT:  # it was not open yet
            self._output.append(AbortLink(link=link.number))
            self._forget(link, None)
            return
        self._forgive_if_healthy(link, now)
        self._watch.closing(link, now)
        self._output.append(CloseLink(link=link.number, code=NORMAL_CLOSURE))

    def _forgive_if_healthy(self, link: Link, now: float) -> None:
        opened_at = link.opened_at
        if link.heard_at is not None and opened_at is not None and now - opened_at >= self._retry.healthy_after:
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
        self._alarm.known = False
        opened = link.opened_at is not None
        self.records[link.number - 1] = LinkRecord(link=link.number, opened=opened, ended=True, failure=failure)

    def _ended(
        self, number: int, what: LinkInput, failure: Failure, now: float, *, goodbye: bool = False
    ) -> Change | None:
        if (link := self._links.get(number)) is None:
            return None
        before = link.state
        if (error := link.error) is not None:
            # An error that no retry can help with explains enough; else the close says what kind of error it was.
            reason = error.reason if error.final else f"{error.reason}, and {failure.reason}"
            failure = msgspec.structs.replace(error, code=failure.code, reason=reason)
        elif before is not LinkState.CLOSING:
            failure = self._closed_silently(link, failure, now)
        link.take(what)
        self._forget(link, None if before is LinkState.CLOSING else failure)
        return self._gone(link, failure, before, now, goodbye=goodbye)

    def _closed_silently(self, link: Link, failure: Failure, now: float) -> Failure:
        """``failure``, or more of it where link after link is closed as soon as it is open."""
        unheard = link.opened_at is not None and link.heard_at is None and not link.was_warm
        if not unheard or failure.code is None or now - (link.opened_at or 0.0) > _AT_ONCE:
            self._silent = 0
            return failure
        self._silent += 1
        key = next((value for name, value in self._request.headers if name == "Authorization"), "").rpartition(" ")[2]
        return failure if self._silent == 1 else silent_close(failure, key if self._quotes else None)

    def _gone(
        self, link: Link, failure: Failure, before: LinkState, now: float, *, goodbye: bool = False
    ) -> Change | None:
        """``link`` is gone: do what follows from that."""
        if link is self._candidate:
            self._candidate = self._trial = None
            return Change(ChangeKind.REJECTED, link, failure)
        if link is self.beside:  # this link was only a check: its end is neither a failure nor an event
            self.beside = None
            return Change(ChangeKind.BESIDE_GONE, link, failure)
        if link is not self.serving:
            return Change(ChangeKind.CLOSED, link)
        self.serving = None
        self._forgive_if_healthy(link, now)
        if link.opened_at is not None and (goodbye or not self._needed()):
            return Change(ChangeKind.LAPSED, link, failure)
        successor = self._candidate or self.beside
        if (link.was_warm and not failure.final) or successor is not None:
            self._failures += not link.was_warm
            self._output.append(LinkLost(link=link.number, failure=failure, retry_in=0.0))
            self.serving = successor or self._open(now)  # a link that is opening or open takes over
            self._candidate = self.beside = None
            return Change(ChangeKind.LOST, link, failure, before)
        self._failures += 1
        hopeless = classify(failure) is Verdict.FINAL or self._failures > self._retry.max_retries
        if hopeless and link.request is not self._request:  # the old options worked once, or newer ones wait
            newest, self._failures = link.request is self._trial, 0
            self._trial = None if newest else self._trial
            self.open(now)
            return Change(ChangeKind.REJECTED if newest else ChangeKind.LOST, link, failure, before)
        if hopeless:
            return Change(ChangeKind.GIVEN_UP, link, failure)
        wait = delay(failure, self._failures, self._retry, self._jitter)
        self._timers[Timer.RETRY] = now + wait
        self._output.append(LinkLost(link=link.number, failure=failure, retry_in=wait))
        return Change(ChangeKind.LOST, link, failure, before)
