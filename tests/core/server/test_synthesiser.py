"""Coded speech: what is spoken is heard back, word by word, and each word has its time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.config import TranscriptionConfig
from smallest_proto.errors import ConfigurationError
from smallest_proto.server.recogniser import CodedRecogniser, Heard
from smallest_proto.server.synthesiser import CodedSynthesiser, SpokenPiece, joined, sentence_end, word_number

RATES = (8000, 16000, 24000, 44100)
numbers = st.lists(st.integers(0, 32766), min_size=1, max_size=12)


def speak(text: str, sample_rate: int = 16000, speed: float = 1.0) -> list[SpokenPiece]:
    return list(CodedSynthesiser().speak(text, sample_rate=sample_rate, speed=speed))


def hear(pcm: bytes, sample_rate: int = 16000) -> list[str]:
    recogniser = CodedRecogniser(TranscriptionConfig(sample_rate=sample_rate))
    results = [*recogniser.hear(pcm), *recogniser.finalize()]
    return [word.text for item in results if isinstance(item, Heard) and item.final for word in item.words]


@given(numbers, st.sampled_from(RATES), st.sampled_from((0.5, 1.0, 1.7, 2.0)))
def test_what_is_spoken_is_heard_back(replies: list[int], rate: int, speed: float) -> None:
    pieces = speak(" ".join(f"w{number}" for number in replies), rate, speed)
    assert hear(b"".join(piece.pcm for piece in pieces), rate) == [f"w{number}" for number in replies]


@given(st.lists(st.sampled_from(("w1", "w2,", "Hello", "over.", "really?!", "“Yes.”")), min_size=1), st.integers(0, 20))
def test_the_audio_of_a_text_is_that_of_its_words_however_it_is_cut(words: list[str], cut: int) -> None:
    def pcm(part: list[str]) -> bytes:
        return b"".join(piece.pcm for piece in speak(" ".join(part))) if part else b""

    assert pcm(words) == pcm(words[:cut]) + pcm(words[cut:])
    pieces = speak(" ".join(words))
    assert [word.text for piece in pieces for word in piece.words] == words
    for piece in pieces:
        assert piece.seconds == len(piece.pcm) / 32000
        times = [time or 0.0 for word in piece.words for time in (word.start, word.end)]
        assert times == sorted(set(times))
        assert times[-1] < piece.seconds


def test_speed_makes_the_pauses_shorter() -> None:
    assert speak("w1", speed=1)[0].seconds - speak("w1", speed=2)[0].seconds == pytest.approx(0.025)


def test_sentences_come_one_by_one() -> None:
    assert [len(piece.words) for piece in speak("One two. “Three!” Four 3.5 five? six")] == [2, 1, 3, 1]


def test_numbers_of_words() -> None:
    assert [word_number(word) for word in ("w0", "W17,", "(w32766)", "“w5.”")] == [0, 17, 32766, 5]
    assert word_number("Hello,") == word_number("hello") != word_number("hell")
    assert word_number("…") is word_number("") is word_number("\ud800") is None
    for other in ("w32767", "w123456", "wide", "ж"):
        assert 16384 <= (word_number(other) or 0) <= 32766


@given(st.text(max_size=10))
def test_every_word_has_a_number_or_none(word: str) -> None:
    number = word_number(word)
    assert number is None or 0 <= number <= 32766


@pytest.mark.parametrize("text", ["", "  ", "... — !"])
def test_nothing_to_say_is_refused_at_once(text: str) -> None:
    with pytest.raises(ConfigurationError, match="nothing that can be said"):
        CodedSynthesiser().speak(text, sample_rate=16000)


def test_speed_is_checked() -> None:
    with pytest.raises(ConfigurationError, match=r"speed must be a number from 0\.5 to 2"):
        CodedSynthesiser().speak("w1", sample_rate=16000, speed=3)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("Hello there", ""),
        ("Hello there.", ""),  # perhaps it goes on: 3.14
        ("Hello there. ", "Hello there. "),
        ("One. Two! Thr", "One. Two! "),
        ("It is 3.14 so", ""),
        ('"Really?" she', '"Really?" '),
        ("यह है। और", "यह है। "),
    ],
)
def test_where_sentences_end(text: str, whole: str) -> None:
    assert text[: sentence_end(text)] == whole


@pytest.mark.parametrize(
    ("text", "more", "whole"),
    [
        ("How are you?", "The meeting", "How are you? The meeting"),
        ('"It is half past ten."', "Good", '"It is half past ten." Good'),
        ("यह है।", "और", "यह है। और"),
        ("It is 3.", "14", "It is 3.14"),
        ("the U.", "S.", "the U.S."),
        ("example.", "org", "example.org"),
        ("How are you?", " The", "How are you? The"),
        ("Hel", "Lo", "HelLo"),
        ("", "The", "The"),
    ],
)
def test_a_blank_that_fragments_lack_stands_between_sentences(text: str, more: str, whole: str) -> None:
    assert joined(text, more) == whole


def test_what_is_said_does_not_show() -> None:
    (piece,) = speak("secret")
    assert "secret" not in repr(piece)
