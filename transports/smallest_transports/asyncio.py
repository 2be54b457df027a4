"""The driver for asyncio: sockets and TLS around the core's state machines. It holds no policy.

A connection is an ``asyncio.Protocol``, so that bytes go through the core without a task switch, and one task, which is
its life: when that has ended, nothing of the connection is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import ssl
from collections import deque
from functools import partial
from typing import Any, cast

from smallest_proto.errors import RemoteError
from smallest_proto.requests import Request

from . import _client
from . import _wire as wire
from ._client import TranscriptionStream
from ._event_loop import EventLoopDriving
from ._proxy import Proxy
from ._speech import Speech, SynthesisStream
from ._world import World, connection_lost, no_connection, no_proxy_connection

__all__ = ["Client", "Speech", "SynthesisStream", "TranscriptionStream"]

EYEBALLS_DELAY = 0.25  # seconds that an address has before the next one is tried beside it (RFC 8305)
_BEGINNING = 5  # turns of the loop, after which uvloop has begun with TLS


class _Driver(EventLoopDriving):
    """Lets a state machine run in the event loop, with sockets and a timer."""

    world: World

    def open(self, number: int, request: Request) -> _Link:
        return _Link(self, number, request)


class _Link(asyncio.Protocol):
    """One connection. Its task opens it, and ends when it is gone; cancelled, the task aborts it."""

    def __init__(self, driver: _Driver, number: int, request: Request) -> None:
        self.number = number
        self.wire: Any = wire.client_wire(request)
        self.paused = False
        self._driver = driver
        self._transport: asyncio.Transport | None = None
        self._owed = False  # the driver is to be told when what was written is out
        self._connected = False
        self._gone = asyncio.Event()
        self._task = driver.spawn(self._live(wire.address(request)))

    async def _live(self, where: wire.Address) -> None:
        driver, failure = self._driver, None
        try:
            await self._connect(where, driver.world.proxy, driver.world.ssl_context if where.secure else None)
            await self._gone.wait()
        except RemoteError as exc:
            failure = exc.failure
        except (OSError, UnicodeError) as exc:
            failure = no_connection(exc, where)
        finally:
            await self._end()
        if failure is not None:
            driver.run(driver.lose, self, failure)

    async def _end(self) -> None:
        """Abort the connection, or the attempt at one, and wait until nothing of it is left."""
        if self._transport is not None and not self._gone.is_set():
            self._transport.abort()
            # Of a transport that create_connection() itself gave up, uvloop never tells that it is gone.
            if self._connected or isinstance(self._driver.loop, asyncio.BaseEventLoop):
                await self._gone.wait()

    async def _connect(self, where: wire.Address, proxy: Proxy | None, context: ssl.SSLContext | None) -> None:
        made = await (_open_socket(where.host, where.port) if proxy is None else _go_through(proxy, where))
        name, loop = where.host if context is not None else None, self._driver.loop
        opening = loop.create_task(loop.create_connection(lambda: self, sock=made, ssl=context, server_hostname=name))
        try:
            await asyncio.wait((opening,))
        finally:
            if not opening.done():
                # Cancelled in its first turns, uvloop leaves the timer of a handshake behind, which holds the driver.
                for _ in range(_BEGINNING):
                    with contextlib.suppress(asyncio.CancelledError):  # for the second time
                        await asyncio.sleep(0)
                opening.cancel()
                await asyncio.wait((opening,))
            self._connected = not opening.cancelled() and opening.exception() is None
        opening.result()

    def flush(self) -> bool:
        transport = self._transport
        while transport and not transport.is_closing() and not self.paused and (data := self.wire.data_to_send()):
            transport.write(data)
            self._owed = True
        done = self._owed and not self.paused
        self._owed = self._owed and not done
        return done

    def abort(self) -> None:
        self._task.cancel()

    def finish(self) -> None:
        self.flush()
        if self._transport is not None and not self.paused:
            self._transport.close()

    # What asyncio calls. It sets TCP_NODELAY itself.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's are of no class of asyncio's
        self._transport = transport
        # What the kernel does not take at once is back-pressure: its own buffer holds seconds of audio already.
        # Not 0: over TLS asyncio compares with >=, and 0 would be over the mark for ever.
        transport.set_write_buffer_limits(high=1, low=0)
        self.flush()

    def data_received(self, data: bytes) -> None:
        self._driver.run(self._driver.hear, self, data)

    def eof_received(self) -> None:
        self._driver.run(self._driver.hear, self, b"")

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self._driver.run(self._driver.pump)
        if self._driver.links.get(self.number) is not self:
            self._driver.loop.call_soon(self.finish)  # closed in here, asyncio's transport would close twice

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, OSError):
            self._driver.run(self._driver.lose, self, connection_lost(exc))
        else:
            self.eof_received()
        self._gone.set()


async def _open_socket(host: str, port: int) -> socket.socket:
    """A connection to whichever address of a host answers first; none of the others is left.

    asyncio's own way (``happy_eyeballs_delay``) leaves a socket open where it is cancelled, and uvloop has none.
    """
    loop = asyncio.get_running_loop()
    try:  # an address needs no thread
        found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    families = [[one for one in found if one[0] is family] for family in dict.fromkeys(one[0] for one in found)]
    untried = deque(filter(None, itertools.chain.from_iterable(itertools.zip_longest(*families))))
    attempts: set[asyncio.Task[socket.socket]] = set()
    failure: BaseException = OSError("the host has no address")
    try:
        while attempts or untried:
            if untried:
                attempts.add(loop.create_task(_attempt(untried.popleft())))
            delay = EYEBALLS_DELAY if untried else None
            done, _ = await asyncio.wait(attempts, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                attempts.discard(attempt)
                if (exc := attempt.exception()) is None:
                    return attempt.result()
                failure = exc
        raise failure
    finally:
        for attempt in attempts:
            attempt.add_done_callback(_drop)
            attempt.cancel()
        if attempts:
            await asyncio.wait(attempts)


async def _attempt(found: tuple[Any, ...]) -> socket.socket:
    made = socket.socket(*found[:3])
    try:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, found[4])
    except BaseException:
        made.close()
        raise
    return made


def _drop(attempt: asyncio.Task[socket.socket]) -> None:
    """Close what came of an attempt that nobody waits for."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


async def _go_through(proxy: Proxy, where: wire.Address) -> socket.socket:
    """A connection to the service, or the ``RemoteError`` of what became of it at the proxy."""
    loop = asyncio.get_running_loop()
    try:
        made = await _open_socket(proxy.host, proxy.port)
        try:
            send, receive = partial(loop.sock_sendall, made), partial(loop.sock_recv, made, 4096)
            await wire.open_tunnel(proxy, where, send, receive)
        except BaseException:
            made.close()
            raise
    except (OSError, UnicodeError) as exc:
        raise no_proxy_connection(exc, proxy).error() from None
    return made


class Client(_client.Client):
    """A client of the service, for any number of transcriptions at once, in one event loop.

    The key comes from ``api_key``, else from the environment variable ``SMALLEST_API_KEY``. Leaving ``async with``
    ends what is still under way. ``buffer_seconds`` of audio may be held for what a lost connection did not hear.
    Raises ``ConfigurationError`` without a key, and for a ``base_url`` that is none.
    """

    _driver = _Driver
    _world_of = World
