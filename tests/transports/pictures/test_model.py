"""What happened, out of a trace: whatever was told, it can be read, and nothing of it is missing."""

from __future__ import annotations

import contextlib
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.audio import AudioFormat
from smallest_proto.commands import OpenLink
from smallest_proto.config import SynthesisConfig, TranscriptionConfig
from smallest_proto.events import LinkLost
from smallest_proto.synthesis.events import AudioChunk, SegmentDone, SpokenSoFar, WordSpoken
from smallest_proto.synthesis.session import SynthesisSession
from smallest_proto.transcription.events import AudioLost, FinalTranscript, InterimTranscript, SpeechStarted
from smallest_proto.transcription.session import TranscriptionSession
from smallest_transports.pictures import Heard, Said, Watch, read_calls, scene
from smallest_transports.pictures.model import LEVEL_SECONDS, LEVELS
from smallest_transports.pictures.scene import Clock, place_at
from smallest_transports.pictures.tracks import Levels, Track

from .traces import HOSTILE, SPEECH, STORIES, call, speech, tell_all


def heard(lines: list[bytes]) -> Heard:
    (found,) = read_calls(lines)
    assert isinstance(found, Heard)
    return found


def said(lines: list[bytes]) -> Said:
    (found,) = read_calls(lines)
    assert isinstance(found, Said)
    return found


@given(STORIES, st.booleans())
def test_everything_of_a_transcription_is_in_it(story: Any, private: bool) -> None:
    lines, outputs = tell_all(TranscriptionSession, TranscriptionConfig(), story, private=private)
    found = heard(lines)
    assert [bar.link for bar in found.links] == [output.link for output in outputs if isinstance(output, OpenLink)]
    lost = {output.link for output in outputs if isinstance(output, LinkLost)}
    assert {bar.link for bar in found.links if bar.lost} == lost
    finals = [output for output in outputs if isinstance(output, FinalTranscript)]
    assert [(final.start, final.end, final.last) for final in found.finals] == [
        (final.start, final.end, final.is_last) for final in finals
    ]
    if private:
        assert [final.text for final in found.finals] == [final.text for final in finals]
    for kind, its in ((InterimTranscript, found.interims), (SpeechStarted, found.turns), (AudioLost, found.losses)):
        assert len(its) == sum(isinstance(output, kind) for output in outputs)
    for track in (found.given, found.watermark, *(run.points for bar in found.links for run in bar.runs)):
        assert all(before <= after for (before, _), (after, _) in pairwise(track)), "time runs on"
    scene(found)


@given(STORIES, st.booleans())
def test_everything_of_a_speech_is_in_it(story: Any, private: bool) -> None:
    config = SynthesisConfig(word_timestamps=True)
    lines, outputs = tell_all(SynthesisSession, config, story, private=private)
    found = said(lines)
    assert [bar.link for bar in found.links] == [output.link for output in outputs if isinstance(output, OpenLink)]
    over = {output.segment for output in outputs if isinstance(output, (SegmentDone, SpokenSoFar))}
    assert {segment.number for segment in found.segments if segment.over is not None} == over
    words = sum(isinstance(output, WordSpoken) for output in outputs)
    assert sum(len(segment.words) for segment in found.segments) == words
    seconds = sum(output.samples or 0 for output in outputs if isinstance(output, AudioChunk)) / config.sample_rate
    assert sum(segment.heard[-1][1] for segment in found.segments if segment.heard) == pytest.approx(seconds, abs=0.01)
    scene(found)


@given(STORIES, st.data())
def test_a_trace_that_was_damaged_is_read_or_refused(story: Any, data: st.DataObject) -> None:
    lines, _ = tell_all(TranscriptionSession, TranscriptionConfig(), story, private=True)
    number = data.draw(st.integers(0, len(lines) - 1))
    line = json.loads(lines[number])
    key = data.draw(st.sampled_from(sorted(line)))
    line[key] = data.draw(st.one_of(st.none(), st.text(max_size=9), st.integers(), st.lists(st.integers(), max_size=3)))
    damaged = [*lines[:number], json.dumps(line).encode() + b"\n", *lines[number + 1 :]]
    with contextlib.suppress(ValueError):  # it says what is wrong; anything else is a fault of ours
        assert len(read_calls(damaged)) in (1, 2)


@pytest.mark.parametrize("name", ["__init__", "poll_output", "stats", "_course", "nothing"])
def test_a_session_is_told_nothing_but_inputs(name: str) -> None:
    lines, _, _ = call({})
    told = {"session": json.loads(lines[0])["session"], "told": name, "args": [], "at": 9.0}
    with pytest.raises(ValueError, match="no trace"):
        read_calls([*lines, json.dumps(told).encode() + b"\n"])


def test_the_last_line_of_a_process_that_died_can_be_half_of_one() -> None:
    lines, _, _ = call({})
    assert read_calls([*lines[:-1], lines[-1][:20]]) == read_calls(lines[:-1])


FAULTS = {1: (1.2, "lose"), 2: (0.9, "lose")}


def test_a_damaged_line_is_named() -> None:
    lines, _, _ = call({})
    with pytest.raises(ValueError, match="line 5, or one before it, is damaged"):
        read_calls([*lines[:4], b"nonsense\n", *lines[4:]])
    with pytest.raises(ValueError, match="this is no trace"):
        read_calls([b"nonsense\n"])


