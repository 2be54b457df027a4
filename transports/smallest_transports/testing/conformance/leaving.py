"""Leaving, at every moment and in every way: nothing stays, and nobody waits for a server that does not answer."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from queue import Queue
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from smallest_proto.config import TranscriptionConfig
from smallest_proto.errors import DisconnectedError, LocalProtocolError
from smallest_proto.events import EndReason, LinkOpened, SessionEnded
from smallest_transports._client import Client
from smallest_transports.testing.certificates import Tls
from smallest_transports.testing.servers import accept, answer_the_end, heard_the_end, local_server, port_of, serving

from .drivers import PCM, SECURE, Driver, connections_to


async def talk_to(client: Client) -> None:
    """A short life with every call in it."""
    async with client, client.stream_transcription() as stream:
        await stream.send_audio(PCM[:3200])
        await stream.finalize()
        await anext(stream)
        await stream.update(TranscriptionConfig(punctuate=True))
        await stream.send_audio(bytes(3200))
        await stream.end_input()
        async for _ in stream:
            pass


async def hand_in(client: Client) -> None:
    """A file by its bytes."""
    async with client:
        await client.transcribe(WAV)


WAV = b"RIFF\x24\x32\x00\x00WAVEfmt \x10\0\0\0\x01\0\x01\0\x80>\0\0\0}\0\0\x02\0\x10\0data\x00\x32\0\0" + bytes(12800)
# The service decodes a file with libraries that only ``smallest-proto[local]`` brings.
DECODES = all(map(importlib.util.find_spec, ("numpy", "soundfile", "soxr")))
FILE = pytest.param(hand_in, id="file", marks=pytest.mark.skipif(not DECODES, reason="needs smallest-proto[local]"))
LIVES = pytest.mark.parametrize("life", [pytest.param(talk_to, id="live"), FILE])


class Walk:
    """Awaits a coroutine; when that waits for the ``at``-th time, ``then`` is called first."""

    def __init__(self, life: Coroutine[Any, Any, None], at: int, then: Callable[[], object]) -> None:
        self._life, self._at, self._then = life, at, then
        self.waits = 0

    def __await__(self) -> Generator[Any, Any, None]:
        step: Callable[..., Any] = self._life.send
        told: Any = None
        while True:
            try:
                waits_for = step(told)
            except StopIteration:
                return
            self.waits += 1
            if self.waits == self._at:
                self._then()
            try:
                step, told = self._life.send, (yield waits_for)
            except BaseException as exc:
                step, told = self._life.throw, exc


async def cancelled_at_every_await(
    transport: Driver, url: str, life: Callable[[Client], Coroutine[Any, Any, None]], **options: Any
) -> int:
    """Cancel one life after the other at its first await, its second and so on; how many there were.

    Nothing of any of them may be left.
    """
    tasks, at, over = transport.tasks(), 0, False
    while not over:
        at += 1
        with anyio.CancelScope() as scope:
            walk = Walk(life(transport.client(url, **options)), at, scope.cancel)
            await walk
        over = walk.waits < at
        assert over != scope.cancel_called
        await transport.check_left(tasks, port_of(url))
    return at


@LIVES
@SECURE
async def test_cancelled_at_every_await(
    transport: Driver, tls: Tls, life: Callable[[Client], Coroutine[Any, Any, None]], secure: bool
) -> None:
    with local_server(tls=tls.server if secure else None) as url:
        assert await cancelled_at_every_await(transport, url, life, ssl_context=tls.client) > 2


@LIVES
@SECURE
async def test_cancelled_after_any_number_of_turns_of_the_loop(
    transport: Driver, tls: Tls, life: Callable[[Client], Awaitable[None]], secure: bool
) -> None:
    """The application waits at one place for long, while tasks of the driver's pass through many."""
    with local_server(tls=tls.server if secure else None) as url:
        tasks, turns, done = transport.tasks(), 0, []

        async def live() -> None:
            await life(transport.client(url, ssl_context=tls.client))
            done.append(turns)

        while not done:
            async with anyio.create_task_group() as group:
                group.start_soon(live)
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                    if done:
                        break
                group.cancel_scope.cancel()
            await transport.check_left(tasks, port_of(url))
            turns += 1 + turns // 12
    assert turns > 5


