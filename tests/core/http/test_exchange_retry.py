"""When an HTTP exchange is tried again: what for, how often, how long after, and never once a byte was given out."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.commands import AbortRequest, SendRequest
from smallest_proto.config import Endpoint, FileTranscriptionConfig, RetryPolicy, SynthesisConfig, Timeouts
from smallest_proto.errors import Failure, FailureKind
from smallest_proto.http.exchange import ExchangeFailed, ExchangeRetried, HttpExchange
from smallest_proto.http.files import FileTranscript, FileTranscription
from smallest_proto.http.synthesis import Synthesis
from smallest_proto.http.voices import VoiceList
from smallest_proto.synthesis.events import AudioChunk, SpeechFinished

ENDPOINT = Endpoint(api_key="k")
POLICY = RetryPolicy(max_retries=3, first_delay=1.0, longest_delay=8.0, longest_retry_after=60.0)
LOST = Failure(kind=FailureKind.DISCONNECTED, reason="lost", code=1006)
NO_HOST = Failure(kind=FailureKind.CONNECT, reason="no host")
NO_TRUST = Failure(kind=FailureKind.CONNECT, reason="certificate", final=True)
NO_HTTP = Failure(kind=FailureKind.PROTOCOL, reason="no HTTP")

Exchange = HttpExchange[Any] | Synthesis
Try = Callable[[Exchange, float], None]  # how one try goes


def transcribe(config: FileTranscriptionConfig = FileTranscriptionConfig(), **options: Any) -> Exchange:  # noqa: B008
    return FileTranscription(config, ENDPOINT, audio=b"RIFF", **{"retry": POLICY, **options})


def speak(*, sse: bool = False, **options: Any) -> Exchange:
    return Synthesis(SynthesisConfig(), ENDPOINT, "Hello.", sse=sse, **{"retry": POLICY, **options})


def voices(**options: Any) -> Exchange:
    return VoiceList(ENDPOINT, **{"retry": POLICY, **options})


MAKERS = {"transcribe": transcribe, "speak": speak, "events": lambda: speak(sse=True), "voices": voices}
ANSWERS = {
    "transcribe": b'{"transcription":"hi"}',
    "speak": b"\x01\x00\x02\x00" * 8,
    "events": b'event: audio\ndata: {"audio":"AQACAA==","done":false}\n\ndata: {"done":true,"status":"200"}\n\n',
    "voices": b'{"voices":[]}',
}


def refuse(status: int, *headers: tuple[str, str], body: bytes = b"") -> Try:
    def told(exchange: Exchange, now: float) -> None:
        exchange.response_started(status, headers, now)
        exchange.body_received(body, now)
        exchange.response_ended(now)

    return told


def fail(failure: Failure) -> Try:
    return lambda exchange, now: exchange.exchange_failed(failure, now)


def cut(body: bytes) -> Try:
    """A success of which only ``body`` comes."""

    def told(exchange: Exchange, now: float) -> None:
        exchange.response_started(200, (), now)
        exchange.body_received(body, now)
        exchange.exchange_failed(LOST, now)

    return told


def answer(body: bytes) -> Try:
    return refuse(200, body=body)


def outputs(exchange: Exchange) -> list[Any]:
    put_out = []
    while (output := exchange.poll_output()) is not None:
        put_out.append(output)
    return put_out


def carry_out(exchange: Exchange, *tries: Try) -> tuple[int, list[float], list[Any]]:
    """Let every try go so, the last one again and again: how many there were, the waits, and what else came out."""
    now, waits, others, count = 0.0, [], [], 0
    exchange.start(now)
    while True:
        for output in outputs(exchange):
            if isinstance(output, SendRequest):
                count += 1
            elif isinstance(output, ExchangeRetried):
                waits.append(output.retry_in)
                assert exchange.get_timer() == now + output.retry_in
            elif not isinstance(output, AbortRequest):
                others.append(output)
        if exchange.ended:
            return count, waits, others
        if len(waits) < count:
            tries[min(count, len(tries)) - 1](exchange, now)
        else:
            due = exchange.get_timer()
            assert due is not None
            exchange.handle_timer(due - 0.001)
            assert outputs(exchange) == []
            now = due
            exchange.handle_timer(now)


@pytest.mark.parametrize("what", MAKERS)
@pytest.mark.parametrize(
    ("first", "expected"),
    [
        *((refuse(status), [4.0, 8.0]) for status in (429, 503)),  # busy: the others wait, too
        *((again, [1.0, 2.0]) for again in (refuse(500), refuse(408), fail(LOST), fail(NO_HOST))),
    ],
)
def test_each_exchange_is_tried_again_and_comes_back_whole(what: str, first: Try, expected: list[float]) -> None:
    count, waits, put_out = carry_out(MAKERS[what](), first, first, answer(ANSWERS[what]))
    assert (count, waits) == (3, expected)
    assert not any(isinstance(output, ExchangeFailed) for output in put_out)
    if what == "transcribe":
        assert put_out == [FileTranscript(text="hi")]
    if what in ("speak", "events"):
        assert isinstance(put_out[-1], SpeechFinished)


@pytest.mark.parametrize("what", MAKERS)
def test_each_try_is_decompressed_anew(what: str) -> None:
    gzipped, body = ("Content-Encoding", "gzip"), gzip.compress(ANSWERS[what])
    cut_off, plain = refuse(200, gzipped, body=body[:-9]), answer(ANSWERS[what])
    count, waits, put_out = carry_out(MAKERS[what](), refuse(500, gzipped, body=body), plain)
    assert (count, waits) == (2, [1.0])
    assert carry_out(MAKERS[what](), refuse(500), refuse(200, gzipped, body=body)) == (count, waits, put_out)
    if what == "events":
        return  # they say themselves where their end is
    count, _, others = carry_out(MAKERS[what](), cut_off, plain)
    given_out = what == "speak"  # the beginning, which cannot be taken back
    assert count == (1 if given_out else 2)
    assert isinstance(others[-1], ExchangeFailed) is given_out


@pytest.mark.parametrize("what", MAKERS)
@pytest.mark.parametrize(("coding", "body"), [("br", b""), ("gzip", b"no gzip at all")])
def test_what_cannot_be_decompressed_is_not_asked_for_again(what: str, coding: str, body: bytes) -> None:
    count, waits, (outcome,) = carry_out(MAKERS[what](), refuse(200, ("Content-Encoding", coding), body=body))
    assert (count, waits) == (1, [])
    assert outcome.failure.kind is FailureKind.PROTOCOL


@pytest.mark.parametrize("max_retries", [0, 1, 5])
def test_so_often_and_no_more(max_retries: int) -> None:
    policy = RetryPolicy(max_retries=max_retries, first_delay=1.0, longest_delay=4.0)
    count, waits, (outcome,) = carry_out(transcribe(retry=policy), refuse(500))
    assert count == max_retries + 1
    assert waits == [1.0, 2.0, 4.0, 4.0, 4.0][:max_retries]
    assert outcome.failure.status == 500


@pytest.mark.parametrize(
    "hopeless",
    [refuse(status) for status in (301, 400, 401, 402, 403, 404, 410, 413, 414, 415, 422, 431)]
    + [fail(NO_TRUST), fail(NO_HTTP), answer(b"<html>"), answer(b'{"error":"no"}'), answer(b"")],
)
def test_what_no_other_try_can_mend_is_told_at_once(hopeless: Try) -> None:
    count, waits, (outcome,) = carry_out(transcribe(), hopeless)
    assert (count, waits) == (1, [])
    assert isinstance(outcome, ExchangeFailed)


@pytest.mark.parametrize(("asked", "wait"), [("7", 7.0), ("0", 4.0), ("3600", 60.0), ("soon", 4.0), ("5.5", 5.5)])
def test_what_the_service_asks_for_is_waited(asked: str, wait: float) -> None:
    _, waits, _ = carry_out(transcribe(), refuse(429, ("Retry-After", asked)), answer(ANSWERS["transcribe"]))
    assert waits == [wait]


def test_a_deadline_is_not_tried_again() -> None:
    exchange = transcribe(timeouts=Timeouts(response=30.0))
    exchange.start(0.0)
    exchange.handle_timer(30.0)
    _, abort, outcome = outputs(exchange)
    assert isinstance(abort, AbortRequest)
    assert outcome.failure.kind is FailureKind.DEADLINE


def test_no_try_begins_after_the_deadline_of_the_answer() -> None:
    policy = RetryPolicy(max_retries=1000, first_delay=8.0, longest_busy=8.0)
    count, waits, _ = carry_out(transcribe(retry=policy, timeouts=Timeouts(response=30.0)), refuse(503))
    assert (count, waits) == (4, [8.0] * 3)


def test_each_try_has_the_whole_time_for_its_answer() -> None:
    exchange = transcribe(timeouts=Timeouts(response=30.0))
    exchange.start(0.0)
    exchange.exchange_failed(LOST, 20.0)
    exchange.handle_timer(21.0)
    assert exchange.get_timer() == 51.0


@pytest.mark.parametrize("sse", [False, True])
def test_never_after_a_byte_was_given_out(sse: bool) -> None:
    body = ANSWERS["events" if sse else "speak"]
    count, waits, (chunk, outcome) = carry_out(speak(sse=sse), cut(body[: body.index(b"\n\n") + 2] if sse else body))
    assert (count, waits) == (1, [])
    assert isinstance(chunk, AudioChunk)
    assert outcome.failure == LOST


@pytest.mark.parametrize(
    ("sse", "part"),
    [(False, b""), (False, b"\x01"), (True, b""), (True, b"event: audio\ndata: {"), (True, b": keep alive\n\n")],
)
def test_as_long_as_nothing_was_given_out_it_is_tried_again(sse: bool, part: bytes) -> None:
    body = ANSWERS["events" if sse else "speak"]
    count, _, put_out = carry_out(speak(sse=sse), cut(part), answer(body))
    assert count == 2
    size = sum(len(chunk.data) for chunk in put_out[:-1])
    assert put_out[-1].size == size == (4 if sse else len(body))  # and nothing of the first try is in it


def test_events_that_tell_of_a_busy_service_are_tried_again_and_of_another_error_not() -> None:
    busy = answer(b'event: error\ndata: {"status":"429","message":"busy","done":true}\n\n')
    assert carry_out(speak(sse=True), busy, answer(ANSWERS["events"]))[0] == 2
    wrong = answer(b'event: error\ndata: {"error":"no","done":true}\n\n')
    assert carry_out(speak(sse=True), wrong)[0] == 1


def test_a_webhook_is_not_asked_for_twice() -> None:
    config = FileTranscriptionConfig(model="pulse-pro", webhook_url="https://example.com/hook")
    assert carry_out(transcribe(config), fail(LOST))[0] == 1  # the service may have taken it
    accepted = answer(b'{"status":"processing","request_id":"r"}')
    assert carry_out(transcribe(config), fail(NO_HOST), refuse(429), accepted)[0] == 3


def test_what_is_under_way_when_a_try_was_given_up_is_of_no_interest() -> None:
    exchange = transcribe()
    exchange.start(0.0)
    exchange.response_started(503, (), 0.0)
    exchange.body_received(b"x" * 10**6, 0.0)
    assert [type(output) for output in outputs(exchange)] == [SendRequest, AbortRequest, ExchangeRetried]
    exchange.body_received(b"more", 0.1)
    exchange.response_ended(0.2)
    exchange.exchange_failed(LOST, 0.3)
    assert outputs(exchange) == []
    exchange.handle_timer(4.0)
    assert [type(output) for output in outputs(exchange)] == [SendRequest]


def test_abort_between_two_tries() -> None:
    exchange = transcribe()
    exchange.start(0.0)
    exchange.exchange_failed(LOST, 0.0)
    outputs(exchange)
    exchange.abort(0.5)
    (outcome,) = outputs(exchange)  # nothing is under way that could be aborted
    assert "aborted" in outcome.failure.reason
    assert exchange.get_timer() is None


TRIES = st.sampled_from(
    [
        refuse(429),
        refuse(503, ("Retry-After", "5")),
        refuse(400),
        fail(LOST),
        fail(NO_HOST),
        cut(b"\x01\x00"),
        cut(b""),
        answer(b""),
    ]
)


@settings(max_examples=300)
@given(st.lists(TRIES, min_size=1, max_size=6), st.integers(0, 4), st.floats(0, 1))
def test_audio_comes_once_and_whole_or_is_told_to_be_cut(tries: list[Try], most: int, chance: float) -> None:
    policy = RetryPolicy(max_retries=most, first_delay=1.0)
    count, waits, put_out = carry_out(speak(retry=policy, jitter=lambda: chance), *tries)
    assert count == len(waits) + 1 <= most + 1
    audio = b"".join(chunk.data for chunk in put_out[:-1])
    assert audio in (b"", b"\x01\x00", ANSWERS["speak"])
    assert isinstance(put_out[-1], SpeechFinished) == (audio == ANSWERS["speak"])
    assert json.dumps([type(output).__name__ for output in put_out]).count("Failed") == (audio != ANSWERS["speak"])
