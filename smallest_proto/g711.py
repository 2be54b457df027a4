"""Telephony's audio (ITU-T G.711: µ-law and A-law, a byte for a sample) <-> linear16.

Streams and speech take both as they are (``encoding="mulaw"``, ``output_format="ulaw"``). These are for what has to
look at samples, or to mix them. All take any buffer, an array too, and raise ``LocalProtocolError`` for one whose items
are something else.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from .buffers import read_buffer
from .errors import ConfigurationError

if TYPE_CHECKING:
    from typing_extensions import Buffer  # the standard library has it since 3.12


def ulaw_to_linear16(audio: Buffer) -> bytes:
    """Bytes of µ-law -> 16-bit samples, little-endian: twice as many bytes."""
    return _decoded(read_buffer(audio, "mulaw", 1), _ULAW)


def alaw_to_linear16(audio: Buffer) -> bytes:
    """Bytes of A-law -> 16-bit samples, little-endian: twice as many bytes."""
    return _decoded(read_buffer(audio, "alaw", 1), _ALAW)


def linear16_to_ulaw(pcm: Buffer) -> bytes:
    """16-bit samples, little-endian -> µ-law: half as many bytes, each the nearest to its sample.

    Raises ``ConfigurationError`` for half a sample.
    """
    return _encoded(pcm, _ULAW_CODES)


def linear16_to_alaw(pcm: Buffer) -> bytes:
    """16-bit samples, little-endian -> A-law: half as many bytes, each the nearest to its sample.

    Raises ``ConfigurationError`` for half a sample.
    """
    return _encoded(pcm, _ALAW_CODES)


def ulaw_sample(code: int) -> int:
    """The sample of a µ-law byte: all bits are inverted, then sign, exponent, mantissa; a bias of 132."""
    code ^= 0xFF
    magnitude = ((((code & 15) << 3) + 132) << (code >> 4 & 7)) - 132
    return -magnitude if code & 0x80 else magnitude


def alaw_sample(code: int) -> int:
    """The sample of an A-law byte: the even bits are inverted, then sign, exponent, mantissa."""
    code ^= 0x55
    exponent, mantissa = code >> 4 & 7, code & 15
    magnitude = (mantissa << 4) + 8 if exponent == 0 else ((mantissa << 4) + 0x108) << exponent - 1
    return magnitude if code & 0x80 else -magnitude


_ULAW = tuple(map(ulaw_sample, range(256)))
_ALAW = tuple(map(alaw_sample, range(256)))


class _Codes:
    """The nearest code of each sample: a table of 64 Ki bytes, made when it is first used."""

    def __init__(self, samples: Sequence[int]) -> None:
        self._samples = samples
        self._table = b""

    def table(self) -> bytes:
        """By sample, of which a negative one is counted from the end."""
        if not self._table:
            # A sample that two codes stand for (0 in µ-law) gets the later one: 0xFF is the silence of telephony.
            codes = {sample: code for code, sample in enumerate(self._samples)}
            known = sorted(codes)
            middles = [(low + high) / 2 for low, high in pairwise(known)]
            nearest = [codes[known[bisect_left(middles, sample)]] for sample in range(-32768, 32768)]
            self._table = bytes((*nearest[32768:], *nearest[:32768]))
        return self._table


_ULAW_CODES, _ALAW_CODES = _Codes(_ULAW), _Codes(_ALAW)


def _decoded(audio: memoryview, samples: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(audio)}h", *map(samples.__getitem__, audio))


def _encoded(samples: Buffer, codes: _Codes) -> bytes:
    pcm = read_buffer(samples, "linear16", 2)
    if len(pcm) % 2:
        raise ConfigurationError("half a sample at the end: give whole 16-bit samples")
    return bytes(map(codes.table().__getitem__, struct.unpack(f"<{len(pcm) // 2}h", pcm)))
