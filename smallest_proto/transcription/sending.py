"""Audio on its way to the service: cut into messages, held until it was heard, sent no faster than the service allows.

A finalize has a place in the stream too: it goes out between the samples where the application asked for it, and again
on every new link until it is answered.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from smallest_proto.audio import AudioFormat, Chunk, Framer
from smallest_proto.commands import Command, SendBinary, SendText
from smallest_proto.errors import LocalProtocolError
from smallest_proto.levels import SILENT
from smallest_proto.link import Link

from .cursor import Ask, Cursor
from .events import AudioLost, Event, LossReason, Usage
from .messages import FINALIZE
from .replay import ReplayBuffer
from .timeline import Timeline

if TYPE_CHECKING:
    from typing_extensions import Buffer

_USAGE_SECONDS = 5  # of audio, between two reports: as often as LiveKit's own plugins report
_MAX_HEADER_BYTES = 64 * 1024  # of an Ogg Opus stream: names and comments
_ASK_INTERVAL = 0.3  # seconds between two finalizes while the first is not answered: a storm of them is one question
COVERED = 0.2  # seconds of sound after the last word that a final can leave out: its end can be reported this early
_PAUSE = 0.3  # seconds of silence in which a finalize of our own cuts no word in two


class _Unheld(NamedTuple):
    """Audio that a link was sent and that is no longer held."""

    start: int
    end: int
    sound: int  # the end of what is not silence in it


class Sender:
    """The outgoing half of one part of a stream. Positions are samples.

    ``interval`` is the least time between two audio messages, in seconds; ``bound`` is how many seconds may be held.
    """

    def __init__(
        self, format: AudioFormat, timeline: Timeline, interval: float, bound: float, output: deque[Command | Event]
    ) -> None:
        self._timeline = timeline
        self._interval = interval
        self._bound = format.samples(bound)
        self._roomy = self._bound - format.message_samples  # up to here nothing has to go
        self._width = format.sample_width  # bytes; where there is one, the messages are made here, all of one length
        self._message_samples = format.message_samples
        self._usage_samples = _USAGE_SECONDS * format.clock_rate
        self._ask_samples = format.samples(_ASK_INTERVAL)
        self._pause = format.samples(_PAUSE)
        self._covered = format.samples(COVERED)
        self._output = output
        self._framer = Framer(format)
        self._buffer = ReplayBuffer(format)
        self._header: list[bytes] = []  # pages of ogg_opus that hold no audio: every link begins with them
        self._served = False  # a link was opened for it
        self._reported = 0  # samples that Usage has reported
        self._dropped: tuple[int, int] | None = None  # dropped for lack of room, and not reported as AudioLost yet
        self._unheld: deque[_Unheld] = deque()  # sent and no longer held, though what was said in it is not final
        self._told: list[tuple[int, int]] = []  # the audio that AudioLost has reported, in pieces that do not touch
        self.cursors: list[Cursor] = []  # the links that get this part; the first one serves
        self.asks: deque[Ask] = deque()  # the finalizes that are not answered
        self.sent = 0  # the end of the audio that any link was sent
        self.transferred = 0  # samples sent, each counted once
        self.replayed = 0  # samples sent again
        self.lost = 0  # samples reported by AudioLost

    @property
    def given(self) -> int:
        """The end of the audio that the application gave."""
        return self._framer.position

    @property
    def waiting(self) -> float:
        """Seconds of audio that wait to be sent."""
        if not self.cursors:
            return self.unfinalised
        waiting = self.cursors[0].waiting
        return self._timeline.duration(waiting[-1].end - waiting[0].start) if waiting else 0.0

    @property
    def unheard(self) -> float:
        """Seconds of audio that were sent and may not have been heard; silence does not count."""
        buffer, watermark = self._buffer, self._timeline.watermark
        return self._timeline.duration(max(0, self.sent - max(watermark, buffer.start or 0) - buffer.silence))

    @property
    def unheard_since(self) -> float:
        """Seconds from the first sound that may not have been heard to the end of what was given."""
        first = self._buffer.first_sound(self._timeline.watermark + self._buffer.least // 2)
        return 0.0 if first is None else self._timeline.duration(self.given - first)

    @property
    def unfinalised(self) -> float:
        """Seconds of audio that are held and can still become words."""
        return self._timeline.duration(max(0, self.given - max(self._timeline.watermark, self._buffer.start or 0)))

    def push(self, audio: Buffer, *, measure: bool = False) -> int | None:
        """Take audio; return the samples of the new messages to send, or ``None`` if there are none.

        ``measure``: find out at once what of it is silence, not only when needed. Raises ``LocalProtocolError`` for
        what is not audio.
        """
        chunks = self._framer.push(audio)
        if not chunks:
            return None
        if chunks[0].end == 0:  # no sound yet: the header of a file
            data = chunks[0].data
            if sum(map(len, self._header)) + len(data) > _MAX_HEADER_BYTES:
                raise LocalProtocolError("these pages of ogg_opus tell no time: give the pages of an Ogg Opus stream")
            self._header.append(data)
            return 0
        held = self._buffer.chunks
        held.extend(chunks)
        for cursor in self.cursors:
            cursor.waiting.extend(chunks)
        if measure:
            for at in range(len(held) - len(chunks), len(held)):
                self._buffer.level(at)
        if chunks[-1].end - held[0].start > self._roomy:
            self.keep()
        return chunks[-1].end - chunks[0].start

    def flush(self) -> None:
        """Make a message of the rest, however short, if there is one."""
        if (tail := self._framer.flush()) is not None:
            self._buffer.chunks.append(tail)
            for cursor in self.cursors:
                cursor.waiting.append(tail)

    def keep(self, later: float = 0.0) -> None:
        """Hold no more than the bound, minus ``later`` seconds that were given after this part of the stream.

        Audio that a link was sent, and has probably heard, is dropped first; then audio that no link was sent, which is
        reported.
        """
        buffer, oldest = self._buffer, self._framer.position - self._bound
        if later:
            oldest += self._timeline.samples(later)
        while (start := buffer.start) is not None and start < oldest:
            if len(buffer.chunks) == 1 and not later:  # a page of ogg_opus alone can be longer than the bound
                break
            chunk, level = buffer.drop()
            missed = not self.cursors and (level != SILENT or chunk.end > self.sent)
            for cursor in self.cursors:
                cursor.forget(chunk.start)
                while cursor.waiting and cursor.waiting[0].end <= chunk.end:
                    cursor.waiting.popleft()
                    missed = missed or cursor is self.cursors[0]
            if chunk.start < self._timeline.watermark and chunk.end <= self.sent:
                continue  # at most the end of the last final word
            if missed:
                self._dropped = (self._dropped[0] if self._dropped is not None else chunk.start, chunk.end)
            else:
                self._let_go(chunk, silent=level == SILENT)
        if self._dropped is not None and self._dropped[1] - self._dropped[0] >= self._timeline.samples(1.0):
            self.tell_dropped()

    def _let_go(self, chunk: Chunk, *, silent: bool) -> None:
        """A link was sent ``chunk`` and has probably heard it: its sound is lost only if the link is."""
        unheld, watermark = self._unheld, self._timeline.watermark
        if unheld and unheld[-1].end == chunk.start and (not silent or chunk.end - unheld[-1].sound <= self._pause):
            unheld[-1] = _Unheld(unheld[-1].start, chunk.end, unheld[-1].sound if silent else chunk.end)
        elif not silent and (not watermark or chunk.start >= watermark + self._covered):
            # A nearer sound is the end of a word whose end was reported too early.
            unheld.append(_Unheld(chunk.start, chunk.end, chunk.end))

    def tell_dropped(self) -> None:
        """Report audio that was dropped for lack of room: by the second, not by the message."""
        if self._dropped is not None:
            (start, end), self._dropped = self._dropped, None
            self.lose(max(start, self._timeline.watermark), end, LossReason.BUFFER_FULL)

    def finalize(self) -> None:
        """Ask for a final at the end of what was given."""
        asked = max((cursor.asked for cursor in self.cursors), default=0)
        last = self.asks[-1] if len(self.asks) > asked else None  # no link was sent it yet
        passed = last is not None and bool(self.cursors) and last.position < self.cursors[0].sent
        if last is not None and (passed or self.given - last.first <= self._ask_samples):
            last.position = self.given  # one answer does for both
            last.first = self.given if passed else last.first
            last.calls += 1
        else:
            self.flush()
            self.asks.append(Ask(self.given))

    def answered(self) -> Ask:
        """The oldest finalize is answered."""
        for cursor in self.cursors:
            cursor.asked = max(0, cursor.asked - 1)
        return self.asks.popleft()

    def cursor(self, link: Link) -> Cursor | None:
        """Where ``link`` is in this part, if it is sent it."""
        for cursor in self.cursors:
            if cursor.link is link:
                return cursor
        return None

    def begin(self, link: Link, now: float) -> Cursor:
        """Let ``link`` begin a margin before the watermark, or as near to that as audio is held."""
        self.tell_dropped()
        chunks = self._buffer.replay(self._timeline.watermark) if self._served else list(self._buffer.chunks)
        start = chunks[0].start if chunks else max(self.sent, self._timeline.watermark)
        self._served = True
        return Cursor(link, start, deque(chunks), now)

    def leave(self, link: Link) -> None:
        """``link`` is gone. If it served, audio that we dropped because it had been sent cannot be heard again."""
        if (cursor := self.cursor(link)) is None:
            return
        served = self.cursors[0] is cursor
        self.cursors.remove(cursor)
        if served:
            unheld, self._unheld = self._unheld, deque()
            heard = self.cursors[0].start if self.cursors else self.given  # the other link has heard it from there on
            watermark = self._timeline.watermark
            for start, end, sound in unheld:
                # Else it is only the end of the last word, and a pause.
                if not watermark or sound > watermark + self._covered:
                    self.lose(max(start, watermark), min(end, heard), LossReason.NOT_HELD)

    def pump(self, cursor: Cursor, now: float) -> float | None:
        """Send what waits on the link of ``cursor``; returns when to call again, or ``None`` if nothing is left."""
        link, waiting = cursor.link.number, cursor.waiting
        while cursor.headers < len(self._header):
            self._output.append(SendBinary(link=link, data=self._header[cursor.headers]))
            cursor.headers += 1
        while True:
            if cursor.asked < len(self.asks) and (wake := self._ask(cursor, now)) is not None:
                return wake
            if not waiting:
                return None
            if now < cursor.next_message:
                return cursor.next_message
            chunk = waiting.popleft()
            samples = chunk.end - chunk.start
            self._output.append(SendBinary(link=link, data=chunk.data))
            # Packets are as long as the application made them: they share the pace of 50 ms messages.
            cursor.next_message = now + self._interval * (1.0 if self._width else samples / self._message_samples)
            if self._dropped is not None:  # the audio after it is sent: this loss is complete
                self.tell_dropped()
            cursor.reach(chunk.start, chunk.end, now)
            if chunk.end <= self.sent:
                self.replayed += samples
                continue
            self.transferred += samples
            self.sent = chunk.end
            if self.transferred - self._reported >= self._usage_samples:
                self.report_usage()

    def _ask(self, cursor: Cursor, now: float) -> float | None:
        """Ask what is due on the link of ``cursor``; returns when to look again if only a question waits."""
        waiting = cursor.waiting
        while cursor.asked < len(self.asks):
            position = self.asks[cursor.asked].position
            storm = cursor.asked and position - cursor.asked_to < self._ask_samples
            if storm and now < cursor.asked_at + _ASK_INTERVAL:
                return None if waiting else cursor.asked_at + _ASK_INTERVAL
            if not waiting and cursor.sent < position:
                self.flush()  # the tail goes first
            if self._passed(cursor, position):
                return None  # here it would cut a word for no reason: a pause will come, or a final covers it
            if waiting and waiting[0].start < position:
                if waiting[0].end > position and self._width:
                    self._split(waiting, position)
                return None
            cursor.asked += 1
            cursor.asked_at, cursor.asked_to = now, position
            cursor.questions.append(position)
            self._output.append(SendText(link=cursor.link.number, text=FINALIZE))
        return None

    def _passed(self, cursor: Cursor, position: int) -> bool:
        """Whether a finalize comes too late for its place in a storm of them, and not in a pause."""
        sent = cursor.sent
        return sent > max(position, cursor.start) and not self._buffer.silent(sent - self._pause, sent)

    def _split(self, waiting: deque[Chunk], position: int) -> None:
        """Split the first message in two: a finalize goes out between them."""
        chunk, width = waiting.popleft(), self._width or 1
        at = (position - chunk.start) * width
        waiting.appendleft(Chunk(position, chunk.end, chunk.data[at:]))
        waiting.appendleft(Chunk(chunk.start, position, chunk.data[:at]))

    def probe(self, cursor: Cursor, now: float) -> bool:
        """Ask for a final of what was sent, where that is surely a pause and half of what may be held is not final."""
        if cursor.probe is not None or cursor.asked or cursor.waiting or cursor.settled is not None:
            return False  # one question at a time, and none while it is seen what follows the last answer
        end = cursor.sent
        if (end - self._timeline.watermark) * 2 <= self._bound or not self._buffer.silent(end - self._pause, end):
            return False
        cursor.probe = cursor.asked_to = end
        cursor.asked_at = now
        cursor.questions.append(end)
        self._output.append(SendText(link=cursor.link.number, text=FINALIZE))
        return True

    def paused_before(self, position: int) -> int | None:
        """A place in the pause that ``position`` lies in: no word is unfinished there. ``None`` if it is no pause."""
        return position - self._pause // 2 if self._buffer.silent(position - self._pause, position) else None

    def silent(self, start: int, end: int) -> bool:
        """Whether everything from ``start`` to ``end`` is held and is surely silence."""
        return self._buffer.silent(start, end)

    def silent_after(self, position: int) -> bool:
        """Whether it is known that silence follows ``position``."""
        end = min(position + self._message_samples, self.sent)
        return end > position and self._buffer.silent(position, end)

    def loud(self, start: int, end: int) -> tuple[int, int | None]:
        """How many samples of the audio held from ``start`` to ``end`` are loud, and the end of the first of them."""
        return self._buffer.loud(start, end)

    def trim(self) -> None:
        """Drop what no replay will need."""
        watermark = self._timeline.watermark
        self._buffer.trim(watermark)
        while self._unheld and self._unheld[0].end <= watermark:
            self._unheld.popleft()

    def report_usage(self) -> None:
        """Report the audio sent since the last report, if any."""
        if self.transferred > self._reported:
            self._output.append(Usage(seconds=self._timeline.duration(self.transferred - self._reported)))
            self._reported = self.transferred

    def lose_rest(self, reason: LossReason) -> None:
        """What is not final now never will be: report it, unless all of it was sent and is silence."""
        self.tell_dropped()
        watermark = self._timeline.watermark
        for start, end, _ in self._unheld:
            self.lose(max(start, watermark), end, reason)
        self._unheld.clear()
        start = max(watermark, self._buffer.start or 0)
        if self.sent < self.given or not self._buffer.silent(start + self._buffer.least // 2, self.given):
            self.lose(start, self.given, reason)

    def lose(self, start: int, end: int, reason: LossReason) -> None:
        """Report that the audio from ``start`` to ``end`` is lost, each sample only once."""
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
