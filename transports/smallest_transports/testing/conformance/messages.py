"""What goes over a connection: each message, from the first to the last, in its order, whole; pings and timers too."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anyio
import pytest

from smallest_proto.config import Timeouts
from smallest_proto.events import LinkLost, LinkOpened
from smallest_proto.transcription.events import Event, FinalTranscript, InterimTranscript
from smallest_transports import _wire as wire
from smallest_transports.testing import judge
from smallest_transports.testing.servers import (
    LAST,
    accept,
    heard_pong,
    heard_text,
    local_server,
    serving,
)

from .drivers import ONCE, PCM, Driver, heard_interim
from .promises import SHORT, SPEECH

PING = 0.05  # seconds
PINGS = 5
LIMIT = 8 * PINGS * PING  # seconds: eight times what the pings should take, as the machine has other work too
ODD_TEXT = "é नमस्ते 🙂 end"


def interim(text: str, **more: Any) -> str:
    """What the service says, as text that is not all ASCII."""
    return json.dumps({"type": "transcription", "transcript": text, "is_final": False, **more}, ensure_ascii=False)


async def last(server: wire.ServerConnection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hear the rest of what the client says, and end the call."""
    await heard_text(server, reader, "close_stream")
    await goodbye(server, reader, writer)


async def goodbye(server: wire.ServerConnection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    server.send_text(LAST)
    server.close()
    writer.write(server.data_to_send())
    await reader.read()


async def test_all_that_is_given_is_sent_in_its_order(transport: Driver) -> None:
    """From before the link is open to the end, with nothing missing, at the ends least of all."""
    sent: list[str | bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = await accept(reader, writer)
        while "close_stream" not in sent:
            for event in server.receive_data(await reader.read(65536)):
                if isinstance(event, wire.BinaryMessage):
                    before = sent.pop() if sent and isinstance(sent[-1], bytes) else b""
                    sent.append(b"".join((bytes(before), event.data)))  # type: ignore[arg-type]
                elif isinstance(event, wire.TextMessage):
                    sent.append(json.loads(event.text)["type"])
        await goodbye(server, reader, writer)

    with serving(talk) as url:
        async with transport.client(url, retry=ONCE) as client, client.stream_transcription() as stream:
            await stream.send_audio(PCM[:9600])
            await stream.finalize()
            await stream.send_audio(PCM[9600:])
            await stream.end_input()
            finals = [event.text async for event in stream if isinstance(event, FinalTranscript)]
    assert sent == [PCM[:9600], "finalize", PCM[9600:], "close_stream"]
    assert "the last" in finals


async def test_all_that_the_service_says_is_heard(transport: Driver) -> None:
    """What comes with the handshake, and what comes with the goodbye."""
    texts = [f"so {number}" for number in range(20)]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = wire.ServerConnection()
        while not server.receive_data(await reader.read(65536)):
            pass
        server.accept()
        for text in texts[:10]:
            server.send_text(interim(text))
        writer.write(server.data_to_send())
        await heard_text(server, reader, "close_stream")
        for text in texts[10:]:
            server.send_text(interim(text))
        await goodbye(server, reader, writer)

    with serving(talk) as url:
        async with transport.client(url, retry=ONCE) as client, client.stream_transcription() as stream:
            await stream.end_input()
            events = [event async for event in stream]
    heard = [event.text for event in events if isinstance(event, (InterimTranscript, FinalTranscript))]
    assert heard == [*texts, "the last"]


def fragments(text: str) -> bytes:
    """A text message in frames of a byte each: characters are cut in several."""
    data = text.encode()
    parts = [b"\x00\x01" + data[at : at + 1] for at in range(1, len(data) - 1)]
    return b"\x01\x01" + data[:1] + b"".join(parts) + b"\x80\x01" + data[-1:]


def in_one_frame(text: str) -> bytes:
    data = text.encode()
    return b"\x81" + bytes([len(data)]) + data


@pytest.mark.parametrize("framed", [fragments, in_one_frame], ids=["in frames of a byte", "in reads of a byte"])
async def test_text_is_whole_however_it_is_cut(transport: Driver, framed: Any) -> None:
    size = 65536 if framed is fragments else 1

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = await accept(reader, writer)
        server.receive_data(await reader.read(65536))  # audio: the handshake has been read
        said = framed(interim(ODD_TEXT))
        for at in range(0, len(said), size):
            writer.write(said[at : at + size])
            await asyncio.sleep(0)
        await last(server, reader, writer)

    with serving(talk) as url:
        async with transport.client(url, retry=ONCE) as client, client.stream_transcription() as stream:
            assert isinstance(await anext(stream), LinkOpened)
            await stream.send_audio(PCM)
            assert await heard_interim(stream) == ODD_TEXT
            await stream.end_input()
            assert not [event async for event in stream if isinstance(event, LinkLost)]


async def test_a_ping_is_answered(transport: Driver) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = await accept(reader, writer)
        server.ping()
        writer.write(server.data_to_send())
        await heard_pong(server, reader)
        server.send_text(interim("answered"))
        writer.write(server.data_to_send())
        await last(server, reader, writer)

    with serving(talk) as url:
        async with transport.client(url, retry=ONCE) as client, client.stream_transcription() as stream:
            assert await heard_interim(stream) == "answered"
            await stream.end_input()
            assert not [event async for event in stream if isinstance(event, LinkLost)]


async def test_timers_ring_in_time(transport: Driver) -> None:
    """On a link where nothing is said there is a ping each 50 ms, as long as the session is told that they went out and
    were answered."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server, answered = await accept(reader, writer), 0
        while answered < PINGS and not server.finished:
            server.receive_data(await reader.read(65536))
            out = server.data_to_send()
            answered += out[:1] == b"\x8a"  # a pong: the server's own answer
            writer.write(out)
        server.send_text(interim("enough"))
        writer.write(server.data_to_send())
        await last(server, reader, writer)

    timeouts = Timeouts(message_interval=0, ping=PING, pong=30.0, write=3 * PING)
    with serving(talk) as url:
        async with (
            transport.client(url, timeouts=timeouts, retry=ONCE) as client,
            client.stream_transcription() as stream,
        ):
            assert isinstance(await anext(stream), LinkOpened)
            await stream.send_audio(PCM[:3200])
            with anyio.fail_after(LIMIT):
                assert await heard_interim(stream) == "enough"  # over this link: another begins to count anew
            await stream.end_input()
            assert not [event async for event in stream if isinstance(event, LinkLost)]


async def test_what_is_given_while_no_link_is_open_is_heard(transport: Driver) -> None:
    middle = len(SPEECH.pcm) // 4 * 2
    events: list[Event] = []
    with local_server("drop@1") as url:
        client = transport.client(url, timeouts=SHORT)
        async with client, client.stream_transcription() as stream:
            await stream.send_audio(SPEECH.pcm[:middle])
            while not (events and isinstance(events[-1], LinkLost)):
                events.append(await anext(stream))
            await stream.send_audio(SPEECH.pcm[middle:])
            await stream.end_input()
            events += [event async for event in stream]
            report = judge(events, SPEECH, stats=stream.stats)
    assert report.ok, report
