"""A part of a file that can be decoded for itself, and a view of it as a file."""

from __future__ import annotations

import io
import mmap
from typing import NamedTuple, TypeAlias

Data: TypeAlias = "bytes | mmap.mmap"


class Part(NamedTuple):
    """``head`` and then ``data[start:end]`` are a file."""

    start: int
    end: int
    head: bytes = b""


class Shape(NamedTuple):
    """The parts of a file in order, and what there is to say of them."""

    parts: list[Part]
    notes: list[str] = []  # noqa: RUF012 - of a named tuple, and never changed


class Window(io.RawIOBase):
    """A part, as libsndfile and PyAV read it. Nothing of it is copied before it is asked for."""

    def __init__(self, data: Data, part: Part) -> None:
        super().__init__()
        self._data, self._part, self._at = data, part, 0
        self._size = len(part.head) + part.end - part.start

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        data = self._read(len(view))
        view[: len(data)] = data
        return len(data)

    def _read(self, size: int) -> bytes:
        head, at = self._part.head, self._at
        data = head[at : at + size]
        if (rest := size - len(data)) > 0:
            begin = self._part.start + max(0, at - len(head))
            data += self._data[begin : max(begin, min(begin + rest, self._part.end))]
        self._at += len(data)
        return data
