"""One try of an HTTP exchange: every answer of the service, in any pieces, at any moment.

When it is tried again is in ``test_exchange_retry.py``.
"""

from __future__ import annotations

import itertools
import json
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.commands import AbortRequest, SendRequest
from smallest_proto.errors import (
    DeadlineError,
    FailureKind,
    LocalProtocolError,
    RemoteError,
    StatusError,
)
from smallest_proto.http import exchange as module
from smallest_proto.http.bodies import MAX_ANSWER_BYTES
from smallest_proto.http.exchange import ExchangeFailed, ExchangeRetried, Input, State
from smallest_proto.http.files import FileTranscript, FileTranscription
from smallest_proto.refusals import MAX_REFUSAL_BYTES
from tests.core.private import KEY, SAID

from .exchange_host import LOST, answered, drain, transcription

# --- in any pieces ---

_GOOD = json.dumps({"transcription": "Grüße, नमस्ते", "words": [{"word": "Grüße", "start": 0}]}, ensure_ascii=False)


@given(
    status=st.sampled_from([200, 400, 503]),
    body=st.sampled_from([_GOOD.encode(), b'{"error":"no"}', b"", b"\xff", b"<html>"]),
    cuts=st.lists(st.integers(0, 60), max_size=8),
)
def test_the_same_answer_in_any_pieces(status: int, body: bytes, cuts: list[int]) -> None:
    at = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[start:end] for start, end in itertools.pairwise(at)]
    assert answered(status, body, pieces=pieces) == answered(status, body)


def test_an_answer_byte_by_byte() -> None:
    body = _GOOD.encode()
    assert answered(200, body, pieces=[body[at : at + 1] for at in range(len(body))]) == answered(200, body)


