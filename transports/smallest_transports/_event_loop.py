"""What the drivers in asyncio's event loop share: how to wait, the timer, and connections with their tasks."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterator
from os import PathLike
from typing import Any, cast

from smallest_proto.errors import Failure, RemoteError
from smallest_proto.requests import Request

from . import _wire as wire
from ._driver import LATE, MAX_TURNS, QUIET_TURNS, Driver, M, Wire
from ._world import Tls, connection_lost, left_in, no_connection, read_file

_AT_ONCE = 0.005  # seconds
_IN_A_ROW = 10  # messages: half a second that others wait where whoever gives audio never waits for anything


class EventLoopDriver(Driver[M]):
    """Lets a state machine run in the event loop. Its links are tasks; when those have ended, nothing is left."""

    def __init__(self, machine: M, world: object) -> None:
        super().__init__(machine, world)
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self.tasks: set[asyncio.Task[None]] = set()  # one for each connection that has not wholly gone
        self._timer: asyncio.Handle | None = None
        self._sent_at = 0.0
        self._in_a_row = 0  # messages taken at once

    def run(self, step: Callable[..., None], *args: Any) -> None:
        """What the event loop calls, and nobody awaits: a mistake of ours must reach those who wait for the machine."""
        try:
            step(*args)
        except Exception as exc:
            self.fail(exc)

    def fail(self, mistake: Exception) -> None:
        """End everything with a mistake of ours."""
        self.mistake = mistake
        if self.log is not None:
            self.log.wrong(mistake)
        self._stop()
        self.changed()

    def spawn(self, life: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """The task that is the life of a connection."""
        task = self.loop.create_task(life)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def next(self) -> Any:
        while not self.outputs and not self.over():
            await self._sleep(self.readers)
        return self.outputs.popleft() if self.outputs else None

    def takes_at_once(self) -> bool:
        # Others run between two calls that follow at once: a file's audio would else keep the loop for itself. Audio
        # that comes in real time need not turn the loop once more for each message; for some it must, as where it comes
        # from a call that blocks (a microphone's) nothing else turns it, and for all while the connection is opened.
        now = self.now()
        follows, self._sent_at = now - self._sent_at < _AT_ONCE, now
        if follows or not self.heard or self._in_a_row == _IN_A_ROW:
            self._in_a_row = 0
            return False
        self._in_a_row += 1
        return self.takes()

    async def until_ready(self) -> None:
        await asyncio.sleep(0)
        while not self.ready():
            await self._sleep(self.writers)

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

    def wake_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self.due = self.loop.call_at(due, self.run, self._wake), due

    def wake_up(self, sleeper: asyncio.Future[None]) -> None:
        if not sleeper.done():
            sleeper.set_result(None)

    async def _sleep(self, among: list[asyncio.Future[None]]) -> None:
        sleeper = self.loop.create_future()
        among.append(sleeper)
        try:
            await sleeper
        finally:
            among.remove(sleeper)

    def _wake(self) -> None:
        late = self.loop.time() - self.due
        if late > LATE:
            self.late = max(self.late, late)
            self._settle(0, 0, self.heard)
        else:
            self._judge()

    def _settle(self, turns: int, quiet: int, heard: int) -> None:
        """Let what came while the loop was held up be heard: then a deadline is judged."""
        quiet = quiet + 1 if heard == self.heard else 0
        if quiet > QUIET_TURNS or turns > MAX_TURNS:
            self._judge()
        else:  # nothing is due before that
            self._timer = self.loop.call_soon(self.run, self._settle, turns + 1, quiet, self.heard)
            self.due = -math.inf

    def _judge(self) -> None:
        self._timer, self.due = None, math.inf
        self.tell(self.machine.handle_timer)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self.due = None, math.inf
        self.links.clear()
        for task in self.tasks:
            task.cancel()


class EventLoopLink(asyncio.Protocol):
    """One connection, which each driver opens in its own way.

    It is an ``asyncio.Protocol``, so that bytes go through the core without a task switch, and one task, which is its
    life: when that has ended, nothing of the connection is left. Cancelled, the task aborts it.
    """

    _driver: EventLoopDriver[Any]

    def __init__(self, driver: EventLoopDriver[Any], number: int, request: Request) -> None:
        self.number = number
        self.wire = cast("Wire", wire.client_wire(request))  # an exchange is sent no messages
        self.paused = False
        self.gone = asyncio.Event()
        self._driver = driver
        self._request = request
        self._where = wire.address(request)
        self._transport: asyncio.Transport | None = None
        self._tls: Tls | None = None  # where it is not the transport's
        self._over_tls = False  # which is the transport's: what comes is decrypted before it is here
        self.owed = False
        self._task = driver.spawn(self._live())

    async def live(self) -> None:
        """Open the connection, be its protocol, and wait until it is gone. Raises what it could not be opened for."""
        raise NotImplementedError

    def failure(self, exc: Exception) -> Failure | None:
        """What it could not be opened for; ``None`` for what is a mistake of ours."""
        if isinstance(exc, RemoteError):
            return exc.failure
        return no_connection(exc, self._where) if isinstance(exc, (OSError, UnicodeError)) else None

    async def _live(self) -> None:
        driver = self._driver
        try:
            await self.live()
        except Exception as exc:
            if (failure := self.failure(exc)) is None:
                driver.fail(exc)
            else:
                driver.run(driver.lose, self, failure)
        finally:
            await self._end()

    async def _end(self) -> None:
        """Abort the connection, and wait until nothing of it is left."""
        self._cut()
        if self._transport is not None:
            await self.gone.wait()

    def _cut(self) -> None:
        if self._transport is not None and not self.gone.is_set():
            self._transport.abort()

    def flush(self) -> bool:
        transport = self._transport
        while self.wire.out and transport is not None and not self.paused and not transport.is_closing():
            data = self.wire.data_to_send()
            transport.write(data if self._tls is None else self._tls.encrypt(data))
            self.owed = True
        done = self.owed and not self.paused
        if done:
            self.owed = False
        return done

    def abort(self) -> None:
        self._task.cancel()

    def finish(self) -> None:
        self.flush()
        if self._transport is not None and not self.paused and not self._transport.is_closing():
            if self._tls is not None:
                self._transport.write(self._tls.goodbye())
            self._transport.close()

    # What asyncio calls. It sets TCP_NODELAY itself.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's are of no class of asyncio's
        self._transport = transport
        self._over_tls = transport.get_extra_info("ssl_object") is not None  # one that was closed twice cannot tell
        # What the kernel does not take at once is back-pressure: its own buffer holds seconds of audio already.
        # Not 0: over TLS asyncio compares with >=, and 0 would be over the mark for ever.
        transport.set_write_buffer_limits(high=1, low=0)
        self.flush()

    def data_received(self, data: bytes) -> None:
        driver = self._driver
        try:
            for piece in self._tls.decrypt(data) if self._tls else (data,):
                driver.run(driver.hear, self, piece)
        except OSError as exc:  # of TLS
            driver.run(driver.lose, self, connection_lost(exc))
            self.abort()
        if self.wire.unread and self._transport is not None:
            self._transport.pause_reading()
            driver.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._driver.run(self._driver.hear, self, None)
        if self.wire.unread:
            self._driver.loop.call_soon(self._read_on)
        else:
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        self.data_received(b"")
        # The transport stays until what is unread was read in its turns; over its own TLS it cannot.
        return bool(self.wire.unread) and not self._over_tls

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self._driver.run(self._driver.pump, self._driver.now())
        if self._driver.links.get(self.number) is not self:
            self._driver.loop.call_soon(self.finish)  # closed in here, asyncio's transport would close twice

    def connection_lost(self, exc: Exception | None) -> None:
        driver = self._driver
        # A server that refuses what is sent to it closes while it still comes: writing fails, and its answer is there.
        for data in self._left() if isinstance(exc, OSError) else ():
            self.data_received(data)
        while self.wire.unread and driver.links.get(self.number) is self:
            driver.run(driver.hear, self, None)
        if isinstance(exc, OSError):
            driver.run(driver.lose, self, connection_lost(exc))
        else:
            driver.run(driver.hear, self, b"")
        self.gone.set()

    def _left(self) -> Iterator[bytes]:
        """What the kernel still holds of what the peer said, where it can be read."""
        if self._transport is not None and not self._over_tls:
            yield from left_in(self._transport.get_extra_info("socket"))
