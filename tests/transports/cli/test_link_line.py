"""How the links are, in a few words, while a call is under way."""

from __future__ import annotations

import io

import msgspec
from rich.console import Console

from smallest_proto.errors import Failure, FailureKind
from smallest_proto.events import LinkLost, LinkOpened
from smallest_proto.stats import SessionStats
from smallest_transports.cli.course import Course
from smallest_transports.cli.link_line import LinkLine
from smallest_transports.cli.views import Screen

RESET = Failure(kind=FailureKind.DISCONNECTED, reason="the connection was lost", code=1006)
STATS = SessionStats(
    seconds_given=0.0,
    seconds_sent=0.0,
    seconds_replayed=0.0,
    seconds_lost=0.0,
    seconds_finalised=0.0,
    links=(),
    finals=0,
    final_latency_mean=None,
    final_latency_max=None,
    messages_received=0,
    messages_repaired=0,
    messages_ignored=0,
)


def lost(link: int) -> LinkLost:
    return LinkLost(link=link, failure=RESET, retry_in=0.1)


def opened(link: int) -> LinkOpened:
    return LinkOpened(link=link, seconds=0.1)


def test_a_link_that_is_lost_and_what_the_next_is_sent_again() -> None:
    now, stats = 10.0, STATS
    line = LinkLine(clock=lambda: now)
    assert (line.words(), line.open) == ("", False)
    line.begin(lambda: stats)
    assert line.words() == "connecting"
    line.heard(opened(1))
    assert (line.words(), line.open) == ("link 1", True)
    line.heard(lost(1))
    now, stats = 11.5, msgspec.structs.replace(STATS, seconds_given=9.5, seconds_sent=8.0)
    assert (line.words(), line.open) == ("no link for 1.5 s, 1.5 s of audio wait", False)
    line.heard(lost(2))  # the next one does not open either: it goes on
    now = 12.0
    assert line.words().startswith("no link for 2.0 s")
    line.heard(opened(3))
    assert line.words() == "link 3"
    for again in (0.6, 2.8):
        stats = msgspec.structs.replace(STATS, seconds_replayed=again)
        assert line.words() == f"link 3, {again} s sent again"
    line.heard(lost(3))
    line.heard(opened(4))
    assert line.words() == "link 4", "what link 3 was sent again is over"


def test_a_link_beside_that_does_not_open_is_not_the_one_that_serves() -> None:
    line = LinkLine()
    line.begin(lambda: STATS)
    line.heard(opened(1))
    line.heard(lost(2))
    assert line.words() == "link 1"


def test_two_lines_move_however_long_the_interim_is() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=60, height=20)
    screen = Screen(console, Course(paced=True), 44.4)
    screen.links.begin(lambda: STATS)
    screen.interim("it was the worst of times " * 20 + "and the best")
    interim, status = (line.plain for line in screen._lines(59, 20))
    assert interim.startswith("…")
    assert interim.endswith("and the best")
    assert len(interim) <= 59
    assert status == "00:00.0 of 00:44.4  connecting"
