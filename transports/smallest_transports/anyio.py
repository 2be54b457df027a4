"""The driver for anyio, on asyncio (uvloop too) or trio: connections and timers around the core's state machines.

It holds no policy. anyio connects and reads; what is sent the driver writes to the socket itself, and waits where that
is full: so it is with the kernel before anything else happens, and costs no switch of tasks.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from os import PathLike
from typing import Any, ClassVar, cast

try:
    import anyio
except ModuleNotFoundError as exc:
    if exc.name != "anyio":
        raise
    raise ImportError('the driver for anyio needs anyio: pip install "smallest-proto[anyio]"') from exc

from anyio.abc import SocketAttribute, SocketStream

from smallest_proto.errors import Failure, RemoteError
from smallest_proto.requests import Request

from . import _client
from . import _wire as wire
from ._driver import M, Wire
from ._speech import Speech, SynthesisStream
from ._tasks import Framework, TaskDriver, TaskWorld, reason_of
from ._transcription import TranscriptionStream
from ._wire.proxy import open_tunnel
from ._world import Tls, World, connection_lost, left_in, no_connection, no_proxy_connection, read_file

__all__ = ["Client", "Speech", "SynthesisStream", "TranscriptionStream"]

# What a connection can fail with.
BROKEN = (OSError, UnicodeError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


class _World(TaskWorld, World):
    open_nursery = staticmethod(anyio.create_task_group)


class _Driver(TaskDriver[M]):
    """Lets a state machine run in anyio, with streams and a timer."""

    world: _World
    framework: ClassVar[Framework] = anyio

    async def until_ready(self) -> None:
        await anyio.lowlevel.checkpoint()  # others run between two calls: a file's audio would else keep all for itself
        await super().until_ready()

    def open(self, number: int, request: Request) -> _Link:
        return _Link(self, number, request)

    @staticmethod
    async def read_file(path: str | PathLike[str]) -> bytes:
        return await anyio.to_thread.run_sync(read_file, path, abandon_on_cancel=True)

    @staticmethod
    async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
        return await anyio.to_thread.run_sync(function, *args)


class _Link:
    """One connection. Its task opens it, reads, and closes it; another one waits where its socket is full."""

    def __init__(self, driver: _Driver[Any], number: int, request: Request) -> None:
        self.number = number
        self.wire = cast("Wire", wire.client_wire(request))  # an exchange is sent no messages
        self.paused = False
        self._driver = driver
        self._where = wire.address(request)
        self._stream: SocketStream | None = None
        self._tls: Tls | None = None
        self._socket: socket.socket | None = None  # the stream's
        self._rest = b""  # of what was written: the kernel has not taken it
        self.owed = False
        self._scope = driver.start(self._live)

    async def _live(self) -> None:
        driver, failure = self._driver, None
        try:
            self._stream = await self._connect()
        except RemoteError as exc:
            failure = exc.failure
        except BROKEN as exc:
            failure = no_connection(reason_of(exc), self._where)
        if self._stream is not None:
            try:
                failure = await self._read(self._stream)
            finally:
                if self._socket is not None:
                    self._socket.close()
                    self._socket = None
                await anyio.aclose_forcefully(self._stream)
        if failure is not None:
            driver.run(driver.lose, self, failure)

    async def _connect(self) -> SocketStream:
        where, stream = self._where, await self._reach()
        if not where.secure:
            return stream
        try:
            assert self._driver.world.ssl_context is not None
            self._tls = Tls(self._driver.world.ssl_context, where)
            await self._tls.shake_hands(stream.send, stream.receive)
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise
        return stream

    async def _reach(self) -> SocketStream:
        where, proxy = self._where, self._driver.world.proxy
        if proxy is None:
            return await anyio.connect_tcp(where.host, where.port)  # it sets TCP_NODELAY
        try:
            stream = await anyio.connect_tcp(proxy.host, proxy.port)
            try:
                await open_tunnel(proxy, where, stream.send, stream.receive)
            except BaseException:
                await anyio.aclose_forcefully(stream)
                raise
        except BROKEN as exc:
            raise no_proxy_connection(reason_of(exc), proxy).error() from None
        return stream

    async def _read(self, stream: SocketStream) -> Failure | None:
        data = b"."
        # To write to; and anyio closes its own where that fails: a server that refuses what still comes has said why.
        self._socket = stream.extra(SocketAttribute.raw_socket).dup()
        self._socket.setblocking(False)
        self.flush()
        while data:
            try:
                data = await stream.receive()
            except anyio.EndOfStream:
                data = b""
            except BROKEN as exc:
                for left in left_in(self._socket):
                    await self._take(left)
                return connection_lost(reason_of(exc))
            try:
                await self._take(data)
            except OSError as exc:  # of TLS
                return connection_lost(exc)
        return None

    async def _take(self, data: bytes) -> None:
        for piece in self._tls.decrypt(data) if self._tls else (data,):
            await self._driver.take(self, piece)

    def flush(self) -> bool:
        while self.wire.out and self._socket is not None and not self.paused:
            data = self.wire.data_to_send()
            self.owed = True
            self._write(self._socket, data if self._tls is None else self._tls.encrypt(data))
        done = self.owed and not self.paused
        self.owed = self.owed and not done
        return done

    def abort(self) -> None:
        self._scope.cancel()

    def finish(self) -> None:
        self.flush()
        if not self.paused:
            self.abort()

    def _write(self, connected: socket.socket, data: bytes) -> None:
        try:
            sent = connected.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # reading tells what has become of the connection
        if sent < len(data):
            self._rest, self.paused = data[sent:], True
            self._driver.start(self._drain)

    async def _drain(self) -> None:
        driver = self._driver
        assert self._stream is not None
        try:
            await self._stream.send(self._rest)
        except BROKEN:
            return
        self._rest, self.paused = b"", False
        driver.run(driver.pump, driver.now())
        if driver.links.get(self.number) is not self:
            self.finish()


class Client(_client.Client):
    """A client of the service, for any number of calls at once; its tasks live within its ``async with``.

    The key comes from ``api_key``, else from the environment variable ``SMALLEST_API_KEY``. Leaving ``async with``
    ends what is still under way. ``buffer_seconds`` of audio may be held for what a lost connection did not hear.
    Raises ``ConfigurationError`` without a key, and for a ``base_url`` that is none.
    """

    _driver = _Driver
    _world_of = _World
