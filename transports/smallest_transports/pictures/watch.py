"""A trace, line by line, to one value for each of its calls.

Each session of the trace is made again and told the same again: what it puts out is what it put out then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from os import PathLike
from typing import Any, get_args

from smallest_proto.errors import SmallestError
from smallest_transports._trace import Exchange, Replay, Told, told_by

from .hearing import Hearing
from .model import Call
from .speaking import Speaking

_OTHERS = frozenset(kind.__name__ for kind in get_args(Exchange))  # a request and its answer are no call to draw
_NO_TRACE = "this is no trace: give a file that a client with trace=... wrote"


class Watch:
    """Give it the lines of a trace, those of a call that goes on too: ``Client(trace=watch.line)``.

    Not for two threads at once.
    """

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._others: set[str] = set()

    def line(self, line: bytes | str) -> None:
        """The next line. Raises ``ValueError`` where it is none of a trace."""
        try:
            read = json.loads(line)
            name = read["session"]
            if "made" in read:
                if read["made"] in _OTHERS:
                    self._others.add(name)
                else:
                    self._sessions[name] = _Session(name, read)
            elif name not in self._others:
                self._sessions[name].add(read)
        except (KeyError, TypeError, ValueError, RecursionError):
            raise ValueError(_NO_TRACE) from None

    def calls(self) -> tuple[Call, ...]:
        """Every call so far, in the order in which they began. Raises ``ValueError`` as ``line`` does."""
        return tuple(session.call() for session in self._sessions.values())


class _Session:
    """One session, a line behind: what a session draws while it is told something comes after that."""

    def __init__(self, name: str, made: dict[str, Any]) -> None:
        self._replay = Replay([made])
        self._name = name
        self._recorder: Hearing | Speaking | None = None
        self._told: Told | None = None

    def add(self, line: dict[str, Any]) -> None:
        if "drawn" in line:
            self._replay.drawn.append(float(line["drawn"]))
            return
        told = told_by(line)
        self._catch_up()
        self._told = told

    def call(self) -> Call:
        return self._catch_up().call()

    def _catch_up(self) -> Hearing | Speaking:
        if self._recorder is None:
            session = self._replay.make()
            kind: Any = Hearing if hasattr(session, "send_audio") else Speaking
            self._recorder = kind(session, self._name, self._replay.config, private=self._replay.private)
        told, self._told = self._told, None
        if told is not None:
            self._tell(self._recorder, told)
        return self._recorder

    @staticmethod
    def _tell(recorder: Hearing | Speaking, told: Told) -> None:
        session: Any = recorder.session
        at = recorder.told(told.name, told.args, told.at)
        try:
            getattr(session, told.name)(*told.args, told.at)
        except SmallestError:
            return  # the application's mistake, which changed nothing then either
        except Exception:  # no session of ours was ever told that, or it would have been the end of the call
            raise ValueError(_NO_TRACE) from None
        while (output := session.poll_output()) is not None:
            recorder.output(output, at)
        recorder.settle(told.name, told.args, at)


def read_calls(lines: Iterable[bytes]) -> tuple[Call, ...]:
    """The calls of a whole trace. A last line that was cut off, as when a process dies, is passed over.

    Raises ``ValueError`` where the lines are not those of a trace.
    """
    watch = Watch()
    for number, line in enumerate(lines, 1):
        if line.endswith(b"\n"):
            try:
                watch.line(line)
            except ValueError:
                if number == 1:
                    raise
                # What is told a session shows at its next line that it cannot have been told.
                raise ValueError(f"line {number}, or one before it, is damaged: no trace goes on like that") from None
    return watch.calls()


def read_file(path: str | PathLike[str]) -> tuple[Call, ...]:
    """The calls of a trace in a file. Raises ``OSError`` where it cannot be read, ``ValueError`` where it is none."""
    with open(path, "rb") as file:
        return read_calls(file)
