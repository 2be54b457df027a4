"""The recogniser on human and synthetic speech."""

from __future__ import annotations

import io
import itertools
import logging
import re
from collections.abc import Iterable, Sequence

import jiwer
import numpy as np
import pytest
import soundfile
import soxr

from smallest_proto.config import FileTranscriptionConfig, TranscriptionConfig
from smallest_proto.errors import ConfigurationError
from smallest_proto.reading import Word
from smallest_proto.server.recogniser import Heard, Recognised, VoiceEnded, VoiceStarted
from smallest_transports.local import recogniser as module
from smallest_transports.local.pcm import SAMPLE_RATE, Samples, to_linear16
from smallest_transports.local.recogniser import (
    Engines,
    LocalRecogniser,
    engines,
    file_recogniser_options,
    sentences,
)
from smallest_transports.local.recordings import two_cities

MESSAGE = 1600  # bytes: 50 ms


def listen(
    pcm: bytes,
    options: TranscriptionConfig | None = None,
    *,
    sizes: Sequence[int] = (MESSAGE,),
    interims: bool = False,
) -> list[Recognised]:
    recogniser = LocalRecogniser(options, interims=interims)
    results: list[Recognised] = []
    at = number = 0
    while at < len(pcm):
        size = sizes[number % len(sizes)]
        results += recogniser.hear(pcm[at : at + size])
        at, number = at + size, number + 1
    return [*results, *recogniser.finalize()]


def finals(results: Iterable[Recognised]) -> list[Heard]:
    return [result for result in results if isinstance(result, Heard) and result.final]


def text_of(results: Iterable[Recognised]) -> str:
    return " ".join(final.text for final in finals(results))


def plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s']", " ", text.lower()).split())


def times(words: Iterable[Word]) -> list[float]:
    return [time for word in words for time in (word.start, word.end) if time is not None]


@pytest.fixture(scope="session")
def heard(reading: Samples) -> list[Recognised]:
    """The whole recording, heard once."""
    return listen(to_linear16(reading))


@pytest.fixture(scope="session")
def beginning(reading: Samples) -> bytes:
    """Its first two finals."""
    return to_linear16(reading[: 14 * SAMPLE_RATE])


def test_the_word_error_rate_on_human_speech_is_under_15_percent(heard: list[Recognised]) -> None:
    assert jiwer.wer(plain(two_cities().text), plain(text_of(heard))) < 0.15


def test_word_times_are_in_order_and_within_the_audio(heard: list[Recognised], reading: Samples) -> None:
    words = [word for final in finals(heard) for word in final.words]
    said = times(words)
    assert len(said) == 2 * len(words) > 200
    assert said == sorted(said)
    assert 0 <= said[0] < 1.5
    assert 41 < said[-1] <= len(reading) / SAMPLE_RATE
    assert all(0 < (word.confidence or 0) <= 1 for word in words)
    for final in finals(heard):
        assert " ".join(word.text for word in final.words) == final.text
        assert " ".join(utterance.text for utterance in final.utterances) == final.text


