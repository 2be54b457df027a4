"""The stages of a session, as a table: what the application may call when, and how a session ends."""

from __future__ import annotations

from typing import TypeAlias

from smallest_proto.events import EndReason
from smallest_proto.values import Name


class SessionState(Name):
    """Where a session is in its life."""

    NEW = "before start()"
    STREAMING = "while streaming"
    ENDING = "after end_input()"  # what was given goes out; we wait for the last final
    CLOSING = "after the last final"  # the link closes
    ENDED = "after the session has ended"


class SessionInput(Name):
    """What can happen to a session as a whole."""

    START = "start()"
    AUDIO = "send_audio()"
    FINALIZE = "finalize()"
    UPDATE = "update()"
    END_INPUT = "end_input()"
    ABORT = "abort()"
    LAST = "the last final"
    LAST_DUE = "no last final in time"
    UNANSWERED = "no last final from two links that were asked for it"
    GIVEN_UP = "no more links"
    LINKS_GONE = "the last link is gone"


class SessionAction(Name):
    """What the session does about it. An ``EndReason`` instead: the session ends with it."""

    GO_ON = "go on"
    CLOSE = "close the link"


State, Input, Action = SessionState, SessionInput, SessionAction
SessionTable: TypeAlias = dict[tuple[SessionState, SessionInput], tuple[SessionAction | EndReason, SessionState]]

# fmt: off
SESSIONS: SessionTable = {
    (State.NEW,       Input.START):      (Action.GO_ON,         State.STREAMING),
    (State.NEW,       Input.ABORT):      (EndReason.ABORTED,    State.ENDED),

    (State.STREAMING, Input.AUDIO):      (Action.GO_ON,         State.STREAMING),
    (State.STREAMING, Input.FINALIZE):   (Action.GO_ON,         State.STREAMING),
    (State.STREAMING, Input.UPDATE):     (Action.GO_ON,         State.STREAMING),
    (State.STREAMING, Input.END_INPUT):  (Action.GO_ON,         State.ENDING),
    (State.STREAMING, Input.GIVEN_UP):   (EndReason.FAILED,     State.ENDED),
    (State.STREAMING, Input.ABORT):      (EndReason.ABORTED,    State.ENDED),

    (State.ENDING,    Input.LAST):       (Action.CLOSE,         State.CLOSING),
    (State.ENDING,    Input.LAST_DUE):   (EndReason.INCOMPLETE, State.ENDED),
    (State.ENDING,    Input.UNANSWERED): (EndReason.INCOMPLETE, State.ENDED),
    (State.ENDING,    Input.GIVEN_UP):   (EndReason.FAILED,     State.ENDED),
    (State.ENDING,    Input.ABORT):      (EndReason.ABORTED,    State.ENDED),

    (State.CLOSING,   Input.LINKS_GONE): (EndReason.COMPLETED,  State.ENDED),
    (State.CLOSING,   Input.ABORT):      (EndReason.ABORTED,    State.ENDED),

    (State.ENDED,     Input.ABORT):      (Action.GO_ON,         State.ENDED),
}
# fmt: on
del State, Input, Action
