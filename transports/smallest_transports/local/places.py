"""A limited number of places; when all are taken, one may wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Place:
    """A place that is taken, until ``leave``, which may be called more than once, or the end of a ``with``."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave: Callable[[], None] | None = leave

    def leave(self) -> None:
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self.leave()


class Places:
    """So many places, ``None``: without end. At most ``waiting`` wait for one, in the order in which they came."""

    def __init__(self, count: int | None, *, waiting: int = 0) -> None:
        self.count = count
        self._most_waiting = waiting
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._waiting)

    def take(self) -> Place | None:
        """A place at once, or ``None``."""
        if self.count is not None and self._taken >= self.count:
            return None
        self._taken += 1
        return Place(self._give_back)

    async def wait(self, seconds: float | None = None) -> Place | None:
        """A place, as soon as there is one; ``None`` after so many seconds, or if too many wait already."""
        if (place := self.take()) is not None:
            return place
        if len(self._waiting) >= self._most_waiting:
            return None
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await asyncio.wait([turn], timeout=seconds)
        except asyncio.CancelledError:
            if turn.done():  # it came at the same moment
                self._give_back()
            raise
        finally:
            if not turn.done():
                self._waiting.remove(turn)
        return Place(self._give_back) if turn.done() else None

    def _give_back(self) -> None:
        if self._waiting:  # the place goes to the one who waits
            self._waiting.popleft().set_result(None)
        else:
            self._taken -= 1
