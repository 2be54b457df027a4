"""Back-pressure: a peer that does not read slows the sender; what is held is bounded, what is called off not taken."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from typing import Any

import anyio
import anyio.lowlevel

from smallest_proto.config import Timeouts
from smallest_proto.events import LinkOpened, SessionEnded
from smallest_proto.transcription.events import FinalTranscript
from smallest_transports import _wire as wire
from smallest_transports._transcription import TranscriptionStream
from smallest_transports.testing.certificates import Tls
from smallest_transports.testing.servers import Talk, accept, answer_the_end, heard_pong, port_of, serving

from .drivers import ONCE, PCM, SECURE, Driver

SECONDS = 300  # 9.6 MB of audio: more than a kernel keeps of what was not taken: Linux 4 MB
STILL = 300  # turns of the loop in which nothing moves
# So long that nothing is given up while it is held back.
PATIENT = Timeouts(message_interval=0, write=100, ping=100, pong=100, mute=200)


class Standstill:
    """A server that accepts, and reads no more until ``go_on``; it says something when it is told to ``speak``."""

    def __init__(self) -> None:
        self.received = bytearray()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._speaks, self._goes_on = asyncio.Event(), asyncio.Event()

    def speak(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._speaks.set)

    def go_on(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._goes_on.set)
        self.speak()

    @property
    def talk(self) -> Talk:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # So little of what is not read is kept here that the sender is soon held back; its own side keeps more.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            server = await accept(reader, writer)
            self._loop = asyncio.get_running_loop()
            await self._speaks.wait()
            server.send_text('{"transcript":"so","is_final":true}')
            writer.write(server.data_to_send())
            await self._goes_on.wait()
            await answer_the_end(server, reader, writer, self.received)

        return talk


class Giving:
    """Gives audio, a second at a time, to a stream whose socket takes no more of it at some point."""

    def __init__(self, stream: TranscriptionStream) -> None:
        self.taken = 0  # seconds
        self._stream = stream
        self._waits = False

    async def run(self) -> None:
        for _ in range(SECONDS):
            self._waits = True
            await self._stream.send_audio(PCM)
            self._waits = False
            self.taken += 1
        await self._stream.end_input()

    async def until_held(self) -> int:
        """Wait until ``send_audio`` waits, and nothing moves any more; the seconds that were taken."""
        taken, turns = -1, 0
        while turns < STILL:
            assert self.taken < SECONDS, f"send_audio took {SECONDS} s, and the socket took nothing: it never waits"
            await anyio.lowlevel.checkpoint()
            turns = turns + 1 if self._waits and self.taken == taken else 0
            taken = self.taken
        return taken


@SECURE
async def test_a_server_that_does_not_read_slows_the_sender(transport: Driver, tls: Tls, secure: bool) -> None:
    server = Standstill()
    with serving(server.talk, tls.server if secure else None) as url:
        # So much may be held that it is the socket, not the session, that makes the sender wait.
        options = {"timeouts": PATIENT, "buffer_seconds": 3600.0, "ssl_context": tls.client}
        async with transport.client(url, **options) as client, client.stream_transcription() as stream:
            giving = Giving(stream)
            assert isinstance(await anext(stream), LinkOpened)  # until then there is no socket to hold it up
            async with anyio.create_task_group() as group:
                group.start_soon(giving.run)
                await giving.until_held()
                server.go_on()
                events = [event async for event in stream]
    assert isinstance(events[-1], SessionEnded)
    assert server.received == PCM * SECONDS


async def test_what_is_said_is_heard_while_the_sender_waits(transport: Driver) -> None:
    """The server reads no more until it has been heard: who does not hear while they send would wait for ever."""
    server = Standstill()
    with serving(server.talk) as url:
        options = {"timeouts": PATIENT, "buffer_seconds": 3600.0, "retry": ONCE}
        async with transport.client(url, **options) as client, client.stream_transcription() as stream:
            giving = Giving(stream)
            assert isinstance(await anext(stream), LinkOpened)
            async with anyio.create_task_group() as group:
                group.start_soon(giving.run)
                await giving.until_held()
                server.speak()
                async for event in stream:
                    if isinstance(event, FinalTranscript):
                        break
                group.cancel_scope.cancel()


@SECURE
async def test_leaving_while_the_socket_is_full(transport: Driver, tls: Tls, secure: bool) -> None:
    """What is cancelled while it waits was not taken, and what waits in the driver goes with it."""
    server = Standstill()

    async def live() -> None:
        options = {"timeouts": PATIENT, "buffer_seconds": 3600.0, "ssl_context": tls.client}
        async with transport.client(url, **options) as client, client.stream_transcription() as stream:
            giving = Giving(stream)
            assert isinstance(await anext(stream), LinkOpened)
            async with anyio.create_task_group() as group:
                group.start_soon(giving.run)
                taken = await giving.until_held()
                group.cancel_scope.cancel()
            assert stream.stats.seconds_given == taken

    with serving(server.talk, tls.server if secure else None) as url:
        tasks = transport.tasks()
        await live()
        await transport.check_left(tasks, port_of(url))


async def test_what_is_held_is_bounded(transport: Driver) -> None:
    server = Standstill()
    with serving(server.talk) as url:
        options = {"timeouts": PATIENT, "buffer_seconds": 5.0}
        async with transport.client(url, **options) as client, client.stream_transcription() as stream:
            giving = Giving(stream)
            async with anyio.create_task_group() as group:
                group.start_soon(giving.run)
                assert await giving.until_held() <= 10
                group.cancel_scope.cancel()


async def test_what_is_called_off_has_not_been_taken(transport: Driver) -> None:
    server = Standstill()
    with serving(server.talk) as url:
        options = {"timeouts": PATIENT, "buffer_seconds": 5.0}
        async with transport.client(url, **options) as client, client.stream_transcription() as stream:
            taken = swallowed = 0
            called_off = False
            while not called_off:
                with anyio.move_on_after(0.2) as scope:
                    await stream.send_audio(PCM)
                    taken += 1
                called_off = scope.cancelled_caught
                swallowed += scope.cancel_called and not called_off
                assert swallowed < 3, "send_audio was cancelled, and went on"  # once it can have been done by then
                assert taken < SECONDS, "send_audio never waits"
            assert stream.stats.seconds_given == taken
            with anyio.CancelScope() as scope:
                scope.cancel()
                await stream.send_audio(PCM)
            assert scope.cancelled_caught
            assert stream.stats.seconds_given == taken
            server.go_on()
            await stream.end_input()
            events = [event async for event in stream]
    assert isinstance(events[-1], SessionEnded)
    assert server.received == PCM * taken


async def test_a_consumer_that_does_not_read_holds_nothing_up(transport: Driver) -> None:
    answered = threading.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = await accept(reader, writer)
        for at in range(2000):
            server.send_text(json.dumps({"transcript": f"w{at}", "is_final": True}))
        server.ping()
        writer.write(server.data_to_send())
        await heard_pong(server, reader)
        answered.set()
        server.close(1000)
        writer.write(server.data_to_send())
        await reader.read()

    with serving(talk) as url:
        async with transport.client(url, retry=ONCE) as client, client.stream_transcription() as stream:
            while not answered.is_set():
                await anyio.lowlevel.checkpoint()
            events = [await anext(stream) for _ in range(1000)]
    assert len([event for event in events if isinstance(event, FinalTranscript)]) > 300


async def test_a_flood_of_pings_drowns_nothing(transport: Driver) -> None:
    pongs: list[wire.Pong] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = await accept(reader, writer)
        counting: Any = Counting(server, pongs)
        hearing = asyncio.ensure_future(answer_the_end(counting, reader, writer, received))
        for _ in range(20):
            for _ in range(500):
                server.ping()
            writer.write(server.data_to_send())
            await writer.drain()
        await hearing

    received = bytearray()
    with serving(talk) as url:
        async with transport.client(url) as client, client.stream_transcription() as stream:
            await stream.send_audio(PCM)
            await stream.end_input()
            events = [event async for event in stream]
    assert isinstance(events[-1], SessionEnded)
    assert received == PCM
    assert len(pongs) > 0


class Counting:
    """The server's side of a connection, which notes the pongs."""

    def __init__(self, server: wire.ServerConnection, pongs: list[wire.Pong]) -> None:
        self._server, self._pongs = server, pongs

    def __getattr__(self, name: str) -> object:
        return getattr(self._server, name)

    def receive_data(self, data: bytes) -> list[wire.ServerEvent]:
        events = self._server.receive_data(data)
        self._pongs += [event for event in events if isinstance(event, wire.Pong)]
        return events
