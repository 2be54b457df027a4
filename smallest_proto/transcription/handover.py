"""A change of options, as a table: asked, tried, accepted, refused, another audio format, several in a row.

Options of the same format are tried on a new link while the current one goes on. Another sample rate or encoding begins
a new part of the stream: the current part is finished on its link, then a link for the next one is opened.
"""

from __future__ import annotations

from typing import TypeAlias

from smallest_proto.config import Endpoint, TranscriptionConfig
from smallest_proto.links import Links
from smallest_proto.requests import Request, live_transcription_request
from smallest_proto.values import Name

from .stream import Stream


class HandoverState(Name):
    """Where a change of options is."""

    SETTLED = "settled"  # what was asked for is in use
    TRYING = "trying"  # a link is opened with other options of the same format
    FINISHING = "finishing"  # another format follows: the current part is finished first
    OPENING = "opening"  # a link is opened with another format
    OPENING_MORE = "opening, more"  # the same, and other options are tried after that
    OPENING_LAST = "opening, last"  # the same, and a third format follows already


class HandoverInput(Name):
    """What can happen to it."""

    OPTIONS = "options"  # update() with other options of the same format
    BACK = "back"  # update() with the options that are in use
    FORMAT = "format"  # update() with another format
    ACCEPTED = "accepted"  # a link is open
    REFUSED = "refused"  # the service does not take the options
    FINISHED = "finished"  # the current part is over, and another one follows
    FINISHED_LAST = "finished, last"  # the same, and a third format follows already


class HandoverAction(Name):
    """What is done about it."""

    NOTHING = "nothing"
    TRY = "try"  # open a link with the options that were asked for
    CANCEL = "cancel"  # do not
    ADOPT = "adopt"  # they are in use
    REJECT = "reject"  # tell the application that they are refused
    FALL_BACK = "fall back"  # tell it, and go on in the format before
    SKIP = "skip"  # tell it, and go on with the format that follows


State, Input, Action = HandoverState, HandoverInput, HandoverAction
HandoverTable: TypeAlias = dict[tuple[HandoverState, HandoverInput], tuple[HandoverAction, HandoverState]]

# fmt: off
HANDOVERS: HandoverTable = {
    (State.SETTLED,      Input.OPTIONS):       (Action.TRY,       State.TRYING),
    (State.SETTLED,      Input.BACK):          (Action.NOTHING,   State.SETTLED),
    (State.SETTLED,      Input.FORMAT):        (Action.NOTHING,   State.FINISHING),
    (State.SETTLED,      Input.ACCEPTED):      (Action.NOTHING,   State.SETTLED),
    (State.SETTLED,      Input.REFUSED):       (Action.REJECT,    State.SETTLED),

    (State.TRYING,       Input.OPTIONS):       (Action.TRY,       State.TRYING),
    (State.TRYING,       Input.BACK):          (Action.CANCEL,    State.SETTLED),
    (State.TRYING,       Input.FORMAT):        (Action.CANCEL,    State.FINISHING),
    (State.TRYING,       Input.ACCEPTED):      (Action.ADOPT,     State.SETTLED),
    (State.TRYING,       Input.REFUSED):       (Action.REJECT,    State.SETTLED),

    (State.FINISHING,    Input.OPTIONS):       (Action.NOTHING,   State.FINISHING),
    (State.FINISHING,    Input.BACK):          (Action.NOTHING,   State.FINISHING),
    (State.FINISHING,    Input.FORMAT):        (Action.NOTHING,   State.FINISHING),
    (State.FINISHING,    Input.ACCEPTED):      (Action.NOTHING,   State.FINISHING),
    (State.FINISHING,    Input.REFUSED):       (Action.NOTHING,   State.FINISHING),
    (State.FINISHING,    Input.FINISHED):      (Action.NOTHING,   State.OPENING),
    (State.FINISHING,    Input.FINISHED_LAST): (Action.NOTHING,   State.OPENING_LAST),

    (State.OPENING,      Input.OPTIONS):       (Action.NOTHING,   State.OPENING_MORE),
    (State.OPENING,      Input.BACK):          (Action.NOTHING,   State.OPENING),
    (State.OPENING,      Input.FORMAT):        (Action.NOTHING,   State.OPENING_LAST),
    (State.OPENING,      Input.ACCEPTED):      (Action.NOTHING,   State.SETTLED),
    (State.OPENING,      Input.REFUSED):       (Action.FALL_BACK, State.SETTLED),

    (State.OPENING_MORE, Input.OPTIONS):       (Action.NOTHING,   State.OPENING_MORE),
    (State.OPENING_MORE, Input.BACK):          (Action.NOTHING,   State.OPENING),
    (State.OPENING_MORE, Input.FORMAT):        (Action.NOTHING,   State.OPENING_LAST),
    (State.OPENING_MORE, Input.ACCEPTED):      (Action.TRY,       State.TRYING),
    (State.OPENING_MORE, Input.REFUSED):       (Action.FALL_BACK, State.SETTLED),

    (State.OPENING_LAST, Input.OPTIONS):       (Action.NOTHING,   State.OPENING_LAST),
    (State.OPENING_LAST, Input.BACK):          (Action.NOTHING,   State.OPENING_LAST),
    (State.OPENING_LAST, Input.FORMAT):        (Action.NOTHING,   State.OPENING_LAST),
    (State.OPENING_LAST, Input.ACCEPTED):      (Action.NOTHING,   State.FINISHING),
    (State.OPENING_LAST, Input.REFUSED):       (Action.SKIP,      State.FINISHING),
    (State.OPENING_LAST, Input.FINISHED):      (Action.NOTHING,   State.OPENING),
    (State.OPENING_LAST, Input.FINISHED_LAST): (Action.NOTHING,   State.OPENING_LAST),
}
# fmt: on
del State, Input, Action


