"""Samples out of bytes: encodings, splits, resampling."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.audio import SAMPLE_RATES, AudioFormat
from smallest_proto.errors import ConfigurationError
from smallest_transports.local.pcm import SAMPLE_RATE, PcmReader, decode, to_linear16

ALL_BYTES = bytes(range(256))


@pytest.mark.parametrize(("encoding", "subtype"), [("alaw", "ALAW"), ("mulaw", "ULAW")])
def test_g711_is_what_another_decoder_makes_of_it(encoding: str, subtype: str) -> None:
    expected, _ = soundfile.read(
        io.BytesIO(ALL_BYTES), format="RAW", subtype=subtype, samplerate=8000, channels=1, dtype="int16"
    )
    assert np.array_equal(decode(ALL_BYTES, encoding) * 2**15, expected)


def test_linear_pcm_spans_minus_one_to_one() -> None:
    assert decode(b"\x00\x80\x00\x00\xff\x7f", "linear16").tolist() == [-1.0, 0.0, 32767 / 32768]
    assert decode(b"\x00\x00\x00\x80\x00\x00\x00\x40", "linear32").tolist() == [-1.0, 0.5]


@given(st.binary(max_size=400).map(lambda data: data[: len(data) // 2 * 2]))
def test_linear16_comes_back_as_it_was(pcm: bytes) -> None:
    assert to_linear16(decode(pcm, "linear16")) == pcm


def test_what_is_too_loud_is_clipped() -> None:
    assert to_linear16(np.array([2.0, -2.0], np.float32)) == b"\xff\x7f\x00\x80"


@settings(max_examples=60)
@given(
    st.sampled_from(("linear16", "linear32", "alaw", "mulaw")),
    st.sampled_from(SAMPLE_RATES),
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, 4000), max_size=12),
)
def test_any_split_gives_the_same_samples(encoding: str, rate: int, seed: int, cuts: list[int]) -> None:
    audio = np.random.default_rng(seed).integers(0, 256, 4001, np.uint8).tobytes()
    format = AudioFormat(encoding=encoding, sample_rate=rate)  # type: ignore[arg-type]
    bounds = [0, *sorted(cuts), len(audio)]
    whole, split = PcmReader(format), PcmReader(format)
    expected = np.concatenate((whole.read(audio), whole.end()))
    pieces = [split.read(audio[start:end]) for start, end in itertools.pairwise(bounds)]
    assert np.array_equal(np.concatenate((*pieces, split.end())), expected, equal_nan=True)


@pytest.mark.parametrize("rate", SAMPLE_RATES)
def test_a_tone_keeps_its_pitch_and_length(rate: int) -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32)
    reader = PcmReader(AudioFormat(sample_rate=rate))
    samples = np.concatenate((reader.read(to_linear16(tone * 0.5)), reader.end()))
    assert abs(len(samples) - SAMPLE_RATE) <= 1
    assert np.abs(np.fft.rfft(samples)).argmax() * SAMPLE_RATE / len(samples) == pytest.approx(1000, abs=1)


@pytest.mark.parametrize("encoding", ["opus", "ogg_opus"])
def test_opus_is_refused(encoding: str) -> None:
    with pytest.raises(ConfigurationError, match="send linear16, linear32, alaw or mulaw"):
        PcmReader(AudioFormat(encoding=encoding, sample_rate=48000))  # type: ignore[arg-type]
