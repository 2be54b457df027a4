"""One segment of a synthesis: its text, its audio, and how certain it is that all of it was spoken.

In the plain protocol ``complete`` proves the end. With continuations a ``complete`` follows every part that the service
makes of the text, and none is marked as the last. So the end is inferred, from the best evidence:

1. Word times: the service named the last word of the text, its audio is here, and a ``complete`` came after it. That is
   a proof.
2. Signs: a ``complete`` came after the last word was sent, or the last word was named; there is as much audio as a fast
   speaker needs for the text; and then half a second of silence. One ``complete`` can answer the whole text, so they
   are not counted. This is wrong only if the service makes several parts of the text, pauses between two of them, and
   spoke the first ones so slowly that they could be all. What comes after the pause is lost then.
3. Audio that is too short for the text is never an end: after the longest silence the session gives the link up. A
   ``complete`` without any audio is no end either, in both protocols.
"""

from __future__ import annotations

from collections import deque

from smallest_proto.config import SynthesisConfig
from smallest_proto.errors import Failure
from smallest_proto.timers import Timer, Timers
from smallest_proto.values import Sink

from .events import AudioChunk, SpokenSoFar, WordSpoken
from .messages import AudioMessage, CompleteMessage, ServiceMessage, WordMessage
from .playout import MAX_REQUESTS, Playout
from .script import Script
from .states import SEGMENTS, SegmentAction, SegmentInput, SegmentState

_SETTLE = 0.5  # seconds of silence after strong signs
_FASTEST = 20.0  # letters that are spoken in a second at the natural pace; 12 to 15 is usual
_MOST_MUTE = 2  # links in a row that sent ``complete`` and no audio: then the fault is in the text


