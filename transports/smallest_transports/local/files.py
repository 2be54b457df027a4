"""Audio files of any kind -> samples at 16 kHz: WAV, FLAC, OGG, MP3 and whatever else libsndfile reads."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from pathlib import Path

import numpy as np
import soundfile
import soxr

from smallest_proto.audio import Encoding
from smallest_proto.errors import ConfigurationError

from .pcm import SAMPLE_RATE, Samples

logger = logging.getLogger(__name__)

_BLOCK = 60  # seconds that are decoded at once: a long file is never held at its full rate and width


def read_samples(source: bytes | str | os.PathLike[str], *, name: str = "the file") -> Samples:
    """A whole file, from its bytes or its path, mixed down to mono, at 16 kHz.

    ``name`` is what an error calls it if it is given as bytes. Raises ``ConfigurationError`` for a file that is not
    there, is empty, is no audio that can be read, or holds no sound at all.
    """
    if not isinstance(source, bytes):
        path = Path(source)
        name = str(path)
        if path.is_dir():
            raise ConfigurationError(f"{name} is a folder: name an audio file")
        if not path.exists():
            raise ConfigurationError(f"{name} does not exist")
        if path.is_file() and not path.stat().st_size:
            raise ConfigurationError(f"{name} is empty: there is nothing to transcribe")
    elif not source:
        raise ConfigurationError(f"{name} is empty: there is nothing to transcribe")
    try:
        with contextlib.ExitStack() as stack:
            # A file's number in place of its name: soundfile would take a name that ends in .raw at its word.
            opened = (
                io.BytesIO(source) if isinstance(source, bytes) else stack.enter_context(open(source, "rb")).fileno()
            )
            samples = _read(stack.enter_context(soundfile.SoundFile(opened, closefd=False)))
    except (soundfile.LibsndfileError, OSError, RuntimeError, ValueError) as error:
        # The reason of a system error helps (no permission); libsndfile's names a Python object.
        reason = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        raise ConfigurationError(f"{name} is no audio that can be read (WAV, FLAC, OGG and MP3 can){reason}") from None
    if not len(samples):
        raise ConfigurationError(f"{name} holds no sound: it has 0 samples")
    return samples


def read_body(body: bytes, encoding: Encoding | None = None) -> Samples:
    """What a client uploaded, at 16 kHz: a file of any kind, whatever ``encoding`` says beside it.

    The service drops ``encoding`` and ``sample_rate`` of an upload, and hears nothing in raw samples: nor does this
    server, which says so in its log. Raises ``ConfigurationError`` as ``read_samples`` does.
    """
    try:
        return read_samples(body)
    except ConfigurationError:
        if not body or encoding is None:
            raise
    logger.warning("raw %s was uploaded: nothing is heard, as the service drops encoding; send it as WAV", encoding)
    return np.zeros(0, np.float32)


def _read(file: soundfile.SoundFile) -> Samples:
    rate: int = file.samplerate
    resampler = None if rate == SAMPLE_RATE else soxr.ResampleStream(rate, SAMPLE_RATE, 1)
    parts: list[Samples] = []
    while len(block := file.read(_BLOCK * rate, dtype="float32", always_2d=True)):
        mono = block.mean(axis=1, dtype=np.float32)
        parts.append(mono if resampler is None else resampler.resample_chunk(mono))
    if resampler is not None and parts:
        parts.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    samples: Samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    # A float file can hold what is no number, and more than full scale.
    return np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
