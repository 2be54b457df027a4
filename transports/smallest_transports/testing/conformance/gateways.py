"""What stands between a client and the service, and what it makes of answers: every driver sees the same in it."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest

from smallest_proto.config import SynthesisConfig
from smallest_proto.errors import DisconnectedError, ProtocolError, RemoteError, StatusError
from smallest_proto.transcription.events import FinalTranscript
from smallest_proto.wav import to_wav
from smallest_transports._wire.connection import EVENTS_AT_ONCE
from smallest_transports.testing.certificates import Tls
from smallest_transports.testing.servers import LAST, Talk, answering, reset, serving

from .drivers import ONCE, PCM, SECURE, Driver
from .failures import fail

TRANSCRIPT = json.dumps({"transcription": "said in a file"}).encode()
ERROR = json.dumps({"error": "this language is not known"}).encode()


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def answer(body: bytes, *headers: str, status: str = "200 OK", pieces: int | None = None) -> bytes:
    """An answer as bytes, in chunks of so many bytes or with its length."""
    length = f"Content-Length: {len(body)}" if pieces is None else "Transfer-Encoding: chunked"
    head = "\r\n".join([f"HTTP/1.1 {status}", *headers, length, "Connection: close"]).encode()
    return head + b"\r\n\r\n" + (body if pieces is None else chunked(body, pieces))


def raw(body: bytes) -> bytes:
    made = zlib.compressobj(wbits=-15)
    return made.compress(body) + made.flush()


# --- compressed, though nobody asked ---


@pytest.mark.parametrize(
    ("coding", "compress", "pieces"),
    [
        ("deflate", zlib.compress, None),
        ("Deflate", raw, 7),
        ("x-gzip", gzip.compress, 1),
        ("identity, gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:]), 20),
    ],
    ids=["deflate", "raw deflate", "gzip in single bytes", "gzip in members"],
)
async def test_what_comes_compressed_is_read(
    transport: Driver, coding: str, compress: Callable[[bytes], bytes], pieces: int | None
) -> None:
    header, audio = f"Content-Encoding: {coding}", bytes(range(256)) * 20
    with serving(answering(answer(compress(TRANSCRIPT), header, pieces=pieces))) as url:
        async with transport.client(url) as client:
            assert (await client.transcribe(PCM)).text == "said in a file"
    with serving(answering(answer(compress(audio), header, "Content-Type: audio/pcm", pieces=pieces))) as url:
        async with transport.client(url) as client:
            assert await client.synthesize("Hello there.").read() == audio
    with serving(answering(answer(compress(ERROR), header, status="422 No", pieces=pieces))) as url:
        error = await fail(transport, url, live=False)
        assert error.failure.detail == "this language is not known"
        error = await fail(transport, url, live=True)
        assert error.failure.detail == "this language is not known"


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, made-up"])
async def test_what_cannot_be_read_is_refused_by_its_name(transport: Driver, coding: str) -> None:
    with serving(answering(answer(b"\x0b\x02\x80", f"Content-Encoding: {coding}"))) as url:
        error = await fail(transport, url, live=False)
        assert isinstance(error, ProtocolError)
        assert f"came compressed ({coding.split(', ')[-1]})" in str(error)
        async with transport.client(url) as client:
            with pytest.raises(ProtocolError, match="came compressed"):
                await client.synthesize("Hello there.").read()


async def test_nothing_compressed_is_asked_for(transport: Driver) -> None:
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).lower())
        writer.write(answer(ERROR, status="400 No"))
        await reader.read()

    with serving(talk) as url:
        await fail(transport, url, live=True)
        await fail(transport, url, live=False)
        async with transport.client(url) as client:
            with pytest.raises(RemoteError):
                await client.synthesize("Hello there.").read()
    assert len(asked) == 3
    for head in asked:
        assert head.count(b"accept-encoding: identity\r\n") == head.count(b"accept-encoding") == 1


# --- handshakes ---


def handshake(head: bytes, *more: str, connection: str = "Upgrade", upgrade: str = "websocket") -> bytes:
    key = next(
        line.split(b":")[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
    )
    token = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
    lines = (f"Upgrade: {upgrade}", f"Connection: {connection}", f"Sec-WebSocket-Accept: {token}", *more)
    return "\r\n".join(("HTTP/1.1 101 Switching", *lines, "", "")).encode()


def upgrading(*more: str, **named: str) -> Talk:
    """Accept the WebSocket in some words, say the last final and close."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(handshake(await reader.readuntil(b"\r\n\r\n"), *more, **named))
        writer.write(b"\x81" + bytes([len(LAST)]) + LAST.encode() + b"\x88\x02\x03\xe8")
        await reader.read()

    return talk


@pytest.mark.parametrize(
    ("named", "more"),
    [
        ({"connection": "upgrade,keep-alive"}, ()),
        ({"connection": "Keep-Alive ,  UPGRADE"}, ("Keep-Alive: timeout=5",)),
        ({"upgrade": "WebSocket"}, ("Sec-WebSocket-Extensions: ,", "Server: x")),
    ],
    ids=["without a blank", "with blanks", "capitals, and a list of nothing"],
)
async def test_odd_handshakes_open(transport: Driver, named: dict[str, str], more: tuple[str, ...]) -> None:
    with serving(upgrading(*more, **named)) as url:
        async with transport.client(url, retry=ONCE) as client, client.stream_transcription() as stream:
            await stream.end_input()
            finals = [event.text async for event in stream if isinstance(event, FinalTranscript)]
    assert finals == ["the last"]


