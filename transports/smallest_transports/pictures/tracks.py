"""Lines that grow point by point and stay short, and how loud audio is, a sign for each 50 ms."""

from __future__ import annotations

import math
from array import array

from smallest_proto.audio import AudioFormat
from smallest_proto.g711 import alaw_to_linear16, ulaw_to_linear16

from .model import LEVEL_SECONDS, LEVELS, Point

_WITHIN = 0.04  # seconds: a line may miss a point by less than one message of audio
_INSTANT = 1e-6  # seconds: what comes at once has a slope too
_QUIETEST = -60.0  # dB of full scale: what is below is drawn as silence


class Track:
    """A line through points whose times never fall, by as few of them as keep it within ``_WITHIN`` of each."""

    def __init__(self) -> None:
        self._kept: list[Point] = []
        self._last: Point = (0.0, 0.0)
        self._low, self._high = -math.inf, math.inf  # slopes from the last one kept that miss no point since

    def __bool__(self) -> bool:
        return bool(self._kept)

    @property
    def last(self) -> Point:
        """The newest point."""
        return self._last

    def add(self, at: float, value: float) -> None:
        """The line goes on to this point."""
        if self._kept:
            low, high = self._slopes(at, value)
            if not low <= self._high or not high >= self._low:
                self._kept.append(self._last)
                self._low, self._high = -math.inf, math.inf
                low, high = self._slopes(at, value)
            self._low, self._high = max(self._low, low), min(self._high, high)
        else:
            self._kept.append((at, value))
        self._last = (at, value)

    def _slopes(self, at: float, value: float) -> tuple[float, float]:
        start, begun = self._kept[-1]
        lasting = max(at - start, _INSTANT)
        return (value - _WITHIN - begun) / lasting, (value + _WITHIN - begun) / lasting

    def points(self) -> tuple[Point, ...]:
        """The line so far; times and values to the millisecond."""
        points = [*self._kept, self._last] if self._kept and self._kept[-1] != self._last else self._kept
        return tuple((round(at, 3), round(value, 3)) for at, value in points)


class Levels:
    """How loud audio is: tell it of pieces of any size."""

    def __init__(self) -> None:
        self._signs: list[str] = []
        self._rest = b""
        self._format: AudioFormat | None = None
        self._opened = 0.0  # seconds of the audio that has no samples to look at, and no sign yet

    def hears(self, format: AudioFormat) -> None:
        """Audio comes in this format from now on."""
        if format != self._format:
            self._flush()
            self._format = format

    def add(self, audio: bytes, seconds: float = 0.0) -> None:
        """More of it; ``seconds`` says how long it lasts where it has no samples to count."""
        format = self._format
        if format is None or format.sample_width is None:
            self._opened += seconds
            while self._opened >= LEVEL_SECONDS:
                self._opened -= LEVEL_SECONDS
                self._signs.append("")
            return
        block = format.samples(LEVEL_SECONDS) * format.sample_width
        data = self._rest + audio
        whole = len(data) - len(data) % block
        for at in range(0, whole, block):
            self._signs.append(sign_of(data[at : at + block], format))
        self._rest = data[whole:]

    def _flush(self) -> None:
        format = self._format
        if format is not None and format.sample_width and (usable := len(self._rest) // format.sample_width):
            self._signs.append(sign_of(self._rest[: usable * format.sample_width], format))
        self._rest = b""

    def signs(self) -> str:
        """A sign for each 50 ms so far; none at all where some audio does not show how loud it is."""
        return "" if "" in self._signs else "".join(self._signs)


def sign_of(audio: bytes, format: AudioFormat) -> str:
    """How loud whole samples are: their peak in dB, from silence to full scale."""
    if format.encoding == "linear32":
        samples = array("i", audio)
        top = (max(max(samples), -min(samples)) >> 16) if samples else 0
    else:
        if format.encoding == "mulaw":
            audio = ulaw_to_linear16(audio)
        elif format.encoding == "alaw":
            audio = alaw_to_linear16(audio)
        linear = array("h", audio)
        top = max(max(linear), -min(linear)) if linear else 0
    if top <= 0:
        return LEVELS[0]
    decibels = 20 * math.log10(min(top, 32768) / 32768)
    return LEVELS[max(0, min(len(LEVELS) - 1, round((1 - decibels / _QUIETEST) * (len(LEVELS) - 1))))]
