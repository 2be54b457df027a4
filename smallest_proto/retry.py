"""Whether to try again after a failure, and how long to wait first."""

from __future__ import annotations

from collections.abc import Callable

from .config import RetryPolicy
from .errors import Failure, FailureKind
from .statuses import Verdict, meaning_of

# WebSocket close codes. Codes that are not listed are tried again.
CLOSE_CODES: dict[int, Verdict] = {
    1000: Verdict.RETRY,  # after a minute without a message, say
    1001: Verdict.RETRY,  # the server goes away
    1006: Verdict.RETRY,  # lost without a close frame
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
        return meaning_of(failure.status).verdict
    if failure.code is not None and failure.kind in (FailureKind.DISCONNECTED, FailureKind.SERVICE):
        return CLOSE_CODES.get(failure.code, Verdict.RETRY)
    return Verdict.RETRY


def delay(
    failure: Failure, failures: int, policy: RetryPolicy, jitter: Callable[[], float], *, live: bool = True
) -> float:
    """Seconds to wait after the ``failures``-th consecutive failure (from 1): exponential, with the policy's jitter.

    ``jitter`` gives numbers from 0 to 1. ``live``: somebody waits for this stream. For anything
    else, a busy service is left alone for longer, at least for half of the longest wait. The wait is never shorter than
    the service asks (Retry-After), up to ``policy.longest_retry_after``.
    """
    verdict, growth = classify(failure), policy.growth ** min(failures - 1, 60)
    if verdict is Verdict.RETRY_SLOWLY:
        wait = policy.longest_delay
    elif verdict is Verdict.RETRY_BUSY and not live:
        wait = min(policy.longest_busy, 4.0 * policy.first_delay * growth) * (1.0 + jitter()) / 2.0
    else:
        highest = min(policy.longest_delay, policy.first_delay * growth)
        wait = highest * (1.0 - policy.jitter * (1.0 - jitter()))
    return max(wait, min(failure.retry_after or 0.0, policy.longest_retry_after))


def no_jitter() -> float:
    """Always the longest wait. Where many clients run, pass ``random.random`` instead."""
    return 1.0
