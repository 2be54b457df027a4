"""What a live stream costs over each transport, beside the bare loop of the same stack, in real time.

A local server in another process recognises coded audio; N streams speak to it, 50 ms at a time. Each measurement has a
process of its own, ours and the bare one in turn. Printed are milliseconds of processor time for one second of one
stream's audio, their ratio, how long after its last sample was sent a final is here (both ways, through the same
server), and memory.

Run it with ``make streams`` (ARGS="--streams 1,100 --transports trio"). The figures are this machine's at this moment;
what holds elsewhere too are the ratios; ``chrt -r 1 make streams`` keeps out what else runs on it. ``--quick``: a few
streams for two seconds, on all transports at once, show that it works.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import anyio
import trio
from bare import bare_aiohttp, bare_anyio, bare_asyncio, bare_trio, where

from smallest_proto import FinalTranscript, LinkOpened, TranscriptionConfig
from smallest_proto.server.recogniser import CodedRecogniser, coded_speech
from smallest_transports.local.server import LocalServer

MESSAGE_SECONDS = 0.05
MESSAGE_BYTES = 1600  # linear16 at 16 kHz
LATE = 30.0  # seconds that the last message may be late
GOAL = 1.2
TRANSPORTS = ("asyncio", "uvloop", "trio", "anyio", "anyio-trio", "aiohttp")
CONFIG = TranscriptionConfig(max_words=4, finalize_on_words=True, endpointing_timeout=200)
QUERY = "model=pulse&word_timestamps=true&max_words=4&finalize_on_words=true&endpointing_timeout=200"

Sleep = Callable[[float], Awaitable[Any]]
Spawn = Callable[..., Any]


class Speaker:
    """One stream's audio, when each message of it was sent, and when what was said in it came back."""

    def __init__(self, number: int, seconds: float) -> None:
        script: list[int | float] = [0.1]
        while len(script) < seconds * 6:  # words are 0.12 to 0.4 s long, and pauses between them
            script += [number % 1000 + len(script), 0.2]
        self.audio = coded_speech(script).pcm[: round(seconds / MESSAGE_SECONDS) * MESSAGE_BYTES]
        self.sent: list[float] = []
        self.latencies: list[float] = []

    async def speak(self, begin: float, sleep: Sleep, send: Callable[[bytes], Awaitable[Any]]) -> None:
        for number in range(len(self.audio) // MESSAGE_BYTES):
            await sleep(max(0.0, begin + number * MESSAGE_SECONDS - time.perf_counter()))
            self.sent.append(time.perf_counter())
            await send(self.audio[number * MESSAGE_BYTES : (number + 1) * MESSAGE_BYTES])

    def heard(self, end: float) -> None:
        """A final came whose last word ends at that second."""
        message = min(max(0, math.ceil(end / MESSAGE_SECONDS) - 1), len(self.sent) - 1)
        self.latencies.append(time.perf_counter() - self.sent[message])

    def heard_bare(self, message: Any) -> None:
        """The same from what the service said."""
        if message.get("is_final") and message.get("words"):
            self.heard(message["words"][-1]["end"])


async def measured(speakers: Sequence[Speaker], sends: Sequence[Any], sleep: Sleep, spawn: Spawn) -> dict[str, Any]:
    """Let all speak at once, each at a moment of its own within 50 ms; what that cost this process."""
    begin = time.perf_counter() + 0.3
    for number, (speaker, send) in enumerate(zip(speakers, sends, strict=True)):
        spawn(speaker.speak, begin + number / len(speakers) * MESSAGE_SECONDS, sleep, send)
    messages = len(speakers[0].audio) // MESSAGE_BYTES
    seconds = messages * MESSAGE_SECONDS
    await sleep(begin - time.perf_counter())
    before = time.process_time()
    await sleep(max(0.0, begin + seconds - time.perf_counter()))
    while any(len(speaker.sent) < messages for speaker in speakers):  # on a machine that is too busy
        assert time.perf_counter() < begin + seconds + LATE, "not all was spoken: a stream failed, or all are too slow"
        await sleep(MESSAGE_SECONDS)
    cpu = time.process_time() - before
    await sleep(0.5)  # what was said last comes back
    return {"cpu": cpu * 1e3 / seconds / len(speakers), "latencies": [x for s in speakers for x in s.latencies]}


async def ours(client: Any, speakers: Sequence[Speaker], sleep: Sleep, spawn: Spawn) -> dict[str, Any]:
    async def listen(stream: Any, speaker: Speaker) -> None:
        async for event in stream:
            if isinstance(event, FinalTranscript) and event.words:
                speaker.heard(event.words[-1].end or 0.0)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(client)
        sends = []
        for speaker in speakers:
            stream = await stack.enter_async_context(client.stream_transcription(CONFIG))
            while not isinstance(await stream.__anext__(), LinkOpened):
                pass
            spawn(listen, stream, speaker)
            sends.append(stream.send_audio)
        return await measured(speakers, sends, sleep, spawn)


async def theirs(
    make: Any, around: Any, base_url: str, speakers: Sequence[Speaker], sleep: Sleep, spawn: Spawn
) -> dict[str, Any]:
    to = where(base_url, f"/stt/live?{QUERY}")
    async with AsyncExitStack() as stack:
        sends = [await stack.enter_async_context(make(to, speaker.heard_bare, around)) for speaker in speakers]
        return await measured(speakers, sends, sleep, spawn)


async def in_asyncio(transport: str, bare: bool, base_url: str, speakers: Sequence[Speaker]) -> dict[str, Any]:
    tasks = []

    def spawn(what: Callable[..., Any], *args: Any) -> None:
        tasks.append(asyncio.ensure_future(what(*args)))

    try:
        if transport == "aiohttp":
            from smallest_transports.aiohttp import Client as AiohttpClient

            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(connector=connector) as session:
                if bare:
                    return await theirs(bare_aiohttp, session, base_url, speakers, asyncio.sleep, spawn)
                client = AiohttpClient(api_key="any", base_url=base_url, http_session=session)
                return await ours(client, speakers, asyncio.sleep, spawn)
        if bare:
            return await theirs(bare_asyncio, None, base_url, speakers, asyncio.sleep, spawn)
        from smallest_transports.asyncio import Client

        return await ours(Client(api_key="any", base_url=base_url), speakers, asyncio.sleep, spawn)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def in_trio(bare: bool, base_url: str, speakers: Sequence[Speaker]) -> dict[str, Any]:
    from smallest_transports.trio import Client

    async with trio.open_nursery() as nursery:
        if bare:
            result = await theirs(bare_trio, nursery, base_url, speakers, trio.sleep, nursery.start_soon)
        else:
            client = Client(api_key="any", base_url=base_url)
            result = await ours(client, speakers, trio.sleep, nursery.start_soon)
        nursery.cancel_scope.cancel()
    return result


async def in_anyio(bare: bool, base_url: str, speakers: Sequence[Speaker]) -> dict[str, Any]:
    from smallest_transports.anyio import Client

    async with anyio.create_task_group() as group:
        if bare:
            result = await theirs(bare_anyio, group, base_url, speakers, anyio.sleep, group.start_soon)
        else:
            client = Client(api_key="any", base_url=base_url)
            result = await ours(client, speakers, anyio.sleep, group.start_soon)
        group.cancel_scope.cancel()
    return result


def measure(transport: str, bare: bool, base_url: str, streams: int, seconds: float) -> dict[str, Any]:
    """One measurement, in this process."""
    speakers = [Speaker(number, seconds) for number in range(streams)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if transport == "trio":
        result = trio.run(in_trio, bare, base_url, speakers)
    elif transport.startswith("anyio"):
        backend = "trio" if transport.endswith("trio") else "asyncio"
        result = anyio.run(in_anyio, bare, base_url, speakers, backend=backend)
    elif transport == "uvloop":
        import uvloop

        result = uvloop.run(in_asyncio(transport, bare, base_url, speakers))
    else:
        result = asyncio.run(in_asyncio(transport, bare, base_url, speakers))
    result["memory"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / streams
    return result


async def serve(streams: int) -> None:
    """The service, until standard input ends."""
    async with LocalServer(recogniser=CodedRecogniser, max_live=streams) as server:
        print(server.base_url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def child(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def percentile(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else math.nan


def row(transport: str, streams: int, base_url: str, seconds: float, rounds: int) -> str:
    pair: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    for _ in range(rounds):
        for bare, results in pair.items():
            what = "bare" if bare else "ours"
            results.append(child("--child", what, transport, base_url, str(streams), str(seconds)))
    mine, other = (statistics.median(result["cpu"] for result in pair[bare]) for bare in (False, True))
    late = [[x * 1e3 for result in pair[bare] for x in result["latencies"]] for bare in (False, True)]
    assert all(late), f"nothing was heard over {transport}"
    times = "   ".join(f"{percentile(x, 0.5):5.1f} {percentile(x, 0.99):6.1f}" for x in late)
    memory = statistics.median(result["memory"] for result in pair[False])
    return (
        f"{transport:11} {streams:7}   {mine:6.3f} {other:6.3f}   {mine / other:5.2f}   {times}   {memory:6.0f}"
        f"   {1e3 / mine:6.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three streams for two seconds, each: does it work?")
    parser.add_argument("--streams", default="1,20,100,300", help="how many at once, e.g. 1,20,100,300")
    parser.add_argument("--transports", default=",".join(TRANSPORTS))
    parser.add_argument("--seconds", type=float, default=10.0, help="of audio in each measurement")
    parser.add_argument("--rounds", type=int, default=1, help="measurements of each, of which the median counts")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        asyncio.run(serve(args.serve))
        return
    if args.child:
        what, transport, base_url, streams, seconds = args.child
        print(json.dumps(measure(transport, what == "bare", base_url, int(streams), float(seconds))))
        return
    counts = [3] if args.quick else [int(count) for count in args.streams.split(",")]
    seconds = 2.0 if args.quick else args.seconds
    print(f"\nCPU ms for a second of one stream's audio; the goal is a ratio of at most {GOAL} at 100 streams")
    print("transport   streams     ours   bare   ratio   ours, final p50 p99 ms   bare   KiB/stream   streams/core")
    transports = args.transports.split(",")
    at_once = len(transports) if args.quick else 1
    command = [sys.executable, __file__, "--serve", str(max(counts) * at_once)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        base_url = server.stdout.readline().strip()
        cases = [(transport, count) for transport in transports for count in counts]
        try:
            with ThreadPoolExecutor(at_once) as threads:
                for line in threads.map(lambda case: row(*case, base_url, seconds, args.rounds), cases):
                    print(line, flush=True)
        finally:
            server.stdin.close()


if __name__ == "__main__":
    main()
