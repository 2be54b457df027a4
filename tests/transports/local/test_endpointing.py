"""Decisions over voice probabilities: no model, no audio."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smallest_proto.server.recogniser import VoiceEnded, VoiceStarted
from smallest_transports.local.endpointing import (
    LEAD,
    LONGEST,
    SHORTEST_VOICE,
    TRAIL,
    Decision,
    Endpointer,
    Stretch,
)
from smallest_transports.local.pcm import SAMPLE_RATE
from smallest_transports.local.voice_activity import FRAME

VOICE, SILENCE = 0.9, 0.1


def decide(probabilities: Sequence[float], pause: float | None = 0.6, *, cut: bool = True) -> list[Decision]:
    endpointer = Endpointer(pause)
    decisions = [decision for probability in probabilities for decision in endpointer.frame(probability)]
    last = endpointer.cut(len(probabilities) * FRAME) if cut else None
    return decisions if last is None else [*decisions, last]


def stretches(decisions: Sequence[Decision]) -> list[Stretch]:
    return [decision for decision in decisions if isinstance(decision, Stretch)]


def frames(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE / FRAME)


def test_a_pause_ends_a_segment() -> None:
    decisions = decide([SILENCE] * 20 + [VOICE] * 30 + [SILENCE] * 40, cut=False)
    assert [type(decision) for decision in decisions] == [VoiceStarted, VoiceEnded, Stretch]
    started, ended, stretch = decisions
    assert isinstance(started, VoiceStarted)
    assert started.time == 20 * FRAME / SAMPLE_RATE
    assert isinstance(ended, VoiceEnded)
    assert ended.time == 50 * FRAME / SAMPLE_RATE
    assert stretch == Stretch(
        start=20 * FRAME - LEAD, end=50 * FRAME + TRAIL, voice_start=20 * FRAME, voice_end=50 * FRAME, endpoint=True
    )


def test_the_pause_is_as_long_as_asked_for() -> None:
    endpointer = Endpointer(0.6)
    for _ in range(30):
        endpointer.frame(VOICE)
    waited = 0
    while not any(isinstance(decision, Stretch) for decision in endpointer.frame(SILENCE)):
        waited += 1
    assert (waited + 1) * FRAME / SAMPLE_RATE == pytest.approx(0.6, abs=FRAME / SAMPLE_RATE)


def test_without_a_pause_only_a_cut_ends_a_segment() -> None:
    script = [VOICE] * 30 + [SILENCE] * 100
    assert not stretches(decide(script, None, cut=False))
    assert len(stretches(decide(script, None))) == 1


def test_a_silence_without_end_is_not_kept() -> None:
    endpointer = Endpointer(None)
    for probability in [VOICE] * 30 + [SILENCE] * (LONGEST // FRAME + 40):
        endpointer.frame(probability)
    assert endpointer.needed > 0.9 * LONGEST


def test_a_click_is_no_speech() -> None:
    assert not decide([SILENCE] * 9 + [VOICE] + [SILENCE] * 40)


def test_too_little_voice_is_no_word() -> None:
    decisions = decide([SILENCE] * 9 + [VOICE] * (SHORTEST_VOICE - 1) + [SILENCE] * 40)
    assert [type(decision) for decision in decisions] == [VoiceStarted, VoiceEnded]


def test_a_long_segment_ends_where_the_speaker_goes_on_after_a_short_pause() -> None:
    first, second = stretches(decide([VOICE] * frames(7) + [SILENCE] * 8 + [VOICE] * frames(2)))
    assert frames(7) * FRAME <= first.end <= frames(7) * FRAME + TRAIL
    assert not first.endpoint
    assert first.end <= second.start <= second.voice_start == (frames(7) + 8) * FRAME


def test_a_short_segment_goes_on_over_a_short_pause() -> None:
    assert len(stretches(decide([VOICE] * frames(2) + [SILENCE] * 8 + [VOICE] * frames(2)))) == 1


def test_the_longest_segment_is_cut_at_its_least_likely_voice() -> None:
    script = [VOICE] * frames(20)
    script[frames(10)] = 0.5
    first, second = stretches(decide(script))
    assert frames(10) * FRAME < first.end < (frames(10) + 1) * FRAME
    assert second.start == first.end


def test_a_cut_in_the_middle_of_speech_loses_nothing() -> None:
    endpointer = Endpointer(0.6)
    for _ in range(30):
        endpointer.frame(VOICE)
    there = 30 * FRAME + 100  # a part of a frame has come as well
    first = endpointer.cut(there)
    assert first is not None
    assert first.end == there
    for _ in range(10):
        endpointer.frame(VOICE)
    second = endpointer.cut(40 * FRAME)
    assert second is not None
    assert (second.start, second.end) == (there, 40 * FRAME)
    assert endpointer.cut(40 * FRAME) is None


runs = st.lists(
    st.tuples(st.floats(0, 1), st.one_of(st.integers(1, 25), st.integers(1, 600))), min_size=1, max_size=20
).map(lambda pairs: [probability for probability, count in pairs for _ in range(count)])


@settings(max_examples=150)
@given(runs, st.sampled_from((0.1, 0.3, 0.6, 2.0, None)), st.sets(st.integers(0, 3000), max_size=4))
@example([1.0] * 17, 0.1, {5, 7})
def test_segments_are_in_order_within_what_is_kept_and_hold_every_voice(
    probabilities: list[float], pause: float | None, cuts: set[int]
) -> None:
    endpointer = Endpointer(pause)
    floor = needed = 0
    speaking = False
    found: list[Stretch] = []
    for at, probability in enumerate(probabilities):
        decisions = endpointer.frame(probability)
        if at in cuts and (stretch := endpointer.cut((at + 1) * FRAME + 7)):
            decisions = [*decisions, stretch]
        for decision in decisions:
            if isinstance(decision, Stretch):
                assert max(floor, needed) <= decision.start <= decision.voice_start
                assert decision.voice_start <= decision.voice_end <= decision.end <= (at + 1) * FRAME + 7
                assert decision.end - decision.start <= LONGEST + max(round((pause or 0) * SAMPLE_RATE), LONGEST)
                floor = decision.end
                found.append(decision)
            else:
                assert isinstance(decision, VoiceEnded if speaking else VoiceStarted)
                speaking = not speaking
        needed = max(needed, endpointer.needed)
        assert endpointer.needed >= min(needed, floor)
    if last := endpointer.cut(len(probabilities) * FRAME):
        found.append(last)
    # A frame in the middle of a stretch of sure voice is in a stretch from its first sample to its last.
    for at in range(8, len(probabilities) - 8):
        if min(probabilities[at - 8 : at + 9]) > 0.5:
            for sample in (at * FRAME, (at + 1) * FRAME - 1):
                assert any(stretch.start <= sample < stretch.end for stretch in found)


@settings(max_examples=12)
@given(st.floats(0.36, 1), st.integers(1, 4000))
@example(1.0, 4000)
def test_a_speaker_who_never_pauses_is_cut_without_a_gap(probability: float, count: int) -> None:
    found = stretches(decide([0.9, 0.9, *[probability] * count]))
    for first, second in itertools.pairwise(found):
        assert first.end == second.start
    assert all(stretch.end - stretch.start <= LONGEST + FRAME for stretch in found)
