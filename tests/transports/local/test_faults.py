"""Faults by name: how they are written, and which link they happen to. On sockets: ``test_server_faults.py``."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.errors import ConfigurationError
from smallest_transports.local.faults import FAULTS, KNOWN, Fault, FaultPlan, LinkFaults, read_fault
from smallest_transports.memory import FAULTS as MEMORY_FAULTS

CLOSE_STREAM = '{"type": "close_stream"}'

VALUES = {
    "stall": st.integers(1, 10_000).map(lambda n: n / 1000) | st.none(),
    "close": st.sampled_from((1000.0, 1001.0, 1011.0, 1013.0, 4999.0)),
    "refuse": st.integers(400, 599).map(float) | st.none(),
}


@st.composite
def faults(draw: st.DrawFn) -> Fault:
    name = draw(st.sampled_from(tuple(FAULTS)))
    at = draw(st.integers(0, 100_000)) / 1000 if FAULTS[name].timed else 0.0
    return Fault(name=name, value=draw(VALUES.get(name, st.none())), at=at, times=draw(st.integers(1, 3)))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("drop@5", Fault(name="drop", at=5.0)),
        ("half-open", Fault(name="half-open")),
        ("stall:2.5@5x3", Fault(name="stall", value=2.5, at=5.0, times=3)),
        ("refuse:503@0", Fault(name="refuse", value=503.0)),
        ("refusex2", Fault(name="refuse", times=2)),
        ("close:1011@8", Fault(name="close", value=1011.0, at=8.0)),
        (" No last ", Fault(name="no-last")),
        ("half_open@.5", Fault(name="half-open", at=0.5)),
    ],
)
def test_how_faults_are_written(written: str, meant: Fault) -> None:
    assert read_fault(written) == meant


@given(faults())
def test_what_is_written_is_read_again(fault: Fault) -> None:
    assert read_fault(str(fault)) == fault


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "'' is no fault: use drop, half-open"),
        ("drip@5", "no fault 'drip': use drop, half-open"),
        ("drop at 5", "is no fault"),
        ("drop@1.2.3", "is no fault"),
        ("drop:3", "drop has no value"),
        ("drop@-1", "is no fault"),
        ("drop@1e9", "is no fault"),
        ("drop@9999999", "after a number of seconds"),
        ("drop@5x0", "at least 1 link"),
        ("close@5", "close needs a close code"),
        ("close:1006", "not 1006; for a connection without a goodbye"),
        ("close:99", "must be a close code"),
        ("close:1000.5", "must be a close code"),
        ("refuse:200", "an HTTP status from 400 to 599, not 200"),
        ("refuse@3", "refuse has its own moment: leave out @3"),
        ("no-last@3", "no-last has its own moment"),
        ("stall:0@3", "seconds until it reads on"),
    ],
)
def test_what_is_no_fault_is_told_with_what_would_be_one(written: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        read_fault(written)


@settings(max_examples=200)
@given(st.text(max_size=30) | st.from_regex(r"[a-z-]{1,9}:[0-9.]{0,5}@[0-9.]{0,5}x[0-9]{0,5}"))
def test_any_text_is_a_fault_or_an_error_in_words(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        assert read_fault(text).name in FAULTS


def test_the_names_are_told_and_those_of_memory_are_kept() -> None:
    assert set(FAULTS) == set(re.findall(r"[a-z-]+", KNOWN)) - {"or"}
    shared = {name.replace(" ", "-") for name in MEMORY_FAULTS} & set(FAULTS)
    assert shared == {"drop", "half-open", "stall", "mute", "error", "no-last"}


class Link:
    """A link that keeps what is done to it."""

    def __init__(self, plan: FaultPlan) -> None:
        self.done: list[str] = []
        self.torn = False
        self.faults = LinkFaults(plan, self)
        self.faults.audio_came(0.0)

    def lose(self) -> None:
        self.done.append("drop")

    def half_open(self) -> None:
        self.done.append("half-open")

    def stall(self, seconds: float | None) -> None:
        self.done.append(f"stall {seconds}")

    def mute(self) -> None:
        self.done.append("mute")

    def say(self, data: str | bytes) -> None:
        self.done.append("error" if '"type":"error"' in str(data) else "say")

    def tear(self) -> None:
        self.torn = True

    def hang_up(self, code: int, reason: str = "") -> None:
        self.done.append(f"close {code}")


def test_each_link_meets_one_fault_when_it_has_heard_enough() -> None:
    plan = FaultPlan(["drop@2x2", "close:1011@0.5", "stall:3@1"])
    links = []
    for _ in range(5):
        links.append(link := Link(plan))
        for _ in range(30):
            link.faults.audio_came(0.1)
    assert [link.done for link in links] == [["drop"], ["drop"], ["close 1011"], ["stall 3.0"], []]
    assert plan.left == ()


def test_it_happens_at_the_second_and_not_before() -> None:
    plan = FaultPlan(["drop@2"])
    link = Link(plan)
    link.faults.audio_came(1.75)
    assert link.done == []
    assert [str(fault) for fault in plan.left] == ["drop@2"]
    link.faults.audio_came(0.25)
    assert link.done == ["drop"]


def test_a_link_that_ended_before_its_fault_leaves_it_to_the_next() -> None:
    plan = FaultPlan(["drop@2"])
    Link(plan).faults.audio_came(1.9)
    link = Link(plan)
    link.faults.audio_came(1.9)
    assert link.done == []
    link.faults.audio_came(0.1)
    assert link.done == ["drop"]


def test_garbage_harms_no_link_which_then_meets_the_next_fault() -> None:
    plan = FaultPlan(["garbage@1x2", "drop@2"])
    first, second = Link(plan), Link(plan)
    first.faults.audio_came(3.0)
    assert set(first.done) == {"say"}  # once, though it is to happen twice
    many = len(first.done)
    assert first.torn
    second.faults.audio_came(1.5)
    assert second.done == ["say"] * many
    second.faults.audio_came(0.5)
    assert second.done[many:] == ["drop"]


def test_no_last_waits_for_the_end_of_the_input() -> None:
    link = Link(FaultPlan(["no-last"]))
    link.faults.audio_came(100.0)
    link.faults.text_came('{"type":"finalize"}')
    link.faults.text_came("close_stream")
    assert link.done == []
    link.faults.text_came(CLOSE_STREAM)
    assert link.done == ["close 1000"]


def test_the_end_of_speech_is_told_never_or_twice_and_the_link_goes_on() -> None:
    plan = FaultPlan(["no-complete", "twice", "no-complete@0x2"])
    first, second = Link(plan), Link(plan)
    first.faults.audio_came(100.0)
    assert [first.faults.complete_due() for _ in range(5)] == [0, 2, 0, 1, 1]  # each happens to a link once
    assert second.faults.complete_due() == 0
    assert first.done == second.done == []
    assert plan.left == ()


def test_faults_of_transcription_and_of_synthesis_wait_for_their_links() -> None:
    plan = FaultPlan(["no-last", "twice"])
    link = Link(plan)
    assert link.faults.complete_due() == 1
    link.faults.text_came(CLOSE_STREAM)
    assert link.done == ["close 1000"]
    link = Link(plan)
    link.faults.text_came(CLOSE_STREAM)
    assert link.done == []
    assert link.faults.complete_due() == 2


def test_an_answer_over_http_is_dropped_and_other_faults_wait_for_links() -> None:
    plan = FaultPlan(["drop@1x2", "mute"])
    assert [plan.drops(seconds) for seconds in (0.5, 1.0, 0.9, 2.0, 2.0)] == [False, True, False, True, False]
    assert [str(fault) for fault in plan.left] == ["mute"]


def test_a_refusal_waits_until_a_link_is_asked_for() -> None:
    plan = FaultPlan(["drop@1", "refuse:429x2", "refuse:400", "refuse"])
    assert plan.refusal("r-1") is None
    link = Link(plan)
    link.faults.audio_came(5.0)
    assert link.done == ["drop"]
    refusals = [refusal for number in range(4) if (refusal := plan.refusal(f"r-{number}"))]
    assert [refusal.status for refusal in refusals] == [429, 429, 400, 503]
    assert [dict(refusal.headers).get("Retry-After") for refusal in refusals] == ["1", "1", None, "1"]
    assert plan.refusal("r-5") is None


@given(st.lists(faults(), max_size=6))
def test_every_fault_happens_as_often_as_it_is_to(planned: list[Fault]) -> None:
    plan = FaultPlan(planned)
    refused = harmed = untold = 0
    for _ in range(sum(fault.times for fault in planned) + 1):
        if plan.refusal("r") is not None:
            refused += 1
            continue
        link = Link(plan)
        link.faults.audio_came(100.0)
        link.faults.text_came(CLOSE_STREAM)
        untold += link.faults.complete_due() != 1
        harm = [done for done in link.done if done not in ("say", "error")]  # an error is told, then comes a close
        harmed += len(harm)
        assert len(harm) <= 1
    assert plan.left == ()
    assert refused == sum(fault.times for fault in planned if fault.name == "refuse")
    assert harmed == sum(fault.times for fault in planned if not FAULTS[fault.name].harmless and fault.name != "refuse")
    assert untold == sum(fault.times for fault in planned if FAULTS[fault.name].completes is not None)
