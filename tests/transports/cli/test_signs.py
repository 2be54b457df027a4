"""A terminal that lacks a sign, a disk that is full, Ctrl-C: nothing that was paid for is lost in the last step."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import soundfile
from click.testing import CliRunner

from smallest_proto.reading import Word
from smallest_proto.server.recogniser import PlainRecogniser, Recognised
from smallest_proto.server.synthesiser import CodedSynthesiser
from smallest_transports.cli import output
from smallest_transports.cli.app import commands
from smallest_transports.cli.output import write_file, write_out
from smallest_transports.cli.problems import KEY_VARIABLE, Problem, say

from .stage import KEY, RunServer, StartCommand, WriteAudio

SAID = "Zwölf – “café” 日本語 🎉 done…"
WORDS = tuple(Word(text=text, start=0.1 * at, end=0.1 * at + 0.1) for at, text in enumerate(SAID.split()))


def on_screen(start: StartCommand, *arguments: str, **variables: str) -> tuple[int, bytes]:
    """Runs the command with a terminal for all that it says: its code, and what the terminal saw."""
    terminal, inner = os.openpty()
    with start(*arguments, stdout=inner, stderr=inner, TERM="xterm", **variables) as process:
        os.close(inner)
        shown = b""
        with contextlib.suppress(OSError), open(terminal, "rb", buffering=0) as screen:
            while data := screen.read(4096):
                shown += data
    return process.returncode, shown


@pytest.mark.parametrize(
    ("encoding", "seen"),
    [
        ("cp1252", "Zwölf – “café” ??? ? done…"),
        ("latin-1", 'Zwölf - "café" ??? ? done...'),
        ("gbk", "Zw?lf – “café” 日本語 ? done…"),
        ("ascii", 'Zw?lf - "caf?" ??? ? done...'),
        ("utf-8", SAID),
    ],
)
def test_a_terminal_shows_what_it_can(
    encoding: str, seen: str, run_server: RunServer, write_audio: WriteAudio, start_command: StartCommand
) -> None:
    url = run_server(lambda asked: PlainRecogniser(WORDS, asked))
    arguments = ("transcribe", "--base-url", url, str(write_audio("a.wav")))
    code, shown = on_screen(start_command, *arguments, **{KEY_VARIABLE: KEY, "PYTHONIOENCODING": encoding})
    assert code == 0, shown
    assert seen in shown.decode(encoding)


def test_a_pipe_gets_utf_8_whatever_the_terminal_has(
    run_server: RunServer, write_audio: WriteAudio, start_command: StartCommand
) -> None:
    url = run_server(lambda asked: PlainRecogniser(WORDS, asked))
    arguments = ("transcribe", "--base-url", url, str(write_audio("a.wav")))
    with start_command(*arguments, **{KEY_VARIABLE: KEY, "PYTHONIOENCODING": "cp1252"}) as process:
        stdout, stderr = process.communicate()
    assert (process.returncode, stdout.decode(), stderr) == (0, f"{SAID}\n", b"")


def test_errors_and_names_are_shown_as_well(start_command: StartCommand, tmp_path: Path) -> None:
    for encoding in ("cp1252", "ascii"):
        name = str(tmp_path / "日本\udcff.wav")  # and a byte that is no UTF-8
        code, shown = on_screen(start_command, "transcribe", name, **{KEY_VARIABLE: KEY, "PYTHONIOENCODING": encoding})
        assert code == 1
        assert "???.wav: there is no such file" in " ".join(shown.decode(encoding).split())


KEPT = re.compile(r"; it is kept in (\S+)")


@pytest.mark.parametrize(("content", "name"), [("Grüße\n", "a.txt"), (b"RIFF", "a.wav")])
def test_what_cannot_be_written_there_is_kept_elsewhere(
    content: str | bytes, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "other").mkdir()
    monkeypatch.setattr(output.tempfile, "tempdir", str(tmp_path / "other"))
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(Problem, match=f"{name}: cannot be written: No space left on device; it is kept in") as caught:
        write_file(tmp_path / name, content)
    kept = KEPT.search(caught.value.message)
    assert kept is not None
    assert Path(kept[1]).name == name
    assert Path(kept[1]).read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert not (tmp_path / name).exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("content", ["Grüße\n", b"RIFF" * 9])
def test_a_full_standard_output_loses_nothing(
    content: str | bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output.tempfile, "tempdir", str(tmp_path))
    full = open("/dev/full", "w", encoding="utf-8")  # noqa: SIM115 - closed below, where it fails once more
    monkeypatch.setattr(sys, "stdout", full)
    with pytest.raises(Problem, match="standard output cannot be written: No space left") as caught:
        write_out(content)
    kept = KEPT.search(caught.value.message)
    assert kept is not None
    assert Path(kept[1]).read_bytes() == (content.encode() if isinstance(content, str) else content)
    with contextlib.suppress(OSError):
        full.close()


@pytest.mark.parametrize("content", ["Grüße\n", b"RIFF" * 9])
def test_a_closed_standard_output_loses_nothing(
    content: str | bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that is started without one (``>&-``, some services) has no ``sys.stdout``."""
    monkeypatch.setattr(output.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(Problem, match="standard output cannot be written: it is closed; it is kept in") as caught:
        write_out(content)
    kept = KEPT.search(caught.value.message)
    assert kept is not None
    assert Path(kept[1]).read_bytes() == (content.encode() if isinstance(content, str) else content)


def test_a_closed_standard_error_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    say("a line for nobody")
    write_out("the transcript\n")
    assert capsys.readouterr().out == "the transcript\n"


def test_where_nothing_can_be_kept_the_error_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output.tempfile, "tempdir", str(tmp_path / "nowhere"))
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(Problem, match=r"cannot be written: No space left on device$"):
        write_file(tmp_path / "a.txt", "x")


