"""``smallest-proto trace``: calls that were written down, as text, as a page, as a still, or told again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from smallest_proto.values import reveal
from smallest_transports import pictures
from smallest_transports.memory import replay

from .camera import check_picture, draw
from .output import write_out
from .problems import Problem, WrongUse
from .trace_file import calls_of, of_number

_WIDTH = 80  # columns, where it is no terminal that says how many it has


def show_trace(path: Path, *, output: Path | None, svg: bool, number: int | None) -> None:
    """To standard output as text, or as an SVG; or into a file. Raises ``Problem`` for what is no trace."""
    if output is not None and str(output) != "-":
        check_picture(output, "--output")
        if svg and output.suffix.lower() != ".svg":
            raise WrongUse(f"--svg: {output} does not end in .svg")
    calls = _chosen(path, number)
    if output is not None and str(output) != "-":
        draw(output, calls)
    elif svg:
        if len(calls) > 1:
            raise WrongUse(f"an SVG shows one call, and {path} holds {len(calls)}: choose one with --call")
        write_out(pictures.svg(pictures.scene(calls[0])))
    else:
        write_out(pictures.text([pictures.scene(call) for call in calls], width=_columns()))


def _columns() -> int:
    if sys.stdout is None or not sys.stdout.isatty():
        return _WIDTH
    from rich.console import Console

    return Console().width


def _chosen(path: Path, number: int | None) -> Sequence[pictures.Call]:
    return of_number(path, number, calls_of(path, pictures.read_file))


def replay_trace(path: Path, *, number: int, revealed: bool) -> None:
    """Each output with its time, in seconds since the first one."""
    began: float | None = None
    try:
        for at, output in replay(path, number - 1):
            began = at if began is None else began
            write_out(f"{at - began:9.3f}  {reveal(output) if revealed else repr(output)}\n")
    except ValueError as error:
        raise Problem(str(error)) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Problem(f"{path}: {error.strerror or type(error).__name__}") from None
