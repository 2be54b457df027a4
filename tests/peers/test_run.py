"""What ``make peers`` needs no client for: the table, the server, a script that tells rows, and what can go wrong."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from smallest_proto.reading import Word
from smallest_proto.server.recogniser import PlainRecogniser
from smallest_proto.server.synthesiser import CodedSynthesiser
from smallest_transports.local.server import LocalServer

from . import run as peers
from . import tell
from .run import Client, Row

WORDS = tell.SAID.split(" ")
# A client of its own: the standard library's, with the file route.
SCRIPT = f"""
import json, sys, urllib.request
sys.path.insert(0, {str(Path(tell.__file__).parent)!r})
from tell import Check, arguments, heard, outcome_of
base_url, audio = arguments()
def file():
    headers = {{"Authorization": "Bearer any", "Content-Type": "application/octet-stream"}}
    url = base_url + "/stt/?model=pulse&language=en"
    with urllib.request.urlopen(urllib.request.Request(url, open(audio, "rb").read(), headers)) as answer:
        return heard(json.load(answer)["transcription"])
def wrong():
    raise ValueError("a | b")
print("a client's own words")
for check in (Check("a file", file), Check("a wrong thing", wrong, "its own", "a | b")):
    print(json.dumps({{"client": "made-up", "version": "1", "tried": check.tried, **outcome_of(check)}}), flush=True)
raise SystemExit(3)
"""
TOLD = [
    Row("made-up", "1", "a file", "24 of 24 words", fine=True),
    Row("made-up", "1", "a wrong thing", "ValueError: a | b", fine=False, fault="its own"),
    Row("made-up", "", "all of it", "its script ended with 3", fine=False),
]


def server() -> LocalServer:
    words = [Word(text=text, start=0.1 * n, end=0.1 * n + 0.1) for n, text in enumerate(WORDS)]
    return LocalServer(recogniser=lambda asked: PlainRecogniser(words, asked), synthesiser=CodedSynthesiser)


def test_a_client_is_run_against_the_server_and_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT, "utf-8")
    monkeypatch.setattr(peers, "CLIENTS", [Client("made-up", str(tmp_path / "script.py"))])
    monkeypatch.setattr(peers, "install", lambda *_: None)
    assert asyncio.run(peers.main(["--python", sys.executable], server())) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == list(peers.table(TOLD))
    assert "1 not fine, and not known" in printed.err


def test_what_is_the_clients_own_fault_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert peers.show(TOLD[:2]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        r"| made-up | 1 | a wrong thing | ValueError: a \| b | its own |"
    )


def test_a_client_that_cannot_be_installed_says_why() -> None:
    (row,) = peers.rows(sys.executable, [Client("no such package!", "none.py")], "http://127.0.0.1:1")
    assert (row.tried, row.fine) == ("installation", False)
    assert "Invalid requirement" in row.result


def outcome(**options: Any) -> dict[str, object]:
    return tell.outcome_of(tell.Check("it", **options))


def test_another_failure_than_the_known_one_has_no_excuse() -> None:
    def fail() -> str:
        raise OSError("the server is gone")

    told = {"result": "OSError: the server is gone", "fine": False}
    assert outcome(run=fail, fault="its own", sign="HTTP 404") == {**told, "fault": ""}
    assert outcome(run=fail, fault="its own", sign="gone") == {**told, "fault": "its own"}


def test_what_never_comes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tell, "CHECK_SECONDS", 0.01)
    told = outcome(run=lambda: asyncio.run(asyncio.Event().wait()))
    assert not told["fine"]
    assert str(told["result"]).startswith("TimeoutError: nothing came")


@pytest.mark.parametrize("text", ["", " ".join(WORDS[:12]), f"{tell.SAID} {tell.SAID}"])
def test_a_transcript_that_lacks_or_repeats_words_is_found(text: str) -> None:
    assert tell.heard(tell.SAID) == "24 of 24 words"
    with pytest.raises(AssertionError, match="of 24 words"):
        tell.heard(text)


@pytest.mark.parametrize(("pcm", "why"), [(b"\xff\x7f" * 8000, "1.0 s of audio"), (bytes(2 * 24000), "silence")])
def test_audio_that_cannot_be_the_text_is_found(pcm: bytes, why: str) -> None:
    assert tell.spoken(b"\xff\x7f" * 24000, 8000) == "3.0 s of speech"
    with pytest.raises(AssertionError, match=why):
        tell.spoken(pcm, 8000)


def test_the_scripts_are_there() -> None:
    for client in peers.CLIENTS:
        assert (Path(peers.__file__).parent / client.script).is_file()
