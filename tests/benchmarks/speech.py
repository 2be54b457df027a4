"""What speech costs on its way in, beside baselines of the same run, in three tables.

1. First audio: from just before a service in another process sends its first chunk until the application has it, over
   each transport and in each way that speech comes; beside it a bare loop of the same stack, in turn with ours. The
   kernel's part on both sides is within it.
2. Decoding: MB of PCM a second of one core, out of JSON and base64; beside it msgspec alone, which decodes the same
   message into a struct that has the audio and nothing else, and json with base64.b64decode.
3. A warm link and a cold one: from ``stream_synthesis`` to the first audio, over a link out of the pool and over one
   that has to be opened, and how many connections the service had for it.

Run it with ``make bench``, or by itself (``--segments 1000 --transports trio``). The figures are this machine's at this
moment; ``chrt -r 1`` before it keeps out what else runs there. ``--quick`` is a few of each: it shows that the
benchmark works, its figures mean little.
"""

from __future__ import annotations

import argparse
import base64
import importlib
import json
import os
import ssl
import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import perf_counter_ns, process_time_ns
from typing import Any, NamedTuple

import aiohttp
import anyio
import msgspec
import trio
import trustme
from bare import where
from bare_speech import BareAiohttp, BareSpeech, pipe_anyio, pipe_asyncio, pipe_trio
from speaker import TEXT, read_stamp, speaking

from smallest_proto.commands import OpenLink
from smallest_proto.config import Endpoint, SynthesisConfig
from smallest_proto.http.sse import SseDecoder
from smallest_proto.http.synthesis import Synthesis
from smallest_proto.server.answers import sse_audio
from smallest_proto.synthesis.events import AudioChunk, SegmentDone
from smallest_proto.synthesis.messages import decode_message
from smallest_proto.synthesis.session import SynthesisSession

TRANSPORTS = ("asyncio", "uvloop", "trio", "anyio", "anyio-trio", "aiohttp")
GOAL_FIRST = 2.0  # ms, of 99 in 100
GOAL_DECODING = 600.0  # MB/s of PCM
GOAL_EVENTS = 500.0  # the same over server-sent events, whose text is found in a stream first
AT_THE_LIMIT = 0.9  # of the library's own speed
DELAY = 0.001  # seconds: a service thinks before it speaks, and a client has long begun to wait by then
UNTIMED = 5  # segments that come first

# In which ways speech comes; with word times the end of a segment is proved, also with continuations.
SOCKETS = {
    "socket": SynthesisConfig(),
    "continuations": SynthesisConfig(continuations=True, word_timestamps=True),
}
WAYS = (*SOCKETS, "SSE", "HTTP")

Heard = Callable[[bytes], None]
Speak = Callable[[Heard], Awaitable[None]]


# 1. First audio.


class First:
    """Takes audio, and notes of the first when it was sent, when it was heard, and over which connection it came."""

    def __init__(self) -> None:
        self.sent = self.heard = self.connection = 0  # nanoseconds; the number of a connection

    def __call__(self, audio: bytes) -> None:
        if not self.heard:
            self.heard = perf_counter_ns()
            self.sent, self.connection = read_stamp(audio)


async def say(stream: Any, heard: Heard) -> None:
    """One segment of a stream, to its end."""
    await stream.send_text(TEXT)
    await stream.flush()
    async for event in stream:
        if isinstance(event, AudioChunk):
            heard(event.data)
        elif isinstance(event, SegmentDone):
            return


@asynccontextmanager
async def ours(client: Any, way: str) -> AsyncIterator[Speak]:
    async def ask(heard: Heard) -> None:
        async with client.synthesize(TEXT, sse=way == "SSE") as speech:
            async for chunk in speech:
                heard(chunk.data)

    if way in SOCKETS:
        async with client.stream_synthesis(SOCKETS[way]) as stream:
            yield partial(say, stream)
    else:
        yield ask


@asynccontextmanager
async def theirs(bare: Any, way: str, base_url: str) -> AsyncIterator[Speak]:
    asked: dict[str, Any] = {"voice_id": "sophia", "text": TEXT}
    to = where(base_url, "/tts" if way == "HTTP" else "/tts/live")
    if way in SOCKETS:
        asked |= {"context_id": "bare"} if SOCKETS[way].continuations else {"flush": True}
        async with bare.socket(to) as speak:
            yield partial(speak, json.dumps({**asked, "continue": False}))
    else:
        yield partial(bare.answer, to, json.dumps(asked), sse=way == "SSE")


