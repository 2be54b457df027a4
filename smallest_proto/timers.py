"""Named timers in one table: the core never sleeps, it says when it wants to be woken."""

from __future__ import annotations

from .values import Name


class Timer(Name):
    """What a session can wait for. One name, one deadline."""

    OPENING = "opening"  # the link is to be open by then
    PACE = "pace"  # the next audio message may go out then
    LAST = "last"  # the last final is to be here by then
    CLOSING = "closing"  # the link is to be gone by then
    RESPONSE = "response"  # the answer of an HTTP exchange is to be whole by then
    RETRY = "retry"  # the next link is to be opened then
    PING = "ping"  # the next ping is to go out then
    PONG = "pong"  # the pong is to be here by then
    WRITE = "write"  # what was sent is to have left by then
    KEEPALIVE = "keepalive"  # the gateway is to be sent something by then
    QUIET = "quiet"  # the service is to have said something by then


class Timers:
    """Deadlines by name, in seconds of the caller's monotonic clock."""

    __slots__ = ("_deadlines",)

    def __init__(self) -> None:
        self._deadlines: dict[Timer, float] = {}

    def set(self, timer: Timer, deadline: float) -> None:
        self._deadlines[timer] = deadline

    def stop(self, timer: Timer) -> None:
        self._deadlines.pop(timer, None)

    def stop_all(self) -> None:
        self._deadlines.clear()

    def __contains__(self, timer: Timer) -> bool:
        return timer in self._deadlines

    def next(self) -> float | None:
        """The earliest deadline, or ``None`` when nothing is awaited."""
        return min(self._deadlines.values(), default=None)

    def pop_due(self, now: float) -> Timer | None:
        """Stop and return the earliest timer whose deadline has come, or ``None``."""
        if not self._deadlines:
            return None
        timer = min(self._deadlines, key=self._deadlines.__getitem__)
        if self._deadlines[timer] > now:
            return None
        del self._deadlines[timer]
        return timer
