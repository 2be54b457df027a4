"""Where a speaker's turn starts and ends. One table; START and END strictly alternate because no cell lets them not.

The rules, from the wire's facts:

- With voice activity events a turn starts at ``speech_started`` and ends at ``speech_ended``. These are acoustic and
  independent of finals: what was said before ``speech_ended`` can become final after it, and belongs to the ended turn.
- The service's detector misses quiet speech, and without the events there is no start at all: then the first transcript
  that says something starts the turn. Punctuation alone says nothing.
- A final alone does not end a turn when the service cuts inside an utterance. The answer to a finalize, the last final
  and ``speech_final`` do. Without voice activity events a final does where no speech follows it, and a pause does.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from smallest_proto.values import Name

# Whether a transcript holds a letter or a digit of any script: "." and "।" alone are no speech.
says_something = re.compile(r"[^\W_]").search


class TurnState(Name):
    """What we know of the speaker."""

    SILENT = "silent"
    SPEAKING = "speaking"  # something of this turn is not final yet
    SETTLED = "settled"  # the turn goes on; all of it so far is final
    TRAILING = "trailing"  # the turn is over; its last final may still come


class TurnInput(Name):
    """What can happen to a turn."""

    ONSET = "onset"  # speech_started
    OFFSET = "offset"  # speech_ended
    WORDS = "words"  # an interim that says something
    FINAL = "final"  # a final that says something, inside an utterance
    FINAL_END = "final_end"  # a final that says something and ends the turn
    LATE = "late"  # a final of a turn that has ended
    EMPTY = "empty"  # a final that says nothing, inside an utterance
    EMPTY_END = "empty_end"  # a final that says nothing and ends the turn
    PAUSE = "pause"  # no event of the service ends the turn, and nothing was said for a while
    END = "end"  # the session ends


class TurnAction(Name):
    """What the application is told: START before the transcript, END after it."""

    NOTHING = "nothing"
    START = "start"
    END = "end"
    START_AND_END = "start and end"


State, Input, Action = TurnState, TurnInput, TurnAction
TurnTable: TypeAlias = dict[tuple[TurnState, TurnInput], tuple[TurnAction, TurnState]]

# fmt: off
TURNS: TurnTable = {
    (State.SILENT,   Input.ONSET):     (Action.START,         State.SPEAKING),
    (State.SILENT,   Input.OFFSET):    (Action.NOTHING,       State.SILENT),
    (State.SILENT,   Input.WORDS):     (Action.START,         State.SPEAKING),
    (State.SILENT,   Input.FINAL):     (Action.START,         State.SETTLED),
    (State.SILENT,   Input.FINAL_END): (Action.START_AND_END, State.SILENT),
    (State.SILENT,   Input.LATE):      (Action.NOTHING,       State.SILENT),
    (State.SILENT,   Input.EMPTY):     (Action.NOTHING,       State.SILENT),
    (State.SILENT,   Input.EMPTY_END): (Action.NOTHING,       State.SILENT),
    (State.SILENT,   Input.PAUSE):     (Action.NOTHING,       State.SILENT),
    (State.SILENT,   Input.END):       (Action.NOTHING,       State.SILENT),

    (State.SPEAKING, Input.ONSET):     (Action.NOTHING,       State.SPEAKING),
    (State.SPEAKING, Input.OFFSET):    (Action.END,           State.TRAILING),
    (State.SPEAKING, Input.WORDS):     (Action.NOTHING,       State.SPEAKING),
    (State.SPEAKING, Input.FINAL):     (Action.NOTHING,       State.SETTLED),
    (State.SPEAKING, Input.FINAL_END): (Action.END,           State.SILENT),
    (State.SPEAKING, Input.LATE):      (Action.NOTHING,       State.SPEAKING),
    (State.SPEAKING, Input.EMPTY):     (Action.NOTHING,       State.SETTLED),
    (State.SPEAKING, Input.EMPTY_END): (Action.END,           State.SILENT),
    (State.SPEAKING, Input.PAUSE):     (Action.NOTHING,       State.SPEAKING),
    (State.SPEAKING, Input.END):       (Action.END,           State.SILENT),

    (State.SETTLED,  Input.ONSET):     (Action.NOTHING,       State.SPEAKING),
    (State.SETTLED,  Input.OFFSET):    (Action.END,           State.TRAILING),
    (State.SETTLED,  Input.WORDS):     (Action.NOTHING,       State.SPEAKING),
    (State.SETTLED,  Input.FINAL):     (Action.NOTHING,       State.SETTLED),
    (State.SETTLED,  Input.FINAL_END): (Action.END,           State.SILENT),
    (State.SETTLED,  Input.LATE):      (Action.NOTHING,       State.SETTLED),
    (State.SETTLED,  Input.EMPTY):     (Action.NOTHING,       State.SETTLED),
    (State.SETTLED,  Input.EMPTY_END): (Action.END,           State.SILENT),
    (State.SETTLED,  Input.PAUSE):     (Action.END,           State.SILENT),
    (State.SETTLED,  Input.END):       (Action.END,           State.SILENT),

    (State.TRAILING, Input.ONSET):     (Action.START,         State.SPEAKING),
    (State.TRAILING, Input.OFFSET):    (Action.NOTHING,       State.TRAILING),
    (State.TRAILING, Input.WORDS):     (Action.NOTHING,       State.TRAILING),
    (State.TRAILING, Input.FINAL):     (Action.START,         State.SETTLED),
    (State.TRAILING, Input.FINAL_END): (Action.START_AND_END, State.SILENT),
    (State.TRAILING, Input.LATE):      (Action.NOTHING,       State.SILENT),
    (State.TRAILING, Input.EMPTY):     (Action.NOTHING,       State.SILENT),
    (State.TRAILING, Input.EMPTY_END): (Action.NOTHING,       State.SILENT),
    (State.TRAILING, Input.PAUSE):     (Action.NOTHING,       State.TRAILING),
    (State.TRAILING, Input.END):       (Action.NOTHING,       State.SILENT),
}
# fmt: on
del State, Input, Action


class Turns:
    """Follows the turns of one stream. Times are stream seconds.

    A new link hears again what is not final, and its detector tells again of starts and ends that were told already:
    those are known by their times.
    """

    __slots__ = ("_ended_at", "_started_at", "state", "vad_events")

    def __init__(self) -> None:
        self.vad_events = False
        self._started_at = 0.0  # the start of the last turn
        self._ended_at = 0.0  # the last speech_ended
        self.state = TurnState.SILENT

    def take(self, what: TurnInput) -> TurnAction:
        action, self.state = TURNS[self.state, what]
        return action

    def onset(self, time: float) -> TurnAction:
        """Take ``speech_started``."""
        if time < self._ended_at:
            return TurnAction.NOTHING
        if self.state not in _SPEAKING:
            self._started_at = time
        return self.take(TurnInput.ONSET)

    def offset(self, time: float) -> TurnAction:
        """Take ``speech_ended``."""
        if time <= self._ended_at or (self.state in _SPEAKING and time <= self._started_at):
            return TurnAction.NOTHING
        self._ended_at = time
        return self.take(TurnInput.OFFSET)

    def interim(self, start: float) -> TurnAction:
        """Take an interim that says something; ``start`` is where it can begin."""
        if self.state not in _SPEAKING:
            self._started_at = start
        return self.take(TurnInput.WORDS)

    def final(self, start: float, end: float, *, ends: bool) -> TurnAction:
        """Take a final that says something between ``start`` and ``end``; ``ends``: the turn is over with it."""
        speaking = self.state in _SPEAKING
        if start < self._ended_at and (not speaking or end <= self._started_at):
            return self.take(TurnInput.LATE)
        if not speaking:
            self._started_at = start
        return self.take(TurnInput.FINAL_END if ends else TurnInput.FINAL)

    def empty(self, *, ends: bool) -> TurnAction:
        """Take a final that says nothing."""
        return self.take(TurnInput.EMPTY_END if ends else TurnInput.EMPTY)


_SPEAKING = frozenset((TurnState.SPEAKING, TurnState.SETTLED))
