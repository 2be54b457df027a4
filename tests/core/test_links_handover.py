"""From one link to the next: other options, and whatever owner, transport and time can do to it."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smallest_proto.commands import AbortLink, CloseLink, OpenLink, SendPing, SendText
from smallest_proto.config import RetryPolicy, Timeouts
from smallest_proto.errors import Failure, FailureKind
from smallest_proto.events import LinkLost, LinkOpened
from smallest_proto.link import Link, LinkState
from smallest_proto.links import Change, ChangeKind, Links
from smallest_proto.requests import Request
from smallest_proto.timers import Timer

OLD, NEW, NEWER = (Request(method="GET", url=f"wss://{name}") for name in ("old", "new", "newer"))
LOST = Failure(kind=FailureKind.DISCONNECTED, reason="lost", code=1006)
MUTE = Failure(kind=FailureKind.DEADLINE, reason="mute")
REFUSED = Failure(kind=FailureKind.STATUS, reason="no", status=400)
BUSY = Failure(kind=FailureKind.STATUS, reason="busy", status=429, retry_after=7.0)

TIMEOUTS = Timeouts(opening=10.0, closing=2.0, ping=5.0, pong=4.0, write=3.0, keepalive=6.0)
QUIET = Timeouts(opening=10.0, ping=1e6, keepalive=1e6)  # nothing happens by itself on an open link


class Line(Links):
    """Links whose output is read by ``said``."""

    def __init__(self, timeouts: Timeouts = QUIET, keepalive: bool = True, jitter: float = 1.0, **retry: Any) -> None:
        self.output: deque[Any] = deque()
        super().__init__(
            OLD,
            keepalive=keepalive,
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
    """Wake ``line`` a moment before ``at``, when nothing may happen, and at it."""
    assert line.next_timer() == at
    assert line.handle_timer(at - 0.001) is None
    assert line.said() == []
    return line.handle_timer(at)


# --- handover ---


def test_the_new_link_opens_while_the_old_one_serves() -> None:
    line = Line()
    old = line.serve(0.0)
    line.replace(NEW, 1.0)
    assert line.said() == [OpenLink(link=2, request=NEW)]
    assert line.serving is old
    assert line.find(2) is None
    change = line.opened(2, 1.5)
    assert change is not None
    assert (change.kind, change.link, change.link.number) == (ChangeKind.ACCEPTED, line.serving, 2)
    assert line.said() == [LinkOpened(link=2, seconds=0.5), CloseLink(link=1, code=1000)]
    assert line.find(1) is None  # what it still hears is heard again by the new one
    change = line.closed(1, LOST, 1.6)
    assert change is not None
    assert change.kind is ChangeKind.CLOSED
    assert line.find(2) is line.serving
    line.failed(2, LOST, 2.0)
    line.handle_timer(3.0)
    assert line.said()[-1] == OpenLink(link=3, request=NEW)  # the options are accepted: they stay


@pytest.mark.parametrize("failure", [REFUSED, BUSY, LOST])
def test_new_options_that_cannot_be_had_leave_the_old_link_serving(failure: Failure) -> None:
    line = Line(max_retries=0)
    old = line.serve(0.0)
    line.replace(NEW, 1.0)
    line.said()
    change = line.failed(2, failure, 2.0)
    assert change is not None
    assert (change.kind, change.failure) == (ChangeKind.REJECTED, failure)
    assert line.said() == []
    assert line.serving is old
    assert old.state is LinkState.OPEN
    assert line.next_timer() == 1e6  # nothing is tried again


def test_new_options_that_do_not_open_in_time_are_rejected() -> None:
    line = Line()
    old = line.serve(0.0)
    line.replace(NEW, 1.0)
    line.said()
    change = wake(line, 11.0)
    assert change is not None
    assert change.kind is ChangeKind.REJECTED
    assert line.said() == [AbortLink(link=2)]
    assert line.serving is old


def test_of_several_the_last_one_counts() -> None:
    line = Line()
    line.serve(0.0)
    line.replace(NEW, 1.0)
    line.replace(NEWER, 1.1)
    assert line.said() == [OpenLink(link=2, request=NEW), AbortLink(link=2)]
    assert line.opened(2, 1.2) is None  # too late
    assert wake(line, 2.1) is None  # none followed for a while
    assert line.said() == [OpenLink(link=3, request=NEWER)]
    line.opened(3, 2.3)
    assert line.serving is not None
    assert line.serving.number == 3


def test_a_storm_of_changes_opens_a_few_links_and_ends_in_the_last() -> None:
    line = Line()
    line.serve(0.0)
    line.said()
    storm = [Request(method="GET", url=f"wss://{number}") for number in range(1000)]
    for number, request in enumerate(storm):  # one each 20 ms, for 20 s
        now = 1.0 + number * 0.02
        while (due := line.next_timer()) is not None and due <= now:
            assert line.handle_timer(due) is None
        line.replace(request, now)
    due = line.next_timer()
    assert due is not None
    assert due <= 1.0 + 999 * 0.02 + 1.0
    assert line.handle_timer(due) is None
    opened = [output for output in line.said() if isinstance(output, OpenLink)]
    assert len(opened) <= 6
    assert opened[-1].request == storm[-1]
    assert line.opened(opened[-1].link, 25.0) is not None
    assert line.serving is not None
    assert line.serving.number == opened[-1].link


def test_a_change_a_second_is_tried_at_once() -> None:
    line = Line()
    line.serve(0.0)
    for number, request in enumerate((NEW, NEWER, NEW)):
        line.replace(request, 1.0 + number)
        assert line.said()[-1] == OpenLink(link=number + 2, request=request)


def test_what_was_wanted_is_taken_back() -> None:
    line = Line()
    old = line.serve(0.0)
    line.replace(NEW, 1.0)
    line.replace(None, 1.1)
    assert line.said() == [OpenLink(link=2, request=NEW), AbortLink(link=2)]
    assert line.serving is old
    line.failed(1, LOST, 2.0)
    line.handle_timer(3.0)
    assert line.said()[-1] == OpenLink(link=3, request=OLD)


def test_other_options_while_the_first_link_opens() -> None:
    line = Line()
    line.open(0.0)
    line.replace(NEW, 0.1)
    assert line.said() == [OpenLink(link=1, request=OLD), AbortLink(link=1), OpenLink(link=2, request=NEW)]
    assert line.opened(1, 0.2) is None
    change = line.failed(2, REFUSED, 0.3)
    assert change is not None
    assert change.kind is ChangeKind.REJECTED
    assert line.said() == [OpenLink(link=3, request=OLD)]  # the old ones were not refused
    change = line.failed(3, REFUSED, 0.4)
    assert change is not None
    assert change.kind is ChangeKind.GIVEN_UP


def test_other_options_while_a_retry_is_awaited() -> None:
    line = Line()
    line.serve(0.0)
    line.failed(1, LOST, 1.0)
    line.replace(NEW, 1.5)
    assert [type(output) for output in line.said()] == [LinkLost]
    assert wake(line, 2.0) is None
    assert line.said() == [OpenLink(link=2, request=NEW)]
    change = line.failed(2, BUSY, 2.5)  # not their fault: they are tried again
    assert change is not None
    assert change.kind is ChangeKind.LOST
    line.handle_timer(9.5)
    assert line.said()[-1] == OpenLink(link=3, request=NEW)
    change = line.failed(3, REFUSED, 9.6)
    assert change is not None
    assert change.kind is ChangeKind.REJECTED
    assert line.said() == [OpenLink(link=4, request=OLD)]


def test_new_options_that_never_open_give_way_to_the_old_ones_when_the_budget_is_spent() -> None:
    line = Line(max_retries=1)
    line.open(0.0)
    line.replace(NEW, 0.0)
    kinds, now = [], 0.0
    for number in (2, 3, 4, 5):
        now += 10.0
        change = line.failed(number, LOST, now)
        assert change is not None
        kinds.append(change.kind)
        line.handle_timer(now + 5.0)
    assert kinds == [ChangeKind.LOST, ChangeKind.REJECTED, ChangeKind.LOST, ChangeKind.GIVEN_UP]
    assert [output.request for output in line.said() if isinstance(output, OpenLink)] == [OLD, NEW, NEW, OLD, OLD]


def test_options_that_were_accepted_once_are_not_taken_back() -> None:
    line = Line(max_retries=1)
    line.serve(0.0)
    line.replace(NEW, 1.0)
    line.opened(2, 1.5)
    line.closed(1, LOST, 1.6)
    change = line.failed(2, REFUSED, 2.0)  # an error message that says so, say
    assert change is not None
    assert change.kind is ChangeKind.GIVEN_UP


def test_the_candidate_takes_over_when_the_old_link_dies() -> None:
    line = Line(max_retries=0)
    line.serve(0.0)
    line.replace(NEW, 1.0)
    line.said()
    change = line.failed(1, LOST, 1.5)
    assert change is not None
    assert change.kind is ChangeKind.LOST
    assert line.said() == [LinkLost(link=1, failure=LOST, retry_in=0.0)]
    change = line.opened(2, 2.0)
    assert change is not None
    assert change.kind is ChangeKind.ACCEPTED
    assert line.said() == [LinkOpened(link=2, seconds=1.0)]


def test_a_candidate_that_took_over_and_is_refused_gives_way_to_the_old_options() -> None:
    line = Line()
    line.serve(0.0)
    line.replace(NEW, 1.0)
    line.failed(1, LOST, 1.5)
    line.said()
    change = line.failed(2, REFUSED, 2.0)
    assert change is not None
    assert change.kind is ChangeKind.REJECTED
    assert line.said() == [OpenLink(link=3, request=OLD)]


def test_a_candidate_goes_when_all_is_over() -> None:
    line = Line()
    line.serve(0.0)
    line.replace(NEW, 1.0)
    line.said()
    line.close(1.5)
    assert line.said() == [AbortLink(link=2), CloseLink(link=1, code=1000)]
    line.abort()
    assert line.said() == [AbortLink(link=1)]
    assert (line.idle, line.next_timer()) == (True, None)


def test_closing_with_something_to_follow() -> None:
    line = Line()
    line.serve(0.0)
    line.close(1.0, NEW)
    assert line.said() == [CloseLink(link=1, code=1000), OpenLink(link=2, request=NEW)]
    line.closed(1, LOST, 1.1)
    change = line.failed(2, REFUSED, 1.2)
    assert change is not None
    assert change.kind is ChangeKind.REJECTED
    assert line.said() == [OpenLink(link=3, request=OLD)]


def test_closing_stops_a_retry_and_drops_a_link_that_is_not_open() -> None:
    line = Line()
    line.open(0.0)
    line.said()
    line.close(0.5)
    assert line.said() == [AbortLink(link=1)]
    assert (line.idle, line.next_timer()) == (True, None)
    line = Line()
    line.serve(0.0)
    line.failed(1, LOST, 1.0)
    line.close(1.1)
    assert line.next_timer() is None


# --- a link beside ---


def test_a_link_beside_is_opened_with_the_same_options_and_hears_as_well() -> None:
    line = Line()
    first = line.serve(0.0)
    assert line.open_beside(1.0)
    assert line.said() == [OpenLink(link=2, request=OLD)]
    assert line.find(2) is None
    assert not line.open_beside(1.1)  # one is enough
    change = line.opened(2, 1.5)
    assert change is not None
    assert (change.kind, change.link) == (ChangeKind.BESIDE, line.beside)
    assert line.said() == [LinkOpened(link=2, seconds=0.5)]
    assert (line.find(1), line.find(2)) == (first, line.beside)


def test_the_link_beside_takes_the_place_of_the_first() -> None:
    line = Line()
    line.serve(0.0)
    line.open_beside(1.0)
    line.opened(2, 1.5)
    second = line.beside
    line.said()
    line.switch(MUTE)
    assert line.said() == [AbortLink(link=1), LinkLost(link=1, failure=MUTE, retry_in=0.0)]
    assert (line.serving, line.beside, line.find(1)) == (second, None, None)
    assert [record.failure for record in line.records] == [MUTE, None]
    assert line.open_beside(9.0)


def test_the_link_beside_is_closed_when_it_was_opened_in_vain() -> None:
    line = Line()
    first = line.serve(0.0)
    line.open_beside(1.0)
    line.opened(2, 1.5)
    line.said()
    line.close_beside(2.0)
    assert line.said() == [CloseLink(link=2, code=1000)]
    assert (line.serving, line.beside, line.find(2)) == (first, None, None)
    change = line.closed(2, LOST, 2.1)
    assert change is not None
    assert change.kind is ChangeKind.CLOSED
    line.close_beside(2.2)
    line.open_beside(3.0)
    line.close_beside(3.1)  # before it was open
    assert line.said() == [OpenLink(link=3, request=OLD), AbortLink(link=3)]


@pytest.mark.parametrize("failure", [LOST, REFUSED, BUSY])
@pytest.mark.parametrize("opens", [False, True])
def test_a_link_beside_that_cannot_be_had_costs_nothing(failure: Failure, opens: bool) -> None:
    line = Line(max_retries=0)
    first = line.serve(0.0)
    line.open_beside(1.0)
    if opens:
        line.opened(2, 1.5)
    line.said()
    change = line.failed(2, failure, 2.0)
    assert change is not None
    assert (change.kind, change.failure) == (ChangeKind.BESIDE_GONE, failure)
    assert (line.said(), line.serving, line.beside, line.next_timer()) == ([], first, None, 1e6)


@pytest.mark.parametrize("opens", [False, True])
def test_the_link_beside_takes_over_when_the_first_dies(opens: bool) -> None:
    line = Line(max_retries=0)
    line.serve(0.0)
    line.open_beside(1.0)
    if opens:
        line.opened(2, 1.5)
    second = line.beside
    line.said()
    change = line.failed(1, LOST, 2.0)
    assert change is not None
    assert change.kind is ChangeKind.LOST
    assert line.said() == [LinkLost(link=1, failure=LOST, retry_in=0.0)]
    assert (line.serving, line.beside) == (second, None)
    if not opens:
        change = line.opened(2, 2.5)
        assert change is not None
        assert change.kind is ChangeKind.SERVING


def test_other_options_take_the_place_of_a_link_beside() -> None:
    line = Line()
    line.serve(0.0)
    line.open_beside(1.0)
    line.opened(2, 1.5)
    line.said()
    line.replace(NEW, 2.0)
    assert line.said() == [CloseLink(link=2, code=1000), OpenLink(link=3, request=NEW)]
    assert not line.open_beside(2.1)  # one is being opened anyway
    line.opened(3, 2.5)
    assert line.open_beside(3.0)
    assert line.said()[-1] == OpenLink(link=4, request=NEW)


def test_a_link_beside_goes_when_all_is_over() -> None:
    line = Line()
    line.serve(0.0)
    line.open_beside(1.0)
    line.opened(2, 1.5)
    line.said()
    line.close(2.0)
    assert line.said() == [CloseLink(link=2, code=1000), CloseLink(link=1, code=1000)]
    assert (line.serving, line.beside) == (None, None)


# --- anything, in any order ---


def report_late(line: Line, number: int, now: float) -> None:
    assert line.find(number) is None
    assert line.opened(number, now) is None
    assert line.failed(number, LOST, now) is None
    assert line.closed(number, LOST, now) is None
    line.ponged(number, now)
    line.written(number, now)


class AnyStory(RuleBasedStateMachine):
    """The owner, the transport and time do whatever they may; the transport's own view is kept beside it."""

    @initialize(max_retries=st.integers(0, 4), keepalive=st.booleans(), jitter=st.sampled_from([0.0, 0.5, 1.0]))
    def begin(self, max_retries: int, keepalive: bool, jitter: float) -> None:
        self.line = Line(TIMEOUTS, keepalive, jitter, max_retries=max_retries)
        self.now = 0.0
        self.opening: set[int] = set()
        self.open: set[int] = set()
        self.closing: set[int] = set()
        self.last = 0
        self.over = False
        self.line.open(self.now)
        self.read()

    def read(self, change: Change | None = None) -> None:
        """Carry out the commands; each must be for a link that is in the right state."""
        for output in self.line.said():
            if isinstance(output, OpenLink):
                assert output.link == self.last + 1  # numbers never return
                self.last = output.link
                self.opening.add(output.link)
            elif isinstance(output, AbortLink):
                assert output.link in self.opening | self.open | self.closing
                for links in (self.opening, self.open, self.closing):
                    links.discard(output.link)
            elif isinstance(output, CloseLink):
                self.open.remove(output.link)
                self.closing.add(output.link)
            elif isinstance(output, (SendPing, SendText)):
                assert output.link in self.open
        if change is not None and change.kind is ChangeKind.GIVEN_UP:
            self.over = True
            assert self.line.serving is None

    def link(self, data: st.DataObject, links: set[int]) -> int:
        return data.draw(st.sampled_from(sorted(links)))

    @rule(seconds=st.sampled_from([0.0, 0.1, 2.5, 20.0]))
    def time_passes(self, seconds: float) -> None:
        end = self.now + seconds
        for _ in range(1000):
            due = self.line.next_timer()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            while (change := self.line.handle_timer(self.now)) is not None:
                self.read(change)
            self.read()
        else:
            raise AssertionError("it wants to be woken for ever")
        self.now = end

    @precondition(lambda self: self.opening)
    @rule(data=st.data())
    def opened(self, data: st.DataObject) -> None:
        number = self.link(data, self.opening)
        self.opening.remove(number)
        self.open.add(number)
        change = self.line.opened(number, self.now)
        assert change is not None
        assert change.kind in (ChangeKind.SERVING, ChangeKind.ACCEPTED, ChangeKind.BESIDE)
        heard = self.line.beside if change.kind is ChangeKind.BESIDE else self.line.serving
        assert heard is self.line.find(number) is change.link
        self.read(change)

    @precondition(lambda self: self.opening | self.open | self.closing)
    @rule(data=st.data(), failure=st.sampled_from([LOST, REFUSED, BUSY]), closed=st.booleans())
    def ended(self, data: st.DataObject, failure: Failure, closed: bool) -> None:
        number = self.link(data, self.opening | self.open | self.closing)
        for links in (self.opening, self.open, self.closing):
            links.discard(number)
        change = (self.line.closed if closed else self.line.failed)(number, failure, self.now)
        assert change is not None
        self.read(change)
        report_late(self.line, number, self.now)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def ponged_and_written(self, data: st.DataObject) -> None:
        number = self.link(data, self.open)
        self.line.ponged(number, self.now)
        self.line.written(number, self.now)

    @precondition(lambda self: self.line.serving is not None and self.line.serving.open)
    @rule()
    def sent(self) -> None:
        assert self.line.serving is not None
        self.line.sent(self.line.serving, self.now)

    @precondition(lambda self: self.line.serving is not None)
    @rule(failure=st.sampled_from([LOST, REFUSED]))
    def abandon(self, failure: Failure) -> None:
        assert self.line.serving is not None
        self.read(self.line.abandon(self.line.serving, failure, self.now))

    @precondition(lambda self: not self.over)
    @rule(request=st.sampled_from([None, NEW, NEWER]))
    def replace(self, request: Request | None) -> None:
        self.line.replace(request, self.now)
        self.read()

    @precondition(lambda self: self.line.serving is not None and self.line.serving.open)
    @rule()
    def open_beside(self) -> None:
        self.line.open_beside(self.now)
        self.read()

    @rule()
    def close_beside(self) -> None:
        self.line.close_beside(self.now)
        self.read()
        assert self.line.beside is None

    @precondition(lambda self: self.line.beside is not None and self.line.beside.open)
    @rule()
    def switch(self) -> None:
        beside = self.line.beside
        self.line.switch(MUTE)
        self.read()
        assert self.line.serving is beside

    @rule(request=st.none() | st.just(NEW))
    def close(self, request: Request | None) -> None:
        self.line.close(self.now, request)
        self.over = request is None
        self.read()

    @rule()
    def abort(self) -> None:
        self.line.abort()
        self.read()
        assert self.line.idle
        assert self.line.next_timer() is None
        self.over = True

    @invariant()
    def both_ends_know_the_same_links(self) -> None:
        alive = self.opening | self.open | self.closing
        assert self.line.idle is (not alive)
        assert [record.link for record in self.line.records] == list(range(1, self.last + 1))
        assert {record.link for record in self.line.records if not record.ended} == alive
        assert len(self.open) <= 2
        assert len(self.open) + len(self.opening) <= 2
        serving = self.line.serving
        assert serving is None or serving.number in self.open | self.opening
        for number in self.closing:
            assert self.line.find(number) is None

    @invariant()
    def it_goes_on_until_it_is_over(self) -> None:
        if not self.over:
            assert self.line.serving is not None or Timer.RETRY in self.line._timers
        due = self.line.next_timer()
        assert due is None or due >= self.now


AnyStory.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestAnyStory = AnyStory.TestCase
