"""Many short streams after one another and beside one another: nothing accumulates.

``STREAMS`` in the environment says how many there are for each transport; ``make soak`` runs two thousand.
"""

from __future__ import annotations

import gc
import os

import anyio

from smallest_proto.events import EndReason, Event, SessionEnded
from tests.transports.conftest import Service, serve_by_websockets

from .conftest import threads
from .makers import PCM, Transport, sockets
from .servers import in_thread, port_of

STREAMS = int(os.environ.get("STREAMS", "200"))
AT_ONCE = 20


async def test_short_streams_leave_nothing(transport: Transport) -> None:
    with in_thread(serve_by_websockets(Service(), None)) as url:
        ends: list[Event] = []
        left = STREAMS

        async def talk() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                async with client.stream_transcription() as stream:
                    await stream.send_audio(PCM[:3200])
                    await stream.end_input()
                    ends.append([event async for event in stream][-1])

        tasks, before = transport.tasks(), (len(sockets()), len(threads()))
        async with transport.client(url) as client:
            open_client = transport.tasks()
            async with anyio.create_task_group() as group:
                for _ in range(AT_ONCE):
                    group.start_soon(talk)
            assert transport.tasks() == open_client  # while the client is still open
            gc.collect()
        await transport.check_left(tasks, port_of(url))
    assert ends == [SessionEnded(reason=EndReason.COMPLETED)] * STREAMS
    assert len(sockets()) < before[0]  # that the server listened on one is over
    assert len(threads()) < before[1]
