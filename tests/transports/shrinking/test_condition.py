"""What can be written after --fails, and what is said of what cannot."""

from __future__ import annotations

import re

import pytest

from smallest_proto.commands import OpenLink
from smallest_proto.config import Endpoint, TranscriptionConfig
from smallest_proto.errors import Failure, FailureKind
from smallest_proto.events import EndReason, LinkLost, LinkOpened, SessionEnded
from smallest_proto.requests import Request
from smallest_proto.transcription.events import FinalTranscript
from smallest_proto.transcription.session import TranscriptionSession
from smallest_transports.shrinking import Condition, Outcome

BUSY = Failure(kind=FailureKind.STATUS, reason="busy", status=503)
STATS = TranscriptionSession(TranscriptionConfig(), Endpoint(api_key="k")).stats
OUTCOME = Outcome(
    events=[
        LinkOpened(link=1, seconds=0.1),
        FinalTranscript(text="a", start=0.0, end=1.0),
        FinalTranscript(text="b", start=1.0, end=2.0, latency=3.5),
        LinkLost(link=1, failure=BUSY, retry_in=0.5),
        SessionEnded(reason=EndReason.FAILED, failure=BUSY),
    ],
    times=[0.1, 1.5, 5.5, 6.0, 9.0],
    commands=[OpenLink(link=1, request=Request(method="GET", url="wss://a.b", headers=()))],
    after=[0],
    stats=STATS,
    error=None,
)

HOLD = [
    "LinkLost",
    "OpenLink",
    "SessionEnded.reason == 'failed'",
    "SessionEnded.failure.status == 503 and LinkLost.failure.kind == 'status'",
    "FinalTranscript.latency > 3",
    "LinkLost and not AudioLost",
    "AudioLost or LinkLost",
    "LinkLost.failure == SessionEnded.failure",
    "stats.seconds_given < 1 and LinkOpened",
    "sum(isinstance(e, FinalTranscript) for e in events) == 2",
    "any(e.reason == 'failed' for e in events if isinstance(e, SessionEnded))",
    "times[-1] > 8",
    "len(commands) == 1",
    "not error",
    "(lambda e: e.link == 1)(events[0])",
    "LinkOpened in map(type, events) or LinkOpened",
]
NOT = ["AudioLost", "SessionEnded.reason == 'completed'", "FinalTranscript.latency > 4", "error", "not LinkLost"]


@pytest.mark.parametrize("text", HOLD)
def test_it_holds(text: str) -> None:
    assert Condition(text)(OUTCOME)


@pytest.mark.parametrize("text", NOT)
def test_it_does_not_hold(text: str) -> None:
    assert not Condition(text)(OUTCOME)


WRONG = [
    ("AudioLost and", r"no expression of Python \("),
    ("", "no expression"),
    ("LinkLost\0", "no expression"),
    ("AudoLost", r"there is no 'AudoLost': use the name of an event \(.*AudioLost.*events, times"),
    ("SessionEnded.raeson == 'failed'", r"SessionEnded has no 'raeson': it has reason, failure"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Condition(text)


def test_what_cannot_be_worked_out_does_not_hold_and_is_known() -> None:
    condition = Condition("SessionEnded.failure.status.bits > 1")
    assert not condition(OUTCOME)
    assert re.search("bits", str(condition.problem))
    assert condition(OUTCOME._replace(events=[])) is False
    assert condition.problem is None
