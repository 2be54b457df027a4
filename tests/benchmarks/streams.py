"""What a live stream costs over each transport, beside the bare loops of its stack, in real time.

A local server in another process recognises coded audio; N streams speak to it, 50 ms at a time. Each measurement has a
process of its own, ours and the bare ones in turn. Printed are milliseconds of processor time for one second of one
stream's audio, ours over each bare loop's, how long after its last sample was sent a final is here (both ways, through
the same server), and the memory of an open stream that holds no audio yet.

Run it with ``make streams`` (ARGS="--streams 1,100 --transports trio"). The figures are this machine's at this moment;
what holds elsewhere too are the ratios; ``chrt -r 1 make streams`` keeps out what else runs on it. ``--quick``: two
streams for two seconds, on all transports at once, show that it works.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Any

import aiohttp
import anyio
import trio
from bare import OwnWire, Wsproto, bare_aiohttp, bare_anyio, bare_asyncio, bare_trio, bare_websockets, where
from live import MESSAGE_BYTES, MESSAGE_SECONDS, Sleep, Spawn, Speaker, latency, measured, median

from smallest_proto import FinalTranscript, LinkOpened, TranscriptionConfig
from smallest_proto.server.recogniser import CodedRecogniser, coded_speech
from smallest_transports.local.server import LocalServer

GOALS = (
    "1.15 over the bare loop of the same wire (aiohttp: 1.2), 0.95 over wsproto, 1.0 over websockets, at 100 streams"
)
CONFIG = TranscriptionConfig(max_words=4, finalize_on_words=True, endpointing_timeout=200)
QUERY = "model=pulse&word_timestamps=true&max_words=4&finalize_on_words=true&endpointing_timeout=200"

# What each transport is measured beside: a bare loop of the same wire on the same stack, or of the stack's own; one of
# wsproto; and one of websockets, on asyncio whatever the transport, which is what other clients stand on.
OURS, BARE, WSPROTO, WEBSOCKETS = KINDS = ("ours", "bare", "wsproto", "websockets")
LOOPS = {
    "asyncio": bare_asyncio,
    "uvloop": bare_asyncio,
    "trio": bare_trio,
    "anyio": bare_anyio,
    "anyio-trio": bare_anyio,
}
TRANSPORTS: dict[str, dict[str, Any]] = {
    **{name: {BARE: partial(loop, OwnWire), WSPROTO: partial(loop, Wsproto)} for name, loop in LOOPS.items()},
    "aiohttp": {BARE: bare_aiohttp, WSPROTO: partial(bare_asyncio, Wsproto)},
}
AT_ONCE = 8  # measurements, with --quick


def speaker(number: int, seconds: float) -> Speaker:
    """One whose words nobody else says."""
    script: list[int | float] = [0.1]
    while len(script) < seconds * 6:  # words are 0.12 to 0.4 s long, and pauses between them
        script += [number % 1000 + len(script), 0.2]
    return Speaker(coded_speech(script).pcm[: round(seconds / MESSAGE_SECONDS) * MESSAGE_BYTES])


def peak() -> int:
    """KiB of memory that this process has had at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def ours(client: Any, speakers: Sequence[Speaker], sleep: Sleep, spawn: Spawn) -> dict[str, Any]:
    async def listen(stream: Any, speaker: Speaker) -> None:
        async for event in stream:
            if isinstance(event, FinalTranscript) and event.words:
                speaker.heard(event.words[-1].end or 0.0)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(client)
        sends, most = [], [peak()]
        for speaker in speakers:
            stream = await stack.enter_async_context(client.stream_transcription(CONFIG))
            while not isinstance(await stream.__anext__(), LinkOpened):
                pass
            spawn(listen, stream, speaker)
            sends.append(stream.send_audio)
            most.append(peak())
        return {**await measured(speakers, sends, sleep, spawn), "memory": (most[-1] - most[1]) / max(1, len(most) - 2)}


async def theirs(
    make: Any, around: Any, base_url: str, speakers: Sequence[Speaker], sleep: Sleep, spawn: Spawn
) -> dict[str, Any]:
    to = where(base_url, f"/stt/live?{QUERY}")
    async with AsyncExitStack() as stack:
        sends = [await stack.enter_async_context(make(to, speaker.heard_bare, around)) for speaker in speakers]
        return await measured(speakers, sends, sleep, spawn)


