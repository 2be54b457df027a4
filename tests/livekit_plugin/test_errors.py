"""What fails in the core, as the framework's exceptions."""

from __future__ import annotations

import pytest
from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError
from livekit.plugins.smallest_proto._errors import api_error

from smallest_proto import Failure, FailureKind

KIND = FailureKind
SAID = "my name is Miriam"


@pytest.mark.parametrize(
    ("failure", "type_", "status", "retryable"),
    [
        (Failure(kind=KIND.STATUS, reason="r", status=400), APIStatusError, 400, False),
        (Failure(kind=KIND.STATUS, reason="r", status=401), APIStatusError, 401, False),
        (Failure(kind=KIND.STATUS, reason="r", status=404), APIStatusError, 404, False),
        (Failure(kind=KIND.STATUS, reason="r", status=408), APIStatusError, 408, True),
        (Failure(kind=KIND.STATUS, reason="r", status=429), APIStatusError, 429, True),
        (Failure(kind=KIND.STATUS, reason="r", status=503), APIStatusError, 503, True),
        (Failure(kind=KIND.STATUS, reason="r", status=302, final=True), APIStatusError, 302, False),
        (Failure(kind=KIND.SERVICE, reason="r"), APIStatusError, -1, True),
        (Failure(kind=KIND.SERVICE, reason="r", status=402), APIStatusError, 402, False),
        (Failure(kind=KIND.DISCONNECTED, reason="r", code=1011), APIStatusError, 1011, True),
        (Failure(kind=KIND.DISCONNECTED, reason="r", code=1006), APIConnectionError, None, True),
        (Failure(kind=KIND.CONNECT, reason="r"), APIConnectionError, None, True),
        (Failure(kind=KIND.CONNECT, reason="r", final=True), APIConnectionError, None, False),
        (Failure(kind=KIND.PROTOCOL, reason="r"), APIConnectionError, None, True),
        (Failure(kind=KIND.DEADLINE, reason="r"), APITimeoutError, None, True),
    ],
)
def test_each_failure_has_its_exception(
    failure: Failure, type_: type[APIError], status: int | None, retryable: bool
) -> None:
    error = api_error(failure)
    assert type(error) is type_
    assert error.message == "r"
    assert getattr(error, "status_code", None) == status
    assert error.retryable is retryable
    assert api_error(failure, final=True).retryable is False


def test_every_kind_is_mapped() -> None:
    assert {type(api_error(Failure(kind=kind, reason="r"))) for kind in FailureKind} == {
        APIConnectionError,
        APIStatusError,
        APITimeoutError,
    }


def test_the_request_is_named() -> None:
    error = api_error(Failure(kind=KIND.STATUS, reason="r", status=503, request_id="r-17"))
    assert isinstance(error, APIStatusError)
    assert error.request_id == "r-17"
    assert error.body is None


@pytest.mark.parametrize("kind", FailureKind)
def test_the_words_of_the_service_can_be_read_and_are_never_shown(kind: FailureKind) -> None:
    error = api_error(Failure(kind=kind, reason="no", detail=SAID))
    assert isinstance(error.body, Failure)
    assert error.body.detail == SAID
    assert SAID not in f"{error} {error!r} {error.args} {error.__dict__}"
