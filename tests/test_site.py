"""The documentation can be built, shows every public name, and says what is true."""

from __future__ import annotations

import ast
import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import smallest_proto

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
# What the core names at its front door and no reader looks up by name.
NOT_SHOWN = {"__version__"}


def text_of(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def build(config: Path, to: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(to)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    done = build(ROOT / "mkdocs.yml", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    made = {page.relative_to(tmp_path).with_suffix(".md") for page in tmp_path.rglob("*.html")}
    assert {page.relative_to(DOCS) for page in PAGES} <= made
    # A page of an example shows the program, and not the line that fetches it.
    shows = {
        page: example
        for page in PAGES
        for example in re.findall(r'^-+8<-+ "(.+)"$', page.read_text("utf-8"), re.MULTILINE)
    }
    assert len(shows) == sum("--8" in page.read_text("utf-8") for page in PAGES) >= 8
    for page, example in shows.items():
        site = (tmp_path / page.relative_to(DOCS)).with_suffix(".html").read_text("utf-8")
        text = html.unescape(re.sub(r"<[^>]+>", "", site))
        assert (ROOT / example).read_text("utf-8").strip() in text, page


def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Home\n\n[there](nowhere.md)\n", "utf-8")
    (tmp_path / "mkdocs.yml").write_text("site_name: bad\n", "utf-8")
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert "nowhere.md" in done.stdout + done.stderr


def shown() -> set[str]:
    """What the reference shows, by its full name."""
    return {name for page in PAGES for name in re.findall(r"^::: ([\w.]+)$", page.read_text("utf-8"), re.MULTILINE)}


def test_every_public_name_is_in_the_reference() -> None:
    assert {f"smallest_proto.{name}" for name in smallest_proto.__all__ if name not in NOT_SHOWN} - shown() == set()


# --- troubleshooting ---


def texts_of_the_code() -> Iterator[str]:
    """Every text that the code holds; what is put into one is a blank character in it."""
    for folder in ("smallest_proto", "transports", "livekit_plugin"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value
                elif isinstance(node, ast.JoinedStr):
                    yield "\0".join(str(part.value) if isinstance(part, ast.Constant) else "" for part in node.values)


def unheard(page: str, texts: list[str]) -> list[str]:
    """The messages in the first column of the page's tables that no text of the code is like."""
    cells = re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE)
    messages = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    parts = [part.strip() for message in messages for part in message.split("…")]
    known = [*texts, *vars(smallest_proto), *smallest_proto.FinalTranscript.__struct_fields__]
    return [part for part in parts if part and not any(part in text for text in known)]


def test_every_message_that_is_explained_is_one_of_ours() -> None:
    texts = [*texts_of_the_code(), *(f"HTTP {status}" for status in range(400, 600))]
    assert unheard(text_of("troubleshooting.md"), texts) == []
    assert unheard("| `no API key` | x |\n| `the … is green` | x |\n", texts) == ["is green"]


# --- samples ---


@pytest.mark.parametrize("page", ["explanation/sans-io.md"])
def test_a_sample_that_needs_no_server_runs(page: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", text_of(page), re.DOTALL)
    assert blocks
    for block in blocks:
        done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        said = [line.split("# ", 1)[1].split(":")[0].split(" ")[0] for line in block.splitlines() if "print(" in line]
        printed = done.stdout.splitlines()
        assert [line.split("(")[0] for line in printed[:-1]] == said[:-1]
        assert float(printed[-1]) > 0.3
