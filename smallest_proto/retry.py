"""Whether a failure is worth another try, and how long to wait before it."""

from __future__ import annotations

from collections.abc import Callable

from .config import RetryPolicy
from .errors import Failure, FailureKind
from .values import Name


class Verdict(Name):
    """What to do after a failure."""

    FINAL = "final"  # another try cannot help
    RETRY = "retry"
    RETRY_SLOWLY = "retry slowly"  # the service is full of our own sessions: with the longest wait


# The service's answers before the upgrade. What is not listed: see classify.
STATUSES: dict[int, Verdict] = {
    400: Verdict.FINAL,  # an option
    401: Verdict.FINAL,  # the key
    402: Verdict.FINAL,  # the bill
    403: Verdict.FINAL,  # the plan
    404: Verdict.FINAL,  # the URL
    408: Verdict.RETRY,
    429: Verdict.RETRY,
}

# WebSocket close codes. What is not listed: again.
CLOSE_CODES: dict[int, Verdict] = {
    1000: Verdict.RETRY,  # after a minute without a message, say
    1001: Verdict.RETRY,  # the server goes away
    1006: Verdict.RETRY,  # no goodbye
    1008: Verdict.RETRY_SLOWLY,  # too many sessions
    1011: Verdict.RETRY,  # an error inside the service
    1012: Verdict.RETRY,  # it restarts
    1013: Verdict.RETRY,  # it is full
}


def classify(failure: Failure) -> Verdict:
    """The verdict on ``failure``: by HTTP status if there is one, by close code if there is one, by kind else."""
    if failure.final:
        return Verdict.FINAL
    if failure.status is not None:
        return STATUSES.get(failure.status, Verdict.RETRY if failure.status >= 500 else Verdict.FINAL)
    if failure.code is not None and failure.kind in (FailureKind.DISCONNECTED, FailureKind.SERVICE):
        return CLOSE_CODES.get(failure.code, Verdict.RETRY)
    return Verdict.RETRY


def delay(failure: Failure, failures: int, policy: RetryPolicy, jitter: Callable[[], float]) -> float:
    """Seconds to wait after the ``failures``-th consecutive failure (from 1): exponential, with the policy's jitter.

    ``jitter`` gives numbers from 0 to 1. What the service asks for (Retry-After) is waited at least, up to
    ``policy.longest_retry_after``.
    """
    highest = min(policy.longest_delay, policy.first_delay * policy.growth ** min(failures - 1, 60))
    wait = (
        policy.longest_delay
        if classify(failure) is Verdict.RETRY_SLOWLY
        else highest * (1.0 - policy.jitter * (1.0 - jitter()))
    )
    return max(wait, min(failure.retry_after or 0.0, policy.longest_retry_after))
