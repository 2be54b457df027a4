"""One link over aiohttp: a WebSocket, or an HTTP exchange."""

from __future__ import annotations

import asyncio
import io
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import aiohttp
from yarl import URL

from smallest_proto.errors import RemoteError
from smallest_proto.refusals import refusal
from smallest_proto.requests import Request
from smallest_transports import _events as wire
from smallest_transports._address import Address, address, is_websocket
from smallest_transports._event_loop import EventLoopDriving
from smallest_transports._events import MAX_MESSAGE_BYTES, MAX_REFUSAL_BYTES
from smallest_transports._failures import broken_websocket

from .connector import Connector, failure_of, opened_sockets

_TURNS = 20  # of the loop, in which a connection that was dropped is gone: aiohttp has no way to wait for it
_LARGE = 2**20  # bytes of a body that aiohttp is not to copy at once


class Driver(EventLoopDriving):
    """Lets a state machine run in the event loop, with aiohttp's connections and a timer."""

    world: Connector

    def open(self, number: int, request: Request) -> _WebSocket | _Exchange:
        return (_WebSocket if is_websocket(request) else _Exchange)(self, number, request)


class _Link:
    """One connection. Its task opens and reads it, and ends when it is gone; cancelled, the task aborts it."""

    def __init__(self, driver: Driver, number: int, request: Request) -> None:
        self.number = number
        self.wire = self
        self.paused = False
        self._driver = driver
        self._request = request
        driver.world.check_open()
        self._task = driver.spawn(self._live(address(request)))

    _middlewares: tuple[Any, ...] = ()

    async def _live(self, where: Address) -> None:
        driver, failure = self._driver, None
        sockets: list[socket.socket] = []
        opened_sockets.set(sockets)
        try:
            async with driver.world.session(*self._middlewares) as session:
                await self._talk(session, URL(self._request.full_url, encoded=True))
        except (aiohttp.ClientError, RemoteError, OSError, ValueError) as exc:
            failure = failure_of(exc, where, driver.world)
        except Exception as exc:
            driver.fail(exc)
        finally:
            await _drop(sockets)
        if failure is not None:
            driver.run(driver.lose, self, failure)

    async def _talk(self, session: aiohttp.ClientSession, url: URL) -> None:
        raise NotImplementedError

    def _hear(self, *events: wire.WebSocketEvent | wire.ExchangeEvent) -> None:
        self._driver.run(self._driver.hear_events, self, events)

    def flush(self) -> bool:
        return False

    def finish(self) -> None:
        self.flush()

    def abort(self) -> None:
        self._task.cancel()


class _Exchange(_Link):
    """One HTTP request and its answer, as it comes; the connection is closed after it."""

    async def _talk(self, session: aiohttp.ClientSession, url: URL) -> None:
        request = self._request
        data = io.BytesIO(request.body) if request.body and len(request.body) > _LARGE else request.body
        options = self._driver.world.options([*request.headers, ("Connection", "close")])
        async with session.request(request.method, url, data=data, allow_redirects=False, **options) as response:
            self._hear(wire.ResponseStarted(status=response.status, headers=_headers(response)))
            async for piece in response.content.iter_any():
                self._hear(wire.Body(piece))
        self._hear(wire.Ended())


