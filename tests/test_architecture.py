"""``docs/architecture.md`` is true: what it names exists, and the driver that it shows hears every word."""

from __future__ import annotations

import ast
import inspect
import re
import runpy
from pathlib import Path
from typing import Any, get_args

import pytest

import smallest_proto as sp
from smallest_proto.commands import ExchangeCommand
from smallest_proto.http.exchange import HttpExchange
from smallest_proto.server.recogniser import coded_speech
from smallest_transports.testing.certificates import Certificates
from smallest_transports.testing.servers import local_server

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
OWN_DRIVER = ROOT / "examples" / "own_driver.py"

SPEECH = coded_speech([*range(1, 9), 0.8, *range(9, 17), 1.0])
FAST = sp.Timeouts(message_interval=0)
AT_ONCE = sp.RetryPolicy(first_delay=0)


# --- what the page says ---


def missing_files(page: str) -> list[str]:
    """The files and folders that a page names and that do not exist; their paths begin at the root."""
    prose = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    named = re.findall(r"`([\w.-]+(?:/[\w.-]+)*(?:/|\.(?:py|md|toml)))`", prose)
    linked = [f"docs/{path}" for path in re.findall(r"\]\(([\w./-]+)[)#]", prose)]
    return [path for path in (*named, *linked) if not (ROOT / path).exists()]


def test_each_file_that_is_named_exists() -> None:
    assert missing_files(PAGE) == []
    assert len(re.findall(r"`[\w/]+\.py`", PAGE)) > 30
    wrong = "see `smallest_proto/no.py`, `smallest_proto/link.py`, `no/` and [there](no.md)"
    assert missing_files(wrong) == ["smallest_proto/no.py", "no/", "docs/no.md"]


def missing_steps(page: str) -> list[str]:
    """What a table finds in a file that does not define it: ``| what | `file.py` | `Class.method` | ... |``."""
    missing = []
    for path, names in re.findall(r"^\| [^|`]+ \| `([\w/.]+\.py)` \| (.+?) \|", page, re.MULTILINE):
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        defined = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        }
        wanted = [part for name in re.findall(r"`([\w.]+)`", names) for part in name.split(".")]
        missing += [f"{path}: {part}" for part in wanted or ["nothing"] if part not in defined]
    return missing


def test_each_step_of_a_walk_is_where_it_says() -> None:
    assert missing_steps(PAGE) == []
    assert len(re.findall(r"^\| \d+ \| `", PAGE, re.MULTILINE)) > 20
    wrong = "| 1 | `smallest_proto/link.py` | `Link.take` | x |\n| 2 | `smallest_proto/link.py` | `Link.no` | x |\n"
    assert missing_steps(wrong) == ["smallest_proto/link.py: no"]


def test_each_command_and_each_input_is_told_of() -> None:
    commands = {command.__name__ for command in get_args(sp.Command)}
    commands |= {command.__name__ for command in get_args(ExchangeCommand)}
    sessions = (sp.TranscriptionSession, sp.SynthesisSession, HttpExchange)
    inputs = {
        name
        for session in sessions
        for name, method in inspect.getmembers(session, inspect.isfunction)
        if not name.startswith("_") and "now" in inspect.signature(method).parameters
    }
    told = set(re.findall(r"^\| `(\w+)[`(]", PAGE, re.MULTILINE))
    assert len(commands) == 8
    assert {"start", "write_done", "handle_timer", "response_started"} <= inputs
    assert (commands | inputs) - told == set()


def test_a_word_of_the_glossary_has_one_meaning() -> None:
    words = re.findall(r"^- \*\*([^*]+)\*\*", PAGE, re.MULTILINE)
    assert len(words) > 25
    assert len({*words}) == len(words)


def test_the_page_shows_the_driver_as_it_is() -> None:
    assert f"```python\n{OWN_DRIVER.read_text('utf-8')}```" in PAGE


# --- the driver ---


def transcribe(url: str, tmp_path: Path) -> list[Any]:
    """The events of ``SPEECH``, which is read from a file."""
    (tmp_path / "speech.raw").write_bytes(SPEECH.pcm)
    endpoint = sp.Endpoint(api_key="key", base_url=url)
    session = sp.TranscriptionSession(sp.TranscriptionConfig(), endpoint, timeouts=FAST, retry=AT_ONCE)
    with (tmp_path / "speech.raw").open("rb", buffering=0) as audio:
        return [*runpy.run_path(str(OWN_DRIVER))["transcribe"](session, audio.fileno())]


def words_of(events: list[Any]) -> str:
    return " ".join(filter(None, (event.text.strip() for event in events if isinstance(event, sp.FinalTranscript))))


def count(events: list[Any], kind: type) -> int:
    return sum(isinstance(event, kind) for event in events)


@pytest.mark.parametrize(
    ("faults", "opened", "lost"),
    [((), 1, 0), (("drop@1.5",), 2, 1), (("close:1011@2",), 2, 1), (("refuse:500",), 1, 1)],
    ids=["healthy", "dropped", "closed", "refused"],
)
def test_every_word_is_there(faults: tuple[str, ...], opened: int, lost: int, tmp_path: Path) -> None:
    with local_server(*faults) as url:
        events = transcribe(url, tmp_path)
    assert words_of(events) == SPEECH.text
    assert (count(events, sp.LinkOpened), count(events, sp.LinkLost)) == (opened, lost)
    assert events[-1] == sp.SessionEnded(reason=sp.EndReason.COMPLETED)


def test_every_word_is_there_over_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, smallest_certificates: Certificates
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(smallest_certificates.authority(tmp_path)))
    with local_server("drop@1.5", tls=smallest_certificates.server()) as url:
        events = transcribe(url, tmp_path)
    assert words_of(events) == SPEECH.text
    assert count(events, sp.LinkLost) == 1


@pytest.mark.parametrize("told", [True, False])
def test_a_driver_that_never_tells_of_writing_loses_its_link_after_5_s(told: bool) -> None:
    session = sp.TranscriptionSession(sp.TranscriptionConfig(), sp.Endpoint(api_key="key"))
    session.start(0.0)
    session.link_opened(1, 0.0)
    session.send_audio(bytes(3200), 0.0)
    if told:
        session.write_done(1, 0.1)
    outputs = []
    for now in (4.9, 5.1):
        session.handle_timer(now)
        outputs.append([*iter(session.poll_output, None)])
    assert not count(outputs[0], sp.LinkLost)
    assert count(outputs[1], sp.LinkLost) == (not told)
