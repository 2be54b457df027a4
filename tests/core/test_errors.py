"""One tree of errors; what a failure holds and what it shows."""

from __future__ import annotations

import pickle
import traceback

import pytest

from smallest_proto import errors
from smallest_proto.errors import Failure, FailureKind, RemoteError, SmallestError

FAILURES = [
    Failure(
        kind=kind, reason=f"died of {kind.value}", status=429, code=1006, retry_after=2.0, request_id="r", detail="said"
    )
    for kind in FailureKind
]


def test_every_error_is_in_the_tree() -> None:
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(found) > 5
    assert all(issubclass(error, SmallestError) for error in found)
    assert issubclass(errors.ConfigurationError, ValueError)  # LiveKit's plugin promises a ValueError
    assert issubclass(errors.DeadlineError, TimeoutError)
    assert not issubclass(errors.LocalProtocolError, RemoteError)


def test_every_kind_has_an_error_of_its_own() -> None:
    kinds = [type(failure.error()) for failure in FAILURES]
    assert len(set(kinds)) == len(FailureKind)
    assert all(issubclass(kind, RemoteError) and kind is not RemoteError for kind in kinds)
    every = set(RemoteError.__subclasses__())
    assert set(kinds) == every


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.kind.value)
def test_an_error_tells_of_its_failure(failure: Failure) -> None:
    error = failure.error()
    assert error.failure is failure
    assert str(error) == failure.reason
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.failure) == (type(error), str(error), failure)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.kind.value)
def test_no_text_of_an_error_holds_the_services_words(failure: Failure) -> None:
    try:
        raise failure.error()
    except RemoteError as error:
        shown = [repr(failure), str(error), repr(error), repr(error.args), "".join(traceback.format_exception(error))]
    assert all("said" not in text for text in shown)
    assert failure.detail == "said"
