"""Every format read back by a reader that is not ours, whatever times and characters the words have."""

from __future__ import annotations

import itertools
import json
import math

import pysubs2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.reading import Utterance, Word
from smallest_proto.subtitles import make_cues, timed_words
from smallest_transports.cli.formats import SUFFIXES, Transcript, render

TIMES = st.none() | st.floats(-10, 1e5, allow_nan=False) | st.sampled_from([math.nan, math.inf, -math.inf])
WORDS = st.builds(Word, text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=10), start=TIMES, end=TIMES)
PLAIN_WORDS = st.builds(Word, text=st.text("abcé'", min_size=1, max_size=10), start=TIMES, end=TIMES)

BEST = Transcript(
    name="a.wav",
    text="It was {the} best & <i>worst</i>.",
    words=(
        Word(text="It", start=0.5, end=0.7, confidence=0.9),
        Word(text="was", start=0.7, end=0.9),
        Word(text="{the}", start=0.9, end=1.1),
        Word(text="best", start=2.5, end=2.9),
        Word(text="&", start=3.0, end=3.1),
        Word(text="<i>worst</i>.", start=3.1, end=3.4),
    ),
    language="en",
    duration=4.0,
    request_id="r-1",
)


def test_text_is_the_transcript_and_is_headed_when_there_are_more() -> None:
    assert render(BEST, "text") == BEST.text + "\n"
    assert render(BEST, "text", headed=True) == f"==> a.wav <==\n{BEST.text}\n"


def test_json_is_one_line_with_what_is_known() -> None:
    line = render(BEST, "json")
    assert line.count("\n") == 1
    read = json.loads(line)
    assert read["file"] == "a.wav"
    assert read["text"] == BEST.text
    assert read["duration"] == 4.0
    assert read["words"][0] == {"word": "It", "start": 0.5, "end": 0.7, "confidence": 0.9}
    assert read["utterances"] == []
    assert "None" not in line
    assert "null" not in line


def test_srt_is_read_back_as_it_was_meant() -> None:
    text = render(BEST, "srt")
    first, second = pysubs2.SSAFile.from_string(text, format_="srt")
    assert (first.start, first.end, first.text) == (500, 1700, "It was {the}")
    assert (second.start, second.end) == (2500, 3700)
    assert "best & <i>worst</i>." in text
    assert "00:00:02,500 --> 00:00:03,700" in text


def test_vtt_is_escaped() -> None:
    text = render(BEST, "vtt")
    assert text.startswith("WEBVTT\n")
    assert "best &amp; &lt;i&gt;worst&lt;/i&gt;." in text
    assert [cue.start for cue in pysubs2.SSAFile.from_string(text, format_="vtt")] == [500, 2500]


@given(st.lists(PLAIN_WORDS, max_size=30), st.sampled_from(["srt", "vtt"]))
def test_subtitles_hold_every_word_whatever_the_times(words: list[Word], format: str) -> None:
    transcript = Transcript(name="x", text=" ".join(word.text for word in words), words=tuple(words), duration=5.0)
    read = pysubs2.SSAFile.from_string(render(transcript, format), format_=format)
    assert " ".join(cue.plaintext for cue in read).split() == [word.text for word in words]
    assert all(before.end <= after.start for before, after in itertools.pairwise(read))


@given(st.lists(WORDS, max_size=10), st.text(st.characters(codec="utf-8")), st.sampled_from(list(SUFFIXES)))
def test_no_text_breaks_a_format(words: list[Word], text: str, format: str) -> None:
    transcript = Transcript(name="x", text=text, words=tuple(words))
    rendered = render(transcript, format)
    if format == "json":
        assert json.loads(rendered)["text"] == text
    elif format != "text":
        cues = make_cues(timed_words(transcript))
        assert len(pysubs2.SSAFile.from_string(rendered, format_=format)) == len(cues)


@given(st.lists(WORDS, max_size=20))
def test_times_are_settled_in_order(words: list[Word]) -> None:
    settled = timed_words(Transcript(name="x", text="", words=tuple(words)))
    assert [word.text for word in settled] == [part for part in (" ".join(w.text.split()) for w in words) if part] or (
        all(word.start is None and word.end is None for word in words)
    )
    assert all(math.isfinite(word.start) and 0 <= word.start <= word.end for word in settled)
    assert all(before.end <= after.start for before, after in itertools.pairwise(settled))


def test_an_unknown_time_lies_between_its_neighbours() -> None:
    words = (Word(text="a", start=1.0, end=2.0), Word(text="b"), Word(text="c", start=4.0, end=5.0))
    assert timed_words(Transcript(name="x", text="", words=words))[1] == ("b", 2.0, 4.0)


@pytest.mark.parametrize("format", ["srt", "vtt"])
def test_without_words_the_utterances_have_the_times(format: str) -> None:
    said = (Utterance(text="one two", start=1.0, end=2.0), Utterance(text="three", start=5.0, end=6.0))
    transcript = Transcript(name="x", text="one two three", utterances=said)
    read = pysubs2.SSAFile.from_string(render(transcript, format), format_=format)
    assert [(cue.start, cue.text) for cue in read] == [(1000, "one two"), (5000, "three")]


def test_text_alone_is_spread_over_the_file() -> None:
    words = timed_words(Transcript(name="x", text="aa bbbb", duration=6.0))
    assert words == [("aa", 0.0, 2.0), ("bbbb", 2.0, 6.0)]
    assert timed_words(Transcript(name="x", text="")) == []


def test_japanese_has_no_spaces_between_words() -> None:
    words = (Word(text="東京", start=0.0, end=0.5), Word(text="です", start=0.5, end=1.0))
    assert "東京です" in render(Transcript(name="x", text="東京です", words=words, language="ja"), "srt")


def test_a_transcript_does_not_show_what_was_said() -> None:
    assert "worst" not in repr(BEST)
