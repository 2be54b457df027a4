"""Raw audio in a WAV: what goes in comes out, and others read it."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.wav import has_container, read_wav, to_wav

ENCODINGS = {"linear16": ("PCM_16", 2), "linear32": ("PCM_32", 4), "alaw": ("ALAW", 1), "mulaw": ("ULAW", 1)}


@given(st.sampled_from(sorted(ENCODINGS)), st.integers(1000, 384_000), st.binary(max_size=50))
def test_what_goes_in_comes_out_but_for_a_part_of_a_sample(encoding: Any, sample_rate: int, audio: bytes) -> None:
    width = ENCODINGS[encoding][1]
    made = to_wav(audio, encoding, sample_rate)
    assert has_container(made)
    assert len(made) % 2 == 0
    assert int.from_bytes(made[4:8], "little") == len(made) - 8
    assert read_wav(made) == (encoding, sample_rate, audio[: len(audio) // width * width])


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("samples", [1, 2, 801])
def test_others_read_it(encoding: Any, samples: int) -> None:
    subtype, width = ENCODINGS[encoding]
    audio = bytes(range(256)) * 16
    made = to_wav(audio[: samples * width], encoding, 11025)
    with soundfile.SoundFile(io.BytesIO(made)) as file:
        assert (file.samplerate, file.channels, file.subtype, file.frames) == (11025, 1, subtype, samples)
        if encoding == "linear16":
            assert (file.read(dtype="int16") == np.frombuffer(audio[: samples * 2], "<i2")).all()
    if encoding == "linear16":
        with wave.open(io.BytesIO(made)) as read:
            assert read.readframes(samples) == audio[: samples * 2]


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda rest: b"RIFF\0\0\0\0WAVE" + rest))
def test_no_bytes_raise(data: bytes) -> None:
    has_container(data)
    read_wav(data)


@pytest.mark.parametrize(
    "data", [b"", b"RIFF", b"RIFF\0\0\0\0AVI ", bytes(100), b"\0\1" * 50, b"RIFFWAVE", b"ogg"], ids=repr
)
def test_samples_are_no_container(data: bytes) -> None:
    assert not has_container(data)
    assert read_wav(data) is None
