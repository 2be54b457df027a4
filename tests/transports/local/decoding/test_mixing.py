"""A mix in which no voice is lost: whichever channels it is in, and whatever way round they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_transports.local.decoding.mixing import Mixer

RATE = 8000
Samples = npt.NDArray[np.float32]


def voice(seed: int, seconds: float = 3.0) -> Samples:
    """Noise that comes in syllables, as speech does."""
    random = np.random.default_rng(seed)
    size = round(seconds * RATE)
    syllables = np.repeat(random.uniform(0, 1, size // 800 + 1) > 0.4, 800)[:size]
    return np.asarray(random.normal(0, 0.1, size) * syllables, np.float32)


def mixed(*channels: Samples, block: int = RATE) -> Samples:
    whole = np.stack(channels, axis=1)
    mixer = Mixer(whole.shape[1], RATE)
    return np.concatenate([mixer.mix(whole[at : at + block]) for at in range(0, len(whole), block)])


def level(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def likeness(mix: Samples, said: Samples) -> float:
    return abs(float(np.corrcoef(mix, said)[0, 1]))


def test_one_channel_is_what_it_was() -> None:
    said = voice(1)
    assert np.array_equal(mixed(said), said)


@pytest.mark.parametrize("count", [2, 3, 6])
def test_the_same_in_all_channels_is_itself(count: int) -> None:
    said = voice(2)
    assert np.allclose(mixed(*[said] * count), said, atol=1e-6)


@settings(max_examples=40)
@given(st.lists(st.sampled_from((-1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0)), min_size=2, max_size=8), st.integers(0, 99))
def test_a_voice_is_heard_at_nearly_its_own_level_in_whichever_channels_it_is(gains: list[float], seed: int) -> None:
    said = voice(seed)
    if not any(gains):
        return
    mix = mixed(*(said * np.float32(gain) for gain in gains))
    assert likeness(mix, said) > 0.99
    assert level(mix) > 0.5 * max(map(abs, gains)) * level(said)
    assert np.abs(mix).max() <= np.abs(said).max() * max(map(abs, gains)) * 1.001  # it cannot clip


@pytest.mark.parametrize("place", range(6))
def test_a_voice_in_one_of_six_channels_among_noise(place: int) -> None:
    said = voice(3)
    random = np.random.default_rng(place)
    channels = [np.asarray(random.normal(0, 0.001, len(said)), np.float32) for _ in range(6)]
    channels[place] = said
    assert level(mixed(*channels)) > 0.85 * level(said)


@pytest.mark.parametrize("rate", [16000, 48000])
def test_hiss_in_the_others_does_not_bury_a_voice_whatever_the_rate(rate: int) -> None:
    """A higher rate has room for hiss above the voice: it is no voice, and takes no share of the mix."""
    times = rate // RATE
    said = np.convolve(np.repeat(voice(9), times), np.ones(2 * times) / (2 * times), "same").astype(np.float32)
    random = np.random.default_rng(10)
    channels = [np.asarray(random.normal(0, 0.1 * level(said), len(said)), np.float32) for _ in range(6)]
    channels[2] = said
    mixer = Mixer(6, rate)
    whole = np.stack(channels, axis=1)
    mix = np.concatenate([mixer.mix(whole[at : at + rate]) for at in range(0, len(whole), rate)])
    assert float(mix @ said) > 0.7 * float(said @ said)


def test_out_of_phase_under_noise() -> None:
    """Even where the noise is as loud as the voice, and different on both sides."""
    said, random = voice(4), np.random.default_rng(5)
    left, right = (np.asarray(random.normal(0, level(said), len(said)), np.float32) for _ in range(2))
    assert likeness(mixed(said + left, right - said), said) > 0.7


@pytest.mark.parametrize("quieter", [1.0, 0.3, 0.1])
def test_two_people_one_in_each_channel_are_both_heard(quieter: float) -> None:
    turn = np.arange(6 * RATE) // RATE % 2 == 0  # a second each
    one, other = voice(6, 6.0) * turn, voice(7, 6.0) * ~turn * np.float32(quieter)
    mix = mixed(one, other)
    assert level(mix[turn]) > 0.95 * level(one[turn])
    assert level(mix[~turn]) > 0.85 * level(other[~turn])


def test_rumble_and_an_offset_do_not_cover_a_voice() -> None:
    said = voice(8)
    rumble = np.asarray(0.5 * np.sin(2 * np.pi * 20 * np.arange(len(said)) / RATE), np.float32)
    mix = mixed(said, rumble + np.float32(0.3))
    spectrum = np.fft.rfft(mix)
    spectrum[: round(100 * len(said) / RATE)] = 0
    assert level(np.asarray(np.fft.irfft(spectrum), np.float32)) > 0.6 * level(said)


def test_silence_is_silence_and_nothing_is_nothing() -> None:
    assert not mixed(np.zeros(900, np.float32), np.zeros(900, np.float32), block=100).any()
    assert len(Mixer(2, RATE).mix(np.zeros((0, 2), np.float32))) == 0


def test_a_voice_that_goes_to_the_other_channel_clicks_nowhere() -> None:
    tone = np.asarray(0.3 * np.sin(2 * np.pi * 200 * np.arange(RATE * 4) / RATE), np.float32)
    first = np.arange(len(tone)) < len(tone) // 2
    mix = mixed(tone * first, tone * ~first)
    assert np.abs(np.diff(mix)).max() < 2 * np.abs(np.diff(tone)).max()
