"""Several MP3s as one."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.http.mp3 import joined

FRAME = b"\xff\xf3\x48\xc4" + bytes(range(140))  # MPEG 2, layer III: 32 kbit/s, 16 kHz: 144 bytes
OTHER = b"\xff\xfb\x92\x64" + bytes(414)  # MPEG 1: 128 kbit/s, 44.1 kHz, padded: 418 bytes
HEAD = 13  # where the head of a FRAME is


def head(frames: int, size: int, places: int = 0) -> bytes:
    """A frame that says how long a file is."""
    said = b"Info" + (7).to_bytes(4, "big") + frames.to_bytes(4, "big") + size.to_bytes(4, "big")
    said += bytes(256 * at // 100 for at in range(100)) if places else bytes(100)
    return FRAME[:HEAD] + said + bytes(144 - HEAD - len(said))


TAGGED = b"ID3\x04\x00\x00\x00\x00\x01\x02" + bytes(130)


@pytest.mark.parametrize(
    ("pieces", "out"),
    [
        ([FRAME * 3, FRAME * 2], FRAME * 5),
        ([head(1, 288) + FRAME, head(2, 432) + FRAME * 2], head(3, 576, 1) + FRAME * 3),
        ([FRAME, head(2, 432) + FRAME * 2], head(3, 576, 1) + FRAME * 3),
        ([TAGGED + FRAME, TAGGED + FRAME], FRAME * 2),
        ([FRAME + b"TAG" + bytes(125), FRAME], FRAME * 2),
        ([OTHER[:36] + b"VBRI" + OTHER[40:] + OTHER, OTHER], OTHER * 2),
        ([b"", b"what is this?"], b"what is this?"),
        ([b"\xff\xf3", b"\xff\xf3\xf0\xc4 Info"], b"\xff\xf3\xff\xf3\xf0\xc4 Info"),
        ([b"", b""], b""),
        ([b"TAG"], b"TAG"),
    ],
)
def test_an_mp3_has_no_second_beginning(pieces: list[bytes], out: bytes) -> None:
    assert joined(pieces) == out


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_mp3s_as_they_are_made_are_one(rate: int) -> None:
    np = pytest.importorskip("numpy")
    soundfile = pytest.importorskip("soundfile")
    if "MP3" not in soundfile.available_formats():
        pytest.skip("this libsndfile has no MP3")
    pieces = []
    for pitch in (300, 500):
        file = io.BytesIO()
        tone = 0.3 * np.sin(2 * np.pi * pitch * np.arange(rate) / rate)
        soundfile.write(file, tone, rate, format="MP3")
        pieces.append(file.getvalue())
    samples, _ = soundfile.read(io.BytesIO(joined(pieces)))
    assert 2.0 <= len(samples) / rate <= 2.4
    first, second = (np.abs(np.fft.rfft(part)).argmax() for part in (samples[: rate // 2], samples[-rate // 2 :]))
    assert [round(int(peak) * 2, -2) for peak in (first, second)] == [300, 500]


PARTS = st.sampled_from((FRAME, OTHER, head(1, 2), TAGGED, b"TAG", b"\xff", b"x" * 200))


@given(st.lists(st.lists(PARTS).map(b"".join), min_size=1))
def test_nothing_raises(pieces: list[bytes]) -> None:
    assert len(joined(pieces)) <= sum(map(len, pieces))
