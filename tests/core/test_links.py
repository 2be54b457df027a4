"""Links, one after the other: deadlines to the moment, retries within the budget, handovers, late reports."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smallest_proto.commands import KEEPALIVE, AbortLink, CloseLink, OpenLink, SendPing, SendText
from smallest_proto.config import Timeouts
from smallest_proto.errors import Failure, FailureKind, LocalProtocolError
from smallest_proto.events import LinkLost, LinkOpened
from smallest_proto.links import Change, ChangeKind
from smallest_proto.reading import ErrorMessage
from smallest_proto.refusals import closed_failure, message_failure
from smallest_proto.requests import Request
from smallest_proto.stats import LinkRecord
from smallest_proto.timers import Timer

from .line import BUSY, LOST, NEW, OLD, REFUSED_LATER, TIMEOUTS, Line, wake

# --- one link ---


def test_a_link_is_opened_and_serves() -> None:
    line = Line()
    line.open(1.0)
    assert line.said() == [OpenLink(link=1, request=OLD)]
    assert line.find(1) is None  # it cannot have said anything yet
    change = line.opened(1, 1.5)
    assert change is not None
    assert (change.kind, change.link) == (ChangeKind.SERVING, line.serving)
    assert line.said() == [LinkOpened(link=1, seconds=0.5)]
    assert line.find(1) is line.serving
    assert line.records == [LinkRecord(link=1, opened=True)]


def test_the_deadline_of_opening() -> None:
    line = Line()
    line.open(1.0)
    line.said()
    change = wake(line, 11.0)
    assert change is not None
    assert change.kind is ChangeKind.LOST
    assert change.failure is not None
    assert change.failure.kind is FailureKind.DEADLINE
    assert line.said() == [AbortLink(link=1), LinkLost(link=1, failure=change.failure, retry_in=1.0)]
    assert line.records == [LinkRecord(link=1, ended=True, failure=change.failure)]
    assert wake(line, 12.0) is None
    assert line.said() == [OpenLink(link=2, request=OLD)]


def test_a_ping_and_its_pong() -> None:
    line = Line(TIMEOUTS, keepalive=False)
    line.serve(1.0)
    assert wake(line, 6.0) is None
    assert line.said() == [SendPing(link=1)]
    line.ponged(1, 7.0)
    assert wake(line, 12.0) is None
    assert line.said() == [SendPing(link=1)]
    change = wake(line, 17.0)  # half open: no pong in the time that is allowed, and as long as the last one took
    assert change is not None
    assert change.kind is ChangeKind.LOST
    assert line.said()[0] == AbortLink(link=1)


def test_a_pong_that_nobody_asked_for_changes_nothing() -> None:
    line = Line(TIMEOUTS, keepalive=False)
    line.serve(1.0)
    line.ponged(1, 5.0)
    assert wake(line, 6.0) is None
    line.said()
    line.ponged(1, 7.0)
    line.ponged(1, 8.0)
    assert wake(line, 12.0) is None
    assert line.said() == [SendPing(link=1)]


def test_a_ping_that_waits_behind_our_own_audio_is_not_overdue_before_it_has_left() -> None:
    line = Line(Timeouts(ping=5.0, pong=4.0, write=30.0), keepalive=False)
    link = line.serve(1.0)
    link.sent(5.9)
    assert wake(line, 6.0) is None
    assert line.said() == [SendPing(link=1)]
    assert line.handle_timer(20.0) is None
    assert line.said() == [], "nobody can answer what has not left"
    line.written(1, 20.0)
    change = wake(line, 24.0)
    assert change is not None
    assert change.failure is not None
    assert "ping" in change.failure.reason


def test_whatever_is_heard_while_a_pong_is_awaited_puts_its_deadline_off() -> None:
    line = Line(TIMEOUTS, keepalive=False)
    link = line.serve(1.0)
    assert wake(line, 6.0) is None
    line.said()
    link.heard_at = 9.5  # a transcript: the service reads what was sent before the ping
    assert wake(line, 10.0) is None
    assert line.said() == []
    link.heard_at = 13.0
    assert wake(line, 13.5) is None
    change = wake(line, 17.0)
    assert change is not None
    assert change.kind is ChangeKind.LOST


def test_a_service_that_reads_late_is_given_as_long_as_it_took_before() -> None:
    line = Line(Timeouts(ping=5.0, pong=4.0), keepalive=False)
    line.serve(0.0)
    for asked, answered in ((5.0, 8.5), (13.5, 20.5), (25.5, 36.0)):  # 3.5 s, 7.0 s, 10.5 s
        assert wake(line, asked) is None
        assert line.handle_timer(answered) is None
        line.ponged(1, answered)
        line.said()
    assert wake(line, 41.0) is None
    line.said()
    change = wake(line, 41.0 + 4.0 + 10.5)
    assert change is not None
    assert change.kind is ChangeKind.LOST


def test_what_was_heard_before_the_ping_does_not_put_the_deadline_off() -> None:
    line = Line(TIMEOUTS, keepalive=False)
    link = line.serve(1.0)
    link.heard_at = 5.9
    assert wake(line, 6.0) is None
    line.said()
    assert wake(line, 10.0) is not None


def test_the_deadline_of_a_write() -> None:
    line = Line(Timeouts(ping=1e6, write=3.0), keepalive=False)
    link = line.serve(0.0)
    link.sent(1.0)
    link.sent(2.0)  # the first one is what is waited for
    assert wake(line, 3.0) is None
    assert line.next_timer() == 4.0
    line.written(1, 3.5)
    link.sent(5.0)
    line.written(1, 6.0)
    link.sent(6.5)
    change = wake(line, 9.5)
    assert change is not None
    assert change.failure is not None
    assert (change.kind, change.failure.kind) == (ChangeKind.LOST, FailureKind.DEADLINE)
    assert line.said()[0] == AbortLink(link=1)


def test_the_deadline_of_closing() -> None:
    line = Line(TIMEOUTS)
    line.serve(0.0)
    line.close(4.0)
    assert line.said() == [CloseLink(link=1, code=1000)]
    assert not line.idle
    change = wake(line, 6.0)
    assert change is not None
    assert change.kind is ChangeKind.CLOSED
    assert line.said() == [AbortLink(link=1)]
    assert (line.idle, line.said()) == (True, [])
    assert line.next_timer() is None


@pytest.mark.parametrize("report", [Line.closed, Line.failed])
def test_a_goodbye_that_is_answered(report: Callable[[Line, int, Failure, float], Change | None]) -> None:
    line = Line(TIMEOUTS)
    line.serve(0.0)
    line.close(4.0)
    line.said()
    change = report(line, 1, LOST, 4.5)
    assert change is not None
    assert change.kind is ChangeKind.CLOSED
    assert (line.said(), line.idle, line.next_timer()) == ([], True, None)
    assert line.records == [LinkRecord(link=1, opened=True, ended=True)]  # it did not fail


def test_quiet_is_told_and_nothing_is_done_about_it_here() -> None:
    line = Line()
    link = line.serve(0.0)
    link.timers[Timer.QUIET] = 3.0
    assert wake(line, 3.0) == Change(ChangeKind.QUIET, link)
    assert (line.said(), line.serving) == ([], link)
    assert line.handle_timer(3.0) is None


# --- keepalive ---


def test_keepalive_when_nothing_else_was_sent() -> None:
    line = Line(Timeouts(ping=1e6, write=1e6, keepalive=6.0))
    link = line.serve(0.0)
    assert wake(line, 6.0) is None
    assert line.said() == [SendText(link=1, text=KEEPALIVE)]
    line.written(1, 6.0)
    link.sent(9.0)
    line.written(1, 9.0)
    assert wake(line, 12.0) is None
    assert line.said() == []
    assert wake(line, 15.0) is None
    assert line.said() == [SendText(link=1, text=KEEPALIVE)]


def test_a_keepalive_that_does_not_leave_is_a_stall() -> None:
    line = Line(Timeouts(ping=1e6, keepalive=6.0, write=3.0))
    line.serve(0.0)
    assert wake(line, 6.0) is None
    line.said()
    change = wake(line, 9.0)
    assert change is not None
    assert change.kind is ChangeKind.LOST


def test_a_server_reached_directly_is_sent_no_keepalive() -> None:
    line = Line(Timeouts(ping=1e6, keepalive=6.0), keepalive=False)
    link = line.serve(0.0)
    link.sent(1.0)
    line.written(1, 1.0)
    assert line.handle_timer(1e6 - 1.0) is None
    assert line.said() == []


# --- the budget ---


def fail(line: Line, now: float, failure: Failure = LOST) -> ChangeKind:
    """Lose the link that serves; open the next one, if there is to be one."""
    assert line.serving is not None
    change = line.failed(line.serving.number, failure, now)
    assert change is not None
    if change.kind is ChangeKind.LOST:
        at = line.next_timer()
        assert at is not None
        assert line.handle_timer(at) is None
        assert line.serving is not None
    return change.kind


def test_no_retries_at_all() -> None:
    line = Line(max_retries=0)
    line.open(0.0)
    assert fail(line, 1.0) is ChangeKind.GIVEN_UP
    assert (line.serving, line.idle, line.next_timer()) == (None, True, None)
    assert line.said() == [OpenLink(link=1, request=OLD)]
    healthy = Line(max_retries=0)
    healthy.serve(0.0)
    assert fail(healthy, 3600.0) is ChangeKind.GIVEN_UP


def test_so_many_failures_in_a_row_are_forgiven() -> None:
    line = Line(max_retries=3)
    line.open(0.0)
    assert [fail(line, now) for now in (0.0, 10.0, 20.0)] == [ChangeKind.LOST] * 3
    assert [output.retry_in for output in line.said() if isinstance(output, LinkLost)] == [1.0, 2.0, 4.0]
    assert fail(line, 30.0) is ChangeKind.GIVEN_UP


def test_a_link_that_opens_and_dies_at_once_does_not_start_the_count_over() -> None:
    line = Line(max_retries=2)
    line.open(0.0)
    kinds = []
    for now in (0.0, 20.0, 40.0):
        assert line.serving is not None
        line.opened(line.serving.number, now)
        kinds.append(fail(line, now + 9.999))
    assert kinds == [ChangeKind.LOST, ChangeKind.LOST, ChangeKind.GIVEN_UP]


def test_a_link_that_was_open_for_a_while_starts_the_count_over() -> None:
    line = Line(max_retries=2)
    line.open(0.0)
    for now in (0.0, 20.0, 40.0, 60.0):
        assert line.serving is not None
        line.opened(line.serving.number, now)
        line.serving.heard_at = 0.0  # a pong came back, or a message
        assert fail(line, now + 10.0) is ChangeKind.LOST
    assert {output.retry_in for output in line.said() if isinstance(output, LinkLost)} == {1.0}


def test_a_link_on_which_nothing_ever_came_back_was_not_healthy() -> None:
    line = Line(max_retries=1)
    line.open(0.0)
    line.opened(1, 0.0)
    assert fail(line, 1000.0) is ChangeKind.LOST
    line.opened(2, 1001.0)
    assert fail(line, 2000.0) is ChangeKind.GIVEN_UP


def test_a_link_that_was_replaced_after_a_while_starts_the_count_over() -> None:
    line = Line(max_retries=1)
    line.open(0.0)
    assert fail(line, 0.0) is ChangeKind.LOST
    line.opened(2, 1.0)
    assert line.serving is not None
    line.serving.heard_at = 0.0
    line.replace(NEW, 3000.0)
    line.opened(3, 3001.0)
    line.closed(2, LOST, 3001.5)
    assert fail(line, 3002.0) is ChangeKind.LOST


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404])
def test_what_no_retry_can_help_ends_it_at_once(status: int) -> None:
    line = Line(max_retries=8)
    line.open(0.0)
    failure = Failure(kind=FailureKind.STATUS, reason="no", status=status)
    assert fail(line, 0.5, failure) is ChangeKind.GIVEN_UP
    assert line.records == [LinkRecord(link=1, ended=True, failure=failure)]


def test_what_the_service_asks_for_is_waited() -> None:
    line = Line(jitter=0.0)
    line.open(0.0)
    change = line.failed(1, BUSY, 0.5)
    assert change is not None
    line.said()
    assert wake(line, 7.5) is None
    assert line.said() == [OpenLink(link=2, request=OLD)]


# --- reports that are late or out of place ---


# --- links that are closed at once ---

KEYED = Request(method="GET", url="wss://keyed", headers=(("Authorization", "Bearer sk-1"),))


def close_at_once(line: Line, now: float, code: int = 1008, said: str = "", after: float = 0.3) -> Failure:
    """Open the next link, which the service closes; the failure that is told of."""
    line.open(now)
    number = len(line.records)
    line.opened(number, now)
    line.said()
    line.closed(number, closed_failure(code, said), now + after)
    lost = [output for output in line.said() if isinstance(output, LinkLost)]
    return lost[0].failure


def test_a_close_at_once_again_and_again_says_what_it_may_be() -> None:
    line = Line()
    line._request = KEYED
    first, second, third = (close_at_once(line, now, said="not for  sk-1\nhere") for now in (0.0, 20.0, 40.0))
    assert "language" not in first.reason
    for failure in (second, third):
        assert "language" in failure.reason
        assert "region" in failure.reason
        assert 'it says "not for *** here"' in failure.reason
        assert "sk-1" not in repr(failure)
        assert (failure.code, failure.final) == (1008, False)


def test_words_that_may_repeat_the_users_are_not_shown() -> None:
    line = Line(quotes=False)
    close_at_once(line, 0.0, said="no voice for Wilhelmina")
    failure = close_at_once(line, 20.0, said="no voice for Wilhelmina")
    assert "language" in failure.reason
    assert "Wilhelmina" not in failure.reason
    assert failure.detail == "no voice for Wilhelmina"


def test_a_close_without_words_has_none_in_the_message() -> None:
    line = Line()
    close_at_once(line, 0.0, 1000)
    assert "it says" not in close_at_once(line, 20.0, 1000).reason
    assert "it says" not in close_at_once(line, 40.0, 1000, said="\x00\u202e").reason


def test_closes_that_do_not_follow_the_opening_say_nothing_of_it() -> None:
    line = Line()
    assert [close_at_once(line, now, after=2.5).reason for now in (0.0, 20.0)] == [closed_failure(1008, "").reason] * 2
    close_at_once(line, 40.0)
    line.open(60.0)
    line.failed(4, REFUSED_LATER, 61.0)  # another thing went wrong between two of them
    line.said()
    assert close_at_once(line, 80.0).reason == closed_failure(1008, "").reason


def test_an_error_that_no_retry_can_mend_ends_it_and_says_why() -> None:
    line = Line()
    link = line.serve(0.0)
    told = message_failure(ErrorMessage(text="no", code="LANGUAGE_NOT_ENABLED_IN_REGION"))
    line.doubt(link, told, 1.0)
    change = line.closed(1, closed_failure(1008, ""), 1.1)
    assert change is not None
    assert change.kind is ChangeKind.GIVEN_UP
    assert change.failure is not None
    assert change.failure.reason == told.reason  # and nothing of too many sessions
    assert change.failure.code == 1008


def test_such_an_error_ends_it_also_where_no_close_follows() -> None:
    line = Line()
    link = line.serve(0.0)
    line.doubt(link, message_failure(ErrorMessage(code="LANGUAGE_NOT_ENABLED_IN_REGION")), 1.0)
    change = wake(line, 1.5)
    assert change is not None
    assert change.kind is ChangeKind.GIVEN_UP


def report_all(line: Line, number: int, now: float) -> None:
    assert line.find(number) is None
    assert line.opened(number, now) is None
    assert line.failed(number, LOST, now) is None
    assert line.closed(number, LOST, now) is None
    line.ponged(number, now)
    line.written(number, now)


def test_late_reports_of_a_link_that_is_gone_find_nobody() -> None:
    line = Line(TIMEOUTS)
    line.serve(0.0)
    assert line.serving is not None
    line.abandon(line.serving, LOST, 1.0)
    line.handle_timer(2.0)
    line.said()
    before = (line.next_timer(), list(line.records), line.serving)
    for number in (-1, 0, 1, 3, 99):
        report_all(line, number, 2.5)
    assert (line.said(), (line.next_timer(), line.records, line.serving)) == ([], before)


def test_a_link_cannot_open_twice() -> None:
    line = Line()
    line.serve(0.0)
    with pytest.raises(LocalProtocolError, match="link 1 is open"):
        line.opened(1, 1.0)
