"""Delta debugging finds what cannot be left out, whatever the test that fails is like."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_transports.shrinking import minimal

Fails = Callable[[list[int]], bool]

items = st.lists(st.integers(0, 30), min_size=1, max_size=40)
needed = st.sets(st.integers(0, 30), min_size=1, max_size=5)


def monotone(wanted: set[int]) -> Fails:
    return lambda some: wanted <= {*some}


def in_order(wanted: list[int]) -> Fails:
    """They come in this order, whatever is between them."""

    def fails(some: list[int]) -> bool:
        left = iter(some)
        return all(one in left for one in wanted)

    return fails


def not_monotone(modulus: int) -> Fails:
    """With one item fewer it can pass, and with two fewer it can fail again."""
    return lambda some: bool(some) and sum(some) % modulus == 0


tests = st.one_of(
    needed.map(monotone),
    st.lists(st.integers(0, 30), min_size=1, max_size=4).map(in_order),
    st.integers(2, 7).map(not_monotone),
)


@given(all_items=items, fails=tests)
def test_what_is_left_fails_is_a_part_and_has_no_item_too_many(all_items: list[int], fails: Fails) -> None:
    if not fails(all_items):
        with pytest.raises(ValueError, match="nothing to be found"):
            minimal(all_items, fails)
        return
    left = minimal(all_items, fails)
    assert fails(left)
    rest = iter(all_items)
    assert all(one in rest for one in left), "in their order, none of them new"
    for at in range(len(left)):
        assert not fails(left[:at] + left[at + 1 :])
    assert minimal(all_items, fails) == left


@given(all_items=items, fails=tests, tries=st.integers(0, 30))
def test_a_search_that_is_ended_early_has_something_that_fails(all_items: list[int], fails: Fails, tries: int) -> None:
    if not fails(all_items):
        return
    asked = 0

    def enough() -> bool:
        nonlocal asked
        asked += 1
        return asked > tries

    left = minimal(all_items, fails, enough=enough)
    assert fails(left)
    assert len(left) <= len(all_items)


def test_few_of_many_are_found_in_few_tries() -> None:
    tries = 0

    def fails(some: list[int]) -> bool:
        nonlocal tries
        tries += 1
        return {17, 50_000, 99_999} <= {*some}

    assert minimal(range(100_000), fails) == [17, 50_000, 99_999]
    assert tries < 200


def test_what_fails_with_nothing_is_nothing() -> None:
    assert minimal([1, 2], lambda _: True) == []
