"""The driver for asyncio: sockets, TLS and timers around the core's state machines. It holds no policy.

A connection is an ``asyncio.Protocol``, so that bytes go through the core without a task switch, and one task, which is
its life: when that has ended, nothing of the connection is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from os import PathLike
from typing import Any

from smallest_proto.exchange import FileTranscription
from smallest_proto.requests import Request
from smallest_proto.transcription import TranscriptionSession

from . import _client
from . import _wire as wire
from ._client import TranscriptionStream
from ._driving import Driving
from ._world import World, connection_lost, no_connection, read_file

__all__ = ["Client", "TranscriptionStream"]


class _Driver(Driving):
    """Lets a state machine run in the event loop, with sockets and a timer."""

    world: World

    def __init__(self, machine: TranscriptionSession | FileTranscription, world: World) -> None:
        super().__init__(machine, world)
        self.loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()  # one for each connection that has not wholly gone
        self._timer: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    def run(self, step: Callable[..., None], *args: Any) -> None:
        """What the event loop calls, and nobody awaits: a mistake of ours must reach those who wait for the machine."""
        try:
            step(*args)
        except Exception as exc:
            self.mistake = exc
            self._stop()
            self.changed()

    async def next(self) -> Any:
        while not self.outputs and not self.over():
            self._news.clear()
            await self._news.wait()
        return self.outputs.popleft() if self.outputs else None

    async def until_ready(self) -> None:
        await asyncio.sleep(0)  # others run between two calls: a file's audio would else keep the loop for itself
        while not self.ready():
            self._room.clear()
            await self._room.wait()

    async def close(self) -> None:  # a cancellation has to wait that moment
        self.run(self.tell, self.machine.abort)
        self._stop()
        cancelled: asyncio.CancelledError | None = None
        while self.tasks:
            try:
                await asyncio.wait(self.tasks)
            except asyncio.CancelledError as exc:
                cancelled = exc
        if cancelled is not None:
            raise cancelled

    @staticmethod
    async def read_file(path: str | PathLike[str]) -> bytes:
        return await asyncio.to_thread(read_file, path)

    def now(self) -> float:
        return self.loop.time()

    def open(self, number: int, request: Request, codec: wire.ClientWebSocket | wire.ClientExchange) -> _Link:
        return _Link(self, number, request, codec)

    def wake_at(self, due: float | None) -> None:
        # A timer that is armed for too early is left to itself: it finds nothing to do and is armed anew.
        if due is not None and (self._timer is None or due < self._timer.when()):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_at(due, self.run, self._wake)

    def changed(self) -> None:
        if not self._news.is_set() and (self.outputs or self.over()):
            self._news.set()
        if not self._room.is_set() and self.ready():
            self._room.set()

    def _wake(self) -> None:
        self._timer = None
        self.tell(self.machine.handle_timer)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.links.clear()
        for task in self.tasks:
            task.cancel()


class _Link(asyncio.Protocol):
    """One connection. Its task opens it, and ends when it is gone; cancelled, the task aborts it."""

    def __init__(self, driver: _Driver, number: int, request: Request, codec: Any) -> None:
        self.number = number
        self.wire = codec
        self.paused = False
        self._driver = driver
        self._transport: asyncio.Transport | None = None
        self._owed = False  # the driver is to be told when what was written is out
        self._gone = asyncio.Event()
        self.task = driver.loop.create_task(self._live(wire.address(request)))
        driver.tasks.add(self.task)
        self.task.add_done_callback(driver.tasks.discard)

    async def _live(self, where: wire.Address) -> None:
        driver, failure = self._driver, None
        try:
            await driver.loop.create_connection(
                lambda: self, where.host, where.port, ssl=driver.world.ssl_context if where.secure else None
            )
            await self._gone.wait()
        except (OSError, UnicodeError) as exc:
            failure = no_connection(exc, where)
        finally:
            if self._transport is not None:
                self._transport.abort()
                await self._gone.wait()
        if failure is not None:
            driver.run(driver.lose, self, failure)

    def flush(self) -> bool:
        transport = self._transport
        while transport and not transport.is_closing() and not self.paused and (data := self.wire.data_to_send()):
            transport.write(data)
            self._owed = True
        done = self._owed and not self.paused
        self._owed = self._owed and not done
        return done

    def abort(self) -> None:
        self.task.cancel()

    def finish(self) -> None:
        self.flush()
        if self._transport is not None:
            self._transport.close()

    # What asyncio calls. It sets TCP_NODELAY itself.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
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

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, OSError):
            self._driver.run(self._driver.lose, self, connection_lost(exc))
        else:
            self.eof_received()
        self._gone.set()


class Client(_client.Client):
    """A client of the service, for any number of transcriptions at once, in one event loop.

    The key comes from ``api_key``, else from the environment variable ``SMALLEST_API_KEY``. Leaving ``async with``
    ends what is still under way. ``buffer_seconds`` of audio may be held for what a lost connection did not hear.
    Raises ``ConfigurationError`` without a key, and for a ``base_url`` that is none.
    """

    _driver = _Driver
    _world_of = World
