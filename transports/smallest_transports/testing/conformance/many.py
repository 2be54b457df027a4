"""Many short streams after one another and beside one another: nothing accumulates.

Two hundred for each transport, and two thousand with ``make soak``.
"""

from __future__ import annotations

import gc
from collections import Counter

import anyio

from smallest_proto.events import EndReason, SessionEnded
from smallest_proto.transcription.events import Event
from smallest_transports.testing.servers import in_thread, port_of

from .drivers import LONG, PCM, Driver, descriptors
from .others import Service, serve_by_websockets

STREAMS = 2000 if LONG else 200
AT_ONCE = 20


def others() -> list[str]:
    """What this process has open that is no socket."""
    return [name for name in descriptors().values() if not name.startswith("socket:")]


async def test_short_streams_leave_nothing(transport: Driver) -> None:
    with in_thread(serve_by_websockets(Service(), None)) as url:
        ends: list[Event] = []
        left = STREAMS - 1

        async def talk() -> None:
            async with client.stream_transcription() as stream:
                await stream.send_audio(PCM[:3200])
                await stream.end_input()
                ends.append([event async for event in stream][-1])

        async def talk_on() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await talk()

        tasks = transport.tasks()
        async with transport.client(url) as client:
            open_client = transport.tasks()
            await talk()
            before = Counter(others())  # what the loop opens with the first connection is there
            async with anyio.create_task_group() as group:
                for _ in range(AT_ONCE):
                    group.start_soon(talk_on)
            assert transport.tasks() == open_client  # while the client is still open
            assert Counter(others()) == before
            gc.collect()
        await transport.check_left(tasks, port_of(url))
    assert ends == [SessionEnded(reason=EndReason.COMPLETED)] * STREAMS
