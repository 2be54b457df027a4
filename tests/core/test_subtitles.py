"""Cues hold every word once and in order, do not overlap, and can be read."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.http.files import FileTranscript
from smallest_proto.subtitles import LINE_COLUMNS, MAX_LINES, MAX_SECONDS, PAUSE, Cue, TimedWord, make_cues

TEXTS = st.one_of(
    st.text("abcdefghij'", min_size=1, max_size=12),
    st.text("abc", min_size=40, max_size=60),
    st.sampled_from(["Yes.", "well,", "why?", "it's", "東京", "…", "—"]),
)


@st.composite
def speech(draw: st.DrawFn) -> list[TimedWord]:
    words: list[TimedWord] = []
    clock = 0.0
    for text in draw(st.lists(TEXTS, max_size=60)):
        start = clock + draw(st.sampled_from([0.0, 0.05, 0.4, 0.8, 3.0]))
        clock = start + draw(st.sampled_from([0.0, 0.0004, 0.2, 0.5, 9.0]))
        words.append(TimedWord(text, start, clock))
    return words


def said(text: str, *, gap: float = 0.05, length: float = 0.3) -> list[TimedWord]:
    return [TimedWord(t, i * (length + gap), i * (length + gap) + length) for i, t in enumerate(text.split())]


@given(speech())
def test_every_word_is_shown_once_and_in_order(words: list[TimedWord]) -> None:
    shown = [text for cue in make_cues(words) for line in cue.lines for text in line.split(" ")]
    assert shown == [word.text for word in words]


@given(speech())
def test_cues_last_and_do_not_overlap(words: list[TimedWord]) -> None:
    cues = make_cues(words)
    assert all(cue.start < cue.end for cue in cues)
    assert all(before.end <= after.start for before, after in itertools.pairwise(cues))


@given(speech())
def test_lines_are_short_and_few(words: list[TimedWord]) -> None:
    for cue in make_cues(words):
        assert 1 <= len(cue.lines) <= MAX_LINES
        assert all(len(line) <= LINE_COLUMNS or " " not in line for line in cue.lines)


@given(speech())
def test_no_cue_reaches_over_a_pause_or_too_long(words: list[TimedWord]) -> None:
    at = 0
    for cue in make_cues(words):
        count = sum(len(line.split(" ")) for line in cue.lines)
        held, at = words[at : at + count], at + count
        gaps = [after.start - before.end for before, after in itertools.pairwise(held)]
        assert all(gap < PAUSE for gap in gaps)
        assert count == 1 or held[-1].end - held[0].start <= MAX_SECONDS


def test_nothing_said_is_no_cue() -> None:
    assert make_cues([]) == []


def test_a_short_cue_stays_as_long_as_the_next_one_lets_it() -> None:
    alone = make_cues([TimedWord("Yes", 1.0, 1.2)])
    assert alone == [Cue(1000, 2200, ("Yes",))]
    followed = make_cues([TimedWord("Yes", 1.0, 1.2), TimedWord("No", 2.0, 2.1)])
    assert [(cue.start, cue.end) for cue in followed] == [(1000, 2000), (2000, 3200)]


def test_a_sentence_ends_a_cue_but_a_short_one_does_not() -> None:
    cues = make_cues(said("Yes. It was the best of times. It was the worst"))
    assert [cue.lines for cue in cues] == [("Yes. It was the best of times.",), ("It was the worst",)]


def test_a_full_cue_is_cut_after_its_last_clause() -> None:
    text = "we had everything before us, and we had nothing before us, as we were all going direct to heaven"
    cues = make_cues(said(text, gap=0.01, length=0.1))
    assert [" ".join(cue.lines) for cue in cues] == [
        "we had everything before us, and we had nothing before us,",
        "as we were all going direct to heaven",
    ]


def test_two_lines_are_about_equally_long() -> None:
    (cue,) = make_cues(said("it was the season of light it was the season of dark", gap=0.01, length=0.1))
    assert cue.lines == ("it was the season of light", "it was the season of dark")


def test_wide_characters_count_twice_and_need_no_spaces() -> None:
    words = [TimedWord("東京", i * 0.2, i * 0.2 + 0.2) for i in range(30)]
    cues = make_cues(words, separator="")
    assert "".join(line for cue in cues for line in cue.lines) == "東京" * 30
    assert all(len(line) <= LINE_COLUMNS // 2 for cue in cues for line in cue.lines)


@pytest.mark.parametrize("duration", [math.inf, math.nan, -4.0, 0.0, None])
def test_text_without_times_lasts_as_long_as_its_letters_where_no_duration_is_known(duration: float | None) -> None:
    transcript = FileTranscript(text="hello there", duration=duration)
    assert transcript.to_srt() == "1\n00:00:00,000 --> 00:00:01,200\nhello there\n\n"
