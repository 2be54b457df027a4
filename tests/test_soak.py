"""A few hundred calls of the soak: no word lost, repeated, damaged or mistimed, no turn unpaired."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from smallest_proto.events import SessionEnded
from smallest_proto.server.imperfection import Imperfection
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
            report = soak.run(seed).judge()
        except Exception as error:
            error.args = (soak.complaint(seed, f"it raised {error}"),)
            raise
        assert report.ok, soak.complaint(seed, report)


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
        (lambda events: [respelled(e, "?\\1") for e in events], "is damaged"),
        (lambda events: [respelled(e, "w9\\1") for e in events], "never said"),
        (lambda events: [e for e in events if not getattr(e, "from_finalize", False)], "finalizes have"),
    ],
)
def test_what_the_soak_looks_for_it_finds(soak: Any, spoil: Any, complaint: str) -> None:
    call = soak.run(IDEAL)
    assert call.judge().ok
    spoiled = [(0.0, event) for event in spoil([event for _, event in call.events])]
    assert complaint in str(call._replace(events=spoiled).judge())


@pytest.mark.parametrize("form", ["W\\1!", "ww\\1,", "w\\1."])
def test_a_word_is_the_same_however_it_is_spelled(soak: Any, form: str) -> None:
    call = soak.run(IDEAL)
    spelled = call._replace(events=[(time, respelled(event, form)) for time, event in call.events])
    hears_otherwise = msgspec.structs.replace(call.truth.imperfection, respelled=True)
    assert spelled._replace(truth=msgspec.structs.replace(call.truth, imperfection=hears_otherwise)).judge().ok
    # A letter twice is another word where the service does not hear otherwise.
    assert spelled.judge().ok is not form.startswith("ww")


def test_a_word_in_two_is_one_where_the_application_cut_it(soak: Any) -> None:
    call = soak.run(IDEAL)
    word = call.truth.words[4]

    def cut(event: Any) -> Any:
        if not isinstance(event, FinalTranscript) or word.text not in event.text.split():
            return event
        pieces = " ".join(f"?{text[1:]} ?{text[1:]}" if text == word.text else text for text in event.text.split())
        return msgspec.structs.replace(event, text=pieces, words=())

    events = [(time, cut(event)) for time, event in call.events]
    assert "is damaged" in str(call._replace(events=events).judge())
    finalized = (*(call.truth.finalized or ())[1:], ((word.start or 0) + (word.end or 0)) / 2)
    assert call._replace(events=events, truth=msgspec.structs.replace(call.truth, finalized=finalized)).judge().ok


def test_half_of_a_word_that_is_written_as_one_with_the_next_cannot_be_dropped(soak: Any) -> None:
    call = soak.run(IDEAL)
    word, following = call.truth.words[4].text, call.truth.words[5].text

    def half_before(event: Any, form: str) -> Any:
        if not isinstance(event, FinalTranscript) or following not in event.text.split():
            return event
        again = form.format(number=word[1:], following=following)
        pieces = " ".join(again if text == following else text for text in event.text.split())
        return msgspec.structs.replace(event, text=pieces, words=())

    for form, allowed in (("?{number}{following}", True), ("?{number} {following}", False)):
        spoiled = [(time, half_before(event, form)) for time, event in call.events]
        assert ("is damaged" not in str(call._replace(events=spoiled).judge())) is allowed


def test_times_may_be_off_as_far_as_those_of_the_service(soak: Any) -> None:
    call = soak.run(IDEAL)
    events = [(time, moved(event)) for time, event in call.events]
    for bias, fits in ((0.001, True), (0.0005, False)):
        truth = msgspec.structs.replace(call.truth, imperfection=Imperfection(bias=bias))
        assert call._replace(events=events, truth=truth).judge().ok is fits


def respelled(event: Any, form: str) -> Any:
    """The event, a final with each word w17 in another form."""
    if not isinstance(event, FinalTranscript):
        return event
    words = tuple(msgspec.structs.replace(word, text=re.sub(r"w(\d+)", form, word.text)) for word in event.words)
    return msgspec.structs.replace(event, text=re.sub(r"w(\d+)", form, event.text), words=words)


def moved(event: Any) -> Any:
    """The event, a final with its words a millisecond late."""
    if not isinstance(event, FinalTranscript):
        return event
    words = tuple(msgspec.structs.replace(word, start=(word.start or 0) + 0.001) for word in event.words)
    return msgspec.structs.replace(event, words=words, start=event.start + 0.001)
