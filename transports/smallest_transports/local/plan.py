"""What a plan of the service allows at once, and in a minute: more is answered with 429, as there."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from smallest_proto.checks import check_whole
from smallest_proto.server.answers import Response, error_answer, synthesis_error_answer
from smallest_proto.values import Value

from .places import Places

MINUTE = 60.0  # seconds
RETRY_AFTER = 1  # seconds: for a client that does too much at once


class Plan(Value, frozen=True, kw_only=True):
    """The limits of a plan. The defaults are those of the standard plan (the vendor's page on concurrency, 2026).

    Raises ``ConfigurationError`` for a limit below 1.
    """

    live: int = 100  # live transcriptions at once
    requests: int = 1  # syntheses at once, by HTTP and by sockets
    sockets: int = 5  # synthesis sockets at once
    files_a_minute: int = 25  # of each model

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            check_whole(name, getattr(self, name), 1, None, "of a plan")


PLANS: Mapping[str, Plan] = {"standard": Plan()}


class Limits:
    """How much of a plan is in use; without a plan there is no limit."""

    def __init__(self, plan: Plan | None = None) -> None:
        self._plan = plan
        self.live = Places(plan.live if plan is not None else None)
        self.requests = Places(plan.requests if plan is not None else None)
        self.sockets = Places(plan.sockets if plan is not None else None)
        self._files: dict[str, deque[float]] = {}  # of each model: when files came, within the last minute

    def file(self, model: str, now: float, request_id: str) -> Response | None:
        """A file comes: the answer that refuses it, or ``None``."""
        if self._plan is None:
            return None
        times = self._files.setdefault(model, deque())
        while times and times[0] <= now - MINUTE:
            times.popleft()
        if len(times) < self._plan.files_a_minute:
            times.append(now)
            return None
        wait = max(1, round(times[0] + MINUTE - now))
        message = f"rate limit exceeded: {self._plan.files_a_minute} requests a minute"
        return error_answer(429, message, request_id, headers=(("Retry-After", str(wait)),))

    def too_many_live(self, request_id: str) -> Response:
        """The answer to a live transcription beyond the plan."""
        return error_answer(429, too_many("live sessions"), request_id, headers=(("Retry-After", str(RETRY_AFTER)),))

    def too_much_speech(self, what: str, request_id: str) -> Response:
        """The answer to a synthesis, or synthesis socket, beyond the plan."""
        return synthesis_error_answer(429, too_many(what), request_id, headers=(("Retry-After", str(RETRY_AFTER)),))


def too_many(what: str) -> str:
    """The words for more than the plan allows."""
    return f"concurrency limit reached: too many {what} at once for this plan"
