"""Link seconds -> stream seconds, and the watermark: everything said before it is final.

The stream's clock counts the samples that the application gave. The service counts seconds from where its link began.
"""

from __future__ import annotations

from smallest_proto.audio import AudioFormat
from smallest_proto.reading import Utterance, Word

from .cursor import Cursor

_LITTLE = 1.0  # seconds: what waited while a link opened, say
_ROUNDING = 0.25  # seconds: a recogniser that counts in frames can end a word this far after the audio


class Timeline:
    """The clock of the part of a stream that is in one format. Positions are samples of it, times are stream seconds.

    ``origin`` is the stream second at which the part begins.
    """

    __slots__ = ("_origin", "_rate", "mended", "watermark")

    def __init__(self, format: AudioFormat, origin: float = 0.0) -> None:
        self._rate = format.clock_rate
        self._origin = origin
        self.watermark = 0  # samples; never moves back
        self.mended = 0  # how many times were impossible, and were moved

    def seconds(self, position: int) -> float:
        return self._origin + position / self._rate

    def duration(self, samples: int) -> float:
        return samples / self._rate

    def samples(self, seconds: float) -> int:
        return round(seconds * self._rate)

    def position(self, seconds: float) -> int:
        return self.samples(seconds - self._origin)

    def ahead(self, cursor: Cursor, now: float) -> float:
        """Seconds by which a link was sent more than a recogniser that works in real time can have heard by now."""
        ahead = self.duration(cursor.unheard) - (now - cursor.heard_at)
        return ahead if ahead > _LITTLE else 0.0

    def heard_by(self, cursor: Cursor) -> float:
        """When a recogniser that works in real time has heard all that the link was sent."""
        return cursor.heard_at + self.duration(cursor.unheard)

    def time(self, cursor: Cursor, seconds: float) -> float:
        """A time of a link in stream seconds; one outside of the link's audio is moved to the nearer end of it."""
        lasting = self.duration(cursor.lasting)
        self.mended += not 0.0 <= seconds <= lasting + _ROUNDING
        return self._stream_time(cursor, min(max(seconds, 0.0), lasting))

    def words(self, words: tuple[Word, ...], cursor: Cursor) -> tuple[Word, ...]:
        """The words of a final in stream time, in order and inside of the audio that the link was sent."""
        lasting, at = self.duration(cursor.lasting), 0.0
        for word in words:
            start, stop = word.start, word.end
            if start is None or stop is None or not at <= start <= stop <= lasting:
                self.mended += not _sound(words, lasting + _ROUNDING)
                break
            at = start
        else:
            if cursor.whole and self._origin == 0.0:
                return words
        return self._moved(words, cursor, lasting)

    def utterances(self, utterances: tuple[Utterance, ...], cursor: Cursor) -> tuple[Utterance, ...]:
        """The utterances of a final in stream time, inside of the audio that the link of ``cursor`` was sent."""
        return tuple(
            Utterance(
                text=utterance.text,
                start=None if utterance.start is None else self.time(cursor, utterance.start),
                end=None if utterance.end is None else self.time(cursor, utterance.end),
                speaker=utterance.speaker,
            )
            for utterance in utterances
        )

    def _stream_time(self, cursor: Cursor, seconds: float, *, end: bool = False) -> float:
        """Stream seconds of a time inside of a link's audio; an ``end`` belongs to what is before it."""
        if not cursor.whole:
            sample = seconds * self._rate
            seconds += self.duration(cursor.left_out(sample - 0.5 if end else sample + 0.5))
        return self.seconds(cursor.start) + seconds

    def _moved(self, words: tuple[Word, ...], cursor: Cursor, lasting: float) -> tuple[Word, ...]:
        """Each word in stream time; a time that goes back or lies after the audio is moved to a possible one."""
        moved: list[Word] = []
        at = 0.0
        for word in words:
            start = None if word.start is None else min(max(word.start, at), lasting)
            at = start if start is not None else at
            end = None if word.end is None else min(max(word.end, at), lasting)
            began = None if start is None else self._stream_time(cursor, start)
            moved.append(
                Word(
                    text=word.text,
                    start=began,
                    end=None if end is None else max(self._stream_time(cursor, end, end=True), began or 0.0),
                    confidence=word.confidence,
                    speaker=word.speaker,
                    speaker_confidence=word.speaker_confidence,
                )
            )
        return tuple(moved)


_DISORDER = 0.15  # seconds that a time may lie before the last one: each is off by up to some 70 ms


def _sound(words: tuple[Word, ...], lasting: float) -> bool:
    """Whether every word has times, in order and inside of so many seconds."""
    at = 0.0
    for word in words:
        start, end = word.start, word.end
        if start is None or end is None or not (0.0 <= start <= end + _DISORDER and at - _DISORDER <= start):
            return False
        if end > lasting:
            return False
        at = max(at, start)
    return True