class Handover:
    """The change of options that one session is making."""

    __slots__ = ("_endpoint", "_links", "_stream", "_wanted", "fallback", "state")

    def __init__(self, links: Links, stream: Stream, endpoint: Endpoint) -> None:
        self._links = links
        self._stream = stream
        self._endpoint = endpoint
        self.state = HandoverState.SETTLED
        # Options for the newest part of the stream, in its format, that the service has not accepted yet.
        self._wanted: TranscriptionConfig | None = None
        self.fallback: TranscriptionConfig | None = None  # what to go back to if the service refuses the format

    def ask(self, config: TranscriptionConfig, request: Request, now: float) -> None:
        """The application wants ``config``; ``request`` opens a link with it."""
        part = self._stream.newest
        if config.audio_format != part.config.audio_format:
            what, self._wanted = HandoverInput.FORMAT, None
            part.sender.flush()
            self._stream.add(config, part.end)
        elif config == (self._wanted or part.config):
            return
        else:
            back = config == part.config
            what, self._wanted = HandoverInput.BACK if back else HandoverInput.OPTIONS, None if back else config
        action = self._take(what)
        if action is HandoverAction.TRY:
            self._links.replace(request, now)
        elif action is HandoverAction.CANCEL:
            self._links.replace(None, now)

    def opened(self, *, accepted: bool, now: float) -> None:
        """A link serves; ``accepted``: it was opened with what was asked for last."""
        if not accepted and self.state in (HandoverState.TRYING, HandoverState.SETTLED):
            return  # it was opened before the options changed: it does not show whether they are accepted
        action, part = self._take(HandoverInput.ACCEPTED), self._stream.first
        self.fallback = None
        if action is HandoverAction.TRY and self._wanted is not None:
            self._links.replace(live_transcription_request(self._wanted, self._endpoint), now)
        elif action is HandoverAction.ADOPT:
            part.config, self._wanted = self._wanted or part.config, None

    def refused(self) -> HandoverAction:
        """The service refused the options; returns what to do about it."""
        action = self._take(HandoverInput.REFUSED)
        if action is not HandoverAction.SKIP:
            self._wanted = None
        return action

    def next_part(self, fallback: TranscriptionConfig) -> None:
        """The first part of the stream is over, and the next one is in another format than ``fallback``."""
        self.fallback = fallback
        self._take(HandoverInput.FINISHED_LAST if self._stream.several else HandoverInput.FINISHED)
        if self._wanted is not None:
            self._take(HandoverInput.OPTIONS)

    def _take(self, what: HandoverInput) -> HandoverAction:
        action, self.state = HANDOVERS[self.state, what]
        return action
