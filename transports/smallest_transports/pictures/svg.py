"""A scene as a still: one SVG that needs nothing else. ``picture.js`` draws the same, and zooms."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from .model import LEVEL_SECONDS, LEVELS, Point
from .scene import NAMES, Item, Scene, clock, place_at

_WIDTH = 1200.0  # pixels
_NAMESPACE = "http://www.w3.org/2000/svg"
_MARGIN, _RIGHT = 20.0, 14.0
_HEAD = 86.0  # pixels: the title, the figures
_THIN = 4.0  # pixels: a bar that is narrower has no outline
_CHAR = 6.3  # pixels of a letter, on the average and a little more
_WIDE = 1.8  # such letters: a sign of Chinese, an emoji
_TICKS = 70.0  # pixels between two times of the axis, at least
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200)  # seconds
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

SHAPES = {
    "diamond": "M0-5L5 0 0 5-5 0Z",
    "down": "M-5-4H5L0 5Z",
    "up": "M-4 4H4L0-5Z",
    "square": "M-4-4H4V4H-4Z",
    "dot": "M-1.5 0a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0",
    "ring": "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0",
    "cross": "M-5-5L5 5M-5 5L5-5",
    "flag": "M0 7V-6L7-3 0 0",
}
_PATTERNS = {"again": "M0 6L6 0", "loss": "M0 6L6 0M0 0L6 6"}


def svg(scene: Scene, *, width: float = _WIDTH) -> str:
    """The picture of one call, ``width`` pixels across; light or dark as the reader's system is."""
    return _Still(scene, max(width, 400.0)).drawn()


def style() -> str:
    """The rules of ``picture.css`` with every colour put in, as many readers of SVG know no variables."""
    css = re.sub(r"/\*.*?\*/", "", (Path(__file__).parent / "picture.css").read_text("utf-8"), flags=re.S)
    light, dark = (
        dict(re.findall(r"--([\w-]+): ([^;]+);", block)) for block in re.findall(r"\.sp \{(.*?)\}", css, re.S)
    )
    rules = (
        "\n".join(line for line in css.splitlines() if re.match(r"\.sp [.t]", line))
        + "\n.sp .ground { fill: var(--ground); }"
    )

    def filled(colours: dict[str, str]) -> str:
        return re.sub(r"var\(--([\w-]+)\)", lambda name: colours[name[1]], rules)

    return f"{filled(light)}\n@media (prefers-color-scheme: dark) {{\n{filled(dark)}\n}}"


