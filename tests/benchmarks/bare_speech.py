"""Speech without this library: the least that each stack can do, which is to ask for it and to decode what comes.

Each ``speak`` asks once, hands on the audio as it comes, and returns when all of it is here.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple, TypeAlias

import aiohttp
import anyio
import h11
import msgspec
import trio
from bare import Where
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import Request, TextMessage

Heard = Callable[[bytes], None]  # takes audio

_decode = msgspec.json.Decoder().decode


class Pipe(NamedTuple):
    """A connection of bytes, as a framework gives it."""

    send: Callable[[bytes], Awaitable[Any]]
    receive: Callable[[], Awaitable[bytes]]


OpenPipe: TypeAlias = "Callable[[str, int], AbstractAsyncContextManager[Pipe]]"


@asynccontextmanager
async def pipe_asyncio(host: str, port: int) -> AsyncIterator[Pipe]:
    reader, writer = await asyncio.open_connection(host, port)

    async def send(data: bytes) -> None:
        writer.write(data)

    async def receive() -> bytes:
        return await reader.read(65536)

    try:
        yield Pipe(send, receive)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def pipe_trio(host: str, port: int) -> AsyncIterator[Pipe]:
    async with await trio.open_tcp_stream(host, port) as stream:
        yield Pipe(stream.send_all, stream.receive_some)


@asynccontextmanager
async def pipe_anyio(host: str, port: int) -> AsyncIterator[Pipe]:
    async with await anyio.connect_tcp(host, port) as stream:
        yield Pipe(stream.send, stream.receive)


class BareSpeech:
    """wsproto and h11 over a framework's connections, with nothing around them."""

    def __init__(self, open_pipe: OpenPipe) -> None:
        self._open = open_pipe

    @asynccontextmanager
    async def socket(self, to: Where) -> AsyncIterator[Any]:
        async with self._open(to.host, to.port) as pipe:
            ws = WSConnection(ConnectionType.CLIENT)
            headers = [(name.encode(), value.encode()) for name, value in to.headers]
            await pipe.send(ws.send(Request(host=f"{to.host}:{to.port}", target=to.target, extra_headers=headers)))

            while ws.state is not ConnectionState.OPEN:
                ws.receive_data(await pipe.receive())
                list(ws.events())

            async def speak(ask: str, heard: Heard) -> None:
                await pipe.send(ws.send(TextMessage(data=ask)))
                while True:
                    ws.receive_data(await pipe.receive())
                    for event in ws.events():
                        if isinstance(event, TextMessage) and not go_on(_decode(event.data), heard):
                            return

            yield speak

    async def answer(self, to: Where, ask: str, heard: Heard, *, sse: bool) -> None:
        http, take = h11.Connection(h11.CLIENT), Events(heard) if sse else heard
        body = ask.encode()
        framing = [("Host", to.host), ("Connection", "close"), ("Content-Length", str(len(body)))]
        head = h11.Request(method="POST", target=to.target, headers=[*framing, *to.headers])
        async with self._open(to.host, to.port) as pipe:
            parts = [http.send(event) or b"" for event in (head, h11.Data(data=body), h11.EndOfMessage())]
            await pipe.send(b"".join(parts))
            while not isinstance(event := http.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    http.receive_data(await pipe.receive())
                elif isinstance(event, h11.Data):
                    take(bytes(event.data))


class BareAiohttp:
    """aiohttp's own WebSocket and HTTP."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @asynccontextmanager
    async def socket(self, to: Where) -> AsyncIterator[Any]:
        async with self._session.ws_connect(url_of(to), headers=dict(to.headers), compress=0) as socket:

            async def speak(ask: str, heard: Heard) -> None:
                await socket.send_str(ask)
                async for message in socket:
                    if not go_on(_decode(message.data), heard):
                        return

            yield speak

    async def answer(self, to: Where, ask: str, heard: Heard, *, sse: bool) -> None:
        take = Events(heard) if sse else heard
        headers = {**dict(to.headers), "Connection": "close"}
        async with self._session.post(url_of(to), data=ask.encode(), headers=headers) as response:
            async for data in response.content.iter_any():
                take(data)


class Events:
    """Server-sent events with audio, as far as this server sends them."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._rest = b""

    def __call__(self, data: bytes) -> None:
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            message = _decode(event.rpartition(b"data: ")[2])
            if "audio" in message:
                self._heard(base64.b64decode(message["audio"]))


def go_on(message: dict[str, Any], heard: Heard) -> bool:
    """Take a message of the socket; whether more is to come."""
    if message["status"] == "chunk":
        heard(base64.b64decode(message["data"]["audio"]))
    return bool(message["status"] != "complete")


def url_of(to: Where) -> str:
    return f"http://{to.host}:{to.port}{to.target}"
