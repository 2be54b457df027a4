"""Encodes speech as the client asked for it: 16-bit samples, piece by piece -> pcm, wav, mp3, ulaw, alaw."""

from __future__ import annotations

import io
from typing import Protocol

from smallest_proto.config import SynthesisConfig
from smallest_proto.errors import ConfigurationError
from smallest_proto.server.answers import wav_header


class Encoder(Protocol):
    """One answer's audio, in order."""

    def feed(self, pcm: bytes) -> bytes:
        """Take whole samples (linear16); return what can go out."""
        ...

    def end(self) -> bytes:
        """What is left."""
        ...


def encoder(options: SynthesisConfig) -> Encoder:
    """The encoder for ``output_format``. Raises ``ConfigurationError`` for mp3 if libsndfile cannot write it."""
    if options.output_format == "pcm":
        return _Pcm()
    if options.output_format == "wav":
        return _Wav(options.sample_rate)
    # Imported here: with a synthesiser of your own the other formats need neither numpy nor libsndfile.
    import soundfile

    if options.output_format == "mp3":
        if "MP3" not in soundfile.available_formats():
            raise ConfigurationError("this server's libsndfile makes no mp3: ask for pcm, wav, ulaw or alaw")
        return _Mp3(options.sample_rate)
    return _G711(options.output_format.upper())


class _Pcm:
    def feed(self, pcm: bytes) -> bytes:
        return pcm

    def end(self) -> bytes:
        return b""


class _Wav:
    """All of it comes at the end, because the header says how long it is, as in the service."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._pcm = bytearray()

    def feed(self, pcm: bytes) -> bytes:
        self._pcm += pcm
        return b""

    def end(self) -> bytes:
        return wav_header(self._sample_rate, len(self._pcm)) + self._pcm


class _G711:
    def __init__(self, subtype: str) -> None:
        self._subtype = subtype

    def feed(self, pcm: bytes) -> bytes:
        import numpy as np
        import soundfile

        file = io.BytesIO()
        soundfile.write(file, np.frombuffer(pcm, "<i2"), 8000, format="RAW", subtype=self._subtype)  # any rate
        return file.getvalue()

    def end(self) -> bytes:
        return b""


class _Mp3:
    """All of it comes at the end, because the header says how long it is."""

    def __init__(self, sample_rate: int) -> None:
        import soundfile

        self._bytes = io.BytesIO()
        self._file = soundfile.SoundFile(self._bytes, "w", samplerate=sample_rate, channels=1, format="MP3")

    def feed(self, pcm: bytes) -> bytes:
        import numpy as np

        self._file.write(np.frombuffer(pcm, "<i2"))
        return b""

    def end(self) -> bytes:
        self._file.close()
        return self._bytes.getvalue()