@pytest.mark.parametrize(
    ("named", "more"),
    [
        ({}, ("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover",)),
        ({}, ("Sec-WebSocket-Protocol: chat",)),
        ({"connection": "keep-alive"}, ()),
        ({"upgrade": "h2c"}, ()),
    ],
    ids=["an extension", "a protocol", "no upgrade", "to another"],
)
async def test_wrong_handshakes_do_not(transport: Driver, named: dict[str, str], more: tuple[str, ...]) -> None:
    with serving(upgrading(*more, **named)) as url:
        error = await fail(transport, url)
    assert isinstance(error, ProtocolError)
    assert error.failure.status == 101


# --- refused before all was said ---


def refusing(refusal: bytes) -> Talk:
    """Answer what has only begun to come, and reset the connection at once."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refusal)
        await asyncio.sleep(0)  # so that TLS has it out
        reset(None, writer)

    return talk


@SECURE
@pytest.mark.parametrize(
    ("status", "headers"),
    [("413 Too Large", ()), ("429 Slow", ("Retry-After: 9",)), ("401 No", ("X-Pad: " + "x" * 5000,))],
)
async def test_a_refusal_is_heard_though_writing_fails(
    transport: Driver, tls: Tls, status: str, headers: tuple[str, ...], secure: bool
) -> None:
    if secure and transport.module == "smallest_transports.aiohttp":
        pytest.skip("aiohttp's TLS keeps what came before writing failed")
    with serving(refusing(answer(ERROR, *headers, status=status)), tls.server if secure else None) as url:
        async with transport.client(url, ssl_context=tls.client) as client:
            for _ in range(5):
                with pytest.raises(StatusError) as raised:
                    await client.transcribe(bytes(10_000_000))
                assert raised.value.failure.status == int(status[:3])
                assert raised.value.failure.detail == "this language is not known"
    assert raised.value.failure.retry_after == (9.0 if headers and "Retry" in headers[0] else None)


# --- cut, and without an end ---


@SECURE
@pytest.mark.parametrize("came", [50, 9000, -2])
async def test_a_wav_that_is_cut_is_said(transport: Driver, tls: Tls, secure: bool, came: int) -> None:
    body = to_wav(b"\x01\x02" * 8000, "linear16", 8000)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nConnection: close\r\n\r\n"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + body[:came])
        await writer.drain()
        writer.get_extra_info("socket").shutdown(1)  # FIN, and no goodbye of TLS before it
        await reader.read()

    with serving(talk, tls.server if secure else None) as url:
        async with transport.client(url, ssl_context=tls.client) as client:
            speech = client.synthesize("Hello there.", SynthesisConfig(output_format="wav", sample_rate=8000))
            with pytest.raises(DisconnectedError, match=rf"of {len(body):,} bytes"):
                await speech.read()


@pytest.mark.parametrize("piece", [b"\x01\x80" * 30_000, b"RIFF" + bytes(50_000)])
async def test_speech_without_an_end_is_dropped(transport: Driver, piece: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\n\r\n")
        while True:
            writer.write(piece)
            await writer.drain()

    with serving(talk) as url:
        async with transport.client(url) as client:
            with pytest.raises(ProtocolError, match="more than its text can be"):
                await client.synthesize("Hi.", SynthesisConfig(sample_rate=8000)).read()


# --- very many, and very small ---


def small_frames(kind: str) -> bytes:
    if kind.startswith("pings"):
        return b"\x89\x00" * 15_000
    if kind == "text in single bytes":
        text = json.dumps({"transcript": "x" * 15_000, "is_final": False}).encode()
        parts = [b"\x00\x01" + text[at : at + 1] for at in range(1, len(text))]
        return b"\x01\x01" + text[:1] + b"".join(parts) + b"\x80\x00"
    return b"\x82\x00" * 15_000


@pytest.mark.parametrize("kind", ["pings", "pings and the end", "text in single bytes", "empty audio"])
async def test_small_frames_leave_others_their_turn(transport: Driver, kind: str) -> None:
    turns, finals = 0, list[str]()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(handshake(await reader.readuntil(b"\r\n\r\n")) + small_frames(kind))
        writer.write(b"\x81" + bytes([len(LAST)]) + LAST.encode() + b"\x88\x02\x03\xe8")
        if "end" in kind:
            writer.write_eof()
        await reader.read()

    with serving(talk) as url:
        async with transport.client(url, retry=ONCE) as client, client.stream_transcription() as stream:
            await stream.end_input()

            async def listen() -> None:
                finals.extend([event.text async for event in stream if isinstance(event, FinalTranscript)])

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listen)
                while not finals:
                    turns += 1
                    await anyio.lowlevel.checkpoint()
    assert finals == ["the last"]
    assert turns > 15_000 / EVENTS_AT_ONCE


async def test_small_chunks_leave_others_their_turn(transport: Driver) -> None:
    body, turns = TRANSCRIPT + b" " * 15_000, 0
    answers: list[str] = []

    async def ask() -> None:
        async with transport.client(url) as client:
            answers.append((await client.transcribe(PCM)).text)

    with serving(answering(answer(body, pieces=1))) as url:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            while not answers:
                turns += 1
                await anyio.lowlevel.checkpoint()
    assert answers == ["said in a file"]
    assert turns > len(body) / EVENTS_AT_ONCE
