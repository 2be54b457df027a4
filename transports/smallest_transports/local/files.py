"""Audio files of any kind -> samples at 16 kHz, mono."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np

from smallest_proto.audio import Encoding
from smallest_proto.errors import ConfigurationError

from .decoding import Decoder, Unreadable, is_file
from .pcm import Samples

logger = logging.getLogger(__name__)


def read_samples(source: bytes | str | os.PathLike[str], *, name: str = "the file") -> Samples:
    """A whole file, from its bytes or its path, mixed down to mono, at 16 kHz; what it lacks is logged.

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
        with Decoder(source) as decoder:
            samples = np.concatenate([*decoder.blocks(), np.zeros(0, np.float32)])
            notes = [*decoder.notes, *(f"lacks {what}" for what in decoder.missing)]
    except Unreadable as error:
        raise ConfigurationError(f"{name} {error}") from None
    except OSError as error:
        reason = f": {error.strerror}" if error.strerror else ""  # no permission, say
        raise ConfigurationError(f"{name} cannot be read{reason}") from None
    if not len(samples):
        raise ConfigurationError(f"{name} holds no audio: there is nothing to transcribe")
    for what in notes:
        logger.warning("a file %s", what)
    return np.asarray(np.clip(samples, -1.0, 1.0), np.float32)


def read_body(body: bytes, encoding: Encoding | None = None) -> Samples:
    """What a client uploaded, at 16 kHz: a file of any kind, whatever ``encoding`` says beside it.

    The service drops ``encoding`` and ``sample_rate`` of an upload, and hears nothing in raw samples: nor does this
    server, which says so in its log. Raises ``ConfigurationError`` as ``read_samples`` does.
    """
    if not body or encoding is None or is_file(body):
        return read_samples(body)
    logger.warning("raw %s was uploaded: nothing is heard, as the service drops encoding; send it as WAV", encoding)
    return np.zeros(0, np.float32)
