"""The published plugin and ours at the same server with the same audio, and no faults: they tell the same."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.agents import stt
from livekit.agents.stt import SpeechEvent, SpeechEventType
from livekit.plugins import smallest_proto, smallestai

from smallest_proto import TranscriptionConfig, Word
from smallest_proto.server.recogniser import PlainRecogniser, coded_speech

from .stage import KEY, are_paired, frames, heard, open_bench, turns, words

KIND = SpeechEventType
TURNS = (KIND.START_OF_SPEECH, KIND.END_OF_SPEECH)
SCRIPTS: list[list[int | float]] = [
    [1, 2, 0.9, 3, 4, 5, 6, 0.9, 7, 8, 0.9],
    [0.5, 1, 1.5, 2, 3, 0.2, 4],  # ends in mid-sentence
    [2.0],  # nobody speaks
    list(range(1, 30)),  # no pause at all
]


async def both(script: list[int | float], **options: Any) -> tuple[list[SpeechEvent], list[SpeechEvent]]:
    speech = coded_speech(script)
    async with open_bench(**options) as bench:
        ours = await heard(bench.stt.stream(), speech.pcm)
        theirs = smallestai.STT(api_key=KEY, base_url=bench.server.base_url, http_session=bench.http, **options)
        stream: stt.RecognizeStream = theirs.stream()
        return ours, await heard(stream, speech.pcm)


def told(events: list[SpeechEvent], *kinds: SpeechEventType) -> list[tuple[SpeechEventType, str]]:
    """What was told, but for those kinds; an interim that repeats the one before it says nothing new."""
    left = [(e.type, e.alternatives[0].text if e.alternatives else "") for e in events if e.type not in kinds]
    return [event for at, event in enumerate(left) if not (at and event == left[at - 1])]


def timed(events: list[SpeechEvent]) -> list[tuple[str, float, float]]:
    """The words; the framework adds the microseconds that it needed to begin."""
    return [(text, round(start, 4), round(end, 4)) for text, start, end in words(events)]


def used(events: list[SpeechEvent]) -> float:
    return sum(event.recognition_usage.audio_duration for event in events if event.recognition_usage is not None)


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
class TestStream:
    async def test_without_voice_activity_all_is_the_same(self, script: list[int | float]) -> None:
        # Where finals are cut by words, a final in mid-sentence is a turn of its own there, and none here.
        ours, theirs = await both(script, vad_events=False, finalize_on_words=False)
        assert told(ours, KIND.RECOGNITION_USAGE) == told(theirs, KIND.RECOGNITION_USAGE)
        assert timed(ours) == timed(theirs)
        assert used(ours) == pytest.approx(used(theirs))

    async def test_with_voice_activity_a_late_final_opens_no_second_turn(self, script: list[int | float]) -> None:
        ours, theirs = await both(script)
        assert told(ours, *TURNS, KIND.RECOGNITION_USAGE) == told(theirs, *TURNS, KIND.RECOGNITION_USAGE)
        assert timed(ours) == timed(theirs)
        assert [e.alternatives[0].confidence for e in ours if e.type is KIND.FINAL_TRANSCRIPT] == pytest.approx(
            [e.alternatives[0].confidence for e in theirs if e.type is KIND.FINAL_TRANSCRIPT]
        )
        assert used(ours) == pytest.approx(used(theirs))
        assert are_paired(ours)
        assert are_paired(theirs)
        assert len(turns(ours)) <= len(turns(theirs))


async def test_a_buffer_is_recognised_alike() -> None:
    spoken = [Word(text="so", start=0.1, end=0.4, confidence=0.5), Word(text="what", start=0.5, end=0.9)]

    def recogniser(options: TranscriptionConfig) -> PlainRecogniser:
        return PlainRecogniser(spoken, options)

    buffer = list(frames(bytes(64000)))
    async with open_bench(recogniser=recogniser) as bench:
        theirs = smallestai.STT(api_key=KEY, base_url=bench.server.base_url, http_session=bench.http)
        (ours,) = (await bench.stt.recognize(buffer)).alternatives
        (other,) = (await theirs.recognize(buffer)).alternatives
    assert ours.text == other.text == "so what"
    assert (ours.words, ours.language, ours.start_time) == (other.words, other.language, other.start_time)
    assert (ours.end_time, ours.confidence) == (other.end_time, pytest.approx(other.confidence))


def test_both_can_be_installed_and_imported() -> None:
    assert smallest_proto.STT is not smallestai.STT
    assert {"STT", "SpeechStream"} <= set(smallest_proto.__all__) & set(smallestai.__all__)
