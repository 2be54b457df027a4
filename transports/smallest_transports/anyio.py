"""The driver for anyio, on asyncio (uvloop too) or trio: connections and timers around the core's state machines.

It holds no policy. anyio connects and reads; what is sent the driver writes to the socket itself, and waits where that
is full: so it is with the kernel before anything else happens, and costs no switch of tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any, ClassVar

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
from ._driver import M
from ._speech import Speech, SynthesisStream
from ._tasks import Framework, TaskDriver, TaskLink, TaskWorld, reason_of
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


class _Link(TaskLink):
    """One connection, over a stream of anyio's."""

    _driver: _Driver[Any]
    _stream: SocketStream | None = None

    async def live(self) -> None:
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
        try:
            if where.secure:
                assert self._driver.world.ssl_context is not None
                self._tls = Tls(self._driver.world.ssl_context, where)
                await self._tls.shake_hands(stream.send, stream.receive)
            # To write to. anyio closes its own where that fails, though a refusal of what still comes can be there.
            self._socket = stream.extra(SocketAttribute.raw_socket).dup()
            self._socket.setblocking(False)
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
        self.flush()
        while data:
            try:
                data = await stream.receive()
            except anyio.EndOfStream:
                data = b""
            except BROKEN as exc:
                assert self._socket is not None
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

    async def drain(self) -> None:
        assert self._stream is not None
        try:
            await self._stream.send(bytes(self._rest))
        except BROKEN:
            return
        self._rest = b""
        self.go_on()


class Client(_client.Client):
    """A client of the service, for any number of calls at once; its tasks live within its ``async with``.

    The key comes from ``api_key``, else from the environment variable ``SMALLEST_API_KEY``. Leaving ``async with``
    ends what is still under way. ``buffer_seconds`` of audio may be held for what a lost connection did not hear.
    Raises ``ConfigurationError`` without a key, and for a ``base_url`` that is none.
    """

    _driver = _Driver
    _world_of = _World
