"""Figures of a transcription: word error rate, percentiles, and when a sample of audio was sent. Pure but for jiwer."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


class WordErrors(NamedTuple):
    """How far a transcript is from its reference, in words."""

    reference_words: int
    substituted: int
    missed: int
    added: int

    @property
    def rate(self) -> float:
        """Word error rate: 0 is perfect, above 1 if more was added than there was to hear."""
        return (self.substituted + self.missed + self.added) / max(1, self.reference_words)


def plain_words(text: str) -> list[str]:
    """The words of a text without case and punctuation; a hyphen separates, an apostrophe does not."""
    return _WORD.findall(text.lower().replace("’", "'"))


def word_errors(reference: str, heard: str) -> WordErrors:
    """Compare the words of two texts, whatever their case and punctuation."""
    wanted, got = plain_words(reference), plain_words(heard)
    if not wanted:  # jiwer refuses it
        return WordErrors(0, 0, 0, len(got))
    import jiwer

    counted = jiwer.process_words(" ".join(wanted), " ".join(got))
    return WordErrors(len(wanted), counted.substitutions, counted.deletions, counted.insertions)


def percentile(values: Sequence[float], fraction: float) -> float:
    """The value under which ``fraction`` (0..1) of the values lie, between neighbours in proportion.

    Raises ``ValueError`` if there are no values.
    """
    if not values:
        raise ValueError("no values: nothing has a percentile")
    ordered = sorted(values)
    position = fraction * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


class SentTimes:
    """When each sample of a stream was sent: pieces of audio and the clock, as they went out."""

    def __init__(self) -> None:
        self._ends: list[int] = []
        self._times: list[float] = []

    @property
    def samples(self) -> int:
        """Samples sent so far."""
        return self._ends[-1] if self._ends else 0

    def sent(self, samples: int, now: float) -> None:
        """So many more samples have just been sent."""
        if samples > 0:
            self._ends.append(self.samples + samples)
            self._times.append(now)

    def when(self, sample: int) -> float | None:
        """When the piece that ends at or after ``sample`` was sent: by then all before ``sample`` was out.

        ``None`` if nothing was sent; a sample beyond what was sent counts as the last one.
        """
        if not self._ends:
            return None
        return self._times[min(bisect_left(self._ends, sample), len(self._times) - 1)]
