"""The audio of one segment on its way to the application: samples are never split, and word times come with it.

Audio that was given out cannot be taken back. To continue at the right word after a lost link, audio is held back until
its word is known to be complete. Then all that was given out is exactly the text up to ``Script.spoken``, and the next
link begins there.
"""

from __future__ import annotations

from collections import deque

from smallest_proto.config import SynthesisConfig
from smallest_proto.values import Sink

from .events import AudioChunk, WordSpoken
from .messages import WordMessage
from .script import Script

_WIDTH = 2  # bytes of a sample: a socket carries linear16 alone
MAX_REQUESTS = 64  # names that the service gives to parts of a segment, kept at once; a sentence is a part
_ROUNDED = 0.01  # seconds: a time may be rounded up by this
_OFF = 0.05  # seconds: recognisers' word times were seen to be off by tens of milliseconds; these can be as well
_SHORTEST = 0.08  # seconds: no word is shorter
_LONGEST = 1e5  # seconds: more than a day of audio is no time of a word
_MOST_HELD = 1.5  # seconds: no word is longer; no more audio waits for a word time that may never come


class _Clock:
    """Where the times of one request count from: its own audio, or the first audio of the link. Both were seen."""

    __slots__ = ("_begin", "_zero")

    def __init__(self, begin: int) -> None:
        self._begin = begin  # the sample at which its audio begins
        self._zero: int | None = None

    def zero(self, base: int, start: int) -> int:
        """The sample from which its times count, if its first word starts at ``start``: words begin near audio."""
        if self._zero is None:
            on = self._begin - base
            self._zero = base if abs(start - on) < start else self._begin
        return self._zero


