"""The stages of a synthesis and those of each of its segments, as tables."""

from __future__ import annotations

from typing import TypeAlias

from smallest_proto.events import EndReason
from smallest_proto.values import Name


class SynthesisState(Name):
    """Where a session is in its life."""

    NEW = "before start()"
    SPEAKING = "while speaking"
    ENDING = "after end_input()"  # what was given is spoken
    CLOSING = "after the last segment"  # the link says goodbye
    ENDED = "after the session has ended"


class SynthesisInput(Name):
    """What can happen to a session as a whole."""

    START = "start()"
    TEXT = "send_text()"
    FLUSH = "flush()"
    PREWARM = "prewarm()"
    CANCEL = "cancel()"
    END_INPUT = "end_input()"
    ABORT = "abort()"
    ALL_OVER = "no segment is left"
    LINKS_GONE = "the last link is gone"
    LINKS_GONE_UNSPOKEN = "the last link is gone, and a failure has cut off a segment"
    GIVEN_UP = "no more links"


class SynthesisAction(Name):
    """What the session does about it. An ``EndReason`` in its place: the session ends with that."""

    GO_ON = "go on"
    CLOSE = "close the link"


State, Input, Action = SynthesisState, SynthesisInput, SynthesisAction
SynthesisTable: TypeAlias = dict[
    tuple[SynthesisState, SynthesisInput], tuple[SynthesisAction | EndReason, SynthesisState]
]

# fmt: off
SYNTHESES: SynthesisTable = {
    (State.NEW,      Input.START):               (Action.GO_ON,         State.SPEAKING),
    (State.NEW,      Input.ABORT):               (EndReason.ABORTED,    State.ENDED),

    (State.SPEAKING, Input.TEXT):                (Action.GO_ON,         State.SPEAKING),
    (State.SPEAKING, Input.FLUSH):               (Action.GO_ON,         State.SPEAKING),
    (State.SPEAKING, Input.PREWARM):             (Action.GO_ON,         State.SPEAKING),
    (State.SPEAKING, Input.CANCEL):              (Action.GO_ON,         State.SPEAKING),
    (State.SPEAKING, Input.END_INPUT):           (Action.GO_ON,         State.ENDING),
    (State.SPEAKING, Input.GIVEN_UP):            (EndReason.FAILED,     State.ENDED),
    (State.SPEAKING, Input.ABORT):               (EndReason.ABORTED,    State.ENDED),

    (State.ENDING,   Input.CANCEL):              (Action.GO_ON,         State.ENDING),
    (State.ENDING,   Input.ALL_OVER):            (Action.CLOSE,         State.CLOSING),
    (State.ENDING,   Input.GIVEN_UP):            (EndReason.FAILED,     State.ENDED),
    (State.ENDING,   Input.ABORT):               (EndReason.ABORTED,    State.ENDED),

    (State.CLOSING,  Input.CANCEL):              (Action.GO_ON,         State.CLOSING),
    (State.CLOSING,  Input.LINKS_GONE):          (EndReason.COMPLETED,  State.ENDED),
    (State.CLOSING,  Input.LINKS_GONE_UNSPOKEN): (EndReason.INCOMPLETE, State.ENDED),
    (State.CLOSING,  Input.ABORT):               (EndReason.ABORTED,    State.ENDED),

    (State.ENDED,    Input.CANCEL):              (Action.GO_ON,         State.ENDED),
    (State.ENDED,    Input.ABORT):               (Action.GO_ON,         State.ENDED),
}
# fmt: on
del State, Input, Action


class SegmentState(Name):
    """Where a segment is in its life."""

    WAITING = "waiting"  # the present link was sent nothing of it
    SAYING = "saying"  # its text goes out; more can come
    ASKED = "asked"  # all of it was sent, and its end
    REFUSED = "refused"  # the service refused something of it; audio of the rest comes first
    CUT = "cut"  # it was cut off, and the application knows: more of its text is ignored
    OVER = "over"


