"""What the user sets of a synthesis: good values stand, bad ones get a message that says what would be right."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.config import (
    MAX_TEXT,
    PRO_SPEECH_LANGUAGES,
    SPEECH_LANGUAGES,
    SPEECH_SAMPLE_RATES,
    SynthesisConfig,
    check_text,
)
from smallest_proto.errors import ConfigurationError

from .private import SAID


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "pulse"}, "model must be one of lightning_v3.1, lightning_v3.1_pro"),
        ({"model": "lightning_v3.2"}, "model must be one of"),
        ({"model": "lightning v3.1"}, "model must be one of"),
        ({"model": "lightning-v3.1/../x"}, "model must be one of"),
        ({"model": None}, "model must be one of"),
        ({"model": ["lightning"]}, "model must be one of"),
        ({"voice_id": ""}, "voice_id must be the id of a voice"),
        ({"voice_id": "a b"}, "voice_id must be the id of a voice"),
        ({"voice_id": "a\n"}, "voice_id must be the id of a voice"),
        ({"voice_id": "a" * 129}, "voice_id must be the id of a voice"),
        ({"voice_id": 5}, "voice_id must be the id of a voice"),
        ({"sample_rate": 22050}, "sample_rate must be one of 8000, 16000, 24000, 44100 Hz, not 22050"),
        ({"sample_rate": 48000}, "sample_rate must be one of"),
        ({"sample_rate": 24000.0}, "sample_rate must be one of"),
        ({"sample_rate": "24000"}, "sample_rate must be one of"),
        ({"sample_rate": True}, "sample_rate must be one of"),
        ({"sample_rate": None}, "sample_rate must be one of"),
        ({"speed": 0.49}, "speed must be a number from 0.5 to 2"),
        ({"speed": 2.01}, "speed must be a number from 0.5 to 2"),
        ({"speed": math.nan}, "speed must be a number"),
        ({"speed": "1"}, "speed must be a number"),
        ({"speed": True}, "speed must be a number"),
        ({"language": "xx"}, "lightning_v3.1 has no language 'xx': use one of auto, .*en.*hi"),
        ({"language": "ja"}, "lightning_v3.1 has no language 'ja'"),  # the pro model has it
        ({"language": ["en"]}, "has no language"),
        ({"model": "lightning_v3.1_pro", "language": "yue"}, "lightning_v3.1_pro has no language 'yue'"),
        ({"number_pronunciation_language": "zz"}, "has no number_pronunciation_language 'zz'"),
        ({"output_format": "mulaw"}, "output_format must be one of pcm, mp3, wav, ulaw, alaw"),
        ({"output_format": None}, "output_format must be one of"),
        ({"output_format": []}, "output_format must be one of"),
        ({"pronunciation_dicts": "abc"}, "pronunciation_dicts must be a tuple"),
        ({"pronunciation_dicts": None}, "pronunciation_dicts must be a tuple"),
        ({"pronunciation_dicts": (5,)}, "pronunciation_dicts must be a tuple"),
        ({"pronunciation_dicts": ("",)}, "pronunciation_dicts must be a tuple"),
        ({"pronunciation_dicts": ("\ud800",)}, "pronunciation_dicts must be a tuple"),
        ({"session_id": "a b"}, "session_id must be 1 to 128 of the characters"),
        ({"request_id": ""}, "request_id must be 1 to 128 of the characters"),
        ({"consistency": 0.5}, "lightning_v3.1 has no consistency: leave it out"),
        ({"model": "lightning-v3.1_pro", "similarity": 0}, "lightning-v3.1_pro has no similarity"),
        ({"model": "lightning-v2", "consistency": 1.1}, "consistency must be a number from 0 to 1"),
        ({"model": "lightning-v2", "similarity": -0.1}, "similarity must be a number from 0 to 1"),
        ({"model": "lightning-v2", "enhancement": 3}, "enhancement must be a number from 0 to 2"),
        ({"word_timestamps": 1}, "word_timestamps must be True, False"),
        ({"continuations": "true"}, "continuations must be True, False"),
        ({"math_notation": 0}, "math_notation must be True, False"),
        ({"max_buffer_flush_ms": 1001}, "max_buffer_flush_ms must be a whole number from 0 to 1000"),
        ({"max_buffer_delay_ms": 5001}, "max_buffer_delay_ms must be a whole number from 0 to 5000"),
        ({"max_buffer_delay_ms": -1}, "max_buffer_delay_ms must be a whole number"),
        ({"complete_backoff_ms": 10_001}, "complete_backoff_ms must be a number from 0 to 10000"),
        ({"complete_backoff_ms": -0.5}, "complete_backoff_ms must be a number"),
    ],
)
def test_a_synthesis_says_what_would_be_right(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        SynthesisConfig(**options)


@pytest.mark.parametrize(
    ("model", "current", "voice"),
    [
        ("lightning_v3.1", "lightning_v3.1", "sophia"),
        ("lightning-v3.1", "lightning_v3.1", "sophia"),
        ("lightning_v3.1_pro", "lightning_v3.1_pro", "meher"),
        ("lightning-v3.1_pro", "lightning_v3.1_pro", "meher"),
        ("lightning-v3.1-pro", "lightning_v3.1_pro", "meher"),
        ("lightning", None, "sophia"),
        ("lightning-v2", None, "sophia"),
        ("lightning-large", None, "sophia"),
    ],
)
def test_every_spelling_of_a_model(model: str, current: str | None, voice: str) -> None:
    config = SynthesisConfig(model=model)
    assert (config.model, config.current_model, config.voice) == (model, current, voice)
    assert SynthesisConfig(model=model, voice_id="avery").voice == "avery"


@given(st.sampled_from(SPEECH_SAMPLE_RATES), st.floats(0.5, 2), st.booleans(), st.data())
def test_what_the_service_has_stands(rate: int, speed: float, pro: bool, data: st.DataObject) -> None:
    languages = PRO_SPEECH_LANGUAGES if pro else SPEECH_LANGUAGES
    language = data.draw(st.sampled_from(sorted(languages)))
    model = "lightning_v3.1_pro" if pro else "lightning_v3.1"
    config = SynthesisConfig(model=model, sample_rate=rate, speed=speed, language=language)
    assert (config.sample_rate, config.speed, config.language) == (rate, speed, language)


def test_the_counts_of_languages() -> None:
    assert (len(SPEECH_LANGUAGES - {"auto"}), len(PRO_SPEECH_LANGUAGES - {"auto"})) == (20, 31)


@pytest.mark.parametrize(
    ("output_format", "width"), [("pcm", 2), ("ulaw", 1), ("alaw", 1), ("mp3", None), ("wav", None)]
)
def test_the_width_of_a_sample(output_format: Any, width: int | None) -> None:
    assert SynthesisConfig(output_format=output_format).sample_width == width


def test_dictionaries_in_a_list_are_kept_as_they_were() -> None:
    dicts: Any = ["a", "b"]
    config = SynthesisConfig(pronunciation_dicts=dicts)
    dicts.append("later")
    assert config.pronunciation_dicts == ("a", "b")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the text is empty"),
        (" \n\t\u00a0", "the text is empty"),
        (SAID + "\ud83d", "lone surrogates"),
        ("\udc00" + SAID, "lone surrogates"),
        (SAID + "x" * MAX_TEXT, r"the text has 100,\d\d\d characters: one request takes at most 100,000"),
        (SAID.encode(), "the text must be a str, not bytes"),
        (None, "the text must be a str, not NoneType"),
    ],
)
def test_a_text_that_cannot_be_spoken(text: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        check_text(text)
    assert "Wilhelmina" not in str(caught.value) + repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@given(st.text(max_size=20))
def test_a_text_is_spoken_or_is_a_configuration_error(text: str) -> None:
    try:
        check_text(text)
    except ConfigurationError:
        assert not text.strip() or any("\ud800" <= letter <= "\udfff" for letter in text)
    else:
        assert text.strip()
        text.encode()


@pytest.mark.parametrize("text", ["x" * MAX_TEXT, "नमस्ते", "👋🏽", "."])
def test_texts_that_stand(text: str) -> None:
    check_text(text)
