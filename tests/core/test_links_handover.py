"""From one link to the next: other options."""

from __future__ import annotations

import pytest

from smallest_proto.commands import AbortLink, CloseLink, OpenLink
from smallest_proto.errors import Failure
from smallest_proto.events import LinkLost, LinkOpened
from smallest_proto.link import LinkState
from smallest_proto.links import ChangeKind
from smallest_proto.requests import Request

from .line import BUSY, LOST, NEW, NEWER, OLD, REFUSED, Line, wake

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
