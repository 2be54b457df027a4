"""Speech out of text."""

from __future__ import annotations

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.config import TranscriptionConfig
from smallest_proto.errors import ConfigurationError
from smallest_proto.server.recogniser import Heard
from smallest_transports.local.recogniser import Engines, LocalRecogniser
from smallest_transports.local.synthesiser import HibariSynthesiser, _Token, split, verbatim


def test_what_it_says_is_heard_back(models: Engines, voice: HibariSynthesiser) -> None:
    text = "Please call me back on Tuesday morning. I will be at the office until half past four."
    pcm = bytes(16000) + b"".join(speech.pcm for speech in voice.speak(text, sample_rate=16000)) + bytes(16000)
    recogniser = LocalRecogniser(TranscriptionConfig(format=False), interims=False, models=models)
    results = [*recogniser.hear(pcm), *recogniser.finalize()]
    heard = " ".join(result.text for result in results if isinstance(result, Heard))
    assert jiwer.wer(text.lower().replace(".", ""), heard) < 0.15


def test_each_sentence_comes_with_its_words_and_their_times(voice: HibariSynthesiser) -> None:
    one, two = voice.speak("Hello there. It costs 19 dollars!")
    assert [word.text for word in one.words] == ["Hello", "there."]
    assert [word.text for word in two.words] == ["It", "costs", "19", "dollars!"]
    for speech in (one, two):
        assert len(speech.pcm) == round(speech.seconds * 24000) * 2
        times = [time for word in speech.words for time in (word.start, word.end)]
        assert times == sorted(times, key=lambda time: time or 0.0)
        assert 0 <= (times[0] or 0.0) < (times[-1] or 0.0) <= speech.seconds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Call 555-1234 at 10:30 — ok?", ["Call", "555-1234", "at", "10:30", "ok?"]),
        ("Dr. Smith paid $100.", ["Dr.", "Smith", "paid", "$100."]),
        ("“Why?” she said.", ["“Why?”", "she", "said."]),
    ],
)
def test_words_stand_as_in_the_text_however_they_are_read(
    voice: HibariSynthesiser, text: str, words: list[str]
) -> None:
    assert [word.text for speech in voice.speak(text) for word in speech.words] == words


@given(st.lists(st.sampled_from(("a", "b", "—", "10:30")), max_size=8), st.lists(st.sampled_from("abxy"), max_size=8))
def test_naming_what_is_read_keeps_every_phoneme_in_order(words: list[str], read: list[str]) -> None:
    tokens = [_Token(text, f"{text}{at}") for at, text in enumerate(read)]
    named = verbatim(words, tokens)
    assert [phoneme for token in named for phoneme in token.phonemes.split()] == [token.phonemes for token in tokens]
    if words:
        assert [token.text for token in verbatim(words, [_Token(word, word) for word in words])] == words


def test_the_same_text_gives_the_same_audio_at_any_rate_and_pace(voice: HibariSynthesiser) -> None:
    (first,) = voice.speak("Good morning.")
    (again,) = voice.speak("Good morning.")
    (low,) = voice.speak("Good morning.", sample_rate=8000)
    (slow,) = voice.speak("Good morning.", speed=0.5)
    assert first.pcm == again.pcm
    assert low.seconds == pytest.approx(first.seconds, abs=0.01)
    assert slow.seconds > 1.4 * first.seconds
    assert np.abs(np.frombuffer(first.pcm, "<i2")).max() > 1000


def test_a_sentence_of_any_length_is_said(voice: HibariSynthesiser) -> None:
    speeches = list(voice.speak(" ".join(["and then we went on, to the other side of the river"] * 12)))
    assert len(speeches) > 1
    assert sum(len(speech.words) for speech in speeches) == 12 * 12


def test_a_long_text_is_read_while_it_is_said(voice: HibariSynthesiser, monkeypatch: pytest.MonkeyPatch) -> None:
    read, sentences = voice._read, []
    monkeypatch.setattr(voice, "_read", lambda sentence: sentences.append(sentence) or read(sentence))
    pieces = voice.speak("... Hello there. " + "And then we went on. " * 200)
    assert [word.text for word in next(pieces).words] == ["Hello", "there."]
    assert len(sentences) <= 3
    next(pieces)
    assert len(sentences) <= 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("Привет", "not Latin"),
        ("Hello, 世界", "not Latin"),
        ("🙂🙂", "nothing that can be said"),
        ("...", "nothing that can be said"),
    ],
)
def test_what_cannot_be_said_is_refused_at_once(voice: HibariSynthesiser, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        voice.speak(text)


def test_speed_and_rate_are_checked(voice: HibariSynthesiser) -> None:
    with pytest.raises(ConfigurationError, match=r"0\.5 to 2"):
        voice.speak("Hello.", speed=3)
    with pytest.raises(ConfigurationError, match="Hz"):
        voice.speak("Hello.", sample_rate=0)


@given(st.lists(st.tuples(st.integers(1, 60), st.booleans()), max_size=80))
def test_pieces_hold_every_word_once_and_are_short_enough(words: list[tuple[int, bool]]) -> None:
    tokens = [_Token(str(at), "a" * size + "," * clause) for at, (size, clause) in enumerate(words)]
    pieces = split(tokens)
    assert [token for piece in pieces for token in piece] == tokens
    assert all(len(" ".join(token.phonemes for token in piece)) <= 461 for piece in pieces)
