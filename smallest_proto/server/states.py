"""The states of the service's links, as tables: a live transcription, a synthesis socket, and one request of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, TypeVar

from smallest_proto.errors import LocalProtocolError
from smallest_proto.values import Name


class LiveState(Name):
    """Where a live transcription link is in its life."""

    OPEN = "open"
    ENDING = "ending"  # close_stream came: what was sent before it is still recognised
    CLOSED = "closed"  # Close is the last command, behind what an imperfect service sends late


class LiveInput(Name):
    """What can happen to it."""

    MESSAGE = "a message"
    TOO_MUCH = "too much audio in one message"
    CLOSE_STREAM = "close_stream"
    RESULTS = "results"  # of audio, or of a finalize
    LAST = "results of close_stream"
    IDLE = "no message for too long"
    FAIL = "fail()"


class LiveAction(Name):
    """What the service does about it."""

    NOTHING = "nothing"
    READ = "read it"
    FINALIZE = "finalize"
    SEND = "send them"
    SEND_LAST = "send them and close"
    CLOSE = "close"
    REFUSE = "send an error and close"


class SpeakingState(Name):
    """What the host of a synthesis socket is doing."""

    FREE = "free"  # no text is being spoken
    ASKED = "asked"  # it owes a piece of a text
    BETWEEN = "between two pieces"  # it has given one, and the text may have more
    DROPPED = "asked, dropped"  # it owes a piece of a text that is not wanted any more
    CLOSED_ASKED = "closed, asked"  # the socket is closed, and it owes a piece
    CLOSED = "closed"


class SpeakingInput(Name):
    """What can happen to it."""

    MESSAGE = "a message"
    NEXT = "poll_output(), with a text to speak"
    PIECE = "spoken(piece)"
    END = "spoken(None)"
    FAILED = "failed()"
    DROP = "the text is not wanted any more"
    FAIL = "fail()"


class SpeakingAction(Name):
    """What the service does about it."""

    NOTHING = "nothing"
    READ = "read it"
    SPEAK = "Speak"
    GO_ON = "GoOn"
    SEND = "send it"
    FINISH = "finish the text"
    COMPLAIN = "send an error"
    CLOSE = "send an error and close"


class RequestState(Name):
    """The state of one request of a synthesis socket; a context is one as well."""

    EMPTY = "empty"  # nothing of it is to be spoken yet
    SIGNS = "signs"  # the same, and it has signs that cannot be spoken
    SPOKEN = "spoken"  # something of it is spoken, or will be
    ENDED = "ended"  # no more text comes


class RequestInput(Name):
    """What can happen to it."""

    BLANK = "blank text is due"
    SIGNS = "signs alone are due"
    WORDS = "words are due"
    END = "no more text comes"


class RequestAction(Name):
    """What the service does about it."""

    NOTHING = "nothing"
    SPEAK = "speak them"
    COMPLETE = "answer with complete"
    COMPLAIN = "send an error"


LiveTable: TypeAlias = dict[tuple[LiveState, LiveInput], tuple[LiveAction, LiveState]]
SpeakingTable: TypeAlias = dict[tuple[SpeakingState, SpeakingInput], tuple[SpeakingAction, SpeakingState]]
RequestTable: TypeAlias = dict[tuple[RequestState, RequestInput], tuple[RequestAction, RequestState]]

# fmt: off
_L, _On, _Do = LiveState, LiveInput, LiveAction
LIVE: LiveTable = {
    (_L.OPEN,   _On.MESSAGE):      (_Do.READ,      _L.OPEN),
    (_L.OPEN,   _On.TOO_MUCH):     (_Do.REFUSE,    _L.CLOSED),
    (_L.OPEN,   _On.CLOSE_STREAM): (_Do.FINALIZE,  _L.ENDING),
    (_L.OPEN,   _On.RESULTS):      (_Do.SEND,      _L.OPEN),
    (_L.OPEN,   _On.IDLE):         (_Do.CLOSE,     _L.CLOSED),
    (_L.OPEN,   _On.FAIL):         (_Do.REFUSE,    _L.CLOSED),

    (_L.ENDING, _On.MESSAGE):      (_Do.NOTHING,   _L.ENDING),
    (_L.ENDING, _On.RESULTS):      (_Do.SEND,      _L.ENDING),
    (_L.ENDING, _On.LAST):         (_Do.SEND_LAST, _L.CLOSED),
    (_L.ENDING, _On.FAIL):         (_Do.REFUSE,    _L.CLOSED),

    (_L.CLOSED, _On.MESSAGE):      (_Do.NOTHING,   _L.CLOSED),
    (_L.CLOSED, _On.RESULTS):      (_Do.NOTHING,   _L.CLOSED),
    (_L.CLOSED, _On.LAST):         (_Do.NOTHING,   _L.CLOSED),
    (_L.CLOSED, _On.FAIL):         (_Do.NOTHING,   _L.CLOSED),
}

_S, _In, _To = SpeakingState, SpeakingInput, SpeakingAction
SPEAKING: SpeakingTable = {
    (_S.FREE,         _In.MESSAGE): (_To.READ,     _S.FREE),
    (_S.FREE,         _In.NEXT):    (_To.SPEAK,    _S.ASKED),
    (_S.FREE,         _In.FAIL):    (_To.CLOSE,    _S.CLOSED),

    (_S.ASKED,        _In.MESSAGE): (_To.READ,     _S.ASKED),
    (_S.ASKED,        _In.NEXT):    (_To.NOTHING,  _S.ASKED),
    (_S.ASKED,        _In.PIECE):   (_To.SEND,     _S.BETWEEN),
    (_S.ASKED,        _In.END):     (_To.FINISH,   _S.FREE),
    (_S.ASKED,        _In.FAILED):  (_To.COMPLAIN, _S.FREE),
    (_S.ASKED,        _In.DROP):    (_To.NOTHING,  _S.DROPPED),
    (_S.ASKED,        _In.FAIL):    (_To.CLOSE,    _S.CLOSED_ASKED),

    (_S.BETWEEN,      _In.MESSAGE): (_To.READ,     _S.BETWEEN),
    (_S.BETWEEN,      _In.NEXT):    (_To.GO_ON,    _S.ASKED),
    (_S.BETWEEN,      _In.DROP):    (_To.NOTHING,  _S.FREE),
    (_S.BETWEEN,      _In.FAIL):    (_To.CLOSE,    _S.CLOSED),

    (_S.DROPPED,      _In.MESSAGE): (_To.READ,     _S.DROPPED),
    (_S.DROPPED,      _In.NEXT):    (_To.NOTHING,  _S.DROPPED),
    (_S.DROPPED,      _In.PIECE):   (_To.NOTHING,  _S.FREE),
    (_S.DROPPED,      _In.END):     (_To.NOTHING,  _S.FREE),
    (_S.DROPPED,      _In.FAILED):  (_To.NOTHING,  _S.FREE),
    (_S.DROPPED,      _In.FAIL):    (_To.CLOSE,    _S.CLOSED_ASKED),

    (_S.CLOSED_ASKED, _In.MESSAGE): (_To.NOTHING,  _S.CLOSED_ASKED),
    (_S.CLOSED_ASKED, _In.PIECE):   (_To.NOTHING,  _S.CLOSED),
    (_S.CLOSED_ASKED, _In.END):     (_To.NOTHING,  _S.CLOSED),
    (_S.CLOSED_ASKED, _In.FAILED):  (_To.NOTHING,  _S.CLOSED),
    (_S.CLOSED_ASKED, _In.FAIL):    (_To.NOTHING,  _S.CLOSED_ASKED),

    (_S.CLOSED,       _In.MESSAGE): (_To.NOTHING,  _S.CLOSED),
    (_S.CLOSED,       _In.FAIL):    (_To.NOTHING,  _S.CLOSED),
}

_R, _Of, _Then = RequestState, RequestInput, RequestAction
REQUESTS: RequestTable = {
    (_R.EMPTY,  _Of.BLANK): (_Then.NOTHING,  _R.EMPTY),
    (_R.EMPTY,  _Of.SIGNS): (_Then.NOTHING,  _R.SIGNS),
    (_R.EMPTY,  _Of.WORDS): (_Then.SPEAK,    _R.SPOKEN),
    (_R.EMPTY,  _Of.END):   (_Then.NOTHING,  _R.ENDED),

    (_R.SIGNS,  _Of.BLANK): (_Then.NOTHING,  _R.SIGNS),
    (_R.SIGNS,  _Of.SIGNS): (_Then.NOTHING,  _R.SIGNS),
    (_R.SIGNS,  _Of.WORDS): (_Then.SPEAK,    _R.SPOKEN),
    (_R.SIGNS,  _Of.END):   (_Then.COMPLAIN, _R.ENDED),

    (_R.SPOKEN, _Of.BLANK): (_Then.NOTHING,  _R.SPOKEN),
    (_R.SPOKEN, _Of.SIGNS): (_Then.NOTHING,  _R.SPOKEN),
    (_R.SPOKEN, _Of.WORDS): (_Then.SPEAK,    _R.SPOKEN),
    (_R.SPOKEN, _Of.END):   (_Then.COMPLETE, _R.ENDED),
}
# fmt: on

_State = TypeVar("_State", bound=Name)
_Input = TypeVar("_Input", bound=Name)
_Action = TypeVar("_Action", bound=Name)


def step(
    table: Mapping[tuple[_State, _Input], tuple[_Action, _State]], state: _State, what: _Input
) -> tuple[_Action, _State]:
    """What to do, and the next state. Raises ``LocalProtocolError`` where the table has no cell."""
    cell = table.get((state, what))
    if cell is None:
        raise LocalProtocolError(f"{what.value} is not possible in the state {state.value!r}")
    return cell
