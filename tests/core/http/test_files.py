"""The answer to a file: what a success says, whatever of it is missing, null or wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smallest_proto.commands import SendRequest
from smallest_proto.errors import ConfigurationError, FailureKind, ProtocolError, ServiceError
from smallest_proto.http.files import FileTranscript, FileTranscription, TranscriptionAccepted
from smallest_proto.refusals import refusal
from smallest_proto.requests import file_transcription_request
from tests.core.private import SAID

from .exchange_host import CONFIG, ENDPOINT, answered, drain, failure_of, transcription


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
        ("X-Content-Expiry", "applied"),
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
    assert (transcript.size, transcript.content_expiry) == (465740, "applied")


def test_what_pulse_pro_says_of_its_work() -> None:
    metadata = {"duration": 5.28, "processing_time_ms": 172.11, "rtfx": 30.7, "num_chunks": 1, "filename": SAID}
    transcript = answered(200, {"transcription": "a", "metadata": metadata})
    assert (transcript.processing_time_ms, transcript.rtfx, transcript.num_chunks) == (172.11, 30.7, 1)
    assert transcript.filename == SAID
    assert "Wilhelmina" not in repr(transcript)


def test_the_answer_of_a_server_on_premises() -> None:
    words = [{"word": "Hello", "start": 0.0, "end": 0.5, "confidence": 0.98}]
    body = {"request_id": "req_1", "text": "Hello", "confidence": 0.95, "duration": 3.2, "language": "en"}
    transcript = answered(200, {**body, "words": words})
    assert (transcript.text, transcript.duration, transcript.request_id) == ("Hello", 3.2, "req_1")
    assert [word.text for word in transcript.words] == ["Hello"]
    assert answered(200, {"job_id": "job_xyz789", "status": "processing"}) == TranscriptionAccepted(
        request_id="job_xyz789"
    )


@pytest.mark.parametrize(("said", "read"), [("not-entitled", "not-entitled"), ("", None), (SAID, None)])
def test_what_became_of_a_wish_for_deletion(said: str, read: str | None) -> None:
    assert answered(200, {"transcription": "a"}, ("x-content-expiry", said)).content_expiry == read


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
            {"transcription": "a", "words": 5, "utterances": {}, "language": [], "metadata": [], "emotions": 5},
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
