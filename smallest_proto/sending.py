"""Audio on its way down: cut into messages, held until it was heard, sent no faster than the service takes it.

What the application asks for has a place in the stream too: a finalize goes out between the samples where it was asked.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from .audio import AudioFormat, Framer, ReplayBuffer
from .commands import Command, SendBinary, SendText
from .events import AudioLost, Event, LossReason, Usage
from .link import Link
from .messages import FINALIZE

if TYPE_CHECKING:
    from typing_extensions import Buffer

_USAGE_SECONDS = 5  # of audio, between two reports


class Sender:
    """The outgoing half of one stream. Positions are samples of the stream.

    ``interval`` is the least time between two audio messages, in seconds; ``bound`` is how many samples may be held.
    """

    def __init__(self, format: AudioFormat, interval: float, bound: int, output: deque[Command | Event]) -> None:
        self._format = format
        self._interval = interval
        self._bound = bound
        self._output = output
        self._framer = Framer(format)
        self._buffer = ReplayBuffer()
        self._asks: deque[int] = deque()  # where a finalize waits to be sent
        self._reported = 0  # the end of the audio that Usage has told of
        self.sent = 0  # the end of the audio that any link was sent

    @property
    def given(self) -> int:
        """The end of the audio that the application gave."""
        return self._framer.position

    @property
    def ready(self) -> bool:
        """Whether less waits than half of what may be held."""
        return self._buffer.waiting_samples * 2 < self._bound

    def push(self, audio: Buffer) -> bool:
        """Take audio; whether there is a new message to send. Raises ``LocalProtocolError`` for what is no audio."""
        chunks = self._framer.push(audio)
        if not chunks:
            return False
        self._buffer.waiting.extend(chunks)
        self._keep_bound()
        return True

    def flush(self) -> None:
        """Make a message of the tail, however short."""
        if (tail := self._framer.flush()) is not None:
            self._buffer.waiting.append(tail)

    def finalize(self) -> None:
        """Ask for a final at the end of what was given."""
        self.flush()
        self._asks.append(self._framer.position)

    def pump(self, link: Link, now: float) -> float | None:
        """Send on ``link`` what waits; when to come back for the rest, or ``None`` when nothing is left."""
        buffer, output = self._buffer, self._output
        waiting = buffer.waiting
        while True:
            if self._asks and (not waiting or waiting[0].start >= self._asks[0]):
                link.asked.append(self._asks.popleft())
                output.append(SendText(link=link.number, text=FINALIZE))
            elif not waiting:
                return None
            elif now < link.next_message:
                return link.next_message
            else:
                chunk = buffer.take()
                output.append(SendBinary(link=link.number, data=chunk.data))
                link.next_message = now + self._interval
                link.sent = self.sent = chunk.end
                if chunk.end - self._reported >= _USAGE_SECONDS * self._format.clock_rate:
                    self.report_usage()

    def trim(self, watermark: int) -> None:
        """Let go of what needs no replay any more."""
        self._buffer.trim(watermark)

    def report_usage(self) -> None:
        """Tell of the audio sent since the last report, if there is any."""
        if self.sent > self._reported:
            self._output.append(Usage(seconds=self._format.seconds(self.sent - self._reported)))
            self._reported = self.sent

    def lose(self, start: int, end: int, reason: LossReason) -> None:
        """Tell that the audio from ``start`` to ``end`` is given up, if there is any."""
        if end > start:
            seconds = self._format.seconds
            self._output.append(AudioLost(start=seconds(start), end=seconds(end), reason=reason))

    def _keep_bound(self) -> None:
        """First goes what a link was sent and is trusted to have heard; then, and told, what none was sent."""
        buffer, given = self._buffer, self._framer.position
        lost_from = lost_to = 0
        while (start := buffer.start) is not None and given - start > self._bound:
            if buffer.sent:
                buffer.sent.popleft()
                continue
            lost = buffer.waiting.popleft()
            lost_from, lost_to = (lost_from if lost_to else lost.start), lost.end
        self.lose(lost_from, lost_to, LossReason.BUFFER_FULL)
