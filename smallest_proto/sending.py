"""Audio on its way down: cut into messages, held until it was heard, sent no faster than the service takes it.

What the application asks for has a place in the stream too: a finalize goes out between the samples where it was asked,
and on every new link once more, until it is answered.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from .audio import AudioFormat, Chunk, Framer, ReplayBuffer
from .commands import Command, SendBinary, SendText
from .events import AudioLost, Event, LossReason, Usage
from .link import Ask, Link
from .messages import FINALIZE
from .timeline import Timeline

if TYPE_CHECKING:
    from typing_extensions import Buffer

_USAGE_SECONDS = 5  # of audio, between two reports


class Sender:
    """The outgoing half of a stream, for the part of it that is in one format. Positions are samples.

    ``interval`` is the least time between two audio messages, in seconds; ``bound`` is how many seconds may be held.
    """

    def __init__(
        self, format: AudioFormat, timeline: Timeline, interval: float, bound: float, output: deque[Command | Event]
    ) -> None:
        self._timeline = timeline
        self._interval = interval
        self._bound = format.samples(bound)
        self._usage_samples = _USAGE_SECONDS * format.clock_rate
        self._output = output
        self._framer = Framer(format)
        self._buffer = ReplayBuffer(format)
        self._header: list[Chunk] = []  # pages of ogg_opus that hold no audio: every link begins with them
        self._asks: deque[int] = deque()  # where a finalize waits to be sent
        self._reported = 0  # the end of the audio that Usage has told of
        self._given_up = 0  # the end of the audio that AudioLost has told of
        self.sent = 0  # the end of the audio that any link was sent
        self.replayed = 0  # samples sent again
        self.lost = 0  # samples told of by AudioLost

    @property
    def given(self) -> int:
        """The end of the audio that the application gave."""
        return self._framer.position

    @property
    def ready(self) -> bool:
        """Whether less waits than half of what may be held."""
        return self._buffer.waiting_samples * 2 < self._bound

    @property
    def crowded(self) -> bool:
        """Whether all was sent, and of what is not known to be heard there is half of what may be held."""
        return not self._buffer.waiting and (self.sent - self._timeline.watermark) * 2 > self._bound

    def push(self, audio: Buffer) -> bool:
        """Take audio; whether there is a new message to send. Raises ``LocalProtocolError`` for what is no audio."""
        chunks = self._framer.push(audio)
        if not chunks:
            return False
        if chunks[0].end == 0:  # no sound so far: the header of a file
            self._header.extend(chunks)
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

    def serve(self, link: Link) -> None:
        """Let ``link`` begin at the watermark, or as near to it as audio is held."""
        start, buffer = self._timeline.watermark, self._buffer
        buffer.rewind(start)
        if (held := buffer.start) is not None and held > start:
            self.lose(start, held, LossReason.NOT_HELD)
            start = held
        if self._header and (not buffer.waiting or buffer.waiting[0].end > 0):
            buffer.waiting.extendleft(reversed(self._header))
        link.start = link.sent = start

    def put_back(self, link: Link) -> None:
        """Ask on the next link what ``link`` has not answered."""
        self._asks.extendleft(ask.position for ask in reversed(link.asked) if not ask.probe)

    def pump(self, link: Link, now: float) -> float | None:
        """Send on ``link`` what waits; when to come back for the rest, or ``None`` when nothing is left."""
        buffer, output = self._buffer, self._output
        waiting = buffer.waiting
        while True:
            if self._asks and (not waiting or waiting[0].start >= self._asks[0]):
                link.asked.append(Ask(self._asks.popleft(), probe=False))
                output.append(SendText(link=link.number, text=FINALIZE))
            elif not waiting:
                return None
            elif now < link.next_message:
                return link.next_message
            else:
                chunk = buffer.take(now)
                output.append(SendBinary(link=link.number, data=chunk.data))
                link.next_message = now + self._interval
                self._count(link, chunk)

    def probe(self, link: Link) -> None:
        """Ask ``link`` for a final of what it was sent, to hear whether it hears."""
        link.asked.append(Ask(link.sent, probe=True))
        self._output.append(SendText(link=link.number, text=FINALIZE))

    def trim(self) -> float | None:
        """Let go of what needs no replay any more; when the last sample before the watermark was sent, if known."""
        return self._buffer.trim(self._timeline.watermark)

    def report_usage(self) -> None:
        """Tell of the audio sent since the last report, if there is any."""
        if self.sent > self._reported:
            seconds = self._timeline.seconds
            self._output.append(Usage(seconds=seconds(self.sent) - seconds(self._reported)))
            self._reported = self.sent

    def lose(self, start: int, end: int, reason: LossReason) -> None:
        """Tell that the audio from ``start`` to ``end`` is given up, each sample of it once."""
        start = max(start, self._given_up)
        if end > start:
            self._given_up = end
            self.lost += end - start
            seconds = self._timeline.seconds
            self._output.append(AudioLost(start=seconds(start), end=seconds(end), reason=reason))

    def _count(self, link: Link, chunk: Chunk) -> None:
        link.sent = max(link.sent, chunk.end)
        if chunk.end > self.sent:
            self.replayed += max(0, self.sent - chunk.start)
            self.sent = chunk.end
            if chunk.end - self._reported >= self._usage_samples:
                self.report_usage()
        else:
            self.replayed += chunk.end - chunk.start

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
