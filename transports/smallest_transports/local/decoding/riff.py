"""WAV: where the samples are, whatever the header says.

A recorder writes the lengths when it is done. One that was killed, or wrote into a pipe, leaves 0 or the largest
number; editors leave out the byte that fills up an odd chunk; and people join WAV files with ``cat``. So a length is
believed only if a chunk, another file or the end can follow it.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from .mpeg import mpeg_parts
from .parts import Data, Part, Shape

_FILE = re.compile(rb"(?:RIFF|RF64|BW64).{4}WAVE[ -~]{4}", re.DOTALL)
_ID = re.compile(rb"[0-9A-Za-z_ ][0-9A-Za-z_\-. ]{3}")
_UNKNOWN = 0x7FFF0000  # bytes: programs that write into a pipe say this or more (sox, ffmpeg, arecord, browsers)
_MOST = 0xFFFFFFFF  # the length field of a chunk holds no more
_LARGEST = 0xFFFFFF00  # bytes: more needs RF64 (EBU Tech 3306)
_FILES = (b"RIFF", b"RF64", b"BW64")
# What usually follows the samples: the name is enough, as the file can end in the middle of it.
_KNOWN = (
    b"data",
    b"LIST",
    b"id3 ",
    b"ID3 ",
    b"bext",
    b"iXML",
    b"JUNK",
    b"junk",
    b"PAD ",
    b"fact",
    b"cue ",
    b"smpl",
    b"FLLR",
)
_MPEG = (0x50, 0x55)  # MPEG audio with the head of a WAV file


class _Chunk(NamedTuple):
    name: bytes
    start: int  # of what is in it
    size: int  # as it says


def riff_parts(data: Data, start: int) -> Shape:
    """The samples of one WAV file or of several that are joined."""
    parts: list[Part] = []
    notes: list[str] = []
    while start < len(data):
        start = _read_file(data, start, parts, notes)
        if (match := _FILE.search(data, start)) is None:
            break
        start = match.start()
    return Shape(parts, notes)


def _read_file(data: Data, start: int, parts: list[Part], notes: list[str]) -> int:
    """One file: its parts, and where it ends."""
    format, length, before = b"", None, len(parts)
    at, sound = start + 12, True
    while at < len(data):
        chunk = _chunk(data, at)
        if chunk is not None and chunk.name in _FILES:
            break
        if chunk is None or (chunk.name != b"data" and chunk.start + chunk.size > len(data)):
            # An impossible length. If the samples did not come yet, they are somewhere behind it.
            place = data.find(b"data", at) if format and len(parts) == before else -1
            if place < 0:
                break
            chunk, sound = _Chunk(b"data", place + 8, int.from_bytes(data[place + 4 : place + 8], "little")), False
        at = chunk.start + chunk.size
        if chunk.name == b"data" and format:
            size = length if length is not None and chunk.size == _MOST else chunk.size
            at, believed = _end_of_samples(data, chunk.start, size)
            if not believed and at - chunk.start < size < _UNKNOWN:
                there = _seconds(format, at - chunk.start)
                notes.append(f"breaks off: its head tells of {_seconds(format, size)}, and there are {there}")
            whole = sound and believed and len(parts) == before and at_end(data, at)
            _add(data, parts, Part(start if whole else chunk.start, at), format, headed=whole)
            continue
        if chunk.name == b"ds64":
            length = int.from_bytes(data[chunk.start + 8 : chunk.start + 16], "little")
        elif chunk.name == b"fmt ":
            format = data[chunk.start : at]
        if chunk.size % 2 and (_fits(data, at + 1) or not _fits(data, at)):
            at += 1
        elif chunk.size % 2:
            sound = False  # libsndfile expects the byte that fills it up
    return at


def _add(data: Data, parts: list[Part], part: Part, format: bytes, *, headed: bool) -> None:
    if int.from_bytes(format[:2], "little") in _MPEG:
        parts += mpeg_parts(data, part.start, part.end).parts
    elif headed:
        parts.append(part)
    elif part.end > part.start:
        parts.append(part._replace(head=_head(format, part.end - part.start)))


def _head(format: bytes, size: int) -> bytes:
    """The header of a WAV file with this many bytes of samples."""
    chunk = struct.pack("<4sI", b"fmt ", len(format)) + format + b"\0" * (len(format) % 2)
    if size <= _LARGEST:
        return (
            struct.pack("<4sI4s", b"RIFF", 12 + len(chunk) + size, b"WAVE") + chunk + struct.pack("<4sI", b"data", size)
        )
    sizes = struct.pack("<4sIQQQI", b"ds64", 28, 48 + len(chunk) + size, size, 0, 0)
    return struct.pack("<4sI4s", b"RF64", _MOST, b"WAVE") + sizes + chunk + struct.pack("<4sI", b"data", _MOST)


def _chunk(data: Data, at: int) -> _Chunk | None:
    head = data[at : at + 8]
    if len(head) < 8 or not _ID.match(head):
        return None
    return _Chunk(head[:4], at + 8, int.from_bytes(head[4:], "little"))


def _fits(data: Data, at: int) -> bool:
    """Whether a chunk, a file or the end can be here."""
    if at_end(data, at) or _FILE.match(data, at):
        return True
    chunk = _chunk(data, at)
    return chunk is not None and (chunk.name in _KNOWN or chunk.start + chunk.size <= len(data) + 1)


def at_end(data: Data, at: int) -> bool:
    """Whether nothing follows, or only what many programs leave at the end: a few zeros, an ID3v1 tag."""
    rest = len(data) - at
    return rest <= 1 or (rest == 128 and data[at : at + 3] == b"TAG") or (rest < 4096 and not any(data[at:]))


def _end_of_samples(data: Data, start: int, size: int) -> tuple[int, bool]:
    """Where they end, and whether that is what its ``size`` says."""
    for end in (start + size, start + size + size % 2):
        if end <= len(data) and (size or not at_end(data, start) or start == len(data)) and _fits(data, end):
            return end, True
    match = _FILE.search(data, start)
    return (match.start() if match else len(data)), False


def _seconds(format: bytes, size: int) -> str:
    rate = int.from_bytes(format[8:12], "little")  # bytes a second, if that is true
    return f"{size / rate:.1f} s" if rate > 1000 else f"{size} bytes"
