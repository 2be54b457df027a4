"""Decodes a file of any kind, piece by piece: mono samples at 16 kHz."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import soxr

from smallest_transports.local.pcm import SAMPLE_RATE, Samples

from . import media
from .containers import is_file, media_name, shape_of
from .mixing import Channels, Mixer
from .parts import Data, Part, Window

READABLE = "WAV, MP3, FLAC, OGG or another that soundfile reads"
_BLOCK = 1  # seconds that are decoded at once, so that a long file needs little memory
_TOLERANCE = 0.1  # seconds that a file may be shorter than it says: encoders round up
_RATES = range(1000, 1_000_001)  # Hz: a damaged header can say anything, and fill the memory
_CHANNELS = range(1, 65)  # the most that microphones have in one file, in ambisonics
_LOUDEST = 16.0  # of full scale: no recording is louder
_UNKNOWN = 2**48  # frames: libsndfile's word for a FLAC stream that says no length is larger
_SUBTYPES = {"linear16": "PCM_16", "linear32": "PCM_32", "alaw": "ALAW", "mulaw": "ULAW"}


class Raw(NamedTuple):
    """The format of raw samples of one channel: the file does not say it."""

    encoding: str  # linear16 or linear32 (little-endian), alaw or mulaw
    rate: int  # Hz

    @property
    def width(self) -> int:
        """Bytes of one sample."""
        return {"linear16": 2, "linear32": 4}.get(self.encoding, 1)

    @property
    def options(self) -> dict[str, Any]:
        """The same for libsndfile."""
        kind = {"format": "RAW", "subtype": _SUBTYPES[self.encoding], "endian": "LITTLE"}
        return {**kind, "samplerate": self.rate, "channels": 1}


class Unreadable(Exception):
    """The file is not audio. The text follows the name of the file: what it is, and what would be right."""


class _Opened(NamedTuple):
    """A part, and how it is read."""

    rate: int  # Hz
    channels: int
    frames: int | None  # as it says; None: it does not
    blocks: Callable[[], Iterator[Channels]]


class Decoder:
    """One file. ``notes`` are to be told, and ``missing`` is what of it could not be decoded, once all was read.

    Raises ``Unreadable`` for what is no audio or holds none, and ``OSError`` for a path that cannot be read. May be
    closed from another thread; then it gives no more.
    """

    def __init__(self, source: bytes | str | os.PathLike[str], *, raw: Raw | None = None) -> None:
        self.notes: list[str] = []
        self.missing: list[str] = []
        self._lock = threading.Lock()  # a read in another thread must be over before the file is closed
        self._closed = False
        self._data = source if isinstance(source, bytes) else _mapped(source)
        try:
            self._parts = self._open(raw)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._closed = True
            if isinstance(self._data, mmap.mmap):
                self._data.close()

    @property
    def duration(self) -> float:
        """Seconds, as the file says; 0 if it does not."""
        return sum((part.frames or 0) / part.rate for part in self._parts)

    def blocks(self) -> Iterator[Samples]:
        """All of it in order, mono, 16 kHz. A float file can exceed full scale; what is not a number becomes 0."""
        resampler: Any = None
        rate, heard = 0, 0.0
        for part in self._parts:
            if part.rate != rate:
                yield from _rest(resampler)
                rate = part.rate
                resampler = None if rate == SAMPLE_RATE else soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
            mixer, count = Mixer(part.channels, rate), 0
            try:
                for block in self._held(part.blocks()):
                    finite = np.nan_to_num(block, posinf=1.0, neginf=-1.0)
                    mono = mixer.mix(np.clip(finite, -_LOUDEST, _LOUDEST))
                    yield mono if resampler is None else resampler.resample_chunk(mono)
                    count += len(block)
            except _Broken:
                self.missing.append(f"what comes after {heard + count / rate:.1f} s, as the file is damaged there")
            else:
                if part.frames is not None and part.frames - count > rate * _TOLERANCE and not self._closed:
                    self.notes.append(
                        f"breaks off: it tells of {part.frames / rate:.1f} s, and there are {count / rate:.1f} s"
                    )
            heard += count / rate
        yield from _rest(resampler)

    def _held(self, blocks: Iterator[Channels]) -> Iterator[Channels]:
        while True:
            with self._lock:
                if self._closed or (block := next(blocks, None)) is None:
                    return
            yield block

    def _open(self, raw: Raw | None) -> list[_Opened]:
        if raw is not None:
            if is_file(self._data):
                raise Unreadable(f"is no raw audio, but {self._describe()}: leave out the encoding and the rate")
            whole = Part(0, len(self._data) - len(self._data) % raw.width)
            opened = [self._sound(whole, **raw.options)]
        else:
            shape = shape_of(self._data)
            self.notes += shape.notes
            opened = [self._sound(part) for part in shape.parts]
            if not any(opened):
                opened = [self._media(part) for part in shape.parts]
        parts = [part for part in opened if part is not None]
        if not parts:
            raise Unreadable(self._no_audio())
        if not any(part.frames != 0 for part in parts):
            raise Unreadable("holds no audio: there is nothing to transcribe")
        if len(parts) < len(opened):
            self.missing.append(f"{len(opened) - len(parts)} of its {len(opened)} parts, as they are damaged")
        return parts

    def _describe(self) -> str:
        try:
            parts = self._open(None)
        except Unreadable:
            return "a file with a head"
        first = parts[0]
        return f"a file of {first.rate} Hz with {first.channels} channel{'s' * (first.channels != 1)}"

    def _sound(self, part: Part, **options: Any) -> _Opened | None:
        import soundfile

        try:
            with soundfile.SoundFile(Window(self._data, part), **options) as file:
                rate, channels, frames = file.samplerate, file.channels, file.frames
        except (soundfile.SoundFileError, TypeError, ValueError):
            return None
        if rate not in _RATES or channels not in _CHANNELS:
            return None
        known = frames if frames < _UNKNOWN else None
        return _Opened(rate, channels, known, lambda: self._decode(part, options))

    def _decode(self, part: Part, options: dict[str, Any]) -> Iterator[Channels]:
        import soundfile

        with soundfile.SoundFile(Window(self._data, part), **options) as file:
            while True:
                block = np.full((file.samplerate * _BLOCK, file.channels), np.nan, np.float32)
                try:
                    block = block[: len(file.read(out=block, always_2d=True))]
                except soundfile.SoundFileError:
                    # The block holds what was decoded before the error.
                    there = np.flatnonzero(~np.isnan(block[:, 0]))
                    yield block[: there[-1] + 1 if len(there) else 0]
                    raise _Broken from None
                if not len(block):
                    return
                yield block

    def _media(self, part: Part) -> _Opened | None:
        try:
            info = media.probe(self._data, part)
        except ImportError:
            if (name := media_name(self._data)) is not None:
                raise Unreadable(f"is {name}, which needs PyAV: {media.PACKAGE}; or convert it to WAV") from None
            return None
        if info is None or info.rate not in _RATES or info.channels not in _CHANNELS:
            return None
        shape = info

        def decode() -> Iterator[Channels]:
            try:
                yield from media.blocks(self._data, part, shape, shape.rate * _BLOCK)
            except ValueError:
                raise _Broken from None

        return _Opened(info.rate, info.channels, round(info.seconds * info.rate) or None, decode)

    def _no_audio(self) -> str:
        if (name := media_name(self._data)) is not None:
            return f"is {name} that holds no audio, or is damaged: {self.notes[0] if self.notes else 'try to play it'}"
        return f"is no audio file that can be read: use {READABLE}; raw samples need their encoding and rate"


class _Broken(Exception):
    """The file cannot be decoded any further."""


def _mapped(path: str | os.PathLike[str]) -> Data:
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return b""
        try:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # a file system that cannot do that
            return file.read()


def _rest(resampler: Any) -> Iterator[Samples]:
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
