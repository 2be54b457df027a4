"""What the mutants are made of exists, and what may live of them says why."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


MUTANTS = ROOT / "tests" / "mutants"


@pytest.fixture
def forks() -> None:
    pytest.importorskip("resource", reason="a mutant runs in a fork")


@pytest.fixture
def mutants(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("resource", reason="a mutant runs in a fork")
    pytest.importorskip("cosmic_ray", reason="make mutants installs it")
    monkeypatch.syspath_prepend(MUTANTS)
    return importlib.import_module("run")


def test_the_modules_and_their_tests_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(MUTANTS)
    modules = importlib.import_module("modules").MODULES
    assert len(modules) > 10
    assert [path for module, tests in modules.items() for path in (module, *tests) if not (ROOT / path).exists()] == []


def test_a_survivor_is_known_by_what_it_changed(mutants: Any) -> None:
    diff = "--- a\n+++ b\n@@ -1 +1 @@\n same\n-    wait = 1\n+    wait = 2\n"
    assert mutants.changed(diff) == ("wait = 1", "wait = 2")


def test_a_mutant_that_was_stopped_halfway_is_taken_back(mutants: Any, tmp_path: Path) -> None:
    module, tree = "smallest_proto/retry.py", tmp_path / "tree"
    mutants.make_tree(tree)
    (tree / module).write_text("changed", "utf-8")
    mutants.make_tree(tree)
    assert (tree / module).read_text("utf-8") == (ROOT / module).read_text("utf-8")


@pytest.mark.usefixtures("mutants")
def test_a_table_loses_a_row_or_has_another_ones_cell() -> None:
    tables, mutating = importlib.import_module("tables"), importlib.import_module("cosmic_ray.mutating")
    for operator in tables.OPERATORS.values():
        examples = operator.examples()
        for one in examples:
            assert mutating.mutate_code(one.pre_mutation_code, operator(), one.occurrence) == one.post_mutation_code
        assert mutating.mutate_code("x = {1, 2, 3}, {a: b for a in c}", operator(), 0) is None


@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize(("body", "lives"), [("pass", True), ("raise ValueError", False), ("while True: pass", False)])
def test_a_mutant_lives_if_tests_pass_in_time(tmp_path: Path, body: str, lives: bool) -> None:
    (tmp_path / "test_it.py").write_text(f"def test_it():\n    {body}\n", "utf-8")
    code = f"from forked import run_tests; print(run_tests([{str(tmp_path)!r}], seconds=2.0).code == 0)"
    run = subprocess.run([sys.executable, "-c", code], cwd=MUTANTS, capture_output=True, text=True, check=True)
    assert run.stdout == f"{lives}\n"


THING = """
LIMIT = 3

class Thing:
    @property
    def double(self):
        return [2 * one for one in range(LIMIT)]

    def calm(self):
        n = LIMIT
        while n > 0:
            n -= 1
        return n

def unused():
    return 1
"""
TEST = """
from thing import Thing

def test_double():
    assert Thing().double == [0, 2, 4]

def test_calm():
    assert Thing().calm() == 0
"""
ASK = """
import sys
sys.path.insert(0, {mutants!r})
import forked
forked.AT_LEAST_WORKING = 0.5
pipe = forked.host("thing.py", ["test_thing.py"])
source = open("thing.py").read()
for was, became in {changes!r}:
    pipe.send(source.replace(was, became))
    print(pipe.recv())
pipe.close()
"""


@pytest.mark.usefixtures("forks")
def test_a_function_is_changed_where_it_is_and_what_an_import_decides_is_not(tmp_path: Path) -> None:
    (tmp_path / "thing.py").write_text(THING, "utf-8")
    (tmp_path / "test_thing.py").write_text(TEST, "utf-8")
    changes = {
        ("2 * one", "3 * one"): True,  # inside of a comprehension of a property of a class
        ("2 * one", "2 * one + 0"): False,  # no test can tell
        ("n > 0", "n >= 0"): True,
        ("n -= 1", "n -= 0"): True,  # for ever
        ("return n", "return ("): True,
        ("return 1", "return 2"): None,  # no test calls it
        ("LIMIT = 3", "LIMIT = 4"): None,
    }
    code = ASK.format(mutants=str(MUTANTS), changes=list(changes))
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [str(killed) for killed in changes.values()]


def test_every_survivor_that_is_kept_has_a_reason_and_is_in_the_code(mutants: Any) -> None:
    for one, why in mutants.kept().items():
        assert len(why.split()) > 3
        assert one.was in re.sub(r"^\s+", "", (ROOT / one.module).read_text("utf-8"), flags=re.MULTILINE), one
