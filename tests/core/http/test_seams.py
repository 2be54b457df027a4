"""The audio of several requests as that of one."""

from __future__ import annotations

import io
import struct
import wave
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.config import OutputFormat, SynthesisConfig
from smallest_proto.http.seams import seam_of

RATE = 8000
FADE = 40  # samples


def joined(pieces: list[bytes], size: int = 64, form: OutputFormat = "pcm") -> bytes:
    seam, out = seam_of(SynthesisConfig(sample_rate=RATE, output_format=form)), b""
    for number, piece in enumerate(pieces):
        for at in range(0, len(piece), size):
            out += seam.feed(piece[at : at + size])
        out += seam.next() if number < len(pieces) - 1 else seam.end()
    return out


def pcm(*samples: int) -> bytes:
    return struct.pack(f"<{len(samples)}h", *samples)


def values(audio: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(audio) // 2}h", audio)


@pytest.mark.parametrize("level", [12_000, -32_768])
@pytest.mark.parametrize("length", [1, 7, FADE, 3 * FADE, 1000])
def test_a_step_between_two_pieces_fades(level: int, length: int) -> None:
    out = values(joined([pcm(*[level] * 400), pcm(*[-level // 2] * length), pcm(*[level] * 400)]))
    assert len(out) == 800 + length
    assert (out[0], out[-1]) == (level, level), "how it begins and ends is the service's"
    if length >= 2 * FADE:
        assert max(abs(one - other) for one, other in pairwise(out)) <= abs(level) / FADE + 1


@pytest.mark.parametrize("size", [2, 64, 5000])
def test_what_begins_and_ends_in_silence_stays_as_it_is(size: int) -> None:
    pieces = [pcm(0, 9000, 9000, *[100] * 90), pcm(-200, *[20_000] * 90, 3), pcm(0, 5)]
    assert joined(pieces, size) == b"".join(pieces)


@given(
    st.lists(st.lists(st.integers(-32_768, 32_767), max_size=150).map(lambda some: pcm(*some)), min_size=1, max_size=4),
    st.integers(1, 60).map(lambda size: 2 * size),
)
def test_nothing_is_added_or_left_out(pieces: list[bytes], size: int) -> None:
    out, whole = values(joined(pieces, size)), values(b"".join(pieces))
    assert len(out) == len(whole)
    assert all(abs(one) <= abs(other) for one, other in zip(out, whole, strict=True))
    if len(pieces) == 1:
        assert out == whole


@pytest.mark.parametrize(("form", "silence"), [("ulaw", 0xFF), ("alaw", 0xD5)])
def test_telephone_formats_fade_too(form: OutputFormat, silence: int) -> None:
    loud = bytes([silence ^ 0x7F, silence ^ 0xFF]) * 100
    out = joined([loud, loud], form=form)
    assert len(out) == 400
    loudness = [(byte ^ silence) & 0x7F for byte in out]
    assert min(loudness[195:205]) < 4
    assert max(abs(one - other) for one, other in pairwise(loudness)) <= 0x7F / FADE + 1
    assert [byte & 0x80 for byte in out] == [byte & 0x80 for byte in loud * 2]
    quiet = bytes([silence ^ 0x80]) * 100
    assert joined([quiet, quiet], form=form) == quiet * 2


def test_a_wav_has_one_header_that_is_true() -> None:
    first, second = pcm(*range(0, 400, 2)), pcm(*range(100))
    with wave.open(io.BytesIO(joined([first, second], form="wav"))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        assert file.readframes(1000) == first + second
        assert file.getnframes() == 300
