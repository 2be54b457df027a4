"""The files to transcribe: found and checked first, then read whole (HTTP) or piece by piece (live)."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from smallest_proto.requests import MAX_FILE_BYTES
from smallest_transports.local.decoding import Decoder, Raw, Unreadable

from .problems import Problem

LIVE_RATE = 16000  # Hz: what the recogniser was made for; any other rate is resampled
PIECE_SECONDS = 0.05  # of audio: one message to the service
PIECE_SAMPLES = round(LIVE_RATE * PIECE_SECONDS)


class Source(NamedTuple):
    """One file: where it is, or its bytes if it came through a pipe."""

    name: str  # as the user gave it; "-" is standard input
    path: Path | None
    data: bytes = b""
    raw: Raw | None = None  # what its samples are, where the file does not say it

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data) if self.path is None else self.path.stat().st_size


def find_source(name: str, *, live: bool, raw: Raw | None = None) -> Source:
    """The file of that name, known to be there and to hold something; what is not a regular file is read to its end.

    ``raw`` samples that are not streamed become a WAV file: the service drops what a request says of them.
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
    if raw is not None:
        source = source._replace(raw=raw) if live else _as_wav(source, raw)
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


def _as_wav(source: Source, raw: Raw) -> Source:
    """Raw samples with a head, as linear16. Raises ``Problem`` for a file that has one."""
    import soundfile

    with AudioReader(source._replace(raw=raw)):
        pass  # it is what it is said to be
    data = source.data if source.path is None else source.path.read_bytes()
    width = raw.width
    made = io.BytesIO()
    samples, rate = soundfile.read(
        io.BytesIO(data[: len(data) - len(data) % width]), dtype="int16", always_2d=True, **raw.options
    )
    soundfile.write(made, samples, rate, "PCM_16", format="WAV")
    return Source(source.name, None, made.getvalue())


def seconds_of(source: Source) -> float:
    """How long it is, as it says itself; 0 where that is not known."""
    try:
        with AudioReader(source) as reader:
            return reader.duration
    except (Problem, ImportError):
        return 0.0


def why_unreadable(source: Source) -> str | None:
    """What is wrong with it, if it cannot be decoded here."""
    try:
        with AudioReader(source):
            return None
    except Problem as problem:
        return problem.message


class AudioReader:
    """A file as linear16 at 16 kHz, mono: ``pieces`` of 50 ms. Decodes as it goes, so that length costs no memory.

    Raises ``Problem`` for what is no audio. What of it could not be decoded is in ``missing`` at the end, and what
    else is to be told in ``notes``.
    """

    def __init__(self, source: Source) -> None:
        try:
            self._decoder = Decoder(source.data if source.path is None else source.path, raw=source.raw)
        except Unreadable as error:
            raise Problem(f"{source.name}: {error}") from None
        self.notes, self.missing = self._decoder.notes, self._decoder.missing

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()

    @property
    def duration(self) -> float:
        """Seconds, as the file says; 0 where it does not."""
        return self._decoder.duration

    def pieces(self) -> Iterator[bytes]:
        """The audio in pieces of 50 ms, the last one shorter."""
        held = np.zeros(0, np.int16)
        for block in self._decoder.blocks():
            # Louder than the format can say (resampling overshoots): clipped, not wrapped around.
            whole = np.clip(np.rint(block * 32768), -32768, 32767).astype("<i2")
            held = np.concatenate((held, whole))
            full = len(held) - len(held) % PIECE_SAMPLES
            for at in range(0, full, PIECE_SAMPLES):
                yield held[at : at + PIECE_SAMPLES].tobytes()
            held = held[full:]
        if len(held):
            yield held.tobytes()
