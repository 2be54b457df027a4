"""``smallest-proto demo``: human speech becomes text, live, through real sockets, on this machine alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from smallest_proto.config import Timeouts, TranscriptionConfig
from smallest_transports.asyncio import Client
from smallest_transports.local.faults import Fault, links_of
from smallest_transports.local.recogniser import engines
from smallest_transports.local.recordings import two_cities
from smallest_transports.local.server import LocalServer

from .camera import Camera
from .connecting import PATIENT
from .course import Course
from .outages import tell_left
from .output import show
from .problems import Problem, say
from .running import run
from .sources import LIVE_RATE, AudioReader, find_source
from .views import show_live


def demo(*, fast: bool, faults: Sequence[Fault] = (), picture: Path | None = None) -> None:
    """Show the recording becoming text, then how well and how fast that went."""
    with Camera(picture) as camera:
        run(_demo(fast, faults, camera))


async def _demo(fast: bool, faults: Sequence[Fault], camera: Camera) -> None:
    recording = two_cities()
    with AudioReader(find_source(str(recording.path), live=True)) as reader:
        pieces = list(reader.pieces())
    audio_seconds = sum(map(len, pieces)) / 2 / LIVE_RATE
    timeouts = PATIENT if fast else Timeouts()
    config = TranscriptionConfig(language="en", sample_rate=LIVE_RATE)
    course = Course(paced=not fast)
    await asyncio.to_thread(engines)  # loaded first: it is not to count as latency
    pace = "as fast as it is recognised" if fast else "in real time"
    async with (
        LocalServer(faults=faults, max_live=1 + links_of(faults)) as server,
        Client(
            api_key="local", base_url=server.base_url, timeouts=timeouts, trace=camera.trace, trace_private=True
        ) as client,
    ):
        show(f"A local server listens at {server.base_url}; {audio_seconds:.0f} s of human speech go there {pace}.")
        show()
        missing = await show_live(client, config, _each(pieces), course, audio_seconds=audio_seconds)
        tell_left(say, server.faults_left)
    show()
    for line in (course.accuracy(recording.text), course.effort(), *course.latency()):
        show(line)
    show()
    if missing:
        raise Problem(f"the transcript may lack {'; '.join(missing)}")
    show(
        'Next: smallest-proto transcribe --local YOUR_FILE, smallest-proto speak --local "Hello there" -o hello.wav, '
        "or smallest-proto serve and point any client at it."
    )


async def _each(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
