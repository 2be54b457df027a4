"""The driver for asyncio: sockets and TLS around the core's state machines. It holds no policy."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import deque
from functools import partial
from typing import Any

from smallest_proto.requests import Request

from . import _client
from . import _wire as wire
from ._driver import M
from ._event_loop import EventLoopDriver, EventLoopLink
from ._proxy import Proxy
from ._speech import Speech, SynthesisStream
from ._transcription import TranscriptionStream
from ._world import READ_BYTES, Tls, World, no_proxy_connection

__all__ = ["Client", "Speech", "SynthesisStream", "TranscriptionStream"]

EYEBALLS_DELAY = 0.25  # seconds until the next address is tried as well (RFC 8305)


class _Driver(EventLoopDriver[M]):
    """Lets a state machine run in the event loop, with sockets and a timer."""

    world: World

    def open(self, number: int, request: Request) -> _Link:
        return _Link(self, number, request)


class _Link(EventLoopLink):
    """One connection: a socket, with TLS of our own, so that what the peer said can be read whatever became of it."""

    _driver: _Driver[Any]

    async def live(self) -> None:
        loop, where, world = self._driver.loop, self._where, self._driver.world
        made = await (_open_socket(where.host, where.port) if world.proxy is None else _go_through(world.proxy, where))
        try:
            if where.secure:
                assert world.ssl_context is not None
                self._tls = Tls(world.ssl_context, where)
                await self._tls.shake_hands(partial(loop.sock_sendall, made), partial(loop.sock_recv, made, READ_BYTES))
            # This takes a few turns of the loop, and no network. If it were cancelled, uvloop would leak the socket.
            await _whole(loop.create_connection(lambda: self, sock=made))
        finally:
            if self._transport is None:
                made.close()
            elif self.gone.is_set():
                # Gone before uvloop had taken the socket over: its descriptor is closed, and may be another's by now.
                made.detach()
        await self.gone.wait()


async def _whole(work: Any) -> None:
    """Await something to its end; a cancellation takes effect only after it."""
    task, cancelled = asyncio.ensure_future(work), None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        raise cancelled
    task.result()


async def _open_socket(host: str, port: int) -> socket.socket:
    """A connection to whichever address of a host answers first; none of the others is left.

    asyncio's own way (``happy_eyeballs_delay``) leaves a socket open where it is cancelled, and uvloop has none.
    """
    loop = asyncio.get_running_loop()
    try:  # an address needs no thread
        addresses = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    families = [[one for one in addresses if one[0] is family] for family in dict.fromkeys(one[0] for one in addresses)]
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


async def _attempt(address: tuple[Any, ...]) -> socket.socket:
    made = socket.socket(*address[:3])
    try:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, address[4])
    except BaseException:
        made.close()
        raise
    return made


def _drop(attempt: asyncio.Task[socket.socket]) -> None:
    """Close the connection that an abandoned attempt made."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


async def _go_through(proxy: Proxy, where: wire.Address) -> socket.socket:
    """A connection to the service through the proxy. Raises the ``RemoteError`` that says why there is none."""
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
