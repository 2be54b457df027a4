"""The models and the recording, loaded once."""

from __future__ import annotations

import numpy as np
import pytest

from smallest_transports.local.files import read_samples
from smallest_transports.local.pcm import Samples
from smallest_transports.local.recogniser import Engines, engines
from smallest_transports.local.recordings import two_cities
from smallest_transports.local.synthesiser import HibariSynthesiser, synthesiser


@pytest.fixture(scope="session")
def models() -> Engines:
    return engines()


@pytest.fixture(scope="session")
def voice() -> HibariSynthesiser:
    return synthesiser()


@pytest.fixture(scope="session")
def reading() -> Samples:
    """The human recording, 16 kHz."""
    return read_samples(two_cities().path)


@pytest.fixture(scope="session")
def spoken(voice: HibariSynthesiser) -> Samples:
    """A short sentence by the synthetic voice, 16 kHz, with silence around it."""
    (speech,) = voice.speak("Please call me back on Tuesday morning.", sample_rate=16000)
    silence = np.zeros(16000, np.float32)
    return np.concatenate((silence, np.frombuffer(speech.pcm, "<i2").astype(np.float32) / 2**15, silence))
