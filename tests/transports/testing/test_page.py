"""``docs/testing.md`` does what it says: its tests pass, but for the one that finds the bug, and then that one too."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "testing.md").read_text("utf-8")
FILES = dict(re.findall(r'```python title="([\w.]+)"\n(.*?)```', PAGE, re.DOTALL))
MEND = FILES.pop("mend")
FINDS = "test_bad_network.py"


def run(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def write(folder: Path) -> None:
    for name, code in FILES.items():
        (folder / name).write_text(code.replace("max_examples=300", "max_examples=100"), "utf-8")


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