class _Still:
    """One scene on its way to SVG."""

    def __init__(self, scene: Scene, width: float) -> None:
        self._scene = scene
        self._width = width
        self._room = width - 2 * _MARGIN - NAMES - _RIGHT
        self._last: dict[tuple[str, str, float], float] = {}  # where the last sign of a kind is
        self._scales: dict[float, tuple[float, float]] = {}
        for item in scene.items:
            if item.kind == "plot" and item.points:
                values = [value for _, value in item.points]
                low, high = self._scales.get(item.y, (values[0], values[0]))
                self._scales[item.y] = (min(low, *values, values[0]), max(high, *values, values[0]))

    def drawn(self) -> str:
        scene, width = self._scene, self._width
        legend, rows = self._legend()
        height = _HEAD + scene.height + 18 * rows + 2 * _MARGIN
        size = f'width="{width:g}" height="{height:g}"'
        parts = [
            f'<svg xmlns="{_NAMESPACE}" class="sp" role="img" viewBox="0 0 {width:g} {height:g}" {size}>',
            f"<title>{_text(f'{scene.title}, {scene.ending}')}</title>",
            f"<desc>{_text('; '.join(f'{f.name}: {f.value} {f.hint}'.strip() for f in scene.figures))}</desc>",
            f"<style>{style()}</style>",
            f"<defs>{''.join(map(_pattern, _PATTERNS))}</defs>",
            f'<rect class="ground" width="{width:g}" height="{height:g}"/>',
            f'<g transform="translate({_MARGIN:g} {_MARGIN:g})">',
            *self._head(),
            f'<g transform="translate(0 {_HEAD - _MARGIN:g})">',
            *self._lanes(),
            *self._axis(),
            *(self._item(item) for item in scene.items),
            *self._ends(),
            "</g>",
            f'<g transform="translate(0 {_HEAD - _MARGIN + scene.height + 12:g})">{legend}</g>',
            "</g></svg>",
        ]
        return "\n".join(part for part in parts if part) + "\n"

    def _x(self, at: float) -> float:
        return round(NAMES + min(max(at / self._scene.seconds, 0.0), 1.0) * self._room, 1)

    def _head(self) -> Iterable[str]:
        scene = self._scene
        look = "quiet" if scene.well else "lost"
        title = 14 + len(scene.title) * 10.5
        yield f'<text y="12" style="font-size:17px;font-weight:600">{_text(scene.title)}</text>'
        yield f'<text class="{look}" x="{title:g}" y="12" style="font-size:13px">{_text(scene.ending)}</text>'
        x = 0.0
        for figure in scene.figures:
            look = ' class="lost"' if figure.bad else ""
            yield f'<text class="name" x="{x:g}" y="34">{_text(figure.name)}</text>'
            yield f'<text{look} x="{x:g}" y="51" style="font-size:15px;font-weight:600">{_text(figure.value)}'
            small = 'class="name" dx="6" style="font-size:11px;font-weight:400"'
            yield f"<tspan {small}>{_text(figure.hint)}</tspan></text>"
            x += max(len(figure.name) * 6.5, len(figure.value) * 9 + len(figure.hint) * 6 + 6) + 24

    def _lanes(self) -> Iterable[str]:
        for lane in self._scene.lanes:
            yield f'<rect class="lane" x="{NAMES}" y="{lane.y:g}" width="{self._room:g}" height="{lane.h:g}"/>'
            yield (
                f'<text class="name" x="{NAMES - 10}" y="{lane.y + lane.h / 2 + 4:g}" text-anchor="end">'
                f"{_text(lane.name)}</text>"
            )

    def _axis(self) -> Iterable[str]:
        seconds = self._scene.seconds
        step = next((step for step in _STEPS if step / seconds * self._room >= _TICKS), 14400)
        for number in range(int(seconds / step + 1e-9) + 1):
            x = self._x(number * step)
            end = "end" if x > NAMES + self._room - 20 else "middle"
            yield f'<path class="grid" d="M{x:g} 18V{self._scene.height:g}"/>'
            yield f'<text class="axis" x="{x:g}" y="12" text-anchor="{end}">{_clock(number * step, step)}</text>'

    def _ends(self) -> Iterable[str]:
        """What the plots of a lane reach from and to."""
        for lane in self._scene.lanes:
            if lane.y in self._scales:
                low, high = self._scales[lane.y]
                yield f'<text class="axis end" x="{NAMES + 4}" y="{lane.y + 12:g}">{high:.1f} s</text>'
                place = f'x="{NAMES + self._room - 4:g}" y="{lane.y + lane.h - 5:g}" text-anchor="end"'
                yield f'<text class="axis end" {place}>{low:.1f} s</text>'

    def _item(self, item: Item) -> str:
        paint = getattr(self, f"_{item.kind}", None)
        drawn: str = paint(item) if paint is not None else ""
        tip = f"{clock(item.at)}: {item.tip}"
        return f"<g>{drawn}<title>{_text(tip)}</title></g>" if drawn and item.tip else drawn

    def _bar(self, item: Item) -> str:
        x = self._x(item.a)
        wide = max(1.5, self._x(item.b) - x)
        if wide < item.least:
            return ""
        thin = " thin" if wide < _THIN else ""
        bar = f'<rect class="bar {item.look}{thin}" x="{x:g}" y="{item.y:g}" width="{wide:g}" height="{item.h:g}"/>'
        return bar + self._label("", item.text, x + 4, item.y + item.h / 2 + 4, wide)

    @staticmethod
    def _label(look: str, text: str, x: float, y: float, room: float) -> str:
        text = _fit(text, (room - 8) / _CHAR)
        look = f' class="{look}"' if look else ""
        return f'<text{look} x="{x:g}" y="{y:g}">{_text(text)}</text>' if text else ""

    def _hidden(self, item: Item, least: float) -> bool:
        """Whether one like it is so near, in pixels, that nobody could tell them apart."""
        kind, x = (item.look, item.text, item.y), self._x(item.a)
        if abs(x - self._last.get(kind, -1e9)) < least:
            return True
        self._last[kind] = x
        return False

    def _sign(self, item: Item) -> str:
        if self._hidden(item, 9 if item.look == "quiet" else 3):
            return ""
        hollow = " hollow" if item.text == "ring" else ""
        place = f"translate({self._x(item.a):g} {item.y:g})"
        return f'<path class="sign {item.look}{hollow}" d="{SHAPES[item.text]}" transform="{place}"/>'

    def _text(self, item: Item) -> str:
        x = self._x(item.a) + 10
        return self._label(item.look, item.text, x, item.y + 4, min(self._x(item.b), NAMES + self._room) - x)

    def _rule(self, item: Item) -> str:
        if item.look == "interim" and self._hidden(item, 2):
            return ""
        return f'<path class="rule {item.look}" d="M{self._x(item.a):g} {item.y:g}V{item.y + item.h:g}"/>'

    def _shape(self, item: Item) -> str:
        return f'<path class="{item.look}" d="{self._line(item.points)}Z"/>'

    def _join(self, item: Item) -> str:
        return f'<path class="join {item.look}" d="{self._line(item.points)}"/>'

    def _line(self, points: Sequence[Point]) -> str:
        return "M" + "L".join(f"{self._x(at):g} {down:.1f}" for at, down in points)

    def _plot(self, item: Item) -> str:
        low, high = self._scales[item.y]
        scale, foot = (item.h - 6) / max(0.05, high - low), item.y + item.h - 3
        points = [(at, foot - (value - low) * scale) for at, value in item.points]
        return f'<path class="plot {item.look}" d="{self._line(points)}"/>'

    def _level(self, item: Item) -> str:
        track, middle = item.points, item.y + item.h / 2
        first, last = self._x(track[0][0]), self._x(track[-1][0])
        if not item.text:
            wide = max(1.0, last - first)
            return f'<rect class="level unknown" x="{first:g}" y="{middle - 5:g}" width="{wide:g}" height="10"/>'
        up, down = [], []
        for pixel in range(int(last - first) + 1):
            begin, end = (place_at(track, self._time(first + pixel + more)) for more in (0, 1))
            signs = item.text[
                int(begin / LEVEL_SECONDS) : max(int(begin / LEVEL_SECONDS) + 1, int(end / LEVEL_SECONDS))
            ]
            high = max(0.5, max(map(LEVELS.index, signs), default=0) / (len(LEVELS) - 1) * (item.h / 2 - 1))
            up.append(f"{first + pixel:g} {middle - high:.1f}")
            down.append(f"{first + pixel:g} {middle + high:.1f}")
        return f'<path class="level" d="M{"L".join([*up, *reversed(down)])}Z"/>'

    def _time(self, x: float) -> float:
        return (x - NAMES) / self._room * self._scene.seconds

    def _legend(self) -> tuple[str, int]:
        drawn, x, row = [], float(NAMES), 0
        for look, what in self._scene.legend:
            wide = 46 + len(what) * 5.6
            if x + wide > self._width - 2 * _MARGIN and x > NAMES:
                x, row = float(NAMES), row + 1
            y = row * 18
            drawn.append(f'<g transform="translate({x:g} {y})">{_swatch(look)}')
            drawn.append(f'<text class="name" x="32" y="10">{_text(what)}</text></g>')
            x += wide
        return "".join(drawn), row + 1


