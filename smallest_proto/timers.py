"""Named timers in one table: the core never sleeps, it says when it wants to be woken."""

from __future__ import annotations

from .values import Name


class Timer(Name):
    """What a session can wait for. One name, one deadline."""

    OPENING = "opening"  # the link must be open by then
    PACE = "pace"  # the next audio message may go out then
    LAST = "last"  # the last final must be here by then
    CLOSING = "closing"  # the link must be gone by then
    RESPONSE = "response"  # the answer of an HTTP exchange must be complete by then
    RETRY = "retry"  # open the next link then
    PING = "ping"  # send the next ping then
    PONG = "pong"  # the pong must be here by then
    WRITE = "write"  # what was sent must have left by then
    KEEPALIVE = "keepalive"  # send the gateway something by then
    ANSWER = "answer"  # a finalize must be answered by then
    TURN = "turn"  # a turn that nothing has ended is over then, if nothing follows
    UPDATE = "update"  # try the last of several option changes then
    REFUSED = "refused"  # what an error message has left of an utterance is to be judged then
    QUIET = "quiet"  # the service must have said something by then


class Alarm:
    """When to wake up for several tables. It is asked for after each message, and changes seldom."""

    __slots__ = ("due", "known")

    def __init__(self) -> None:
        self.due: float | None = None
        self.known = False  # no table has changed since ``due`` was found


class Timers(dict[Timer, float]):
    """Deadlines by name, in seconds of the caller's monotonic clock: ``timers[Timer.PING] = now + 5.0``.

    ``due`` is the earliest of them, or ``None`` if no timer runs. What a deadline waits for is stored, and looked at
    when the deadline comes. ``alarm`` is told of each change.
    """

    __slots__ = ("_alarm", "due")

    def __init__(self, alarm: Alarm | None = None) -> None:
        super().__init__()
        self._alarm = Alarm() if alarm is None else alarm
        self.due: float | None = None

    def __setitem__(self, timer: Timer, deadline: float) -> None:
        super().__setitem__(timer, deadline)
        self.due = deadline if len(self) == 1 else min(self.values())
        self._alarm.known = False

    def stop(self, timer: Timer) -> None:
        """Stop it, if it runs."""
        if self.pop(timer, None) is not None:
            self.due = min(self.values(), default=None)
            self._alarm.known = False

    def clear(self) -> None:
        """Stop all."""
        super().clear()
        self.due = None
        self._alarm.known = False

    def pop_due(self, now: float) -> Timer | None:
        """Stop and return the earliest timer whose deadline has come, or ``None``."""
        if self.due is None or self.due > now:
            return None
        timer = min(self, key=self.__getitem__)
        self.stop(timer)
        return timer
