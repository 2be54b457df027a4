"""The outer shape of an audio file: where the parts are that libsndfile can read one by one."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import TypeAlias

from .mpeg import mpeg_parts
from .parts import Data, Part, Shape
from .riff import riff_parts

Reader: TypeAlias = Callable[[Data, int], Shape]

_PAGE = 27  # bytes of an Ogg page before its table of segments (RFC 3533)
_BEGINS = 2  # the flag of the first page of a stream
_UNKNOWN = 0xFFFFFFFF  # the length in a Sun audio file if its writer did not know it

# What PyAV can read and libsndfile cannot, by its common name.
_MEDIA = (
    (4, rb"ftyp", "an MP4 (m4a, mov) file"),
    (0, rb"\x1a\x45\xdf\xa3", "a WebM or Matroska file"),
    (0, rb"\xff[\xf0\xf1\xf8\xf9]", "an AAC file"),
    (0, rb"#!AMR", "an AMR file"),
    (0, rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a WMA file"),
)


def shape_of(data: Data) -> Shape:
    """The parts of a file. A file of unknown shape is one part: libsndfile decides."""
    start = after_tags(data)
    reader = _reader(data, start)
    shape = reader(data, start) if reader is not None else Shape([])
    return shape if shape.parts else Shape([Part(start, len(data))], shape.notes)


def is_file(data: Data) -> bool:
    """Whether it begins like a file with a header: raw samples hardly ever do."""
    return media_name(data) is not None or _reader(data, after_tags(data)) not in (None, mpeg_parts)


def media_name(data: Data) -> str | None:
    """What a file is that needs PyAV, if it is known to be one."""
    head = data[:16]
    return next((name for at, sign, name in _MEDIA if re.match(sign, head[at:], re.DOTALL)), None)


def after_tags(data: Data) -> int:
    """Where ID3 tags before a file end: players skip them before any kind of file."""
    at = 0
    while data[at : at + 3] == b"ID3" and len(data) >= at + 10:
        size = 0
        for byte in data[at + 6 : at + 10]:
            size = size << 7 | byte & 127
        at += 10 + size
    return min(at, len(data))


def _reader(data: Data, start: int) -> Reader | None:
    head = data[start : start + 12]
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:] == b"WAVE":
        return riff_parts
    if head[:4] in _JOINS and re.match(_JOINS[head[:4]], data[start : start + 64], re.DOTALL):
        return _joined
    if head[:4] == b"OggS":
        return _ogg_parts
    if head[:4] == b".snd":
        return _sun_parts
    if head[4:8] == b"ftyp":
        return _mp4_parts
    if head[:4] in (b"RIFX", b"riff") or media_name(data) is not None:
        return None
    return mpeg_parts if start or mpeg_parts(data, start, probe=True).parts else None


# How files begin that do not say where they end: the next beginning is the end.
_JOINS = {
    b"fLaC": rb"fLaC[\x00\x80]\x00\x00\x22",  # the first block is STREAMINFO, of 34 bytes (RFC 9639)
    b"FORM": rb"FORM.{4}AIF[FC]",
    b"caff": rb"caff\x00\x01\x00\x00desc",
    b"\x1a\x45\xdf\xa3": rb"\x1a\x45\xdf\xa3.{1,40}\x42\x82[\x81-\x90](?:webm|matroska)",  # RFC 8794
}


def _joined(data: Data, start: int) -> Shape:
    begins = [match.start() for match in re.compile(_JOINS[data[start : start + 4]], re.DOTALL).finditer(data, start)]
    return Shape([Part(at, end) for at, end in zip(begins, [*begins[1:], len(data)], strict=True)])


def _ogg_parts(data: Data, start: int) -> Shape:
    """A chain of streams: each begins with first pages, which stand together, then others."""
    begins, at, within, notes = [start], start, False, []
    while at < len(data):
        if data[at : at + 4] != b"OggS":  # damaged: libsndfile skips this too
            at = page if (page := data.find(b"OggS\0", at)) >= 0 else len(data)
            continue
        head = data[at : at + _PAGE]
        segments = data[at + _PAGE : at + _PAGE + head[-1]] if len(head) == _PAGE else b""
        after = at + _PAGE + len(segments) + sum(segments)
        if len(head) < _PAGE or after > len(data):
            notes.append("breaks off within a page: its last second may be missing")
            break
        if not head[5] & _BEGINS:
            within = True
        elif within:
            begins.append(at)
            within = False
        at = after
    return Shape([Part(at, end) for at, end in zip(begins, [*begins[1:], len(data)], strict=True)], notes)


def _sun_parts(data: Data, start: int) -> Shape:
    """Sun and NeXT audio; its writer may have left the length 0."""
    head = data[start : start + 24]
    if len(head) < 24:
        return Shape([])
    offset, size = struct.unpack_from(">II", head, 4)
    if 24 <= offset <= len(data) - start and size != _UNKNOWN and size < len(data) - start - offset:
        patched = head[:8] + struct.pack(">I", _UNKNOWN) + data[start + 12 : start + offset]
        return Shape([Part(start + offset, len(data), patched)])
    return Shape([Part(start, len(data))])


def _mp4_parts(data: Data, start: int) -> Shape:
    """Boxes one after the other, each with its length (ISO 14496-12); another first one begins another file."""
    begins, at = [start], start
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if name == b"ftyp" and at > start:
            begins.append(at)
        if size == 1:  # the length follows the name
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        at = at + size if size >= 8 else len(data)  # 0: to the end
    notes = ["breaks off: its last part is not whole"] if at > len(data) else []
    return Shape([Part(at, end) for at, end in zip(begins, [*begins[1:], len(data)], strict=True)], notes)