def _swatch(look: str) -> str:
    if look == "given" or look == "watermark":
        return f'<path class="plot {look}" d="{"M1 11L25 1" if look == "given" else "M1 11H10V5H18V1H25"}"/>'
    if look == "interim":
        return '<path class="rule interim" d="M13 0V12"/>'
    if look == "lost":
        return f'<path class="sign lost" d="{SHAPES["cross"]}" transform="translate(13 6)"/>'
    return f'<rect class="bar {look}" x="1" y="1" width="24" height="10"/>'


def _pattern(name: str) -> str:
    return (
        f'<pattern id="sp-{name}" width="6" height="6" patternUnits="userSpaceOnUse">'
        f'<rect class="hatch-{name}" width="6" height="6"/>'
        f'<path class="hatch-{name}-line" d="{_PATTERNS[name]}"/></pattern>'
    )


def _fit(text: str, most: float) -> str:
    """As much as there is room for, in letters; what is drawn upon a letter stays with it."""
    used, cut = 0.0, 0  # how far it can be cut off with a sign after it that says so
    for at, sign in enumerate(text):
        upon = unicodedata.category(sign) in ("Mn", "Me", "Cf")
        if used <= most - 1 and not upon:
            cut = at
        used += 0 if upon else _WIDE if unicodedata.east_asian_width(sign) in "WF" else 1
        if used > most:
            return text[:cut].rstrip() + "…" if most >= 4 else ""
    return text


def _clock(seconds: float, step: float) -> str:
    digits = 0 if step >= 1 else 1
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}:{rest:0{digits + 3 if digits else 2}.{digits}f}" if minutes else f"{rest:.{digits}f} s"


def _text(text: str) -> str:
    """Text as XML takes it: what no XML can hold is a replacement character."""
    return escape(_NO_XML.sub("\ufffd", text))
