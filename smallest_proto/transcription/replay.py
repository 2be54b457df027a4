"""The audio that a new link may need: everything from a margin before the watermark on.

Positions are samples of one part of the stream.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import zip_longest
from operator import attrgetter

from smallest_proto.audio import AudioFormat, Chunk
from smallest_proto.levels import LOUD, SILENT, level, peak

# How far before the watermark a new link begins. A recogniser's word times are off by up to some 100 ms (rounded,
# early, late), and the least margin is three times that. Between the margins, a link begins at the quietest message.
LEAST_MARGIN = 0.3  # seconds
MOST_MARGIN = 0.5  # seconds

# A pause in a conversation is sent again as it was. Of a longer silence only the two ends are sent: together they are
# more than twice the 0.6 s after which a service ends an utterance, and enough for the soft start of a word.
SHORT_SILENCE = 3.0  # seconds
SILENCE_KEPT = 0.75  # seconds, at each end


_end = attrgetter("end")


class ReplayBuffer:
    """The audio messages that are held, in order, with the level of each where it was needed."""

    __slots__ = ("_encoding", "_levels", "_message", "chunks", "least", "most", "short_silence", "silence_kept")

    def __init__(self, format: AudioFormat) -> None:
        self._encoding = format.encoding
        self._message = format.message_samples
        self.least = format.samples(LEAST_MARGIN)
        self.most = format.samples(MOST_MARGIN)
        self.short_silence = format.samples(SHORT_SILENCE)
        self.silence_kept = format.samples(SILENCE_KEPT)
        self.chunks: list[Chunk] = []
        self._levels = bytearray()  # of the first ones, as far as they were needed; 0: not known yet

    @property
    def start(self) -> int | None:
        """The first sample that is held, or ``None`` when nothing is."""
        return self.chunks[0].start if self.chunks else None

    @property
    def silence(self) -> int:
        """Samples of what is known to be silence."""
        return self._levels.count(SILENT) * self._message

    def first_sound(self, start: int) -> int | None:
        """Where the first chunk after ``start`` begins that is not known to be silence."""
        pairs = zip_longest(self.chunks, self._levels)
        return next((chunk.start for chunk, known in pairs if known != SILENT and chunk.start >= start), None)

    def drop(self) -> tuple[Chunk, int]:
        """Let go of the oldest chunk; return it and its level."""
        found = self.level(0)
        del self._levels[0]
        return self.chunks.pop(0), found

    def trim(self, watermark: int) -> None:
        """Let go of what no link will begin with, now that everything said before ``watermark`` is final."""
        gone = bisect_right(self.chunks, watermark - self.most - self._message, key=_end)
        if gone:
            del self.chunks[:gone], self._levels[:gone]

    def level(self, at: int) -> int:
        """The level of the chunk at index ``at``."""
        if at >= len(self._levels):
            self._levels.extend(bytes(len(self.chunks) - len(self._levels)))
        found = self._levels[at]
        if not found:
            chunk = self.chunks[at]
            # A page of ogg_opus that only begins a packet has no length of its own: it counts as sound, and is kept.
            found = self._levels[at] = level(chunk.data, self._encoding) if chunk.end > chunk.start else LOUD
        return found

    def loud(self, start: int, end: int) -> tuple[int, int | None]:
        """How many samples from ``start`` to ``end`` are loud, and the end of the first chunk of them."""
        samples, first = 0, None
        for at, chunk in self._between(start, end):
            if self.level(at) == LOUD:
                samples += min(chunk.end, end) - max(chunk.start, start)
                first = chunk.end if first is None else first
        return samples, first

    def silent(self, start: int, end: int) -> bool:
        """Whether everything from ``start`` to ``end`` is held, and surely silence."""
        held = self.start
        return (
            held is not None and held <= start and all(self.level(at) == SILENT for at, _ in self._between(start, end))
        )

    def beginning(self, watermark: int) -> int:
        """Where a new link begins: the quietest message that begins a margin before ``watermark``.

        A word that is cut at the start of a link is worse than a word that is heard twice.
        """
        if watermark <= 0:
            return self.start or 0
        best, lowest = None, 0
        before = self.start or 0
        for chunk in self.chunks:
            if chunk.start > watermark - self.least:
                break
            before = chunk.start
            if chunk.start >= watermark - self.most or chunk.end > watermark - self.most:
                found = peak(chunk.data, self._encoding)
                if best is None or found <= lowest:  # of equal ones the later
                    best, lowest = chunk.start, found
        return before if best is None else best

    def replay(self, watermark: int) -> list[Chunk]:
        """What a new link is sent: everything from ``beginning`` on, without the middle of long silences."""
        start, chunks = self.beginning(watermark), self.chunks
        held = [at for at, chunk in enumerate(chunks) if chunk.end > start or chunk.start >= start]
        kept: list[Chunk] = []
        silence: list[Chunk] = []
        for at in held:
            if self.level(at) == SILENT:
                silence.append(chunks[at])
                continue
            kept += self._shortened(silence, first=not kept, watermark=watermark)
            silence = []
            kept.append(chunks[at])
        return kept + self._shortened(silence, first=not kept, watermark=watermark)

    def _shortened(self, silence: list[Chunk], *, first: bool, watermark: int) -> list[Chunk]:
        """The ends of a silence that are sent; of one at the beginning the later end alone."""
        if not silence:
            return silence
        if silence[-1].end - silence[0].start <= self.short_silence:
            return silence
        keep = self.silence_kept
        # If the link begins with silence, the watermark lies in it: nothing before it needs to be heard.
        early = silence[0].start if first else silence[0].start + keep
        late = silence[-1].end - keep
        return [chunk for chunk in silence if chunk.end <= early or chunk.end > late]

    def _between(self, start: int, end: int) -> Iterator[tuple[int, Chunk]]:
        """Index and chunk of what is held between two positions."""
        chunks = self.chunks
        for at in range(bisect_right(chunks, start, key=_end), len(chunks)):
            if (chunk := chunks[at]).start >= end:
                break
            yield at, chunk
