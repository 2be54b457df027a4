"""Audio to transcribe, the command as a user starts it, and a server with a recogniser that needs no model."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from smallest_proto.messages import Word
from smallest_proto.recognition import PlainRecogniser, RecogniserFactory
from smallest_transports.local.server import LocalServer, serve_in_thread

WriteAudio = Callable[..., Path]
RunServer = Callable[..., str]
StartCommand = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def write_audio(tmp_path: Path) -> WriteAudio:
    """Writes a tone: ``write_audio("a.flac", seconds=1.0, rate=44100, channels=2)``."""

    def write(name: str, *, seconds: float = 1.0, rate: int = 16000, channels: int = 1, **options: str) -> Path:
        path = tmp_path / name
        times = np.arange(round(seconds * rate)) / rate
        tone = 0.5 * np.sin(2 * np.pi * 440 * times)
        soundfile.write(path, np.repeat(tone[:, None], channels, axis=1), rate, **options)
        return path

    return write


WORDS = (
    Word(text="It", start=0.1, end=0.2, confidence=0.9),
    Word(text="was", start=0.2, end=0.4, confidence=0.9),
    Word(text="the", start=0.4, end=0.5, confidence=0.9),
    Word(text="best.", start=0.5, end=0.9, confidence=0.9),
)


@pytest.fixture
def words() -> tuple[Word, ...]:
    """What the servers of these tests hear in any audio of a second."""
    return WORDS


@pytest.fixture
def run_server() -> Iterator[RunServer]:
    """Runs a local server that hears ``words``, in a thread: ``run_server(key="…")`` gives its base URL."""
    with contextlib.ExitStack() as stack:

        def run(recogniser: RecogniserFactory | None = None, **options: Any) -> str:
            server = LocalServer(recogniser=recogniser or (lambda asked: PlainRecogniser(WORDS, asked)), **options)
            return stack.enter_context(serve_in_thread(server)).base_url

        yield run


@pytest.fixture
def environment() -> dict[str, str]:
    """This environment without a key."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SMALLEST_")}


@pytest.fixture
def start_command(environment: dict[str, str]) -> StartCommand:
    """Starts ``smallest-proto`` in a process of its own, with nothing on its standard input."""

    def start(*arguments: str, stderr: int = subprocess.PIPE, **variables: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", "from smallest_transports.cli import main; main()", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**environment, **variables},
        )

    return start
