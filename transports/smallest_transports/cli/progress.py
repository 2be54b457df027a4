"""How far the work is: bars on standard error, if that is a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from .problems import say


class Progress:
    """Bars, one for each piece of work; nothing where they are not ``shown`` or standard error is no terminal."""

    def __init__(self, *, shown: bool = True) -> None:
        console = Console(stderr=True)
        self._bars: RichProgress | None = None
        if shown and console.is_terminal:
            name = TextColumn("{task.description}", markup=False)
            # Standard output stays as it is: the bars must not catch what is written there.
            self._bars = RichProgress(
                name,
                BarColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=console,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )

    def __enter__(self) -> Progress:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The bars are off the screen while lines are written."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()

    @contextlib.contextmanager
    def bar(self, name: str) -> Iterator[Bar]:
        """A bar for one piece of work."""
        if self._bars is None:
            yield Bar(self, None, None)
            return
        task = self._bars.add_task(name, total=None)
        try:
            yield Bar(self, self._bars, task)
        finally:
            self._bars.remove_task(task)


class Bar:
    """One bar, moving to and fro until it is told how far it is; it does nothing where none is shown."""

    def __init__(self, progress: Progress, bars: RichProgress | None, task: TaskID | None) -> None:
        self._progress = progress
        self._bars = bars
        self._task = task

    def move(self, done: float, whole: float) -> None:
        """So much is done, of so much."""
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=done, total=whole)

    def say(self, text: str) -> None:
        """A line beside it."""
        with self._progress.paused():
            say(text)
