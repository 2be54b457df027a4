"""One HTTP exchange: every answer of the service, in any pieces, at any moment."""

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
from smallest_proto.config import Endpoint, FileTranscriptionConfig, Timeouts
from smallest_proto.errors import (
    ConfigurationError,
    DeadlineError,
    Failure,
    FailureKind,
    LocalProtocolError,
    ProtocolError,
    RemoteError,
    ServiceError,
    StatusError,
)
from smallest_proto.http import exchange as module
from smallest_proto.http.bodies import MAX_ANSWER_BYTES
from smallest_proto.http.exchange import MAX_REFUSAL_BYTES, ExchangeFailed, Input, State
from smallest_proto.http.files import FileTranscript, FileTranscription, TranscriptionAccepted
from smallest_proto.refusals import refusal
from smallest_proto.requests import file_transcription_request

KEY = "key-that-nobody-may-see"
ENDPOINT = Endpoint(api_key=KEY)
CONFIG = FileTranscriptionConfig()
SAID = "the patient's name is Wilhelmina"
LOST = Failure(kind=FailureKind.DISCONNECTED, reason="the connection was lost")

Pieces = list[bytes]


def transcription(**timeouts: float) -> FileTranscription:
    return FileTranscription(CONFIG, ENDPOINT, audio=b"RIFF", timeouts=Timeouts(**timeouts))


def drain(exchange: FileTranscription) -> list[Any]:
    outputs = []
    while (output := exchange.poll_output()) is not None:
        outputs.append(output)
    return outputs


def answered(status: int, body: bytes | dict[str, Any], *headers: tuple[str, str], pieces: Pieces | None = None) -> Any:
    """The outcome of an exchange that was answered so."""
    exchange = transcription()
    exchange.start(0.0)
    exchange.response_started(status, headers, 1.0)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    for piece in [raw] if pieces is None else pieces:
        exchange.body_received(piece, 2.0)
    exchange.response_ended(3.0)
    sent, outcome = drain(exchange)
    assert isinstance(sent, SendRequest)
    assert exchange.ended
    assert exchange.get_timer() is None
    return outcome


def failure_of(status: int, body: bytes | dict[str, Any], *headers: tuple[str, str]) -> Failure:
    outcome = answered(status, body, *headers)
    assert isinstance(outcome, ExchangeFailed)
    return outcome.failure


# --- what a success says ---


def test_the_request_is_the_one_that_requests_make() -> None:
    exchange = transcription()
    exchange.start(0.0)
    assert drain(exchange) == [SendRequest(request=file_transcription_request(CONFIG, ENDPOINT, audio=b"RIFF"))]
    by_url = FileTranscription(CONFIG, ENDPOINT, audio_url="https://example.com/a.wav")
    by_url.start(0.0)
    (command,) = drain(by_url)
    assert command.request.body == b'{"url":"https://example.com/a.wav"}'
    with pytest.raises(ConfigurationError, match="empty"):
        FileTranscription(CONFIG, ENDPOINT, audio=b"")


