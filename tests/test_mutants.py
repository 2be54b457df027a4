"""What the mutants are made of exists, and what may live of them says why."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def mutants() -> Any:
    pytest.importorskip("cosmic_ray", reason="make mutants installs it")
    spec = importlib.util.spec_from_file_location("mutants", ROOT / "tests" / "mutants" / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_modules_and_their_tests_exist() -> None:
    text = (ROOT / "tests" / "mutants" / "run.py").read_text("utf-8")
    named = re.findall(r'"((?:smallest_proto|transports|tests)/[\w/.]+)"', text)
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_a_survivor_is_known_by_what_it_changed(mutants: Any) -> None:
    diff = "--- a\n+++ b\n@@ -1 +1 @@\n same\n-    wait = 1\n+    wait = 2\n"
    assert mutants.changed(diff) == ("wait = 1", "wait = 2")


def test_a_mutant_that_was_stopped_halfway_is_taken_back(mutants: Any, tmp_path: Path) -> None:
    module, tree = "smallest_proto/retry.py", tmp_path / "tree"
    (tree / "smallest_proto").mkdir(parents=True)
    (tree / module).write_text("as it was", "utf-8")
    mutants.restore(module, tree)
    (tree / module).write_text("changed", "utf-8")
    mutants.restore(module, tree)
    assert (tree / module).read_text("utf-8") == "as it was"


def test_every_survivor_that_is_kept_has_a_reason_and_is_in_the_code(mutants: Any) -> None:
    for one, why in mutants.kept().items():
        assert len(why.split()) > 3
        assert one.was in re.sub(r"^\s+", "", (ROOT / one.module).read_text("utf-8"), flags=re.MULTILINE), one
