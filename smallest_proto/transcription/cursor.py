"""Where one link is in the stream: where it begins, how much it was sent, what it was asked.

Positions are samples of the part of the stream that the link serves.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import deque

from smallest_proto.audio import Chunk
from smallest_proto.link import Link

_QUESTIONS = 8  # no more are open at once: they are asked 0.3 s apart and answered within some 2 s


class Ask:
    """A finalize that was not answered yet. It asks for everything before ``position``."""

    __slots__ = ("calls", "due", "first", "position")

    def __init__(self, position: int) -> None:
        self.first = position
        self.position = position
        self.calls = 1  # of finalize(): each of them gets one event
        self.due: float | None = None  # when it is given up, once the link that serves was sent all that it asks for


class Cursor:
    """The place of one link in one part of the stream."""

    __slots__ = (
        "_ends",
        "_heard",
        "_holes",
        "_left_out",
        "_times",
        "asked",
        "asked_at",
        "asked_to",
        "headers",
        "heard_at",
        "judged_to",
        "link",
        "next_message",
        "probe",
        "questions",
        "sent",
        "settled",
        "start",
        "waiting",
    )

    def __init__(self, link: Link, start: int, waiting: deque[Chunk], now: float) -> None:
        self.link = link
        self.start = start  # the sample at which the service begins to count this link's seconds
        self.sent = start  # the end of what it was sent
        self.waiting = waiting  # what is still to be sent
        self.next_message = now  # no message of audio before then
        self.headers = 0  # pages of a file's header that it was sent
        self.asked = 0  # how many of the stream's open asks it was sent: the first ones
        self.asked_at = -1e9  # when it was asked last, by the application or by us,
        self.asked_to = start  # and which audio that asked for
        self.questions: deque[int] = deque(maxlen=_QUESTIONS)  # where it was asked last: a word can be cut there
        self.probe: int | None = None  # where the session itself asked for a final, while that is not answered
        self.settled: tuple[int, float] | None = None  # a place where all before it was said to be final, and when
        self.heard_at = now  # when its service last said something
        self._heard = 0  # how many samples it had been sent by then
        self.judged_to = start  # audio before it raises no suspicion: it was answered, or was no speech
        self._holes: list[tuple[int, int]] = []  # (samples it was sent by then, samples of the stream left out so far)
        self._left_out = 0  # samples of the stream, in all
        self._ends = array("q")  # of what it was sent and is not final,
        self._times = array("d")  # and when that was

    @property
    def lasting(self) -> int:
        """Samples that it was sent: the service's clock of this link."""
        return self.sent - self.start - self._left_out

    @property
    def whole(self) -> bool:
        """Whether its seconds are those of the part: it began with it, and nothing was left out."""
        return self.start == 0 and not self._holes

    def reach(self, start: int, end: int, now: float) -> None:
        """It is sent the samples from ``start`` to ``end``; what lies between them and the ones before is left out."""
        if start > self.sent:
            lasting = self.lasting
            self._left_out += start - self.sent
            self._holes.append((lasting, self._left_out))
            self.sent = start
        if end > self.sent:
            self.sent = end
        self._ends.append(end)
        self._times.append(now)

    def left_out(self, sample: float) -> int:
        """Samples of the stream that it was not sent before its own ``sample``."""
        return next((left_out for at, left_out in reversed(self._holes) if sample >= at), 0)

    def heard(self, now: float) -> None:
        """The service said something on it."""
        self.heard_at = now
        self._heard = self.sent - self.start - self._left_out

    @property
    def unheard(self) -> int:
        """Samples that it was sent since its service last said something."""
        return self.lasting - self._heard

    def sent_at(self, position: int) -> float | None:
        """When the sample before ``position`` was sent, if that is known; the times before it are forgotten."""
        self.forget(position)
        return self._times[0] if self._times else None

    def forget(self, position: int) -> None:
        """The times before ``position`` are not needed any more."""
        gone = bisect_left(self._ends, position)
        del self._ends[:gone], self._times[:gone]

    def first_sent_after(self, position: int) -> float | None:
        """When the first message that ends after ``position`` was sent, if that is known."""
        at = bisect_right(self._ends, position)
        return self._times[at] if at < len(self._times) else None
