"""Calls as values: they run, they tell what happened, and their repr makes them again; the strategies of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from smallest_proto.config import FileTranscriptionConfig, TranscriptionConfig
from smallest_proto.server.imperfection import Imperfection
from smallest_proto.transcription.events import FinalTranscript
from smallest_proto.transcription.session import TranscriptionSession
from smallest_transports.memory import FAULTS
from smallest_transports.testing import Call, CallPlan, Fault, Network, Part, Step, calls, strategies
from smallest_transports.testing.machine import CallMachine, unhurried
from smallest_transports.testing.session_machine import SessionMachine


def plan(*faults: Fault, **more: Any) -> CallPlan:
    return CallPlan.of(0.3, "hello world", 0.9, "how are you", 1.0, network=Network(faults=faults), **more)


# --- calls ---


@pytest.mark.parametrize(
    ("fault", "links"),
    [
        (Fault("drop", at=0.5), 2),
        (Fault("drop", byte=12_000), 2),
        (Fault("refuse:503", at=0.0), 2),
        (Fault("binary", at=0.5), 1),
        (Fault("drop", after=0.1), 1),
        (Fault("drop", at=0.5, back=1), 2),
    ],
    ids=repr,
)
def test_a_fault_happens_to_a_link_and_no_word_is_lost(fault: Fault, links: int) -> None:
    call = plan(fault).run()
    call.check()
    assert len(call.session.stats.links) == links or fault.name.startswith("refuse")
    assert [name for _, name in call.story] == [fault.name] * (fault.after is None)


def test_a_fault_can_wait_for_the_next_link() -> None:
    call = plan(Fault("drop", at=0.5), Fault("drop", after=0.1), Fault("drop", after=0.1)).run()
    call.check()
    assert len(call.session.stats.links) == 4


def test_the_application_can_do_what_it_likes() -> None:
    steps = (
        Step("finalize", 1.5),
        Step("update", 1.0, (("punctuate", True),)),
        Step("update in vain", 2.0),
    )
    call = plan(steps=steps).run()
    call.check()
    assert len(call.truth.finalized or ()) == 1
    assert call.session.config.punctuate is True


def wrong_call() -> Call:
    call = plan(Fault("drop", at=0.5)).run()
    return call._replace(events=[one for one in call.events if not isinstance(one[1], FinalTranscript)])


def test_what_is_wrong_is_shown_with_the_time_line_and_the_line_that_runs_it_again() -> None:
    with pytest.raises(AssertionError) as raised:
        wrong_call().check()
    said = str(raised.value)
    assert "5 lost" in said
    lines = [line.split(None, 1) for line in said.splitlines()]
    assert ["0.300", '"hello"'] in lines
    assert ["0.500", "drop"] in lines
    again = said.splitlines()[-1].removeprefix("again: ")
    assert again.endswith(".run().check()")
    made = eval(again.removesuffix(".run().check()"), vars(calls))
    assert made == plan(Fault("drop", at=0.5))


@given(strategies.calls())
def test_a_plan_is_made_again_by_its_repr(plan: CallPlan) -> None:
    assert eval(repr(plan), vars(calls)) == plan


def test_the_same_plan_is_the_same_call() -> None:
    one = plan(Fault("hiccup", at=0.4), recogniser=Imperfection.draw(7))
    assert one.run().events == one.run().events


# --- strategies ---


@settings(max_examples=60)
@given(strategies.calls())
def test_any_call_loses_nothing(plan: CallPlan) -> None:
    plan.run().check()


def shrunk(strategy: st.SearchStrategy[Any], bad: Callable[[Any], bool]) -> Any:
    return find(strategy, bad, settings=settings(max_examples=2000, phases=[Phase.generate, Phase.shrink]))


def test_an_example_shrinks_to_a_few_words_and_one_fault() -> None:
    found = shrunk(strategies.calls(), lambda plan: any(fault.name == "mute" for fault in plan.network.faults))
    assert found == CallPlan((Part(("w1", 1.0)),), network=Network(faults=(Fault("mute", at=0.0),)))
    found = shrunk(strategies.calls(), lambda plan: len(plan.speeches()[0].truth.words) > 2 and plan.steps != ())
    (step,) = found.steps
    assert found == CallPlan((Part(("w1 w2 w3", 1.0)),), steps=(Step("finalize", step.at),))
    last = found.speeches()[0].truth.words[-1]
    assert step.at == pytest.approx(last.start, abs=0.001)  # times are counted from one of the last words


def test_a_recogniser_shrinks_to_one_imperfection() -> None:
    found = shrunk(strategies.recognisers(), lambda made: made.twice or made.joined)
    assert found.kinds in (("twice",), ("joined",))
    assert shrunk(strategies.recognisers(), lambda _: True) == Imperfection()


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_is_drawn(name: str) -> None:
    assert shrunk(strategies.faults(), lambda fault: fault.name == name and fault.at is not None).at == 0.0


@given(st.data(), st.binary(max_size=60))
def test_fragments_are_the_whole(data: Any, whole: bytes) -> None:
    pieces = data.draw(strategies.fragments(whole))
    assert b"".join(pieces) == whole
    assert all(pieces)


@given(strategies.good_messages())
def test_good_messages_can_be_told(message: dict[str, Any]) -> None:
    assert json.loads(json.dumps(message)) == message
    assert message["type"] in ("transcription", "speech_started", "speech_ended")


@pytest.mark.parametrize("config", [TranscriptionConfig, FileTranscriptionConfig])
def test_values_of_options_stand_or_are_refused(config: type[Any]) -> None:
    outcomes = set()

    @settings(max_examples=150)
    @given(strategies.option_values(config))
    def look(values: dict[str, Any]) -> None:
        made = strategies.stands(config, values)
        outcomes.add(made is None)
        assert made is None or isinstance(made, config)

    look()
    assert outcomes == {True, False}


# --- machines ---


class Forgetful(CallMachine):
    """An agent that forgets what it heard when a link is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.memory: list[str] = []

    def heard(self, time: float, event: Any) -> None:
        if type(event).__name__ == "LinkLost":
            self.memory = []
        self.memory += getattr(event, "text", "").split() if isinstance(event, FinalTranscript) else []

    def judged(self, report: Any) -> None:
        super().judged(report)
        if self.memory != self.call.outcome().truth.text.split():
            raise LookupError("it forgot")


