"""The calls of a trace that a command is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from .problems import Problem, WrongUse

T = TypeVar("T")


def calls_of(path: Path, read: Callable[[Path], Sequence[T]]) -> Sequence[T]:
    """What ``read`` makes of a trace. Raises ``Problem`` for what is none, and for one without a call."""
    try:
        calls = read(path)
    except ValueError as error:
        raise Problem(f"{path}: {error}") from None
    except OSError as error:
        raise Problem(f"{path}: {error.strerror or type(error).__name__}") from None
    if not calls:
        raise Problem(f"{path} holds no call: a client with trace=... writes one into it")
    return calls


def of_number(path: Path, number: int | None, calls: Sequence[T]) -> Sequence[T]:
    """The one that ``--call`` asks for, or all. Raises ``WrongUse`` for a number that there is not."""
    if number is None:
        return calls
    if number > len(calls):
        raise WrongUse(f"--call {number}: {path} holds {len(calls)}")
    return calls[number - 1 : number]
