"""Audio to transcribe, the command as a user starts it, and a server with a recogniser that needs no model."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile

from smallest_proto.config import TranscriptionConfig
from smallest_proto.reading import Word
from smallest_proto.server.recogniser import CodedRecogniser, Heard, PlainRecogniser, RecogniserFactory
from smallest_proto.server.synthesiser import CodedSynthesiser
from smallest_transports.local.server import LocalServer
from smallest_transports.local.threaded import serve_in_thread

from .stage import OnTerminal, RunServer, SilentServer, StartCommand, WriteAudio


@pytest.fixture
def run() -> Callable[[Callable[[], Coroutine[Any, Any, None]]], None]:
    """The command runs on asyncio alone."""
    return lambda test: asyncio.run(test())


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
    """Runs a local server that hears ``words``, and speaks coded audio: ``run_server(key="…")`` gives its base URL."""
    with contextlib.ExitStack() as stack:

        def run(recogniser: RecogniserFactory | None = None, **options: Any) -> str:
            hears = recogniser or (lambda asked: PlainRecogniser(WORDS, asked))
            server = LocalServer(recogniser=hears, **{"synthesiser": CodedSynthesiser, **options})
            return stack.enter_context(serve_in_thread(server)).base_url

        yield run


@pytest.fixture
def environment() -> dict[str, str]:
    """This environment without a key."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SMALLEST_")}


@pytest.fixture
def start_command(environment: dict[str, str], ctrl_c: None) -> StartCommand:  # noqa: ARG001 - the process inherits it
    """Starts ``smallest-proto`` in a process of its own, with nothing on its standard input."""

    def start(
        *arguments: str, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE, **variables: str
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", "from smallest_transports.cli import main; main()", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env={**environment, **variables},
        )

    return start


@pytest.fixture
def on_terminal(start_command: StartCommand) -> OnTerminal:
    """Runs the command with a terminal for its standard error: its code, its standard output, what the terminal saw."""

    def run(*arguments: str, **variables: str) -> tuple[int, bytes, bytes]:
        terminal, inner = os.openpty()
        shown: list[bytes] = []

        def watch() -> None:
            # A terminal whose other end is closed reads as an error, and as an end of file on some systems.
            with contextlib.suppress(OSError), open(terminal, "rb", buffering=0) as screen:
                while data := screen.read(4096):
                    shown.append(data)

        with start_command(*arguments, stderr=inner, TERM="xterm", COLUMNS="200", **variables) as process:
            os.close(inner)
            watching = threading.Thread(target=watch)  # neither of the two may fill up while the other is read
            watching.start()
            assert process.stdout is not None
            stdout = process.stdout.read()
            watching.join()
        return process.returncode, stdout, b"".join(shown)

    return run


class Loudspeaker(ModuleType):
    """Stands in for sounddevice: one that plays at once, that is ``broken``, or that is ``absent``."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *, broken: bool = False, absent: bool = False) -> None:
        super().__init__("sounddevice")
        self.broken, self.absent = broken, absent
        self.opened: dict[str, object] = {}
        self.played: list[bytes] = []
        self.done: list[str] = []
        self.at_work = threading.Event()
        self.takes_its_time: Callable[[], object] = bool

    def RawOutputStream(self, **options: object) -> Loudspeaker:
        if self.absent:
            raise self.PortAudioError("Error querying device -1")
        self.opened = options
        return self

    def start(self) -> None:
        self.done.append("start")

    def write(self, pcm: bytes) -> None:
        self.at_work.set()
        self.takes_its_time()
        if self.broken:
            raise self.PortAudioError("unplugged")
        self.played.append(pcm)

    def stop(self) -> None:
        self.done.append("stop")

    def abort(self) -> None:
        self.done.append("abort")

    def close(self) -> None:
        self.done.append("close")


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Loudspeaker]:
    """Plugs a ``Loudspeaker`` in: ``plug_in(broken=True)``."""

    def plugged_in(**options: bool) -> Loudspeaker:
        loudspeaker = Loudspeaker(**options)
        monkeypatch.setitem(sys.modules, "sounddevice", loudspeaker)
        return loudspeaker

    return plugged_in


@pytest.fixture
def silent_server() -> Iterator[SilentServer]:
    """The base URL of what takes one connection and says nothing; the event is set once something came."""
    came = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)  # a command that never comes fails its test, and hangs nothing

        def accept() -> None:
            connection, _ = listener.accept()
            connection.settimeout(60)
            with connection:
                while connection.recv(65536):
                    came.set()

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", came
        thread.join()


@pytest.fixture
def words_in() -> Callable[[bytes, int], list[str]]:
    """The words in coded audio of so many Hz."""

    def read(pcm: bytes, rate: int) -> list[str]:
        recogniser = CodedRecogniser(TranscriptionConfig(sample_rate=rate))
        heard = [item for item in (*recogniser.hear(pcm), *recogniser.finalize()) if isinstance(item, Heard)]
        return [word.text for item in heard if item.final for word in item.words]

    return read
