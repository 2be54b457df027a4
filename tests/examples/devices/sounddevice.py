"""A sound device that needs none: its microphone hears ``speech.raw``, a block for each turn of its thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any


class RawInputStream:
    def __init__(self, *, blocksize: int, callback: Callable[..., None], **_: Any) -> None:
        self._size, self._callback = 2 * blocksize, callback
        self._thread = threading.Thread(target=self._hear, daemon=True)

    def _hear(self) -> None:
        pcm = Path("speech.raw").read_bytes()
        for at in range(0, len(pcm), self._size):
            self._callback(memoryview(pcm[at : at + self._size]), self._size // 2, None, None)
        self._callback(b"", 0, None, None)  # a device has no end, a test has

    def __enter__(self) -> RawInputStream:
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._thread.join()
