"""Link seconds -> stream seconds, and the watermark: up to where everything said is final.

The stream's clock counts the samples that the application gave. A link serves the stream from some sample on; the
service counts its seconds from there.
"""

from __future__ import annotations

from .audio import AudioFormat
from .messages import Utterance, Word


class Timeline:
    """The clock of the part of a stream that is in one format. Positions are samples of it, times are stream seconds.

    ``origin`` is the stream second at which the part begins.
    """

    __slots__ = ("_origin", "_rate", "watermark")

    def __init__(self, format: AudioFormat, origin: float = 0.0) -> None:
        self._rate = format.clock_rate
        self._origin = origin
        self.watermark = 0  # samples; never moves back

    def seconds(self, position: int) -> float:
        return self._origin + position / self._rate

    def duration(self, samples: int) -> float:
        return samples / self._rate

    def samples(self, seconds: float) -> int:
        return round(seconds * self._rate)

    def position(self, seconds: float) -> int:
        return self.samples(seconds - self._origin)

    def time(self, link_start: int, seconds: float, end: int) -> float:
        """Stream seconds of a time of the link that began at sample ``link_start`` and was sent audio up to ``end``.

        What lies outside of the audio that the link was sent is moved to its nearer end.
        """
        return min(self.seconds(link_start) + max(seconds, 0.0), self.seconds(end))

    def words(self, words: tuple[Word, ...], link_start: int, end: int) -> tuple[Word, ...]:
        """The words of a final in stream time, in order and inside of the audio that the link was sent."""
        offset, lasting, at = self.seconds(link_start), self.duration(end - link_start), 0.0
        for word in words:
            start, stop = word.start, word.end
            if start is None or stop is None or not at <= start <= stop <= lasting:
                break
            at = start
        else:
            if offset == 0.0:
                return words
        return self._moved(words, offset, offset + lasting)

    def utterances(self, utterances: tuple[Utterance, ...], link_start: int, end: int) -> tuple[Utterance, ...]:
        """The utterances of a final in stream time, inside of the audio that the link was sent."""
        return tuple(
            Utterance(
                text=utterance.text,
                start=None if utterance.start is None else self.time(link_start, utterance.start, end),
                end=None if utterance.end is None else self.time(link_start, utterance.end, end),
                speaker=utterance.speaker,
            )
            for utterance in utterances
        )

    def _moved(self, words: tuple[Word, ...], offset: float, limit: float) -> tuple[Word, ...]:
        """Each word moved by ``offset``; a time that goes back or lies beyond the audio is moved to where it can be."""
        moved: list[Word] = []
        at = offset
        for word in words:
            start = None if word.start is None else min(max(word.start + offset, at), limit)
            end = None if word.end is None else min(max(word.end + offset, start or at), limit)
            at = start if start is not None else at
            moved.append(
                Word(
                    text=word.text,
                    start=start,
                    end=end,
                    confidence=word.confidence,
                    speaker=word.speaker,
                    speaker_confidence=word.speaker_confidence,
                )
            )
        return tuple(moved)
