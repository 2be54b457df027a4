"""Audio on its way down: cut into messages, held until it was heard, sent no faster than the service takes it.

What the application asks for has a place in the stream too: a finalize goes out between the samples where it was asked,
and on every new link once more, until it is answered.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from smallest_proto.audio import AudioFormat, Chunk, Framer, ReplayBuffer, is_quiet
from smallest_proto.commands import Command, SendBinary, SendText
from smallest_proto.errors import LocalProtocolError
from smallest_proto.link import Link

from .events import AudioLost, Event, LossReason, Usage
from .messages import FINALIZE
from .timeline import Timeline

if TYPE_CHECKING:
    from typing_extensions import Buffer

_USAGE_SECONDS = 5  # of audio, between two reports
_MAX_HEADER_BYTES = 64 * 1024  # of an Ogg Opus stream: names and comments


class Ask(NamedTuple):
    """A finalize, and where in the stream it was asked."""

    position: int  # samples: everything before it is asked for
    probe: bool  # asked by the session itself, to hear whether the service still hears


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
        self._encoding = format.encoding
        self._cut = format.sample_width is not None  # the messages are made here, all of one length
        self._message_samples = format.message_samples
        self._usage_samples = _USAGE_SECONDS * format.clock_rate
        self._output = output
        self._framer = Framer(format)
        self._buffer = ReplayBuffer(format)
        self._header: list[bytes] = []  # pages of ogg_opus that hold no audio: every link begins with them
        self._asks: deque[int] = deque()  # where a finalize waits to be sent
        self._asked: dict[int, deque[Ask]] = {}  # by the number of the link
        self._reported = 0  # samples that Usage has told of
        self._dropped: tuple[int, int] | None = None  # found no room, and AudioLost has not told of it yet
        self._told: list[tuple[int, int]] = []  # the audio that AudioLost has told of, in pieces that do not touch
        self.sent = 0  # the end of the audio that any link was sent
        self.transferred = 0  # samples sent, each counted once
        self.replayed = 0  # samples sent again
        self.lost = 0  # samples told of by AudioLost

    @property
    def given(self) -> int:
        """The end of the audio that the application gave."""
        return self._framer.position

    @property
    def waiting(self) -> float:
        """Seconds of audio that wait to be sent."""
        return self._timeline.duration(self._buffer.waiting_samples)

    @property
    def unheard(self) -> float:
        """Seconds of audio that were sent, and are not known to be heard."""
        return self._timeline.duration(max(0, self.sent - self._timeline.watermark))

    @property
    def crowded(self) -> bool:
        """Whether all was sent, and of what is not known to be heard there is half of what may be held."""
        return not self._buffer.waiting and (self.sent - self._timeline.watermark) * 2 > self._bound

    def asked(self, link: Link) -> deque[Ask]:
        """The finalizes that ``link`` has not answered."""
        return self._asked.setdefault(link.number, deque())

    def push(self, audio: Buffer) -> int | None:
        """Take audio; return the samples of the new messages to send, or ``None`` if there are none.

        Raises ``LocalProtocolError`` for what is no audio.
        """
        chunks = self._framer.push(audio)
        if not chunks:
            return None
        if chunks[0].end == 0:  # no sound so far: the header of a file
            data = chunks[0].data
            if sum(map(len, self._header)) + len(data) > _MAX_HEADER_BYTES:
                raise LocalProtocolError("these pages of ogg_opus tell no time: give the pages of an Ogg Opus stream")
            self._header.append(data)
            return 0
        self._buffer.waiting.extend(chunks)
        self.keep()
        return chunks[-1].end - chunks[0].start

    def keep(self, later: float = 0.0) -> None:
        """Hold no more than the bound, less the ``later`` seconds that were given after this part of the stream.

        First goes what a link was sent and is trusted to have heard; then, and told, what none was sent.
        """
        buffer, oldest = self._buffer, self._framer.position - self._bound
        if later:
            oldest += self._timeline.samples(later)
        while (start := buffer.start) is not None and start < oldest:
            if buffer.sent:
                buffer.drop_sent()
                continue
            if len(buffer.waiting) == 1 and not later:  # a page of ogg_opus alone can be longer than the bound
                break
            lost = buffer.waiting.popleft()
            self._dropped = (self._dropped[0] if self._dropped is not None else lost.start, lost.end)
        if self._dropped is not None and self._dropped[1] - self._dropped[0] >= self._timeline.samples(1.0):
            self.tell_dropped()

    def tell_dropped(self) -> None:
        """Tell of what found no room: it is told by the second, not by the message."""
        if self._dropped is not None:
            (start, end), self._dropped = self._dropped, None
            self.lose(start, end, LossReason.BUFFER_FULL)

    def flush(self) -> None:
        """Make a message of the tail, however short."""
        if (tail := self._framer.flush()) is not None:
            self._buffer.waiting.append(tail)

    def finalize(self) -> None:
        """Ask for a final at the end of what was given."""
        self.flush()
        if not self._asks or self._asks[-1] < self.given:  # one answer does for both
            self._asks.append(self.given)

    def take_back(self, link: Link) -> None:
        """``link`` serves no more: what it is not known to have heard waits again, and what it has not answered."""
        watermark = self._timeline.watermark
        asks = {max(ask.position, watermark) for ask in self.asked(link) if not ask.probe}
        self._asks.extendleft(sorted(asks.difference(self._asks), reverse=True))
        self._buffer.rewind(watermark)
        if (held := self._buffer.start) is not None and held > watermark:
            self.lose(watermark, held, LossReason.NOT_HELD)

    def serve(self, link: Link) -> None:
        """Let ``link`` begin where what waits begins: at the watermark, or as near to it as audio is held."""
        self.tell_dropped()
        waiting = self._buffer.waiting
        link.begin(waiting[0].start if waiting else max(self.sent, self._timeline.watermark))

    def pump(self, link: Link, now: float) -> float | None:
        """Send on ``link`` what waits; when to come back for the rest, or ``None`` when nothing is left."""
        output, waiting = self._output, self._buffer.waiting
        while True:
            if link.headers < len(self._header):
                output.append(SendBinary(link=link.number, data=self._header[link.headers]))
                link.headers += 1
            elif self._asks and (not waiting or waiting[0].start >= self._asks[0]):
                self.asked(link).append(Ask(self._asks.popleft(), probe=False))
                output.append(SendText(link=link.number, text=FINALIZE))
            elif not waiting:
                return None
            elif now < link.next_message:
                return link.next_message
            else:
                chunk = self._buffer.take(now)
                output.append(SendBinary(link=link.number, data=chunk.data))
                # Packets are as long as the application made them: their pace is that of messages of 50 ms.
                share = 1.0 if self._cut else (chunk.end - chunk.start) / self._message_samples
                link.next_message = now + self._interval * share
                self._count(link, chunk)

    def probe(self, link: Link) -> None:
        """Ask ``link`` for a final of what it was sent, to hear whether it hears."""
        self.asked(link).append(Ask(link.sent, probe=True))
        self._output.append(SendText(link=link.number, text=FINALIZE))

    def quiet(self) -> bool:
        """Whether what was sent last is quiet: a finalize in its place cuts no word in two."""
        return all(is_quiet(chunk.data, self._encoding) for chunk in islice(reversed(self._buffer.sent), 5))

    def trim(self) -> float | None:
        """Let go of what needs no replay any more; when the last sample before the watermark was sent, if known."""
        return self._buffer.trim(self._timeline.watermark)

    def report_usage(self) -> None:
        """Tell of the audio sent since the last report, if there is any."""
        if self.transferred > self._reported:
            self._output.append(Usage(seconds=self._timeline.duration(self.transferred - self._reported)))
            self._reported = self.transferred

    def lose(self, start: int, end: int, reason: LossReason) -> None:
        """Tell that the audio from ``start`` to ``end`` is given up, each sample of it once."""
        self.tell_dropped()
        if end <= start:
            return
        first, last, at, apart = start, end, start, []
        for told in self._told:
            if told[1] < start or told[0] > end:
                apart.append(told)
                continue
            self._lose(at, told[0], reason)
            at = told[1]
            first, last = min(first, told[0]), max(last, told[1])
        self._lose(at, end, reason)
        self._told = sorted([*apart, (first, last)])

    def _lose(self, start: int, end: int, reason: LossReason) -> None:
        if end > start:
            self.lost += end - start
            seconds = self._timeline.seconds
            self._output.append(AudioLost(start=seconds(start), end=seconds(end), reason=reason))

    def _count(self, link: Link, chunk: Chunk) -> None:
        if self._dropped is not None:  # what comes after it is sent: it grows no more
            self.tell_dropped()
        link.reach(chunk.start, chunk.end)
        if chunk.end > self.sent:
            self.transferred += chunk.end - chunk.start
            self.sent = chunk.end
            if self.transferred - self._reported >= self._usage_samples:
                self.report_usage()
        else:
            self.replayed += chunk.end - chunk.start
