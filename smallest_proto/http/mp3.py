"""Joins several MP3s into one. Their frames stay as they are; the header that describes one file describes all.

Facts of the format: ISO 11172-3 and 13818-3, and the head that encoders write since Xing and LAME.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# kbit/s and Hz by the fields of a frame's header; the versions are MPEG 1, 2 and 2.5.
_BITRATES = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # 3, 2, 0: MPEG 1, 2, 2.5

_HEAD = re.compile(rb"Xing|Info|VBRI")  # a first frame with this says how long the file is, and is silent
_HEAD_WITHIN = 64  # bytes from the beginning of the frame
_FRAMES, _BYTES, _PLACES, _QUALITY = 1, 2, 4, 8  # what it can say, in this order, by the bits of its flags
_PADDING = 21  # bytes from the name of the encoder in it to the samples that are to be left out
_TAG = 128  # bytes of an ID3v1 at the end


def joined(files: Iterable[bytes]) -> bytes:
    """One MP3 that plays these one after the other. What is not MP3 stays as it is."""
    heads, bodies = zip(*map(_parted, files), strict=True)
    audio = b"".join(bodies)
    head = next(filter(None, heads), b"")
    return _head_of(head, audio) + audio


def header_of(file: bytes) -> tuple[int, int]:
    """Where the header frame of a file begins and ends; where it has none, both are where its sound begins."""
    start = 0
    if file[:3] == b"ID3" and len(file) > 10:
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(file[6:10], (21, 14, 7, 0), strict=True))
    headed = _HEAD.search(file, start, min(len(file), start + _HEAD_WITHIN)) is not None
    return start, start + (_size(file, start) if headed else 0)


def _parted(file: bytes) -> tuple[bytes, bytes]:
    """The header frame of a file, if it has one, and its frames of sound; without tags (ID3)."""
    end = len(file)
    if len(file) >= _TAG and file[-_TAG:].startswith(b"TAG"):
        end -= _TAG
    start, sounding = header_of(file[:end])
    return file[start:sounding], file[sounding:end]


def _head_of(head: bytes, audio: bytes) -> bytes:
    """``head``, changed to describe all of ``audio``."""
    head_match = _HEAD.search(head, 0, _HEAD_WITHIN)
    if head_match is None or head_match[0] == b"VBRI":
        return b""
    frame, at = bytearray(head), head_match.end() + 4
    flags = int.from_bytes(head[head_match.end() : at], "big")
    for flag, size, value in (
        (_FRAMES, 4, _count(audio).to_bytes(4, "big")),
        (_BYTES, 4, (len(head) + len(audio)).to_bytes(4, "big")),
        (_PLACES, 100, bytes(256 * percent // 100 for percent in range(100))),
        (_QUALITY, 4, None),
    ):
        if flags & flag and at + size <= len(frame):
            frame[at : at + size] = value or frame[at : at + size]
            at += size
    if at + _PADDING + 3 <= len(frame):  # its second half says how many samples to drop at the end: none
        frame[at + _PADDING + 1] &= 0xF0
        frame[at + _PADDING + 2] = 0
    return bytes(frame)


def _count(audio: bytes) -> int:
    """How many frames there are."""
    count = at = 0
    while size := _size(audio, at):
        count += 1
        at += size
    return count


def _size(audio: bytes, at: int) -> int:
    """Bytes of the frame that begins there, or 0 where none does."""
    header = audio[at : at + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:  # sync, layer III
        return 0
    version, bitrate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or rate == 3 or bitrate in (0, 15):
        return 0
    samples = 144 if version == 3 else 72
    return samples * 1000 * _BITRATES[version == 3][bitrate] // _RATES[version][rate] + (header[2] >> 1 & 1)
