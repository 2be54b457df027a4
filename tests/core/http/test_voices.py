"""The list of voices: what an answer says, and that no answer raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.config import Endpoint, SynthesisConfig
from smallest_proto.errors import ConfigurationError, Failure, ProtocolError, ServiceError
from smallest_proto.http.voices import Voice, VoiceList, Voices, check_voice, read_voices
from smallest_proto.requests import voices_request

ENDPOINT = Endpoint(api_key="key")
MISHKA = {
    "_id": "6a0b3c06",
    "voiceId": "mishka",
    "displayName": "Mishka",
    "description": "Inviting.",
    "audioPreview": "https://example.com/mishka.wav",
    "tags": {
        "age": "young",
        "emotions": [],
        "language": ["english", "hindi"],
        "accent": "indian",
        "gender": "female",
        "usecases": ["conversational"],
    },
}
FULL = Voice(
    id="mishka",
    name="Mishka",
    languages=("english", "hindi"),
    gender="female",
    accent="indian",
    age="young",
    use_cases=("conversational",),
    description="Inviting.",
    preview_url="https://example.com/mishka.wav",
)


def read(answer: Any, model: str | None = None) -> Voices | Failure:
    return read_voices(200, (), json.dumps(answer).encode(), model=model)


@pytest.mark.parametrize("model", [None, "lightning_v3.1_pro"])
def test_an_exchange_lists_voices(model: str | None) -> None:
    exchange = VoiceList(ENDPOINT, model)
    exchange.start(0.0)
    command: Any = exchange.poll_output()
    assert command.request == voices_request(ENDPOINT, model)
    exchange.response_started(200, (), 0.0)
    exchange.body_received(json.dumps({"voices": [MISHKA]}).encode(), 0.0)
    exchange.response_ended(0.0)
    answer = exchange.poll_output()
    assert isinstance(answer, Voices)
    (voice,) = answer.voices
    assert voice.models == (() if model is None else (model,))
    assert (voice.id, voice.name, voice.languages) == ("mishka", "Mishka", ("english", "hindi"))


def test_a_whole_voice() -> None:
    assert read({"voices": [MISHKA]}) == Voices(voices=(FULL,))


@pytest.mark.parametrize(
    ("told", "voices"),
    [
        ([], ()),
        ([{"voiceId": "a"}], (Voice(id="a", name="a"),)),
        ([None, 5, [], {}, {"voiceId": ""}, {"voiceId": None}, {"displayName": "A"}], ()),
        ([{"voiceId": "a", "displayName": None, "tags": None}], (Voice(id="a", name="a"),)),
        ([{"voiceId": "a", "displayName": [], "tags": []}], (Voice(id="a", name="a"),)),
        ([{"voiceId": "a", "tags": {"language": "tamil"}}], (Voice(id="a", name="a", languages=("tamil",)),)),
        ([{"voiceId": "a", "tags": {"language": [1, None]}}], (Voice(id="a", name="a", languages=("1",)),)),
        ([{"voiceId": "a", "tags": {"language": {}, "gender": {}}}], (Voice(id="a", name="a"),)),
        ([{"voiceId": "a", "modelIds": ["m"]}], (Voice(id="a", name="a", models=("m",)),)),
    ],
)
def test_voices_with_fields_missing_null_or_wrong(told: Any, voices: tuple[Voice, ...]) -> None:
    assert read({"voices": told}) == Voices(voices=voices)


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ({"error": "no"}, ServiceError, "error"),
        ({"error": "no", "voices": []}, ServiceError, "error"),
        ({}, ProtocolError, "no voices"),
        ({"voices": {}}, ProtocolError, "no voices"),
        ([], ProtocolError, "not a JSON object"),
    ],
)
def test_an_answer_without_voices_is_a_failure(answer: Any, error: type[Exception], says: str) -> None:
    failure = read(answer)
    assert isinstance(failure, Failure)
    assert isinstance(failure.error(), error)
    assert says in failure.reason
    assert isinstance(read_voices(200, (), b""), Failure)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["voiceId", "displayName", "tags", "language", "gender"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(_JSON)
def test_whatever_a_voice_is_nothing_raises(told: Any) -> None:
    for answer in (read({"voices": told}), read({"voices": [told]})):
        assert isinstance(answer, (Voices, Failure))
        assert repr(answer)


def test_a_voice_that_the_model_does_not_have() -> None:
    voices = (FULL, Voice(id="avery", name="Avery"))
    with pytest.raises(ConfigurationError, match=r"lightning_v3\.1 has no voice 'sophia': use one of avery, mishka"):
        check_voice(SynthesisConfig(), voices)
    check_voice(SynthesisConfig(voice_id="avery"), voices)
    check_voice(SynthesisConfig(voice_id="voice_FlPKRWI7DX"), voices)
