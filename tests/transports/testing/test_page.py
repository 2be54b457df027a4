"""``docs/testing.md`` does what it says: its tests pass, but for the one that finds the bug, and then that one too.

They run with what ``smallest-proto[testing]`` brings, and nothing else that is installed here.
"""

from __future__ import annotations

import importlib.metadata as metadata
import os
import re
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "testing.md").read_text("utf-8")
FILES = dict(re.findall(r'```python title="([\w.]+)"\n(.*?)```', PAGE, re.DOTALL))
MEND = FILES.pop("mend")
FINDS = "test_bad_network.py"


# Loaded before all else, it hides what the extra does not bring.
GUARD = """
import sys

class Guard:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"smallest-proto[testing] does not bring {name}", name=name)

HIDDEN = frozenset(%r)
sys.meta_path.insert(0, Guard)
"""
PLUGINS = ("guard", "smallest_transports.pytest_plugin", "anyio.pytest_plugin", "_hypothesis_pytestplugin")
RECORD = """
from smallest_proto import Timeouts
from smallest_transports.sync import Client
from smallest_transports.testing import speech
from smallest_transports.testing.services import coded_service

with coded_service(faults=("drop@0.2",)) as service:
    fast = Timeouts(message_interval=0)
    with Client(api_key="any", base_url=service.base_url, trace="calls.jsonl", timeouts=fast) as client:
        list(client.transcribe_live(speech("hello", 1.0).pcm))
"""


def brought(wanted: Requirement, seen: set[tuple[str, str]]) -> set[str]:
    """The distributions that a requirement brings, each by its name, with what they bring themselves."""
    name, found = canonicalize_name(wanted.name), set[str]()
    for extra in ("", *wanted.extras):
        if (name, extra) not in seen:
            seen.add((name, extra))
            found.add(name)
            for line in metadata.requires(name) or ():
                needed = Requirement(line)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    found |= brought(needed, seen)
    return found


def hidden() -> list[str]:
    """The packages that are installed here and not brought by the extra."""
    there = brought(Requirement("smallest-proto[testing]"), set())
    owners = metadata.packages_distributions()
    return sorted(name for name, of in owners.items() if there.isdisjoint(map(canonicalize_name, of)))


def run(folder: Path, *options: str, command: tuple[str, ...] = ("pytest", "-q", "--strict-markers")) -> str:
    (folder / "guard.py").write_text(GUARD % hidden(), "utf-8")
    if command[0] == "pytest":
        command = (*command, "-p", "no:cacheprovider", *(word for name in PLUGINS for word in ("-p", name)))
    done = subprocess.run(
        [sys.executable, "-m", *command, *options],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "HYPOTHESIS_NO_PLUGINS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def write(folder: Path) -> None:
    for name, code in FILES.items():
        (folder / name).write_text(code.replace("max_examples=300", "max_examples=100"), "utf-8")


def test_what_the_extra_does_not_bring_is_hidden(tmp_path: Path) -> None:
    assert {"numpy", "aiohttp", "trio", "livekit"} <= {*hidden()}
    assert not {"pytest", "hypothesis", "trustme", "anyio", "msgspec", "wsproto", "click"} & {*hidden()}
    (tmp_path / "test_it.py").write_text("def test_it():\n    import trio\n", "utf-8")
    assert "smallest-proto[testing] does not bring trio" in run(tmp_path)


def test_a_call_that_went_wrong_becomes_a_test(tmp_path: Path) -> None:
    (tmp_path / "record.py").write_text(f"import guard\n{RECORD}", "utf-8")
    assert run(tmp_path, command=("record",)) == ""
    (tmp_path / "shrink.py").write_text("import guard, smallest_transports.cli as cli\ncli.main()\n", "utf-8")
    said = run(tmp_path, "trace", "shrink", "calls.jsonl", "--fails", "LinkLost", command=("shrink",))
    assert "in test_calls.py" in said
    assert "1 failed" in run(tmp_path, "test_calls.py")


def test_the_bug_passes_all_tests_but_is_found_by_the_strategies(tmp_path: Path) -> None:
    write(tmp_path)
    said = run(tmp_path, "-k", "not bad_network and not Driver and not Orders")
    assert re.search(r"\d passed", said), said
    assert "failed" not in said
    said = run(tmp_path, FINDS, "--hypothesis-seed=0")  # the same examples in each run
    assert "1 failed" in said
    assert re.search(r"\d+ words?: \d+ lost\n", said), said
    assert re.search(r"E +\d\.\d{3} +LinkLost ", said)
    (again,) = {*re.findall(r"again: (CallPlan\(.*\)\.run\(\)\.check\(\))$", said, re.MULTILINE)}
    # A few words, and one fault: what is not needed to show it is not there.
    assert len(re.findall(r"\bw\d+", again)) <= 4
    assert again.count("Fault(") == 1


def test_the_mend_mends_it(tmp_path: Path) -> None:
    write(tmp_path)
    agent = tmp_path / "agent.py"
    assert FILES["agent.py"].count(MEND) == 1
    agent.write_text(FILES["agent.py"].replace(MEND, ""), "utf-8")
    said = run(tmp_path)
    assert re.search(r"^\d+ passed", said, re.MULTILINE), said
    assert "failed" not in said
