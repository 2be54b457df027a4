"""An event loop in a thread of its own, and the calls that other threads make in it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Call(Generic[T]):
    """What one call does in the thread's loop."""

    def __init__(self) -> None:
        self.outcome: Future[T] = Future()  # told when it has wholly ended
        self.work: Coroutine[Any, Any, T] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None  # once it is about to begin
        self._task: asyncio.Task[T] | None = None

    def begin(self, under_way: set[asyncio.Task[Any]]) -> None:
        """In the loop."""
        assert self.work is not None
        self._task = asyncio.get_running_loop().create_task(self.work)
        under_way.add(self._task)
        self._task.add_done_callback(under_way.discard)
        self._task.add_done_callback(self._end)

    def cancel(self) -> None:
        """Take it back if it is under way, and wait until it has wholly ended."""
        if self.loop is not None and not self.outcome.done():
            self.loop.call_soon_threadsafe(self._cancel)
            wait([self.outcome])

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        elif self.work is not None:  # it was taken back before it could begin
            self.work.close()
            self.outcome.set_exception(asyncio.CancelledError())

    def _end(self, task: asyncio.Task[T]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(task.result())


class LoopThread:
    """An event loop in a thread of its own, with a client that is open as long as it runs."""

    def __init__(self, client: AbstractAsyncContextManager[object]) -> None:
        self._client = client
        self._calls: set[asyncio.Task[Any]] = set()  # under way
        self._begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        # A daemon, so that a program whose client nobody closed comes to its end.
        self._thread = threading.Thread(target=self._run, name="smallest-proto", daemon=True)
        self._thread.start()
        self._loop, self._over = self._begun.result()

    def start(self, call: Call[T], work: Coroutine[Any, Any, T]) -> None:
        """Let a call begin."""
        call.work, call.loop = work, self._loop
        self._loop.call_soon_threadsafe(call.begin, self._calls)

    def stop(self) -> None:
        """End it, with everything in it."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as exc:  # no loop could be made: there are no more file descriptors, say
            self._begun.set_exception(exc)

    async def _live(self) -> None:
        over = asyncio.Event()
        async with self._client:
            self._begun.set_result((asyncio.get_running_loop(), over))
            await over.wait()
            for call in self._calls:
                call.cancel()
            while self._calls:
                await asyncio.wait(self._calls)
