"""Links under whatever owner, transport and time can do to them."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smallest_proto.commands import AbortLink, CloseLink, OpenLink, SendPing, SendText
from smallest_proto.errors import Failure
from smallest_proto.links import Change, ChangeKind
from smallest_proto.requests import Request
from smallest_proto.timers import Timer

from .line import BUSY, LOST, MUTE, NEW, NEWER, REFUSED, TIMEOUTS, Line

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
        self.line.serving.sent(self.now)

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
