"""Mixes several channels into one, so that no voice is lost.

A mean can cancel: the two channels of a line that was wired the wrong way round give silence. And it buries: a voice in
one of six channels is six times quieter. So a channel in opposite phase to the louder ones is turned round, and each
channel counts by its share of the level at that moment, as in an automatic mixer for microphones (Dan Dugan, 1975).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Channels = npt.NDArray[np.float32]  # (samples, channels)
Mono = npt.NDArray[np.float32]

_HOP = 0.02  # seconds in which a share holds: shorter than a syllable
_RELEASE = 0.7  # of a level from one hop to the next: by 20 dB in 0.13 s, so that a quiet answer is heard at once
_MEMORY = 0.8  # of what the last blocks showed of the phases
_OPPOSED = -0.1  # two voices do not correlate so by accident
_VOICE = 2000.0  # Hz: the middle of the band of speech, 300 to 3400
_SILENCE = 1e-5  # of full scale: below it all channels count the same


class Mixer:
    """Mixes blocks of one part down, in order: of the same length whatever their content, the last may be shorter."""

    def __init__(self, channels: int, rate: int) -> None:
        self._channels = channels
        self._hop = max(1, round(rate * _HOP))
        self._levels = np.zeros(channels)
        self._signs = np.ones(channels)
        self._products = np.zeros((channels, channels))
        self._gains: npt.NDArray[np.float64] | None = None  # at the end of the block before
        self._width = max(1, round(rate / (2 * _VOICE)))
        self._heard: Channels | None = None  # what the steps of the next block begin with

    def mix(self, block: Channels) -> Mono:
        """The block as one channel."""
        if self._channels == 1:
            return block[:, 0]
        if not len(block):
            return np.zeros(0, np.float32)
        steps = self._steps(block)
        self._products = self._products * _MEMORY + steps.T @ steps
        self._turn()
        gains = self._shares(steps) * self._signs
        before = gains[:1] if self._gains is None else self._gains[None]
        self._gains = gains[-1]
        # From hop to hop the gains move in a straight line: a jump would click.
        edges = np.concatenate((before, gains))
        at = np.minimum(np.arange(len(block)) / self._hop, len(gains))
        mixed = sum(
            block[:, number] * np.interp(at, np.arange(len(edges)), edges[:, number])
            for number in range(self._channels)
        )
        return np.asarray(mixed, np.float32)

    def _steps(self, block: Channels) -> npt.NDArray[np.float64]:
        """The difference of short means: it leaves out rumble, hiss and an offset from zero."""
        width = self._width
        before = np.repeat(block[:1], 2 * width - 1, axis=0) if self._heard is None else self._heard
        heard = np.concatenate((before, block))
        self._heard = heard[len(block) :]
        sums = np.cumsum(heard, axis=0, dtype=np.float64)
        sums = np.concatenate((np.zeros((1, self._channels)), sums))
        means = (sums[width:] - sums[:-width]) / width
        return np.asarray(means[width:] - means[:-width])

    def _turn(self) -> None:
        """Turn round each channel that is opposed to the sum of the louder ones."""
        products = self._products
        order = np.argsort(-np.diag(products), kind="stable")
        for place, number in enumerate(order[1:], 1):
            louder = order[:place]
            signs = self._signs[louder]
            together = float(signs @ products[louder, number])
            power = float(signs @ products[np.ix_(louder, louder)] @ signs) * float(products[number, number])
            if power > 0:
                correlation = together / power**0.5
                if abs(correlation) > -_OPPOSED:
                    self._signs[number] = np.sign(correlation)

    def _shares(self, steps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Of each channel in each hop; together they are 1."""
        starts = np.arange(0, len(steps), self._hop)
        sizes = np.diff(np.append(starts, len(steps)))
        levels = np.sqrt(np.add.reduceat(steps**2, starts, axis=0) / sizes[:, None]) + _SILENCE
        for hop in range(len(levels)):
            self._levels = levels[hop] = np.maximum(levels[hop], self._levels * _RELEASE)
        return np.asarray(levels / levels.sum(axis=1, keepdims=True))
