"""The short forms of the benchmarks: they run, and what they say can be read."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_speed() -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "livekit_speed.py", "--quick"], capture_output=True, text=True, check=True
    )
    assert [line.split("  ")[0] for line in done.stdout.splitlines()[1:]] == [
        "processor time for 1 s of audio",
        "latency of finals, p50",
        "latency of finals, p99",
        "import of the plugin",
        "import of it, its STT and its TTS",
    ]


def test_faults(capsys: pytest.CaptureFixture[str]) -> None:
    bench: dict[str, Any] = runpy.run_path(str(BENCHMARKS / "livekit_faults.py"))
    ((case, theirs, ours),) = bench["main"](["--quick", "--only", "reset"])
    assert case.name == "reset"
    assert theirs.lost + theirs.damaged > 0  # else the fault did not happen where it hurts
    assert (ours.lost, ours.repeated, ours.damaged, ours.raised) == (0, 0, 0, "")
    assert ours.time_error < 0.001
    assert "| reset |" in capsys.readouterr().out
    assert [case.name for case in bench["cases"](1.0)] == [
        "nothing",
        "reset",
        "three resets",
        "half-open",
        "close 1011",
        "error message",
        "odd JSON",
        "option change in mid-word",
        "503, then fine",
        "no is_last",
    ]


def test_a_word_that_is_missing_doubled_or_late_is_counted() -> None:
    bench: dict[str, Any] = runpy.run_path(str(BENCHMARKS / "livekit_faults.py"))
    speech = bench["script"](4)

    class Word(str):
        start_time = 0.0

    class Final:
        def __init__(self, *words: str) -> None:
            self.words = [Word(word) for word in words]

    finals = [Final("w0", "?1"), Final("w0", "w3")]
    judged = bench["judge"](speech, finals, [0.0, 1.0, 4.0], 5.0, "")
    assert (judged.lost, judged.repeated, judged.damaged, judged.recovery) == (2, 1, 1, 3.0)
    assert bench["judge"](speech, finals, [0.0, 1.0], 5.0, "").recovery is None
    assert judged.time_error == pytest.approx(speech.words[3].start / 16000)