@asynccontextmanager
async def bare_stack(transport: str) -> AsyncIterator[Any]:
    if transport == "aiohttp":
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            yield BareAiohttp(session)
    else:
        pipes = {"trio": pipe_trio, "anyio": pipe_anyio, "anyio-trio": pipe_anyio}
        yield BareSpeech(pipes.get(transport, pipe_asyncio))


def client(transport: str, base_url: str, **options: Any) -> Any:
    name = {"uvloop": "asyncio", "anyio-trio": "anyio"}.get(transport, transport)
    return importlib.import_module(f"smallest_transports.{name}").Client(api_key="any", base_url=base_url, **options)


def run(transport: str, case: Callable[[], Awaitable[None]]) -> None:
    """In the framework of a transport."""
    if transport == "trio":
        trio.run(case)
    elif transport == "uvloop":
        anyio.run(case, backend_options={"use_uvloop": True})
    else:
        anyio.run(case, backend="trio" if transport == "anyio-trio" else "asyncio")


async def first_audio(transport: str, base_url: str, segments: int) -> None:
    async with client(transport, base_url) as made, bare_stack(transport) as bare:
        for way in WAYS:
            late: list[list[float]] = [[], []]
            async with ours(made, way) as our_speak, theirs(bare, way, base_url) as their_speak:
                for number in range(UNTIMED + segments):
                    for speak, times in zip((our_speak, their_speak), late, strict=True):
                        first = First()
                        await speak(first)
                        assert first.heard, f"no audio came over {transport}"
                        if number >= UNTIMED:
                            times.append((first.heard - first.sent) / 1e6)
            mine, other = ((percentile(times, 0.5), percentile(times, 0.99)) for times in late)
            print(
                f"{transport:10}  {way:13}  {mine[0]:6.2f} {mine[1]:6.2f}  {other[0]:6.2f} {other[1]:6.2f}"
                f"  {mine[0] / other[0]:5.2f}  {'met' if mine[1] <= GOAL_FIRST else 'NOT MET'}",
                flush=True,
            )


