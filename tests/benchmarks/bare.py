"""Live streams without a client: the least that each stack can do, which is to send audio and to parse what comes.

No state, no retry, no timers, no back-pressure but the stack's own: what a stream costs here, any client pays.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import aiohttp
import anyio
import msgspec
import trio
from websockets.asyncio.client import connect
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, Ping, Request, TextMessage

from smallest_proto.requests import Request as OwnRequest
from smallest_transports._wire import ClientWebSocket, Opened
from smallest_transports._wire import TextMessage as OwnText

Heard = Callable[[Any], None]  # takes each message of the service, parsed

Frames: TypeAlias = "OwnWire | Wsproto"

_decode = msgspec.json.Decoder().decode


class Where(NamedTuple):
    """What to ask a server of this machine for."""

    host: str
    port: int
    target: str
    headers: list[tuple[str, str]]


def where(base_url: str, target: str) -> Where:
    url = urlsplit(base_url)
    assert url.hostname
    assert url.port
    return Where(url.hostname, url.port, url.path + target, [("Authorization", "Bearer any")])


class OwnWire:
    """The wire of this library, with nothing around it."""

    def __init__(self, to: Where, heard: Heard) -> None:
        path, _, query = to.target.partition("?")
        url = f"ws://{to.host}:{to.port}{path}"
        self._wire = ClientWebSocket(OwnRequest(method="GET", url=url, query=query, headers=tuple(to.headers)))
        self._heard = heard
        self.open = False
        self.hello = self._wire.data_to_send()

    def audio(self, data: bytes) -> bytes:
        self._wire.send_binary(data)
        return self._wire.data_to_send()

    def receive(self, data: bytes) -> bytes:
        """Take what came; give what is to be answered."""
        for event in self._wire.receive_data(data):
            if isinstance(event, OwnText):
                self._heard(_decode(event.text))
            elif isinstance(event, Opened):
                self.open = True
        return self._wire.data_to_send()


class Wsproto:
    """wsproto, with nothing around it."""

    def __init__(self, to: Where, heard: Heard) -> None:
        self._ws = WSConnection(ConnectionType.CLIENT)
        self._heard = heard
        self.open = False
        headers = [(name.encode(), value.encode()) for name, value in to.headers]
        self.hello = self._ws.send(Request(host=f"{to.host}:{to.port}", target=to.target, extra_headers=headers))

    def audio(self, data: bytes) -> bytes:
        return self._ws.send(BytesMessage(data=data))

    def receive(self, data: bytes) -> bytes:
        """Take what came; give what is to be answered."""
        self._ws.receive_data(data)
        answer = b""
        for event in self._ws.events():
            if isinstance(event, TextMessage):
                self._heard(_decode(event.data))
            elif isinstance(event, Ping):
                answer += self._ws.send(event.response())
            elif isinstance(event, AcceptConnection):
                self.open = True
        return answer


class _Protocol(asyncio.Protocol):
    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.opened = asyncio.get_running_loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.frames.hello)

    def data_received(self, data: bytes) -> None:
        if answer := self.frames.receive(data):
            self.transport.write(answer)
        if self.frames.open and not self.opened.done():
            self.opened.set_result(None)

    async def send(self, data: bytes) -> None:
        self.transport.write(self.frames.audio(data))


@asynccontextmanager
async def bare_asyncio(frames_of: type[Frames], to: Where, heard: Heard, _: object) -> AsyncIterator[Any]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(lambda: _Protocol(frames_of(to, heard)), to.host, to.port)
    await protocol.opened
    try:
        yield protocol.send
    finally:
        transport.abort()


@asynccontextmanager
async def bare_trio(frames_of: type[Frames], to: Where, heard: Heard, nursery: trio.Nursery) -> AsyncIterator[Any]:
    frames, opened = frames_of(to, heard), trio.Event()
    stream = await trio.open_tcp_stream(to.host, to.port)

    async def send(data: bytes) -> None:
        await stream.send_all(frames.audio(data))

    async def read() -> None:
        try:
            async for data in stream:
                if answer := frames.receive(data):
                    await stream.send_all(answer)
                if frames.open:
                    opened.set()
        except trio.ClosedResourceError:
            pass

    await stream.send_all(frames.hello)
    nursery.start_soon(read)
    await opened.wait()
    try:
        yield send
    finally:
        await trio.aclose_forcefully(stream)


@asynccontextmanager
async def bare_anyio(frames_of: type[Frames], to: Where, heard: Heard, group: Any) -> AsyncIterator[Any]:
    frames, opened = frames_of(to, heard), anyio.Event()
    stream = await anyio.connect_tcp(to.host, to.port)

    async def send(data: bytes) -> None:
        await stream.send(frames.audio(data))

    async def read() -> None:
        try:
            async for data in stream:
                if answer := frames.receive(data):
                    await stream.send(answer)
                if frames.open:
                    opened.set()
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            pass

    await stream.send(frames.hello)
    group.start_soon(read)
    await opened.wait()
    try:
        yield send
    finally:
        await anyio.aclose_forcefully(stream)


@asynccontextmanager
async def bare_aiohttp(to: Where, heard: Heard, session: aiohttp.ClientSession) -> AsyncIterator[Any]:
    url = f"http://{to.host}:{to.port}{to.target}"
    async with session.ws_connect(url, headers=dict(to.headers), compress=0) as socket:

        async def read() -> None:
            async for message in socket:
                heard(_decode(message.data))

        reading = asyncio.ensure_future(read())
        try:
            yield partial(socket.send_bytes)
        finally:
            reading.cancel()
            await asyncio.wait([reading])


@asynccontextmanager
async def bare_websockets(to: Where, heard: Heard, _: object) -> AsyncIterator[Any]:
    url = f"ws://{to.host}:{to.port}{to.target}"
    async with connect(url, additional_headers=to.headers, compression=None, proxy=None) as socket:

        async def read() -> None:
            async for message in socket:
                heard(_decode(message))

        reading = asyncio.ensure_future(read())
        try:
            yield socket.send
        finally:
            reading.cancel()
            await asyncio.wait([reading])
