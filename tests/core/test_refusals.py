"""What a status that is no answer means: the advice, the service's words kept apart, when to try again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import Failure, ProtocolError, StatusError
from smallest_proto.http.files import FileTranscript, TranscriptionAccepted, read_file_answer
from smallest_proto.reading import ErrorMessage
from smallest_proto.refusals import message_failure, refusal, retry_after
from smallest_proto.statuses import Verdict, meaning_of
from smallest_proto.synthesis.messages import decode_message
from smallest_proto.transcription.messages import decode

from .private import SAID


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
        (404, "nothing at this address", True),
        (405, "base_url", True),
        (408, "try again", False),
        (410, "lightning_v3.1", True),
        (413, "250 MB", True),
        (414, "fewer keywords", True),
        (415, "WAV", True),
        (418, "refuses", True),
        (422, "option", True),
        (425, "try again", False),
        (426, "WebSocket", True),
        (429, "slow down", False),
        (431, "2,000", True),
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


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            {"error": [{"code": "custom", "path": ["voice_id"], "message": SAID}]},
            "HTTP 400: wrong: voice_id (custom); the service refuses an option",
        ),
        (
            {
                "error": [
                    {"code": "invalid_enum_value", "path": ["output_format"], "message": SAID, "options": ["pcm"]},
                    {"code": "too_small", "path": ["words", 0, "boost"]},
                ]
            },
            "wrong: output_format (invalid_enum_value), words.0.boost (too_small); ",
        ),
        ({"error": "Validation failed", "details": [{"path": "language", "message": SAID}]}, "wrong: language; "),
        ({"errors": [{"code": SAID, "path": ["speed"]}]}, "wrong: speed; "),
        ({"error": [{"path": ["a"]}, {"path": ["a"]}]}, "wrong: a; "),
    ],
)
def test_the_field_that_is_wrong_is_named(body: dict[str, Any], says: str) -> None:
    assert says in failure_of(400, body).reason


@pytest.mark.parametrize(
    "error",
    [[], [None, 7, []], [{"path": []}], [{"path": [SAID]}], [{"path": [True, None]}], [{"path": {"a": 1}}], [{}]],
)
def test_what_is_no_field_is_not_named(error: list[Any]) -> None:
    assert failure_of(400, {"error": error}).reason == failure_of(400, b"").reason


def test_the_words_of_a_list_of_errors_are_the_detail() -> None:
    body = {"error": [{"code": "custom", "path": ["voice_id"], "message": "no such voice"}, {"message": SAID}]}
    assert failure_of(400, body).detail == f"no such voice; {SAID}"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"status": "error", "error_code": "MODEL_DEPRECATED", "message": SAID}, "lightning_v3.1"),
        ({"status": "error", "error_code": "LANGUAGE_NOT_ENABLED_IN_REGION", "message": SAID}, "region"),
        ({"error": "Invalid license key", "code": "INVALID_LICENSE"}, "license key"),
        ({"error": "x", "code": "LICENSE_EXPIRED"}, "has expired"),
        ({"error": "x", "code": "FILE_TOO_LARGE"}, "250 MB"),
        ({"error": "x", "code": "UNSUPPORTED_FORMAT"}, "send WAV"),
        ({"error": "x", "code": "RATE_LIMIT_EXCEEDED"}, "slow down"),
        ({"error": "x", "code": "SERVICE_UNAVAILABLE"}, "no worker free"),
        ({"error": "x", "code": "WHAT_IS_THIS"}, "(WHAT_IS_THIS): the service refuses an option"),
    ],
)
def test_a_code_says_more_than_a_status(body: dict[str, Any], says: str) -> None:
    assert says in failure_of(400, body).reason


@pytest.mark.parametrize(("value", "seconds"), [(30, 30.0), ("2", 2.0), (-1, None), (True, None), ("soon", None)])
def test_the_wait_can_be_asked_for_in_the_body(value: Any, seconds: float | None) -> None:
    body = {"error": "No ASR workers available", "code": "SERVICE_UNAVAILABLE", "retry_after": value}
    assert failure_of(503, body).retry_after == seconds
    assert failure_of(503, body, ("Retry-After", "7")).retry_after == 7.0


@pytest.mark.parametrize(
    ("message", "says", "final"),
    [
        ({"message": SAID}, "the service told of an error", False),
        ({"error_code": "LANGUAGE_NOT_ENABLED_IN_REGION", "message": SAID}, "(LANGUAGE_NOT_ENABLED_IN_REGION)", True),
        ({"error_code": "MODEL_NOT_ALLOWED", "message": SAID}, "check the configuration", True),
        ({"error_code": "INVALID_MESSAGE", "message": SAID}, "(INVALID_MESSAGE)", False),
        ({"error_code": "WORKER_LOST", "status": 503, "message": SAID}, "(WORKER_LOST) with status 503", False),
        ({"error_code": SAID, "message": SAID}, "the service told of an error", False),
    ],
)
def test_the_code_of_an_error_over_a_socket_says_whether_it_is_final(
    message: dict[str, Any], says: str, final: bool
) -> None:
    told = decode(json.dumps({"type": "error", **message}))
    assert isinstance(told, ErrorMessage)
    failure = message_failure(told)
    assert says in failure.reason
    assert (failure.final, failure.detail) == (final, SAID)
    assert SAID not in repr(failure) + repr(failure.error())


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


@pytest.mark.parametrize(
    ("statuses", "verdict", "says"),
    [
        ((-1, 0, 99, 101, 200, 204, 299), Verdict.FINAL, "not what the service answers"),
        ((300, 301, 398, 399), Verdict.FINAL, "redirects are not followed"),
        ((406, 418, 498, 499), Verdict.FINAL, "refuses the request"),
        ((500, 501, 598, 599), Verdict.RETRY, "try again later"),
        ((600, 999, 10**9), Verdict.RETRY, "not what the service answers"),
    ],
)
def test_a_status_without_a_meaning_of_its_own_has_that_of_its_hundred(
    statuses: tuple[int, ...], verdict: Verdict, says: str
) -> None:
    for status in statuses:
        meaning = meaning_of(status)
        assert (meaning.verdict, says in meaning.advice) == (verdict, True), status


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
                    ["error", "errors", "message", "details", "detail", "error_code", "request_id", "status", "code"]
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


@pytest.mark.parametrize(
    ("status", "private", "shown"),
    [
        (400, False, "HTTP 400: no such letters"),
        (422, False, "HTTP 422: no such letters"),
        (418, False, "HTTP 418: no such letters"),
        (400, True, "HTTP 400: the service refuses"),
        (400, None, "HTTP 400: the service refuses"),
        (400, "false", "HTTP 400: the service refuses"),
        (401, False, "HTTP 401: the service does not accept the API key"),
    ],
)
def test_words_are_shown_if_the_service_says_that_they_are_not_private(
    status: int, private: object, shown: str
) -> None:
    body = json.dumps({"error": "InvalidRequest", "message": "no such letters", "private": private}).encode()
    failure = refusal(status, (), body)
    assert failure.reason.startswith(shown)
    assert failure.detail == "InvalidRequest; no such letters"


def test_words_by_field_that_are_not_private_are_shown() -> None:
    body: dict[str, Any] = {
        "error": [{"code": "custom", "path": ["text"], "message": "no such letters"}],
        "private": False,
    }
    assert refusal(400, (), json.dumps(body).encode()).reason == "HTTP 400: wrong: text (custom); no such letters"
    body["private"] = True
    assert "letters" not in refusal(400, (), json.dumps(body).encode()).reason


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"details": [{"path": "voice_id", "message": "no"}]}, "HTTP 400: wrong: voice_id; no such letters"),
        ({"error_code": "MODEL_NOT_ALLOWED"}, "HTTP 400 (MODEL_NOT_ALLOWED): no such letters"),
        (
            {"error_code": "LANGUAGE_NOT_ENABLED_IN_REGION"},
            "HTTP 400 (LANGUAGE_NOT_ENABLED_IN_REGION): the service does",
        ),
    ],
)
def test_words_that_are_not_private_stand_beside_fields_and_codes(body: dict[str, Any], says: str) -> None:
    body = {**body, "message": "no such letters", "private": False}
    assert refusal(400, (), json.dumps(body).encode()).reason.startswith(says)


@pytest.mark.parametrize(
    ("code", "says", "final"),
    [
        ("MODEL_NOT_ALLOWED", "(MODEL_NOT_ALLOWED): no such letters", True),
        ("MODEL_DEPRECATED", "(MODEL_DEPRECATED): the service has retired", True),
        ("WORKER_LOST", "(WORKER_LOST): no such letters", False),
    ],
)
def test_words_of_an_error_message_stand_beside_its_code(code: str, says: str, final: bool) -> None:
    told = message_failure(ErrorMessage(text="no such letters", code=code, private=False))
    assert says in told.reason
    assert told.final is final


@pytest.mark.parametrize("private", [False, True])
def test_words_of_an_error_message_likewise(private: bool) -> None:
    told = message_failure(ErrorMessage(text="no such letters", status="400", private=private))
    assert ("no such letters" in told.reason) is not private
    assert told.detail == "no such letters"


@pytest.mark.parametrize("key", ["error", "errors"])
@pytest.mark.parametrize("reading", [decode, decode_message])
def test_an_error_over_the_open_connection_names_its_fields_and_is_final(
    key: str, reading: Callable[[str], object]
) -> None:
    error = {"code": "invalid_voice_id", "path": ["voice_id"], "message": "no letters of mine"}
    message = reading(json.dumps({"status": "error", key: [error]}))
    told = message_failure(getattr(message, "error", message))  # type: ignore[arg-type]
    assert told.reason.startswith("the service told of an error: wrong: voice_id (invalid_voice_id); the service refus")
    assert (told.detail, told.final) == ("no letters of mine", True)
    assert message_failure(ErrorMessage(status="400", fields="text")).reason.endswith("with status 400: wrong: text")
