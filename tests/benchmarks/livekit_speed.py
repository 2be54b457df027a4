"""What a live stream costs in LiveKit: the published plugin and ours, in turn, each in a process of its own.

N streams speak in real time through ``STT.stream()`` to one local server in another process. Printed are milliseconds
of processor time for one second of one stream's audio, how long after its last sample was pushed a final is here, and
how long the plugin takes to import, alone and with what is loaded when its STT and TTS are first asked for. What holds
elsewhere too is the ratio.

Run it with ``.venv/bin/python tests/benchmarks/livekit_speed.py`` (``--streams 100 --rounds 3 --frame 10``). With
``--quick`` two streams for two seconds show that it works.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

RATE = 16000
PLUGINS = ("smallestai", "smallest_proto")  # the published one, ours


async def measure(plugin: str, base_url: str, streams: int, seconds: float, frame: float) -> dict[str, Any]:
    import aiohttp
    from livekit import rtc
    from livekit.agents.stt import SpeechEventType

    from smallest_proto.server.recogniser import coded_speech

    module = __import__(f"livekit.plugins.{plugin}", fromlist=["STT"])
    size = round(RATE * frame)
    latencies: list[float] = []
    finals = 0

    async def speak(stream: Any, frames: list[Any], begin: float, pushed: list[float]) -> None:
        for number, piece in enumerate(frames):
            await asyncio.sleep(begin + number * frame - time.perf_counter())
            pushed.append(time.perf_counter())
            stream.push_frame(piece)
        stream.end_input()

    async def hear(stream: Any, pushed: list[float]) -> None:
        nonlocal finals
        async for event in stream:
            if event.type is SpeechEventType.FINAL_TRANSCRIPT:
                finals += 1
                number = math.ceil(event.alternatives[0].words[-1].end_time / frame) - 1
                latencies.append(time.perf_counter() - pushed[max(0, min(number, len(pushed) - 1))])

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        stt = module.STT(
            api_key="any",
            base_url=base_url,
            http_session=http,
            max_words=4,
            finalize_on_words=True,
            endpointing_timeout_ms=200,
        )
        made = [stt.stream() for _ in range(streams)]
        spoken = []
        for number in range(streams):
            script: list[int | float] = [0.1]
            while len(script) < seconds * 6:
                script += [number % 1000 + len(script), 0.2]
            pcm = coded_speech(script).pcm[: round(seconds / frame) * size * 2]
            spoken.append([rtc.AudioFrame(pcm[i : i + 2 * size], RATE, 1, size) for i in range(0, len(pcm), 2 * size)])
        await asyncio.sleep(0.5)  # all connections are open
        before, begin = time.process_time(), time.perf_counter() + 0.1
        jobs: list[Any] = []
        for number, (stream, frames) in enumerate(zip(made, spoken, strict=True)):
            pushed: list[float] = []
            jobs += [speak(stream, frames, begin + number / streams * frame, pushed), hear(stream, pushed)]
        await asyncio.gather(*jobs)
        used = time.process_time() - before
        for stream in made:
            await stream.aclose()
        await stt.aclose()
    latencies.sort()
    return {
        "cpu_ms": used * 1000 / streams / seconds,
        "p50_ms": 1000 * statistics.median(latencies),
        "p99_ms": 1000 * latencies[min(len(latencies) - 1, round(len(latencies) * 0.99))],
        "finals": finals,
    }


def import_ms(plugin: str) -> dict[str, float]:
    """The import of the plugin itself, where the framework and aiohttp are imported already; then with both halves."""
    code = (
        "import time, aiohttp, livekit.agents, livekit.agents.voice.io; b = time.perf_counter();"
        f"import livekit.plugins.{plugin} as plugin; i = time.perf_counter(); plugin.STT, plugin.TTS;"
        "print((i - b) * 1000, (time.perf_counter() - b) * 1000)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    imported, used = map(float, done.stdout.split())
    return {"import_ms": imported, "use_ms": used}


def in_turn(options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    from smallest_proto.server.recogniser import CodedRecogniser
    from smallest_transports.local.server import LocalServer
    from smallest_transports.local.threaded import serve_in_thread

    found: dict[str, list[dict[str, Any]]] = {plugin: [] for plugin in PLUGINS}
    with serve_in_thread(LocalServer(recogniser=CodedRecogniser, max_live=options.streams + 8)) as server:
        for _ in range(options.rounds):
            for plugin in PLUGINS:
                numbers = map(str, (options.streams, options.seconds, options.frame))
                command = [sys.executable, __file__, "--measure", plugin, server.base_url, *numbers]
                done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
                found[plugin].append({**json.loads(done.stdout.splitlines()[-1]), **import_ms(plugin)})
    return found


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frame", type=float, default=50, help="milliseconds of one frame; LiveKit's rooms give 50")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    if options.quick:
        options.streams, options.seconds, options.rounds = 2, 2.0, 1
    rounds = in_turn(options)
    medians = {
        plugin: {name: statistics.median(one[name] for one in found) for name in found[0]}
        for plugin, found in rounds.items()
    }
    theirs, ours = (medians[plugin] for plugin in PLUGINS)
    print(f"{options.streams} streams, {options.seconds:g} s, frames of {options.frame:g} ms, {options.rounds} rounds")
    for name, what in (
        ("cpu_ms", "processor time for 1 s of audio"),
        ("p50_ms", "latency of finals, p50"),
        ("p99_ms", "latency of finals, p99"),
        ("import_ms", "import of the plugin"),
        ("use_ms", "import of it, its STT and its TTS"),
    ):
        ratio = ours[name] / theirs[name]
        print(f"{what:34} published {theirs[name]:8.2f} ms   ours {ours[name]:8.2f} ms   ratio {ratio:.2f}")
    return medians


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        name, url, count, length, each = sys.argv[2:]
        print(json.dumps(asyncio.run(measure(name, url, int(count), float(length), float(each) / 1000))))
    else:
        main()
