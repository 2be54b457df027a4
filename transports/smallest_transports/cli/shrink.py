"""``smallest-proto trace shrink``: a recorded call, cut down to a fault, becomes a test."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from smallest_transports.shrinking import Condition, Recording, Shrunk, read_recordings, written
from smallest_transports.shrinking import shrink as shrink_recording

from .output import check_output, write_file, write_out
from .problems import Problem, WrongUse, say
from .trace_file import calls_of, of_number


class Options(NamedTuple):
    """What was asked for."""

    fails: str
    output: Path | None
    number: int | None  # of the call, from 1 on
    seconds: float  # to search at most
    private: bool


def shrink(path: Path, options: Options) -> None:
    """Write the test, and say what it holds. Raises ``Problem`` where there is nothing to shrink."""
    try:
        condition = Condition(options.fails)
    except ValueError as error:
        raise WrongUse(f"--fails: {error}") from None
    output = options.output or Path(f"test_{re.sub(r'[^0-9A-Za-z_]+', '_', path.stem)}.py")
    to_file = str(output) != "-"
    if to_file:
        check_output(output)
        if options.output is None and output.exists():
            raise WrongUse(f"{output} exists: name it with --output to write over it, or another one")
    until = monotonic() + options.seconds
    recording = _chosen(path, options.number, condition)
    try:
        shrunk = shrink_recording(recording, condition, private=options.private, enough=lambda: monotonic() >= until)
    except ValueError as error:
        raise Problem(f"{path}: {error}") from None
    (write_file if to_file else _print)(output, written(shrunk))
    say(_told(shrunk, output if to_file else None))


def _print(_: Path, text: str) -> None:
    write_out(text)


def _chosen(path: Path, number: int | None, condition: Condition) -> Recording:
    """The call that was asked for; of several, the first that shows the fault."""
    recordings = of_number(path, number, calls_of(path, _read))
    showing = (one for one in recordings if len(recordings) > 1 and condition(one.run()))
    return next(showing, recordings[0])


def _read(path: Path) -> Sequence[Recording]:
    with open(path, "rb") as file:
        return read_recordings(file)


def _told(shrunk: Shrunk, output: Path | None) -> str:
    left = len(shrunk.recording.inputs)
    where = "" if output is None else f", in {output}"
    told = f"{left} of {shrunk.inputs:,} inputs show it{where}"
    return told if shrunk.complete else f"{told}; there may be fewer: give it longer, with --seconds"
