"""What is worth another try, row by row, and how long is waited before it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.config import RetryPolicy
from smallest_proto.errors import Failure, FailureKind
from smallest_proto.retry import CLOSE_CODES, classify, delay, no_jitter
from smallest_proto.statuses import STATUSES, Verdict

BY_STATUS = {
    **dict.fromkeys((400, 401, 402, 403, 404, 405, 410, 413, 414, 415, 422, 426, 431), Verdict.FINAL),
    **dict.fromkeys((408, 425), Verdict.RETRY),
    **dict.fromkeys((429, 503), Verdict.RETRY_BUSY),
}
BY_CODE = {
    1000: Verdict.RETRY,
    1001: Verdict.RETRY,
    1006: Verdict.RETRY,
    1008: Verdict.RETRY_SLOWLY,
    1011: Verdict.RETRY,
    1012: Verdict.RETRY,
    1013: Verdict.RETRY,
}
NO_STATUS = [kind for kind in FailureKind if kind is not FailureKind.STATUS]


def failure(kind: FailureKind = FailureKind.DISCONNECTED, **fields: float | bool) -> Failure:
    return Failure(kind=kind, reason="why", **fields)  # type: ignore[arg-type]


def refused(status: int, retry_after: float | None = None) -> Failure:
    return Failure(kind=FailureKind.STATUS, reason="why", status=status, retry_after=retry_after)


# --- the verdict ---


def test_the_rows_are_those_that_are_tested_here() -> None:
    assert STATUSES.keys() == BY_STATUS.keys()
    assert CLOSE_CODES.keys() == BY_CODE.keys()


@pytest.mark.parametrize(("status", "verdict"), BY_STATUS.items())
def test_by_status(status: int, verdict: Verdict) -> None:
    assert classify(refused(status)) is verdict


@pytest.mark.parametrize(("code", "verdict"), BY_CODE.items())
def test_by_close_code(code: int, verdict: Verdict) -> None:
    assert classify(failure(code=code)) is verdict


@given(st.integers(100, 499).filter(lambda status: status not in STATUSES))
def test_any_other_status_below_500_is_final(status: int) -> None:
    assert classify(refused(status)) is Verdict.FINAL  # no upgrade, and nothing of ours would change


@given(st.integers(500, 999).filter(lambda status: status not in STATUSES))
def test_any_status_from_500_is_worth_another_try(status: int) -> None:
    assert classify(refused(status)) is Verdict.RETRY


@given(st.integers(0, 4999).filter(lambda code: code not in CLOSE_CODES))
def test_any_other_close_code_is_worth_another_try(code: int) -> None:
    assert classify(failure(code=code)) is Verdict.RETRY


@pytest.mark.parametrize("kind", NO_STATUS)
def test_without_status_and_code_every_kind_is_worth_another_try(kind: FailureKind) -> None:
    assert classify(failure(kind)) is Verdict.RETRY


@pytest.mark.parametrize("kind", NO_STATUS)
def test_a_status_counts_whatever_the_kind(kind: FailureKind) -> None:
    assert classify(failure(kind, status=401)) is Verdict.FINAL  # an error message that names it, say
    assert classify(failure(kind, status=429, code=1008)) is Verdict.RETRY_BUSY


@pytest.mark.parametrize("kind", FailureKind)
def test_a_close_code_counts_where_the_peer_closed(kind: FailureKind) -> None:
    closed = kind in (FailureKind.DISCONNECTED, FailureKind.SERVICE)  # by itself, or after it told of an error
    assert classify(failure(kind, code=1008)) is (Verdict.RETRY_SLOWLY if closed else Verdict.RETRY)


@given(
    st.builds(
        Failure,
        kind=st.sampled_from(FailureKind),
        reason=st.just("why"),
        status=st.none() | st.integers(100, 999),
        code=st.none() | st.integers(1000, 4999),
        final=st.just(True),
    )
)
def test_what_the_transport_calls_final_is_final(told: Failure) -> None:
    assert classify(told) is Verdict.FINAL


# --- the wait ---

POLICY = RetryPolicy(first_delay=0.25, longest_delay=10.0, longest_retry_after=60.0)
POLICIES = st.builds(
    RetryPolicy,
    first_delay=st.floats(0, 5),
    longest_delay=st.floats(0, 60),
    longest_retry_after=st.floats(0, 120),
)


@pytest.mark.parametrize(
    ("failures", "highest"),
    [(1, 0.25), (2, 0.5), (3, 1.0), (4, 2.0), (5, 4.0), (6, 8.0), (7, 10.0), (8, 10.0), (10**9, 10.0)],
)
@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_it_is_exponential_with_full_jitter_and_a_cap(failures: int, highest: float, jitter: float) -> None:
    assert delay(failure(), failures, POLICY, lambda: jitter) == highest * jitter


@pytest.mark.parametrize(("share", "wait"), [(0.0, 5.0), (0.5, 2.5), (1.0, 0.0)])
def test_less_can_be_left_to_chance_and_waits_can_grow_otherwise(share: float, wait: float) -> None:
    policy = RetryPolicy(first_delay=0.1, growth=50.0, jitter=share)
    assert delay(failure(), 2, policy, lambda: 0.0) == pytest.approx(wait)
    assert delay(failure(), 2, policy, lambda: 1.0) == pytest.approx(5.0)


@given(POLICIES, st.integers(1, 2000), st.floats(0, 1), st.sampled_from([1001, 1006, 1011, 4000]))
def test_it_stays_within_its_bounds(policy: RetryPolicy, failures: int, jitter: float, code: int) -> None:
    wait = delay(failure(code=code), failures, policy, lambda: jitter)
    assert 0.0 <= wait <= policy.longest_delay
    assert wait <= policy.first_delay * 2.0 ** min(failures - 1, 1000)


@pytest.mark.parametrize(
    ("asked", "wait"), [(None, 0.25), (0.0, 0.25), (0.1, 0.25), (3.0, 3.0), (60.0, 60.0), (61.0, 60.0), (1e9, 60.0)]
)
def test_what_the_service_asks_for_is_waited_at_least_and_up_to_a_bound(asked: float | None, wait: float) -> None:
    assert delay(refused(429, asked), 1, POLICY, lambda: 1.0) == wait


def test_what_the_service_asks_for_is_not_spread() -> None:
    assert delay(refused(503, 3.0), 1, POLICY, lambda: 0.0) == 3.0


@pytest.mark.parametrize("jitter", [0.0, 1.0])
@pytest.mark.parametrize("failures", [1, 5])
def test_too_many_sessions_wait_the_longest(failures: int, jitter: float) -> None:
    assert delay(failure(code=1008), failures, POLICY, lambda: jitter) == 10.0


@pytest.mark.parametrize(
    ("failures", "highest"), [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 16.0), (6, 30.0), (10**9, 30.0)]
)
@pytest.mark.parametrize(("jitter", "share"), [(0.0, 0.5), (1.0, 1.0)])
def test_where_nobody_waits_live_who_is_busy_is_left_alone_for_longer(
    failures: int, highest: float, jitter: float, share: float
) -> None:
    assert delay(refused(429), failures, POLICY, lambda: jitter, live=False) == highest * share
    assert delay(failure(), failures, POLICY, lambda: jitter, live=False) == delay(
        failure(), failures, POLICY, lambda: jitter
    )


def test_without_chance_the_wait_is_the_whole_of_it() -> None:
    lost = Failure(kind=FailureKind.DISCONNECTED, reason="gone")
    policy = RetryPolicy(first_delay=0.5, growth=2.0)
    assert [delay(lost, failures, policy, no_jitter) for failures in (1, 2, 3)] == [0.5, 1.0, 2.0]
