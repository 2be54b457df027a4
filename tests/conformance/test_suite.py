"""The suite itself: what a driver lacks it must lack, and every case has its place."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
from pathlib import Path

import pytest

from smallest_transports.testing.conformance import SUBJECTS, Driver, suite

CODE = """
from smallest_transports.testing.conformance import Driver, suite
from smallest_transports.trio import Client

class Deaf(Client):
    def stream_transcription(self, *_, **__):
        raise NotImplementedError("deaf")

PROMISE = "test_promises_a_finalize*"
TestHonest = suite(Driver("honest", Deaf, "trio", lacks={PROMISE: "it knows none"}), only=("promises",))
TestSilent = suite(Driver("silent", Deaf, "trio"), only=("promises",))
TestModest = suite(Driver("modest", Client, "trio", lacks={PROMISE: "so it says"}), only=("promises",))
TestLogs = suite(Driver("ours", Client, "trio"), only=("logs",))
"""


def test_what_a_driver_lacks_it_must_say_and_must_lack(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(CODE, "utf-8")
    # Without pytest's own capture of the log, which a project can have switched off.
    options = ("-q", "-rfx", "-p", "no:cacheprovider", "-p", "no:logging", "-k", "a_finalize or logs_a_handover")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert re.search(r"2 failed, 1 passed, \d+ deselected, 1 xfailed", done.stdout), done.stdout + done.stderr
    assert (
        "TestHonest::test_promises_a_finalize_is_answered_and_the_stream_goes_on[honest] - it knows none" in done.stdout
    )
    assert "modest passes it now: take it out of lacks (so it says)" in done.stdout
    assert "NotImplementedError: deaf" in done.stdout  # what silent lacks


def test_each_module_of_cases_is_a_subject() -> None:
    import smallest_transports.testing.conformance as conformance

    folder = Path(conformance.__file__).parent
    holds = {path.stem for path in folder.glob("*.py") if "async def test_" in path.read_text("utf-8")}
    assert holds == {*SUBJECTS}


def test_the_page_names_cases_that_there_are_and_each_subject() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "testing.md").read_text("utf-8")
    rows = re.findall(r"^\| [^|]+ \| (`[^|]+`) \|$", page.partition("…or this fails |")[2], re.MULTILINE)
    named = [f"test_{name}" for row in rows for name in re.findall(r"`([\w*]+)`", row)]
    cases = [name for name in vars(suite(Driver("mine", "nowhere:Client"))) if name.startswith("test_")]
    assert [name for name in named if not fnmatch.filter(cases, name)] == []
    assert [subject for subject in SUBJECTS if not any(name.startswith(f"test_{subject}_") for name in named)] == []


def test_a_case_is_for_the_drivers_that_it_fits() -> None:
    native = suite(Driver("mine", "nowhere:Client", "asyncio"), only=("native",))
    names = [name for name in vars(native) if name.startswith("test_")]
    assert names
    assert all("asyncio" in name for name in names)


def test_a_driver_that_is_missing_is_told() -> None:
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        Driver("mine", "nowhere:Client").client("http://127.0.0.1:1/")
