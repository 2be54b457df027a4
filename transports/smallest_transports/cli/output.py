"""Where transcripts and speech go: standard output, or files that are complete or not there."""

from __future__ import annotations

import errno
import os
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .problems import Problem, WrongUse


def write_out(content: str | bytes) -> None:
    """To standard output: text as the terminal takes it, and in UTF-8 to anything else.

    Raises ``Problem`` if it cannot be written; it is kept elsewhere then.
    """
    out = sys.stdout
    try:
        if out is None:  # whoever started this program has closed it
            raise OSError(errno.EBADF, "it is closed")
        if isinstance(content, str) and out.isatty():
            out.write(content)
        else:
            out.flush()
            out.buffer.write(_encoded(content))
        out.flush()
    except BrokenPipeError:  # the reader has closed the pipe
        raise
    except OSError as error:
        kept = keep(content, "output" if isinstance(content, str) else "speech")
        raise Problem(f"standard output cannot be written: {error.strerror}{kept}") from None


def show(line: str = "") -> None:
    """A line for a person: on a terminal broken between words, if it has to be."""
    if sys.stdout is None or not sys.stdout.isatty():
        write_out(line + "\n")
        return
    from rich.console import Console
    from rich.text import Text

    Console().print(Text(line))


def keep(content: str | bytes, name: str) -> str:
    """Keep paid work that cannot be written: where it is now, as the end of a sentence."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="smallest-proto-"))
        (folder / name).write_bytes(_encoded(content))
    except OSError:
        return ""
    return f"; it is kept in {folder / name}"


def write_file(path: Path, content: str | bytes) -> None:
    """Make ``path`` hold ``content``: beside it first, then renamed, so that a reader never sees a part.

    Raises ``Problem`` if it cannot be written; it is kept elsewhere then.
    """
    data = _encoded(content)
    path = path.resolve()  # a link stays, and leads to the new content
    try:
        if path.exists() and not path.is_file():  # a device or a pipe: nothing to rename over
            path.write_bytes(data)
            return
        part = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
        try:
            with open(part, "xb") as file:
                file.write(data)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise Problem(f"{path}: cannot be written: {why}{keep(data, path.name)}") from None


def _encoded(content: str | bytes) -> bytes:
    return content.encode("utf-8", "replace") if isinstance(content, str) else content


def check_output(path: Path, option: str = "--output") -> None:
    """Find out before the work is done that its result could not be kept. Raises ``WrongUse``."""
    folder = path if path.is_dir() else path.resolve().parent
    if not folder.exists():
        raise WrongUse(f"{option}: the directory {folder} does not exist: make it first")
    if not folder.is_dir():
        raise WrongUse(f"{option}: {folder} is no directory")
    if path.exists() and not path.is_file() and not path.is_dir():  # a device or a pipe
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WrongUse(f"{option}: the directory {folder} is not writable")


def output_names(folder: Path, names: Sequence[str], suffix: str) -> list[Path]:
    """One file in ``folder`` for each name: ``call.wav`` becomes ``call.srt``.

    Raises ``WrongUse`` if two would become one.
    """
    paths = [folder / f"{'stdin' if name == '-' else Path(name).stem}{suffix}" for name in names]
    seen: dict[Path, str] = {}
    for path, name in zip(paths, names, strict=True):
        if path in seen:
            raise WrongUse(f"{seen[path]} and {name} would both become {path}: transcribe them one at a time")
        seen[path] = name
    return paths
