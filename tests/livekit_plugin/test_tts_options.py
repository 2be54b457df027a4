"""What a user of the TTS sets, as the core's configurations."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.plugins.smallest_proto._tts_options import TTSOptions


def make(**options: Any) -> TTSOptions:
    defaults: dict[str, Any] = {
        "model": "lightning-v3.1",
        "voice_id": None,
        "sample_rate": 24000,
        "speed": 1.0,
        "consistency": 0.5,
        "similarity": 0,
        "enhancement": 1,
        "language": "en",
        "output_format": "pcm",
        "word_timestamps": False,
        "max_buffer_flush_ms": 0,
        "use_continuations": True,
        "max_buffer_delay_ms": 3000,
    }
    made = TTSOptions(**{**defaults, **options})
    made.check()
    return made


@pytest.mark.parametrize(
    ("model", "voice"),
    [
        ("lightning-v3.1", "sophia"),
        ("lightning_v3.1", "sophia"),
        ("lightning_v3.1_pro", "meher"),
        ("lightning-v3.1_pro", "meher"),
    ],
)
def test_each_model_has_its_voice(model: str, voice: str) -> None:
    made = make(model=model)
    assert (made.live().voice, made.whole().voice) == (voice, voice)
    assert make(model=model, voice_id="liam").live().voice == "liam"


def test_each_protocol_has_its_delay() -> None:
    live = make().live()
    assert (live.continuations, live.max_buffer_delay_ms, live.max_buffer_flush_ms) == (True, 3000, None)
    live = make(use_continuations=False, max_buffer_flush_ms=250).live()
    assert (live.continuations, live.max_buffer_delay_ms, live.max_buffer_flush_ms) == (False, None, 250)


@pytest.mark.parametrize(
    ("asked", "sent"), [("pcm", "pcm"), ("mp3", "mp3"), ("wav", "wav"), ("ulaw", "pcm"), ("alaw", "pcm")]
)
def test_formats(asked: str, sent: str) -> None:
    made = make(output_format=asked)
    assert (made.whole().output_format, made.live().output_format) == (sent, "pcm")


def test_what_today_has_no_use_for_is_not_sent() -> None:
    assert make().whole().consistency is None
    older = make(model="lightning-v2").whole()
    assert (older.consistency, older.similarity, older.enhancement) == (0.5, 0, 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "echo"}, "model must be one of"),
        ({"language": "xx"}, "has no language 'xx'"),
        ({"sample_rate": 12345}, "sample_rate must be one of"),
        ({"output_format": "flac"}, "output_format must be one of"),
        ({"speed": 5.0}, "speed must be"),
        ({"max_buffer_delay_ms": 9000}, "max_buffer_delay_ms must be"),
        ({"voice_id": "no voice"}, "voice_id must be"),
    ],
)
def test_what_cannot_be_is_said_at_once(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make(**options)


def test_languages_have_many_names() -> None:
    assert make(language="en-US").live().language == "en"
