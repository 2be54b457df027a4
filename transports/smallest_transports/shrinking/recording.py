"""One session of a trace as a value: told again, all of it or some inputs, and written down again."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, get_args

from smallest_proto.commands import Command, ExchangeCommand
from smallest_proto.errors import SmallestError
from smallest_proto.values import Value
from smallest_transports._trace import Replay, Told, Trace

_COMMANDS = (*get_args(Command), *get_args(ExchangeCommand))
_NO_TRACE = "this is no trace: give a file that a client with trace=... wrote"


class Outcome(NamedTuple):
    """What came of a replay. ``str`` of it can be read, and shows nothing of what was said."""

    events: list[Any]  # what the application was told
    times: list[float]  # when, in seconds since the first input
    commands: list[Any]  # what the driver was to do
    after: list[int]  # which input each command followed, counted from 0
    stats: Any = None  # the session's, at the end
    error: Exception | None = None  # what the session raised and may not raise: the replay ends there

    def __str__(self) -> str:
        lines = [f"{at:9.3f}  {event!r}" for at, event in zip(self.times, self.events, strict=True)]
        error = [] if self.error is None else [f"the session raised {self.error!r}"]
        return "\n".join([*lines, *error]) or "nothing was told"

    @property
    def kinds(self) -> str:
        """Which events there were, and how many of each."""
        counts = Counter(type(event).__name__ for event in self.events)
        return ", ".join(f"{name} ({count})" for name, count in counts.items()) or "no event"


class Recording:
    """One session of a trace. Raises ``ValueError`` where the lines are not those of a session."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self._replay = Replay(lines)
        self._drawn = tuple(self._replay.drawn)
        self.inputs: list[Told] = self._replay.told
        self.private = self._replay.private  # what was said is in it

    @classmethod
    def read(cls, text: str) -> Recording:
        """The one recording in the lines of a trace. Raises ``ValueError`` where there is another number of them."""
        (only,) = read_recordings(line.encode() for line in text.strip().splitlines())
        return only

    def run(self, inputs: Iterable[Told] | None = None) -> Outcome:
        """Tell a new session the ``inputs``, all that were recorded if none are given, in virtual time."""
        replay = self._replay
        replay.drawn = deque(self._drawn)
        machine: Any = replay.make()
        poll = machine.poll_output
        outcome = Outcome([], [], [], [])
        began: float | None = None
        error: Exception | None = None
        for number, (name, args, at) in enumerate(self.inputs if inputs is None else inputs):
            began = at if began is None else began
            try:
                getattr(machine, name)(*args, at)
            except SmallestError:
                continue  # the application's mistake, which changes nothing
            except Exception as exc:
                error = exc
                break
            while (output := poll()) is not None:
                if isinstance(output, _COMMANDS):
                    outcome.commands.append(output)
                    outcome.after.append(number)
                else:
                    outcome.events.append(output)
                    outcome.times.append(at - began)
        return outcome._replace(stats=getattr(machine, "stats", None), error=error)

    def lines(self, inputs: Sequence[Told] | None = None, *, private: bool = False) -> list[dict[str, Any]]:
        """The lines of a trace with these ``inputs``; without what was said unless ``private``."""
        inputs = self.inputs if inputs is None else inputs
        self.run(inputs)
        drawn = self._drawn[: len(self._drawn) - len(self._replay.drawn)]
        written: list[dict[str, Any]] = []
        traced = Trace(lambda line: written.append(json.loads(line)), private=private).again(self._replay)
        for one in drawn:
            traced.chance(one)
        for told in inputs:
            traced.note(told.name, told.args, told.at)
        return written


def read_recordings(lines: Iterable[bytes]) -> list[Recording]:
    """Every session of a trace, in the order in which they began.

    A last line that was cut off, as when a process dies, is passed over. Raises ``ValueError`` for what is no trace.
    """
    sessions: dict[str, list[dict[str, Any]]] = {}
    cut: Value | Exception | None = None
    for line in lines:
        if cut is not None:
            raise ValueError(_NO_TRACE)
        try:
            read = json.loads(line)
            sessions.setdefault(read["session"], []).append(read)
        except (ValueError, TypeError, KeyError, RecursionError) as exc:
            cut = exc
    if cut is not None and not sessions:
        raise ValueError(_NO_TRACE)
    return [Recording(of_one) for of_one in sessions.values()]
