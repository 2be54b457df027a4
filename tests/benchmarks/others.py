"""What a live stream costs in other people's clients and in ours: in turn, each in a process of its own, in real time.

The vendor's SDK (asynchronous), Pipecat's service in a pipeline of nothing else, and the published LiveKit plugin are
installed beside ``.venv``, where ``make plugin`` keeps what is not ours; beside the first two our clients for asyncio
and aiohttp are measured, beside the plugin ours. Each asks for finals of four words, but Pipecat's, which cannot, and
hears fewer. Printed are milliseconds of processor time for one second of one stream's audio, and ours over it.

python tests/benchmarks/others.py --python .peers/bin/python --streams 100
python tests/benchmarks/others.py --python .peers/bin/python --only smallestai --quick
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from live import MESSAGE_BYTES, RATE, Send, Speaker, latency, measured, median

Spawn = Callable[[Coroutine[Any, Any, Any]], None]

SDK, PIPECAT, PLUGIN = CLIENTS = ("smallestai", "pipecat-ai", "livekit-plugins-smallestai")
OUR_PLUGIN = "our plugin"
OURS = {SDK: ("asyncio", "aiohttp"), PIPECAT: ("asyncio", "aiohttp"), PLUGIN: (OUR_PLUGIN,)}
PAUSE = 200  # ms of silence that end an utterance: as in streams.py
FINALS = {"max_words": 4, "finalize_on_words": True}


@asynccontextmanager
async def sdk(base_url: str, speaker: Speaker, spawn: Spawn) -> AsyncIterator[Send]:
    from smallestai import AsyncSmallestAI
    from smallestai.environment import SmallestAIEnvironment
    from smallestai.waves.helpers import stream_speech_to_text

    host = base_url.removesuffix("/waves/v1")
    there = SmallestAIEnvironment(atoms=host, waves=host, waves_ws=host.replace("http", "ws", 1), payment=host)
    client = AsyncSmallestAI(api_key="any", environment=there)
    options = {"additional_query_parameters": {"endpointing_timeout": PAUSE}, "word_timestamps": True, **FINALS}
    async with stream_speech_to_text(client, language="en", **options) as stream:

        async def hear() -> None:
            async for event in stream:
                if event.is_final and event.words:
                    speaker.heard(event.words[-1].end)

        spawn(hear())
        yield stream.send_audio_chunk_out


@asynccontextmanager
async def pipecat(base_url: str, speaker: Speaker, spawn: Spawn) -> AsyncIterator[Send]:
    from loguru import logger
    from pipecat.frames.frames import Frame, InputAudioRawFrame, TranscriptionFrame
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineParams, PipelineWorker
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
    from pipecat.services.smallest.stt import SmallestSTTService
    from pipecat.workers.runner import WorkerRunner

    logger.remove()

    class Sink(FrameProcessor):
        async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
            await super().process_frame(frame, direction)
            if isinstance(frame, TranscriptionFrame):
                speaker.heard_bare(frame.result)
            await self.push_frame(frame, direction)

    service = SmallestSTTService(
        api_key="any",
        base_url=base_url.replace("http", "ws", 1).removesuffix("/waves/v1"),
        settings=SmallestSTTService.Settings(word_timestamps=True),
    )
    connected = asyncio.Event()

    @service.event_handler("on_connected")
    async def on_connected(_: Any) -> None:
        connected.set()

    worker = PipelineWorker(Pipeline([service, Sink()]), params=PipelineParams(), enable_rtvi=False)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    spawn(runner.run())
    await connected.wait()

    async def send(data: bytes) -> None:
        await worker.queue_frame(InputAudioRawFrame(audio=data, sample_rate=RATE, num_channels=1))

    yield send
    await worker.cancel()


def plugin(name: str) -> Callable[..., Any]:
    @asynccontextmanager
    async def make(base_url: str, speaker: Speaker, spawn: Spawn) -> AsyncIterator[Send]:
        import aiohttp
        from livekit import rtc
        from livekit.agents.stt import SpeechEventType

        module = __import__(f"livekit.plugins.{name}", fromlist=["STT"])
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            stt = module.STT(
                api_key="any", base_url=base_url, http_session=session, endpointing_timeout_ms=PAUSE, **FINALS
            )
            stream = stt.stream()

            async def hear() -> None:
                async for event in stream:
                    if event.type is SpeechEventType.FINAL_TRANSCRIPT and event.alternatives[0].words:
                        speaker.heard(event.alternatives[0].words[-1].end_time)

            async def send(data: bytes) -> None:
                stream.push_frame(rtc.AudioFrame(data, RATE, 1, MESSAGE_BYTES // 2))

            spawn(hear())
            yield send
            await stream.aclose()
            await stt.aclose()

    return make


MAKERS = {SDK: sdk, PIPECAT: pipecat, PLUGIN: plugin("smallestai"), OUR_PLUGIN: plugin("smallest_proto")}


async def measure(client: str, base_url: str, speakers: Sequence[Speaker]) -> dict[str, Any]:
    """One measurement, in this process."""
    tasks: list[asyncio.Future[Any]] = []
    async with AsyncExitStack() as stack:

        def spawn(life: Coroutine[Any, Any, Any]) -> None:
            tasks.append(asyncio.ensure_future(life))

        make = MAKERS[client]
        sends = [await stack.enter_async_context(make(base_url, speaker, spawn)) for speaker in speakers]
        await asyncio.sleep(0.5)  # all connections are open
        result = await measured(speakers, sends, asyncio.sleep, lambda speak, *args: spawn(speak(*args)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return result


def child(command: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def in_turn(options: argparse.Namespace, clients: Sequence[str], folder: str) -> dict[str, list[dict[str, Any]]]:
    """All measurements by the name of what was measured."""
    import streams

    for number in range(options.streams):
        Path(folder, f"{number:04}.pcm").write_bytes(streams.speaker(number, options.seconds).audio)
    names = list(dict.fromkeys(name for client in clients for name in (*OURS[client], client)))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with streams.serving(options.streams + 8) as base_url:
        for _ in range(options.rounds):
            for name in names:
                if name in streams.TRANSPORTS:
                    numbers = (str(options.streams), str(options.seconds))
                    found[name].append(streams.child(streams.OURS, name, base_url, *numbers))
                else:
                    python = sys.executable if name == OUR_PLUGIN else options.python
                    found[name].append(child((python, __file__, "--child", name, base_url, folder)))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="the Python of the environment for the clients")
    parser.add_argument("--only", action="append", choices=CLIENTS)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=6.0, help="of audio in each measurement")
    parser.add_argument(
        "--rounds", type=int, default=5, help="measurements of each, in turn, of which the median counts"
    )
    parser.add_argument("--quick", action="store_true", help="two streams for two seconds: does it work?")
    parser.add_argument("--installed", action="store_true", help="the clients are there: install none")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        client, base_url, folder = options.child
        speakers = [Speaker(path.read_bytes()) for path in sorted(Path(folder).iterdir())]
        print(json.dumps(asyncio.run(measure(client, base_url, speakers))))
        return
    options.python = options.python or sys.executable
    if options.quick:
        options.streams, options.seconds, options.rounds = 2, 2.0, 1
    clients = [client for client in CLIENTS if client in (options.only or CLIENTS)]
    if not options.installed:
        install(options.python, clients)
    with tempfile.TemporaryDirectory() as folder:
        found = in_turn(options, clients, folder)
    print(f"\nCPU ms for a second of one stream's audio, {options.streams} streams; final p50 p99 ms; ours over theirs")
    for name, results in found.items():
        cost = median(results, "cpu")
        ratios = [f"   {one} {median(found[one], 'cpu') / cost:.2f}" for one in OURS.get(name, ())]
        print(f"{name:28} {cost:7.3f}   {latency(results, 0.5):6.1f} {latency(results, 0.99):6.1f}{''.join(ratios)}")


def install(python: str, clients: Sequence[str]) -> None:
    """What ``make peers`` installs; ends where that fails."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "peers"))
    import run

    for client in run.CLIENTS:
        if client.package in clients and (why := run.install(python, client)):
            sys.exit(f"{client.package} cannot be installed: {why}")


if __name__ == "__main__":
    main()