class _WebSocket(_Link):
    """One WebSocket. It is what its wire is told to: frames wait in ``_out`` while the socket takes no more."""

    def __init__(self, driver: Driver, number: int, request: Request) -> None:
        self._middlewares = (self._answered,)
        self._out: deque[tuple[bytes, aiohttp.WSMsgType]] = deque()
        self._said_goodbye = False
        self._owed = False  # the driver is to be told when what was written is out
        super().__init__(driver, number, request)

    async def _answered(
        self, request: aiohttp.ClientRequest, send: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]
    ) -> aiohttp.ClientResponse:
        """Sees the answer before aiohttp follows a redirect, and before it drops what a refusal says."""
        self._response = response = await send(request)
        if response.status != 101:
            body = await _beginning(response)
            response.close()
            raise refusal(response.status, _headers(response), body).error()
        if response.connection is None or response.connection.transport is None:
            raise aiohttp.ServerDisconnectedError
        self._watch = _Watch(self, response.connection.transport)
        return response

    async def _talk(self, session: aiohttp.ClientSession, url: URL) -> None:
        options = self._driver.world.options(self._request.headers)
        try:
            self._socket = await session.ws_connect(
                url, max_msg_size=MAX_MESSAGE_BYTES, autoclose=False, autoping=False, **options
            )
            self._hear(wire.Opened(headers=_headers(self._response)))
            while self._heard(await self._socket.receive()):
                pass
            while self._out and not self._watch.transport.is_closing():
                await self._watch.room.wait()
                self.flush()
            self._watch.transport.close()  # once what waits is out
            await self._watch.gone.wait()
        finally:
            if hasattr(self, "_watch"):
                self._watch.transport.abort()
                self._response.close()
                await self._watch.gone.wait()

    def _heard(self, message: Any) -> bool:
        """Whether more can come."""
        kind, data = message.type, message.data
        if kind is aiohttp.WSMsgType.TEXT:
            self._hear(wire.TextMessage(data))
        elif kind is aiohttp.WSMsgType.BINARY:
            self._hear(wire.BinaryMessage(data))
        elif kind is aiohttp.WSMsgType.PONG:
            self._hear(wire.Pong())
        elif kind is aiohttp.WSMsgType.PING:
            self._send(data, aiohttp.WSMsgType.PONG)
            self._hear()
        elif kind is aiohttp.WSMsgType.CLOSE:
            self.close(data or 1000)
            self._hear(wire.Closed(code=data or 1005, reason=message.extra or ""))
            return False
        elif kind is aiohttp.WSMsgType.ERROR and isinstance(data, aiohttp.WebSocketError):
            self._hear(wire.ProtocolBroken(failure=broken_websocket(data.code)))
            return False
        else:
            if isinstance(self._watch.lost, OSError):
                raise self._watch.lost
            self._hear(wire.Closed(code=1006))
            return False
        return True

    # What its wire is told.

    def send_text(self, text: str) -> None:
        self._send(text.encode(), aiohttp.WSMsgType.TEXT)

    def send_binary(self, data: bytes) -> None:
        self._send(data, aiohttp.WSMsgType.BINARY)

    def ping(self) -> None:
        self._send(b"", aiohttp.WSMsgType.PING)

    def close(self, code: int) -> None:
        self._send(code.to_bytes(2, "big"), aiohttp.WSMsgType.CLOSE)
        self._said_goodbye = True

    def _send(self, data: bytes, kind: aiohttp.WSMsgType) -> None:
        if not self._said_goodbye:
            self._out.append((data, kind))

    def flush(self) -> bool:
        while self._out and not self.paused and not self._watch.transport.is_closing():
            frame = self._socket.send_frame(*self._out.popleft())
            # aiohttp writes the frame in the first step; where it then waits for the socket, ``paused`` does that here.
            with suppress(StopIteration, aiohttp.ClientError):  # that the connection is lost is told anyway
                frame.send(None)
            frame.close()
            self._owed = True
        done = self._owed and not self.paused
        self._owed = self._owed and not done
        return done


class _Watch(asyncio.Protocol):
    """Stands before aiohttp's protocol to hear what it tells nobody: that the socket is full, and what it broke of."""

    def __init__(self, link: _WebSocket, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.gone = asyncio.Event()
        self.room = asyncio.Event()  # the socket is not full
        self.room.set()
        self.lost: Exception | None = None
        self._link = link
        self._protocol = cast("asyncio.Protocol", transport.get_protocol())
        self.data_received = self._protocol.data_received  # type: ignore[method-assign]
        self.eof_received = self._protocol.eof_received  # type: ignore[method-assign]
        transport.set_protocol(self)
        transport.set_write_buffer_limits(high=1, low=0)  # as the driver for asyncio has it, and for its reasons

    def pause_writing(self) -> None:
        self._link.paused = True
        self.room.clear()
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._link.paused = False
        self.room.set()
        self._protocol.resume_writing()
        self._link._hear()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = exc
        self._protocol.connection_lost(exc)
        self.gone.set()
        self.room.set()


async def _drop(sockets: list[socket.socket]) -> None:
    """Wait until what is left of them is gone: aiohttp closes them later, and over TLS when the peer likes."""
    for made in sockets:
        with suppress(OSError):  # it is closed
            made.shutdown(socket.SHUT_RDWR)  # or what waits to be written would keep it, and TLS's goodbye
    cancelled: asyncio.CancelledError | None = None
    for _ in range(_TURNS):
        if all(made.fileno() == -1 for made in sockets):
            break
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        raise cancelled


def _headers(response: aiohttp.ClientResponse) -> wire.Headers:
    return tuple((name.lower(), value) for name, value in response.headers.items())


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """As much of the body as is kept of a refusal; where it is cut short, what came of it."""
    body = b""
    with suppress(aiohttp.ClientError):
        while len(body) < MAX_REFUSAL_BYTES and (piece := await response.content.readany()):
            body += piece
    return body[:MAX_REFUSAL_BYTES]
