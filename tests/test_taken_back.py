"""The strategies of the kit find a fault whose mend is taken back; ``make taken-back`` does it with all of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smallest_proto import watching
from smallest_proto.transcription import receiving, repetition
from tests.mutants.mends import patches
from tests.mutants.taken_back import FINDERS, MENDS, SILENT, Enough, Mend, look_for

CALLS = 300  # in which these are found: some seconds at most

SOON = ("twice", "silence")  # found in a few calls


def for_calls(calls: int) -> Callable[[], Callable[[], bool]]:
    def make_enough() -> Callable[[], bool]:
        left = iter(range(calls))
        return lambda: next(left, None) is None

    return make_enough


@pytest.mark.parametrize("mend", [mend for mend in MENDS if mend.name in SOON], ids=SOON)
def test_a_mend_that_is_taken_back_is_missed(mend: Mend) -> None:
    result = look_for(mend, for_calls(CALLS), ("strategies",))
    assert result.finder == "strategies"
    assert "CallPlan(" in result.shown


@pytest.mark.parametrize("finder", FINDERS)
def test_with_nothing_taken_back_nothing_is_found(finder: str) -> None:
    with patches() as patch, pytest.raises(Enough):
        FINDERS[finder](SILENT, patch, for_calls(8)())


@pytest.mark.parametrize("mend", MENDS, ids=[mend.name for mend in MENDS])
def test_each_is_taken_back_and_put_there_again(mend: Mend) -> None:
    owners = (receiving, receiving.Receiver, repetition, repetition.Repetition, watching.Watch)
    before = [dict(vars(owner)) for owner in owners]
    with patches() as patch:
        mend.take_back(patch)
        changed = [(owner, name, value) for owner, name, _, value in patch._set]
        assert changed
        for owner, name, value in changed:
            assert getattr(owner, name) is value
        with patch.lifted():
            assert [dict(vars(owner)) for owner in owners] == before
        for owner, name, value in changed:
            assert getattr(owner, name) is value
    assert [dict(vars(owner)) for owner in owners] == before