def test_an_answer_without_an_end_is_given_up() -> None:
    exchange = transcription()
    exchange.start(0.0)
    exchange.response_started(200, (), 0.0)
    part = bytes(2**20)
    for _ in range(MAX_ANSWER_BYTES // len(part)):
        exchange.body_received(part, 0.0)
    assert len(drain(exchange)) == 1
    exchange.body_received(b"x", 0.0)
    abort, outcome = drain(exchange)
    assert isinstance(abort, AbortRequest)
    assert outcome.failure.kind is FailureKind.PROTOCOL
    assert "64 MiB" in outcome.failure.reason


@pytest.mark.parametrize("size", [1000, MAX_REFUSAL_BYTES, 10 * MAX_REFUSAL_BYTES])
def test_a_refusal_without_an_end_is_a_refusal_all_the_same(size: int) -> None:
    exchange = transcription()
    exchange.start(0.0)
    exchange.response_started(503, (("Retry-After", "3"),), 0.0)
    for _ in range(10 * MAX_REFUSAL_BYTES // size + 1):
        exchange.body_received(b"e" * size, 0.0)
    _, abort, outcome = drain(exchange)
    assert isinstance(abort, AbortRequest)
    assert (outcome.failure.status, outcome.failure.retry_after) == (503, 3.0)
    assert outcome.failure.detail == "e" * 4096


# --- at any moment ---


@pytest.mark.parametrize("status", [None, 200, 503])
def test_the_deadline(status: int | None) -> None:
    exchange = transcription(response=30.0)
    assert exchange.get_timer() is None
    exchange.start(100.0)
    assert exchange.get_timer() == 130.0
    if status is not None:
        exchange.response_started(status, (), 110.0)
        exchange.body_received(b'{"error":"no"}', 120.0)
    exchange.handle_timer(129.9)
    assert len(drain(exchange)) == 1
    exchange.handle_timer(130.0)
    abort, outcome = drain(exchange)
    assert isinstance(abort, AbortRequest)
    error = outcome.failure.error()
    if status == 503:  # the status says more than the clock
        assert isinstance(error, StatusError)
    else:
        assert isinstance(error, DeadlineError)
        assert "30 s" in str(error)
    exchange.handle_timer(1e9)
    assert drain(exchange) == []


@pytest.mark.parametrize("way", [[], [Input.SUCCESS], [Input.SUCCESS, Input.DATA]])
def test_a_connection_lost_before_the_end_of_an_answer_is_a_failure_of_the_connection(way: list[Input]) -> None:
    exchange = transcription()
    for step in [Input.START, *way]:
        TELLINGS[step](exchange, 0.0)
    exchange.exchange_failed(LOST, 1.0)
    assert drain(exchange)[1:] == [ExchangeFailed(failure=LOST)]


def test_a_server_that_hangs_up_on_a_file_has_refused_it() -> None:
    exchange = transcription()
    exchange.start(0.0)
    exchange.response_started(413, (), 0.0)
    exchange.exchange_failed(LOST, 1.0)
    (outcome,) = drain(exchange)[1:]
    assert outcome.failure.status == 413


def test_interim_statuses_are_passed_over() -> None:
    exchange = transcription()
    exchange.start(0.0)
    exchange.response_started(100, (), 0.0)
    exchange.response_started(103, (("link", "x"),), 0.0)
    exchange.response_started(200, (), 0.0)
    exchange.body_received(b'{"transcription":"a"}', 0.0)
    exchange.response_ended(0.0)
    assert drain(exchange)[1:] == [FileTranscript(text="a")]


def test_abort() -> None:
    exchange = transcription()
    exchange.abort(0.0)
    (outcome,) = drain(exchange)  # nothing was sent, there is nothing to abort
    assert "aborted" in outcome.failure.reason
    exchange = transcription()
    exchange.start(0.0)
    drain(exchange)
    exchange.abort(0.0)
    abort, outcome = drain(exchange)
    assert isinstance(abort, AbortRequest)
    assert "aborted" in outcome.failure.reason
    exchange.abort(0.0)
    assert drain(exchange) == []


Telling = Callable[[FileTranscription, float], None]
TELLINGS: dict[Input, Telling] = {
    Input.START: lambda exchange, now: exchange.start(now),
    Input.INTERIM: lambda exchange, now: exchange.response_started(102, (), now),
    Input.SUCCESS: lambda exchange, now: exchange.response_started(200, (), now),
    Input.REFUSAL: lambda exchange, now: exchange.response_started(429, (), now),
    Input.DATA: lambda exchange, now: exchange.body_received(b'{"transcription":"a"}', now),
    Input.END: lambda exchange, now: exchange.response_ended(now),
    Input.FAILURE: lambda exchange, now: exchange.exchange_failed(LOST, now),
    Input.DEADLINE: lambda exchange, now: exchange.handle_timer(now + 1e9),
    Input.ABORT: lambda exchange, now: exchange.abort(now),
}
_WAY_TO: dict[State, list[Input]] = {
    State.IDLE: [],
    State.WAITING: [Input.START],
    State.ANSWERED: [Input.START, Input.SUCCESS],
    State.REFUSED: [Input.START, Input.REFUSAL],
    State.PAUSED: [Input.START, Input.FAILURE],
    State.ENDED: [Input.START, Input.ABORT],
}


# What an exchange tells itself, on data: the state that it does so in, and the data.
_TO_ITSELF = {
    Input.SETTLED: (State.ANSWERED, bytes(MAX_ANSWER_BYTES + 1)),
    Input.OVERFLOW: (State.REFUSED, bytes(MAX_REFUSAL_BYTES + 1)),
}
# What it tells itself after a try, at once: nobody finds it in this state.
_AFTERWARDS = {Input.AGAIN: State.PAUSED, Input.OUTCOME: State.ENDED}


def test_every_input_and_every_state_is_tried_here() -> None:
    assert {*TELLINGS, *_TO_ITSELF, *_AFTERWARDS, Input.DAMAGED} == set(Input)  # the last in test_codings.py
    assert {*_WAY_TO, State.OVER} == set(State)
    afterwards = {told: state for (before, told), (_, state) in module._TABLE.items() if before is State.OVER}
    assert afterwards == _AFTERWARDS


@pytest.mark.parametrize("told", _TO_ITSELF)
def test_what_an_exchange_tells_itself(told: Input) -> None:
    state, data = _TO_ITSELF[told]
    assert [cell for cell in module._TABLE if cell[1] is told] == [(state, told)]
    exchange = transcription()
    for step in _WAY_TO[state]:
        TELLINGS[step](exchange, 0.0)
    exchange.body_received(data, 1.0)
    assert module._TABLE[state, told][1] is State.OVER
    assert exchange.ended
    assert isinstance(drain(exchange)[-1], ExchangeFailed)


@pytest.mark.parametrize("state", _WAY_TO)
@pytest.mark.parametrize("told", TELLINGS)
def test_every_cell_of_the_table(state: State, told: Input) -> None:
    exchange = transcription(max_retries=5)
    for step in _WAY_TO[state]:
        TELLINGS[step](exchange, 0.0)
    drain(exchange)
    cell = module._TABLE.get((state, told))
    if told is Input.DEADLINE and state in (State.IDLE, State.ENDED):
        assert cell is None  # no deadline is set there
        TELLINGS[told](exchange, 1.0)
        assert drain(exchange) == []
    elif cell is None:
        timer = exchange.get_timer()
        with pytest.raises(LocalProtocolError, match=told.value):
            TELLINGS[told](exchange, 1.0)
        assert (exchange._state, drain(exchange), exchange.get_timer()) == (state, [], timer)
    else:
        TELLINGS[told](exchange, 1.0)
        assert exchange._state is cell[1] or (cell[1] is State.OVER and exchange._state in _AFTERWARDS.values())


@settings(max_examples=300)
@given(st.lists(st.sampled_from(list(TELLINGS)), max_size=12), st.sampled_from([0, 1, 8]))
def test_whatever_happens_there_is_one_outcome_and_it_is_the_last(story: list[Input], max_retries: int) -> None:
    exchange = transcription(max_retries=max_retries)
    outputs: list[Any] = []
    for now, told in enumerate(story):
        before = exchange.ended
        try:
            TELLINGS[told](exchange, float(now))
        except LocalProtocolError:
            assert drain(exchange) == []
            continue
        put_out = drain(exchange)
        assert not (before and put_out)
        outputs += put_out
        assert exchange.ended is isinstance(outputs[-1] if outputs else None, (FileTranscript, ExchangeFailed))
        assert (exchange.get_timer() is None) == (exchange.ended or not outputs)
    commands = [type(output) for output in outputs]
    assert sum(issubclass(kind, (FileTranscript, ExchangeFailed)) for kind in commands) == exchange.ended
    # Each try begins with the request, and none begins before the one before it was given up.
    tries = [kind for kind in commands if kind in (SendRequest, ExchangeRetried)]
    assert tries == [SendRequest, ExchangeRetried] * (len(tries) // 2) + [SendRequest] * (len(tries) % 2)
    assert commands.count(ExchangeRetried) <= max_retries
    assert AbortRequest not in commands[:1]


@pytest.mark.parametrize("last", [Input.END, Input.FAILURE, Input.DEADLINE, Input.ABORT])
def test_an_exchange_that_has_ended_keeps_nothing_of_what_was_said(last: Input) -> None:
    for status in (200, 503):
        exchange = transcription()
        exchange.start(0.0)
        exchange.response_started(status, (), 0.0)
        exchange.body_received(json.dumps({"error": SAID}).encode(), 0.0)
        reader = weakref.ref(exchange._reader)
        TELLINGS[last](exchange, 1.0)
        assert exchange.ended
        drain(exchange)
        assert reader() is None
        assert not exchange._refused


# --- secrets ---


def test_nothing_shows_the_key_or_what_was_said() -> None:
    words = [{"word": part} for part in SAID.split()]
    shown = [answered(200, {"transcription": SAID, "words": words, "utterances": [{"text": SAID}], "gender": SAID})]
    shown += [answered(status, {"error": SAID, "details": [SAID]}) for status in (200, 302, 400, 401, 429, 500)]
    shown += [answered(status, SAID.encode()) for status in (200, 500)]
    for outcome in shown:
        assert "Wilhelmina" not in repr(outcome)
        if isinstance(outcome, ExchangeFailed):
            error = outcome.failure.error()
            assert isinstance(error, RemoteError)
            assert "Wilhelmina" not in repr(error) + str(error)
            assert "Wilhelmina" in (outcome.failure.detail or "")
    exchange = transcription()
    exchange.start(0.0)
    assert KEY not in repr(drain(exchange)) + repr(exchange)
