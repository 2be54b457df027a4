"""What the drivers in asyncio's event loop share: how to wait, the timer, and tasks that end with the driver."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from os import PathLike
from typing import Any

from ._driving import Driving, Machine
from ._world import read_file

_AT_ONCE = 0.005  # seconds


class EventLoopDriving(Driving):
    """Lets a state machine run in the event loop. Its links are tasks; when those have ended, nothing is left."""

    def __init__(self, machine: Machine, world: Any) -> None:
        super().__init__(machine, world)
        self.loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()  # one for each connection that has not wholly gone
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0  # when it comes
        self._sent_at = 0.0
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    def run(self, step: Callable[..., None], *args: Any) -> None:
        """What the event loop calls, and nobody awaits: a mistake of ours must reach those who wait for the machine."""
        try:
            step(*args)
        except Exception as exc:
            self.fail(exc)

    def fail(self, mistake: Exception) -> None:
        """End everything with a mistake of ours."""
        self.mistake = mistake
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
            self._news.clear()
            await self._news.wait()
        return self.outputs.popleft() if self.outputs else None

    async def until_ready(self) -> None:
        # Others run between two calls that follow at once: a file's audio would else keep the loop for itself. Audio
        # that comes in real time need not turn the loop once more for each message.
        now = self.loop.time()
        if now - self._sent_at < _AT_ONCE:
            await asyncio.sleep(0)
        self._sent_at = now
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

    def wake_at(self, due: float | None) -> None:
        # A timer that is armed for too early is left to itself: it finds nothing to do and is armed anew.
        if due is not None and (self._timer is None or due < self._due):
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._due = self.loop.call_at(due, self.run, self._wake), due

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
