"""The driver for trio: sockets, TLS and timers around the core's state machines. It holds no policy.

trio connects; from then on the driver writes to the socket itself, and waits where it is full: so what the core asks
for is with the kernel before anything else happens, as it has to be with a goodbye, and costs no switch of tasks.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from os import PathLike
from typing import Any, ClassVar

try:
    import trio
except ModuleNotFoundError as exc:
    if exc.name != "trio":
        raise
    raise ImportError('the driver for trio needs trio: pip install "smallest-proto[trio]"') from exc

from smallest_proto.errors import Failure, RemoteError
from smallest_proto.requests import Request

from . import _client
from ._driver import M
from ._speech import Speech, SynthesisStream
from ._tasks import Framework, Scope, TaskDriver, TaskLink, TaskWorld, reason_of
from ._transcription import TranscriptionStream
from ._wire.proxy import open_tunnel
from ._world import READ_BYTES, Tls, World, connection_lost, no_connection, no_proxy_connection, read_file

__all__ = ["Client", "Speech", "SynthesisStream", "TranscriptionStream"]

BROKEN = (OSError, UnicodeError, trio.BrokenResourceError)  # what a connection can fail with


class _World(TaskWorld, World):
    open_nursery = staticmethod(trio.open_nursery)


class _Driver(TaskDriver[M]):
    """Lets a state machine run in trio, with sockets and a timer."""

    world: _World

    framework: ClassVar[Framework] = trio

    # Ctrl-C is for the application to hear: trio raises it there and not in a task of ours.
    @trio.lowlevel.enable_ki_protection
    async def live(self, scope: Scope, life: Any) -> None:
        await super().live(scope, life)

    async def until_ready(self) -> None:
        await trio.lowlevel.checkpoint()  # others run between two calls: a file's audio would else keep all for itself
        await super().until_ready()

    def open(self, number: int, request: Request) -> _Link:
        return _Link(self, number, request)

    @staticmethod
    async def read_file(path: str | PathLike[str]) -> bytes:
        return await trio.to_thread.run_sync(read_file, path, abandon_on_cancel=True)

    @staticmethod
    async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
        return await trio.to_thread.run_sync(function, *args)


class _Link(TaskLink):
    """One connection, over a socket that trio waits for."""

    _driver: _Driver[Any]

    async def live(self) -> None:
        driver, failure = self._driver, None
        try:
            self._socket = await self._connect()
        except RemoteError as exc:
            failure = exc.failure
        except BROKEN as exc:
            failure = no_connection(reason_of(exc), self._where)
        if self._socket is not None:
            failure = await self._read(self._socket)
        if failure is not None:
            driver.run(driver.lose, self, failure)

    async def _connect(self) -> socket.socket:
        where = self._where
        stream = await self._reach()
        try:
            if where.secure:
                assert self._driver.world.ssl_context is not None
                self._tls = Tls(self._driver.world.ssl_context, where)
                await self._tls.shake_hands(stream.send_all, stream.receive_some)
            connected = socket.socket(fileno=stream.socket.detach())
        finally:
            stream.socket.close()
        connected.setblocking(False)
        return connected

    async def _reach(self) -> trio.SocketStream:
        where, proxy = self._where, self._driver.world.proxy
        if proxy is None:
            return await trio.open_tcp_stream(where.host, where.port)  # it sets TCP_NODELAY
        try:
            stream = await trio.open_tcp_stream(proxy.host, proxy.port)
            try:
                await open_tunnel(proxy, where, stream.send_all, stream.receive_some)
            except BaseException:
                stream.socket.close()
                raise
        except BROKEN as exc:
            raise no_proxy_connection(reason_of(exc), proxy).error() from None
        return stream

    async def _read(self, connected: socket.socket) -> Failure | None:
        driver, data = self._driver, b"."
        self.flush()
        try:
            while data:
                await trio.lowlevel.wait_readable(connected)
                try:
                    data = connected.recv(READ_BYTES)
                except BlockingIOError:
                    continue
                for piece in self._tls.decrypt(data) if self._tls else (data,):
                    await driver.take(self, piece)
        except OSError as exc:
            return connection_lost(exc)
        finally:
            self._socket, self._rest = None, b""
            trio.lowlevel.notify_closing(connected)
            connected.close()
        return None

    async def drain(self) -> None:
        while self._rest:
            assert self._socket is not None
            try:
                await trio.lowlevel.wait_writable(self._socket)
            except trio.ClosedResourceError:
                return
            rest, self._rest = self._rest, b""
            self.write(rest)
        self.go_on()


class Client(_client.Client):
    """A client of the service, for any number of calls at once; its tasks live within its ``async with``.

    The key comes from ``api_key``, else from the environment variable ``SMALLEST_API_KEY``. Leaving ``async with``
    ends what is still under way. ``buffer_seconds`` of audio may be held for what a lost connection did not hear.
    Raises ``ConfigurationError`` without a key, and for a ``base_url`` that is none.
    """

    _driver = _Driver
    _world_of = _World
