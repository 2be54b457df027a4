"""Joins the audio of several requests: no header, no split sample and no click between two of them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Protocol

from smallest_proto.config import SynthesisConfig

from .mp3 import joined

_FADE = 0.005  # seconds: too short to be heard, long enough for a step not to click
_LOUD = 512  # of 32768: a larger step is heard as a click


class Seam(Protocol):
    """Joins the audio of one request after the other."""

    def feed(self, data: bytes) -> bytes:
        """Take audio of the present request; return what can go out, in whole samples where the format has them."""
        ...

    def next(self) -> bytes:
        """The present request is over, and another one follows: return what can go out."""
        ...

    def end(self) -> bytes:
        """The last one is over: return what is left."""
        ...


def seam_of(config: SynthesisConfig) -> Seam:
    """How audio of a format is joined. Requests of a WAV that has to be joined are to ask for pcm."""
    rate = config.sample_rate
    if config.output_format == "mp3":
        return _Mp3()
    if config.output_format == "wav":
        return _Wav(_Samples(2, rate, _linear), rate)
    if config.output_format == "pcm":
        return _Samples(2, rate, _linear)
    return _Samples(1, rate, _g711(0xFF if config.output_format == "ulaw" else 0xD5))


class _Samples:
    """Audio with samples of a fixed size: an end that is not silent fades out, a beginning that is not fades in.

    ``scale`` makes samples less loud, each by its own share, unless the ``edge`` of them is silent.
    """

    def __init__(self, width: int, rate: int, scale: Callable[[bytes, Sequence[float], int], bytes]) -> None:
        self._size = width * round(_FADE * rate)  # bytes of a fade
        steps = self._size // width
        self._rising = [at / steps for at in range(steps)]
        self._scale = scale
        self._held = b""  # the end of what came, which may have to fade out
        self._head: bytes | None = None  # the beginning of a request, until it is long enough to fade in

    def feed(self, data: bytes) -> bytes:
        if self._head is not None:
            self._head += data
            if len(self._head) < self._size:
                return b""
            data = self._faded_in()
        data = self._held + data
        cut = max(0, len(data) - self._size)
        self._held = data[cut:]
        return data[:cut]

    def next(self) -> bytes:
        held = self._faded_in() if self._head is not None else self._held
        self._held, self._head = b"", b""
        return self._scale(held, self._rising[::-1], -1)

    def end(self) -> bytes:
        held = self._faded_in() if self._head is not None else self._held
        self._held = b""
        return held

    def _faded_in(self) -> bytes:
        head, self._head = self._held + (self._head or b""), None
        self._held = b""
        return self._scale(head[: self._size], self._rising, 0) + head[self._size :]


def _linear(data: bytes, shares: Sequence[float], edge: int) -> bytes:
    samples = struct.unpack(f"<{len(data) // 2}h", data)
    if not samples or abs(samples[edge]) < _LOUD:
        return data
    shares = shares[: len(samples)] if edge == 0 else shares[len(shares) - len(samples) :]
    return struct.pack(f"<{len(samples)}h", *(int(one * share) for one, share in zip(samples, shares, strict=True)))


def _g711(silence: int) -> Callable[[bytes, Sequence[float], int], bytes]:
    """Of G.711 a byte is a sign and a loudness, which grows by octaves; ``silence`` is the byte of none."""

    def scale(data: bytes, shares: Sequence[float], edge: int) -> bytes:
        if not data or (data[edge] ^ silence) & 0x7F < 0x30:  # the same loudness as _LOUD, about
            return data
        shares = shares[: len(data)] if edge == 0 else shares[len(shares) - len(data) :]
        loud = ((byte ^ silence) & 0x7F for byte in data)
        return bytes(
            (byte & 0x80) | ((silence & 0x7F) ^ int(one * share))
            for byte, one, share in zip(data, loud, shares, strict=True)
        )

    return scale


class _Wav:
    """The header needs the size of all, so nothing goes out before the end."""

    def __init__(self, samples: _Samples, rate: int) -> None:
        self._samples = samples
        self._rate = rate
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        self._parts.append(self._samples.feed(data))
        return b""

    def next(self) -> bytes:
        self._parts.append(self._samples.next())
        return b""

    def end(self) -> bytes:
        pcm = b"".join([*self._parts, self._samples.end()])
        form = struct.pack("<HHIIHH", 1, 1, self._rate, 2 * self._rate, 2, 16)
        head = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(pcm))
        return b"RIFF" + struct.pack("<I", len(head) + len(pcm)) + head + pcm


class _Mp3:
    """Complete files become one. Its header says how long it is, so nothing goes out before the end."""

    def __init__(self) -> None:
        self._files = [bytearray()]

    def feed(self, data: bytes) -> bytes:
        self._files[-1] += data
        return b""

    def next(self) -> bytes:
        self._files.append(bytearray())
        return b""

    def end(self) -> bytes:
        return joined(map(bytes, self._files))
