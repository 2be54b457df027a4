"""Link seconds -> stream seconds, and the watermark: up to where everything said is final.

The stream's clock counts the samples that the application gave. A link serves the stream from some sample on; the
service counts its seconds from there.
"""

from __future__ import annotations

from smallest_proto.audio import AudioFormat
from smallest_proto.link import Link
from smallest_proto.reading import Utterance, Word

_ROUNDING = 0.25  # seconds: a recogniser that counts in frames can end a word so far beyond the audio


class Timeline:
    """The clock of the part of a stream that is in one format. Positions are samples of it, times are stream seconds.

    ``origin`` is the stream second at which the part begins.
    """

    __slots__ = ("_origin", "_rate", "mended", "watermark")

    def __init__(self, format: AudioFormat, origin: float = 0.0) -> None:
        self._rate = format.clock_rate
        self._origin = origin
        self.watermark = 0  # samples; never moves back
        self.mended = 0  # how often a time could not be, and was moved to where it can

    def seconds(self, position: int) -> float:
        return self._origin + position / self._rate

    def duration(self, samples: int) -> float:
        return samples / self._rate

    def samples(self, seconds: float) -> int:
        return round(seconds * self._rate)

    def position(self, seconds: float) -> int:
        return self.samples(seconds - self._origin)

    def time(self, link: Link, seconds: float) -> float:
        """Stream seconds of a time of ``link``, at most at the nearer end of the audio that it was sent."""
        lasting = self.duration(link.lasting)
        self.mended += not 0.0 <= seconds <= lasting + _ROUNDING
        return self._stream_time(link, min(max(seconds, 0.0), lasting))

    def words(self, words: tuple[Word, ...], link: Link) -> tuple[Word, ...]:
        """The words of a final in stream time, in order and inside of the audio that ``link`` was sent."""
        lasting, at = self.duration(link.lasting), 0.0
        for word in words:
            start, stop = word.start, word.end
            if start is None or stop is None or not at <= start <= stop <= lasting:
                self.mended += not _sound(words, lasting + _ROUNDING)
                break
            at = start
        else:
            if link.start == 0 and self._origin == 0.0 and not link.holes:
                return words
        return self._moved(words, link, lasting)

    def utterances(self, utterances: tuple[Utterance, ...], link: Link) -> tuple[Utterance, ...]:
        """The utterances of a final in stream time, inside of the audio that ``link`` was sent."""
        return tuple(
            Utterance(
                text=utterance.text,
                start=None if utterance.start is None else self.time(link, utterance.start),
                end=None if utterance.end is None else self.time(link, utterance.end),
                speaker=utterance.speaker,
            )
            for utterance in utterances
        )

    def _stream_time(self, link: Link, seconds: float, *, end: bool = False) -> float:
        """Stream seconds of a time inside of the audio of ``link``; an ``end`` belongs to what is before it."""
        if link.holes:
            sample = seconds * self._rate
            seconds += self.duration(link.left_out(sample - 0.5 if end else sample + 0.5))
        return self.seconds(link.start) + seconds

    def _moved(self, words: tuple[Word, ...], link: Link, lasting: float) -> tuple[Word, ...]:
        """Each word in stream time; a time that goes back or lies beyond the audio is moved to where it can be."""
        moved: list[Word] = []
        at = 0.0
        for word in words:
            start = None if word.start is None else min(max(word.start, at), lasting)
            at = start if start is not None else at
            end = None if word.end is None else min(max(word.end, at), lasting)
            began = None if start is None else self._stream_time(link, start)
            moved.append(
                Word(
                    text=word.text,
                    start=began,
                    end=None if end is None else max(self._stream_time(link, end, end=True), began or 0.0),
                    confidence=word.confidence,
                    speaker=word.speaker,
                    speaker_confidence=word.speaker_confidence,
                )
            )
        return tuple(moved)


def _sound(words: tuple[Word, ...], lasting: float) -> bool:
    """Whether every word has times, in order and inside of so many seconds."""
    at = 0.0
    for word in words:
        if word.start is None or word.end is None or not at <= word.start <= word.end <= lasting:
            return False
        at = word.start
    return True
