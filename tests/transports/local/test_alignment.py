"""Word times."""

from __future__ import annotations

import itertools
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_transports.local.alignment import arpabet, spell_numbers, spread
from smallest_transports.local.pcm import decode
from smallest_transports.local.recogniser import Engines
from smallest_transports.local.synthesiser import HibariSynthesiser


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("word", "word"),
        ("$1,234.50", "one thousand two hundred and thirty four point five zero dollars"),
        ("3%", "three percent"),
        ("1984.", "nineteen eighty four"),
        ("007", "zero zero seven"),
        ("7:30", "seven thirty"),
        ("B2B", "B two B"),
        ("1234567890123", "one two three four five six seven eight nine zero one two three"),
    ],
)
def test_numbers_are_spelled_as_they_are_read(written: str, read: str) -> None:
    spelled = "".join(letter if letter.isalpha() else " " for letter in spell_numbers(written))
    assert spelled.split() == read.split()


def test_phonemes_become_those_of_the_dictionary() -> None:
    assert arpabet("ˈhɜɹd") == ["HH", "ER", "D"]
    assert arpabet("ˈwʌnʤəɹ") == ["W", "AH", "N", "JH", "ER"]
    assert arpabet("🙂") == []


def test_words_start_where_the_voice_says_that_they_do(models: Engines, voice: HibariSynthesiser) -> None:
    text = "The quick brown fox jumps over the lazy dog, and nobody at Blackwell and Krzyzewski paid 250 dollars."
    (speech,) = voice.speak(text, sample_rate=16000)
    spans = models.aligner.align(decode(speech.pcm, "linear16"), [word.text for word in speech.words])
    assert spans is not None
    errors = [abs(span[0] - (word.start or 0.0)) for span, word in zip(spans, speech.words, strict=True)]
    assert median(errors) < 0.1
    assert all(start <= end for start, end in spans)
    assert all(first[1] <= second[0] + 1e-6 for first, second in itertools.pairwise(spans))


def test_the_times_do_not_depend_on_what_was_aligned_before(models: Engines, voice: HibariSynthesiser) -> None:
    (speech,) = voice.speak("We were all going direct the other way.", sample_rate=16000)
    samples = decode(speech.pcm, "linear16")
    words = [word.text for word in speech.words]
    before = models.aligner.align(samples, words)
    models.aligner.align(samples[::-1], ["other", "words"])
    assert models.aligner.align(samples, words) == before


@pytest.mark.parametrize("words", [[], ["!"], ["世界"], ["word"] * 50])
def test_what_cannot_be_aligned_has_no_times(models: Engines, words: list[str]) -> None:
    assert models.aligner.align(np.zeros(8000, np.float32), words) is None


@given(st.lists(st.text(max_size=20), max_size=30), st.floats(0, 100), st.floats(0, 100))
def test_spread_words_fill_their_stretch_in_order(words: list[str], start: float, length: float) -> None:
    spans = spread(words, start, start + length)
    assert len(spans) == len(words)
    if words:
        assert spans[0][0] == pytest.approx(start)
        assert spans[-1][1] == pytest.approx(start + length)
    assert all(first[1] == pytest.approx(second[0]) for first, second in itertools.pairwise(spans))
