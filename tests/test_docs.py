"""The diagrams are those of the tables, and every table is drawn."""

from __future__ import annotations

import importlib
import pkgutil
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import smallest_proto
from smallest_proto.values import Name

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "docs" / "make_diagrams.py"
TEXT = (ROOT / "docs" / "state-machines.md").read_text("utf-8")


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    """What the script defines."""
    return runpy.run_path(str(SCRIPT))


def test_the_diagrams_are_those_of_the_tables() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPT), "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_file_that_is_stale_or_missing_is_found(script: dict[str, Any], tmp_path: Path) -> None:
    main: Callable[[list[str], Path], str | None] = script["main"]
    target = tmp_path / "state-machines.md"
    assert "run python docs/make_diagrams.py" in (main(["--check"], target) or "")
    assert main([], target) is None
    assert main(["--check"], target) is None
    assert target.read_text("utf-8") == TEXT
    target.write_text(TEXT.replace("DRAINING", "DRAINED", 1), "utf-8")
    assert "not what the tables say" in (main(["--check"], target) or "")
    assert "--check" in (main(["--chekc"], target) or "")
    assert "DRAINED" in target.read_text("utf-8")  # nothing was written


def tables(package: ModuleType = smallest_proto) -> dict[str, dict[Any, Any]]:
    """Every table of the core, in whatever folder: a dict whose keys are pairs of names."""
    found = {}
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        for name, value in vars(importlib.import_module(info.name)).items():
            if isinstance(value, dict) and value and all(is_pair_of_names(key) for key in value):
                found[f"{info.name}.{name}"] = value
    return found


def is_pair_of_names(key: object) -> bool:
    return isinstance(key, tuple) and len(key) == 2 and all(isinstance(part, Name) for part in key)


def test_every_table_is_drawn(script: dict[str, Any]) -> None:
    drawn = [machine.table for machine in script["MACHINES"]]
    assert len(drawn) >= 4
    assert [name for name, table in tables().items() if not any(table is one for one in drawn)] == []


def test_a_table_in_a_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = "from smallest_proto.values import Name\nclass N(Name):\n    A = 'a'\nTABLE = {(N.A, N.A): (None, N.A)}\n"
    for name, text in {"__init__.py": "", "room/__init__.py": "", "room/states.py": table}.items():
        path = tmp_path / "made_up_house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert list(tables(importlib.import_module("made_up_house"))) == ["made_up_house.room.states.TABLE"]


def test_every_cell_is_in_the_file(script: dict[str, Any]) -> None:
    for machine in script["MACHINES"]:
        (section,) = re.findall(rf"^## {machine.title}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
        rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
        states = [name.strip("`") for name in rows[0][1:]]
        told = {(state, row[0]): said for row in rows[2:] for state, said in zip(states, row[1:], strict=True)}
        expected = {(state.name, what.value): after.name for (state, what), (_, after) in machine.table.items()}
        assert {key for key, said in told.items() if said != "-"} == expected.keys()
        for key, after in expected.items():
            assert re.search(rf"`{after}`$|stays$", told[key])
            assert told[key].endswith("stays") is (after == key[0])


def test_mermaid_can_read_the_labels() -> None:
    blocks = re.findall(r"```mermaid\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        first, *lines = block.splitlines()
        assert first == "stateDiagram-v2"
        for line in lines:
            assert re.fullmatch(r"    (\[\*\]|[A-Z_]+)( --> (\[\*\]|[A-Z_]+))?(: [^:;]+)?", line), line
