"""Virtual time: one heap of what is due, and a clock that jumps from one to the next."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Protocol, TypeAlias

Happening: TypeAlias = Callable[[], object]

_MOST_AT_ONE_TIME = 100_000  # events without a step of the clock: somebody goes in circles


class VirtualClock:
    """Time that stands still until everything due at it has happened, then jumps to what is due next."""

    def __init__(self) -> None:
        self.now = 0.0  # seconds
        self._due: list[tuple[float, int, Happening]] = []
        self._order = count()  # what is due at the same time happens in the order in which it was asked for

    def at(self, time: float, what: Happening) -> None:
        """Call ``what`` at ``time``, in seconds; at once if that has passed."""
        heapq.heappush(self._due, (max(time, self.now), next(self._order), what))

    def after(self, seconds: float, what: Happening) -> None:
        """Call ``what`` after so many seconds."""
        self.at(self.now + seconds, what)

    def run(self, done: Callable[[], bool] = lambda: False, *, limit: float = 86400.0) -> None:
        """Let time pass until ``done()``, or until nothing is left to happen.

        Raises ``TimeoutError`` when the clock would pass ``limit``, or does not move on.
        """
        at_this_time = 0
        while self._due and not done():
            time, _, what = heapq.heappop(self._due)
            at_this_time = at_this_time + 1 if time == self.now else 0
            if time > limit or at_this_time > _MOST_AT_ONE_TIME:
                raise TimeoutError(f"not done at {time:g} s of virtual time")
            self.now = time
            what()

    def run_now(self) -> None:
        """Let everything happen that is due by now."""
        self.run(lambda: self._due[0][0] > self.now)

    def run_until(self, time: float) -> None:
        """Let everything happen that is due before ``time``, in seconds; then it is that late."""
        self.at(time, lambda: None)
        self.run(lambda: self.now >= time)
        self.run_now()


class Timed(Protocol):
    """A state machine that asks to be woken."""

    def get_timer(self) -> float | None: ...
    def handle_timer(self, now: float) -> None: ...


class Alarm:
    """Wakes a state machine when it wants to be woken."""

    def __init__(self, clock: VirtualClock, timed: Timed, settle: Callable[[], None]) -> None:
        self._clock = clock
        self._timed = timed
        self._settle = settle
        self._set_for: float | None = None

    def set(self) -> None:
        """Look at the timer again."""
        when = self._timed.get_timer()
        if when is not None and (self._set_for is None or when < self._set_for):
            self._set_for = when
            self._clock.at(when, partial(self._ring, when))

    def _ring(self, time: float) -> None:
        if time == self._set_for:  # else an earlier one has taken its place
            self._set_for = None
            when = self._timed.get_timer()
            if when is not None and when <= self._clock.now:
                self._timed.handle_timer(self._clock.now)
            self._settle()
