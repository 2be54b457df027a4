"""The servers of the suite. Each runs on a thread and a loop of its own, so that it is the same for every transport."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

from smallest_proto.server.recogniser import CodedRecogniser
from smallest_transports import _wire as wire
from smallest_transports.local.server import LocalServer
from smallest_transports.local.threaded import in_thread as in_thread
from smallest_transports.local.threaded import turns as turns

T = TypeVar("T")

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LAST = '{"transcript":"the last","is_final":true,"is_last":true}'


@contextmanager
def local_server(*faults: str, tls: ssl.SSLContext | None = None, **options: Any) -> Iterator[str]:
    """The local server, which hears coded audio; gives its base URL, and sees that every fault happened."""
    room = {"max_live": 256, "max_files": 256}
    made = LocalServer(recogniser=CodedRecogniser, faults=faults, ssl_context=tls, **{**room, **options})
    with in_thread(made) as server:
        yield server.base_url
        assert server.faults_left == ()


@asynccontextmanager
async def serve_bytes(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(reader, writer)
        except OSError:
            pass  # the client went away, which is the point of some tests
        except asyncio.CancelledError:
            pass  # the test is over; asyncio.streams would log it
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/waves/v1"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        await server.wait_closed()


@contextmanager
def serving(talk: Talk, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that is a function of a reader and a writer: for what no library would do."""
    with in_thread(serve_bytes(talk, tls)) as url:
        yield url


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


# --- what servers do ---


async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> wire.ServerConnection:
    """Answer a handshake by hand."""
    server = wire.ServerConnection()
    data = b"."
    while data and not server.receive_data(data := await reader.read(65536)):
        pass
    if not data:
        raise ConnectionResetError("the client is gone")
    server.accept()
    writer.write(server.data_to_send())
    return server


async def answer_the_end(
    server: wire.ServerConnection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, audio: bytearray
) -> None:
    """Hear all to its end, which is answered with the last final."""
    while not server.finished:
        for event in server.receive_data(await reader.read(65536)):
            if isinstance(event, wire.BinaryMessage):
                audio += event.data
            elif isinstance(event, wire.TextMessage) and "close_stream" in event.text:
                server.send_text(LAST)
                server.close(1000)
        writer.write(server.data_to_send())


async def heard_text(server: wire.ServerConnection, reader: asyncio.StreamReader, kind: str) -> None:
    """Hear all until a message of this kind, as ``finalize``, has come."""
    while True:
        for event in server.receive_data(data := await reader.read(65536)):
            if isinstance(event, wire.TextMessage) and kind in event.text:
                return
        if server.finished or not data:
            raise ConnectionResetError("the client is gone")


async def heard_pong(server: wire.ServerConnection, reader: asyncio.StreamReader) -> None:
    """Hear all until a pong has come."""
    while wire.Pong() not in server.receive_data(data := await reader.read(65536)):
        if not data:
            raise ConnectionResetError("the client is gone")


async def heard_the_end(server: wire.ServerConnection, reader: asyncio.StreamReader) -> int:
    """The code with which the client closes, whatever it says before that; 1006: it goes without a goodbye."""
    while True:
        try:
            data = await reader.read(65536)
        except ConnectionResetError:
            data = b""
        for event in server.receive_data(data):
            if isinstance(event, wire.Closed):
                return event.code


def answering(answer: bytes) -> Talk:
    """Answer a request with these bytes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await reader.read()

    return talk


def opening(then: Callable[[wire.ServerConnection, asyncio.StreamWriter], None]) -> Talk:
    """Accept the WebSocket, then do something to it."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = await accept(reader, writer)
        then(server, writer)
        if not writer.is_closing():
            writer.write(server.data_to_send())
            await reader.read()

    return talk


def reset(_: Any, writer: asyncio.StreamWriter) -> None:
    """Close with RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def hang_up(_: Any, writer: asyncio.StreamWriter) -> None:
    """Close with FIN, and without a goodbye before it."""
    writer.close()


def drop(_: Any, writer: asyncio.StreamWriter) -> None:
    """Close the socket; over TLS without its goodbye."""
    writer.transport.abort()


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, piece: int) -> None:
    """Bytes from here to there, so many at a time."""
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):
        while data := await reader.read(piece):
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(0)  # what is written twice between two turns would go out together
    writer.transport.abort()


async def relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int, *, piece: int = 65536
) -> None:
    """Between a client and a server, for as long as both want; so many bytes at a time come back."""
    from_server, to_server = await asyncio.open_connection(host, port)
    try:
        await asyncio.gather(pass_on(reader, to_server, 65536), pass_on(from_server, writer, piece))
    finally:
        to_server.transport.abort()
