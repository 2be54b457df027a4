"""What failed in the core -> the framework's exceptions. No I/O.

The messages are sentences of the core, without key, query or anything that was said. Where the service said something
itself, that is in ``error.body.detail``, which no ``repr`` or ``str`` shows.
"""

from __future__ import annotations

from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError

from smallest_proto import Failure, FailureKind
from smallest_proto.retry import classify
from smallest_proto.statuses import Verdict

_NO_GOODBYE = 1006  # WebSocket close code: the connection was lost without a close


def api_error(failure: Failure, *, final: bool = False) -> APIError:
    """The exception for ``failure``; ``final``: no other try follows, whatever it was."""
    retryable = not final and classify(failure) is not Verdict.FINAL
    status = failure.status
    if status is None and failure.kind is FailureKind.DISCONNECTED and failure.code != _NO_GOODBYE:
        status = failure.code
    error: APIError
    if failure.kind is FailureKind.DEADLINE:
        error = APITimeoutError(failure.reason, retryable=retryable)
    elif status is not None or failure.kind is FailureKind.SERVICE:
        error = APIStatusError(
            failure.reason,
            status_code=-1 if status is None else status,
            request_id=failure.request_id,
            retryable=retryable,
        )
    else:
        error = APIConnectionError(failure.reason, retryable=retryable)
    if failure.detail:
        error.body = failure
    return error
