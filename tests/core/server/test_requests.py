"""Requests at the service's door: what is let in, what is answered, and that none of them raises."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.config import Endpoint, FileTranscriptionConfig, TranscriptionConfig
from smallest_proto.reading import Utterance, Word
from smallest_proto.requests import Request, file_transcription_request, live_transcription_request
from smallest_proto.server.answers import Response, error_answer
from smallest_proto.server.recogniser import Heard
from smallest_proto.server.requests import FileRequest, LiveRequest, file_answer, read_request

from .asked import KEY, LIVE, read, read_live


def read_file(target: str, **more: Any) -> FileRequest:
    request = read(target, method="POST", websocket=False, **more)
    assert isinstance(request, FileRequest), request
    return request


def error_of(response: LiveRequest | FileRequest | Response) -> tuple[int, str]:
    assert isinstance(response, Response), response
    headers = dict(response.headers)
    assert headers["Content-Type"] == "application/json"
    assert int(headers["Content-Length"]) == len(response.body)
    return response.status, json.loads(response.body)["error"]


flags = st.sampled_from((None, True, False))
configs = st.builds(
    TranscriptionConfig,
    language=st.sampled_from(("en", "hi", "multi-asian")),
    encoding=st.sampled_from(("linear16", "linear32", "alaw", "mulaw", "opus", "ogg_opus")),
    sample_rate=st.sampled_from((8000, 16000, 48000)),
    sentence_timestamps=flags,
    diarize=flags,
    vad_events=flags,
    endpointing=flags,
    endpointing_timeout=st.none() | st.integers(1, 5000),
    eou_timeout_ms=st.none() | st.integers(100, 10000),
    format=flags,
    numerals=flags,
    finalize_on_words=flags,
    max_words=st.none() | st.integers(1, 100),
    redact_pii=flags,
    full_transcript=flags,
    keywords=st.lists(
        st.one_of(
            st.text("abz äü&=%+", min_size=1).filter(str.strip),
            st.tuples(st.text("abz é", min_size=1).filter(str.strip), st.sampled_from((1.0, 2.5))),
        ),
        max_size=3,
    ).map(tuple),
    external_session_id=st.none() | st.text("abc-_.9", min_size=1, max_size=128),
)


def ask(request: Request, *, websocket: bool) -> LiveRequest | FileRequest | Response:
    path = request.url.split("://", 1)[1].partition("/")[2]
    return read_request(request.method, f"/{path}?{request.query}", request.headers, websocket=websocket)


@settings(max_examples=80)
@given(configs, st.sampled_from(("unified", "model", "direct")), st.sampled_from(("", "/", "/waves/v1", "/a/b/c/")))
def test_what_a_client_asks_for_is_what_the_service_reads(config: TranscriptionConfig, route: Any, base: str) -> None:
    endpoint = Endpoint(api_key="k", base_url=f"http://localhost:1{base}", route=route)
    asked = ask(live_transcription_request(config, endpoint), websocket=True)
    assert asked == LiveRequest(options=config, gateway=route != "direct")


@settings(max_examples=40)
@given(flags, flags, st.sampled_from(("pulse", "pulse-pro")), st.sampled_from(("unified", "model")), st.booleans())
def test_what_a_client_asks_of_a_file_is_what_the_service_reads(
    word_timestamps: bool | None, format: bool | None, model: str, route: Any, raw: bool
) -> None:
    config = FileTranscriptionConfig(
        model=model,
        word_timestamps=word_timestamps,
        format=format,
        encoding="linear16" if raw else None,
        sample_rate=8000 if raw else None,
    )
    endpoint = Endpoint(api_key="k", base_url="http://localhost/waves/v1", route=route)
    asked = ask(file_transcription_request(config, endpoint, audio=b"RIFF"), websocket=False)
    options = msgspec.structs.replace(config, encoding=None, sample_rate=None)  # raw audio goes out as a WAV
    assert asked == FileRequest(options=options, content_type="application/octet-stream")


def test_defaults_of_the_routes() -> None:
    assert read_live(LIVE).options.word_timestamps is False
    assert read_live("/pulse/get_text").options.word_timestamps is True
    assert read_live("/transcribe").options.word_timestamps is True
    assert read_live("/stt/live/?model=pulse&word_timestamps=true").options.word_timestamps is True
    assert read_live("/pulse-2/get_text").options.model == "pulse-2"
    assert read_live("/transcribe?model=pulse-2").options.model == "pulse-2"
    assert read_live(LIVE).audio_format.sample_rate == 16000


def test_the_older_name_of_vad_events() -> None:
    assert read_live(f"{LIVE}&vad=true").options.vad_events is True
    assert read_live(f"{LIVE}&vad=true&vad_events=false").options.vad_events is False


@pytest.mark.parametrize(
    ("query", "note"),
    [
        ("colour=blue", "colour is passed over"),
        ("punctuation=false", "punctuation is passed over"),
        ("vad_events=maybe", "vad_events must be true or false, not 'maybe'"),
        ("vad=maybe", "vad_events must be true or false, not 'maybe'"),
        ("eou_timeout_ms=50", "100 to 10000"),
        ("max_words=0", "max_words must be"),
        ("max_words=many", "max_words must be a whole number, not 'many'"),
        ("keywords=a:b", "Blackwell:1,Jensen Huang:2"),
        ("keywords=", "keyword 0"),
        ("external_session_id=a%20b", "external_session_id must be"),
        ("language=tlh", "language is passed over"),
    ],
)
def test_what_the_service_does_not_know_is_passed_over_and_noted(query: str, note: str) -> None:
    """It takes ``numerals=auto``, ``punctuation=false`` and the like, as its clients were seen to send them."""
    asked = read_live(f"{LIVE}&{query}&endpointing=false&format=FALSE&diarize=true")
    assert asked.options == read_live(f"{LIVE}&endpointing=false&format=false&diarize=true").options
    assert any(note in replies for replies in asked.notes), asked.notes
    assert read_live(f"{LIVE}&endpointing=false").notes == ()


def test_many_wrong_values_are_each_passed_over_alone() -> None:
    wrong = "eou_timeout_ms=7&max_words=-1&format=perhaps&sentence_timestamps=true"
    asked = read_file(f"/stt?model=pulse&{wrong}&webhook_method=PUT&encoding=linear16")
    assert asked.options == FileTranscriptionConfig(sentence_timestamps=True)
    assert {note.split()[0] for note in asked.notes} == {
        *("eou_timeout_ms", "max_words", "format", "webhook_method", "encoding")
    }


def test_a_language_that_is_not_served_is_refused_as_a_region_does() -> None:
    serves = ("en", "multi-eu")
    asked = read_live(f"{LIVE}&language=hi", languages=serves)
    assert asked.refused == "LANGUAGE_NOT_ENABLED_IN_REGION"
    assert read_live(f"{LIVE}&language=en", languages=serves).refused is None
    assert read_live(LIVE, languages=serves).refused is None
    refused = read("/stt?model=pulse&language=hi", method="POST", websocket=False, languages=serves, request_id="r")
    assert isinstance(refused, Response)
    assert refused.status == 400
    assert json.loads(refused.body) == {
        "status": "error",
        "error_code": "LANGUAGE_NOT_ENABLED_IN_REGION",
        "message": "language 'hi' is not enabled in this region",
        "language": "hi",
        "region": "local",
        "request_id": "r",
    }


def test_on_premises_paths() -> None:
    headers = [("Authorization", "Token some-key")]
    live = read_live("/v1/listen/stream?language=en", headers=headers, api_key="some-key")
    assert (live.options.model, live.gateway) == ("pulse", True)
    asked = read_file("/v1/listen?model=pulse-pro&timestamps=true", headers=headers, api_key="some-key")
    assert asked.options == FileTranscriptionConfig(model="pulse-pro", word_timestamps=True)


def test_headers_and_key_whatever_their_case() -> None:
    for replies in ("bearer secret ", "Token secret", "secret", "Basic secret"):
        read_live(LIVE, headers=[("AUTHORIZATION", replies)], api_key="secret")
    wrong = read(LIVE, headers=[("Authorization", "Bearer other")], api_key="secret")
    assert error_of(wrong) == (401, "the API key is wrong")
    assert isinstance(wrong, Response)
    assert b"secret" not in wrong.body


@pytest.mark.parametrize(
    ("target", "more", "status", "text"),
    [
        ("/", {}, 404, "/stt/live"),
        ("/get_text", {}, 404, "no such path"),
        ("/stt/?model=pulse", {}, 404, "/stt/live"),
        ("/stt/live/more?model=pulse", {}, 404, "no such path"),
        (LIVE, {"method": "POST"}, 405, "GET"),
        (LIVE, {"method": "POST", "websocket": False}, 405, "GET"),
        ("/stt?model=pulse", {"websocket": False}, 405, "POST"),
        ("/pulse/get_text", {"method": "DELETE", "websocket": False}, 405, "POST or GET"),
        (LIVE, {"websocket": False}, 426, "WebSocket"),
        ("/pulse/get_text", {"websocket": False}, 426, "WebSocket"),
        (LIVE, {"headers": []}, 401, "Authorization: Bearer KEY"),
        (LIVE, {"headers": [("authorization", "Token")]}, 401, "missing"),
        (LIVE, {"headers": [("authorization", "Bearer ")]}, 401, "missing"),
        ("/stt/live", {}, 400, "model=pulse"),
        ("/stt/live?model=whisper", {}, 400, "pulse"),
        ("/stt/live?model=pulse-pro", {}, 400, "pulse-pro has no live transcription"),
        ("/pulse-pro/get_text", {}, 400, "pulse-pro has no live transcription"),
        (f"{LIVE}&sample_rate=11025", {}, 400, "8000, 16000"),
        (f"{LIVE}&sample_rate=fast", {}, 400, "sample_rate must be a whole number, not 'fast'"),
        (f"{LIVE}&encoding=mp3", {}, 400, "linear16"),
        ("http://[bad/", {}, 400, "cannot be read"),
        ("/stt/live?" + "a=1&" * 2000, {}, 400, "cannot be read"),
        ("/stt/", {"method": "POST", "websocket": False}, 400, "model is missing"),
        (
            "/stt?model=pulse-pro&webhook_url=http://a/b",
            {"method": "POST", "websocket": False},
            400,
            "reaches no network",
        ),
        (
            "/stt?model=pulse",
            {"method": "POST", "websocket": False, "headers": [*KEY, ("Content-Type", "application/JSON; charset=x")]},
            400,
            "audio by URL: this server reaches no network",
        ),
        (
            "/stt?model=pulse",
            {"method": "POST", "websocket": False, "headers": [*KEY, ("content-type", "multipart/form-data")]},
            400,
            "as the body",
        ),
        (
            "/stt?model=pulse",
            {"method": "POST", "websocket": False, "headers": [*KEY, ("CONTENT-LENGTH", "250000001")]},
            413,
            "250 MB",
        ),
    ],
)
def test_refusals_say_what_would_be_right(target: str, more: dict[str, Any], status: int, text: str) -> None:
    refused = read(target, **more)
    assert error_of(refused)[0] == status
    assert text in error_of(refused)[1]
    named = read(target, **more, request_id="r-1")
    assert isinstance(named, Response)
    assert json.loads(named.body)["request_id"] == "r-1"


def test_refusals_carry_the_headers_that_belong_to_them() -> None:
    def headers(target: str, **more: Any) -> dict[str, str]:
        refused = read(target, **more)
        assert isinstance(refused, Response)
        return dict(refused.headers)

    assert headers(LIVE, headers=[])["WWW-Authenticate"] == "Bearer"
    assert headers("/pulse/get_text", method="PUT", websocket=False)["Allow"] == "POST, GET"
    assert headers(LIVE, websocket=False)["Upgrade"] == "websocket"


hints = st.sampled_from(
    ("/stt/live?model=pulse&", "/pulse/get_text?", "/stt?model=", "keywords=", "sample_rate=", "%", "=")
)
targets = st.one_of(st.text(), st.lists(st.one_of(hints, st.text(max_size=5))).map("".join))


@settings(max_examples=150)
@given(st.text(max_size=10) | st.sampled_from(("GET", "POST")), targets, st.text(max_size=10), st.booleans())
def test_no_request_raises(method: str, target: str, value: str, websocket: bool) -> None:
    for headers in ([], KEY, [*KEY, (value, value), ("content-length", value), ("content-type", value)]):
        answer = read_request(method, target, headers, websocket=websocket, api_key=value)
        assert isinstance(answer, (LiveRequest, FileRequest, Response))
        if isinstance(answer, Response):
            assert error_of(answer)[0] in range(400, 427)


# --- file answers ---


def test_the_answer_to_a_file() -> None:
    words = (Word(text="Hello", start=0.1, end=0.4, confidence=0.9), Word(text="there.", start=0.5, end=0.9))
    heard = [
        Heard(text="Hello"),
        Heard(text="Hello there.", words=words, final=True),
        Heard(text="", final=True),
        Heard(text="Bye.", final=True, utterances=(Utterance(text="Bye.", start=2.0, end=2.5),)),
    ]

    def answered(target: str) -> dict[str, Any]:
        response = file_answer(read_file(target), heard, 3.0, "r-2", size=96_044, took=0.1)
        assert dict(response.headers)["X-Request-Id"] == "r-2"
        answer: dict[str, Any] = json.loads(response.body)
        return answer

    assert answered("/stt?model=pulse") == {
        "status": "success",
        "transcription": "Hello there. Bye.",
        "words": [],
        "utterances": [],
        "metadata": {"duration": 3.0, "fileSize": 96_044},
    }
    full = answered("/stt?model=pulse&word_timestamps=true")
    assert full["words"] == [
        {"word": "Hello", "start": 0.1, "end": 0.4, "confidence": 0.9},
        {"word": "there.", "start": 0.5, "end": 0.9},
    ]
    assert full["utterances"] == [
        {"text": "Hello there.", "start": 0.1, "end": 0.9},
        {"text": "Bye.", "start": 2.0, "end": 2.5},
    ]
    result = answered("/stt?model=pulse&word_timestamps=true&diarize=true")
    assert [word["speaker"] for word in result["words"]] == [0, 0]
    assert result["words"][0]["speaker_confidence"] == 1.0
    assert [utterance["speaker"] for utterance in result["utterances"]] == [0, 0]
    pro = answered("/stt?model=pulse-pro&word_timestamps=true")
    assert pro.keys() == {"status", "transcription", "words", "language", "metadata", "totalBytes", "request_id"}
    assert pro["metadata"] == {"duration": 3.0, "processing_time_ms": 100.0, "rtfx": 30.0, "num_chunks": 1}
    assert (pro["language"], pro["totalBytes"], pro["request_id"]) == ("en", 96_044, "r-2")
    assert error_of(error_answer(503, "no worker \udc00 free")) == (503, "no worker ? free")
