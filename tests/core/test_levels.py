"""How loud a message is: the bounds to the sample, in every encoding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.audio import Encoding
from smallest_proto.levels import LOUD, LOUD_PEAK, SILENCE_PEAK, SILENT, SOFT, level, peak

# --- PCM ---


def pcm(encoding: Encoding, *samples: int) -> bytes:
    """Samples on the scale of 16 bits."""
    if encoding == "linear16":
        return np.array(samples, "<i2").tobytes()
    return (np.array(samples, "<i4") << 16).tobytes()


LINEAR: tuple[Encoding, ...] = ("linear16", "linear32")
BOUNDS = [
    (0, SILENT),
    (SILENCE_PEAK - 1, SILENT),
    (SILENCE_PEAK, SOFT),
    (LOUD_PEAK - 1, SOFT),
    (LOUD_PEAK, LOUD),
    (32767, LOUD),
]


@pytest.mark.parametrize("encoding", LINEAR)
@pytest.mark.parametrize(("sample", "expected"), BOUNDS)
def test_the_bounds_of_pcm(encoding: Encoding, sample: int, expected: int) -> None:
    for place in (0, 400, 799):
        for sign in (1, -1):
            samples = [0] * 800
            samples[place] = sign * sample
            assert level(pcm(encoding, *samples), encoding) == expected
            assert peak(pcm(encoding, *samples), encoding) == sample


@pytest.mark.parametrize("encoding", LINEAR)
def test_the_most_negative_sample_is_the_loudest(encoding: Encoding) -> None:
    assert level(pcm(encoding, -32768), encoding) == LOUD
    assert peak(pcm(encoding, -32768), encoding) == 32768


# The loudest of many samples is nearly always loud: some lists are of soft ones alone, and of silence.
SAMPLES = st.sampled_from([32768, LOUD_PEAK + 1, SILENCE_PEAK + 1]).flatmap(
    lambda peak: st.lists(st.integers(-peak, min(peak, 32767)), max_size=50)
)


@given(st.sampled_from(LINEAR), SAMPLES)
def test_the_level_is_that_of_the_highest_sample(encoding: Encoding, samples: list[int]) -> None:
    highest = max(map(abs, samples), default=0)
    expected = SILENT if highest < SILENCE_PEAK else SOFT if highest < LOUD_PEAK else LOUD
    assert level(pcm(encoding, *samples), encoding) == expected
    assert peak(pcm(encoding, *samples), encoding) == highest


def test_what_linear32_says_below_16_bits_is_no_voice() -> None:
    assert level(np.array([65535, -65536], "<i4").tobytes(), "linear32") == SILENT


# --- G.711, against the values of its codes (ITU-T G.711, tables 1a and 2a) ---


def mulaw_value(code: int) -> int:
    code ^= 0xFF
    exponent, mantissa = code >> 4 & 7, code & 15
    return ((mantissa << 3) + 132 << exponent) - 132


def alaw_value(code: int) -> int:
    code ^= 0x55
    exponent, mantissa = code >> 4 & 7, code & 15
    return (mantissa << 4) + 8 if exponent == 0 else (mantissa << 4) + 264 << exponent - 1


@pytest.mark.parametrize("code", range(256))
@pytest.mark.parametrize(("encoding", "value"), [("mulaw", mulaw_value), ("alaw", alaw_value)], ids=["mulaw", "alaw"])
def test_every_code_of_g711_has_the_level_of_its_sample(encoding: Encoding, value: object, code: int) -> None:
    magnitude = (mulaw_value if value is mulaw_value else alaw_value)(code)
    expected = SILENT if magnitude < SILENCE_PEAK else SOFT if magnitude < LOUD_PEAK else LOUD
    silence = b"\xff" if encoding == "mulaw" else b"\xd5"
    assert level(silence * 199 + bytes([code]) + silence * 200, encoding) == expected


@pytest.mark.parametrize(("encoding", "value"), [("mulaw", mulaw_value), ("alaw", alaw_value)], ids=["mulaw", "alaw"])
def test_peaks_of_g711_are_in_the_order_of_its_samples(encoding: Encoding, value: object) -> None:
    of = mulaw_value if value is mulaw_value else alaw_value
    codes = sorted(range(256), key=of)
    peaks = [peak(bytes([code]), encoding) for code in codes]
    assert peaks == sorted(peaks)
    assert [low < high for low, high in zip(peaks, peaks[2:], strict=False)][::2] == [True] * 127


@pytest.mark.parametrize(
    ("encoding", "quiet"), [("mulaw", b"\xff"), ("mulaw", b"\x7f"), ("alaw", b"\xd5"), ("alaw", b"\x55")]
)
def test_an_idle_telephone_line_is_silence(encoding: Encoding, quiet: bytes) -> None:
    assert level(quiet * 400, encoding) == SILENT


# --- packets ---


@pytest.mark.parametrize(
    ("packet", "expected"),
    [(b"", SILENT), (b"\x08", SILENT), (b"\x08\x00", SILENT), (b"\xfc\xff\xfe", LOUD), (bytes(60), LOUD)],
)
def test_a_packet_of_opus_is_silence_only_where_an_encoder_says_so(packet: bytes, expected: int) -> None:
    assert level(packet, "opus") == expected
    assert peak(packet, "opus") == 0


@pytest.mark.parametrize("page", [b"", b"OggS", bytes(200)])
def test_a_page_of_ogg_can_always_hold_a_voice(page: bytes) -> None:
    assert level(page, "ogg_opus") == LOUD
    assert peak(page, "ogg_opus") == 0


# --- real levels ---

RATE = 16000


def tone(dbfs: float, seconds: float = 0.05) -> bytes:
    at = np.arange(round(RATE * seconds)) / RATE
    return (32768 * 10 ** (dbfs / 20) * np.sin(2 * np.pi * 200 * at)).astype("<i2").tobytes()


def test_a_soft_voice_is_no_silence_and_a_muted_microphone_is() -> None:
    assert level(tone(-60), "linear16") == SILENT
    assert level(tone(-52), "linear16") == SOFT  # peaks of a voice 20 dB under the -26 dBov of telephony and less
    assert level(tone(-40), "linear16") == LOUD
    dither = np.random.default_rng(1).integers(-8, 9, 800).astype("<i2").tobytes()
    assert level(dither, "linear16") == SILENT


@given(st.binary(max_size=64), st.sampled_from(("linear16", "linear32", "alaw", "mulaw", "opus", "ogg_opus")))
def test_any_message_has_a_level(data: bytes, encoding: Encoding) -> None:
    width = {"linear16": 2, "linear32": 4}.get(encoding, 1)
    whole = data[: len(data) - len(data) % width]
    assert level(whole, encoding) in (SILENT, SOFT, LOUD)
    assert peak(whole, encoding) >= 0
