"""One link over aiohttp: aiohttp connects, and the bytes are ours, so that a frame is what it is everywhere."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import msgspec

from smallest_proto.errors import Failure
from smallest_proto.requests import Request
from smallest_transports import _events as wire
from smallest_transports._driver import M, Wire
from smallest_transports._event_loop import EventLoopDriver, EventLoopLink
from smallest_transports._wire import client_wire

from .connector import Connector, failure_of, opened_sockets

_TURNS = 20  # of the loop, in which a connection that was dropped is gone: aiohttp has no way to wait for it


class Driver(EventLoopDriver[M]):
    """Lets a state machine run in the event loop, with aiohttp's connections and a timer."""

    world: Connector

    def open(self, number: int, request: Request) -> _Link:
        return _Link(self, number, request)

    def hear_events(self, link: Any, events: Sequence[wire.WebSocketEvent | wire.ExchangeEvent]) -> None:
        if not link.answered:
            for event in events:
                if isinstance(event, (wire.Opened, wire.ResponseStarted)):
                    link.answered = True
                    self.world.keep_cookies(event.headers, link.url)
        super().hear_events(link, events)


class _Link(EventLoopLink):
    """One connection."""

    _driver: Driver[Any]

    def __init__(self, driver: Driver[Any], number: int, request: Request) -> None:
        driver.world.check_open()
        self.url = request.full_url
        self.answered = False  # the head of the answer was read
        super().__init__(driver, number, request)

    async def live(self) -> None:
        sockets: list[socket.socket] = []
        opened_sockets.set(sockets)
        try:
            async with self._driver.world.session() as session:
                connection, headers = await self._driver.world.connect(session, self._request)
                try:
                    self.wire = cast("Wire", client_wire(msgspec.structs.replace(self._request, headers=headers)))
                    self._take_over(connection.transport)
                    await self.gone.wait()
                finally:
                    # At once: a second cancellation ends what waits. And in this order: asyncio's transport of TLS
                    # cannot be aborted once it was closed twice, and waits for the peer's goodbye for ever.
                    self._cut()
                    connection.close()
                    await self._end()
        finally:
            await _drop(sockets)

    def failure(self, exc: Exception) -> Failure | None:
        return failure_of(exc, self._where, self._driver.world)

    def _take_over(self, transport: asyncio.Transport | None) -> None:
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the peer is gone")
        self._before = cast("asyncio.Protocol", transport.get_protocol())  # aiohttp's
        transport.set_protocol(self)
        self.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._before.connection_lost(exc)
        super().connection_lost(exc)


async def _drop(sockets: list[socket.socket]) -> None:
    """Wait until these are closed: aiohttp itself closes them later, and over TLS when the peer says goodbye."""
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
