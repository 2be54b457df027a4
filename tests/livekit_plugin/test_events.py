"""The core's events, as the framework's."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents import LanguageCode
from livekit.agents.stt import SpeechData, SpeechEvent, SpeechEventType
from livekit.agents.types import NOT_GIVEN
from livekit.plugins.smallest_proto import AudioLostError
from livekit.plugins.smallest_proto._events import file_event, speech_event

from smallest_proto import (
    AudioLost,
    EndReason,
    Event,
    Failure,
    FailureKind,
    FileTranscript,
    FinalTranscript,
    InterimTranscript,
    LinkLost,
    LinkOpened,
    LossReason,
    SessionEnded,
    SpeechEnded,
    SpeechStarted,
    UpdateRejected,
    Usage,
    Utterance,
    Word,
)

FAILURE = Failure(kind=FailureKind.CONNECT, reason="r")


def told(event: Event, offset: float = 10.0) -> SpeechEvent | None:
    return speech_event(event, language="hi", offset=offset, request_id="s-1")


def data_of(event: Event, offset: float = 10.0) -> SpeechData:
    made = told(event, offset)
    assert made is not None
    (data,) = made.alternatives
    return data


def final(text: str = "so it is", **fields: Any) -> FinalTranscript:
    return FinalTranscript(**{"text": text, "start": 1.0, "end": 2.0, **fields})


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (SpeechStarted(time=1.0, inferred=False), SpeechEventType.START_OF_SPEECH),
        (SpeechEnded(time=1.0), SpeechEventType.END_OF_SPEECH),
        (Usage(seconds=5.0), SpeechEventType.RECOGNITION_USAGE),
        (InterimTranscript(text="so", start=1.0, end=2.0, session_id=None), SpeechEventType.INTERIM_TRANSCRIPT),
        (final(), SpeechEventType.FINAL_TRANSCRIPT),
    ],
)
def test_each_event_has_its_kind_and_names_the_request(event: Event, kind: SpeechEventType) -> None:
    made = told(event)
    assert made is not None
    assert made.type is kind
    assert made.request_id == "s-1"
    assert bool(made.alternatives) is (kind in (SpeechEventType.INTERIM_TRANSCRIPT, SpeechEventType.FINAL_TRANSCRIPT))


def test_usage_is_what_was_heard_since_the_last_one() -> None:
    made = told(Usage(seconds=4.75))
    assert made is not None
    assert made.recognition_usage is not None
    assert made.recognition_usage.audio_duration == 4.75


@pytest.mark.parametrize(
    "event",
    [
        LinkOpened(link=1, seconds=0.1),
        LinkLost(link=1, failure=FAILURE, retry_in=0.1),
        UpdateRejected(failure=FAILURE),
        AudioLost(start=1.0, end=2.0, reason=LossReason.ENDED),
        SessionEnded(reason=EndReason.COMPLETED),
        final("", from_finalize=True),
        final(" ।"),
        InterimTranscript(text=".", start=1.0, end=2.0, session_id=None),
    ],
)
def test_what_is_no_speech_is_no_event(event: Event) -> None:
    assert told(event) is None


def test_times_count_from_the_callers_base() -> None:
    words = (Word(text="so", start=1.0, end=1.25, confidence=0.5), Word(text="what", start=1.5))
    utterance = Utterance(text="so what", start=1.0, end=2.0, speaker=3)
    data = data_of(final("so what", words=words, utterances=(utterance,)))
    assert (data.start_time, data.end_time) == (11.0, 12.0)
    assert data.words is not None
    assert [str(word) for word in data.words] == ["so", "what"]
    first, second = data.words
    assert (first.start_time, first.end_time, first.confidence) == (11.0, 11.25, 0.5)
    assert (second.start_time, second.end_time, second.confidence) == (11.5, NOT_GIVEN, NOT_GIVEN)
    assert first.start_time_offset == 10.0
    assert data.metadata == {"utterances": [{"text": "so what", "start": 11.0, "end": 12.0, "speaker": 3}]}


def test_languages_are_those_that_were_heard() -> None:
    assert data_of(final()).language == LanguageCode("hi")
    assert data_of(final()).source_languages is None
    mixed = data_of(final(language="ta", languages=("ta", "en")))
    assert mixed.language == LanguageCode("ta")
    assert mixed.source_languages == [LanguageCode("ta"), LanguageCode("en")]


def test_speakers_are_named_and_the_one_who_said_most_stands_for_all() -> None:
    words = tuple(Word(text="so", speaker=name) for name in (2, 1, 2, None))
    data = data_of(final(words=words))
    assert data.speaker_id == "S2"
    assert data.words is not None
    assert [word.speaker_id for word in data.words] == ["S2", "S1", "S2", None]
    assert data_of(final(words=(Word(text="so"),))).speaker_id is None


def test_what_is_provisional_or_redacted_says_so() -> None:
    assert data_of(final(provisional=True)).metadata == {"provisional": True}
    assert data_of(final(redacted_entities=("[NAME_1]",))).metadata == {"redacted_entities": ["[NAME_1]"]}
    assert data_of(final()).metadata is None


@given(st.lists(st.none() | st.floats(0, 1), max_size=8))
def test_confidence_is_the_geometric_mean_of_what_is_known(values: list[float | None]) -> None:
    known = [value for value in values if value is not None]
    mean = data_of(final(words=tuple(Word(text="so", confidence=value) for value in values))).confidence
    assert 0 <= mean <= 1
    if not known:
        assert mean == 0
    else:
        assert mean == pytest.approx(math.prod(max(value, 1e-10) for value in known) ** (1 / len(known)))


def test_a_file_is_one_final() -> None:
    words = (Word(text="so", start=0.5, end=0.75, confidence=1.0), Word(text="what", start=1.0, end=1.5))
    transcript = FileTranscript(
        text="So what.", words=words, request_id="r-1", utterances=(Utterance(text="So what."),)
    )
    made = file_event(transcript, language="en", request_id="ours")
    assert made.type is SpeechEventType.FINAL_TRANSCRIPT
    assert made.request_id == "r-1"
    (data,) = made.alternatives
    assert (data.text, data.language, data.start_time, data.end_time) == ("So what.", "en", 0.5, 1.5)
    assert data.words == ["so", "what"]
    assert data.metadata == {"utterances": [{"text": "So what."}]}


def test_a_file_without_anything_said() -> None:
    made = file_event(FileTranscript(text="", language="de"), language="en", request_id="ours")
    assert made.request_id == "ours"
    (data,) = made.alternatives
    assert (data.text, data.language, data.start_time, data.words, data.confidence) == ("", "de", 0.0, None, 0.0)
    assert data_of(final()).words is None


@pytest.mark.parametrize("reason", LossReason)
def test_lost_audio_is_told_with_its_times(reason: LossReason) -> None:
    error = AudioLostError(AudioLost(start=1.0, end=1.5, reason=reason), 10.0)
    assert (error.start_time, error.end_time, error.reason) == (11.0, 11.5, reason.value)
    assert error.message.startswith("0.50 s of audio were lost, from 11.00 s on: ")
    assert error.retryable is False
