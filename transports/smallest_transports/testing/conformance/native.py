"""Each framework's own habits: what it times out with, and what it groups tasks with."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from smallest_proto.events import EndReason, SessionEnded
from smallest_transports._client import Client
from smallest_transports.testing.servers import local_server, port_of, serving

from .drivers import PCM, Driver, those
from .leaving import LIVES, talk_to
from .pressure import PATIENT, Standstill

SINCE_3_11 = pytest.mark.skipif(sys.version_info < (3, 11), reason="it came with Python 3.11")
ASYNCIO = those(lambda made: made.framework == "asyncio")
TRIO = those(lambda made: made.framework == "trio")


@ASYNCIO
@LIVES
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_asyncio_cancelled(transport: Driver, times: int, life: Callable[[Client], Any]) -> None:
    """What cancels a task in asyncio reaches one await; the next one comes while the first is being obeyed."""
    with local_server() as url:
        tasks, turns, over = transport.tasks(), 0, False
        while not over:
            task = asyncio.ensure_future(life(transport.client(url)))
            for _ in range(turns):
                await asyncio.sleep(0)
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0)
            await asyncio.wait([task])
            over = not task.cancelled()
            del task  # it keeps its exception, and that the frames it went through
            await transport.check_left(tasks, port_of(url))
            turns += 1 + turns // 8
    assert turns > 5


async def by_wait_for(awaited: Awaitable[None], seconds: float) -> None:
    await asyncio.wait_for(awaited, seconds)


async def by_timeout(awaited: Awaitable[None], seconds: float) -> None:
    framework: Any = asyncio
    async with framework.timeout(seconds):
        await awaited


@ASYNCIO
@pytest.mark.parametrize(
    "within",
    [by_wait_for, pytest.param(by_timeout, marks=SINCE_3_11)],
)
async def test_asyncio_calls_off_send_audio(transport: Driver, within: Callable[..., Awaitable[None]]) -> None:
    server = Standstill()
    with serving(server.talk) as url:
        client = transport.client(url, timeouts=PATIENT, buffer_seconds=5.0)
        async with client, client.stream_transcription() as stream:
            taken, called_off = 0, False
            while not called_off:
                try:
                    await within(stream.send_audio(PCM), 0.2)
                    taken += 1
                except asyncio.TimeoutError:
                    called_off = True
            assert stream.stats.seconds_given == taken
            server.go_on()
            await stream.end_input()
            assert [event async for event in stream][-1] == SessionEnded(reason=EndReason.COMPLETED)
    assert server.received == PCM * taken


@ASYNCIO
@SINCE_3_11
async def test_asyncio_task_group(transport: Driver) -> None:
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


@TRIO
async def test_trio_nursery_cancelled_from_outside(transport: Driver) -> None:
    import trio

    with local_server() as url:
        tasks = transport.tasks()
        for turns in range(0, 60, 3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(talk_to, transport.client(url))
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            await transport.check_left(tasks, port_of(url))


@TRIO
async def test_trio_move_on_after_around_send_audio(transport: Driver) -> None:
    import trio

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
