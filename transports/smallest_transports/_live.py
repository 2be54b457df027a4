"""Audio for a live transcription: a file, or pieces as they come; pure as well."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

from smallest_proto.audio import AudioFormat
from smallest_proto.buffers import read_buffer
from smallest_proto.config import TranscriptionConfig
from smallest_proto.errors import ConfigurationError, RemoteError
from smallest_proto.transcription.events import Event
from smallest_proto.wav import has_container, read_wav

if TYPE_CHECKING:
    from typing_extensions import Buffer

File: TypeAlias = "bytes | bytearray | memoryview | str | PathLike[str]"  # the bytes of a file, or its path
Pieces: TypeAlias = "Iterable[Buffer]"

PIECE_BYTES = 64 * 2**10  # of audio that a session is given at once: 2 s of linear16 at 16 kHz
_PIECE = 6400  # bytes: 0.2 s of linear16 at 16 kHz; what is heard of it can be taken before the next


def given(audio: Any, config: TranscriptionConfig) -> tuple[TranscriptionConfig, Any]:
    """The bytes of a file in pieces, an array of samples as the one piece that it is, or pieces as they were given.

    The configuration has the format of a file that says it. Raises ``ConfigurationError`` for a file that cannot be
    streamed as it is.
    """
    if isinstance(audio, (bytes, bytearray, memoryview)):
        return read_stream(bytes(audio), config)
    try:
        memoryview(audio)
    except TypeError:
        return config, audio
    return config, (audio,)


def read_stream(file: bytes, config: TranscriptionConfig) -> tuple[TranscriptionConfig, Pieces]:
    """The audio of a file in pieces, and the configuration with its format.

    A WAV of one channel says its format itself; raw audio, and pages of Ogg Opus, have that of ``config``. Raises
    ``ConfigurationError`` for what cannot be streamed as it is.
    """
    if config.encoding == "opus":
        raise ConfigurationError("a file does not say where a packet of opus ends: give the packets, one by one")
    if (wav := read_wav(file)) is not None:
        encoding, rate, file = wav
        config = msgspec.structs.replace(config, encoding=encoding, sample_rate=rate)
    elif has_container(file) and not (config.encoding == "ogg_opus" and file.startswith(b"OggS")):
        raise ConfigurationError(
            "this file cannot be streamed as it is: make it a WAV of one channel (16 or 32 bit, or G.711), set "
            "encoding='ogg_opus' for Ogg Opus, or use transcribe()"
        )
    if not file:
        raise ConfigurationError("the file has no audio: there is nothing to transcribe")
    return config, (file[at : at + _PIECE] for at in range(0, len(file), _PIECE))


class Stream(Protocol):
    """A live transcription."""

    async def send_audio(self, audio: Buffer) -> None: ...
    async def end_input(self) -> None: ...
    def waiting(self) -> Iterable[Event]: ...
    def __aiter__(self) -> AsyncIterator[Event]: ...


async def heard(stream: Stream, audio: Pieces | AsyncIterable[Buffer]) -> AsyncGenerator[Event]:
    """Give all of the audio, and end; the events as they come."""
    async with aclosing(_steps(stream, audio)) as steps:
        async for step in steps:
            try:
                await step()
            except RemoteError:
                break  # the events say how it came to that, and their end raises it
            for event in stream.waiting():
                yield event
    async for event in stream:
        yield event


async def _steps(
    stream: Stream, audio: Pieces | AsyncIterable[Buffer]
) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    if isinstance(audio, AsyncIterable):
        async for piece in audio:
            yield partial(stream.send_audio, piece)
    else:
        for piece in audio:
            yield partial(stream.send_audio, piece)
    yield stream.end_input


def pieces(audio: Buffer, format: AudioFormat) -> Iterator[memoryview]:
    """Audio of any length in pieces that a session can hold, so that back-pressure holds for a whole file at once too.

    Raises ``LocalProtocolError`` for what is no audio of the format.
    """
    view = read_buffer(audio, format.encoding, format.sample_width)
    for at in range(0, max(1, len(view)), PIECE_BYTES):
        yield view[at : at + PIECE_BYTES]
