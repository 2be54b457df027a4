"""Audio to the loudspeaker, while more of it comes."""

from __future__ import annotations

import asyncio
import importlib
import queue
import threading
from typing import Any

from .problems import Problem

_PIECE_SECONDS = 0.1  # written at once, so that a stop is heard soon


class Player:
    """Plays linear16, mono, on a thread of its own: whoever gives it audio never waits for the loudspeaker.

    Raises ``Problem`` where there is nothing to play on. Leaving it before ``finish`` stops in the middle.
    """

    def __init__(self, sample_rate: int) -> None:
        self._piece = 2 * round(sample_rate * _PIECE_SECONDS)
        self._stream = _open(sample_rate)
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()  # None: no more comes
        self._thread = threading.Thread(target=self._run, name="player", daemon=True)
        self._stopped = threading.Event()
        self._failure: Exception | None = None

    def __enter__(self) -> Player:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._waiting.put(None)
        self._thread.join()
        self._stream.close()

    def play(self, pcm: bytes) -> None:
        """Play this after what was given before."""
        self._waiting.put(pcm)

    async def finish(self) -> None:
        """Wait until all of it was heard. Raises ``Problem`` if it was not."""
        self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)
        if self._failure is not None:
            raise Problem("the sound device failed: -o writes a file") from self._failure

    def _run(self) -> None:
        try:
            self._stream.start()
            while (pcm := self._waiting.get()) is not None:
                for at in range(0, len(pcm), self._piece):
                    if self._stopped.is_set():
                        self._stream.abort()
                        return
                    self._stream.write(pcm[at : at + self._piece])
            self._stream.stop()  # when what it holds was heard
        except Exception as error:  # of PortAudio, on a thread where nobody would see it
            self._failure = error


def _open(sample_rate: int) -> Any:
    try:
        sounddevice: Any = importlib.import_module("sounddevice")
    except OSError:
        raise Problem(
            "--play needs the library PortAudio, which is not here (Debian, Ubuntu: apt install libportaudio2); "
            "-o writes a file"
        ) from None
    try:
        return sounddevice.RawOutputStream(samplerate=sample_rate, channels=1, dtype="int16")
    except sounddevice.PortAudioError as error:
        raise Problem("--play finds no sound device that can be used: -o writes a file") from error
