"""Whether a silent service still listens. Silence alone proves nothing: a caller may say nothing for ten minutes.

Only audio that can be a voice makes a silent service suspicious. Then a second link is opened beside the first, which
goes on. The link that answers first serves, and the other one is closed. If neither answers, the audio was no speech:
the second link is closed, and the next suspicion takes longer, since each link counts and costs as a session.
"""

from __future__ import annotations

from typing import TypeAlias

from smallest_proto.errors import Failure, FailureKind
from smallest_proto.link import Link
from smallest_proto.links import Change, Links
from smallest_proto.timers import Timer
from smallest_proto.values import Name

from .cursor import Cursor
from .sending import Sender
from .stream import Part

ENOUGH = 0.25  # seconds of loud audio: the shortest answers ("yes", "no") last as long
TAIL = 0.15  # seconds after the last final word that are still part of it: a word's end is reported that early at most
_LONGEST_PATIENCE = 300.0  # seconds: music on hold costs at most one more session in five minutes
_MUTE = Failure(kind=FailureKind.DEADLINE, reason="audio went out and nothing came back: the service is mute")


class Trust(Name):
    """What the session thinks of the link that serves."""

    TRUSTED = "trusted"
    SUSPECTED = "suspected"  # a link is opened, or open, beside it


class TrustInput(Name):
    """What changes that."""

    UNHEARD = "unheard"  # loud audio went out for a long time, and nothing came back
    HEARD = "heard"  # the link that serves said something
    OTHER_HEARD = "other_heard"  # the link beside it said something
    OTHER_GONE = "other_gone"  # the link beside it could not be opened, or was lost
    IN_VAIN = "in_vain"  # neither said anything for the same time again
    REPLACED = "replaced"  # another link serves now, for another reason


class TrustAction(Name):
    """What is done about it."""

    NOTHING = "nothing"
    OPEN = "open"  # a link beside
    CLOSE = "close"  # close that link
    SWITCH = "switch"  # it serves, and the first one is dropped


State, Input, Action = Trust, TrustInput, TrustAction
TrustTable: TypeAlias = dict[tuple[Trust, TrustInput], tuple[TrustAction, Trust]]

# fmt: off
TRUST: TrustTable = {
    (State.TRUSTED,   Input.UNHEARD):     (Action.OPEN,    State.SUSPECTED),
    (State.TRUSTED,   Input.HEARD):       (Action.NOTHING, State.TRUSTED),
    (State.TRUSTED,   Input.OTHER_HEARD): (Action.NOTHING, State.TRUSTED),
    (State.TRUSTED,   Input.OTHER_GONE):  (Action.NOTHING, State.TRUSTED),
    (State.TRUSTED,   Input.IN_VAIN):     (Action.NOTHING, State.TRUSTED),
    (State.TRUSTED,   Input.REPLACED):    (Action.NOTHING, State.TRUSTED),

    (State.SUSPECTED, Input.UNHEARD):     (Action.NOTHING, State.SUSPECTED),
    (State.SUSPECTED, Input.HEARD):       (Action.CLOSE,   State.TRUSTED),
    (State.SUSPECTED, Input.OTHER_HEARD): (Action.SWITCH,  State.TRUSTED),
    (State.SUSPECTED, Input.OTHER_GONE):  (Action.NOTHING, State.TRUSTED),
    (State.SUSPECTED, Input.IN_VAIN):     (Action.CLOSE,   State.TRUSTED),
    (State.SUSPECTED, Input.REPLACED):    (Action.CLOSE,   State.TRUSTED),
}
# fmt: on
del State, Input, Action


class Liveness:
    """Finds out that a service is mute. ``mute``: seconds of loud audio that it may leave without an answer."""

    __slots__ = ("_links", "_mute", "patience", "shortest", "state")

    def __init__(self, links: Links, mute: float) -> None:
        self._links = links
        self._mute = mute
        self.patience = mute  # seconds
        self.shortest = mute / 2  # seconds: a service that was asked for the last final has nothing to wait for
        self.state = Trust.TRUSTED

    def heard(self, cursor: Cursor, sender: Sender, now: float) -> bool:
        """The service said something on a link; whether that link serves from now on, and did not before."""
        cursor.heard(now)
        if cursor.link is not self._links.beside:
            if self.state is Trust.SUSPECTED:
                self._take(TrustInput.HEARD, sender, now)
            return False
        return self._take(TrustInput.OTHER_HEARD, sender, now) is TrustAction.SWITCH

    def replaced(self, sender: Sender, now: float) -> None:
        """Another link serves, or none."""
        self._take(TrustInput.REPLACED, sender, now)

    def beside_gone(self, sender: Sender, now: float) -> None:
        """The link beside could not be opened, or was lost."""
        self._take(TrustInput.OTHER_GONE, sender, now)

    def judge(self, link: Link, part: Part, now: float) -> Change | None:
        """``link`` may have been quiet for long: did audio go out that can be a voice, and is not final?"""
        sender, timeline = part.sender, part.timeline
        cursor = sender.cursor(link)
        if cursor is None or not link.serves:
            return None
        if link is self._links.beside:
            sender.cursors[0].judged_to = cursor.sent
            self._take(TrustInput.IN_VAIN, sender, now)
            return None
        if not link.open:  # it was asked for the last final, and must answer that even if nothing was said
            due = max(timeline.heard_by(cursor), link.sent_at) + self.shortest
            if due <= now:
                return self._links.abandon(link, _MUTE, now)
            link.timers[Timer.QUIET] = due
            return None
        link.timers[Timer.QUIET] = now + self.patience
        final = timeline.watermark + timeline.samples(TAIL) if timeline.watermark else 0
        loud, first = sender.loud(max(final, cursor.judged_to), cursor.sent)
        if first is None or timeline.duration(loud) < ENOUGH:
            return None
        since = max(cursor.heard_at, cursor.first_sent_after(first - 1) or 0.0)
        due = since + self.patience + timeline.ahead(cursor, now)
        if due <= now:
            self._take(TrustInput.UNHEARD, sender, now)
        else:
            link.timers[Timer.QUIET] = due
        return None

    def _take(self, what: TrustInput, sender: Sender, now: float) -> TrustAction:
        before = self.state
        action, self.state = TRUST[before, what]
        if before is Trust.SUSPECTED:
            if what is TrustInput.IN_VAIN or what is TrustInput.OTHER_GONE:
                self.patience = min(2 * self.patience, _LONGEST_PATIENCE)
            elif what is TrustInput.HEARD:
                self.patience = 2 * self._mute  # it is slow, or sends only finals
            elif what is not TrustInput.UNHEARD:
                self.patience = self._mute
        links = self._links
        if action is TrustAction.OPEN:
            if not links.open_beside(now):  # a change of options is opening one already
                self.state = Trust.TRUSTED
        elif action is TrustAction.CLOSE:
            if links.beside is not None:
                sender.leave(links.beside)
                links.close_beside(now)
        elif action is TrustAction.SWITCH:
            if links.serving is not None:
                sender.leave(links.serving)
            links.switch(_MUTE)
        return action
