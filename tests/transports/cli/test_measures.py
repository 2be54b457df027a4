"""Word error rate, percentiles, and when a sample was sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_transports.cli.measures import SentTimes, WordErrors, percentile, plain_words, word_errors

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50)


def test_case_and_punctuation_are_no_errors() -> None:
    assert plain_words("It’s twenty-one, isn't IT?") == ["it's", "twenty", "one", "isn't", "it"]
    assert word_errors("It was the best of times.", "it was, the BEST of times").rate == 0


def test_each_kind_of_error_is_counted() -> None:
    assert word_errors("a b c d", "a x c d") == WordErrors(4, 1, 0, 0)
    assert word_errors("a b c d", "a b d") == WordErrors(4, 0, 1, 0)
    assert word_errors("a b c d", "a b c d e") == WordErrors(4, 0, 0, 1)
    assert word_errors("a b c d", "a x c").rate == 0.5


def test_silence_on_either_side() -> None:
    assert word_errors("a b", "...").rate == 1
    assert word_errors("", "").rate == 0
    assert word_errors("", "a b") == WordErrors(0, 0, 0, 2)


@given(NUMBERS, st.floats(0, 1), st.floats(0, 1))
def test_percentiles_rise_and_stay_within_the_values(values: list[float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert min(values) <= percentile(values, low) <= percentile(values, high) + 1e-6 <= max(values) + 2e-6


def test_known_percentiles() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([0.0, 1.0], 0.25) == 0.25
    assert percentile([7.0], 0.99) == 7.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_a_sample_was_sent_with_the_piece_that_brought_it() -> None:
    sent = SentTimes()
    assert sent.when(0) is None
    sent.sent(800, 10.0)
    sent.sent(0, 10.5)
    sent.sent(800, 11.0)
    assert sent.samples == 1600
    assert [sent.when(sample) for sample in (0, 1, 800, 801, 1600, 99999)] == [10.0, 10.0, 10.0, 11.0, 11.0, 11.0]
