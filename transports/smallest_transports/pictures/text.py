"""Scenes for a terminal: the lanes in so many columns, then what happened, line by line."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Sequence

from .model import LEVEL_SECONDS, LEVELS
from .scene import Item, Lane, Scene, clock, place_at

_NAMES = 12  # columns
_LEVELS = " ▁▂▃▄▅▆▇█"
_BARS = {
    "link": "─",
    "opening": "·",
    "fresh": "━",
    "again": "▒",
    "turn": "─",
    "asks": "─",
    "piece": "─",
    "final": "━",
    "provisional": "╌",
    "loss": "×",
    "unheard": "×",
    "unspoken": "×",
}
_SIGNS = {"diamond": "◆", "down": "▼", "up": "▲", "square": "■", "cross": "×", "flag": "►"}
_JOINERS = "\u200c\u200d"  # within words of Hindi or Persian, and within emoji: no terminal obeys them
_MANY = ("interim", "piece")  # nobody wants a line for each
_KEY = ("━ sent; final  ▒ sent again  × lost  ◆ final heard  ▼ finalize; flush  ■ end",)
_STEPS = (0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600, 7200, 36000, math.inf)  # seconds


def text(scenes: Sequence[Scene], *, width: int = 80) -> str:
    """Every call, in at most ``width`` columns."""
    calls = [_call(scene, max(40, width)) for scene in scenes]
    if len(scenes) > 1:
        names = [f"Call {at} of {len(scenes)}" for at in range(1, len(scenes) + 1)]
        calls = [f"{name}\n{'=' * len(name)}\n\n{call}" for name, call in zip(names, calls, strict=True)]
    return "\n".join(calls)


def _call(scene: Scene, width: int) -> str:
    figures = ", ".join(
        f"{figure.name.lower()} {figure.value}" + (f" ({figure.hint})" if figure.hint else "")
        for figure in scene.figures
    )
    lines = [
        *_wrapped(f"{scene.title}, {scene.ending}", width),
        *_wrapped(figures, width, "  "),
        "",
        *_lanes(scene, width),
        *(_KEY if width >= 80 else ()),
        "",
        *(line for note in scene.notes for line in [*_wrapped(note, width), ""]),
    ]
    told = [item for item in scene.items if item.tip and item.look not in _MANY]
    for item in sorted(told, key=lambda item: item.at):
        at = f"{clock(item.at):>9}  "
        lines += [f"{lead}{line}" for lead, line in _led(at, _wrapped(item.tip, width - len(at)))]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _led(lead: str, lines: list[str]) -> list[tuple[str, str]]:
    return [(" " * len(lead) if at else lead, line) for at, line in enumerate(lines)]


def _wrapped(line: str, width: int, indent: str = "") -> list[str]:
    """Broken between words; signs that a terminal would obey are not told, and wide ones count as two."""
    signs = " ".join(line.split())
    plain = "".join(sign if sign in _JOINERS or unicodedata.category(sign)[0] != "C" else "�" for sign in signs)
    wide = any(unicodedata.east_asian_width(sign) in "WF" for sign in plain)
    return textwrap.wrap(plain, width // 2 if wide else width, subsequent_indent=indent) or [""]


def _lanes(scene: Scene, width: int) -> list[str]:
    room = width - _NAMES
    lines = [_axis(scene, room)]
    for lane in scene.lanes:
        its = [item for item in scene.items if lane.y <= item.y < lane.y + lane.h]
        row = _row(scene, its, room)
        if row is not None:
            lines.append(f"{_short(lane):<{_NAMES}}{row}")
    return lines


def _short(lane: Lane) -> str:
    return lane.name.split(",")[0][: _NAMES - 1]


def _axis(scene: Scene, room: int) -> str:
    line = [" "] * room
    step = next(
        step for step in (1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600, 7200, 1e9) if scene.seconds / step <= 6
    )
    for number in range(int(scene.seconds / step) + 1):
        label = f"{number * step:g} s" if step < 60 else f"{number * step / 60:g} min"
        at = int(number * step / scene.seconds * (room - 1))
        if at + len(label) <= room:
            line[at : at + len(label)] = label
    return " " * _NAMES + "".join(line)


def _row(scene: Scene, items: Sequence[Item], room: int) -> str | None:
    """One lane; ``None`` for one that needs more than a line."""
    if any(item.kind == "plot" or item.look == "word" for item in items):
        return None
    line = [" "] * room

    def column(at: float) -> int:
        return min(room - 1, max(0, int(at / scene.seconds * room)))

    for item in items:
        if item.kind == "level":
            _level(scene, item, line)
        elif item.kind == "bar" and item.look in _BARS:
            for at in range(column(item.a), column(item.b) + 1):
                line[at] = _BARS[item.look]
            if item.look in ("final", "turn") and column(item.b) > column(item.a):
                line[column(item.a)] = "┣" if item.look == "final" else "├"
        elif item.kind == "rule" and line[column(item.a)] == " ":
            line[column(item.a)] = "│" if item.look == "cancel" else "·"
    for item in items:
        if item.kind == "sign" and item.text in _SIGNS:
            line[column(item.a)] = _SIGNS[item.text]
    return "".join(line)


def _level(scene: Scene, item: Item, line: list[str]) -> None:
    room = len(line)
    for at in range(room):
        begin, end = (at / room * scene.seconds, (at + 1) / room * scene.seconds)
        if end < item.points[0][0] or begin > item.points[-1][0]:
            continue
        first, last = (int(place_at(item.points, time) / LEVEL_SECONDS) for time in (begin, end))
        signs = item.text[first : max(first + 1, last)]
        if not item.text:
            line[at] = "▄"
        elif signs:
            line[at] = _LEVELS[max(map(LEVELS.index, signs)) * (len(_LEVELS) - 1) // (len(LEVELS) - 1)]