async def hold_the_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Of TLS, or of the WebSocket."""


async def hold_the_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await accept(reader, writer)


async def hold_the_goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    server = await accept(reader, writer)
    server.send_text('{"transcript":"the last","is_final":true,"is_last":true}')
    while not server.receive_data(await reader.read(65536)):
        pass  # the end of the input
    writer.write(server.data_to_send())


@SECURE
@pytest.mark.parametrize("hold", [hold_the_handshake, hold_the_stream, hold_the_goodbye])
async def test_cancelled_while_a_server_does_not_go_on(
    transport: Driver, tls: Tls, hold: Callable[..., Awaitable[None]], secure: bool
) -> None:
    held, gone = threading.Event(), threading.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hold(reader, writer)
        held.set()
        try:
            while await reader.read(65536):
                pass
        finally:
            gone.set()

    async def live() -> None:
        async with transport.client(url, ssl_context=tls.client) as client, client.stream_transcription() as stream:
            await stream.end_input()
            async for _ in stream:
                pass

    with serving(talk, tls.server if secure and hold is not hold_the_handshake else None) as url:
        url = url.replace("http:", "https:") if secure else url
        tasks = transport.tasks()
        async with anyio.create_task_group() as group:
            group.start_soon(live)
            while not held.is_set():
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert gone.wait(10)  # the loop stands still meanwhile: the socket is closed already
        await transport.check_left(tasks, port_of(url))


@SECURE
async def test_early_drops_the_connection(transport: Driver, tls: Tls, secure: bool) -> None:
    codes: Queue[int] = Queue()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        codes.put(await heard_the_end(await accept(reader, writer), reader))

    with serving(talk, tls.server if secure else None) as url:
        async with transport.client(url, ssl_context=tls.client) as client:
            async with client.stream_transcription() as stream:
                await stream.send_audio(PCM)
                assert isinstance(await anext(stream), LinkOpened)
            assert connections_to(port_of(url)) == 0
            assert codes.get(timeout=10) == 1006  # without a goodbye, which somebody would have to wait for
            *_, last = [event async for event in stream]
            assert last == SessionEnded(reason=EndReason.ABORTED)
            with pytest.raises(LocalProtocolError):
                await stream.send_audio(PCM)


async def test_with_an_exception_passes_it_on_as_it_is(transport: Driver) -> None:
    with local_server() as url:

        async def live() -> None:
            async with transport.client(url) as client, client.stream_transcription() as stream:
                await anext(stream)
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine") as raised:
            await live()
        assert raised.value.__context__ is None


async def test_the_client_ends_what_is_under_way(transport: Driver) -> None:
    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        connected.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.read()

    connected: list[bytes] = []
    ends: list[object] = []
    with serving(talk) as url:
        async with anyio.create_task_group() as group, transport.client(url) as client:

            async def upload() -> None:
                try:
                    await client.transcribe(PCM)
                except DisconnectedError as error:
                    ends.append(str(error))

            async def listen() -> None:
                async with client.stream_transcription() as stream:
                    ends.extend([event async for event in stream])

            group.start_soon(upload)
            group.start_soon(listen)
            while len(connected) < 2:
                await anyio.lowlevel.checkpoint()
    assert len(ends) == 2
    assert SessionEnded(reason=EndReason.ABORTED) in ends
    assert any("aborted" in str(end) for end in ends)


async def test_a_stream_leaves_while_another_one_goes_on(transport: Driver) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer_the_end(await accept(reader, writer), reader, writer, bytearray())

    with serving(talk) as url:
        async with transport.client(url) as client, client.stream_transcription() as lives:
            async with client.stream_transcription() as leaves:
                await leaves.send_audio(PCM)
            await lives.send_audio(PCM)
            await lives.end_input()
            assert [event async for event in lives][-1] == SessionEnded(reason=EndReason.COMPLETED)