def test_a_whole_answer() -> None:
    transcript = answered(
        200,
        {
            "status": "success",
            "transcription": "Hello, you.",
            "words": [
                {
                    "start": 0.16,
                    "end": 1.12,
                    "speaker": 0,
                    "speaker_confidence": 1,
                    "word": "Hello,",
                    "confidence": 0.9,
                },
                {"start": 1.12, "end": 1.36, "speaker": "1", "word": "you."},
            ],
            "utterances": [{"start": 0.16, "end": 1.36, "speaker": 0, "text": "Hello, you."}],
            "language": "en",
            "metadata": {"duration": 5.28, "fileSize": 465740},
            "request_id": "36e977cf-d027",
            "gender": "female",
            "emotions": {"neutral": 0.7, "happy": 1},
            "totalBytes": 465740,
        },
    )
    assert isinstance(transcript, FileTranscript)
    assert transcript.text == "Hello, you."
    assert [(w.text, w.start, w.end, w.confidence, w.speaker) for w in transcript.words] == [
        ("Hello,", 0.16, 1.12, 0.9, 0),
        ("you.", 1.12, 1.36, None, 1),
    ]
    assert [(u.text, u.speaker) for u in transcript.utterances] == [("Hello, you.", 0)]
    assert (transcript.language, transcript.duration, transcript.request_id) == ("en", 5.28, "36e977cf-d027")
    assert (transcript.gender, transcript.emotions) == ("female", (("neutral", 0.7), ("happy", 1.0)))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"transcription": ""}, FileTranscript(text="")),
        ({"transcript": "a"}, FileTranscript(text="a")),
        ({"transcription": None, "transcript": "a"}, FileTranscript(text="a")),
        ({"transcription": "a", "audio_length": 1.7}, FileTranscript(text="a", duration=1.7)),
        (
            {"transcription": "a", "metadata": {"duration": 2}, "audio_length": 1},
            FileTranscript(text="a", duration=2.0),
        ),
        ({"status": "processing", "request_id": "f3a1"}, TranscriptionAccepted(request_id="f3a1")),
        ({"status": "processing"}, TranscriptionAccepted(request_id=None)),
        ({"transcription": "a", "error": "no speaker labels"}, FileTranscript(text="a")),
        (
            {"transcription": "a", "words": 5, "utterances": {}, "language": [], "metadata": [], "emotions": "sad"},
            FileTranscript(text="a"),
        ),
        (
            {"transcription": "a", "words": [None, {"word": None}, 7], "emotions": {"x": None}, "gender": None},
            FileTranscript(text="a"),
        ),
        ({"transcription": "a", "metadata": {"duration": "long"}, "request_id": 5}, FileTranscript(text="a")),
        ({"transcription": "a", "request_id": SAID}, FileTranscript(text="a")),
    ],
)
def test_answers_with_fields_missing_null_or_wrong(answer: dict[str, Any], expected: object) -> None:
    assert answered(200, answer) == expected


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"<html><body>Welcome to this hotel's wireless network</body></html>", "not JSON"),
        (b'{"status":"success","transcription":"Hel', "not JSON"),
        (b'["a"]', "not a JSON object"),
        (b'"a"', "not a JSON object"),
        (b"[" * 100_000, "nested too deeply"),
        (b"{}", "no transcription"),
        (b'{"status":"success","transcription":["a"]}', "no transcription"),
        (b'{"status":"processing...","request_id":"a"}', "no transcription"),
    ],
)
def test_a_success_without_an_answer_is_a_failure(body: bytes, says: str) -> None:
    failure = failure_of(200, body)
    assert failure.kind is FailureKind.PROTOCOL
    assert failure.status == 200
    assert says in failure.reason
    assert not failure.final
    assert isinstance(failure.error(), ProtocolError)


@pytest.mark.parametrize(
    "body",
    [{"error": SAID}, {"status": "error", "message": SAID}, {"errors": SAID, "transcription": ""}],
)
def test_an_error_under_a_success_is_the_services(body: dict[str, Any]) -> None:
    failure = failure_of(200, body)
    assert isinstance(failure.error(), ServiceError)
    assert failure.detail == SAID
    assert SAID not in failure.reason


@pytest.mark.parametrize("status", [101, 301, 400, 401, 429, 500])
def test_a_status_that_refuses_is_a_refusal(status: int) -> None:
    headers, body = (("Retry-After", "7"),), {"error": SAID, "request_id": "r-1"}
    assert failure_of(status, body, *headers) == refusal(status, headers, json.dumps(body).encode())


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
    State.ENDED: [Input.START, Input.FAILURE],
}


# What an exchange tells itself, on data: the state that it does so in, and the data.
_TO_ITSELF = {
    Input.SETTLED: (State.ANSWERED, bytes(MAX_ANSWER_BYTES + 1)),
    Input.OVERFLOW: (State.REFUSED, bytes(MAX_REFUSAL_BYTES + 1)),
}


def test_every_input_is_tried_here() -> None:
    assert {*TELLINGS, *_TO_ITSELF, Input.DAMAGED} == set(Input)  # the last in test_codings.py


@pytest.mark.parametrize("told", _TO_ITSELF)
def test_what_an_exchange_tells_itself(told: Input) -> None:
    state, data = _TO_ITSELF[told]
    assert [cell for cell in module._TABLE if cell[1] is told] == [(state, told)]
    exchange = transcription()
    for step in _WAY_TO[state]:
        TELLINGS[step](exchange, 0.0)
    exchange.body_received(data, 1.0)
    assert exchange._state is module._TABLE[state, told][1]
    assert isinstance(drain(exchange)[-1], ExchangeFailed)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("told", TELLINGS)
def test_every_cell_of_the_table(state: State, told: Input) -> None:
    exchange = transcription()
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
        assert exchange._state is cell[1]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(list(TELLINGS)), max_size=12))
def test_whatever_happens_there_is_one_outcome_and_it_is_the_last(story: list[Input]) -> None:
    exchange = transcription()
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
    assert SendRequest not in commands[1:]
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
