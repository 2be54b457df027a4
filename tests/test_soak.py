"""A few hundred calls of the soak: no word lost, repeated, damaged or mistimed, no turn unpaired."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from smallest_proto.events import SessionEnded
from smallest_proto.transcription.events import FinalTranscript, SpeechEnded, Usage

PARTS = 6
SEEDS_OF_A_PART = 50
IDEAL = 7  # a seed whose service has no imperfection


@pytest.fixture(scope="module")
def soak() -> ModuleType:
    """The script of the soak, as a module."""
    spec = importlib.util.spec_from_file_location("soak_calls", Path(__file__).parent / "soak" / "calls.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("part", range(PARTS))
def test_calls_over_a_bad_network_lose_nothing(soak: Any, part: int) -> None:
    for seed in range(part * SEEDS_OF_A_PART, (part + 1) * SEEDS_OF_A_PART):
        try:
            wrong = list(soak.faults_of(soak.run(seed)))
        except Exception as error:
            error.args = (soak.complaint(seed, [f"it raised {error}"]),)
            raise
        assert not wrong, soak.complaint(seed, wrong)


def test_a_seed_is_a_call(soak: Any) -> None:
    first, again = soak.run(17), soak.run(17)
    assert first.events == again.events
    assert first.story == again.story


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda events: [e for e in events if not isinstance(e, FinalTranscript)], "was heard 0 times"),
        (lambda events: [e for e in events for _ in range(1 + isinstance(e, FinalTranscript))], "was heard 2 times"),
        (lambda events: [moved(e) for e in events], "has the time"),
        (lambda events: [e for e in events if not isinstance(e, SpeechEnded)], "alternate"),
        (lambda events: [e for e in events if not isinstance(e, SessionEnded)], "did not end"),
        (lambda events: [e for e in events if not isinstance(e, Usage)], "usage"),
        (lambda events: events[::-1], "out of order"),
    ],
)
def test_what_the_soak_looks_for_it_finds(soak: Any, spoil: Any, complaint: str) -> None:
    call = soak.run(IDEAL)
    assert list(soak.faults_of(call)) == []
    spoiled = [(0.0, event) for event in spoil([event for _, event in call.events])]
    assert complaint in "; ".join(soak.faults_of(call._replace(events=spoiled)))


def moved(event: Any) -> Any:
    """The event, a final with its words a millisecond late."""
    if not isinstance(event, FinalTranscript):
        return event
    words = tuple(msgspec.structs.replace(word, start=(word.start or 0) + 0.001) for word in event.words)
    return msgspec.structs.replace(event, words=words, start=event.start + 0.001)
