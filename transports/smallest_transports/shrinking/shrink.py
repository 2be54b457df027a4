"""A recording, shrunk: whole kinds of inputs go first, pieces are joined, and delta debugging does the rest."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from smallest_proto.commands import OpenLink
from smallest_transports._trace import Told

from .condition import Condition
from .minimal import minimal
from .recording import Outcome, Recording

# Inputs of which two in a row can be one: audio and text are given in pieces of any size, and bodies come in any.
_JOINED = frozenset(("send_audio", "send_text", "body_received"))
_OF_LINKS = frozenset(("link_opened", "link_failed", "link_closed", "message_received", "pong_received", "write_done"))
_LAST_LINKS = 8  # with each of which a call is tried to begin
_DECIMALS = 6  # of a second, in what is written
_LATE = 2e-6  # seconds


class Shrunk(NamedTuple):
    """What is left of a recording."""

    recording: Recording  # the inputs that are left alone
    condition: Condition  # holds for it
    inputs: int  # how many there were
    complete: bool  # without any one of them the condition does not hold

    @property
    def outcome(self) -> Outcome:
        """What comes of it."""
        return self.recording.run()


def shrink(
    recording: Recording,
    condition: Condition,
    *,
    private: bool = False,
    enough: Callable[[], bool] = lambda: False,
) -> Shrunk:
    """The fewest inputs of ``recording`` for which ``condition`` still holds, each at its own time.

    What was said is left out, unless ``private``. ``enough`` ends the search early, as in ``minimal``. Pieces of audio
    or text that follow each other become one input. Raises ``ValueError`` where the condition does not hold at all,
    where it holds with no input, and where it does not hold without what was said.
    """
    inputs = len(recording.inputs)
    _check(recording, condition)
    if recording.private and not private:
        recording = Recording(recording.lines())
        if not condition(recording.run()):
            raise ValueError(f"{condition.text} does not hold without what was said: --private keeps that in the test")

    def fails(some: Sequence[Told]) -> bool:
        return condition(recording.run(some))

    left = _without_kinds(_later(recording, fails), fails)
    while True:
        joined = _join(left)
        if len(joined) < len(left) and fails(joined):
            left = joined
        left = minimal(left, fails, enough=enough)
        if enough() or len(_join(left)) == len(left) or not fails(_join(left)):
            break
    return Shrunk(_plain(recording, left, condition, private=private), condition, inputs, not enough())


def _check(recording: Recording, condition: Condition) -> None:
    outcome = recording.run()
    if not condition(outcome):
        if (problem := condition.problem) is not None:
            raise ValueError(f"{condition.text} cannot be worked out: {type(problem).__name__}: {problem}")
        raise ValueError(f"{condition.text} does not hold for this call: it told {outcome.kinds}")
    if condition(recording.run(())):
        raise ValueError(f"{condition.text} holds for a call without any input too: say what the fault shows")


def _later(recording: Recording, fails: Callable[[Sequence[Told]], bool]) -> Sequence[Told]:
    """The call as if it had begun with one of its later links: what was before that link is not needed, as a rule.

    Inputs name links by number, so that no link before a needed one could go by itself.
    """
    inputs, outcome = recording.inputs, recording.run()
    opened = [
        (number, command.link)
        for number, command in zip(outcome.after, outcome.commands, strict=True)
        if isinstance(command, OpenLink)
    ]
    starts = [told for told in inputs if told.name == "start"]
    # The last ones first, then ever larger steps back: each try costs as much as what it keeps.
    back = {at for at in range(1, len(opened)) if at <= _LAST_LINKS or at & (at - 1) == 0}
    for at in sorted(back):
        number, link = opened[-at]
        updates = [told for told in inputs[: number + 1] if told.name == "update"]
        before = [told._replace(at=inputs[number].at) for told in (*starts[:1], *updates[-1:])]
        later = [*before, *_renumbered(inputs[number + 1 :], link - 1)]
        if starts and fails(later):
            return later
    return inputs


def _renumbered(inputs: Sequence[Told], less: int) -> list[Told]:
    """Inputs of links that are numbered by so much less; those of earlier links are gone."""
    made = []
    for told in inputs:
        if told.name not in _OF_LINKS:
            made.append(told)
        elif told.args[0] > less:
            made.append(told._replace(args=(told.args[0] - less, *told.args[1:])))
    return made


def _without_kinds(inputs: Sequence[Told], fails: Callable[[Sequence[Told]], bool]) -> list[Told]:
    """Without each kind of input that the fault does not need: most are signs of life, and not needed."""
    left = list(inputs)
    for name in dict.fromkeys(told.name for told in inputs):
        without = [told for told in left if told.name != name]
        if fails(without):
            left = without
    return left


def _join(inputs: Sequence[Told]) -> list[Told]:
    """Pieces that follow each other, as one, at the time of the last of them."""
    joined: list[Told] = []
    pieces: list[Told] = []

    def end() -> None:
        if pieces:
            joined.append(_one(pieces))
            pieces.clear()

    for told in inputs:
        if told.name not in _JOINED or not isinstance(told.args[0], (bytes, str)):
            end()
            joined.append(told)
            continue
        if pieces and (pieces[-1].name != told.name or type(pieces[-1].args[0]) is not type(told.args[0])):
            end()
        pieces.append(told)
    end()
    return joined


def _one(pieces: Sequence[Told]) -> Told:
    given = [piece.args[0] for piece in pieces]
    return pieces[-1]._replace(args=("".join(given) if isinstance(given[0], str) else b"".join(given),))


def _plain(recording: Recording, left: Sequence[Told], condition: Condition, *, private: bool) -> Recording:
    """The recording of what is left; its times from 0 on, where that is as good."""
    whole = math.floor(left[0].at)  # which changes no fraction of a second
    exactly = [told._replace(at=told.at - whole) for told in left]
    for inputs in (_from_zero(left), exactly, left):
        made = Recording(recording.lines(inputs, private=private))
        if condition(made.run()):
            return made
    raise ValueError(f"{condition.text} does not hold for what is left of the call, once it is written down")


def _from_zero(inputs: Sequence[Told]) -> list[Told]:
    """The same with short times, which begin at 0. A deadline is not missed by that: it is told a little late."""
    moved, now = [], 0.0
    for told in inputs:
        at = round(told.at - inputs[0].at + (_LATE if told.name == "handle_timer" else 0.0), _DECIMALS)
        now = max(now, at)
        moved.append(told._replace(at=now))
    return moved
