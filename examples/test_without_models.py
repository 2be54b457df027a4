"""Tests of a program that hears, with no model, no key and no network: ``pip install "smallest-proto[testing]"``.

Usage: ``pytest examples/test_without_models.py``. The fixtures come with the package.
"""

from typing import Any

import pytest

from smallest_proto import FinalTranscript
from smallest_transports.sync import Client
from smallest_transports.testing import judge, speech


def heard(base_url: str, pcm: bytes) -> list[str]:
    """The program under test: yours in its place."""
    with Client(api_key="any", base_url=base_url) as client:
        events = client.transcribe_live(pcm)
        return [event.text for event in events if isinstance(event, FinalTranscript) and event.text]


def test_every_word_is_heard(smallest_service: Any) -> None:
    said = speech("hello world", 0.9, "how are you", 1.0)  # audio that says which word it is
    assert judge(heard(smallest_service.base_url, said.pcm), said).ok


@pytest.mark.smallest_faults("refuse:503", "drop@0.5")
def test_every_word_is_heard_over_a_bad_network(smallest_service: Any) -> None:
    said = speech("hello world", 0.9, "how are you", 1.0)
    assert judge(heard(smallest_service.base_url, said.pcm), said).ok


@pytest.mark.smallest_script("two coffees", 0.9, "please", 1.0)
def test_a_script_is_heard_whatever_the_audio_is(smallest_service: Any) -> None:
    silence = bytes(2 * round(16000 * smallest_service.truth.seconds))
    assert heard(smallest_service.base_url, silence) == ["two coffees", "please"]