def test_voice_events_alternate_and_bracket_the_words(heard: list[Recognised]) -> None:
    events = [event for event in heard if isinstance(event, (VoiceStarted, VoiceEnded))]
    assert [type(event) for event in events] == [VoiceStarted, VoiceEnded] * (len(events) // 2)
    assert [event.time for event in events] == sorted(event.time for event in events)
    assert events[0].time == pytest.approx(1.2, abs=0.1)
    assert events[-1].time == pytest.approx(41.7, abs=0.2)


def test_finals_do_not_depend_on_how_the_audio_is_cut(beginning: bytes, heard: list[Recognised]) -> None:
    expected = finals(listen(beginning, sizes=[len(beginning)]))
    assert len(expected) >= 2
    assert expected[0] == finals(heard)[0]
    assert finals(listen(beginning, sizes=(7, 999, 6400, 32001, 1600), interims=True)) == expected


def test_interims_come_while_someone_speaks_and_become_the_final(spoken: Samples) -> None:
    results = [item for item in listen(to_linear16(spoken), interims=True) if isinstance(item, Heard)]
    assert [result.final for result in results] == [False] * (len(results) - 1) + [True]
    assert len(results) > 4
    assert results[-1].endpoint
    # The one that was decoded in the pause is the final.
    assert results[-2].text == results[-1].text
    assert all(first.text != second.text for first, second in itertools.pairwise(results[:-1]))


def test_much_audio_at_once_loses_interims_and_nothing_else(spoken: Samples) -> None:
    results = listen(to_linear16(spoken), sizes=[10**7], interims=True)
    assert not [result for result in results if isinstance(result, Heard) and not result.final]
    assert finals(results) == finals(listen(to_linear16(spoken)))


@pytest.mark.parametrize(
    ("encoding", "rate"),
    [("linear16", 8000), ("mulaw", 8000), ("alaw", 8000), ("linear16", 44100), ("linear32", 48000)],
)
def test_any_rate_and_encoding_is_understood(spoken: Samples, encoding: str, rate: int) -> None:
    subtype = {"linear16": "PCM_16", "linear32": "PCM_32", "alaw": "ALAW", "mulaw": "ULAW"}[encoding]
    file = io.BytesIO()
    soundfile.write(file, soxr.resample(spoken, SAMPLE_RATE, rate), rate, subtype, format="RAW", endian="LITTLE")
    options = TranscriptionConfig(encoding=encoding, sample_rate=rate)  # type: ignore[arg-type]
    results = listen(file.getvalue(), options, sizes=[rate // 10])
    assert jiwer.wer("please call me back on tuesday morning", plain(text_of(results))) < 0.3
    words = finals(results)[0].words
    reference = finals(listen(to_linear16(spoken)))[0].words
    assert (words[0].start or 0) == pytest.approx(reference[0].start or 0, abs=0.15)
    assert (words[-1].end or 0) == pytest.approx(reference[-1].end or 0, abs=0.15)


def test_a_finalize_in_the_middle_of_speech_cuts_there(spoken: Samples) -> None:
    pcm = to_linear16(spoken)
    middle = len(pcm) // 4 * 2 - 640
    recogniser = LocalRecogniser(interims=False)
    assert not finals(recogniser.hear(pcm[:middle]))
    (first,) = finals(recogniser.finalize())
    assert not first.endpoint
    assert times(first.words)[-1] <= middle / 2 / SAMPLE_RATE + 0.001
    assert recogniser.finalize() == []
    rest = finals([*recogniser.hear(pcm[middle:]), *recogniser.finalize()])
    assert times(word for final in rest for word in final.words)[0] >= middle / 2 / SAMPLE_RATE - 0.001
    assert jiwer.wer("please call me back on tuesday morning", plain(text_of([first, *rest]))) < 0.5


def test_a_finalize_that_waits_gives_up_the_interim(spoken: Samples) -> None:
    recogniser = LocalRecogniser()
    recogniser.hurry()
    pcm = to_linear16(spoken[:-SAMPLE_RATE])
    pieces = [pcm[at : at + MESSAGE] for at in range(0, len(pcm), MESSAGE)]
    assert not any(isinstance(item, Heard) for piece in pieces for item in recogniser.hear(piece))
    assert finals(recogniser.finalize())
    # Afterwards there are interims again.
    assert any(isinstance(item, Heard) for piece in pieces for item in recogniser.hear(piece))


@pytest.mark.parametrize("level", [0.0, 0.001, 0.02])
def test_silence_and_noise_say_nothing(level: float) -> None:
    noise = np.random.default_rng(1).normal(0, level, 5 * SAMPLE_RATE).astype(np.float32)
    assert listen(to_linear16(noise), interims=True) == []


def test_the_pause_that_ends_an_utterance_is_as_asked_for(spoken: Samples) -> None:
    pcm = to_linear16(spoken[: -SAMPLE_RATE // 2])  # half a second of silence at the end
    recogniser = LocalRecogniser(TranscriptionConfig(endpointing_timeout=300), interims=False)
    assert [final.endpoint for final in finals(recogniser.hear(pcm))] == [True]
    recogniser = LocalRecogniser(TranscriptionConfig(endpointing_timeout=900), interims=False)
    assert finals(recogniser.hear(pcm)) == []
    recogniser = LocalRecogniser(TranscriptionConfig(endpointing=False), interims=False)
    assert finals(recogniser.hear(pcm + bytes(100_000))) == []
    assert [final.endpoint for final in finals(recogniser.finalize())] == [False]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (TranscriptionConfig(), "Please call me back on Tuesday morning."),
        (TranscriptionConfig(punctuate=False), "Please call me back on Tuesday morning"),
        (TranscriptionConfig(capitalize=False), "please call me back on tuesday morning."),
        (TranscriptionConfig(format=False, punctuate=True), "please call me back on tuesday morning"),
    ],
)
def test_text_is_written_as_asked_for(spoken: Samples, options: TranscriptionConfig, expected: str) -> None:
    (final,) = finals(listen(to_linear16(spoken), options))
    assert final.text == expected
    assert [word.text for word in final.words] == expected.split()


def test_a_number_of_words_makes_a_final(spoken: Samples) -> None:
    results = finals(listen(to_linear16(spoken), TranscriptionConfig(max_words=3)))
    assert [len(final.words) for final in results] == [3, 3, 1]
    assert [final.endpoint for final in results] == [False, False, True]
    # The cap holds without finals by words too, and without a cap of their own those have one of 10.
    assert len(finals(listen(to_linear16(spoken), TranscriptionConfig(max_words=3, finalize_on_words=False)))) == 3


def test_a_number_of_words_is_final_while_the_sentence_goes_on(reading: Samples, models: Engines) -> None:
    recogniser = LocalRecogniser(models=models)
    pcm = to_linear16(reading[: 7 * SAMPLE_RATE])  # the first pause that ends speech comes after 8 s
    results = [item for at in range(0, len(pcm), 3200) for item in recogniser.hear(pcm[at : at + 3200])]
    (first, *_) = finals(results)
    assert (len(first.words), first.endpoint) == (10, False)
    later = [item.text for item in results[results.index(first) + 1 :] if isinstance(item, Heard)]
    assert later  # interims go on with the words that are not final yet
    assert not any(text.startswith("It was the best") for text in later)


def test_words_that_cannot_be_aligned_get_times_all_the_same(
    spoken: Samples, models: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    (aligned,) = finals(listen(to_linear16(spoken)))
    monkeypatch.setattr(models.aligner, "align", lambda *_: None)
    (final,) = finals(listen(to_linear16(spoken)))
    said = times(final.words)
    assert said == sorted(said)
    assert said[0] == pytest.approx(times(aligned.words)[0], abs=0.2)
    assert said[-1] == pytest.approx(times(aligned.words)[-1], abs=0.2)


def test_what_it_cannot_decode_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="opus is not decoded"):
        LocalRecogniser(TranscriptionConfig(encoding="opus", sample_rate=48000))


def test_what_it_passes_over_is_said_once_and_not_repeated(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_noted", set())
    options = TranscriptionConfig(numerals=True, redact_pii=True, itn_normalize=False, keywords=("Blackwell",))
    with caplog.at_level(logging.WARNING):
        LocalRecogniser(options)
        LocalRecogniser(options)
        LocalRecogniser(TranscriptionConfig(language="hi", diarize=True))
        file_recogniser_options(FileTranscriptionConfig(language="hi", diarize=True))
    assert len(caplog.records) == 5
    assert "hi is heard as English" in caplog.text
    assert "every word is of speaker 0" in caplog.text
    assert "keywords" in caplog.text
    assert "Blackwell" not in caplog.text


def test_the_models_are_loaded_once(models: Engines) -> None:
    assert engines() is models


def test_sentences_end_with_their_marks() -> None:
    words = [Word(text=text, start=at, end=at + 0.5) for at, text in enumerate(["Is", "it?", "It", "is.", "Well"])]
    assert [(s.text, s.start, s.end) for s in sentences(words)] == [
        ("Is it?", 0, 1.5),
        ("It is.", 2, 3.5),
        ("Well", 4, 4.5),
    ]
    assert sentences(()) == ()
