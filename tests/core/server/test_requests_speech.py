"""Speech at the service's door: what a client asks for is what the service reads, and refusals say what is right."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.config import Endpoint, SynthesisConfig
from smallest_proto.errors import ConfigurationError
from smallest_proto.requests import (
    Request,
    live_synthesis_request,
    synthesis_request,
    synthesis_sse_request,
    voices_request,
)
from smallest_proto.server.answers import (
    SSE_END,
    ListedVoice,
    Response,
    sse_audio,
    synthesis_error_answer,
    synthesis_headers,
    voices_answer,
    wav_header,
)
from smallest_proto.server.options import FieldError, read_synthesis_fields
from smallest_proto.server.requests import (
    Asked,
    SynthesisOrder,
    SynthesisRequest,
    SynthesisSocketRequest,
    VoicesRequest,
    read_request,
    read_synthesis,
)

from .asked import KEY

ENDPOINT = Endpoint(api_key="k", base_url="http://localhost:1/waves/v1")


def ask(request: Request, *, websocket: bool = False) -> Asked | Response:
    path = request.url.split("://", 1)[1].partition("/")[2]
    return read_request(request.method, f"/{path}?{request.query}", request.headers, websocket=websocket)


def read(target: str, method: str = "POST", headers: Sequence[tuple[str, str]] = KEY, **more: Any) -> Asked | Response:
    return read_request(method, target, headers, websocket=more.pop("websocket", False), **more)


def order(body: Any, **request: Any) -> SynthesisOrder:
    return read_synthesis(SynthesisRequest(**request), body if isinstance(body, bytes) else json.dumps(body).encode())


configs = st.builds(
    SynthesisConfig,
    model=st.sampled_from(("lightning_v3.1", "lightning_v3.1_pro", "lightning-v3.1")),
    voice_id=st.sampled_from(("sophia", "voice_FlPK")),
    sample_rate=st.sampled_from((8000, 16000, 24000, 44100)),
    speed=st.none() | st.floats(0.5, 2),
    language=st.sampled_from((None, "auto", "en", "hi")),
    output_format=st.sampled_from(("pcm", "ulaw", "alaw")),
    pronunciation_dicts=st.lists(st.sampled_from(("a", "b")), max_size=2).map(tuple),
    number_pronunciation_language=st.sampled_from((None, "hi")),
    math_notation=st.sampled_from((None, True, False)),
    session_id=st.sampled_from((None, "s-1")),
    request_id=st.sampled_from((None, "r.1")),
)
texts = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)


@settings(max_examples=80)
@given(configs, texts, st.booleans())
def test_what_a_client_asks_for_is_what_the_service_reads(config: SynthesisConfig, text: str, sse: bool) -> None:
    request = (synthesis_sse_request if sse else synthesis_request)(config, ENDPOINT, text)
    asked = ask(request)
    assert asked == SynthesisRequest(sse=sse)
    found = read_synthesis(SynthesisRequest(sse=sse), request.body or b"")
    assert found.text == text
    # Of the two spellings the wire has one.
    assert msgspec.structs.replace(found.options, model=config.model) == config
    assert found.options.current_model == config.current_model


def test_the_model_route_names_the_model_in_its_path() -> None:
    config = SynthesisConfig(model="lightning-v9", similarity=0.5)  # an older one, such as on-premises servers have
    endpoint = Endpoint(api_key="k", base_url="http://localhost", route="model")
    request = synthesis_request(config, endpoint, "Hello.")
    asked = ask(request)
    assert asked == SynthesisRequest(model="lightning-v9")
    assert isinstance(asked, SynthesisRequest)
    assert read_synthesis(asked, request.body or b"").options == msgspec.structs.replace(config, voice_id=config.voice)


def test_sockets_and_voices() -> None:
    config = SynthesisConfig()
    assert ask(live_synthesis_request(config, ENDPOINT), websocket=True) == SynthesisSocketRequest()
    assert ask(live_synthesis_request(config, ENDPOINT, idle=120), websocket=True) == SynthesisSocketRequest(
        timeout=120
    )
    assert ask(voices_request(ENDPOINT)) == VoicesRequest()
    assert read("/a/lightning-v3.1/get_voices", "GET") == VoicesRequest(model="lightning-v3.1")


@pytest.mark.parametrize(
    ("target", "more", "status", "expected"),
    [
        ("/tts", {"headers": []}, 401, "Authorization: Bearer KEY"),
        ("/tts", {"api_key": "other"}, 401, "the API key is wrong"),
        ("/tts", {"method": "GET"}, 405, "POST"),
        ("/tts", {"method": "GET", "websocket": True}, 404, "/tts/live"),
        ("/tts/live", {"method": "GET"}, 426, "WebSocket"),
        ("/tts/live", {"method": "PUT"}, 405, "POST or GET"),
        ("/tts/live?timeout=0", {"method": "GET", "websocket": True}, 400, "whole number of seconds"),
        ("/tts/live?timeout=1.5", {"method": "GET", "websocket": True}, 400, "not '1.5'"),
        ("/tts/live?timeout=99999999999999999", {"method": "GET", "websocket": True}, 400, "from 1 to 86400"),
        ("/lightning/get_speech", {}, 410, "use lightning-v3.1"),
        ("/lightning-large/get_speech", {}, 410, "use lightning-v3.1"),
        ("/lightning-v2/get_voices", {"method": "GET"}, 410, "use lightning-v3.1"),
        ("/pulse/get_speech", {}, 400, "model must be one of lightning_v3.1"),
        ("/lightning-v3.1/get_speech", {"method": "GET"}, 405, "POST"),
        ("/voice/get-all-models", {}, 405, "GET"),
        ("/voice/get-all-models", {"method": "GET", "websocket": True}, 404, "no WebSocket here"),
        ("/pulse/get_voices", {"method": "GET"}, 400, "model must be one of"),
    ],
)
def test_refusals_have_the_shape_of_speech(target: str, more: dict[str, Any], status: int, expected: str) -> None:
    refused = read(target, request_id="r-1", **more)
    assert isinstance(refused, Response)
    body = json.loads(refused.body)
    assert refused.status == status
    if status == 400:
        (error,) = body["error"]
        assert error.keys() == {"code", "path", "message"}
    else:
        assert isinstance(body["error"], str)
        error = body
    assert expected in error["message"]
    assert body["request_id"] == "r-1"


def test_paths_that_are_none() -> None:
    for target in ("/get_speech", "/get_voices", "/lightning-v3.1/get_speech/stream", "/voice"):
        refused = read(target)
        assert isinstance(refused, Response)
        assert refused.status == 404
        assert "/tts/live" in json.loads(refused.body)["error"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"<html>", "JSON object, and it is not JSON"),
        (b"[]", "not a JSON object"),
        ({}, "voice_id is missing"),
        ({"voice_id": "a"}, "text is missing"),
        ({"voice_id": "a", "text": 7}, "text is missing"),
        ({"voice_id": "a", "text": " "}, "the text is empty"),
        ({"voice_id": "a", "text": "secret" * 100_000}, "at most 100,000"),
        ({"voice_id": "a", "text": "secret \ud800"}, "surrogates"),
        ({"voice_id": "a", "text": "a", "speed": "fast"}, "speed must be a number"),
        ({"voice_id": "a", "text": "a", "model": ["x"]}, "model must be one of"),
        ({"voice_id": "a", "text": "a", "model": "lightning-large"}, "have their own path"),
    ],
)
def test_bodies_that_cannot_be_had(body: Any, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected) as caught:
        order(body)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("output_format", "flac", "invalid_enum_value"),  # these two were recorded
        ("voice_id", "nobody", "invalid_voice_id"),
        ("model", "lightning_v9", "invalid_enum_value"),
        ("sample_rate", 11025, "invalid_enum_value"),
        ("speed", 3, "too_big"),
        ("speed", 0.1, "too_small"),
        ("speed", "fast", "invalid_string"),
        ("language", "tlh", "invalid_enum_value"),
        ("text", None, "invalid_type"),
        ("text", "", "too_small"),
        ("voice_id", None, "invalid_type"),
        ("session_id", "a b", "invalid_string"),
    ],
)
def test_a_refusal_names_the_field(field: str, value: object, code: str) -> None:
    body = {"voice_id": "sophia", "text": "Hello.", field: value}
    with pytest.raises(FieldError) as caught:
        read_synthesis(SynthesisRequest(), json.dumps(body).encode(), voices=("sophia", "magnus"))
    assert (caught.value.path, caught.value.code) == (field, code)
    answer = json.loads(synthesis_error_answer(400, str(caught.value), path=field, code=code).body)
    assert answer == {"error": [{"code": code, "path": [field], "message": str(caught.value)}], "private": False}


def test_voices_that_are_listed_and_cloned_ones_speak() -> None:
    for voice in ("sophia", "voice_FlPK"):
        body = json.dumps({"voice_id": voice, "text": "Hello."}).encode()
        assert read_synthesis(SynthesisRequest(), body, voices=("sophia",)).options.voice_id == voice


def test_what_is_left_out_has_the_services_default() -> None:
    options = order({"text": "a", "voice_id": "b", "speed": None}).options
    assert (options.sample_rate, options.model, options.output_format) == (44100, "lightning_v3.1", "pcm")
    assert (options.speed, options.continuations, options.word_timestamps) == (None, False, False)


def test_what_is_not_known_is_passed_over() -> None:
    given_fields = {"voice_id": "b", "colour": "blue", "continuations": "yes", "consistency": 0.5, "similarity": "x"}
    assert read_synthesis_fields(given_fields) == read_synthesis_fields({"voice_id": "b"})
    assert read_synthesis_fields(given_fields | {"similarity": 1}, model="lightning-v9").consistency == 0.5


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(SynthesisConfig.__struct_fields__) | st.just("text"), anything), st.binary())
def test_no_body_raises_anything_else(fields: dict[str, Any], noise: bytes) -> None:
    for body in (noise, json.dumps(fields).encode(), json.dumps({"voice_id": "a", "text": "a", **fields}).encode()):
        try:
            found = read_synthesis(SynthesisRequest(), body)
        except ConfigurationError:
            continue
        assert found.text.strip()


# --- answers ---


def test_the_shapes_of_answers() -> None:
    event = sse_audio(b"\x01\x02").decode()
    assert event == 'event: audio\ndata: {"audio":"AQI=","done":false,"status":"206"}\n\n'
    assert json.loads(SSE_END.decode().removeprefix("data: ")) == {"status": "200", "done": True}
    options = SynthesisConfig(output_format="mp3", session_id="mine")
    headers = dict(synthesis_headers(options, "s", "r"))
    assert headers == {
        "Content-Type": "audio/wav",  # whatever the format
        "X-Session-Id": "s",
        "X-Request-Id": "r",
        "X-External-Session-Id": "mine",
        "X-External-Request-Id": "",
    }
    assert dict(synthesis_headers(options, "s", "r", sse=True))["Content-Type"] == "text/event-stream"
    assert [json.loads(synthesis_error_answer(status, "no").body)["error"] for status in (401, 404, 503)] == [
        "Unauthorized",
        "RequestError",
        "InternalServerError",
    ]


def test_the_head_of_a_wav() -> None:
    head = wav_header(24000, 480)
    assert len(head) == 44
    assert struct.unpack("<I", head[4:8]) == (480 + 36,)
    assert struct.unpack("<I", head[40:]) == (480,)
    assert (head[:4], head[8:16], head[36:40]) == (b"RIFF", b"WAVEfmt ", b"data")
    assert struct.unpack("<HHIIHH", head[20:36]) == (1, 1, 24000, 48000, 2, 16)


def test_voices_of_one_model_and_of_all() -> None:
    voices = [
        ListedVoice(voice_id="a", name="A", models=("lightning_v3.1",), languages=("english",), accent="x", age="old"),
        ListedVoice(voice_id="b", name="B", models=("lightning_v3.1_pro",), description="said"),
    ]
    (one,) = json.loads(voices_answer("lightning-v3.1", voices).body)["voices"]
    assert one == {"voiceId": "a", "displayName": "A", "tags": {"language": ["english"], "accent": "x", "gender": ""}}
    every = json.loads(voices_answer(None, voices).body)["voices"]
    assert [(voice["voiceId"], voice["description"], voice["tags"]["age"]) for voice in every] == [
        ("a", "", "old"),
        ("b", "said", ""),
    ]
