"""What the tests of the TTS share: a local server with a coded voice, and an ear that counts words exactly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
from livekit.agents import APIConnectOptions, tts
from livekit.plugins import smallest_proto

from smallest_proto.config import TranscriptionConfig
from smallest_proto.server.endpointing import Heard
from smallest_proto.server.recogniser import CodedRecogniser
from smallest_proto.server.synthesiser import CodedSynthesiser, SynthesiserFactory
from smallest_transports.local.server import LocalServer

from .stage import KEY

RATE = 24000
TEXT = "w1 w2 w3. w4 w5."
WORDS = ["w1", "w2", "w3", "w4", "w5"]
AGAIN = APIConnectOptions(max_retry=3, retry_interval=0.05)


class Bench(NamedTuple):
    """A TTS of ours at a local server, and what it told beside its audio."""

    tts: smallest_proto.TTS
    server: LocalServer
    errors: list[tts.TTSError]
    metrics: list[Any]


@asynccontextmanager
async def open_bench(
    *, faults: Iterable[str] = (), synthesiser: SynthesiserFactory = CodedSynthesiser, **options: Any
) -> AsyncIterator[Bench]:
    errors: list[tts.TTSError] = []
    metrics: list[Any] = []
    async with (
        LocalServer(recogniser=CodedRecogniser, synthesiser=synthesiser, faults=faults) as server,
        aiohttp.ClientSession() as http,
        smallest_proto.TTS(**{"api_key": KEY, "base_url": server.base_url, "http_session": http, **options}) as made,
    ):
        assert isinstance(made, smallest_proto.TTS)
        made.on("error", errors.append)
        made.on("metrics_collected", metrics.append)
        yield Bench(made, server, errors, metrics)


def spoken(audio: Iterable[tts.SynthesizedAudio], rate: int = RATE) -> list[str]:
    """The words in the audio, which is coded."""
    ear = CodedRecogniser(TranscriptionConfig(sample_rate=rate))
    pcm = b"".join(bytes(piece.frame.data) for piece in audio)
    found = [*ear.hear(pcm), *ear.finalize()]
    return [word.text for one in found if isinstance(one, Heard) and one.final for word in one.words]


async def say(stream: tts.SynthesizeStream, *tokens: str) -> list[tts.SynthesizedAudio]:
    for token in tokens:
        stream.push_text(token)
    stream.end_input()
    return [piece async for piece in stream]
