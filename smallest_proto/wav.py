"""Raw audio -> a WAV file: the service ignores ``encoding`` and ``sample_rate`` of uploads, but reads a header.

Facts of the format: RIFF/WAVE as Microsoft's and IBM's "Multimedia Programming Interface" (1991) has it.
"""

from __future__ import annotations

import struct
from typing import Literal, TypeAlias

Raw: TypeAlias = Literal["linear16", "linear32", "alaw", "mulaw"]

_KINDS: dict[str, tuple[int, int]] = {"linear16": (1, 2), "linear32": (1, 4), "alaw": (6, 1), "mulaw": (7, 1)}
_FORMATS = {kind: encoding for encoding, kind in _KINDS.items()}

# How the containers that the service reads begin. An MP3 without a tag can look like samples, and is not recognised.
_BEGINNINGS = (b"fLaC", b"OggS", b"ID3", b"\x1aE\xdf\xa3", b"FORM", b"caff", b"#!AMR")


def has_container(data: bytes) -> bool:
    """Whether these are the bytes of a file whose header says what is in it."""
    if data[:4] in (b"RIFF", b"RF64"):
        return data[8:12] == b"WAVE"
    return data.startswith(_BEGINNINGS) or data[4:8] == b"ftyp"


def to_wav(data: bytes, encoding: Raw, sample_rate: int) -> bytes:
    """A WAV of raw mono audio at ``sample_rate`` Hz. A part of a sample at the end is left out."""
    tag, width = _KINDS[encoding]
    samples = len(data) // width
    size = samples * width
    extra = b"" if tag == 1 else b"\0\0"  # the length of an extension, which all but PCM have
    head = struct.pack("<HHIIHH", tag, 1, sample_rate, sample_rate * width, width, 8 * width) + extra
    fact = b"" if tag == 1 else struct.pack("<4sII", b"fact", 4, samples)
    pad = b"\0" * (size % 2)  # a chunk begins at an even place
    rest = 4 + 8 + len(head) + len(fact) + 8 + size + len(pad)
    start = struct.pack("<4sI4s4sI", b"RIFF", rest, b"WAVE", b"fmt ", len(head)) + head + fact
    return b"".join((start, struct.pack("<4sI", b"data", size), memoryview(data)[:size], pad))


def read_wav(data: bytes) -> tuple[Raw, int, bytes] | None:
    """The encoding, the rate (Hz) and the audio of a WAV that ``to_wav`` made, or one like it; else ``None``."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    at, format = 12, None
    while len(data) >= at + 8:
        name, size = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + size]
        if name == b"fmt " and len(body) >= 16:
            tag, channels, rate, _, width, _ = struct.unpack_from("<HHIIHH", body)
            encoding = _FORMATS.get((tag, width))
            format = None if encoding is None or channels != 1 else (encoding, rate)
        if name == b"data" and format is not None:
            return format[0], format[1], body  # type: ignore[return-value]
        at += 8 + size + size % 2
    return None
