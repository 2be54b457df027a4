"""HTTP synthesis: as a body and as server-sent events, in any pieces; what is no audio is never given out as audio."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smallest_proto.commands import AbortRequest, SendRequest
from smallest_proto.config import Endpoint, RetryPolicy, SynthesisConfig, Timeouts
from smallest_proto.errors import (
    ConfigurationError,
    DeadlineError,
    DisconnectedError,
    Failure,
    FailureKind,
    ProtocolError,
    ServiceError,
)
from smallest_proto.http.exchange import ExchangeFailed
from smallest_proto.http.sse import MAX_EVENT_BYTES
from smallest_proto.http.synthesis import Synthesis
from smallest_proto.refusals import MAX_REFUSAL_BYTES, refusal
from smallest_proto.requests import synthesis_request, synthesis_sse_request
from smallest_proto.synthesis.events import AudioChunk, SpeechFinished
from tests.core.private import KEY, SAID

ENDPOINT = Endpoint(api_key=KEY)
CONFIG = SynthesisConfig(sample_rate=8000)
LOST = Failure(kind=FailureKind.DISCONNECTED, reason="the connection was lost")
AUDIO = ("Content-Type", "audio/wav")
EVENTS = ("Content-Type", "text/event-stream; charset=utf-8")
JSON = ("Content-Type", "application/json; charset=utf-8")
PCM = b"\x01\x80\x02\x80\x03\x80\x00\x00"

ONCE = RetryPolicy(max_retries=0)  # when it is tried again is in test_exchange_retry.py

Headers = tuple[tuple[str, str], ...]


def drain(exchange: Synthesis) -> list[Any]:
    outputs = []
    while (output := exchange.poll_output()) is not None:
        outputs.append(output)
    return outputs


def begun(*headers: tuple[str, str], sse: bool = False, **options: Any) -> Synthesis:
    exchange = Synthesis(SynthesisConfig(**{"sample_rate": 8000, **options}), ENDPOINT, SAID, sse=sse, retry=ONCE)
    exchange.start(0.0)
    assert isinstance(exchange.poll_output(), SendRequest)
    exchange.response_started(200, headers, 0.0)
    return exchange


def cut(body: bytes, cuts: list[int]) -> list[bytes]:
    at = [0, *sorted(min(one, len(body)) for one in cuts), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(at)]


def answered(
    body: bytes, *headers: tuple[str, str], cuts: list[int] | None = None, sse: bool = False, **options: Any
) -> tuple[bytes, Any]:
    """The audio that came out of an answer, and the outcome."""
    exchange = begun(*headers, sse=sse, **options)
    outputs = []
    for piece in cut(body, cuts or []):
        exchange.body_received(piece, 0.0)
        outputs += drain(exchange)
    exchange.response_ended(0.0)
    *chunks, outcome = outputs + drain(exchange)
    assert exchange.ended
    assert exchange.get_timer() is None
    chunks = [chunk for chunk in chunks if not isinstance(chunk, AbortRequest)]
    samples = 0
    for chunk in chunks:
        assert isinstance(chunk, AudioChunk)
        assert chunk.segment == 0
        if chunk.samples is not None:
            assert chunk.start == samples / 8000
            samples += chunk.samples
    return b"".join(chunk.data for chunk in chunks), outcome


def failure_of(body: bytes, *headers: tuple[str, str], sse: bool = False) -> Failure:
    audio, outcome = answered(body, *headers, sse=sse)
    assert isinstance(outcome, ExchangeFailed), (audio, outcome)
    return outcome.failure


def event(data: Any, kind: str | None = "audio") -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {kind}\n" if kind else "").encode() + f"data: {text}\n\n".encode()


def frame(audio: bytes) -> bytes:
    return event({"audio": base64.b64encode(audio).decode(), "done": False, "status": "206"})


DONE = event({"status": "200", "done": True}, None)


# --- as a body ---


@pytest.mark.parametrize("sse", [False, True])
def test_the_request_is_the_one_that_requests_make(sse: bool) -> None:
    exchange = Synthesis(CONFIG, ENDPOINT, SAID, sse=sse, retry=ONCE)
    exchange.start(0.0)
    make = synthesis_sse_request if sse else synthesis_request
    assert drain(exchange) == [SendRequest(request=make(CONFIG, ENDPOINT, SAID))]
    with pytest.raises(ConfigurationError, match="empty"):
        Synthesis(CONFIG, ENDPOINT, " ", sse=sse)


_CUTS = st.lists(st.integers(0, 80), max_size=8)
_BODIES = st.binary(min_size=2, max_size=64) | st.builds(
    bytes.__add__,
    st.sampled_from([b"{", b"<", b"  {", b'{"', b" ", b"<htm", b"{\x00", b"RIFF", b"ID3", b" " * 65]),
    st.binary(min_size=2, max_size=12),
)


def is_like_text(body: bytes) -> bool:
    """What a body that is nothing but text, and begins as JSON or markup does, is taken for."""
    text = body.lstrip(b" \t\r\n")
    begins = text[:1] == b"{" or (text[:1] == b"<" and text[1:2].isalpha()) or text[:2] in (b"<!", b"<?")
    return begins and not any((code < 32 and code not in b"\t\n\r") or code == 127 for code in body)


@given(_BODIES, _CUTS, st.sampled_from([(), (AUDIO,), (("content-type", "application/octet-stream"),)]))
@example(b"<5", [1], ())
@example(b"  ", [1], ())
def test_pcm_in_any_pieces(body: bytes, cuts: list[int], headers: Headers) -> None:
    audio, outcome = answered(body, *headers, cuts=cuts)
    if is_like_text(body):
        assert isinstance(outcome, ExchangeFailed)
        assert audio == b""
    else:
        whole = len(body) - len(body) % 2
        assert audio == body[:whole]
        assert outcome == SpeechFinished(seconds=whole / 2 / 8000, size=whole, dropped=len(body) % 2)


@given(st.sampled_from(["mp3", "wav", "ulaw", "alaw"]), st.binary(max_size=20), _CUTS)
def test_other_formats_pass_through(output_format: str, rest: bytes, cuts: list[int]) -> None:
    body = b"\xff\xfb" + rest
    audio, outcome = answered(body, AUDIO, cuts=cuts, output_format=output_format)
    assert audio == body
    seconds = len(body) / 8000 if output_format in ("ulaw", "alaw") else None
    assert outcome == SpeechFinished(seconds=seconds, size=len(body))


def test_audio_is_given_out_as_it_comes() -> None:
    exchange = begun(AUDIO)
    for at in range(3):
        exchange.body_received(PCM, 0.0)
        (chunk,) = drain(exchange)
        assert (chunk.data, chunk.start, chunk.samples) == (PCM, at * 4 / 8000, 4)
    exchange.response_ended(0.0)
    assert drain(exchange) == [SpeechFinished(seconds=12 / 8000, size=24)]


def test_the_service_names_the_request() -> None:
    _, outcome = answered(PCM, AUDIO, ("X-Request-Id", "r-1"))
    assert outcome.request_id == "r-1"
    assert failure_of(b"", AUDIO, ("X-Request-Id", "r-2")).request_id == "r-2"
    assert failure_of(DONE, EVENTS, ("X-Request-Id", "r-3"), sse=True).request_id == "r-3"


@pytest.mark.parametrize("sse", [False, True])
@pytest.mark.parametrize(
    "headers",
    [(), (AUDIO,), (JSON,), (("Content-Type", "application/problem+json"),), (("Content-Type", "text/plain"),)],
)
def test_an_error_under_a_success_is_the_services(sse: bool, headers: Headers) -> None:
    body = json.dumps({"error": "InvalidRequest", "message": SAID, "request_id": "r-1"}, indent=1).encode()
    for cuts in ([], list(range(len(body)))):
        audio, outcome = answered(body, *headers, cuts=cuts, sse=sse)
        assert audio == b""
        error = outcome.failure.error()
        assert isinstance(error, ServiceError)
        assert SAID in (outcome.failure.detail or "")
        assert SAID not in str(error) + repr(error) + repr(outcome)


@pytest.mark.parametrize("sse", [False, True])
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"<html><body>Welcome to this hotel</body></html>", ()),
        (b"\r\n <!DOCTYPE html><title>", (AUDIO,)),
        (b"<html>", (("Content-Type", "text/html"),)),
        (PCM, (("Content-Type", "text/html; charset=utf-8"),)),
        (b'{"status":"success"}', (JSON,)),
        (b"", (JSON,)),
        (b"", ()),
        (b"", (AUDIO,)),
    ],
)
def test_what_is_no_audio_is_a_failure(sse: bool, body: bytes, headers: Headers) -> None:
    audio, outcome = answered(body, *headers, sse=sse)
    assert audio == b""
    assert isinstance(outcome.failure.error(), (ProtocolError, DisconnectedError))
    assert not outcome.failure.final


@pytest.mark.parametrize("piece", [1000, MAX_REFUSAL_BYTES, 10 * MAX_REFUSAL_BYTES])
def test_an_endless_page_is_given_up(piece: int) -> None:
    exchange = begun(("Content-Type", "text/html"))
    for _ in range(10 * MAX_REFUSAL_BYTES // piece + 1):
        exchange.body_received(b"e" * piece, 0.0)
    abort, outcome = drain(exchange)
    assert isinstance(abort, AbortRequest)
    assert outcome.failure.detail == "e" * 4096


def test_what_begins_like_text_and_does_not_end_is_audio() -> None:
    body = b"{" + b"e" * (MAX_REFUSAL_BYTES + 1)
    assert answered(body, AUDIO)[0] == body
    assert answered(body, AUDIO, cuts=list(range(0, len(body), 999)))[0] == body


@pytest.mark.parametrize("sse", [False, True])
def test_a_status_that_refuses_is_a_refusal(sse: bool) -> None:
    exchange = Synthesis(CONFIG, ENDPOINT, SAID, sse=sse, retry=ONCE)
    exchange.start(0.0)
    exchange.response_started(429, (("Retry-After", "7"),), 0.0)
    exchange.body_received(b'{"error":"no"}', 0.0)
    exchange.response_ended(0.0)
    expected = refusal(429, (("Retry-After", "7"),), b'{"error":"no"}')
    assert drain(exchange)[1:] == [ExchangeFailed(failure=expected)]


# --- as server-sent events ---


@given(
    st.lists(st.binary(max_size=9), min_size=1, max_size=6), st.lists(st.integers(0, 500), max_size=10), st.booleans()
)
def test_events_in_any_pieces(pieces: list[bytes], cuts: list[int], blank: bool) -> None:
    body = b": kept alive\n\n".join(map(frame, pieces)) + (DONE if blank else DONE.rstrip())
    audio, outcome = answered(body, EVENTS, cuts=cuts, sse=True)
    said = b"".join(pieces)
    whole = len(said) - len(said) % 2
    assert audio == said[:whole]
    if whole:
        assert outcome == SpeechFinished(seconds=whole / 2 / 8000, size=whole, dropped=len(said) % 2)
    else:
        assert "no audio" in outcome.failure.reason


def test_the_end_is_taken_at_done() -> None:
    exchange = begun(EVENTS, sse=True)
    exchange.body_received(frame(PCM) + DONE + frame(PCM) + event({"error": "late"}), 0.0)
    chunk, abort, outcome = drain(exchange)
    assert (chunk.data, outcome.size) == (PCM, len(PCM))
    assert isinstance(abort, AbortRequest)
    exchange.body_received(frame(PCM), 0.0)
    exchange.response_ended(0.0)
    assert drain(exchange) == []


@pytest.mark.parametrize(
    "body",
    [
        event({"audio": base64.b64encode(PCM).decode(), "done": True}),
        event({"audio": base64.b64encode(PCM).decode()}, None) + event({"done": "true", "status": 200}, "end"),
        event("[not JSON", "ping") + event([], "ping") + event({"x": 1}, "ping") + frame(PCM) + event({"done": True}),
        event({"audio": None, "done": None}) + frame(PCM) + event({"done": True, "status": ["x"], "message": 5}),
        frame(b"") + frame(PCM) + DONE,
        frame(PCM[:3]) + frame(PCM[3:4]) + frame(PCM[4:5]) + frame(PCM[5:]) + DONE,
    ],
)
def test_events_as_they_may_come_too(body: bytes) -> None:
    for headers in ((EVENTS,), ()):
        audio, outcome = answered(body, *headers, sse=True)
        assert audio == PCM
        assert outcome == SpeechFinished(seconds=4 / 8000, size=8)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (event({"audio": "AAA"}), "not base64"),
        (event({"audio": 5}), "not base64"),
        (event({"audio": "AA AA==", "done": True}), "not base64"),
        (event('{"audio": "AAAA', "audio"), "not JSON"),
        (event("[]", None), "not a JSON object"),
        (event("[" * 100_000), "nested too deeply"),
        (b"data: " + b"x" * MAX_EVENT_BYTES, "longer than 16 MiB"),
    ],
)
def test_an_event_that_cannot_be_read_is_a_failure(broken: bytes, says: str) -> None:
    audio, outcome = answered(frame(PCM) + broken + frame(PCM) + DONE, EVENTS, sse=True)
    assert audio == PCM  # what came before it, and nothing after it
    assert isinstance(outcome.failure.error(), ProtocolError)
    assert says in outcome.failure.reason


@pytest.mark.parametrize(
    "told",
    [
        event({"error": SAID, "done": True}),
        event({"error": {"message": SAID}}, None),
        event({"status": "error", "message": SAID}),
        event({"status": "500", "message": SAID, "done": True}),
        event({"status": 429, "message": SAID}),
        event({"message": SAID}, "error"),
    ],
)
def test_an_error_between_the_events_is_the_services(told: bytes) -> None:
    audio, outcome = answered(frame(PCM) + told + frame(PCM) + DONE, EVENTS, sse=True)
    assert audio == PCM
    error = outcome.failure.error()
    assert isinstance(error, ServiceError)
    assert outcome.failure.detail == SAID
    assert SAID not in str(error) + repr(outcome)


@pytest.mark.parametrize("body", [frame(PCM), frame(PCM) + DONE[:-10], frame(PCM) + event({"done": False}), b":\n\n"])
def test_an_end_without_done_is_a_lost_connection(body: bytes) -> None:
    failure = failure_of(body, EVENTS, sse=True)
    assert failure.kind in (FailureKind.DISCONNECTED, FailureKind.PROTOCOL)
    if body != frame(PCM) + DONE[:-10]:
        assert isinstance(failure.error(), DisconnectedError)
    assert not failure.final


@given(st.lists(st.binary(max_size=40) | st.sampled_from([frame(PCM), DONE, event({"error": 1}), b"\n\n"]), max_size=8))
def test_whatever_comes_there_is_one_outcome(pieces: list[bytes]) -> None:
    for sse in (False, True):
        exchange = begun(EVENTS, sse=sse)
        outputs = []
        for piece in pieces:
            exchange.body_received(piece, 0.0)
            outputs += drain(exchange)
        exchange.response_ended(0.0)
        *others, last = outputs + drain(exchange)
        assert isinstance(last, (SpeechFinished, ExchangeFailed))
        assert all(isinstance(other, (AudioChunk, AbortRequest)) for other in others)


# --- deadlines ---


@pytest.mark.parametrize(("sse", "first"), [(False, 30.0), (True, 5.0)])
def test_the_deadline_is_moved_by_audio_alone(sse: bool, first: float) -> None:
    exchange = Synthesis(CONFIG, ENDPOINT, SAID, sse=sse, timeouts=Timeouts(response=30.0, audio=5.0), retry=ONCE)
    exchange.start(100.0)
    exchange.response_started(200, (), 101.0)
    exchange.body_received(b":\n\n" if sse else b"", 102.0)
    assert exchange.get_timer() == 100.0 + first
    exchange.body_received(frame(PCM) if sse else PCM, 103.0)
    exchange.body_received(b":\n\n" if sse else b"", 104.0)
    assert exchange.get_timer() == 108.0
    exchange.handle_timer(107.9)
    assert not exchange.ended
    exchange.handle_timer(108.0)
    *_, chunk, abort, outcome = drain(exchange)
    assert chunk.data == PCM
    assert isinstance(abort, AbortRequest)
    assert isinstance(outcome.failure.error(), DeadlineError)
    assert "5 s" in outcome.failure.reason


def test_a_connection_lost_in_mid_speech_leaves_what_was_said() -> None:
    exchange = begun(AUDIO)
    exchange.body_received(PCM, 0.0)
    exchange.exchange_failed(LOST, 0.0)
    chunk, outcome = drain(exchange)
    assert (chunk.data, outcome) == (PCM, ExchangeFailed(failure=LOST))


# --- secrets ---


def test_nothing_shows_the_key_or_what_is_spoken() -> None:
    exchange = begun(AUDIO)
    exchange.body_received(SAID.encode() * 2, 0.0)
    shown = repr(drain(exchange)) + repr(exchange)
    fresh = Synthesis(CONFIG, ENDPOINT, SAID)
    fresh.start(0.0)
    shown += repr(drain(fresh)) + repr(fresh)
    assert KEY not in shown
    assert "Wilhelmina" not in shown
