"""Lines at the foot of a terminal that are drawn again and again, while what stays scrolls up above them."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.text import Text

from .problems import printed_through

_REDRAWN = 1 / 12  # seconds: nobody sees more


class Display:
    """``lines`` gives what moves, for so many columns and rows at most.

    It is drawn again from where it begins. A terminal that was made narrower has broken its lines by then, so they are
    counted anew at the width of now. What is said to standard error meanwhile goes above it.
    """

    def __init__(
        self,
        console: Console,
        lines: Callable[[int, int], Sequence[Text]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._lines = lines
        self._clock = clock
        self._drawn: list[int] = []  # cells of each line that is on the screen now
        self._drawn_at = -math.inf
        self._through = contextlib.ExitStack()

    def __enter__(self) -> Display:
        self._through.enter_context(printed_through(lambda line: self.stay(Text(line, style="yellow"))))
        self._console.show_cursor(False)
        self._draw()
        return self

    def __exit__(self, *_: object) -> None:
        self._through.close()
        self._erase()
        self._console.show_cursor(True)

    def move(self) -> None:
        """Draw what moves, if it was not drawn just now."""
        if self._clock() - self._drawn_at >= _REDRAWN:
            self._draw()

    def stay(self, text: Text) -> None:
        """Print what stays."""
        with self.hidden():
            self._console.print(text)

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """What moves is off the screen while whole lines are written."""
        self._erase()
        try:
            yield
        finally:
            self._draw()

    def _erase(self) -> None:
        width = self._console.width
        if rows := sum(max(1, -(-cells // width)) for cells in self._drawn):
            up = f"\x1b[{rows - 1}A" if rows > 1 else ""
            self._console.file.write(f"\r{up}\x1b[J")  # all below is erased
            self._console.file.flush()
        self._drawn = []

    def _draw(self) -> None:
        self._erase()
        # Terminals differ about the last column; and what scrolled away cannot be erased.
        width, height = max(1, self._console.width - 1), max(1, self._console.height - 1)
        lines = [line.copy() for line in self._lines(width, height)[-height:]]
        for line in lines:
            line.truncate(width)
        self._console.print(Text("\n").join(lines), end="", no_wrap=True, crop=False)
        self._console.file.flush()
        self._drawn = [line.cell_len for line in lines]
        self._drawn_at = self._clock()
