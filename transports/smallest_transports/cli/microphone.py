"""A microphone as pieces of audio; a file can take its place, in real time."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from .problems import Problem, WrongUse
from .running import in_real_time, in_thread
from .sources import LIVE_RATE, PIECE_SECONDS, AudioReader, find_source

_NO_DEVICE = (
    "no microphone can be used here: --device FILE gives an audio file in real time; transcribe --live takes any"
)


def sound_library() -> Any:
    """The module ``sounddevice``. Raises ``Problem`` where it, or what it needs, is not here."""
    try:
        return importlib.import_module("sounddevice")
    except ModuleNotFoundError:
        raise Problem('sounddevice is not installed: pip install "smallest-proto[cli]"') from None
    except OSError:
        raise Problem(
            "the library PortAudio is not here (Debian, Ubuntu: apt install libportaudio2), and without it no sound "
            "device; --device FILE gives an audio file in real time"
        ) from None


def list_devices() -> list[str]:
    """Every device that can record, a line each. Raises ``Problem`` where there is none."""
    library = sound_library()
    try:
        devices = [device for device in library.query_devices() if device["max_input_channels"] > 0]
        chosen = library.query_devices(kind="input")["index"] if devices else None
    except library.PortAudioError as error:
        raise Problem(_NO_DEVICE) from error
    if not devices:
        raise Problem(_NO_DEVICE)
    return [
        f"{device['index']:3d}  {device['name']}{'  (default)' if device['index'] == chosen else ''}"
        for device in devices
    ]


def open_microphone(device: str | None, say: Callable[[str], None]) -> Microphone | RecordedMicrophone:
    """The device of that number or part of a name, the system's own, or the file of that name.

    ``say`` is told what is wrong while it records. Raises ``Problem`` where it cannot be used.
    """
    if device is not None and Path(device).is_file():
        return RecordedMicrophone(device)
    try:
        sound_library()
    except Problem as problem:
        if device is None:
            raise
        raise Problem(f"--device {device!r} names no file, and for a device {problem.message}") from None
    return Microphone(device, say)


class RecordedMicrophone:
    """A file in the place of a microphone."""

    def __init__(self, name: str) -> None:
        self._reader = AudioReader(find_source(name, live=True))
        self._stopped = False

    def __enter__(self) -> RecordedMicrophone:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def stop(self) -> None:
        """Nothing more is recorded."""
        self._stopped = True

    async def pieces(self) -> AsyncIterator[bytes]:
        """Linear16, mono, of ``LIVE_RATE``: 50 ms each."""
        pieces: AsyncIterable[bytes] = in_thread(self._reader.pieces())
        async for piece in in_real_time(pieces, PIECE_SECONDS):
            if self._stopped:
                return
            yield piece


class Microphone(AbstractContextManager["Microphone"]):
    """A device that records from entering on."""

    def __init__(self, device: str | None, say: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[bytes | None] = asyncio.Queue()  # None: no more comes
        self._say = say
        self._missed = self._stopped = False
        self._resample: Callable[[bytes], bytes] | None = None
        self._stream = self._open(sound_library(), device)

    def __enter__(self) -> Microphone:
        self._stream.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._stream.close()

    def stop(self) -> None:
        """Nothing more is recorded."""
        self._stopped = True
        self._heard.put_nowait(None)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Linear16, mono, of ``LIVE_RATE``: 50 ms each. Raises ``Problem`` where the device fails."""
        while (piece := await self._heard.get()) is not None:
            yield piece if self._resample is None else self._resample(piece)
        if not self._stopped:
            raise Problem("the microphone has stopped: was it unplugged?")

    def _open(self, library: Any, device: str | None) -> Any:
        chosen = int(device) if device is not None and device.isdecimal() else device
        try:
            rate = self._rate(library, chosen)
            return library.RawInputStream(
                samplerate=rate,
                channels=1,
                dtype="int16",
                blocksize=round(rate * PIECE_SECONDS),
                device=chosen,
                callback=self._came,
                finished_callback=self._finished,
            )
        except ValueError:  # sounddevice found none of that name, or several
            raise WrongUse(
                f"--device {device!r} names no file and no device, or several devices: --list-devices lists them"
            ) from None
        except library.PortAudioError as error:
            if device is None:
                raise Problem(_NO_DEVICE) from error
            raise Problem(f"--device {device!r} cannot record: --list-devices lists those that can") from error

    def _rate(self, library: Any, device: int | str | None) -> int:
        """The recogniser's, or the device's own where it takes no other: then it is resampled."""
        try:
            library.check_input_settings(device=device, channels=1, dtype="int16", samplerate=LIVE_RATE)
            return LIVE_RATE
        except library.PortAudioError:
            rate = int(library.query_devices(device, "input")["default_samplerate"])
        import soxr

        stream = soxr.ResampleStream(rate, LIVE_RATE, 1, "int16")
        self._resample = lambda pcm: stream.resample_chunk(np.frombuffer(pcm, np.int16)).tobytes()
        return rate

    # Both on a thread of the sound system's.

    def _came(self, data: Any, _: int, __: object, status: Any) -> None:
        self._tell(self._keep, bytes(data), bool(status))

    def _finished(self) -> None:
        self._tell(self._heard.put_nowait, None)

    def _tell(self, told: Callable[..., object], *what: object) -> None:
        if not self._stopped:
            self._loop.call_soon_threadsafe(told, *what)

    def _keep(self, data: bytes, missed: bool) -> None:
        if missed and not self._missed:
            self._missed = True
            self._say("the sound system dropped some audio before this program had it: this machine is too busy")
        self._heard.put_nowait(data)


class Meter:
    """How loud the last piece was, to be shown; ``say`` is told if there is nothing but silence."""

    WIDTH = 12
    FLOOR_DB = -60.0  # of full scale: the quietest that is shown; a room at night
    SILENT_PIECES = 60  # 3 s of zeros, which no microphone gives: it is off, or forbidden

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._silent = 0
        self._peak = 0

    def heard(self, piece: bytes) -> None:
        """A piece of audio."""
        samples = np.frombuffer(piece, np.int16).astype(np.int32)
        self._peak = int(np.abs(samples).max(initial=0))
        if self._peak:
            self._silent = -(10**9)  # it works
            return
        self._silent += 1
        if self._silent == self.SILENT_PIECES:
            self._say("the microphone gives nothing but zeros: it is muted, or this program may not use it")

    def __str__(self) -> str:
        level = 20 * float(np.log10(self._peak / 2**15)) if self._peak else self.FLOOR_DB
        full = round(self.WIDTH * max(0.0, 1 - level / self.FLOOR_DB))
        return "█" * full + "░" * (self.WIDTH - full)
