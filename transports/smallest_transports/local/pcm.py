"""Audio as a client sends it -> float samples at 16 kHz, piece by piece.

However a stream is cut, the samples are the same, bit for bit: so are the transcripts made of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import soxr

from smallest_proto.audio import AudioFormat
from smallest_proto.errors import ConfigurationError
from smallest_proto.g711 import alaw_sample, ulaw_sample

Samples: TypeAlias = npt.NDArray[np.float32]  # mono, 16 kHz, -1..1

SAMPLE_RATE = 16000  # Hz: what every engine here hears


def _floats(sample: Callable[[int], int]) -> npt.NDArray[np.float32]:
    """The sample of each byte of G.711."""
    return np.array([sample(code) / 32768 for code in range(256)], np.float32)


_ALAW, _MULAW = _floats(alaw_sample), _floats(ulaw_sample)


def decode(audio: bytes, encoding: str) -> Samples:
    """Whole samples of a PCM encoding -> -1..1 at the rate they have."""
    if encoding == "linear16":
        samples: Samples = np.frombuffer(audio, "<i2").astype(np.float32) / np.float32(2**15)
    elif encoding == "linear32":
        samples = (np.frombuffer(audio, "<i4") / 2.0**31).astype(np.float32)
    else:
        samples = (_ALAW if encoding == "alaw" else _MULAW)[np.frombuffer(audio, np.uint8)]
    return samples


def to_linear16(samples: Samples) -> bytes:
    """-1..1 -> 16-bit PCM; what is louder is clipped."""
    pcm: bytes = np.clip(np.rint(samples * 2.0**15), -(2**15), 2**15 - 1).astype("<i2").tobytes()
    return pcm


class PcmReader:
    """One stream's audio, in order. Raises ``ConfigurationError`` for opus, which this server does not decode."""

    def __init__(self, format: AudioFormat) -> None:
        if format.sample_width is None:
            raise ConfigurationError(
                f"{format.encoding} is not decoded by the local server: send linear16, linear32, alaw or mulaw"
            )
        self._encoding = format.encoding
        self._width = format.sample_width
        self._rest = b""  # a part of a sample
        self._resampler = (
            None if format.sample_rate == SAMPLE_RATE else soxr.ResampleStream(format.sample_rate, SAMPLE_RATE, 1)
        )

    def read(self, audio: bytes) -> Samples:
        """The samples that are whole now; a resampler holds some milliseconds back."""
        if self._rest:
            audio = self._rest + audio
        whole = len(audio) - len(audio) % self._width
        self._rest = audio[whole:]
        samples = decode(audio[:whole], self._encoding)
        if self._resampler is None or not len(samples):
            return samples
        resampled: Samples = self._resampler.resample_chunk(samples)
        return resampled

    def end(self) -> Samples:
        """What the resampler held back. Nothing can be read after it."""
        if self._resampler is None:
            return np.zeros(0, np.float32)
        rest: Samples = self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        return rest
