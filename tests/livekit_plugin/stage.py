"""What the tests of the plugin share: servers, frames, and what is gathered of a stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import aiohttp
from livekit import rtc
from livekit.agents import APIConnectOptions, stt
from livekit.agents.stt import SpeechEvent, SpeechEventType
from livekit.plugins import smallest_proto
from websockets.asyncio.server import ServerConnection, serve

from smallest_proto.server.recogniser import CodedRecogniser, RecogniserFactory, coded_speech
from smallest_transports.local.server import LocalServer
from smallest_transports.testing.servers import serve_bytes

KEY = "sk-very-secret"
RATE = 16000
SPEECH = coded_speech([1, 2, 0.9, 3, 4, 0.9])
ONCE = APIConnectOptions(max_retry=0)


class Bench(NamedTuple):
    """An STT of ours at a local server, and what it told beside its events."""

    stt: smallest_proto.STT
    server: LocalServer
    http: aiohttp.ClientSession
    errors: list[stt.STTError]
    metrics: list[Any]


def frames(pcm: bytes, *, rate: int = RATE, milliseconds: int = 10) -> Iterator[rtc.AudioFrame]:
    """The frames of linear16; the last can be shorter."""
    size = rate * milliseconds // 1000 * 2
    for at in range(0, len(pcm), size):
        part = pcm[at : at + size]
        yield rtc.AudioFrame(part, rate, 1, len(part) // 2)


def push(stream: stt.RecognizeStream, pcm: bytes, *, rate: int = RATE) -> None:
    for frame in frames(pcm, rate=rate):
        stream.push_frame(frame)


async def heard(stream: stt.RecognizeStream, pcm: bytes | None = None, *, rate: int = RATE) -> list[SpeechEvent]:
    """All events, to the end; of ``pcm`` and the end of the input, if it is given."""
    if pcm is not None:
        push(stream, pcm, rate=rate)
        stream.end_input()
    return [event async for event in stream]


def finals(events: Iterable[SpeechEvent]) -> list[str]:
    return [event.alternatives[0].text for event in events if event.type is SpeechEventType.FINAL_TRANSCRIPT]


def words(events: Iterable[SpeechEvent]) -> list[tuple[str, float, float]]:
    """Text, start and end of every final word."""
    found = []
    for event in events:
        if event.type is SpeechEventType.FINAL_TRANSCRIPT:
            for word in event.alternatives[0].words or ():
                assert isinstance(word.start_time, float)
                assert isinstance(word.end_time, float)
                found.append((str(word), word.start_time, word.end_time))
    return found


def turns(events: Iterable[SpeechEvent]) -> list[SpeechEventType]:
    """The starts and ends of speech."""
    return [e.type for e in events if e.type in (SpeechEventType.START_OF_SPEECH, SpeechEventType.END_OF_SPEECH)]


def are_paired(events: Iterable[SpeechEvent]) -> bool:
    told = turns(events)
    starts, ends = told[0::2], told[1::2]
    return (
        len(starts) == len(ends)
        and set(starts) <= {SpeechEventType.START_OF_SPEECH}
        and set(ends) <= {SpeechEventType.END_OF_SPEECH}
    )


@asynccontextmanager
async def open_bench(
    *,
    faults: Iterable[str] = (),
    recogniser: RecogniserFactory = CodedRecogniser,
    key: str | None = None,
    **options: Any,
) -> AsyncIterator[Bench]:
    errors: list[stt.STTError] = []
    metrics: list[Any] = []
    async with (
        LocalServer(recogniser=recogniser, faults=faults, key=key, max_live=8) as server,
        aiohttp.ClientSession() as http,
        smallest_proto.STT(**{"api_key": KEY, "base_url": server.base_url, "http_session": http, **options}) as made,
    ):
        made.on("error", errors.append)
        made.on("metrics_collected", metrics.append)
        assert isinstance(made, smallest_proto.STT)
        yield Bench(made, server, http, errors, metrics)


Answer = Callable[[ServerConnection, "dict[str, Any] | bytes"], Awaitable[None]]


class Scripted(NamedTuple):
    """A service by other hands: what it was asked for, and where it is."""

    base_url: str
    queries: list[dict[str, str]]
    headers: list[dict[str, str]]


@asynccontextmanager
async def scripted(answer: Answer) -> AsyncIterator[Scripted]:
    """A service that is a function of a socket and of each message that comes in."""
    queries: list[dict[str, str]] = []
    headers: list[dict[str, str]] = []

    async def talk(socket: ServerConnection) -> None:
        assert socket.request is not None
        query = parse_qs(urlsplit(socket.request.path).query)
        queries.append({name: values[0] for name, values in query.items()})
        headers.append({name.lower(): value for name, value in socket.request.headers.items()})
        async for message in socket:
            await answer(socket, message if isinstance(message, bytes) else json.loads(message))

    async with serve(talk, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield Scripted(f"http://127.0.0.1:{port}/waves/v1", queries, headers)


@asynccontextmanager
async def dumb() -> AsyncIterator[str]:
    """A server that takes connections and never says anything."""

    async def talk(*_: object) -> None:
        await asyncio.Event().wait()

    async with serve_bytes(talk) as url:
        yield url


@asynccontextmanager
async def busy(*statuses: int) -> AsyncIterator[str]:
    """A server that refuses one request after the other with these, then transcribes each: "whole"."""
    left = list(statuses)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        status, body = (left.pop(0), b"") if left else (200, b'{"transcription":"whole"}')
        writer.write(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        writer.close()

    async with serve_bytes(talk) as url:
        yield url
