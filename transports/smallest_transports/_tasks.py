"""What the drivers for trio and anyio share: their nurseries, cancel scopes and events are alike. No framework; pure.

All that a driver starts runs in its client's nursery, each task in a scope of its own that is shielded: nobody but the
driver ends it, so what the application is cancelled with finds everything in order, and no error of the application's
is ever wrapped in a group.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from smallest_proto.errors import LocalProtocolError
from smallest_proto.requests import Request

from . import _wire as wire
from ._driver import LATE, MAX_TURNS, QUIET_TURNS, Driver, Link, M, Wire

if TYPE_CHECKING:
    import socket

    from typing_extensions import Self

    from ._world import Tls


class Scope(Protocol):
    """A cancel scope."""

    deadline: float  # seconds of the framework's clock

    def cancel(self) -> None: ...
    def __enter__(self) -> Any: ...
    def __exit__(self, *exc: Any) -> Any: ...


class Event(Protocol):
    """Something that happens once."""

    def set(self) -> Any: ...
    async def wait(self) -> None: ...


class Nursery(Protocol):
    """Where tasks live: a trio nursery, an anyio task group."""

    def start_soon(self, function: Any, /, *args: Any) -> Any: ...


class Framework(Protocol):
    """What trio and anyio, the modules, have in common."""

    def CancelScope(self, *, shield: bool = ...) -> Scope: ...
    def Event(self) -> Event: ...
    def current_time(self) -> float: ...
    async def sleep(self, seconds: float, /) -> None: ...
    async def sleep_forever(self) -> Any: ...


class TaskWorld:
    """The part of a world that is a nursery; it is open from its client's ``__aenter__`` to its ``__aexit__``."""

    _manager: AbstractAsyncContextManager[Nursery] | None = None
    _nursery: Nursery | None = None

    @property
    def nursery(self) -> Nursery:
        """Raises ``LocalProtocolError`` outside the client's ``async with``."""
        if self._nursery is None:
            raise LocalProtocolError("the client is not open: use it within `async with Client(...) as client:`")
        return self._nursery

    @staticmethod
    def open_nursery() -> AbstractAsyncContextManager[Nursery]:
        """What a framework gives."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        if self._manager is not None:
            raise LocalProtocolError("the client is open already: enter it once, or make another one")
        self._manager = self.open_nursery()
        self._nursery = await self._manager.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._manager is not None
        manager, self._manager, self._nursery = self._manager, None, None
        await manager.__aexit__(None, None, None)


class TaskDriver(Driver[M]):
    """Lets a state machine run with a nursery's tasks: one for its timer, others for its links."""

    world: TaskWorld

    framework: ClassVar[Framework]

    def __init__(self, machine: M, world: TaskWorld) -> None:
        super().__init__(machine, world)
        self.now = self.framework.current_time
        self._nursery = world.nursery
        self._lives: set[Scope] = set()  # of the tasks that have not wholly gone
        self._nap = self.framework.CancelScope()  # of the timer; its deadline is when to wake up
        self._closers: list[Event] = []  # who wait for them

    def start(self, life: Callable[[], Awaitable[None]]) -> Scope:
        """Start a task; it ends with its scope, or with the driver."""
        scope = self.framework.CancelScope(shield=True)
        self._lives.add(scope)
        self._nursery.start_soon(self.live, scope, life)
        return scope

    async def live(self, scope: Scope, life: Callable[[], Awaitable[None]]) -> None:
        """A task from its start to its end. It raises nothing."""
        try:
            with scope:
                await life()
        except Exception as exc:
            self._fail(exc)
        finally:
            self._lives.discard(scope)
            for sleeper in self._closers:
                sleeper.set()

    def run(self, step: Callable[..., None], *args: Any) -> None:
        """What a task does, and nobody awaits: a mistake of ours must reach those who wait for the machine."""
        try:
            step(*args)
        except Exception as exc:
            self._fail(exc)

    async def next(self) -> Any:
        await self.framework.sleep(0)
        while not self.outputs and not self.over():
            await self._sleep(self.readers)
        return self.outputs.popleft() if self.outputs else None

    async def until_ready(self) -> None:
        while not self.ready():
            await self._sleep(self.writers)

    async def __aenter__(self) -> Self:
        self.start(self._tick)
        return self

    async def close(self) -> None:
        self.run(self.tell, self.machine.abort)
        # A link that was let go this moment has its goodbye in hand: its task writes what the socket takes at once. In
        # the first turn that task may come after this one.
        cancelled = await self._shielded(self.framework.sleep, 0)
        cancelled = await self._shielded(self.framework.sleep, 0) or cancelled
        self._stop()
        while self._lives:
            cancelled = await self._shielded(self._sleep, self._closers) or cancelled
        if cancelled is not None:
            raise cancelled

    def wake_at(self, due: float) -> None:
        self._nap.deadline = self.due = due

    def wake_up(self, sleeper: Event) -> None:
        sleeper.set()

    async def _sleep(self, among: list[Event]) -> None:
        sleeper = self.framework.Event()
        among.append(sleeper)
        try:
            await sleeper.wait()
        finally:
            among.remove(sleeper)

    async def _tick(self) -> None:
        while True:
            with self._nap:
                await self.framework.sleep_forever()
            if (late := self.now() - self._nap.deadline) > LATE:
                self.late = max(self.late, late)
                await self._settle()
            self._nap, self.due = self.framework.CancelScope(), math.inf
            self.run(self.tell, self.machine.handle_timer)

    async def _settle(self) -> None:
        """Let what came while the loop was held up be heard: then a deadline is judged."""
        quiet, heard = 0, self.heard
        for _ in range(MAX_TURNS):
            await self.framework.sleep(0)
            quiet, heard = (quiet + 1 if heard == self.heard else 0), self.heard
            if quiet > QUIET_TURNS:
                break

    async def take(self, link: Link, data: bytes) -> None:
        """Hear what came over a link, at most so much in a turn that others have theirs."""
        self.run(self.hear, link, data)
        while link.wire.unread and self.links.get(link.number) is link:
            await self.framework.sleep(0)
            self.run(self.hear, link, None)

    async def _shielded(self, wait: Callable[..., Awaitable[None]], *args: Any) -> BaseException | None:
        """Wait whatever happens; what gets through the shield (asyncio's own cancellation) is raised afterwards."""
        try:
            with self.framework.CancelScope(shield=True):
                await wait(*args)
        except BaseException as exc:
            return exc
        return None

    def _fail(self, mistake: Exception) -> None:
        self.mistake = mistake
        if self.log is not None:
            self.log.wrong(mistake)
        self._stop()
        self.changed()

    def _stop(self) -> None:
        self.links.clear()
        for scope in self._lives:
            scope.cancel()