async def in_asyncio(transport: str, bare: Any, base_url: str, speakers: Sequence[Speaker]) -> dict[str, Any]:
    tasks = []

    def spawn(what: Callable[..., Any], *args: Any) -> None:
        tasks.append(asyncio.ensure_future(what(*args)))

    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            if bare is not None:
                return await theirs(bare, session, base_url, speakers, asyncio.sleep, spawn)
            client: Any
            if transport == "aiohttp":
                from smallest_transports.aiohttp import Client as AiohttpClient

                client = AiohttpClient(api_key="any", base_url=base_url, http_session=session)
            else:
                from smallest_transports.asyncio import Client

                client = Client(api_key="any", base_url=base_url)
            return await ours(client, speakers, asyncio.sleep, spawn)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def in_trio(bare: Any, base_url: str, speakers: Sequence[Speaker]) -> dict[str, Any]:
    from smallest_transports.trio import Client

    async with trio.open_nursery() as nursery:
        if bare is not None:
            result = await theirs(bare, nursery, base_url, speakers, trio.sleep, nursery.start_soon)
        else:
            client = Client(api_key="any", base_url=base_url)
            result = await ours(client, speakers, trio.sleep, nursery.start_soon)
        nursery.cancel_scope.cancel()
    return result


async def in_anyio(bare: Any, base_url: str, speakers: Sequence[Speaker]) -> dict[str, Any]:
    from smallest_transports.anyio import Client

    async with anyio.create_task_group() as group:
        if bare is not None:
            result = await theirs(bare, group, base_url, speakers, anyio.sleep, group.start_soon)
        else:
            client = Client(api_key="any", base_url=base_url)
            result = await ours(client, speakers, anyio.sleep, group.start_soon)
        group.cancel_scope.cancel()
    return result


def measure(kind: str, transport: str, base_url: str, streams: int, seconds: float) -> dict[str, Any]:
    """One measurement, in this process."""
    speakers = [speaker(number, seconds) for number in range(streams)]
    bare = bare_websockets if kind == WEBSOCKETS else TRANSPORTS[transport].get(kind)
    if kind == WEBSOCKETS:
        transport = "asyncio"
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
    return result


async def serve(streams: int) -> None:
    """The service, until standard input ends."""
    async with LocalServer(recogniser=CodedRecogniser, max_live=streams) as server:
        print(server.base_url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@contextmanager
def serving(streams: int) -> Iterator[str]:
    """The service in a process of its own, for so many streams at once; gives its base URL."""
    command = [sys.executable, __file__, "--serve", str(streams)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()


def child(*arguments: str) -> dict[str, Any]:
    """One measurement, in a process of its own."""
    command = [sys.executable, __file__, "--child", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def row(transport: str, streams: int, found: dict[str, list[Future[dict[str, Any]]]]) -> str:
    """A line of the table, when its measurements are there."""
    results = {kind: [future.result() for future in futures] for kind, futures in found.items()}
    assert all(one["latencies"] for ones in results.values() for one in ones), f"nothing was heard over {transport}"
    cost = {kind: median(ones, "cpu") for kind, ones in results.items()}
    ratios = "  ".join(f"{cost[kind]:6.3f} {cost[OURS] / cost[kind]:5.2f}" for kind in KINDS[1:])
    times = "  ".join(
        f"{latency(results[kind], 0.5):5.1f} {latency(results[kind], 0.99):6.1f}" for kind in (OURS, BARE)
    )
    memory = median(results[OURS], "memory")
    return f"{transport:11} {streams:7}  {cost[OURS]:6.3f}  {ratios}  {times}  {memory:6.0f}  {1e3 / cost[OURS]:6.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two streams for two seconds, each: does it work?")
    parser.add_argument("--streams", default="100", help="how many at once, e.g. 1,20,100,300")
    parser.add_argument("--transports", default=",".join(TRANSPORTS))
    parser.add_argument("--seconds", type=float, default=6.0, help="of audio in each measurement")
    parser.add_argument(
        "--rounds", type=int, default=5, help="measurements of each, in turn, of which the median counts"
    )
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        asyncio.run(serve(args.serve))
        return
    if args.child:
        kind, transport, base_url, streams, seconds = args.child
        print(json.dumps(measure(kind, transport, base_url, int(streams), float(seconds))))
        return
    if args.quick:
        args.streams, args.seconds, args.rounds = "2", 2.0, 1
    counts = [int(count) for count in args.streams.split(",")]
    print(f"\nCPU ms for a second of one stream's audio, and ours over it; the goals are {GOALS}")
    print(
        "transport   streams    ours    bare loop       wsproto    websockets   ours, final p50 p99 ms  bare"
        "   KiB/stream  streams/core"
    )
    cases = [(transport, count) for transport in args.transports.split(",") for count in counts]
    at_once = AT_ONCE if args.quick else 1
    with serving(max(counts) * at_once) as base_url, ThreadPoolExecutor(at_once) as one_by_one:
        asked: list[dict[str, list[Future[dict[str, Any]]]]] = [{kind: [] for kind in KINDS} for _ in cases]
        for (transport, count), found in zip(cases, asked, strict=True):
            for _ in range(args.rounds):
                for kind, futures in found.items():
                    futures.append(one_by_one.submit(child, kind, transport, base_url, str(count), str(args.seconds)))
        for case, found in zip(cases, asked, strict=True):
            print(row(*case, found), flush=True)


if __name__ == "__main__":
    main()
