"""What the cases of speech share: the server that speaks, and how to say and hear."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from smallest_proto.config import SynthesisConfig
from smallest_proto.events import LinkOpened
from smallest_proto.server.recogniser import CodedRecogniser, Heard
from smallest_proto.server.synthesiser import CodedSynthesiser
from smallest_proto.synthesis.events import AudioChunk, SegmentDone, SpeechEvent
from smallest_transports._speech import SynthesisStream
from smallest_transports.testing.servers import local_server

TEXT = " ".join(f"w{number}" for number in range(1, 12))  # some 3 s
SPEAK = SynthesisConfig(sample_rate=16000)
GOING_ON = SynthesisConfig(sample_rate=16000, continuations=True, word_timestamps=True)
PROTOCOLS = pytest.mark.parametrize("config", [SPEAK, GOING_ON], ids=["plain", "continuations"])
ROADS = pytest.mark.parametrize("sse", [False, True], ids=["reply", "sse"])
LONG = " ".join(f"w{number}." for number in range(2000))  # some 500 s: more than the buffers on the way hold


@contextmanager
def speaking(*faults: str, **options: Any) -> Iterator[str]:
    """The local server, which speaks coded audio."""
    with local_server(*faults, **{"max_speech": 256, "synthesiser": CodedSynthesiser, **options}) as url:
        yield url


async def say(stream: SynthesisStream, text: str = TEXT) -> list[SpeechEvent]:
    """One segment, token by token, and the events to its end."""
    for at in range(0, len(text), 4):
        await stream.send_text(text[at : at + 4])
    await stream.flush()
    return await until(stream, SegmentDone)


async def until(stream: SynthesisStream, kind: type) -> list[SpeechEvent]:
    """The events up to the first of a kind."""
    events = [await anext(stream)]
    while not isinstance(events[-1], kind):
        events.append(await anext(stream))
    return events


async def take(stream: SynthesisStream, events: list[SpeechEvent]) -> None:
    async for event in stream:
        events.append(event)


def audio_of(events: list[SpeechEvent], segment: int = 0) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, AudioChunk) and event.segment == segment)


def opened(events: list[SpeechEvent]) -> int:
    return sum(isinstance(event, LinkOpened) for event in events)


def heard(pcm: bytes) -> str:
    """The words in coded audio of 16 kHz."""
    recogniser = CodedRecogniser()
    results = [*recogniser.hear(pcm), *recogniser.finalize()]
    return " ".join(word.text for item in results if isinstance(item, Heard) and item.final for word in item.words)
