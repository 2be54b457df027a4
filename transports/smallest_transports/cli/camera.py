"""A picture of the calls of a command, drawn when they are over, however they end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from .output import check_output, write_file
from .problems import Problem, WrongUse, explain, say

if TYPE_CHECKING:
    from smallest_transports.pictures import Call

_SUFFIXES = (".html", ".htm", ".svg")


class Camera:
    """Give ``trace`` to a client; leaving draws into the file, if one is asked for. What was said is in the picture."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.trace: Callable[[bytes], object] | None = None

    def __enter__(self) -> Camera:
        if self._path is not None:
            from smallest_transports.pictures import Watch

            self._watch = Watch()
            self.trace = self._watch.line
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._path is None:
            return
        try:
            if calls := self._watch.calls():
                draw(self._path, calls)
        except Problem as unwritten:
            if kind is None:
                raise
            say(f"Error: {explain(unwritten)}")  # the other error is the one to tell


def check_picture(path: Path, option: str) -> None:
    """Find out before the call that it could not be drawn. Raises ``WrongUse``."""
    if path.suffix.lower() not in _SUFFIXES:
        raise WrongUse(f"{option}: {path} ends in neither .html (a page to zoom into) nor .svg (a still)")
    check_output(path, option)


def draw(path: Path, calls: Sequence[Call]) -> None:
    """Into a file: all calls as a page, or the one there is as a still. Raises ``Problem``."""
    from smallest_transports import pictures

    if path.suffix.lower() != ".svg":
        write_file(path, pictures.html(calls, title=f"{path.stem}: smallest-proto"))
    elif len(calls) == 1:
        write_file(path, pictures.svg(pictures.scene(calls[0])))
    else:
        for number, call in enumerate(calls, 1):
            write_file(path.with_name(f"{path.stem}-{number}{path.suffix}"), pictures.svg(pictures.scene(call)))
