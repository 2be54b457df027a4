"""How far the work is: a line for each piece of it on standard error, if that is a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from .display import Display
from .problems import say

_BAR = 20  # columns
_EVERY = 0.25  # seconds: time is shown by the second


class Progress:
    """Bars, one for each piece of work; nothing where they are not ``shown`` or standard error is no terminal.

    To be entered where an event loop runs.
    """

    def __init__(self, *, shown: bool = True) -> None:
        console = Console(stderr=True)
        self._bars: list[Bar] = []
        visible = shown and console.is_terminal and not console.is_dumb_terminal
        self._display = Display(console, self._lines) if visible else None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Progress:
        if self._display is not None:
            self._display.__enter__()
            self._tick()
        return self

    def __exit__(self, *_: object) -> None:
        if self._display is not None:
            self._display.__exit__()
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        self.move()
        self._timer = asyncio.get_running_loop().call_later(_EVERY, self._tick)

    def move(self) -> None:
        """Something has changed."""
        if self._display is not None:
            self._display.move()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Take the bars off the screen while lines are written."""
        with self._display.hidden() if self._display is not None else contextlib.nullcontext():
            yield

    @contextlib.contextmanager
    def bar(self, name: str) -> Iterator[Bar]:
        """A bar for one piece of work."""
        bar = Bar(self, name)
        self._bars.append(bar)
        try:
            yield bar
        finally:
            self._bars.remove(bar)

    def _lines(self, width: int, height: int) -> list[Text]:
        return [bar.line(width) for bar in self._bars[:height]]


class Bar:
    """One bar: how long it takes so far and, once that is told, how far it is."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._name = " ".join(name.split())
        self._begun = time.monotonic()
        self._part: float | None = None

    def move(self, done: float, whole: float) -> None:
        """So much is done, of so much."""
        self._part = min(1.0, done / whole) if whole else None
        self._progress.move()

    def say(self, text: str) -> None:
        """A line beside it."""
        say(text)

    def line(self, width: int) -> Text:
        """The bar in this many columns. Of a long name the end is shown: it differs most."""
        seconds = int(time.monotonic() - self._begun)
        after = f"  {seconds // 60}:{seconds % 60:02d}"
        filled = round(_BAR * self._part) if self._part is not None else 0
        bar = f"  {'━' * filled}{'·' * (_BAR - filled)}" if self._part is not None and width > 2 * _BAR else ""
        room = max(1, width - len(bar) - len(after))
        name = self._name
        if cell_len(name) > room:
            name = "…" + set_cell_size(name[::-1], room - 1)[::-1]
        return Text.assemble(name, (bar, "cyan"), (after, "dim"))
