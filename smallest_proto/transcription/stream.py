"""The audio of one session: a part for each format; usually there is one.

Links serve the first part; the newest one takes audio. All share one clock, the stream's seconds, and one bound.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from smallest_proto.commands import Command
from smallest_proto.config import TranscriptionConfig

from .events import Event, LossReason
from .sending import Sender
from .timeline import Timeline

if TYPE_CHECKING:
    from typing_extensions import Buffer

_OLDEST = 0.75  # of the bound: the first sound that may not have been heard can be this old
_LEAD_SECONDS = 2.5  # a microphone can give this much at once


class Part:
    """The part of a stream that is in one format."""

    __slots__ = ("config", "rate", "sender", "timeline")

    def __init__(self, config: TranscriptionConfig, sender: Sender, timeline: Timeline) -> None:
        self.config = config
        self.rate = config.audio_format.clock_rate  # positions a second
        self.sender = sender
        self.timeline = timeline

    @property
    def end(self) -> float:
        """The end of the audio given, in stream seconds."""
        return self.timeline.seconds(self.sender.given)

    def counts(self) -> tuple[float, ...]:
        """Seconds of audio given, sent, sent again and lost."""
        sender = self.sender
        return tuple(map(self.timeline.duration, (sender.given, sender.transferred, sender.replayed, sender.lost)))

    def close(self, lost: LossReason | None = None) -> None:
        """Report what was not reported yet; with ``lost``, also what was not finalised."""
        self.sender.tell_dropped()
        self.sender.report_usage()
        if lost is not None:
            self.sender.lose_rest(lost)


class Stream:
    """The parts of one stream. ``bound`` is how many seconds of audio may be held, ``interval`` the pace."""

    def __init__(
        self, config: TranscriptionConfig, interval: float, bound: float, output: deque[Command | Event]
    ) -> None:
        self._interval = interval
        self._bound = bound
        self._output = output
        self._lead = 0.0  # seconds of audio given beyond real time, at the last call
        self._given_at = 0.0  # when that was
        self._parts: deque[Part] = deque()
        self._past: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)  # the counts of the parts that are over
        self.first = self.newest = self._part(config, 0.0)  # the part that is being served; the one that takes audio
        self._parts.append(self.first)

    @property
    def parts(self) -> tuple[Part, ...]:
        """All that are not over, in order."""
        return tuple(self._parts)

    @property
    def several(self) -> bool:
        """Whether the first part is not the newest: it gets no more audio."""
        return self.first is not self.newest

    def ready(self, now: float) -> bool:
        """Whether less than half of what may be held waits, or, given faster than in real time, is not known heard."""
        held = 0.0
        for part in self._parts:
            held += part.sender.waiting
        if self._lead - (now - self._given_at) > _LEAD_SECONDS:
            # What is not known to be heard is not let go of for the silence that follows it either.
            if self.first.sender.unheard_since > _OLDEST * self._bound:
                return False
            held += self.first.sender.unheard
        return held * 2 < self._bound

    def add(self, config: TranscriptionConfig, origin: float) -> None:
        """Begin a part at ``origin``, in stream seconds."""
        self.newest = self._part(config, origin)
        self._parts.append(self.newest)

    def _part(self, config: TranscriptionConfig, origin: float) -> Part:
        format = config.audio_format
        timeline = Timeline(format, origin)
        return Part(config, Sender(format, timeline, self._interval, self._bound, self._output), timeline)

    def push(self, audio: Buffer, now: float) -> bool:
        """Take audio; whether there is a new message to send. Raises ``LocalProtocolError`` for what is not audio."""
        newest, lead = self.newest, self._lead - (now - self._given_at)
        # Only audio ahead of real time is held back, and silence never is: so find out at once what is silence.
        samples = newest.sender.push(audio, measure=lead > _LEAD_SECONDS)
        if samples is None:
            return False
        # How far the application is ahead of real time. It may catch up after being late.
        self._lead = (lead if lead > -self._bound else -self._bound) + samples / newest.rate
        self._given_at = now
        if newest is not self.first:
            for part in self._parts:
                if part is not newest:
                    part.sender.keep(newest.end - part.end)
        return True

    def forget_first(self) -> None:
        """The first part is over: drop what it held. There must be another part, or add one."""
        over = self._parts.popleft()
        self.first = self._parts[0]
        self._past = tuple(map(sum, zip(self._past, over.counts(), strict=True)))

    def close(self, lost: LossReason | None) -> None:
        """The stream is over: report what was not reported yet."""
        for part in self._parts:
            part.close(lost)

    def counts(self) -> tuple[float, ...]:
        """Seconds of audio given, sent, sent again and lost, over the whole stream."""
        return tuple(map(sum, zip(self._past, *(part.counts() for part in self._parts), strict=True)))
