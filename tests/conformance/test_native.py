"""Each framework's own habits: what it times out with, and what it groups tasks with."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
import trio

from smallest_proto.events import EndReason, SessionEnded

from .makers import PCM, Transport
from .servers import local_server, port_of, serving
from .test_leaving import talk_to
from .test_pressure import PATIENT, Standstill


def only(transport: Transport, framework: str) -> None:
    if transport.framework != framework:
        pytest.skip(f"a habit of {framework}")


async def test_asyncio_cancelled_twice(transport: Transport) -> None:
    """What cancels a task in asyncio reaches one await; a second one comes while the first is being obeyed."""
    only(transport, "asyncio")
    with local_server() as url:
        tasks, turns, over = transport.tasks(), 0, False
        while not over:
            task = asyncio.ensure_future(talk_to(transport.client(url)))
            for _ in range(turns):
                await asyncio.sleep(0)
            for _ in range(2):
                task.cancel()
                await asyncio.sleep(0)
            await asyncio.wait([task])
            over = not task.cancelled()
            del task  # it keeps its exception, and that the frames it went through
            await transport.check_left(tasks, port_of(url))
            turns += 1 + turns // 8
    assert turns > 5


async def test_asyncio_wait_for_around_send_audio(transport: Transport) -> None:
    only(transport, "asyncio")
    server = Standstill()
    with serving(server.talk) as url:
        client = transport.client(url, timeouts=PATIENT, buffer_seconds=5.0)
        async with client, client.stream_transcription() as stream:
            taken, called_off = 0, False
            while not called_off:
                try:
                    await asyncio.wait_for(stream.send_audio(PCM), 0.2)
                    taken += 1
                except asyncio.TimeoutError:
                    called_off = True
            assert stream.stats.seconds_given == taken
            server.go_on()
            await stream.end_input()
            assert [event async for event in stream][-1] == SessionEnded(reason=EndReason.COMPLETED)
    assert server.received == PCM * taken


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup came with Python 3.11")
async def test_asyncio_task_group(transport: Transport) -> None:
    only(transport, "asyncio")
    framework: Any = asyncio
    with local_server() as url:
        tasks, raised = transport.tasks(), []

        async def break_off() -> None:
            await asyncio.sleep(0)
            raise KeyError("mine")

        try:
            async with framework.TaskGroup() as group:
                group.create_task(talk_to(transport.client(url)))
                group.create_task(break_off())
        except Exception as error:
            raised = [type(inner) for inner in getattr(error, "exceptions", ())]
        assert raised == [KeyError]
        await transport.check_left(tasks, port_of(url))
        async with framework.timeout(10), framework.TaskGroup() as group:
            for _ in range(3):
                group.create_task(talk_to(transport.client(url)))


async def test_trio_nursery_cancelled_from_outside(transport: Transport) -> None:
    only(transport, "trio")
    with local_server() as url:
        tasks = transport.tasks()
        for turns in range(0, 60, 3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(talk_to, transport.client(url))
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            await transport.check_left(tasks, port_of(url))


async def test_trio_move_on_after_around_send_audio(transport: Transport) -> None:
    only(transport, "trio")
    server = Standstill()
    with serving(server.talk) as url:
        client = transport.client(url, timeouts=PATIENT, buffer_seconds=5.0)
        async with client, client.stream_transcription() as stream:
            taken, called_off = 0, False
            while not called_off:
                with trio.move_on_after(0.2) as scope:
                    await stream.send_audio(PCM)
                    taken += 1
                called_off = scope.cancelled_caught
            assert stream.stats.seconds_given == taken
            server.go_on()
            await stream.end_input()
            assert [event async for event in stream][-1] == SessionEnded(reason=EndReason.COMPLETED)
    assert server.received == PCM * taken
