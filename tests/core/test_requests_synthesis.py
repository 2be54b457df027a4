"""The requests of a synthesis, read back as the service reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.config import SPEECH_LANGUAGES, SPEECH_SAMPLE_RATES, Endpoint, SynthesisConfig
from smallest_proto.errors import ConfigurationError
from smallest_proto.requests import (
    Request,
    live_synthesis_request,
    speech_fields,
    synthesis_request,
    synthesis_sse_request,
    voices_request,
)

from .private import KEY, SAID

HOST = "https://speech.example/base"
ENDPOINT = Endpoint(api_key=KEY, base_url=HOST)
MODEL_ROUTE = Endpoint(api_key=KEY, base_url=HOST, route="model")
DIRECT = Endpoint(api_key=KEY, base_url=HOST, route="direct")
CONFIG = SynthesisConfig()

_ID = st.from_regex(r"[A-Za-z0-9_.-]{1,128}", fullmatch=True)
# Every field of the body with values for it; the vendor's names are the configuration's.
OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "voice_id": st.sampled_from(["sophia", "voice_FlPKRWI7DX"]),
    "sample_rate": st.sampled_from(SPEECH_SAMPLE_RATES),
    "speed": st.floats(0.5, 2),
    "language": st.sampled_from(sorted(SPEECH_LANGUAGES)),
    "output_format": st.sampled_from(["pcm", "mp3", "wav", "ulaw", "alaw"]),
    "pronunciation_dicts": st.lists(_ID, min_size=1, max_size=3).map(tuple),
    "number_pronunciation_language": st.sampled_from(sorted(SPEECH_LANGUAGES)),
    "math_notation": st.booleans(),
    "session_id": _ID,
    "request_id": _ID,
}
OLDER = {name: st.floats(0, 1) for name in ("consistency", "similarity", "enhancement")}
SOCKET = {"word_timestamps", "continuations", "max_buffer_flush_ms", "complete_backoff_ms", "max_buffer_delay_ms"}
_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(str.strip)


def body(request: Request) -> Any:
    assert request.method == "POST"
    assert dict(request.headers)["Content-Type"] == "application/json"
    assert request.body is not None
    return json.loads(request.body)


def test_every_option_is_tried_here() -> None:
    assert {*OPTIONS, *OLDER, *SOCKET, "model", "extra", "expire_content"} == set(CONFIG.__struct_fields__)


@pytest.mark.parametrize("make", [synthesis_request, synthesis_sse_request])
def test_what_is_not_known_here_goes_out_as_it_is(make: Any) -> None:
    config = SynthesisConfig(language="en", expire_content=True, extra={"language": "tlh", "mood": "merry"})
    request = make(config, ENDPOINT, SAID)
    assert (body(request)["language"], body(request)["mood"]) == ("tlh", "merry")
    assert "extra" not in body(request)
    assert dict(request.headers)["X-Expire-Content"] == "true"
    assert speech_fields(config)["mood"] == "merry"  # of each message of a socket
    assert dict(live_synthesis_request(config, ENDPOINT).headers)["X-Expire-Content"] == "true"


@pytest.mark.parametrize("name", ["text", "continue", "flush", "context_id", "sample_rate", "output_format"])
def test_what_the_protocol_says_itself_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="set the option"):
        SynthesisConfig(extra={name: "x"})


@given(st.fixed_dictionaries({}, optional=OPTIONS), _TEXT)
def test_options_come_through_and_what_was_not_set_is_absent(options: dict[str, Any], text: str) -> None:
    config = SynthesisConfig(**options)
    defaults = {"voice_id": "sophia", "sample_rate": 24000, "output_format": "pcm"}
    expected = {**defaults, **options, "text": text}
    if "pronunciation_dicts" in expected:
        expected["pronunciation_dicts"] = list(expected["pronunciation_dicts"])
    request = synthesis_request(config, ENDPOINT, text)
    assert request.full_url == f"{HOST}/tts"
    assert body(request) == {**expected, "model": "lightning_v3.1"}
    request = synthesis_request(config, MODEL_ROUTE, text)
    assert request.full_url == f"{HOST}/lightning-v3.1/get_speech"
    assert body(request) == expected
    assert dict(request.headers)["Accept"] == "audio/wav"  # of any format: without it the answer can be empty


@given(st.fixed_dictionaries({}, optional={**OPTIONS, **OLDER}))
def test_an_older_model_is_on_the_model_route(options: dict[str, Any]) -> None:
    config = SynthesisConfig(model="lightning-v2", **options)
    request = synthesis_request(config, MODEL_ROUTE, SAID)
    assert request.url == f"{HOST}/lightning-v2/get_speech"
    assert {name: value for name, value in body(request).items() if name in OLDER} == {
        name: value for name, value in options.items() if name in OLDER
    }


@pytest.mark.parametrize("spelled", ["lightning_v3.1_pro", "lightning-v3.1_pro", "lightning-v3.1-pro"])
def test_the_body_names_the_model_as_the_service_does(spelled: str) -> None:
    config = SynthesisConfig(model=spelled)
    for request in (synthesis_request(config, ENDPOINT, SAID), synthesis_sse_request(config, ENDPOINT, SAID)):
        assert (body(request)["model"], body(request)["voice_id"]) == ("lightning_v3.1_pro", "meher")
    assert speech_fields(config)["model"] == "lightning_v3.1_pro"
    assert voices_request(ENDPOINT, spelled).url == f"{HOST}/lightning-v3.1-pro/get_voices"


@pytest.mark.parametrize("output_format", ["pcm", "ulaw", "alaw"])
def test_server_sent_events(output_format: Any) -> None:
    request = synthesis_sse_request(SynthesisConfig(output_format=output_format), ENDPOINT, SAID)
    assert request.full_url == f"{HOST}/tts/live"
    assert body(request)["output_format"] == output_format
    assert dict(request.headers)["Accept"] == "text/event-stream"


@pytest.mark.parametrize(("idle", "query"), [(None, ""), (120, "timeout=120"), (90.5, "timeout=90")])
def test_the_socket(idle: float | None, query: str) -> None:
    request = live_synthesis_request(CONFIG, ENDPOINT, idle=idle)
    assert (request.method, request.url, request.query) == ("GET", "wss://speech.example/base/tts/live", query)
    assert request.body is None
    assert dict(request.headers)["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("endpoint", [ENDPOINT, MODEL_ROUTE])
def test_the_voices(endpoint: Endpoint) -> None:
    request = voices_request(endpoint)
    assert (request.method, request.full_url) == ("GET", f"{HOST}/voice/get-all-models")
    assert voices_request(endpoint, "lightning_v3.1").full_url == f"{HOST}/lightning-v3.1/get_voices"
    assert dict(request.headers)["Accept"] == "application/json"


OLD = SynthesisConfig(model="lightning-v2")
PRO = SynthesisConfig(model="lightning_v3.1_pro")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        *(
            (lambda make=make, text=text: make(CONFIG, ENDPOINT, text), "text")
            for make in (synthesis_request, synthesis_sse_request)
            for text in ("", "  ", "\ud800", None, b"text")
        ),
        (lambda: synthesis_request(OLD, ENDPOINT, SAID), "older model.*route='model'.*lightning_v3.1"),
        (lambda: synthesis_request(PRO, MODEL_ROUTE, SAID), "unified route alone"),
        (lambda: synthesis_request(CONFIG, DIRECT, SAID), "route='direct' has no such synthesis: use route='unified'"),
        (lambda: synthesis_sse_request(CONFIG, MODEL_ROUTE, SAID), "use route='unified'"),
        (lambda: synthesis_sse_request(OLD, ENDPOINT, SAID), "older model"),
        *(
            (lambda f=f: synthesis_sse_request(SynthesisConfig(output_format=f), ENDPOINT, SAID), "use sse=False")
            for f in ("mp3", "wav")
        ),
        *(
            (lambda f=f: live_synthesis_request(SynthesisConfig(output_format=f), ENDPOINT), "pcm alone")
            for f in ("mp3", "wav", "ulaw", "alaw")
        ),
        (lambda: live_synthesis_request(CONFIG, MODEL_ROUTE), "use route='unified'"),
        (lambda: live_synthesis_request(CONFIG, DIRECT), "use route='unified'"),
        (lambda: live_synthesis_request(OLD, ENDPOINT), "older model"),
        (lambda: live_synthesis_request("fast", ENDPOINT), "SynthesisConfig"),  # type: ignore[arg-type]
        (lambda: synthesis_request(None, MODEL_ROUTE, SAID), "SynthesisConfig"),  # type: ignore[arg-type]
        (lambda: live_synthesis_request(CONFIG, ENDPOINT, idle=0.5), "idle must be a number of seconds of at least 1"),
        (lambda: voices_request(DIRECT), "no list of voices"),
        (lambda: voices_request(ENDPOINT, "pulse"), "model must be one of"),
        (lambda: voices_request(ENDPOINT, "../x"), "model must be one of"),
    ],
)
def test_what_cannot_be_asked_for(make: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        make()
    assert "Wilhelmina" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_nothing_shows_the_key_or_the_text() -> None:
    for request in (synthesis_request(CONFIG, ENDPOINT, SAID), synthesis_sse_request(CONFIG, ENDPOINT, SAID)):
        assert "Wilhelmina" not in repr(request)
        assert KEY not in repr(request)