def test_what_a_link_is_sent_again_is_told_apart() -> None:
    lines, events, stats = call(FAULTS)
    found = heard(lines)
    assert [bar.lost for bar in found.links] == [True, True, False]
    again = [run for bar in found.links for run in bar.runs if run.again]
    assert {bar.link for bar in found.links if any(run.again for run in bar.runs)} == {2, 3}
    assert sum(run.points[-1][1] - run.points[0][1] for run in again) == pytest.approx(stats.seconds_replayed, abs=0.01)
    fresh = [run for bar in found.links for run in bar.runs if not run.again]
    assert sum(run.points[-1][1] - run.points[0][1] for run in fresh) == pytest.approx(stats.seconds_sent, abs=0.01)
    assert found.seconds_again == stats.seconds_replayed > 0
    for run in again:  # it was given before it was sent again
        assert Clock(found.given).when(run.points[0][1]) < run.points[0][0]
    (ask,) = found.asks
    answer = next(at for at, event in events if isinstance(event, FinalTranscript) and event.from_finalize)
    assert (ask.at, ask.place) == (pytest.approx(2.0), pytest.approx(2.0, abs=0.05))
    assert ask.answered == pytest.approx(answer, abs=0.001)
    assert found.watermark[-1][1] == pytest.approx(stats.seconds_finalised)


def test_the_same_call_without_what_was_said_has_the_same_shape() -> None:
    (open_, _, _), (closed, _, _) = call(FAULTS), call(FAULTS, private=False)
    whole, bare = heard(open_), heard(closed)
    assert whole.private
    assert not bare.private
    assert [bar.runs for bar in bare.links] == [bar.runs for bar in whole.links]
    assert [len(final.words) for final in bare.finals] == [len(final.words) for final in whole.finals]
    assert not any(final.text or any(word.text for word in final.words) for final in bare.finals)
    assert not any(interim.text for interim in bare.interims)
    assert len(bare.level) == len(whole.level)


def test_a_speech_that_is_interrupted() -> None:
    found = said(speech())
    assert [bar.lost for bar in found.links][:2] == [True, False]
    assert "text again" in [sign.what for sign in found.links[1].signs]
    first, second = found.segments
    assert first.number == 0
    assert first.seconds > 0
    assert first.cut == "cancelled by the application"
    assert (first.spoken + first.unspoken).split() == ["Hello", "there."]
    assert second.unspoken.strip() == "And more."
    assert found.cancels == (6.0,)
    assert first.stopped in (None, 6.0)
    bare = said(speech(private=False))
    assert not any(segment.spoken or segment.unspoken for segment in bare.segments)
    assert not any(piece.text for piece in bare.pieces)


def test_a_call_that_goes_on_grows() -> None:
    lines, _, _ = call(FAULTS)
    watch, sizes = Watch(), []
    for number, line in enumerate(lines):
        watch.line(line)
        if number % 40 == 39:
            (found,) = watch.calls()
            assert isinstance(found, Heard)
            assert not found.ending
            sizes.append((found.seconds, len(found.finals), len(found.links)))
    assert sizes == sorted(sizes)
    assert watch.calls() == read_calls(lines)


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0, 2)), min_size=1, max_size=60))
def test_a_track_misses_no_point(steps: list[tuple[float, float]]) -> None:
    track, at, value, points = Track(), 0.0, 0.0, []
    for across, up in steps:
        at, value = at + across, value + up
        track.add(at, value)
        points.append((at, value))
    kept = track.points()
    assert len(kept) <= len(points) + 1
    for at, value in points:
        before = [v for t, v in kept if t <= at + 0.001]
        after = [v for t, v in kept if t >= at - 0.001]
        assert min(before[0], *before[-1:]) - 0.05 <= value <= after[-1] + 0.05
    steady = Track()
    for number in range(1000):
        steady.add(number / 20, number / 20)
    assert len(steady.points()) == 2
    assert place_at(steady.points(), 25.0) == pytest.approx(25.0)


@pytest.mark.parametrize("encoding", ["linear16", "linear32", "mulaw", "alaw"])
def test_how_loud_audio_is(encoding: Any) -> None:
    format = AudioFormat(encoding=encoding, sample_rate=8000)
    quiet = {"linear16": b"\0\0", "linear32": bytes(4), "mulaw": b"\xff", "alaw": b"\xd5"}[encoding]
    loud = {"linear16": b"\xff\x7f", "linear32": b"\xff\xff\xff\x7f", "mulaw": b"\x80", "alaw": b"\xaa"}[encoding]
    levels = Levels()
    levels.hears(format)
    for sample in (quiet, loud):
        for _ in range(5):
            levels.add(sample * 160)  # 20 ms
    signs = levels.signs()
    assert len(signs) == round(0.2 / LEVEL_SECONDS)
    assert LEVELS.index(signs[0]) < 20
    assert LEVELS.index(signs[-1]) >= len(LEVELS) - 2


def test_audio_that_shows_no_level_has_none() -> None:
    levels = Levels()
    levels.hears(AudioFormat(encoding="opus", sample_rate=48000))
    levels.add(b"\x78" * 40, 0.02)
    levels.add(b"\x78" * 40, 0.06)
    assert levels.signs() == ""


def test_what_was_said_is_in_no_repr() -> None:
    lines, _, _ = call(FAULTS)
    assert "w1" not in repr(read_calls(lines))
    assert "Hello" not in repr(read_calls(speech()))
    assert HOSTILE not in repr(read_calls(speech(text=HOSTILE)))
    assert SPEECH.pcm[:8].hex() not in repr(read_calls(lines))
