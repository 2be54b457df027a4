"""MPEG audio (MP3 and its elders): the frames, and with them where pieces that were joined begin.

An encoder writes into the first frame how many follow, and libsndfile believes it: of joined files it reads the first.
A head of a frame is 11 bits that are set, then version, layer, bit rate and sample rate (ISO 11172-3, 13818-3).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .parts import Data, Part, Shape

_SYNC = re.compile(rb"\xff[\xe2-\xff]")
_PROBE = 64 * 1024  # bytes: the first frame of a file is within them, tags aside
_CERTAIN = 3  # this many frames in a row are no accident; required after other bytes
_TOLERANCE = 0.1  # seconds: some encoders count the header frame, some do not
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # Hz, by version (1, 2, 2.5)
_KBITS = {
    (3, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}  # by version and layer (3 is the first layer, 1 the third)


class _Run(NamedTuple):
    part: Part | None
    end: int
    announced: float  # seconds, as its header says, if it has one
    there: float  # seconds


class _Frame(NamedTuple):
    size: int  # bytes
    kind: tuple[int, int, int, bool]  # version, layer, sample rate, mono: what does not change within a part


def mpeg_parts(data: Data, start: int, end: int | None = None, *, probe: bool = False) -> Shape:
    """Runs of whole frames of one kind; ``probe`` looks for the first frames alone. Junk between them is skipped."""
    end = len(data) if end is None else end
    at = _next(data, start, end, start + _PROBE)
    if probe:
        return Shape([Part(at, end)] if at is not None else [])
    runs: list[_Run] = []
    while at is not None:
        runs.append(_run(data, at, end))
        at = _next(data, runs[-1].end, end, end)
    announced, there = sum(run.announced for run in runs), sum(run.there for run in runs)
    notes = []
    if announced > there + _TOLERANCE:
        notes.append(f"breaks off: it tells of {announced:.1f} s, and there are {there:.1f} s")
    return Shape([run.part for run in runs if run.part is not None], notes)


def _run(data: Data, at: int, end: int) -> _Run:
    """The frames that begin here and belong together."""
    start, first = at, _frame(data, at, end)
    assert first is not None
    marked, announced_frames = _count(data, at, first)
    count = 0 if marked else 1
    at += first.size
    while (frame := _frame(data, at, end)) is not None and frame.kind == first.kind and not _count(data, at, frame)[0]:
        count += 1
        at += frame.size
    seconds = (576 if first.kind[1] == 1 and first.kind[0] != 3 else 1152) / first.kind[2]
    there, announced = count * seconds, (announced_frames or 0) * seconds
    if announced_frames is not None and abs(announced_frames - count) <= 1:
        return _Run(Part(start, at), at, announced, there)
    start += first.size if marked else 0
    sound = _frame(data, start, at)
    part = sound and Part(start, at, _counted(data[start : start + 4], sound, count, at - start))
    return _Run(part, at, announced, there)


def _counted(head: bytes, frame: _Frame, count: int, size: int) -> bytes:
    """A first frame with the true length: without it libsndfile guesses from the bit rate."""
    if frame.kind[1] != 1:
        return b""  # libsndfile knows such frames in the third layer alone
    side = _side(frame)
    made = bytes((head[0], head[1] | 1, *head[2:])) + bytes(side)  # the bit: no checksum follows
    made += b"Xing" + (3).to_bytes(4, "big") + count.to_bytes(4, "big") + (size + frame.size).to_bytes(4, "big")
    return made.ljust(frame.size, b"\0")


def _side(frame: _Frame) -> int:
    """Bytes of what stands in a frame of the third layer before its sound."""
    version, _, _, mono = frame.kind
    return (17 if mono else 32) if version == 3 else (9 if mono else 17)


def _next(data: Data, at: int, end: int, until: int) -> int | None:
    """Where the next frames begin, if that is before ``until``."""
    for sync in _SYNC.finditer(data, at, min(end, until)):
        begin = at = sync.start()
        kinds: list[tuple[int, int, int, bool]] = []
        while len(kinds) < _CERTAIN and (frame := _frame(data, at, end)) is not None:
            kinds.append(frame.kind)
            at += frame.size
        # At the end fewer are enough: nothing follows that could show more.
        if len(set(kinds)) == 1 and (len(kinds) == _CERTAIN or at == end):
            return begin
    return None


def _frame(data: Data, at: int, end: int) -> _Frame | None:
    """The frame that begins here and is whole."""
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bits, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or not layer or bits in (0, 15) or rate == 3:
        return None
    hertz = _RATES[version][rate]
    kbits = _KBITS[(3, layer) if version == 3 else (2, 3 if layer == 3 else 1)][bits - 1]
    if layer == 3:
        size = (12000 * kbits // hertz + padding) * 4
    else:
        size = (72000 if layer == 1 and version != 3 else 144000) * kbits // hertz + padding
    return _Frame(size, (version, layer, hertz, head[3] >> 6 == 3)) if at + size <= end else None


def _count(data: Data, at: int, frame: _Frame) -> tuple[bool, int | None]:
    """Whether this frame holds no sound and says how many follow, as an encoder's first one does; how many."""
    side = _side(frame)
    mark = data[at + 4 + side : at + 16 + side]
    if mark[:4] in (b"Xing", b"Info"):
        return True, int.from_bytes(mark[8:12], "big") if mark[7] & 1 else None
    if data[at + 36 : at + 40] == b"VBRI":
        return True, int.from_bytes(data[at + 50 : at + 54], "big")
    return False, None
