"""``transcribe_live``: a file, or pieces as they come, becomes events; and those a transcript."""

from __future__ import annotations

from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from smallest_proto.config import TranscriptionConfig
from smallest_proto.errors import ConfigurationError, StatusError
from smallest_proto.events import SessionEnded
from smallest_proto.server.recogniser import coded_speech
from smallest_proto.transcription.events import Event, FinalTranscript
from smallest_proto.transcription.transcript import LiveTranscript
from smallest_proto.wav import to_wav
from smallest_transports.testing.servers import local_server

from .drivers import ONCE, PCM, Driver

SPEECH = coded_speech([1, 2, 3, 1.0, 4, 5, 1.0], sample_rate=8000)


async def test_a_wav_says_its_rate_itself_by_path_and_by_bytes(transport: Driver, tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    path.write_bytes(to_wav(SPEECH.pcm, "linear16", 8000))
    with local_server("drop@1") as url:
        async with transport.client(url) as client:
            for audio in (path, str(path), path.read_bytes()):
                async with client.transcribe_live(audio) as events:
                    transcript = LiveTranscript.of([event async for event in events])
                assert transcript.text == SPEECH.text
                assert (transcript.complete, transcript.lost) == (True, ())
                assert [word.text for word in transcript.words] == SPEECH.text.split()


@pytest.mark.parametrize(
    "kind", [bytes, bytearray, memoryview, partial(array, "h")], ids=["bytes", "bytearray", "memoryview", "array"]
)
async def test_raw_audio_has_the_format_of_the_configuration(transport: Driver, kind: Callable[[bytes], Any]) -> None:
    with local_server() as url:
        config = TranscriptionConfig(sample_rate=8000)
        async with transport.client(url) as client, client.transcribe_live(kind(SPEECH.pcm), config) as events:
            transcript = LiveTranscript.of([event async for event in events])
    assert transcript.text == SPEECH.text


def microphone() -> Iterator[bytes]:
    while True:
        yield from (SPEECH.pcm[at : at + 800] for at in range(0, len(SPEECH.pcm), 800))


async def microphone_of_a_framework() -> AsyncGenerator[bytes]:
    for piece in microphone():
        yield piece


@pytest.mark.parametrize("awaited", [False, True], ids=["iterable", "async iterable"])
async def test_events_come_while_there_is_audio_to_come(transport: Driver, awaited: bool) -> None:
    config = TranscriptionConfig(sample_rate=8000)
    async with aclosing(microphone_of_a_framework()) as pieces:  # who made it closes it
        audio = pieces if awaited else microphone()
        with local_server() as url:
            async with transport.client(url) as client, client.transcribe_live(audio, config) as events:
                heard = [event.text async for event in first_final(events)]
    assert heard == ["w1 w2 w3"]


async def first_final(events: AsyncIterator[Event]) -> AsyncIterator[FinalTranscript]:
    async for event in events:
        if isinstance(event, FinalTranscript):
            yield event
            return


async def test_what_asking_for_audio_raises_comes_out_as_it_is(transport: Driver) -> None:
    def broken() -> Iterator[bytes]:
        yield PCM
        raise KeyError("mine")

    with local_server() as url:
        async with transport.client(url) as client, client.transcribe_live(broken()) as events:
            with pytest.raises(KeyError, match="mine"):
                [event async for event in events]


async def test_a_failed_session_tells_its_end_and_then_raises(transport: Driver) -> None:
    told: list[Event] = []

    async def hear(events: AsyncIterator[Event]) -> None:
        async for event in events:
            told.append(event)

    without_end = (PCM for _ in iter(int, 1))
    with local_server("refuse:401") as url:
        async with transport.client(url, retry=ONCE) as client, client.transcribe_live(without_end) as events:
            with pytest.raises(StatusError):
                await hear(events)
    assert isinstance(told[-1], SessionEnded)


@pytest.mark.parametrize(
    ("audio", "encoding", "said"),
    [
        (b"", "linear16", "no audio"),
        (b"fLaC" + bytes(100), "linear16", "make it a WAV"),
        (to_wav(b"", "linear16", 8000), "linear16", "no audio"),
        (b"OggS" + bytes(100), "opus", "where a packet of opus ends"),
    ],
)
async def test_a_file_that_cannot_be_streamed_says_so(
    transport: Driver, audio: bytes, encoding: Any, said: str
) -> None:
    with local_server() as url:
        async with transport.client(url) as client:
            with pytest.raises(ConfigurationError, match=said):
                async with client.transcribe_live(audio, TranscriptionConfig(encoding=encoding)):
                    pass
            with pytest.raises(FileNotFoundError):
                async with client.transcribe_live("nowhere.wav"):
                    pass
