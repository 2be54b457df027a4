"""The audio of one segment as it comes -> ``AudioChunk``s of whole samples, each with its position.

Base64 is decoded by msgspec, in a message's field of type ``bytes``: it refuses what is not exactly base64, at more
than twice the speed of the standard library.
"""

from __future__ import annotations

from smallest_proto.config import SynthesisConfig
from smallest_proto.synthesis.events import AudioChunk


class Chunker:
    """Takes the bytes of one segment in pieces of any size; a part of a sample waits for the rest."""

    __slots__ = ("_held", "_rate", "_segment", "_width", "samples", "size")

    def __init__(self, config: SynthesisConfig, segment: int = 0) -> None:
        self._width = config.sample_width
        self._rate = config.sample_rate
        self._segment = segment
        self._held = b""
        self.samples = 0  # given out
        self.size = 0  # bytes given out

    @property
    def held(self) -> int:
        """Bytes that wait for the rest of their sample."""
        return len(self._held)

    @property
    def seconds(self) -> float | None:
        """Seconds given out, or ``None`` where samples cannot be told apart (mp3, wav)."""
        return None if self._width is None else self.samples / self._rate

    def take(self, data: bytes) -> AudioChunk | None:
        """The audio that is complete with ``data``, if any."""
        width = self._width
        if self._held:
            data = self._held + data
            self._held = b""
        if width is not None and (torn := len(data) % width):
            data, self._held = data[:-torn], data[-torn:]
        if not data:
            return None
        self.size += len(data)
        if width is None:
            return AudioChunk(segment=self._segment, data=data, start=0.0, samples=None)
        count, start = len(data) // width, self.samples
        self.samples = start + count
        return AudioChunk(segment=self._segment, data=data, start=start / self._rate, samples=count)