def percentile(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


# 2. Decoding.


class _Audio(msgspec.Struct):
    audio: bytes


class _Chunk(msgspec.Struct):
    data: _Audio


class Decoder(NamedTuple):
    """Takes one message with audio; ``limit`` does the same with the library alone."""

    name: str
    decode: Callable[[], object]
    limit: Callable[[], object]
    ours: bool = True
    goal: float = GOAL_DECODING


def decoders(pcm: bytes) -> list[Decoder]:
    """All that decode one message with so much audio."""
    ids = dict.fromkeys(("session_id", "request_id"), "0d9c1c52-2a35-4b6e-b7c7-9a2d1be1fd11")
    text = json.dumps({**ids, "status": "chunk", "data": {"audio": base64.b64encode(pcm).decode()}})
    event = sse_audio(pcm)
    data = event.rpartition(b"data: ")[2]
    chunk = partial(msgspec.json.Decoder(_Chunk).decode, text)
    frame = partial(msgspec.json.Decoder(_Audio).decode, data)
    endpoint = Endpoint(api_key="key of a benchmark")

    def session(*, resume: bool = False, **options: Any) -> Callable[[], object]:
        made = SynthesisSession(SynthesisConfig(**options), endpoint, resume=resume)
        made.start(0.0)
        opening = made.poll_output()
        assert isinstance(opening, OpenLink)
        made.link_opened(opening.link, 0.0)
        made.send_text("A text that is long enough.", 0.0)
        made.flush(0.0)
        while made.poll_output() is not None:
            pass

        def decode() -> object:
            made.message_received(opening.link, text, 1.0)
            return made.poll_output()

        while not isinstance(decode(), AudioChunk):  # to be resumed it holds back up to 1.5 s
            pass
        return decode

    def answered() -> Synthesis:
        made = Synthesis(SynthesisConfig(), endpoint, "A text of some length. " * 10, sse=True)
        made.start(0.0)
        made.poll_output()
        made.response_started(200, [("Content-Type", "text/event-stream")], 0.0)
        return made

    synthesis = answered()

    def answer() -> object:
        nonlocal synthesis
        synthesis.body_received(event, 1.0)
        while not isinstance(chunk := synthesis.poll_output(), AudioChunk):
            synthesis = answered()  # audio that is longer than its text can be ends an exchange
            synthesis.body_received(event, 1.0)
        return chunk

    events = SseDecoder()
    return [
        Decoder(
            "json, base64.b64decode", lambda: base64.b64decode(json.loads(text)["data"]["audio"]), chunk, ours=False
        ),
        Decoder("decode_message", lambda: decode_message(text), chunk),
        Decoder("SynthesisSession", session(), chunk),
        Decoder("  with continuations", session(continuations=True), chunk),
        Decoder("  to be resumed", session(resume=True), chunk),
        Decoder("SseDecoder, to its text", lambda: events.feed(event), frame, goal=GOAL_EVENTS),
        Decoder("Synthesis by SSE", answer, frame, goal=GOAL_EVENTS),
    ]


def decoding(seconds: float, slices: int) -> None:
    """All decoders and their limits in turn, in short slices, of which the medians count."""
    pcm = os.urandom(2 * round(24000 * seconds))
    count = max(1, 500_000 // len(pcm))
    made = decoders(pcm)
    spent: list[tuple[list[int], list[int]]] = [([], []) for _ in made]
    for _ in range(slices):
        for decoder, pair in zip(made, spent, strict=True):
            for function, times in zip((decoder.decode, decoder.limit), pair, strict=True):
                begin = process_time_ns()
                for _ in range(count):
                    function()
                times.append(process_time_ns() - begin)
    for decoder, pair in zip(made, spent, strict=True):
        speed, most = (len(pcm) * count * 1e3 / statistics.median(times) for times in pair)
        goal = "met" if speed >= decoder.goal else "at the limit" if speed >= AT_THE_LIMIT * most else "NOT MET"
        print(
            f"{decoder.name:24}  {seconds:5.2f} s  {speed:7.0f}  {most:7.0f}  {speed / most:5.2f}"
            f"  {goal if decoder.ours else '-'}"
        )


# 3. Warm and cold.


async def warm_and_cold(transport: str, base_url: str, segments: int, context: ssl.SSLContext | None) -> None:
    make = partial(client, transport, base_url, ssl_context=context)
    took: tuple[list[float], list[float]] = [], []
    connections: tuple[set[int], set[int]] = set(), set()
    async with make() as warm, make(pool=0) as cold:
        await warm.prewarm()
        for number in range(UNTIMED + segments):
            for made, times, numbers in zip((warm, cold), took, connections, strict=True):
                first, begin = First(), perf_counter_ns()
                async with made.stream_synthesis() as stream:
                    await say(stream, first)
                numbers.add(first.connection)
                if number >= UNTIMED:
                    times.append((first.heard - begin) / 1e6)
    # The service numbers all connections that are made to it, so none was made over which nothing was said.
    both = set.union(*connections)
    assert len(both) == max(both) - min(both) + 1
    mine, other = map(statistics.median, took)
    print(
        f"{transport:10}  {'TCP' if context is None else 'TLS'}  {mine:6.2f}  {other:6.2f}  {mine / other:5.2f}"
        f"  {len(connections[0]):17}  {len(connections[1]):4}  {'met' if len(connections[0]) == 1 else 'NOT MET'}",
        flush=True,
    )


def certificates(folder: str) -> tuple[Path, ssl.SSLContext]:
    """A file for a server on loopback, and what a client of it trusts."""
    authority, context = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(context)
    path = Path(folder, "server.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(path))
    return path, context


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few of each: does it work?")
    parser.add_argument("--transports", default=",".join(TRANSPORTS))
    parser.add_argument("--segments", type=int, default=250, help="of which the first audio is awaited, in each way")
    args = parser.parse_args()
    segments, links, slices = (5, 3, 3) if args.quick else (args.segments, 40, 250)
    transports = args.transports.split(",")

    print(f"\nfirst audio: ms after the service sent it, {segments} segments each; the goal is a p99 of {GOAL_FIRST:g}")
    print("transport   over           ours p50    p99  bare p50    p99  ratio")
    with speaking(delay=DELAY) as base_url:
        for transport in transports:
            run(transport, partial(first_audio, transport, base_url, segments))

    goals = f"{GOAL_DECODING:g}, {GOAL_EVENTS:g} over events"
    print(f"\ndecoding, MB of PCM a second; the goal is {goals}, or what msgspec alone does")
    print("                           audio     MB/s  msgspec  ratio")
    for seconds in (0.1, 1.0):
        decoding(seconds, slices)

    print(f"\na segment over a link out of the pool, and over a new one: ms to its first audio, {links} of each;")
    print("the goal is that the first kind needs one connection for all")
    print("transport         warm    cold  ratio  connections: warm  cold")
    with tempfile.TemporaryDirectory() as folder:
        certificate, context = certificates(folder)
        for file, trust in ((None, None), (certificate, context)):
            with speaking(certificate=file) as base_url:
                for transport in transports:
                    run(transport, partial(warm_and_cold, transport, base_url, links, trust))


if __name__ == "__main__":
    main()
