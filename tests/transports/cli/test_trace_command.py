"""``smallest-proto trace``, and ``--picture`` of the commands that have calls."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from smallest_proto.server.recogniser import CodedRecogniser
from smallest_transports.cli.app import commands
from smallest_transports.cli.problems import KEY_VARIABLE
from tests.transports.pictures.traces import call, speech

from .stage import KEY, RunServer, WriteAudio

FAULTS = {1: (1.2, "lose"), 2: (0.9, "lose")}


def run(*arguments: str | Path) -> Result:
    typed = list(map(str, arguments))
    return CliRunner().invoke(commands, typed, env={KEY_VARIABLE: KEY}, prog_name="smallest-proto")


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b"".join(call(FAULTS)[0]))
    return path


@pytest.fixture
def two(tmp_path: Path) -> Path:
    path = tmp_path / "two.jsonl"
    other = [line.replace(b'"session": "', b'"session": "other-') for line in speech()]
    path.write_bytes(b"".join([*call(FAULTS)[0], *other]))
    return path


def test_a_trace_as_text(trace: Path) -> None:
    result = run("trace", trace)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Transcription, completed\n")
    assert re.search(r"^Link 3 .*▒", result.stdout, re.MULTILINE)
    assert run("trace", "show", trace).stdout == result.stdout


def test_a_trace_as_a_page_and_as_a_still(two: Path, tmp_path: Path) -> None:
    page = tmp_path / "call.html"
    assert run("trace", two, "-o", page).exit_code == 0
    assert page.read_text("utf-8").startswith("<!doctype html>")
    result = run("trace", "--svg", "--call", "2", two)
    assert result.exit_code == 0
    assert "Speech" in "".join(ElementTree.fromstring(result.stdout).itertext())
    assert run("trace", two, "-o", tmp_path / "call.svg").exit_code == 0
    assert {path.name for path in tmp_path.glob("*.svg")} == {"call-1.svg", "call-2.svg"}


def test_a_trace_told_again(trace: Path) -> None:
    result = run("trace", "replay", trace)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert re.match(r" +0\.000  OpenLink\(link=1, ", lines[0])
    assert "SessionEnded" in lines[-1]
    assert not re.search(r"\bw\d", result.stdout)
    assert "FinalTranscript(text='w1" in run("trace", "replay", trace, "--reveal").stdout
    assert KEY not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nothing.jsonl"], 1, "No such file"),
        (["empty"], 1, "holds no call"),
        (["notes.txt"], 1, "no trace"),
        (["two.jsonl", "--svg"], 2, "choose one with --call"),
        (["two.jsonl", "--call", "3"], 2, "holds 2"),
        (["two.jsonl", "-o", "call.pdf"], 2, "neither .html"),
        (["two.jsonl", "-o", "call.html", "--svg"], 2, "does not end in .svg"),
        (["two.jsonl", "-o", "nowhere/call.html"], 2, "does not exist"),
        (["replay", "two.jsonl", "--call", "3"], 1, "holds 2 sessions"),
        (["replay", "nothing.jsonl"], 1, "No such file"),
    ],
)
@pytest.mark.usefixtures("two")
def test_what_cannot_be_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").touch()
    Path("notes.txt").write_text("nothing\n")
    result = run("trace", *arguments)
    assert result.exit_code == code
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_picture_of_a_transcription(run_server: RunServer, write_audio: WriteAudio, tmp_path: Path) -> None:
    page = tmp_path / "call.html"
    result = run(
        *("transcribe", "--live", write_audio("a.wav"), write_audio("b.wav"), "--base-url", run_server()),
        *("--picture", page),
    )
    assert (result.exit_code, result.stderr) == (0, "")
    (data,) = re.findall(r'id="scenes">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    scenes = json.loads(data)
    assert [scene["title"] for scene in scenes] == ["Transcription"] * 2
    assert "It was the best." in data
    assert KEY not in page.read_text("utf-8")


def test_a_picture_of_what_was_said_and_heard(run_server: RunServer, tmp_path: Path) -> None:
    picture = tmp_path / "call.svg"
    url = run_server(CodedRecogniser)
    result = run("say-and-hear", "w1 w2, w3.", "--fast", "--base-url", url, "--picture", picture)
    assert (result.exit_code, result.stderr) == (0, "")
    titles = [ElementTree.fromstring((tmp_path / f"call-{n}.svg").read_text("utf-8"))[0].text for n in (1, 2)]
    assert titles == ["Speech, completed", "Transcription, completed"]


def test_a_call_that_failed_has_a_picture_too(write_audio: WriteAudio, run_server: RunServer, tmp_path: Path) -> None:
    picture = tmp_path / "call.svg"
    server = run_server(key="another")
    result = run("transcribe", "--live", write_audio("a.wav"), "--base-url", server, "--picture", picture)
    assert result.exit_code == 1
    assert "failed: HTTP 401" in "".join(ElementTree.fromstring(picture.read_text("utf-8")).itertext())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["transcribe", "a.wav", "--picture", "call.html"], "add --live"),
        (["demo", "--picture", "call.png"], "neither .html"),
        (["say-and-hear", "Hello", "--picture", "nowhere/call.html"], "does not exist"),
    ],
)
def test_a_picture_that_cannot_be_is_refused_first(arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
