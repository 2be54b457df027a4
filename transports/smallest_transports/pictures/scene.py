"""What is drawn: figures, lanes and items, with times along and pixels across. A painter only needs to place times.

There are two painters, of the same scene: ``svg.py`` for a still, ``picture.js`` for a page that zooms.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import msgspec

from .model import Bar, Call, Point

NAMES = 124  # pixels at the left, for the names of the lanes
_MINUTES = 300.0  # seconds: what is longer is told in minutes
TOP = 24  # pixels for the axis


class Figure(msgspec.Struct, frozen=True):
    """A number at the top."""

    name: str
    value: str
    hint: str = ""
    bad: bool = False


class Lane(msgspec.Struct, frozen=True):
    """A row of the picture; pixels."""

    name: str
    y: float
    h: float


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is drawn. ``kind`` says how, ``look`` in which class of the style sheet.

    - ``bar``: from ``a`` to ``b`` seconds, with ``text`` in it where it fits, from ``least`` pixels on
    - ``sign``: a mark of the shape ``text`` at ``a``, its middle at ``y``
    - ``text``: ``text`` from ``a`` on, in the room up to ``b``
    - ``rule``: a line across at ``a``
    - ``shape``: a polygon through ``points`` of (seconds, pixels)
    - ``join``: a line through them
    - ``plot``: a line through ``points`` of (seconds, value), in the scale that all plots at this ``y`` share
    - ``level``: ``text`` is how loud audio is, and ``points`` say when which of its seconds are
    """

    kind: str
    look: str
    a: float
    b: float = 0.0
    y: float = 0.0
    h: float = 0.0
    text: str = ""
    least: int = 0
    points: tuple[Point, ...] = ()
    tip: str = ""  # what it is, in a sentence: it can be chosen, and stands in the list of what happened
    at: float = 0.0  # of what has a tip: when it happened


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """The picture of one call."""

    name: str
    title: str
    ending: str
    well: bool
    live: bool  # more can come
    seconds: float
    height: float
    figures: tuple[Figure, ...]
    notes: tuple[str, ...]
    lanes: tuple[Lane, ...]
    items: tuple[Item, ...]
    legend: tuple[tuple[str, str], ...]  # (look, what it is)


NOT_PRIVATE = "What was said is not in this trace: words are shown by their times alone. trace_private=True keeps it."


class Stage:
    """Lanes from top to bottom, and what is on them."""

    def __init__(self) -> None:
        self.y = float(TOP)
        self.lanes: list[Lane] = []
        self.items: list[Item] = []

    def lane(self, name: str, h: float, gap: float = 8) -> float:
        """A lane below the others; returns its top."""
        y = self.y
        self.lanes.append(Lane(name, y, h))
        self.y += h + gap
        return y

    def add(self, kind: str, look: str, a: float, **fields: Any) -> None:
        """One more item."""
        if fields.get("tip"):
            fields["at"] = round(fields.get("at", a), 3)
        self.items.append(Item(kind=kind, look=look, a=round(a, 3), **fields))

    def bar(self, look: str, a: float, b: float, y: float, h: float, text: str = "", **fields: Any) -> None:
        """From one time to another."""
        self.add("bar", look, a, b=round(max(a, b), 3), y=y, h=h, text=text, **fields)

    def scene(
        self,
        call: Call,
        title: str,
        seconds: float,
        figures: tuple[Figure, ...],
        legend: tuple[tuple[str, str], ...],
    ) -> Scene:
        """The picture of ``call``, with all that was put here."""
        return Scene(
            name=call.name,
            title=title,
            ending=call.ending or "goes on",
            well=call.well,
            live=not call.ending,
            seconds=max(seconds, 0.5),
            height=self.y,
            figures=figures,
            notes=() if call.private else (NOT_PRIVATE,),
            lanes=tuple(self.lanes),
            items=tuple(self.items),
            legend=legend,
        )

    def sign(self, look: str, shape: str, a: float, y: float, tip: str = "") -> None:
        """A mark."""
        self.add("sign", look, a, y=y, text=shape, tip=tip)


class Clock:
    """Places of the stream -> when they were given, along a track."""

    def __init__(self, track: Sequence[Point]) -> None:
        self._track = track
        self._places = [place for _, place in track]

    def when(self, place: float) -> float:
        """When ``place`` was given; what lies beyond the ends is at the ends."""
        track = self._track
        if not track:
            return 0.0
        at = bisect_right(self._places, place)
        if at == 0:
            return track[0][0]
        if at == len(track):
            return track[-1][0]
        (t0, p0), (t1, p1) = track[at - 1], track[at]
        return t0 + (t1 - t0) * (place - p0) / (p1 - p0) if p1 > p0 else t1


def place_at(track: Sequence[Point], when: float) -> float:
    """The value of a track at a time."""
    return Clock(tuple((value, at) for at, value in track)).when(when)


def rows_of(links: Sequence[Bar], until: float, *, own: int) -> list[int]:
    """A row for each link: its own where there are few, else the first that is free, with room for its text."""
    if len(links) <= own:
        return list(range(len(links)))
    free: list[float] = []
    rows = []
    for link in links:
        row = next((row for row, end in enumerate(free) if end <= link.asked), len(free))
        end = (link.ended if link.ended is not None else until) + until * 0.02
        free[row : row + 1] = [end]
        rows.append(row)
    return rows


def length(seconds: float) -> str:
    """How long something lasts."""
    return f"{seconds:.1f} s" if seconds < _MINUTES else f"{int(seconds / 60)}:{seconds % 60:02.0f} min"


def clock(seconds: float) -> str:
    """A time in the call, as people write it."""
    minutes, rest = divmod(max(0.0, seconds), 60)
    return f"{int(minutes)}:{rest:06.3f}" if minutes else f"{rest:.3f} s"
