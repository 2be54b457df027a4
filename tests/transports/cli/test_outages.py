"""What is said of links that were lost, by a clock of the test's own."""

from __future__ import annotations

import pytest

from smallest_proto.errors import ConnectError, Failure, FailureKind
from smallest_proto.events import EndReason, LinkLost, LinkOpened, SessionEnded
from smallest_proto.stats import SessionStats
from smallest_proto.transcription.events import AudioLost, LossReason
from smallest_transports.cli.outages import Outages, missing_by

RESET = Failure(kind=FailureKind.DISCONNECTED, reason="the connection was lost", code=1006, detail="what was said")
NOBODY = Failure(kind=FailureKind.CONNECT, reason="nobody listens there")
FULL = Failure(kind=FailureKind.STATUS, reason="HTTP 503: no worker", status=503)


def stats(*, sent: float = 0.0, finalised: float = 0.0) -> SessionStats:
    return SessionStats(
        seconds_given=sent,
        seconds_sent=sent,
        seconds_replayed=0.0,
        seconds_lost=0.0,
        seconds_finalised=finalised,
        links=(),
        finals=0,
        final_latency_mean=None,
        final_latency_max=None,
        messages_received=0,
        messages_repaired=0,
        messages_ignored=0,
    )


class Story:
    """Events at times, and the lines that came of them."""

    def __init__(self) -> None:
        self.now = 100.0
        self.lines: list[str] = []
        self._outages = Outages(self.lines.append, clock=lambda: self.now)

    def opened(self, link: int, *, after: float) -> None:
        self.now += after
        self._outages.heard(LinkOpened(link=link, seconds=0.1), stats())

    def lost(
        self, link: int, *, after: float, failure: Failure = RESET, retry_in: float = 0.2, sent: float = 0.0
    ) -> None:
        self.now += after
        lost = LinkLost(link=link, failure=failure, retry_in=retry_in)
        self._outages.heard(lost, stats(sent=sent, finalised=max(0.0, sent - 0.7)))

    def ended(self) -> None:
        self._outages.heard(SessionEnded(reason=EndReason.FAILED, failure=RESET), stats())


def test_a_call_without_an_outage_says_nothing() -> None:
    story = Story()
    story.opened(1, after=0.1)
    story.ended()
    assert story.lines == []


def test_one_line_tells_of_the_loss_and_of_what_followed() -> None:
    story = Story()
    story.opened(1, after=0.1)
    story.lost(1, after=5.0, sent=5.0)
    assert story.lines == []
    story.opened(2, after=0.3)
    story.lost(2, after=2.0, sent=8.0)
    story.opened(3, after=0.1)
    assert story.lines == [
        "link 1 lost after 5.0 s: the connection was lost; link 2 open 0.3 s later, 0.7 s of audio sent again",
        "link 2 lost after 2.0 s: the connection was lost; link 3 open 0.1 s later, 0.7 s of audio sent again",
    ]


def test_links_that_did_not_open_stand_in_the_same_line() -> None:
    story = Story()
    story.lost(1, after=0.1, failure=FULL)
    story.opened(2, after=0.5)
    assert story.lines == ["link 1 did not open: HTTP 503: no worker; link 2 open 0.5 s later"]


def test_a_long_wait_is_told_before_it_is_over() -> None:
    story = Story()
    story.opened(1, after=0.1)
    story.lost(1, after=5.0, sent=5.0)
    story.lost(2, after=0.2, failure=FULL, retry_in=7.0)
    before = "link 1 lost after 5.0 s: the connection was lost; link 2 did not open: HTTP 503: no worker"
    assert story.lines == [f"{before}; trying again in 7.0 s"]
    story.opened(3, after=7.0)
    assert story.lines[1:] == ["link 3 open 7.2 s later, 0.7 s of audio sent again"]


def test_what_is_not_mended_is_told_at_the_end() -> None:
    story = Story()
    story.opened(1, after=0.1)
    story.lost(1, after=1.0)
    story.ended()
    assert story.lines == ["link 1 lost after 1.0 s: the connection was lost"]
    assert "what was said" not in story.lines[0]


def test_nobody_there_is_not_waited_for_but_somebody_who_went_away_is() -> None:
    story = Story()
    with pytest.raises(ConnectError):
        story.lost(1, after=0.1, failure=NOBODY)
    story.opened(1, after=0.1)
    story.lost(1, after=1.0)
    story.lost(2, after=0.1, failure=NOBODY)
    story.opened(3, after=0.5)
    (line,) = story.lines
    assert line.endswith("link 2 did not open: nobody listens there; link 3 open 0.6 s later")


def test_speech_has_no_audio_that_is_sent_again() -> None:
    lines: list[str] = []
    outages = Outages(lines.append, clock=lambda: 100.0)
    for event in (
        LinkOpened(link=1, seconds=0.1),
        LinkLost(link=1, failure=RESET, retry_in=0.2),
        LinkOpened(link=2, seconds=0.1),
    ):
        outages.heard(event)
    assert lines == ["link 1 lost after 0.0 s: the connection was lost; link 2 open 0.0 s later"]


def test_what_a_transcript_may_lack() -> None:
    lost = AudioLost(start=1.0, end=2.5, reason=LossReason.BUFFER_FULL)
    assert missing_by(lost) == "what was said from 1.0 s to 2.5 s"
    assert "did not send the last final" in (missing_by(SessionEnded(reason=EndReason.INCOMPLETE)) or "")
    assert missing_by(SessionEnded(reason=EndReason.COMPLETED)) is None
    assert missing_by(LinkOpened(link=1, seconds=0.1)) is None
