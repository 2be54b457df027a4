"""G.711 as another library has it, both ways."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto import g711
from smallest_proto.errors import ConfigurationError, LocalProtocolError

BOTH = [
    pytest.param(g711.ulaw_to_linear16, g711.linear16_to_ulaw, id="ulaw"),
    pytest.param(g711.alaw_to_linear16, g711.linear16_to_alaw, id="alaw"),
]
Convert = Callable[[bytes], bytes]
CODES = bytes(range(256))


@pytest.mark.parametrize(("decode", "kind"), [(g711.ulaw_to_linear16, "ULAW"), (g711.alaw_to_linear16, "ALAW")])
def test_each_code_is_the_sample_that_libsndfile_makes_of_it(decode: Convert, kind: str) -> None:
    theirs, _ = soundfile.read(
        io.BytesIO(CODES), samplerate=8000, channels=1, format="RAW", subtype=kind, dtype="int16"
    )
    assert decode(CODES) == theirs.astype("<i2").tobytes()


@pytest.mark.parametrize(("decode", "encode"), BOTH)
def test_each_sample_is_the_nearest_code(decode: Convert, encode: Convert) -> None:
    samples = np.arange(-32768, 32768)
    known = np.unique(np.frombuffer(decode(CODES), "<i2")).astype(int)
    at = np.clip(np.searchsorted(known, samples), 1, len(known) - 1)
    nearest = np.minimum(np.abs(samples - known[at - 1]), np.abs(samples - known[at]))
    again = np.frombuffer(decode(encode(samples.astype("<i2").tobytes())), "<i2").astype(int)
    assert (np.abs(again - samples) == nearest).all()


@pytest.mark.parametrize(("decode", "encode"), BOTH)
@given(audio=st.binary())
def test_what_was_decoded_is_encoded_as_it_was(decode: Convert, encode: Convert, audio: bytes) -> None:
    again = encode(decode(audio))
    assert len(again) == len(audio)
    assert decode(again) == decode(audio)


def test_silence_is_that_of_telephony() -> None:
    assert g711.linear16_to_ulaw(bytes(4)) == b"\xff\xff"
    assert g711.ulaw_to_linear16(b"\xff\x7f") == bytes(4)


@pytest.mark.parametrize("encode", [g711.linear16_to_ulaw, g711.linear16_to_alaw])
def test_half_a_sample_is_refused(encode: Convert) -> None:
    with pytest.raises(ConfigurationError, match="half a sample"):
        encode(b"\0\0\0")


@pytest.mark.parametrize(("decode", "encode"), BOTH)
def test_an_array_is_read_as_its_samples(decode: Any, encode: Any) -> None:
    samples: Any = np.arange(-32768, 32767, 997, dtype=np.int16)
    codes = np.frombuffer(encode(samples.tobytes()), np.uint8)
    assert encode(samples) == encode(memoryview(samples)) == codes.tobytes()
    assert encode(samples[::2]) == codes[::2].tobytes()
    assert decode(codes[::2]) == decode(codes[::2].tobytes())


@pytest.mark.parametrize(("decode", "encode"), BOTH)
def test_other_items_are_refused_with_what_would_be_right(decode: Any, encode: Any) -> None:
    wrong: Any
    for wrong, right in ((np.zeros(4, np.float32), "multiply"), (np.zeros(4, np.int32), "int16"), ("text", "bytes")):
        with pytest.raises(LocalProtocolError, match=right):
            encode(wrong)
    for wrong in (np.zeros(4, np.int16), "text"):
        with pytest.raises(LocalProtocolError, match="bytes"):
            decode(wrong)
