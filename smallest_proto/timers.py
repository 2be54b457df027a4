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


class Timers(dict[Timer, float]):
    """Deadlines by name, in seconds of the caller's monotonic clock: ``timers[Timer.PING] = now + 5.0``.

    A dict, as each message of audio sets and asks for some: what a dict does in C costs a fraction of a method.
    """

    __slots__ = ()

    def stop(self, timer: Timer) -> None:
        """Stop it, if it runs."""
        self.pop(timer, None)

    def next(self) -> float | None:
        """The earliest deadline, or ``None`` if no timer runs."""
        return min(self.values(), default=None)

    def pop_due(self, now: float) -> Timer | None:
        """Stop and return the earliest timer whose deadline has come, or ``None``."""
        if not self:
            return None
        timer = min(self, key=self.__getitem__)
        if self[timer] > now:
            return None
        del self[timer]
        return timer