class Playout:
    """Positions are samples of the segment. ``hold``: give out whole words alone, as far as their times are known."""

    __slots__ = (
        *("_clocks", "_early", "_half", "_held", "_hold", "_ends_unplaced", "_newest", "_output", "_rate", "_script"),
        *("_segment", "_show_words", "_size", "_words", "misleading", "base", "out", "timed", "whole"),
    )

    def __init__(
        self,
        segment: int,
        config: SynthesisConfig,
        script: Script,
        *,
        hold: bool,
        output: Sink[AudioChunk | WordSpoken],
    ) -> None:
        self._segment = segment
        self._rate = config.sample_rate
        self._show_words = config.word_timestamps  # they are asked for as well where a segment is to be resumed
        self._script = script
        self._hold = hold
        self._output = output
        self._half = b""  # the first byte of a sample
        self._held: deque[bytes | memoryview] = deque()  # came, and waits for its word
        self._size = 0  # bytes of it
        self._words: deque[tuple[int, int | None, WordSpoken]] = deque()  # end, end in the text, not given out yet
        self._early: list[WordMessage] = []  # words of requests no audio of which has come
        self._clocks: dict[str | None, _Clock] = {}  # of the present link's requests
        self._newest: str | None = None  # request
        self._ends_unplaced = False  # what was given out ends with words whose place in the text is not known
        self.misleading = False  # the service gave impossible times: its words prove nothing any more
        self.base = 0  # where the audio of the present link begins
        self.out = 0  # the end of what was given out
        self.whole = 0  # the end of the last word given out whole whose place in the text is known
        self.timed = False  # the service gave the time of a word

    @property
    def received(self) -> int:
        """The end of what came."""
        return self.out + self._size // _WIDTH

    @property
    def seconds(self) -> float:
        """Seconds of audio given out."""
        return self.out / self._rate

    @property
    def untimed(self) -> float:
        """Seconds of audio that came after the last word whose place in the text is known."""
        timed = max((end for end, place, _ in self._words if place is not None), default=self.whole)
        return max(0, self.received - max(timed, self.base)) / self._rate

    def covers_words(self, *, nearly: bool) -> bool:
        """Whether all audio of the words that the service named is here; ``nearly``: as far as its times are right."""
        end = self.received + self._rate * (_OFF if nearly else _ROUNDED)
        return all(last <= end for last, _, _ in self._words)

    @property
    def exact(self) -> bool:
        """Whether the words up to ``Script.spoken`` are all that was given out whole."""
        if self.misleading:
            return self.out == 0
        return not self._ends_unplaced and (bool(self._words) or self.out - self.whole < self._rate * _SHORTEST)

    @property
    def between_words(self) -> bool:
        """Whether what was given out ends with a word: another link can go on from there."""
        return self.out == self.whole

    def restart(self) -> None:
        """The next link begins where the audio given out ends; what was held back comes again."""
        self.base = self.out
        self._half = b""
        self._held.clear()
        self._size = 0
        self._words.clear()
        self._early.clear()
        self._clocks.clear()
        self.misleading = self._ends_unplaced = False

    def add(self, data: bytes, request: str | None = None) -> None:
        """Audio came, of any number of bytes; ``request`` is the service's name for the part of the text."""
        self._newest = request or self._newest
        if self._newest not in self._clocks:
            self._begin(self._newest)
        data = self._half + data
        cut = len(data) - len(data) % _WIDTH
        self._half = data[cut:]
        if not self._hold:
            self._give(data[:cut])
        elif cut:
            self._held.append(data[:cut])
            self._size += cut
        if self._held or self._words:
            self._settle()

    def word(self, word: WordMessage) -> None:
        """The service told where a word is, in seconds of the present link or of its request."""
        self.timed = True
        self._newest = word.request_id or self._newest
        if self._newest in self._clocks:
            self._place(word)
            self._settle()
        else:
            self._early.append(word)

    def settle_all(self) -> None:
        """All audio of what was sent is here: give it out, whatever is known of its words."""
        hold = self._hold
        self.finish()
        self._hold = hold
        self.whole, self._script.spoken = self.out, self._script.sent

    def finish(self) -> None:
        """All audio of the segment is here: hold nothing back."""
        self._hold = False
        if self._early:
            self._begin(self._newest)
        self._settle()
        while self._words:
            self._tell()

    def _begin(self, request: str | None) -> None:
        """The audio of a request begins."""
        if len(self._clocks) >= MAX_REQUESTS:
            del self._clocks[next(iter(self._clocks))]
        self._clocks[request] = _Clock(self.received)
        self._half = b""  # a sample ends with its request
        early, self._early = self._early, []
        for word in early:
            self._place(word)

    def _place(self, word: WordMessage) -> None:
        """Put a word on the segment's clock and in its place in the text."""
        start, end, rate = word.start, word.end, self._rate
        if start is None or end is None or not 0 <= start <= end <= _LONGEST:
            self.misleading = True
            return
        clock = self._clocks.get(word.request_id or self._newest) or _Clock(self.base)
        zero = clock.zero(self.base, round(start * rate))
        last = zero + round(end * rate)
        if last <= (self._words[-1][0] if self._words else self.whole):
            self.misleading = True  # it came before, or its time counts from another place
        place = self._script.follow(word.text)
        event = WordSpoken(
            segment=self._segment,
            text=word.text,
            start=start + zero / rate,
            end=end + zero / rate,
            written=place.written,
        )
        self._words.append((last, None if self.misleading else place.end, event))

    def _settle(self) -> None:
        """Give out what may go, then the words that are whole with it."""
        if self._held:
            self._give(self._release())
        while self._words and self._words[0][0] <= self.out:
            self._tell()

    def _release(self) -> bytes:
        received = self.received
        if self._hold and not self.misleading:
            ends = [end for end, place, _ in self._words if place is not None and end <= received]
            limit = max(ends[-1] if ends else self.out, received - round(_MOST_HELD * self._rate))
        else:
            limit = received
        return self._take(max(0, limit - self.out) * _WIDTH)

    def _take(self, size: int) -> bytes:
        """The first bytes of what is held back. They are copied once at most, however many words a piece holds."""
        parts = []
        self._size -= size
        while size:
            part = self._held.popleft()
            if len(part) > size:
                part, rest = memoryview(part)[:size], memoryview(part)[size:]
                self._held.appendleft(rest)
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _give(self, data: bytes) -> None:
        if data:
            samples = len(data) // _WIDTH
            start, self.out = self.out, self.out + samples
            self._output.append(AudioChunk(segment=self._segment, data=data, start=start / self._rate, samples=samples))

    def _tell(self) -> None:
        end, place, word = self._words.popleft()
        self._ends_unplaced = place is None
        if place is not None:
            self.whole, self._script.spoken = end, place
        if self._show_words:
            self._output.append(word)
