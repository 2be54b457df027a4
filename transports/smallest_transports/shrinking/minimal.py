"""Delta debugging: the fewest items of a list that a test still fails with.

After "Simplifying and isolating failure-inducing input" (Zeller and Hildebrandt, 2002): leave out large parts, then
smaller ones, at last each item by itself. Only complements are tried, as parts alone seldom fail where order counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def minimal(
    items: Sequence[Item],
    fails: Callable[[list[Item]], bool],
    *,
    enough: Callable[[], bool] = lambda: False,
) -> list[Item]:
    """A sublist of ``items``, in their order, with which ``fails`` holds, and without any one of its items does not.

    The same for the same items and the same ``fails``. ``enough`` is asked between two tries: if it holds, what there
    is by then is returned, which still fails but may have an item too many. Raises ``ValueError`` if ``fails`` does not
    hold with all of them.
    """
    left = list(items)
    if not fails(left):
        raise ValueError("there is nothing to be found: it does not fail with all items")
    if not left or fails([]):
        return []
    size = max(1, len(left) // 2)
    while not enough():
        before = len(left)
        left = _without(left, size, fails, enough)
        if size == 1 and len(left) == before:
            break
        if len(left) == before or size > len(left):
            size = max(1, min(size, len(left)) // 2)
    return left


def _without(
    items: list[Item], size: int, fails: Callable[[list[Item]], bool], enough: Callable[[], bool]
) -> list[Item]:
    """``items`` without each part of ``size`` that is not needed: the last part first, as most faults end a story."""
    end = len(items)
    while end > 0 and not enough():
        start = max(0, end - size)
        without = items[:start] + items[end:]
        if fails(without):
            items = without
        end = start
    return items
