"""The files to transcribe: found and checked first, then read whole (HTTP) or piece by piece (live)."""

from __future__ import annotations

import io
import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from smallest_proto.requests import MAX_FILE_BYTES

from .problems import Problem

LIVE_RATE = 16000  # Hz: what the recogniser was made for; any other rate is resampled
PIECE_SECONDS = 0.05
PIECE_SAMPLES = round(LIVE_RATE * PIECE_SECONDS)
_READ_SECONDS = 1  # of audio decoded at a time
READABLE = "WAV, MP3, FLAC, OGG or another that soundfile reads"


class Source(NamedTuple):
    """One file: where it is, or its bytes if it came through a pipe."""

    name: str  # as the user gave it; "-" is standard input
    path: Path | None
    data: bytes = b""

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data) if self.path is None else self.path.stat().st_size


def find_source(name: str, *, live: bool) -> Source:
    """The file of that name, known to be there and to hold something; what is not a regular file is read to its end.

    Raises ``Problem``. Blocks on a pipe.
    """
    if name == "-":
        if sys.stdin.isatty():
            raise Problem("standard input is a terminal: pipe a file into it, or name one")
        source = Source("standard input", None, _read_pipe(sys.stdin.buffer, live=live))
    else:
        source = _open_named(name, live=live)
    if source.size == 0:
        raise Problem(f"{source.name}: is empty: there is nothing to transcribe")
    if not live and source.size > MAX_FILE_BYTES:
        raise Problem(
            f"{source.name}: has {source.size / 1e6:.0f} MB, and the service takes at most "
            f"{MAX_FILE_BYTES / 1e6:.0f} MB over HTTP: stream it with --live, or compress it"
        )
    return source


def _open_named(name: str, *, live: bool) -> Source:
    path = Path(name)
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise Problem(f"{name}: is a directory: name the files in it")
        if stat.S_ISREG(mode):
            with open(path, "rb"):
                return Source(name, path)
        with open(path, "rb") as pipe:
            return Source(name, None, _read_pipe(pipe, live=live))
    except FileNotFoundError:
        raise Problem(f"{name}: there is no such file") from None
    except ValueError:  # a name that the system cannot take
        raise Problem(f"{name!r}: is no file name") from None
    except OSError as error:
        raise Problem(f"{name}: cannot be read: {error.strerror or type(error).__name__}") from None


def _read_pipe(pipe: IO[bytes], *, live: bool) -> bytes:
    # A byte more than the service takes is enough to know that it is too much.
    return pipe.read() if live else pipe.read(MAX_FILE_BYTES + 1)


def is_audio(source: Source) -> bool:
    """Whether soundfile can read it."""
    try:
        with AudioReader(source):
            return True
    except Problem:
        return False


class AudioReader:
    """A file as linear16 at 16 kHz, mono: ``pieces`` of 50 ms. Decodes as it goes, so that length costs no memory.

    Raises ``Problem`` for what is no audio, at the start or in the middle.
    """

    def __init__(self, source: Source) -> None:
        import soundfile

        self._name = source.name
        self._lock = threading.Lock()  # a read in another thread must be over before the file is closed
        self._file: Any
        try:
            # By its content, not by its name: soundfile would take a name that ends in .raw at its word.
            self._opened = open(source.path, "rb") if source.path else io.BytesIO(source.data)  # noqa: SIM115
            try:
                self._file = soundfile.SoundFile(_Nameless(self._opened))
            except BaseException:
                self._opened.close()
                raise
        except (soundfile.SoundFileError, TypeError):
            raise Problem(f"{source.name}: is no audio file that can be read: use {READABLE}") from None
        if self._file.frames <= 0:
            self.close()
            raise Problem(f"{source.name}: holds no audio: there is nothing to transcribe")

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()
            self._opened.close()

    @property
    def duration(self) -> float:
        """Seconds, as the file's header says."""
        return float(self._file.frames / self._file.samplerate)

    def pieces(self) -> Iterator[bytes]:
        """The audio in pieces of 50 ms, the last one shorter."""
        held = np.zeros(0, np.int16)
        for block in self._resampled():
            # Louder than the format can say (resampling overshoots): clipped, not wrapped around.
            whole = np.clip(np.rint(block * 32768), -32768, 32767).astype("<i2")
            held = np.concatenate((held, whole))
            full = len(held) - len(held) % PIECE_SAMPLES
            for at in range(0, full, PIECE_SAMPLES):
                yield held[at : at + PIECE_SAMPLES].tobytes()
            held = held[full:]
        if len(held):
            yield held.tobytes()

    def _resampled(self) -> Iterator[npt.NDArray[np.float32]]:
        import soxr

        rate = self._file.samplerate
        if rate == LIVE_RATE:
            yield from self._mono()
            return
        resampler = soxr.ResampleStream(rate, LIVE_RATE, 1, dtype="float32")
        for block in self._mono():
            yield resampler.resample_chunk(block)
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)

    def _mono(self) -> Iterator[npt.NDArray[np.float32]]:
        import soundfile

        while True:
            try:
                with self._lock:
                    if self._file.closed:
                        return
                    block = self._file.read(self._file.samplerate * _READ_SECONDS, dtype="float32", always_2d=True)
            except soundfile.SoundFileError:
                raise Problem(f"{self._name}: breaks off or is damaged: it cannot be decoded to its end") from None
            if not len(block):
                return
            # A float file can hold what is no number; the recogniser would hear nothing after it.
            yield np.nan_to_num(block.mean(axis=1), posinf=1.0, neginf=-1.0)


class _Nameless:
    """A binary file without its name."""

    def __init__(self, file: io.BufferedReader | io.BytesIO) -> None:
        self.read, self.readinto, self.seek, self.tell = file.read, file.readinto, file.seek, file.tell
