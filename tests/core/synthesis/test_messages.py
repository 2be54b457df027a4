"""The synthesis socket's messages: what is sent says all of the voice, and whatever comes is a value."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.config import SynthesisConfig
from smallest_proto.reading import MalformedMessage, UnknownMessage
from smallest_proto.refusals import message_failure
from smallest_proto.synthesis.messages import (
    AudioMessage,
    CompleteMessage,
    MessageWriter,
    RefusalMessage,
    WordMessage,
    decode_message,
)

PCM = bytes(range(256))
AUDIO = base64.b64encode(PCM).decode()
ECHO = {"session_id": "s", "request_id": "r", "context_id": "c", "external_request_id": "mine"}


def decode(**message: Any) -> Any:
    return decode_message(json.dumps(message))


def test_what_the_service_says() -> None:
    ids: dict[str, Any] = {"request_id": "r", "context_id": "c"}
    assert decode(status="chunk", data={"audio": AUDIO}, **ECHO) == AudioMessage(data=PCM, **ids)
    word = {"id": 2, "word": "$100", "start": 1.12, "end": 1.92}
    assert decode(status="word_timestamp", data=word, **ECHO) == WordMessage(text="$100", start=1.12, end=1.92, **ids)
    assert decode(status="complete", **ECHO) == CompleteMessage(**ids)
    told = decode(status="error", message="no", **ECHO)
    assert isinstance(told, RefusalMessage)
    assert (told.error.text, told.error.status, told.request_id) == ("no", "error", "r")


def test_the_status_of_an_error() -> None:
    told = decode(error={"message": "no such voice", "code": 400})
    assert (told.error.text, told.error.status) == ("no such voice", "400")
    assert decode(error="no").error.text == "no"


@pytest.mark.parametrize(
    ("message", "code", "final"),
    [
        ({"status": "error", "error_code": "MODEL_DEPRECATED"}, "MODEL_DEPRECATED", True),
        ({"type": "error", "error_code": "MODEL_DEPRECATED", "request_id": 7}, "MODEL_DEPRECATED", True),
        ({"status": "error", "error": {"message": "no", "code": "LICENSE_EXPIRED"}}, "LICENSE_EXPIRED", True),
        ({"status": "error", "error": {"message": "no", "code": "WORKER_LOST"}}, "WORKER_LOST", False),
        ({"status": "error", "error_code": "no code"}, None, False),
        ({"status": "error", "error": {"code": 400}}, None, False),
    ],
)
def test_the_code_of_an_error_says_whether_another_try_can_help(
    message: dict[str, Any], code: str | None, final: bool
) -> None:
    error = decode(**message).error
    assert error.code == code
    assert message_failure(error).final is final


@pytest.mark.parametrize("audio", ["?", "QQ", "Q Q=", "QQ==QQ==", "\ud800", 7, [], {}])
def test_audio_that_cannot_be_decoded_is_told_from_none(audio: object) -> None:
    assert decode(status="chunk", data={"audio": audio}, request_id="r") == AudioMessage(
        data=None, request_id="r", repaired=True
    )


@pytest.mark.parametrize("data", [None, {}, {"audio": None}, 7, "x", []])
def test_a_chunk_without_audio_says_nothing(data: object) -> None:
    assert decode(status="chunk", data=data) == UnknownMessage()


def test_what_is_odd_beside_the_audio_does_no_harm() -> None:
    assert decode(status="chunk", data={"audio": AUDIO, "word": 7}, request_id=5) == AudioMessage(
        data=PCM, request_id="5", repaired=True
    )
    assert decode(status="word_timestamp", data={"word": "a", "start": "1.5", "end": "x"}) == WordMessage(
        text="a", start=1.5, end=None, repaired=True
    )
    odd = decode_message('{"status":"word_timestamp","data":{"word":"a","start":1e999,"end":2}}')
    assert (odd.start, odd.end) == (None, 2.0)


def test_what_is_no_message() -> None:
    assert isinstance(decode_message("<html>"), MalformedMessage)
    assert isinstance(decode_message(b"\xff"), MalformedMessage)
    assert isinstance(decode_message("[1]"), MalformedMessage)
    assert decode(status="news") == UnknownMessage()
    assert decode(status="word_timestamp", data={"start": 1}) == UnknownMessage()


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5) | st.just(AUDIO),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("audio", "word", "start")), inner),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("data", "message", "error"), json_values),
            **dict.fromkeys(
                ("request_id", "context_id"), st.text(max_size=5) | st.integers() | st.none() | st.just([])
            ),
        },
    ),
    st.sampled_from((None, "chunk", "word_timestamp", "complete", "error")),
)
def test_nothing_raises(message: dict[str, Any], status: str | None) -> None:
    told = decode_message(json.dumps({**message, "status": status} if status else message))
    assert AUDIO not in repr(told)


@given(st.text(max_size=20) | st.binary(max_size=20))
def test_nothing_raises_on_bytes(data: str | bytes) -> None:
    assert isinstance(decode_message(data), (MalformedMessage, UnknownMessage))


def test_plain_wording() -> None:
    writer = MessageWriter(SynthesisConfig(max_buffer_flush_ms=200, max_buffer_delay_ms=100, speed=1.5), words=False)
    voice = {"voice_id": "sophia", "model": "lightning_v3.1", "sample_rate": 24000, "speed": 1.5}
    more = {"max_buffer_flush_ms": 200, "complete_backoff_ms": 0}
    assert json.loads(writer.text("Hi ", "c")) == voice | more | {"text": "Hi ", "continue": True, "flush": False}
    assert json.loads(writer.end("c")) == voice | more | {"text": "", "continue": False, "flush": True}


@pytest.mark.parametrize("wait", [0, 0.5, 250, 4000, 10_000])
def test_a_plain_segment_waits_for_its_complete_as_long_as_is_asked(wait: float) -> None:
    writer = MessageWriter(SynthesisConfig(complete_backoff_ms=wait), words=False)
    for message in (writer.text("Hi ", "c"), writer.end("c")):
        assert json.loads(message)["complete_backoff_ms"] == wait


def test_wording_with_continuations() -> None:
    config = SynthesisConfig(continuations=True, max_buffer_flush_ms=200, max_buffer_delay_ms=100)
    writer = MessageWriter(config, words=True)
    voice = {"voice_id": "sophia", "model": "lightning_v3.1", "sample_rate": 24000, "word_timestamps": True}
    voice |= {"max_buffer_delay_ms": 100, "context_id": "c"}
    assert json.loads(writer.text("Hi ", "c")) == voice | {"text": "Hi ", "continue": True}
    assert json.loads(writer.end("c")) == voice | {"text": "", "continue": False}
    assert json.loads(writer.cancel("c")) == voice | {"text": "", "cancel_request": True}


def test_names_have_a_bound() -> None:
    told = decode(status="complete", request_id="r" * 10_000, context_id="c" * 10_000)
    assert (len(told.request_id), len(told.context_id)) == (256, 256)