class Segment:
    """One utterance. ``resume``: another link may continue in the middle of it; ``hold``: see ``Playout``."""

    def __init__(
        self,
        number: int,
        config: SynthesisConfig,
        *,
        resume: bool,
        hold: bool,
        most_retries: int,
        output: Sink[AudioChunk | WordSpoken],
    ) -> None:
        self.number = number
        self._resume = resume
        self._most_retries = most_retries
        self.state = SegmentState.WAITING
        self.script = Script()
        self.playout = Playout(number, config, self.script, hold=hold, output=output)
        self.context = ""  # its name on the present link
        self.requests: deque[str] = deque(maxlen=MAX_REQUESTS)  # the service's names for what came
        self.sounded_at = 0.0  # when audio came last, or all of it was asked for
        self.heard_at = 0.0  # when anything of it came last, or all of it was asked for
        self._mute = 0  # links that sent complete and no audio, since audio came
        self.tries = 0  # links that it began on since audio of it was given out
        self._begun_at = 0  # how much was given out when it was last begun
        self._completes = 0  # on the present link
        self._completed = 0  # the end of the text that was sent when the last of them came
        self._plain = not config.continuations
        self._fastest = _FASTEST * (config.speed or 1.0)
        self._settle = _SETTLE + (config.complete_backoff_ms or 0) / 1000  # the complete of a proof comes before

    @property
    def untouched(self) -> bool:
        """Whether no audio of it came on the present link."""
        return self.playout.received == self.playout.base

    def take(self, what: SegmentInput) -> SegmentAction:
        """Move on."""
        action, self.state = SEGMENTS[self.state, what]
        return action

    def begin(self, context: str) -> None:
        """The present link is sent it, as ``context``."""
        self.context = context
        self.tries = 1 if self.playout.out > self._begun_at else self.tries + 1
        self._begun_at = self.playout.out

    def rewind(self) -> None:
        """Begin again with the first word that was not given out."""
        self.script.restart()
        self.playout.restart()
        self._completes = self._completed = 0
        self.requests.clear()

    def heard(self, message: ServiceMessage, now: float) -> SegmentInput | None:
        """A message about it came: is that its end?"""
        self.heard_at = now
        if message.request_id is not None and message.request_id not in self.requests:
            self.requests.append(message.request_id)
        if isinstance(message, AudioMessage) and message.data:
            self._mute, self.sounded_at = 0, now
            self.playout.add(message.data, message.request_id)
        elif isinstance(message, WordMessage):
            self.playout.word(message)
        return self._complete() if isinstance(message, CompleteMessage) else None

    def _complete(self) -> SegmentInput | None:
        """``complete`` came: is that its end?"""
        self._completes += 1
        self._completed = self.script.sent
        if self.state is SegmentState.REFUSED:
            return (
                SegmentInput.PROOF if self._all_words_timed() else None
            )  # it may be about the part that was not refused
        if self.state is not SegmentState.ASKED:
            return None  # a part of it was complete
        if self._plain and self.untouched:
            return self._stuck()
        return SegmentInput.PROOF if self._plain or self._all_words_timed(perhaps=True) else None

    def silent(self) -> SegmentInput:
        """There was silence until ``due``: is that its end?"""
        return SegmentInput.SIGNS if self._long_enough else self._stuck()

    def _stuck(self) -> SegmentInput:
        self._mute += self.untouched and self._completes > 0
        return SegmentInput.STUCK

    @property
    def can_begin_again(self) -> bool:
        """Whether another link can continue without a word repeated or skipped."""
        return self.playout.out == 0 or (self._resume and self.playout.between_words)

    def left(self) -> SegmentInput:
        """The service closed the link in good order, as it may after a ``complete``, and it ``seems_spoken``."""
        if self.state is SegmentState.ASKED:
            return SegmentInput.PROOF if self._all_words_timed() else SegmentInput.SIGNS
        self.playout.settle_all()  # it spoke all that it was sent; the next link is sent the rest
        return SegmentInput.LOST

    def lost(self, *, hopeless: bool = False) -> SegmentInput:
        """The link is gone, or useless: is anything left, and can another link continue?

        Links that live, but never speak, are counted here: the connection forgives each of them. ``hopeless``: another
        try could not help.
        """
        refused = self.state is SegmentState.REFUSED
        if (refused or self.state is SegmentState.ASKED) and self._all_words_timed():
            return SegmentInput.PROOF
        tries = self.tries if self.playout.out == self._begun_at else 0
        most = self._most_retries if refused else self._most_retries + 1  # one more, for a link that was warm
        if hopeless or self._mute >= _MOST_MUTE or tries > most or not self.can_begin_again:
            return SegmentInput.CUT_OFF
        return SegmentInput.LOST

    def expect(self, timers: Timers, longest: float) -> float:
        """Have it judged if nothing comes; returns when. What puts that off is looked at when the time comes.

        What brings no audio does not put it off for ever.
        """
        due, latest = self.heard_at + self._patience(longest), self.sounded_at + longest
        due = due if due < latest else latest
        armed = timers.get(Timer.QUIET)
        if armed is None or due < armed:
            timers[Timer.QUIET] = due
        return due

    def _patience(self, longest: float) -> float:
        """Seconds of silence after which to judge it."""
        if self.playout.timed and self._all_words_timed(perhaps=True):
            return min(self._settle, longest)
        return self._settle if self._completes and self.seems_spoken else longest

    def so_far(self, failure: Failure | None) -> SpokenSoFar:
        """What of it was spoken, by the audio that was given out."""
        script, playout = self.script, self.playout
        return SpokenSoFar(
            segment=self.number,
            spoken=script.text[: script.spoken],
            unspoken=script.text[script.spoken :],
            seconds=playout.seconds,
            exact=playout.exact,
            failure=failure,
        )

    @property
    def seems_spoken(self) -> bool:
        """Whether a ``complete`` and the audio show that all that was sent was spoken."""
        return self._completes > 0 and self.script.wordless_sent(self._completed) and self._long_enough

    def _all_words_timed(self, *, perhaps: bool = False) -> bool:
        """Whether word times show that all of it is here; ``perhaps``: or do not exclude it."""
        script, playout = self.script, self.playout
        timed = script.all_timed or (perhaps and script.perhaps_all_timed)
        return (
            script.closed
            and timed
            and playout.timed
            and not playout.misleading
            and playout.covers_words(nearly=perhaps)
        )

    @property
    def _long_enough(self) -> bool:
        """Whether the audio is as long as it must be at least, and nothing of the text was refused."""
        playout = self.playout
        if self.untouched or self.state is SegmentState.REFUSED or not playout.covers_words(nearly=True):
            return False
        return playout.untimed * self._fastest >= self.script.untimed


class History:
    """What happened on a link before: it shows whether a message is late, or about the present segment."""

    __slots__ = ("_done", "_requests", "cancelled", "named")

    def __init__(self) -> None:
        self.named = False  # the service says which context a message is about
        self.cancelled = False  # a context was cancelled on it
        self._done = False  # a segment ended on it
        self._requests: frozenset[str] = frozenset()  # the service's names for the parts of the last one

    def keep(self, segment: Segment) -> None:
        """``segment`` has ended."""
        self._done = True
        self._requests = frozenset(segment.requests)

    def meant(self, message: ServiceMessage, segment: Segment | None) -> Segment | None:
        """``segment``, which is under way, unless the message is about another one."""
        self.named = self.named or message.context_id is not None
        if segment is None:
            return None
        if message.context_id is not None:
            return segment if message.context_id == segment.context else None
        if self.cancelled or (isinstance(message, CompleteMessage) and self._repeated(message.request_id, segment)):
            return None
        return segment

    def _repeated(self, request_id: str | None, segment: Segment) -> bool:
        """Whether a ``complete`` is about the last segment, as far as can be known."""
        if request_id is not None:
            return request_id in self._requests and request_id not in segment.requests
        return self._done and segment.untouched
