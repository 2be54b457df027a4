"""The page of facts names tests: each of them is there, and every fact has one and a source."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "faithfulness.md").read_text(encoding="utf-8")
SOURCES = {"api", "probe", "docs", "cookbook", "clients"}


def facts() -> list[list[str]]:
    """The rows of the tables of facts: fact, source, client, server, tests."""
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line[:2] == "| "]
    return [row for row in rows if len(row) == 5 and row[0] != "fact"]


def test_every_test_that_is_named_is_there() -> None:
    there = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 40
    assert named - there == set()


def test_every_fact_has_a_source_and_a_test() -> None:
    assert len(facts()) > 35
    for fact, source, client, server, tests in facts():
        told = re.sub(r"\([^)]*\)", "", source)
        assert {one.strip() for one in told.split(",")} <= SOURCES, fact
        assert client, fact
        assert server, fact
        assert "`test_" in tests, fact


def test_the_kinds_of_imperfection_that_are_named_are_there() -> None:
    from smallest_proto.server.imperfection import Imperfection

    for kind in re.findall(r"--like ([a-z][a-z-]+(?:=[\d.]+)?)", PAGE):
        Imperfection.read([kind])