UNDER_WAY = frozenset((SegmentState.SAYING, SegmentState.ASKED, SegmentState.REFUSED))  # some of it is with the service


class SegmentInput(Name):
    """What can happen to a segment. Which one a silence, a ``complete`` or a lost link is: see ``segment.py``."""

    TEXT = "text was sent"
    END = "its end was sent"
    PROOF = "it is proven to be spoken"
    SIGNS = "silence, and it seems to be spoken"
    STUCK = "silence, or a complete without audio, before it can be spoken"
    REFUSAL = "the service refuses something of it"
    LOST = "the link is lost, or worth nothing, and another one can go on"
    CUT_OFF = "the link is lost, or worth nothing, and no other one can go on"
    FLUSH = "flush()"
    DROP = "it is dropped"


class SegmentAction(Name):
    """What the session does about it."""

    NOTHING = "nothing"
    DONE = "tell that it is done"
    TELL = "tell what was spoken"
    REWIND = "begin again after what was spoken"
    GIVE_UP_LINK = "give up the link"


Stage, Event, Act = SegmentState, SegmentInput, SegmentAction
SegmentTable: TypeAlias = dict[tuple[SegmentState, SegmentInput], tuple[SegmentAction, SegmentState]]

# fmt: off
SEGMENTS: SegmentTable = {
    (Stage.WAITING, Event.TEXT):    (Act.NOTHING,      Stage.SAYING),
    (Stage.WAITING, Event.FLUSH):   (Act.NOTHING,      Stage.WAITING),
    (Stage.WAITING, Event.PROOF):   (Act.DONE,         Stage.OVER),
    (Stage.WAITING, Event.DROP):    (Act.TELL,         Stage.OVER),

    (Stage.SAYING,  Event.TEXT):    (Act.NOTHING,      Stage.SAYING),
    (Stage.SAYING,  Event.FLUSH):   (Act.NOTHING,      Stage.SAYING),
    (Stage.SAYING,  Event.END):     (Act.NOTHING,      Stage.ASKED),
    (Stage.SAYING,  Event.REFUSAL): (Act.NOTHING,      Stage.REFUSED),
    (Stage.SAYING,  Event.LOST):    (Act.REWIND,       Stage.WAITING),
    (Stage.SAYING,  Event.CUT_OFF): (Act.TELL,         Stage.CUT),
    (Stage.SAYING,  Event.DROP):    (Act.TELL,         Stage.OVER),

    (Stage.ASKED,   Event.PROOF):   (Act.DONE,         Stage.OVER),
    (Stage.ASKED,   Event.SIGNS):   (Act.DONE,         Stage.OVER),
    (Stage.ASKED,   Event.STUCK):   (Act.GIVE_UP_LINK, Stage.ASKED),
    (Stage.ASKED,   Event.REFUSAL): (Act.NOTHING,      Stage.REFUSED),
    (Stage.ASKED,   Event.LOST):    (Act.REWIND,       Stage.WAITING),
    (Stage.ASKED,   Event.CUT_OFF): (Act.TELL,         Stage.OVER),
    (Stage.ASKED,   Event.DROP):    (Act.TELL,         Stage.OVER),

    (Stage.REFUSED, Event.REFUSAL): (Act.NOTHING,      Stage.REFUSED),
    (Stage.REFUSED, Event.FLUSH):   (Act.NOTHING,      Stage.REFUSED),
    (Stage.REFUSED, Event.PROOF):   (Act.DONE,         Stage.OVER),
    (Stage.REFUSED, Event.LOST):    (Act.REWIND,       Stage.WAITING),
    (Stage.REFUSED, Event.CUT_OFF): (Act.TELL,         Stage.CUT),
    (Stage.REFUSED, Event.DROP):    (Act.TELL,         Stage.OVER),

    (Stage.CUT,     Event.FLUSH):   (Act.NOTHING,      Stage.OVER),
    (Stage.CUT,     Event.DROP):    (Act.NOTHING,      Stage.OVER),
}
# fmt: on
del Stage, Event, Act