class TaskLink:
    """One connection: a task that is its life, and another one while its socket is full.

    What is sent is written to the socket here, so that it is with the kernel before anything else happens, as it has to
    be with a goodbye, and costs no switch of tasks.
    """

    def __init__(self, driver: TaskDriver[Any], number: int, request: Request) -> None:
        self.number = number
        self._driver = driver
        self.wire = cast("Wire", wire.client_wire(request))  # an exchange is sent no messages
        self.paused = self.owed = False
        self._where = wire.address(request)
        self._socket: socket.socket | None = None  # while it is open
        self._tls: Tls | None = None
        self._rest: bytes | memoryview = b""  # of what was written: the kernel has not taken it
        self._scope = driver.start(self.live)

    async def live(self) -> None:
        """Open the connection, read, and close it."""
        raise NotImplementedError

    async def drain(self) -> None:
        """Wait until the socket has taken the rest, or is closed; then ``go_on``, if it has."""
        raise NotImplementedError

    def flush(self) -> bool:
        while self.wire.out and self._socket is not None and not self.paused:
            data = self.wire.data_to_send()
            self.owed = True
            self.write(data if self._tls is None else self._tls.encrypt(data))
        done = self.owed and not self.paused
        self.owed = self.owed and not done
        return done

    def abort(self) -> None:
        self._scope.cancel()

    def finish(self) -> None:
        self.flush()
        if not self.paused:
            self.abort()

    def write(self, data: bytes | memoryview) -> None:
        """Give it to the socket; what that does not take is the rest."""
        if self._socket is None:
            return  # it was closed in the turn in which it could be written to
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # reading tells what has become of the connection
        if sent < len(data):
            self._rest = memoryview(data)[sent:]
            if not self.paused:
                self.paused = True
                self._driver.start(self.drain)

    def go_on(self) -> None:
        """The socket takes more."""
        driver, self.paused = self._driver, False
        driver.run(driver.pump, driver.now())
        if driver.links.get(self.number) is not self:
            self.finish()


def reason_of(exc: BaseException) -> Any:
    """What lies under an error of a framework: the ``OSError`` of the socket; the first, where many were tried.

    A ``UnicodeError``, which a host's name can be met with, comes back as it is.
    """
    found = exc
    while (cause := found.__cause__) is not None:
        found = getattr(cause, "exceptions", (cause,))[0]
    for error in (found, exc):
        if isinstance(error, (OSError, UnicodeError)):
            return error
    return ConnectionResetError("the peer is gone")
