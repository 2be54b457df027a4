"""A few of the cuts of ``speech_cuts.py``, and what it counts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.benchmarks import speech_cuts
from tests.benchmarks.speech_cuts import Cut, Difference, difference, heard, plan, show

SECONDS = 13.0  # of the recording: two finals, 36 words
APART = 3  # words by which calls without a fault were seen to differ in them


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)  # what is lost and retried
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def undisturbed() -> list[str]:
    return heard(Cut("ours", "nothing", 0.0), SECONDS)


@pytest.mark.parametrize(
    ("case", "at"), [("once", 3.0), ("once", 5.5), ("once", 12.5), ("twice", 7.0), ("twice", 10.0), ("outage", 6.0)]
)
def test_a_human_loses_nothing_by_a_cut(undisturbed: list[str], case: str, at: float) -> None:
    assert len(undisturbed) == 36
    told = difference(undisturbed, heard(Cut("ours", case, at), SECONDS))
    assert sum(told) <= APART, told


def test_the_cut_happens_where_it_hurts(undisturbed: list[str]) -> None:
    assert difference(undisturbed, heard(Cut("published", "once", 5.5), SECONDS)).lost > APART


def test_words_are_compared() -> None:
    right = ["it", "was", "the", "best", "of", "times"]
    assert speech_cuts.words("It WAS the best… of times, wasn't it?") == ["it", *right[1:], "wasn't", "it"]
    assert difference(right, right) == Difference(0, 0, 0)
    assert difference(right, ["it", "the", "worst", "of", "all", "times"]) == Difference(lost=1, added=1, changed=1)


def test_the_plan_is_each_half_second_three_times_for_both() -> None:
    calls = plan(0.5, 44.374)
    assert len(calls) == len(set(calls)) == 88 * 3 * 2 + 2 * 9
    assert max(cut.at for cut in calls) == 44.0


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    told: dict[Any, list[str]] = {
        Cut("published", "nothing", 0.0): ["a", "b"],
        Cut("ours", "nothing", 0.0): ["a", "b"],
        Cut("published", "once", 1.0): ["a"],
        Cut("ours", "once", 1.0): ["a", "b"],
    }
    show(told)
    assert "| the link is lost | 1 | 1 / 0 | 0 / 0 | 0 / 0 | 1 / 0 | 0 / 1 |" in capsys.readouterr().out
