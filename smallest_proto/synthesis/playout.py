"""The audio of one segment on its way to the application: never a torn sample, and word times beside it.

What was given out cannot be taken back. Where a lost link is to be made good to the word, audio is held back until the
word that it belongs to is known whole: then what came out is exactly the text up to ``Script.spoken``, and the next
link begins there.
"""

from __future__ import annotations

from collections import deque

from smallest_proto.config import SynthesisConfig
from smallest_proto.values import Sink

from .events import AudioChunk, WordSpoken
from .script import Script

_WIDTH = 2  # bytes of a sample: a socket carries linear16 alone
_MOST_HELD = 1.5  # seconds: no word lasts longer, and of a voice without word times no more is kept waiting


class Playout:
    """Positions are samples of the segment. ``hold``: give out whole words alone, as far as their times are known."""

    __slots__ = (
        *("_half", "_held", "_hold", "_output", "_rate", "_script", "_segment", "_show_words", "_size", "_words"),
        *("base", "out", "timed", "whole"),
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
        self.base = 0  # where the audio of the present link begins
        self.out = 0  # the end of what was given out
        self.whole = 0  # the end of the last word given out whole whose place in the text is known
        self.timed = False  # the service told where a word is

    @property
    def received(self) -> int:
        """The end of what came."""
        return self.out + self._size // _WIDTH

    @property
    def seconds(self) -> float:
        """Seconds of audio given out."""
        return self.out / self._rate

    @property
    def untold(self) -> float:
        """Seconds of audio that came after the last word whose place in the text is known."""
        told = max((end for end, place, _ in self._words if place is not None), default=self.whole)
        return max(0, self.received - max(told, self.base)) / self._rate

    @property
    def covers_words(self) -> bool:
        """Whether all came of the audio of the words that the service told of."""
        return all(end <= self.received + self._rate * _ROUNDED for end, _, _ in self._words)

    @property
    def exact(self) -> bool:
        """Whether the words up to ``Script.spoken`` are all that was given out whole."""
        if self._script.astray:
            return self.out == 0
        return bool(self._words) or self.out - self.whole < self._rate * _SHORTEST

    @property
    def between_words(self) -> bool:
        """Whether what was given out ends with a word: another link can go on from there."""
        return self.out == self.whole

    def restart(self) -> None:
        """The next link begins where what was given out ends; what was held back comes again."""
        self.base = self.out
        self._half = b""
        self._held.clear()
        self._size = 0
        self._words.clear()

    def add(self, data: bytes) -> None:
        """Audio came, of any number of bytes."""
        data = self._half + data
        cut = len(data) - len(data) % _WIDTH
        self._half = data[cut:]
        if not self._hold:
            self._give(data[:cut])
        elif cut:
            self._held.append(data[:cut])
            self._size += cut
        self._settle()

    def word(self, text: str, start: float | None, end: float | None) -> None:
        """The service told where a word is, in seconds of the present link."""
        script, rate = self._script, self._rate
        self.timed = True
        if start is None or end is None or not 0 <= start <= end <= _LONGEST:
            script.astray = True
            return
        last = self.base + round(end * rate)
        if last <= (self._words[-1][0] if self._words else self.whole):
            script.astray = True  # it was told already, or its time counts from somewhere else
        place = script.follow(text)
        word = WordSpoken(segment=self._segment, text=text, start=start + self.base / rate, end=end + self.base / rate)
        self._words.append((last, place, word))
        self._settle()

    def finish(self) -> None:
        """All of the segment has come: nothing is held back."""
        self._hold = False
        self._settle()
        while self._words:
            self._tell()

    def _settle(self) -> None:
        """Give out what may go, then the words that are whole with it."""
        if self._held:
            self._give(self._release())
        while self._words and self._words[0][0] <= self.out:
            self._tell()

    def _release(self) -> bytes:
        received = self.received
        if self._hold and not self._script.astray:
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
        if place is not None:
            self.whole, self._script.spoken = end, place
        if self._show_words:
            self._output.append(word)


_ROUNDED = 0.01  # seconds: by so much may a time be rounded up
_SHORTEST = 0.08  # seconds: no word is shorter
_LONGEST = 1e5  # seconds: more than a day of audio is no time of a word
