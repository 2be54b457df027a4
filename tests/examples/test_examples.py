"""Every example runs as its own text says, against the local server; what it prints is looked at."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from smallest_proto.reading import Word
from smallest_proto.server.recogniser import CodedRecogniser, PlainRecogniser, coded_speech
from smallest_proto.server.synthesiser import CodedSynthesiser
from smallest_proto.wav import to_wav
from smallest_transports.local.server import LocalServer
from smallest_transports.testing.servers import in_thread

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DEVICES = Path(__file__).with_name("devices")
SPEECH = coded_speech([1, 2, 3, 1.0, 4, 5, 1.0])
FIRST, SECOND = "w1 w2 w3", "w4 w5"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the speech that the examples ask for, to run in."""
    (tmp_path / "speech.wav").write_bytes(to_wav(SPEECH.pcm, "linear16", 16000))
    (tmp_path / "speech.raw").write_bytes(SPEECH.pcm)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextmanager
def service(monkeypatch: pytest.MonkeyPatch, *faults: str, **options: Any) -> Iterator[None]:
    made = {"recogniser": CodedRecogniser, "synthesiser": CodedSynthesiser, **options}
    made = {name: option for name, option in made.items() if option is not None}  # None: the real engines
    with in_thread(LocalServer(faults=faults, **made)) as server:
        monkeypatch.setenv("SMALLEST_BASE_URL", server.base_url)
        yield
    assert server.faults_left == ()


