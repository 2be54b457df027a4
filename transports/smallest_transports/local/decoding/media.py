"""What libsndfile does not read: m4a, mp4, webm, aac and more, by PyAV where it is installed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .mixing import Channels
from .parts import Data, Part, Window

PACKAGE = 'pip install "smallest-proto[media]"'


class MediaInfo(NamedTuple):
    """What there is to decode."""

    rate: int  # Hz
    channels: int
    seconds: float  # as the file says; 0 where it does not


def probe(data: Data, part: Part) -> MediaInfo | None:
    """What PyAV finds in it; ``None`` for nothing that can be heard. Raises ``ImportError`` without PyAV."""
    av: Any = importlib.import_module("av")
    try:
        with av.open(Window(data, part)) as container:
            stream = container.streams.best("audio")
            if stream is None or not getattr(stream, "rate", None):  # an unknown codec
                return None
            # A film can be longer than its sound.
            whole = (container.duration or 0) / 1e6 if len(container.streams) == 1 else 0
            length = stream.duration * stream.time_base if stream.duration else whole
            return MediaInfo(stream.rate, stream.channels, float(length))
    except (av.FFmpegError, ValueError, EOFError):
        return None


def blocks(data: Data, part: Part, info: MediaInfo, size: int) -> Iterator[Channels]:
    """Its samples in blocks of ``size``. Raises ``ValueError`` at the end if some of it could not be decoded."""
    av: Any = importlib.import_module("av")
    held: list[Channels] = []
    damaged = False
    with av.open(Window(data, part)) as container:
        plain = av.AudioResampler(format="fltp", rate=info.rate)
        packets = container.demux(container.streams.best("audio"))
        while True:
            try:
                if (packet := next(packets, None)) is None:
                    break
                held += [_shaped(made, info) for frame in packet.decode() for made in plain.resample(frame)]
            except av.EOFError:
                break
            except av.FFmpegError:  # a packet that is damaged: the next one may be whole
                damaged = True
            if sum(map(len, held)) >= size:
                yield from _cut(held, size)
        held += [_shaped(made, info) for made in plain.resample(None)]
    if held:
        yield np.concatenate(held)
    if damaged:
        raise ValueError("damaged")


def _shaped(frame: Any, info: MediaInfo) -> Channels:
    samples: Channels = frame.to_ndarray().T
    # The number of channels can change within a stream.
    return samples if samples.shape[1] == info.channels else np.repeat(samples[:, :1], info.channels, axis=1)


def _cut(held: list[Channels], size: int) -> Iterator[Channels]:
    whole = np.concatenate(held)
    full = len(whole) - len(whole) % size
    held[:] = [whole[full:]] if full < len(whole) else []
    for at in range(0, full, size):
        yield whole[at : at + size]
