"""An event loop in virtual time: real sockets on loopback, real tasks, and no waiting.

While nothing is to be read or written, its clock jumps to the next timer. What would run on a thread runs in the loop,
so that a slow recogniser takes no time either. The loop's clock is the one clock: code that asks ``time.time()`` for
deadlines is not fooled.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_LOOKS = 3  # at the sockets before the clock jumps: what was just sent to loopback can take a moment to be there
_OUTSIDE = 5.0  # seconds of real time without a timer and without a message: nothing will ever happen


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; ``run`` runs a coroutine in a new one."""

    def __init__(self) -> None:
        self._virtual_now = 0.0
        super().__init__(_Jumping(self))  # type: ignore[arg-type] - all that a selector is asked for

    def time(self) -> float:
        """Virtual seconds."""
        return self._virtual_now

    def jump(self, seconds: float) -> None:
        """Let so much time pass at once."""
        self._virtual_now += seconds

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Run it here and now."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class _Jumping:
    """A selector that lets its loop's clock jump where it would wait."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._selector = selectors.DefaultSelector()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._selector, name)

    def select(self, timeout: float | None = None) -> list[Any]:
        for _ in range(_LOOKS if timeout != 0 else 1):
            if events := self._selector.select(0):
                return events
        if timeout is None:
            if not (events := self._selector.select(_OUTSIDE)):
                raise TimeoutError("nothing is waited for, and the loop has not ended")
            return events
        self._loop.jump(max(0.0, timeout))
        return []


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` to its end, as ``asyncio.run`` does."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main)
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()
