"""What can be wrong in a table: a row is missing, or a cell holds what stands in another. cosmic-ray knows neither."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from cosmic_ray.operators.operator import Example, Operator
from parso.python.tree import Name, PythonNode

Place = tuple[tuple[int, int], tuple[int, int]]


class Row(NamedTuple):
    """A row of a dict as it is written: where its key begins in the children, its key, and the cells of its value."""

    at: int
    key: Any
    cells: Sequence[Any]


def rows(node: Any) -> list[Row]:
    """The rows of a dict; nothing of what is none."""
    if node.type != "dictorsetmaker" or node.children[-1].type.endswith("comp_for"):
        return []
    children = node.children
    starts = [at for at, child in enumerate(children[:-2]) if getattr(children[at + 1], "value", None) == ":"]
    return [Row(at, children[at], _cells(children[at + 2])) for at in starts]


def _cells(value: Any) -> Sequence[Any]:
    inside = value.children[1] if value.type == "atom" and value.children[0].value == "(" else None
    return inside.children[::2] if inside is not None and inside.type == "testlist_comp" else [value]


class DropRow(Operator):
    """Leaves a row out."""

    def mutation_positions(self, node: Any) -> Iterator[Place]:
        for row in rows(node):
            yield row.key.start_pos, row.cells[-1].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        at = rows(node)[index].at
        return PythonNode(node.type, node.children[:at] + node.children[at + 4 :])

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return Example("x = {1: a, 2: b}", "x = { 2: b}"), Example("x = {1: a, 2: b}", "x = {1: a,}", occurrence=1)


class OtherCell(Operator):
    """Puts into a cell what the next row has there that differs."""

    def _changes(self, node: Any) -> list[tuple[Any, str]]:
        all_rows = rows(node)
        found = []
        for number, row in enumerate(all_rows):
            after = all_rows[number + 1 :] + all_rows[:number]
            for column, cell in enumerate(row.cells):
                code = cell.get_code(include_prefix=False)
                others = (one.cells[column].get_code(include_prefix=False) for one in after if column < len(one.cells))
                other = next((one for one in others if one != code), None)
                if other is not None:
                    found.append((cell, other))
        return found

    def mutation_positions(self, node: Any) -> Iterator[Place]:
        for cell, _ in self._changes(node):
            yield cell.start_pos, cell.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        cell, other = self._changes(node)[index]
        beside = cell.parent.children
        beside[beside.index(cell)] = Name(other, cell.start_pos, cell.get_first_leaf().prefix)
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example("x = {1: (a, b), 2: (a, c)}", "x = {1: (a, c), 2: (a, c)}"),
            Example("x = {1: (a, b), 2: (a, c)}", "x = {1: (a, b), 2: (a, b)}", occurrence=1),
            Example("x = {1: a, 2: b, 3: b}", "x = {1: a, 2: a, 3: b}", occurrence=1),
        )


OPERATORS = {"DropRow": DropRow, "OtherCell": OtherCell}
