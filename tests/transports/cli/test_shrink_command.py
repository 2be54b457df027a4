"""``smallest-proto trace shrink``."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from smallest_transports.cli.app import commands
from tests.transports.pictures.traces import call, speech

LOST = {1: (1.2, "lose"), 2: (0.9, "lose")}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(commands, ["trace", "shrink", *map(str, arguments)], prog_name="smallest-proto")


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "calls of today.jsonl"
    path.write_bytes(b"".join(call(LOST)[0]))
    return path


def test_the_test_it_writes_fails_under_pytest(trace: Path, tmp_path: Path) -> None:
    result = run(trace, "--fails", "LinkLost.link == 2")
    assert (result.exit_code, result.stdout) == (0, "")
    assert re.fullmatch(r"\d+ of \d+ inputs show it, in test_calls_of_today\.py\n", result.stderr)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_calls_of_today.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert ran.returncode == 1
    assert "LinkLost.link == 2, as in the call that was recorded" in ran.stdout
    again = run(trace, "--fails", "LinkLost")
    assert again.exit_code == 2
    assert "test_calls_of_today.py exists: name it with --output" in again.stderr
    assert run(trace, "--fails", "LinkLost", "-o", "test_calls_of_today.py").exit_code == 0


def test_to_standard_output(trace: Path, tmp_path: Path) -> None:
    result = run(trace, "--fails", "FinalTranscript", "-o", "-")
    assert result.exit_code == 0
    assert "def test_finaltranscript() -> None:" in result.stdout
    assert re.search(r"^\d+ of [\d,]+ inputs show it$", result.stderr, re.MULTILINE)
    assert not list(tmp_path.glob("test_*"))


def test_of_several_calls_the_one_that_shows_it(trace: Path) -> None:
    other = [line.replace(b'"session": "', b'"session": "other-') for line in speech()]
    trace.write_bytes(b"".join([*call({})[0], *other]))
    assert "SynthesisSession" in run(trace, "--fails", "WordSpoken", "-o", "-").stdout
    assert "TranscriptionSession" in run(trace, "--fails", "LinkOpened", "-o", "-").stdout
    assert "SynthesisSession" in run(trace, "--fails", "LinkOpened", "-o", "-", "--call", "2").stdout
    assert "does not hold for this call" in run(trace, "--fails", "WordSpoken", "--call", "1").stderr


def test_time_that_is_up_is_told(trace: Path) -> None:
    result = run(trace, "--fails", "stats.seconds_replayed > 0", "--seconds", "0", "-o", "-")
    assert result.exit_code == 0
    assert "there may be fewer: give it longer, with --seconds" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (("--fails", "AudoLost"), "--fails: there is no 'AudoLost'", 2),
        (("--fails", "AudioLost"), "AudioLost does not hold for this call", 1),
        (("--fails", "LinkLost", "-o", "no/such/test_it.py"), "does not exist: make it first", 2),
        (("--fails", "LinkLost", "--call", "2"), "--call 2: ", 2),
    ],
)
def test_what_is_wrong_is_said_in_a_line(trace: Path, arguments: tuple[str, ...], said: str, code: int) -> None:
    result = run(trace, *arguments)
    assert result.exit_code == code
    assert said in result.stderr
    assert not list(Path().glob("test_*"))


def test_what_is_no_trace_is_said(trace: Path) -> None:
    trace.write_text("no trace\n")
    assert "this is no trace" in run(trace, "--fails", "LinkLost").stderr
    trace.write_text("")
    assert "holds no call" in run(trace, "--fails", "LinkLost").stderr
    assert "No such file" in run("nowhere.jsonl", "--fails", "LinkLost").stderr
