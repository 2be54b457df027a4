"""Pages, stills and text: whole, of bounded size, and safe whatever was said."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.config import SynthesisConfig, TranscriptionConfig
from smallest_proto.synthesis.session import SynthesisSession
from smallest_proto.transcription.session import TranscriptionSession
from smallest_transports import pictures
from smallest_transports.pictures.model import Bar
from smallest_transports.pictures.scene import rows_of

from .traces import HOSTILE, STORIES, call, speech, tell_all

SVG = "{http://www.w3.org/2000/svg}"
ADDRESS = re.compile(r"\w+://[^\s\"'<>]+")
NAMESPACE = "http://www.w3.org/2000/svg"
PAGE_BYTES = 300_000  # without the data

FAULTS = {1: (1.2, "lose"), 2: (0.9, "lose")}


@pytest.fixture(scope="module")
def calls() -> tuple[pictures.Call, ...]:
    lines, _, _ = call(FAULTS)
    return (*pictures.read_calls(lines), *pictures.read_calls(speech()))


def data_of(page: str) -> str:
    (found,) = re.findall(r'<script type="application/json" id="scenes">(.*?)</script>', page, re.DOTALL)
    return str(found)


def test_a_page_needs_nothing_else(calls: tuple[pictures.Call, ...]) -> None:
    page = pictures.html(calls)
    assert set(ADDRESS.findall(page)) == {NAMESPACE}
    assert not re.search(r"<link(?! rel=\"icon\" href=\"data:,\")|<img|@import|url\((?!#)|src=", page)
    assert "default-src 'none'" in page
    assert len(page.encode()) - len(data_of(page).encode()) < PAGE_BYTES
    scenes = json.loads(data_of(page))
    assert [scene["title"] for scene in scenes] == ["Transcription", "Speech"]
    assert json.loads(pictures.scenes(calls)) == scenes


def test_a_long_call_is_a_page_of_a_bounded_size() -> None:
    """The level of the audio takes 20 signs a second; all else grows with what happens, not with time."""
    lines, _, _ = call({})
    short = len(pictures.html(pictures.read_calls(lines)))
    silent, _, _ = call({}, finalize=None)
    assert abs(short - len(pictures.html(pictures.read_calls(silent)))) < 5000
    assert short < PAGE_BYTES


def paint_all(calls: tuple[pictures.Call, ...]) -> None:
    page = pictures.html(calls, HOSTILE)
    assert page.count("</script>") == 2
    assert page.count("<script") == 2
    assert "alert(1)</" not in page
    assert json.loads(data_of(page)) == json.loads(pictures.scenes(calls))
    scenes = list(map(pictures.scene, calls))
    for scene in scenes:
        still = pictures.svg(scene)
        root = ElementTree.fromstring(still)
        assert root.tag == f"{SVG}svg"
        assert not list(root.iter(f"{SVG}script"))
        assert set(ADDRESS.findall(still)) == {NAMESPACE}
        assert "nan" not in still
    text = pictures.text(scenes)
    for line in text.splitlines():
        assert sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in line) <= 80, line
    assert not [sign for sign in text if unicodedata.category(sign)[0] == "C" and sign != "\n"]


@given(STORIES, st.booleans())
def test_any_transcription_can_be_painted(story: Any, private: bool) -> None:
    lines, _ = tell_all(TranscriptionSession, TranscriptionConfig(), story, private=private)
    paint_all(pictures.read_calls(lines))


@given(STORIES, st.booleans())
def test_any_speech_can_be_painted(story: Any, private: bool) -> None:
    lines, _ = tell_all(SynthesisSession, SynthesisConfig(word_timestamps=True), story, private=private)
    paint_all(pictures.read_calls(lines))


def test_hostile_text_is_text() -> None:
    calls = pictures.read_calls(speech(text=HOSTILE))
    paint_all(calls)
    (item,) = [item for item in pictures.scene(calls[0]).items if item.look == "piece" and "script" in item.text]
    assert HOSTILE.strip() in item.text


@pytest.mark.parametrize("which", [0, 1])
def test_what_is_not_in_a_trace_is_in_no_picture_and_that_is_said(which: int) -> None:
    lines = call(FAULTS, private=False)[0] if which == 0 else speech(private=False)
    calls = pictures.read_calls(lines)
    for picture in (pictures.html(calls), pictures.text([pictures.scene(calls[0])])):
        assert not re.search(r"\bw\d+\b(?!\.org)|Hello|there\.|\bx{2,}\b", picture)
        assert "not in this" in picture
    assert not re.search(r"\bw\d+\b(?!\.org)|Hello|there\.", pictures.svg(pictures.scene(calls[0])))
    assert "the-key" not in pictures.html(calls)


def test_what_is_sent_again_is_joined_to_where_it_was_given(calls: tuple[pictures.Call, ...]) -> None:
    scene = pictures.scene(calls[0])
    ribbons = [item for item in scene.items if item.look == "ribbon"]
    bars = [item for item in scene.items if item.kind == "bar" and item.look == "again"]
    assert len(ribbons) == len(bars) >= 2
    for ribbon, bar in zip(ribbons, bars, strict=True):
        (begins, top), (ends, _), (b, bottom), (a, _) = ribbon.points
        assert (round(a, 3), round(b, 3)) == (bar.a, bar.b)
        assert top < bottom
        assert begins < ends <= b
    named = {lane.name for lane in scene.lanes}
    assert {"Audio given", "Turns", "Application", "Link 1", "Link 2", "Link 3", "Finals", "Heard"} <= named
    for item in scene.items:
        assert 0 <= item.y <= scene.height


def test_text_shows_each_link_and_each_final(calls: tuple[pictures.Call, ...]) -> None:
    text = pictures.text([pictures.scene(calls[0])])
    assert text.startswith("Transcription, completed\n")
    for number in (1, 2, 3):
        assert re.search(rf"^Link {number} +\S", text, re.MULTILINE)
    told = " ".join(text.split())
    for final in calls[0].finals if isinstance(calls[0], pictures.Heard) else ():
        assert final.text.strip() in told
    both = pictures.text(list(map(pictures.scene, calls)))
    assert "Call 1 of 2" in both
    assert "Call 2 of 2" in both


def test_many_links_share_rows() -> None:
    links = [Bar(link=number, asked=float(number), ended=number + 0.5) for number in range(40)]
    rows = rows_of(links, 40.0, own=8)
    assert max(rows) < 8
    assert rows_of(links[:3], 40.0, own=8) == [0, 1, 2]


def test_the_still_of_the_readme_is_one_of_ours() -> None:
    still = (Path(__file__).parents[3] / "docs" / "call.svg").read_text("utf-8")
    root = ElementTree.fromstring(still)
    title, figures = (root.findtext(f"{SVG}{name}") for name in ("title", "desc"))
    assert title == "Transcription, completed"
    assert figures
    assert "Lost: nothing" in figures
    assert "3 lost" in figures, "three faults"
    assert set(ADDRESS.findall(still)) == {NAMESPACE}


def test_what_joins_letters_is_no_control_sign() -> None:
    joined = "क्‍ष 👩‍👧 می‌خواهم"
    (drawn,) = pictures.read_calls(speech(text=f"{joined} ‮abc[2J. "))
    text = pictures.text([pictures.scene(drawn)], width=400)
    assert joined in text
    assert "‮" not in text
    assert "" not in text


def test_a_label_of_a_still_is_cut_between_letters() -> None:
    (drawn,) = pictures.read_calls(speech(text="e\u0301" * 300 + ". "))
    labels = re.findall(r">((?:e\u0301)+)…<", pictures.svg(pictures.scene(drawn)))
    assert labels
    (wide,) = pictures.read_calls(speech(text="東" * 300 + ". "))
    assert max(map(len, labels)) > max(map(len, re.findall(r">(東+)…<", pictures.svg(pictures.scene(wide)))))
