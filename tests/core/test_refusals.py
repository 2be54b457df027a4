"""What a status that is no answer means: the advice, the service's words kept apart, when to try again."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import Failure, ProtocolError, StatusError
from smallest_proto.http.files import FileTranscript, TranscriptionAccepted, read_file_answer
from smallest_proto.refusals import refusal, retry_after

SAID = "the patient's name is Wilhelmina"


def failure_of(status: int, body: bytes | dict[str, Any], *headers: tuple[str, str]) -> Failure:
    """The failure that an answer means; its words are in no text of it."""
    failure = refusal(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())
    assert "Wilhelmina" not in repr(failure) + repr(failure.error())
    return failure


@pytest.mark.parametrize(
    ("status", "advice", "final"),
    [
        (400, "option", True),
        (401, "api_key", True),
        (402, "credit", True),
        (403, "plan", True),
        (404, "base_url", True),
        (405, "base_url", True),
        (408, "try again", False),
        (413, "250 MB", True),
        (415, "WAV", True),
        (414, "fewer keywords", True),
        (418, "refuses", True),
        (422, "option", True),
        (425, "refuses", False),
        (426, "WebSocket", True),
        (429, "slow down", False),
        (431, "headers are too large", True),
        (500, "try again", False),
        (502, "try again", False),
        (503, "no worker free", False),
        (301, "redirect", True),
        (304, "redirect", True),
        (307, "base_url", True),
    ],
)
def test_the_advice_of_each_status(status: int, advice: str, final: bool) -> None:
    failure = failure_of(status, {"error": SAID}, ("Location", "https://elsewhere.example/" + SAID))
    assert failure.reason.startswith(f"HTTP {status}: ")
    assert advice in failure.reason
    assert (failure.status, failure.final, failure.detail) == (status, final, SAID)
    assert isinstance(failure.error(), StatusError)


@pytest.mark.parametrize(
    ("body", "detail", "request_id"),
    [
        ({"error": "no model", "request_id": "87dd36c1-4267"}, "no model", "87dd36c1-4267"),
        ({"error": "bad", "details": [{"message": "a"}, "b", {"path": []}, None]}, "bad; a; b", None),
        ({"errors": "too large", "status": "error", "message": "in the audio"}, "too large; in the audio", None),
        ({"errors": ["too large", "too long"], "status": "error"}, "too large; too long", None),
        ({"status": "error", "error_code": "A_B", "message": "no", "language": "x", "region": "y"}, "no", None),
        ({"message": "Unauthorized: No tokens provided"}, "Unauthorized: No tokens provided", None),
        ({"error": {"message": "deeper"}}, "deeper", None),
        ({"error": "same", "message": "same"}, "same", None),
        ({"error": None, "errors": {}, "message": [], "details": 5, "request_id": ["a"]}, "{", None),
        (b"<html><h1>502 Bad Gateway</h1></html>", "<html><h1>502 Bad Gateway</h1></html>", None),
        (b"\xff\xfe", "\ufffd\ufffd", None),
        (b"", None, None),
        (b'{"error": "cut sh', '{"error": "cut sh', None),
    ],
)
def test_the_services_words_are_the_detail(
    body: bytes | dict[str, Any], detail: str | None, request_id: str | None
) -> None:
    failure = failure_of(400, body)
    assert failure.request_id == request_id
    if detail == "{":  # nothing of it can be understood: it is kept as it came
        assert (failure.detail or "").startswith("{")
    else:
        assert failure.detail == detail


def test_an_error_code_is_named_when_it_is_one() -> None:
    assert (
        "(LANGUAGE_NOT_ENABLED_IN_REGION)"
        in failure_of(400, {"error_code": "LANGUAGE_NOT_ENABLED_IN_REGION", "status": "error", "message": "no"}).reason
    )
    for code in (SAID, "LOWER_case", "", "A" * 65, "A\n", 5, None, ["A"], "ÀÉ"):
        assert failure_of(400, {"error_code": code}).reason == failure_of(400, b"").reason


def test_the_request_id_can_come_in_a_header() -> None:
    assert failure_of(500, b"", ("x-ReQuest-id", "abc")).request_id == "abc"
    assert failure_of(500, b"", ("x-request-id", SAID)).request_id is None
    assert failure_of(500, {"request_id": "b"}, ("x-request-id", "a")).request_id == "b"


@pytest.mark.parametrize("status", [101, 200, 204, 0, -1, 99, 600, 999, 10**9])
def test_a_status_that_refuses_nothing_is_no_answer_of_the_service(status: int) -> None:
    failure = refusal(status)
    assert isinstance(failure.error(), ProtocolError)
    assert "base_url" in failure.reason


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0", 0.0), (" 7 ", 7.0), ("1.5", 1.5), ("999999999", 999999999.0)]
    + [(bad, None) for bad in ("", "-1", "soon", "1e3", "nan", "inf", "٣", "1" * 400, "1,5", "0x10", "7 s")],
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert failure_of(429, b"", ("rEtry-aFter", value)).retry_after == seconds


@given(
    date=st.datetimes(datetime(1601, 1, 1), datetime(9000, 1, 1)).map(lambda d: d.replace(microsecond=0)),
    seconds=st.integers(-(10**9), 10**9),
)
def test_retry_after_as_a_date_counts_from_the_answers_own(date: datetime, seconds: int) -> None:
    def written(moment: datetime) -> str:
        return format_datetime(moment.replace(tzinfo=timezone.utc), usegmt=True)

    headers = (("date", written(date)), ("retry-after", written(date + timedelta(seconds=seconds))))
    assert retry_after(headers) == max(0, seconds)
    assert retry_after(headers[1:]) is None  # no clock to count from


@given(
    status=st.integers(-5, 1000),
    headers=st.lists(
        st.tuples(st.sampled_from(["Retry-After", "date", "X-Request-Id", "x"]) | st.text(), st.text()), max_size=4
    ),
    body=st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["error", "errors", "message", "details", "detail", "error_code", "request_id", "status"]
                ),
                inner,
            )
        ),
    ).map(lambda value: json.dumps(value).encode()),
)
def test_nothing_that_a_peer_sends_raises(status: int, headers: list[tuple[str, str]], body: bytes) -> None:
    failure = refusal(status, headers, body)
    assert failure.reason.startswith(f"HTTP {status}")
    assert failure.retry_after is None or failure.retry_after >= 0
    outcome = read_file_answer(200, tuple(headers), body)
    assert isinstance(outcome, (FileTranscript, TranscriptionAccepted, Failure))