def test_a_machine_finds_what_an_agent_does_wrong() -> None:
    case = unhurried(Forgetful, examples=200)
    with pytest.raises(LookupError, match="it forgot"):
        run_state_machine_as_test(
            Forgetful, settings=settings(case.settings, phases=[Phase.generate], derandomize=True)
        )


class Deaf(TranscriptionSession):
    """A session that raises at a message that is no text."""

    def message_received(self, link: int, data: str | bytes, now: float) -> None:
        if isinstance(data, bytes):
            raise ValueError("no text")
        super().message_received(link, data, now)


class DeafMachine(SessionMachine):
    make_session = Deaf


def test_a_machine_finds_what_a_session_does_wrong() -> None:
    case = unhurried(DeafMachine, examples=300, steps=40)
    with pytest.raises(ValueError, match="no text"):
        run_state_machine_as_test(
            DeafMachine, settings=settings(case.settings, phases=[Phase.generate], derandomize=True)
        )


class Wrapped:
    """A session of somebody else, who shows what is public of one, and nothing more."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.__session = TranscriptionSession(*args, **options)

    def __getattr__(self, name: str) -> Any:
        assert not name.startswith("_"), f"the machine looks into the session: {name}"
        return getattr(self.__session, name)


class WrappedMachine(SessionMachine):
    make_session = Wrapped


def test_a_machine_looks_into_no_session() -> None:
    case = unhurried(WrappedMachine, examples=5)
    run_state_machine_as_test(
        WrappedMachine, settings=settings(case.settings, phases=[Phase.generate], derandomize=True)
    )