def test_speech_that_fails_after_a_part_of_it_keeps_that_part(
    run_server: RunServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output.tempfile, "tempdir", str(tmp_path))

    class Hoarse:
        def speak(self, text: str, *, sample_rate: int, speed: float = 1.0) -> Any:
            if "w299" in text:
                raise ZeroDivisionError
            yield from CodedSynthesiser().speak(text, sample_rate=sample_rate, speed=speed)

    long = " ".join(f"w{number}{'.' if number % 5 == 0 else ''}" for number in range(1, 301))
    target = tmp_path / "out.wav"
    result = CliRunner().invoke(
        commands,
        ["speak", long, "-o", str(target), "--base-url", run_server(synthesiser=Hoarse)],
        env={KEY_VARIABLE: KEY},
    )
    assert result.exit_code == 1
    assert not target.exists()
    assert "not all was spoken; it is kept in" in result.stderr
    kept = KEPT.search(result.stderr)
    assert kept is not None
    assert soundfile.info(kept[1]).duration > 60


def test_ctrl_c_keeps_the_transcripts_that_were_there(
    run_server: RunServer, write_audio: WriteAudio, start_command: StartCommand, tmp_path: Path
) -> None:
    """Of several files that were to go into one."""
    first_done, held = threading.Event(), threading.Event()

    class Slow:
        count = 0

        def __init__(self, asked: Any) -> None:
            self._inner = PlainRecogniser(WORDS, asked)
            Slow.count += 1
            self._number = Slow.count

        def hear(self, audio: bytes) -> Sequence[Recognised]:
            if self._number == 2:
                first_done.set()
                held.wait(30)
            return self._inner.hear(audio)

        def finalize(self) -> Sequence[Recognised]:
            return self._inner.finalize()

    (tmp_path / "kept").mkdir()
    paths = [str(write_audio(f"{name}.wav")) for name in "ab"]
    arguments = ("transcribe", "-j", "1", "-o", str(tmp_path / "out.txt"), "--base-url", run_server(Slow), *paths)
    process = start_command(*arguments, **{KEY_VARIABLE: KEY, "TMPDIR": str(tmp_path / "kept")})
    assert first_done.wait(30)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    held.set()
    assert process.returncode == 130
    kept = KEPT.search(stderr.decode())
    assert kept is not None, stderr
    assert Path(kept[1]).read_text() == f"==> {paths[0]} <==\n{SAID}\n"
    assert not (tmp_path / "out.txt").exists()
