"""A loop that was held up, as by a busy process or a machine that slept: what came meanwhile is heard first."""

from __future__ import annotations

import asyncio
import threading
import time

import anyio
import anyio.lowlevel
import pytest

from smallest_proto.config import SynthesisConfig, Timeouts
from smallest_proto.errors import DeadlineError
from smallest_proto.events import EndReason, LinkLost, SessionEnded
from smallest_proto.transcription.events import FinalTranscript
from smallest_transports import _wire as wire
from smallest_transports.testing.servers import LAST, accept, answering, port_of, serving

from .drivers import ONCE, PATIENCE, PCM, Driver
from .failures import fail

DEADLINE = 0.2  # seconds
HEARD = '{"type":"transcription","transcript":"so","is_final":false}'


class Slow:
    """A server that does one thing when it is told to, and tells that it is done: both while the client is held up."""

    def __init__(self) -> None:
        self.asked, self.go, self.done = threading.Event(), threading.Event(), threading.Event()

    async def wait(self) -> None:
        self.asked.set()
        await asyncio.to_thread(self.go.wait, PATIENCE)

    async def hold_up(self) -> None:
        """In the client: from when the server was asked until its answer is on its way and a deadline is over."""
        while not self.asked.is_set():
            await anyio.lowlevel.checkpoint()
        held = time.monotonic()
        self.go.set()
        assert self.done.wait(PATIENCE)
        while time.monotonic() < held + 2 * DEADLINE:
            pass


@pytest.mark.parametrize("before", [0, 1000], ids=["alone", "behind a thousand messages"])
async def test_a_pong_that_has_come_counts(transport: Driver, before: int) -> None:
    slow = Slow()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = await accept(reader, writer)
        audio = b""
        while audio[:1] != b"\x89":  # a ping, and nothing before it
            audio = await reader.read(65536)
        await slow.wait()
        for _ in range(before):
            server.send_text(HEARD)
        server.receive_data(audio)
        writer.write(server.data_to_send())
        slow.done.set()
        while not server.finished:
            for event in server.receive_data(await reader.read(65536)):
                if isinstance(event, wire.TextMessage) and "close_stream" in event.text:
                    server.send_text(LAST)
                    server.close()
            writer.write(server.data_to_send())

    timeouts = Timeouts(ping=0.01, pong=DEADLINE, message_interval=0)
    with serving(talk) as url:
        async with (
            transport.client(url, timeouts=timeouts, retry=ONCE) as client,
            client.stream_transcription() as stream,
        ):
            await slow.hold_up()
            await anyio.lowlevel.checkpoint()
            await stream.end_input()
            events = [event async for event in stream]
    assert not [event for event in events if isinstance(event, LinkLost)]
    assert [event.text for event in events if isinstance(event, FinalTranscript)] == ["the last"]
    assert events[-1] == SessionEnded(reason=EndReason.COMPLETED)


@pytest.mark.parametrize("speech", [False, True], ids=["a transcript", "speech"])
async def test_an_answer_that_has_come_counts(transport: Driver, speech: bool) -> None:
    slow = Slow()
    answers: list[object] = []
    body = bytes(200_000) if speech else b'{"transcription":"so"}'

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await slow.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        slow.done.set()
        await reader.read()

    async def ask() -> None:
        async with transport.client(url, timeouts=Timeouts(response=DEADLINE, audio=DEADLINE)) as client:
            if speech:
                answers.append(await client.synthesize("Hello.", SynthesisConfig(sample_rate=8000)).read() == body)
            else:
                answers.append((await client.transcribe(PCM)).text == "so")

    with serving(talk) as url:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await slow.hold_up()
    assert answers == [True]


async def test_what_has_not_come_is_judged_all_the_same(transport: Driver) -> None:
    with serving(answering(b"")) as url:
        error = await fail(transport, url, live=False, timeouts=Timeouts(response=0.05))
    assert "came within 0.05 s" in str(error)
    assert "proxy" not in str(error)


@pytest.mark.parametrize("live", [True, False], ids=["live", "file"])
async def test_a_deadline_says_that_the_process_was_held_up(transport: Driver, live: bool) -> None:
    slow = Slow()

    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await slow.wait()
        slow.done.set()
        await reader.read()

    with serving(talk) as url:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slow.hold_up)
            error = await fail(transport, url, live=live, timeouts=Timeouts(opening=0.1, response=0.1))
    assert isinstance(error, DeadlineError)
    assert "; this process was held up for 0." in str(error)


@pytest.mark.parametrize("live", [True, False], ids=["live", "file"])
async def test_a_deadline_names_the_proxy(transport: Driver, live: bool) -> None:
    silent = answering(b"")
    with serving(silent) as url:
        port = port_of(url)
        options = {"proxy": f"http://me:hush-hush@127.0.0.1:{port}", "timeouts": Timeouts(opening=0.1, response=0.1)}
        error = await fail(transport, "https://speech.invalid/", live=live, **options)
    assert isinstance(error, DeadlineError)
    assert str(error).endswith(f"; the way leads through the proxy 127.0.0.1, port {port}")
