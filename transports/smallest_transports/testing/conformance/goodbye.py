"""The end of a WebSocket: the client answers a close, even where it leaves at once or its socket is full."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import Future
from queue import Queue
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from smallest_proto.errors import DisconnectedError
from smallest_proto.events import LinkLost, LinkOpened
from smallest_transports._transcription import TranscriptionStream
from smallest_transports.testing.certificates import Tls
from smallest_transports.testing.servers import accept, heard_the_end, serving

from .drivers import ONCE, PCM, SECURE, Driver
from .pressure import PATIENT, Giving


async def until_lost(stream: TranscriptionStream) -> None:
    while not isinstance(await anext(stream), LinkLost):
        pass


@SECURE
async def test_is_said_by_who_leaves_at_once(transport: Driver, tls: Tls, secure: bool) -> None:
    """The answer is written in the moment in which the application is told of the close."""
    codes: Queue[int] = Queue()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = await accept(reader, writer)
        await reader.read(65536)
        server.close(1011)
        writer.write(server.data_to_send())
        codes.put(await heard_the_end(server, reader))

    with serving(talk, tls.server if secure else None) as url:
        for _ in range(20):  # trio shuffles its tasks
            async with (
                transport.client(url, ssl_context=tls.client) as client,
                client.stream_transcription() as stream,
            ):
                await stream.send_audio(PCM)
                await until_lost(stream)
            assert codes.get(timeout=10) == 1011


@SECURE
async def test_who_leaves_does_not_wait_for_the_answer_of_tls(transport: Driver, tls: Tls, secure: bool) -> None:
    """The server reads no more once it has closed, so nothing answers the goodbye of TLS."""
    left = threading.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = await accept(reader, writer)
        await reader.read(65536)
        transport: Any = writer.transport
        transport.pause_reading()
        server.close(1011)
        writer.write(server.data_to_send())
        await asyncio.to_thread(left.wait)

    with serving(talk, tls.server if secure else None) as url:
        try:
            async with (
                transport.client(url, ssl_context=tls.client) as client,
                client.stream_transcription() as stream,
            ):
                await stream.send_audio(PCM)
                await until_lost(stream)
        finally:
            left.set()


def keep(writer: asyncio.StreamWriter, size: int) -> None:
    """How much the kernel keeps for a server that does not read."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


@SECURE
async def test_is_said_last_where_the_socket_is_full(transport: Driver, tls: Tls, secure: bool) -> None:
    full: Future[None] = Future()
    lost: Future[None] = Future()
    codes: list[int] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        keep(writer, 2**15)  # else the acknowledgement that goes with the close lets the client write the rest
        server = await accept(reader, writer)
        await asyncio.wrap_future(full)
        server.close(1011)
        writer.write(server.data_to_send())
        await asyncio.wrap_future(lost)
        keep(writer, 2**22)
        codes.append(await heard_the_end(server, reader))

    with serving(talk, tls.server if secure else None) as url:
        options = {"timeouts": PATIENT, "buffer_seconds": 3600.0, "ssl_context": tls.client, "retry": ONCE}
        async with transport.client(url, **options) as client, client.stream_transcription() as stream:
            assert isinstance(await anext(stream), LinkOpened)
            giving = Giving(stream)
            async with anyio.create_task_group() as group:
                group.start_soon(giving.run)
                await giving.until_held()
                group.cancel_scope.cancel()
            full.set_result(None)
            with pytest.raises(DisconnectedError):
                [event async for event in stream]
            lost.set_result(None)
            while not codes:
                await anyio.lowlevel.checkpoint()
    assert codes == [1011]