def run(name: str, *arguments: str) -> str:
    """What an example prints; it must end well, and complain of nothing."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
    return done(command)


def done(command: list[str]) -> str:
    environment = {**os.environ, "PYTHONPATH": str(DEVICES)}
    ended = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout.decode()


def load(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / name))


def test_every_example_is_run() -> None:
    tests = Path(__file__).read_text("utf-8") + (EXAMPLES.parent / "tests" / "test_architecture.py").read_text("utf-8")
    assert [path.name for path in EXAMPLES.iterdir() if path.is_file() and path.name not in tests] == []


def test_every_example_is_shown() -> None:
    pages = "".join(page.read_text("utf-8") for page in (EXAMPLES.parent / "docs").rglob("*.md"))
    shown = {path.name for path in EXAMPLES.iterdir() if f"examples/{path.name}" in pages}
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} - shown == set()


@pytest.mark.parametrize("faults", [(), ("drop@1",)], ids=["healthy", "dropped"])
def test_live_captions(monkeypatch: pytest.MonkeyPatch, faults: tuple[str, ...]) -> None:
    with service(monkeypatch, *faults):
        lines = run("live_captions.py").split("\n")
    shown = [line.rsplit("\033[K", 1)[-1] for line in lines]
    assert shown == [FIRST, SECOND, ""]


@pytest.mark.parametrize(("seconds", "text"), [("20", True), ("0", False)])
def test_trio_timeout(monkeypatch: pytest.MonkeyPatch, seconds: str, text: bool) -> None:
    with service(monkeypatch):
        said = run("trio_timeout.py", "speech.wav", seconds)
    assert (FIRST in said, "not done after 0 s" in said) == (text, not text)
    assert said.endswith("voices: the client goes on\n")


def test_many_files(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{n}.wav" for n in range(6)]
    for name in names:
        Path(name).write_bytes(Path("speech.wav").read_bytes())
    with service(monkeypatch, max_files=1):
        rows = [line.split("\t") for line in run("many_files.py", *names, "nowhere.wav").splitlines()]
    assert rows[:-1] == [[name, SPEECH.text] for name in names]
    assert rows[-1][0] == "nowhere.wav"
    assert rows[-1][1].startswith("failed:")


def test_opentelemetry_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    with service(monkeypatch, "drop@1"):
        lines = [line.split("\t") for line in run("opentelemetry_hook.py", "speech.wav").splitlines()]
    counts = {(name, labels): value for name, labels, value in lines}
    assert counts["stt.words", ""] == str(len(SPEECH.text.split()))
    assert counts["stt.links", "why=done"] == "1"
    assert sum(int(value) for (name, _), value in counts.items() if name == "stt.links") == 2
    assert counts["stt.link.opening", ""].endswith("s in 2")
    assert "stt.final.latency" in {name for name, _ in counts}


def test_barge_in(monkeypatch: pytest.MonkeyPatch) -> None:
    with service(monkeypatch):
        lines = run("barge_in.py").splitlines()
    heard, came, never, done = (line.partition(": ")[2] or line for line in lines)
    assert heard == "We are open from nine to"
    assert came.startswith(heard)
    assert f"{came} {never}" == load("barge_in.py")["ANSWER"]
    assert done == "segment 1 is done"


def test_browser_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    from starlette.testclient import TestClient

    with service(monkeypatch, "drop@1"):
        browser = TestClient(load("browser_bridge.py")["app"])
        assert "getUserMedia" in browser.get("/").text
        with browser.websocket_connect("/captions") as socket:
            for at in range(0, len(SPEECH.pcm), 1600):
                socket.send_bytes(SPEECH.pcm[at : at + 1600])
            socket.send_bytes(b"")
            told = []
            while not told or told[-1] != {"text": SECOND, "final": True}:
                told.append(socket.receive_json())
            assert socket.receive()["type"] == "websocket.close"
    assert [one["text"] for one in told if one["final"]] == [FIRST, SECOND]


async def test_twilio_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [Word(text=text, start=0.3 * n, end=0.3 * n + 0.2) for n, text in enumerate(("Hello", "there."), 1)]
    silence = base64.b64encode(b"\xff" * 160).decode()
    with service(monkeypatch, recogniser=lambda options: PlainRecogniser(words, options)):
        site = await running(load("twilio_stream.py")["application"]())
        port = site._server.sockets[0].getsockname()[1]
        told: list[dict[str, Any]] = []
        async with aiohttp.ClientSession() as http, http.ws_connect(f"http://127.0.0.1:{port}/media") as twilio:
            await twilio.send_json({"event": "connected"})
            await twilio.send_json({"event": "start", "start": {"streamSid": "MZ1"}})
            for _ in range(150):  # 3 s
                await twilio.send_json({"event": "media", "media": {"payload": silence}})
            await twilio.send_json({"event": "stop"})
            async for message in twilio:
                told.append(message.json())
        await site._runner.cleanup()
    assert {one["streamSid"] for one in told} == {"MZ1"}
    audio = b"".join(base64.b64decode(one["media"]["payload"]) for one in told if one["event"] == "media")
    (speech,) = CodedSynthesiser().speak("You said: Hello there.", sample_rate=8000)
    assert len(audio) == round(8000 * speech.seconds)


async def running(app: web.Application) -> Any:
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return site


def test_cluster_files(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{n}.wav" for n in range(5)]
    for name in names:
        Path(name).write_bytes(Path("speech.wav").read_bytes())
    Path("broken.wav").write_bytes(b"")
    with service(monkeypatch):
        done([sys.executable, str(EXAMPLES / "cluster_files.py"), "table.csv", *names, "broken.wav"])
    with open("table.csv", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert {rows[name]["text"] for name in names} == {SPEECH.text}
    assert "is empty" in rows["broken.wav"]["error"] or "no audio" in rows["broken.wav"]["error"]


def test_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = json.loads((EXAMPLES / "notebook.ipynb").read_text("utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert all(not cell.get("outputs") for cell in cells)
    with service(monkeypatch):
        said = done([sys.executable, "-W", "error", "-c", "\n".join(code)])
    assert said.startswith(f"{SPEECH.text}\n")
    assert f"  {SECOND}\n" in said
    assert " --> " in said
    assert Path("hello.wav").stat().st_size > 1000


@pytest.mark.parametrize("plugin", ["smallest_proto", "smallestai"])
async def test_livekit_agent(monkeypatch: pytest.MonkeyPatch, plugin: str) -> None:
    from livekit.agents import Agent

    from tests.livekit_plugin.test_agent_session import Caller, Loudspeaker

    monkeypatch.setenv("PLUGIN", plugin)
    with service(monkeypatch):
        session = load("livekit_agent.py")["session"]()
        loudspeaker = Loudspeaker()
        session.input.audio, session.output.audio = Caller(SPEECH.pcm + bytes(64000)), loudspeaker
        async with aiohttp.ClientSession() as http:
            with patched_http(http):
                await session.start(Agent(instructions="Be brief."))
                await loudspeaker.played.wait()
                await session.aclose()
    said = [item.text_content for item in session.history.items if item.type == "message" and item.role == "user"]
    assert FIRST in said[0]
    assert sum(frame.duration for frame in loudspeaker.frames) > 0.5


@contextmanager
def patched_http(http: aiohttp.ClientSession) -> Iterator[None]:
    """The session that a job gives its plugins, which there is none of here."""
    from livekit.agents.utils import http_context

    token = http_context._ContextVar.set(lambda: http)
    try:
        yield
    finally:
        http_context._ContextVar.reset(token)


def test_test_without_models() -> None:
    said = done(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLES / "test_without_models.py")]
    )
    assert "3 passed" in said


# --- the tutorial ---

TUTORIAL = (EXAMPLES.parent / "docs" / "tutorial.md").read_text("utf-8")
QUESTIONS = "Hello. Are you open on Sundays? And what does a ticket cost?"


def test_the_tutorial(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its steps, with the real engines: the caller is spoken, heard and answered, over a bad network too."""
    assert QUESTIONS in TUTORIAL
    programs = dict(re.findall(r'```python title="([\w.]+)"\n(.*?)```', TUTORIAL, re.DOTALL))
    engines = {"recogniser": None, "synthesiser": None}
    with service(monkeypatch, **engines):
        url = os.environ["SMALLEST_BASE_URL"]
        told = [sys.executable, "-m", "smallest_proto", "speak", QUESTIONS, "-o", "speech.wav"]
        done([*told, "--base-url", url, "--api-key", "any"])
        heard = done([sys.executable, "-c", programs["hear.py"].replace("http://127.0.0.1:8765", url)])
        calm = done([sys.executable, "-c", programs["agent.py"].replace("http://127.0.0.1:8765", url)])
    assert re.search(r"^\d\.\d s: ", heard, re.MULTILINE)
    assert "agent:  We are closed on Sundays." in calm
    assert "agent:  A ticket is twelve euros." in calm
    assert Path("answer-1.wav").stat().st_size > 10_000
    with service(monkeypatch, "drop@1", "refuse:503", **engines):
        url = os.environ["SMALLEST_BASE_URL"]
        stormy = done([sys.executable, "-c", programs["agent.py"].replace("http://127.0.0.1:8765", url)])
    assert callers_words(stormy) == callers_words(calm)


def callers_words(printed: str) -> list[str]:
    lines = (line.removeprefix("caller: ") for line in printed.splitlines() if line.startswith("caller: "))
    return re.findall(r"\w+", " ".join(lines).lower())
