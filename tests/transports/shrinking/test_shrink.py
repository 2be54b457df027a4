"""A recorded call is cut down to the fewest inputs, which show the fault again."""

from __future__ import annotations

import json
import runpy
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smallest_proto.config import Endpoint, TranscriptionConfig
from smallest_proto.transcription.session import TranscriptionSession
from smallest_transports._trace import Trace
from smallest_transports.shrinking import Condition, Recording, Shrunk, read_recordings, shrink, written
from tests.transports.pictures.traces import call, speech

FAULTS = {1: (1.2, "lose"), 2: (0.9, "lose"), 3: (0.7, "lose")}


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return list(call(FAULTS)[0])


@pytest.fixture(scope="module")
def recording(lines: list[bytes]) -> Recording:
    (only,) = read_recordings(lines)
    return only


def shrunk(recording: Recording, text: str, **options: Any) -> Shrunk:
    made = shrink(recording, Condition(text), **options)
    assert made.condition(made.outcome)
    assert made.inputs == len(recording.inputs) >= len(made.recording.inputs)
    return made


CONDITIONS = [
    ("LinkOpened", {"start", "link_opened"}),
    ("LinkLost.link == 1", {"start", "link_failed"}),
    ("sum(isinstance(e, LinkLost) for e in events) > 1", {"start", "link_failed", "handle_timer"}),
    ("FinalTranscript and LinkLost", {"start", "link_opened", "send_audio", "message_received", "link_failed"}),
    ("SessionEnded.reason == 'completed'", None),
    ("stats.seconds_replayed > 0", None),
    ("SendBinary and len(stats.links) == 4", None),
]


@pytest.mark.parametrize(("text", "kinds"), CONDITIONS)
def test_the_fewest_inputs_are_left(recording: Recording, text: str, kinds: set[str] | None) -> None:
    made = shrunk(recording, text)
    assert made.complete
    left = made.recording.inputs
    if kinds is not None:
        assert {told.name for told in left} <= kinds
    assert len(left) < made.inputs / 2
    for at in range(len(left)):
        assert not made.condition(made.recording.run(left[:at] + left[at + 1 :])), left[at]
    assert shrunk(recording, text).recording.lines() == made.recording.lines()


def test_a_late_link_can_be_the_first(recording: Recording) -> None:
    made = shrunk(recording, "LinkLost and stats.seconds_given > 0.1")
    assert [told.args[0] for told in made.recording.inputs if told.name == "link_failed"] == [1]


def test_a_speech_too() -> None:
    (recording,) = read_recordings(speech())
    made = shrunk(recording, "WordSpoken")
    assert made.recording.inputs[0].name == "start"
    assert len(made.recording.inputs) < 8


def test_the_times_are_short_and_begin_at_0(recording: Recording) -> None:
    times = [told.at for told in shrunk(recording, "FinalTranscript").recording.inputs]
    assert times[0] == 0.0
    assert times == sorted(times)


WRONG = [
    ("AudioLost", r"does not hold for this call: it told .*FinalTranscript \(\d+\)"),
    ("not AudioLost", "holds for a call without any input"),
    ("events[99].link", "cannot be worked out: IndexError"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_cannot_be_shrunk_is_said(recording: Recording, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        shrink(recording, Condition(text))


def test_a_search_that_is_ended_says_so(recording: Recording) -> None:
    made = shrunk(recording, "stats.seconds_replayed > 0", enough=lambda: True)
    assert not made.complete
    assert "fewer may do" in written(made)


def test_the_file_fails_as_the_call_did(recording: Recording, tmp_path: Path) -> None:
    made = shrunk(recording, "SessionEnded.reason == 'completed'")
    path = tmp_path / "test_it.py"
    path.write_text(written(made), "utf-8")
    (test,) = [value for name, value in runpy.run_path(str(path)).items() if name.startswith("test_")]
    with pytest.raises(AssertionError, match=r"SessionEnded\.reason == 'completed', as in the call(.|\n)*SessionEnded"):
        test()


def test_the_file_passes_once_the_fault_is_mended(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "test_it.py"
    path.write_text(written(shrunk(recording, "LinkLost")), "utf-8")
    (test,) = [value for name, value in runpy.run_path(str(path)).items() if name.startswith("test_")]
    monkeypatch.setattr(TranscriptionSession, "link_failed", lambda *_: None)
    test()


@pytest.fixture
def private() -> Recording:
    """A call in which what was said makes a difference: two finals with one text, and one with another."""
    lines: list[bytes] = []
    trace = Trace(lines.append, private=True)
    made, traced = trace.make(TranscriptionSession, TranscriptionConfig(), Endpoint(api_key="k"), lambda: 0.5)

    def tell(name: str, *args: Any) -> None:
        traced.note(name, args, 1000.0 + len(lines))
        getattr(made, name)(*args, 1000.0 + len(lines))

    tell("start")
    tell("link_opened", 1)
    for text in ("Smith", "Jones"):
        tell("send_audio", b"\x10\x20" * 8000)
        message = {"type": "transcription", "transcript": text, "is_final": True, "words": []}
        tell("message_received", 1, json.dumps(message))
    (only,) = read_recordings(lines)
    return only


def test_what_was_said_is_left_out(private: Recording) -> None:
    made = shrunk(private, "FinalTranscript")
    assert not made.recording.private
    assert "Smith" not in written(made)
    assert "Jones" not in written(made)
    assert "what was said is not in it" in written(made)


def test_what_was_said_is_kept_where_that_is_asked_for(private: Recording) -> None:
    with pytest.raises(ValueError, match="does not hold without what was said: --private"):
        shrink(private, Condition("FinalTranscript.text == 'Jones'"))
    made = shrunk(private, "FinalTranscript.text == 'Jones'", private=True)
    assert "Jones" in written(made)
    assert "Smith" not in written(made)


def test_what_the_session_may_not_raise_is_a_fault_too(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    plain: Callable[..., None] = TranscriptionSession.message_received

    def broken(session: Any, link: int, data: Any, now: float) -> None:
        if '"is_final":true' in str(data).replace(" ", ""):
            raise KeyError("a bug")
        plain(session, link, data, now)

    monkeypatch.setattr(TranscriptionSession, "message_received", broken)
    made = shrunk(recording, "error")
    assert [told.name for told in made.recording.inputs] == ["message_received"]
    assert "the session raised KeyError('a bug')" in str(made.outcome)


def test_a_trace_that_was_cut_off_is_read_up_to_there(lines: list[bytes]) -> None:
    (recording,) = read_recordings([*lines[:50], lines[50][:20]])
    assert len(recording.inputs) >= 45
    for text in ([b"no json\n", *lines], [b"[]\n"], [*lines[:50], lines[50][:20], *lines[51:]], lines[1:9]):
        with pytest.raises(ValueError, match="no trace"):
            read_recordings(text)
    with pytest.raises(ValueError, match="no trace"):
        Recording.read("nothing")


def test_a_run_changes_nothing(recording: Recording) -> None:
    drawn = deque(recording._drawn)
    assert recording.run() == recording.run()
    assert deque(recording._drawn) == drawn
