"""What shows a fault: an expression of Python over what a replayed call put out.

``"AudioLost"``: there is an event of that name. ``"SessionEnded.reason == 'failed'"``: there is one of which that
holds. These can be joined with ``and``, ``or`` and ``not``. Anything else is plain Python with these names:

``events``    what the application was told, in order
``times``     when it was told each, in seconds since the first input
``commands``  what the driver was to do, in order
``stats``     the session's ``stats`` at the end
``error``     what the session raised that no session may raise, or ``None``

An enumeration is compared as its text: ``'failed'`` is ``EndReason.FAILED``.
"""

from __future__ import annotations

import ast
import builtins
import enum
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, get_args

from smallest_proto import commands
from smallest_proto.http.exchange import ExchangeFailed, ExchangeRetried
from smallest_proto.http.files import FileTranscript, TranscriptionAccepted
from smallest_proto.http.voices import Voices
from smallest_proto.synthesis.events import SpeechEvent, SpeechFinished
from smallest_proto.transcription.events import Event
from smallest_proto.values import Value

from .recording import Outcome

_OF_EXCHANGES = (ExchangeFailed, ExchangeRetried, FileTranscript, TranscriptionAccepted, Voices, SpeechFinished)
EVENTS: dict[str, type] = {kind.__name__: kind for kind in (*get_args(Event), *get_args(SpeechEvent), *_OF_EXCHANGES)}
COMMANDS: dict[str, type] = {
    kind.__name__: kind for kind in (*get_args(commands.Command), *get_args(commands.ExchangeCommand))
}
_LISTS = ("events", "times", "commands")
NAMES = (*_LISTS, "stats", "error")

_Part = Callable[[Outcome], bool]


class Condition:
    """An expression, read. Raises ``ValueError``, which says what is wrong with it.

    Call it with the outcome of a replay. ``problem`` is what it raised the last time, where it could not be worked out:
    it does not hold then.
    """

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self.problem: Exception | None = None
        try:
            read = ast.parse(self.text, mode="eval")
        except (SyntaxError, ValueError) as exc:
            why = exc.msg if isinstance(exc, SyntaxError) else str(exc)
            raise ValueError(
                f"{text!r} is no expression of Python ({why}): write the name of an event, such as AudioLost, "
                "or \"SessionEnded.reason == 'failed'\""
            ) from None
        _check_names(read)
        self._holds = self._part(read.body)

    def __call__(self, outcome: Outcome) -> bool:
        self.problem = None
        return self._holds(outcome)

    def __repr__(self) -> str:
        return f"Condition({self.text!r})"

    def _part(self, node: ast.expr) -> _Part:
        if isinstance(node, ast.BoolOp):
            parts = [self._part(value) for value in node.values]
            join = all if isinstance(node.op, ast.And) else any
            return lambda outcome: join(part(outcome) for part in parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            negated = self._part(node.operand)
            return lambda outcome: not negated(outcome)
        names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
        code = compile(ast.Expression(node), "<--fails>", "eval")
        asked = sorted(names & {*EVENTS, *COMMANDS})
        if not asked or names & {*_LISTS}:
            return lambda outcome: self._evaluate(code, {**EVENTS, **COMMANDS, **_given(outcome)})
        _check_fields(node)
        return lambda outcome: any(self._evaluate(code, named) for named in _each(asked, outcome))

    def _evaluate(self, code: Any, names: dict[str, Any]) -> bool:
        try:
            return bool(eval(code, names))  # the user's own, from their own shell
        except Exception as exc:  # an event without that field's value, say
            self.problem = exc
            return False


class _Seen:
    """A value as an expression has it: its enumerations are their texts."""

    __slots__ = ("_of",)

    def __init__(self, of: Any) -> None:
        self._of = of

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # so that isinstance() can be asked
        return type(self._of)

    def __getattr__(self, name: str) -> Any:
        return _seen(getattr(self._of, name))

    def __eq__(self, other: object) -> bool:
        return bool(self._of == (object.__getattribute__(other, "_of") if type(other) is _Seen else other))

    def __hash__(self) -> int:
        return hash(self._of)

    def __repr__(self) -> str:
        return repr(self._of)


def _seen(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    return _Seen(value) if isinstance(value, Value) else value


def _given(outcome: Outcome) -> dict[str, Any]:
    return {
        "events": list(map(_seen, outcome.events)),
        "times": outcome.times,
        "commands": list(map(_seen, outcome.commands)),
        "stats": outcome.stats,
        "error": outcome.error,
    }


def _each(asked: list[str], outcome: Outcome) -> Iterator[dict[str, Any]]:
    """The names of kinds, as every choice of one event or command for each of them."""
    put_out = (*outcome.events, *outcome.commands)
    of_kinds = [[_seen(one) for one in put_out if type(one).__name__ == name] for name in asked]
    for chosen in product(*of_kinds):
        yield {"stats": outcome.stats, "error": outcome.error, **dict(zip(asked, chosen, strict=True))}


def _check_names(read: ast.Expression) -> None:
    names = [node for node in ast.walk(read) if isinstance(node, ast.Name)]
    own = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    own |= {node.arg for node in ast.walk(read) if isinstance(node, ast.arg)}
    known = {*EVENTS, *COMMANDS, *NAMES, *dir(builtins), *own}
    for node in names:
        if node.id not in known:
            raise ValueError(
                f"there is no {node.id!r}: use the name of an event ({', '.join(sorted(EVENTS))}) or of a command "
                f"({', '.join(sorted(COMMANDS))}), or {', '.join(NAMES)}"
            )


def _check_fields(read: ast.expr) -> None:
    kinds = {**EVENTS, **COMMANDS}
    for node in ast.walk(read):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in kinds:
            kind: Any = kinds[node.value.id]
            if not hasattr(kind, node.attr):
                fields = ", ".join(kind.__struct_fields__) or "no fields"
                raise ValueError(f"{node.value.id} has no {node.attr!r}: it has {fields}")
