"""Buffers of any kind: taken for audio if their items are its samples, else refused with what would be right."""

from __future__ import annotations

import array
import io
from typing import Any

import numpy as np
import pytest
import soundfile

from smallest_proto.audio import AudioFormat, Encoding, Framer
from smallest_proto.errors import LocalProtocolError


def pattern(size: int) -> bytes:
    """Bytes that do not repeat within a message, so that one out of place shows."""
    return b"".join((at * 2654435761 % 2**32).to_bytes(4, "big") for at in range(size // 4 + 1))[:size]


def _released() -> memoryview:
    view = memoryview(b"ab")
    view.release()
    return view


@pytest.mark.parametrize(
    ("audio", "says"),
    [
        ("text", "bytes-like .* not str"),
        (None, "not NoneType"),
        (5, "not int"),
        ([1, 2], "not list"),
        (_released(), "a memoryview that was released"),
        (np.zeros(3, "M8[s]"), "a ndarray .* items have no type"),
        (
            array.array("f", [0.5]),
            "float32 items where linear16 has int16: multiply .* by 32767 and convert it to int16",
        ),
        (np.zeros(8, np.float64), "float64 items"),
        (np.zeros(8, np.float16), "float16 items"),
        (np.zeros(8, np.int32), "int32 items .* set the encoding"),
        (np.zeros(8, np.uint16), "uint16 items"),
        (np.zeros(8, ">i2"), "big-endian int16 items .* little-endian"),
        (np.zeros(8, np.bool_), "bool items"),
        (np.zeros(8, "i2,i2"), "4-byte items"),
        (np.zeros((8, 2), np.int16), r"shape \(8, 2\), .* one channel: give one of them, such as audio\[:, 0\]"),
        (np.zeros((2, 8), np.int16), "one channel"),
        (np.zeros((0, 2), np.int16), "one channel"),
        (np.zeros((8, 2), np.uint8), "one channel"),
        (np.zeros((1, 8, 2), np.int16), "one channel"),
        (np.int16(5), r"shape \(\)"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_audio_is_refused_and_changes_nothing(audio: Any, says: str) -> None:
    framer = Framer(AudioFormat())
    framer.push(b"abc")
    with pytest.raises(LocalProtocolError, match=says):
        framer.push(audio)
    assert framer.position == 1
    assert framer.push(bytes(1597))[0].data == b"abc" + bytes(1597)


FITTING = {"linear16": (np.int16, "<i2"), "linear32": (np.int32, "<i4"), "alaw": (np.uint8,), "mulaw": (np.int8,)}


@pytest.mark.parametrize(("encoding", "kind"), [(name, kind) for name in FITTING for kind in FITTING[name]])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (1, -1), (1, -1, 1)], ids=str)
@pytest.mark.parametrize("items", [0, 1, 1000, 9600])
def test_samples_in_a_row_are_audio_whatever_their_shape(
    encoding: Encoding, kind: Any, shape: tuple[int, ...], items: int
) -> None:
    width = np.dtype(kind).itemsize
    audio: Any = np.frombuffer(pattern(items * width), kind).reshape(shape if items else [max(0, n) for n in shape])
    framer = Framer(AudioFormat(encoding=encoding))
    chunks = framer.push(audio)
    tail = framer.flush()
    assert framer.position == items
    assert b"".join(chunk.data for chunk in [*chunks, *([tail] if tail else [])]) == pattern(items * width)


@pytest.mark.parametrize(
    ("encoding", "audio", "says"),
    [
        ("linear32", np.zeros(8, np.float32), "float32 items where linear32 has int32: multiply .* by 2147483647"),
        ("linear32", np.zeros(8, np.uint32), "uint32 items"),
        ("linear32", np.zeros(8, ">i4"), "big-endian int32 items"),
        ("linear32", np.zeros(8, np.int16), "int16 items where linear32 has int32: convert it, or set the encoding"),
        ("mulaw", np.zeros(8, np.int16), "int16 items where mulaw has bytes: encode it"),
        ("opus", np.zeros(8, np.int16), "int16 items where opus has bytes"),
        ("ogg_opus", np.zeros((2, 8), np.uint8), "one channel"),
    ],
)
def test_samples_of_another_kind_are_refused(encoding: Encoding, audio: Any, says: str) -> None:
    with pytest.raises(LocalProtocolError, match=says):
        Framer(AudioFormat(encoding=encoding)).push(audio)


def wav(rate: int = 16000, channels: int = 1, subtype: str = "PCM_16", format: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((4000, channels)), rate, subtype=subtype, format=format)
    return file.getvalue()


@pytest.mark.parametrize(
    ("encoding", "data", "says"),
    [
        ("linear16", wav(44100), "a WAV file of 44100 Hz, 16 bits and 1 channel, .* linear16 at 16000 Hz"),
        ("linear16", wav(channels=2), "2 channels"),
        ("linear16", wav(subtype="FLOAT"), "32 bits"),
        ("linear16", wav(8000, format="WAVEX"), "8000 Hz"),
        ("mulaw", wav(), "set to mulaw"),
        ("linear16", wav(format="FLAC"), "a FLAC file and not linear16: decode it first"),
        ("linear32", wav(format="OGG", subtype="VORBIS"), "an Ogg file"),
        ("opus", wav(48000, format="OGG", subtype="OPUS"), "set encoding='ogg_opus'"),
        ("alaw", b"ID3\4\0\0" + bytes(100), "an MP3 file"),
        ("linear16", b"\0\0\0\x20ftypM4A " + bytes(100), "an MP4 file"),
        ("mulaw", b"\x1a\x45\xdf\xa3\x9f\x42\x86" + bytes(100), "a WebM file"),
    ],
)
@pytest.mark.parametrize("size", [64, 1600, 3000])
def test_the_head_of_a_file_that_says_otherwise_is_no_raw_audio(
    encoding: Encoding, data: bytes, says: str, size: int
) -> None:
    framer = Framer(AudioFormat(encoding=encoding))
    with pytest.raises(LocalProtocolError, match=says):
        framer.push(data[:size])
    assert framer.position == 0


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("linear16", wav()),
        ("linear16", wav(format="WAVEX")),
        ("mulaw", wav(subtype="ULAW")),
        ("alaw", wav(subtype="ALAW")),
        ("linear32", wav(subtype="PCM_32")),
        ("ogg_opus", wav(48000, format="OGG", subtype="OPUS")[:3000]),
        ("linear16", b"RIFF" + bytes(60)),
        ("linear16", b"ID3\2" + bytes(range(128, 188))),
        ("opus", b"ID3\4\0\0" + bytes(58)),  # a packet can begin like that
    ],
)
def test_the_head_of_a_file_that_says_the_same_passes(encoding: Encoding, data: bytes) -> None:
    Framer(AudioFormat(encoding=encoding)).push(data)
