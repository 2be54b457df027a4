"""Text becomes files of speech in every format, of any length, and is played; and all that can go wrong on the way."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import tempfile
import threading
import wave
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from smallest_proto.config import RetryPolicy
from smallest_proto.http.voices import Voice
from smallest_proto.server.synthesiser import CodedSynthesiser, SpokenPiece
from smallest_transports.cli import connecting
from smallest_transports.cli.app import commands
from smallest_transports.cli.problems import KEY_VARIABLE
from smallest_transports.cli.speak import table

from .stage import KEY, OnTerminal, PlugIn, RunServer, SilentServer, StartCommand, WordsIn

TEXT = "w1 w2 w3."
WORDS = ["w1", "w2", "w3"]
SECRET = "the treasure"
LONG = " ".join(f"w{number}{'.' if number % 5 == 0 else ''}" for number in range(1, 301))


def speak(*arguments: object, key: str | None = KEY, input: bytes | None = None) -> Result:
    typed = ["speak", *map(str, arguments)]
    return CliRunner().invoke(commands, typed, env={KEY_VARIABLE: key}, input=input, prog_name="smallest-proto")


def only_line(result: Result) -> str:
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stdout_bytes == b""
    return result.stderr


def seconds_of(text: str, rate: int) -> float:
    (speech,) = CodedSynthesiser().speak(text, sample_rate=rate)
    return speech.seconds


class Notes:
    """A maker of synthesisers that writes down the texts which they are given; one that holds ``broken`` fails."""

    def __init__(self, broken: str = "\0") -> None:
        self.texts: list[str] = []
        self._broken = broken

    def __call__(self) -> Notes:
        return self

    def speak(self, text: str, *, sample_rate: int, speed: float = 1.0) -> Iterator[SpokenPiece]:
        self.texts.append(text)
        if self._broken in text:
            raise ZeroDivisionError(text)
        return CodedSynthesiser().speak(text, sample_rate=sample_rate, speed=speed)


class TestFiles:
    def test_wav(self, run_server: RunServer, tmp_path: Path, words_in: WordsIn) -> None:
        result = speak(TEXT, "-o", tmp_path / "out.wav", "--base-url", run_server())
        assert (result.exit_code, result.output) == (0, "")
        with wave.open(str(tmp_path / "out.wav")) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24000, 1, 2)
            assert words_in(file.readframes(file.getnframes()), 24000) == WORDS
        assert [path.name for path in tmp_path.iterdir()] == ["out.wav"]

    @pytest.mark.parametrize("suffix", [".pcm", ".RAW"])
    def test_without_a_header(self, run_server: RunServer, tmp_path: Path, words_in: WordsIn, suffix: str) -> None:
        path = tmp_path / f"out{suffix}"
        assert speak(TEXT, "--rate", 16000, "-o", path, "--base-url", run_server()).exit_code == 0
        assert words_in(path.read_bytes(), 16000) == WORDS

    def test_mp3(self, run_server: RunServer, tmp_path: Path) -> None:
        path = tmp_path / "out.mp3"
        assert speak(TEXT, "--rate", 44100, "-o", path, "--base-url", run_server()).exit_code == 0
        told = soundfile.info(path)
        assert (told.format, told.samplerate, told.channels) == ("MP3", 44100, 1)
        assert told.duration == pytest.approx(seconds_of(TEXT, 44100), abs=0.1)

    @pytest.mark.parametrize(("suffix", "subtype"), [(".ulaw", "ULAW"), (".al", "ALAW")])
    def test_telephone(self, run_server: RunServer, tmp_path: Path, suffix: str, subtype: str) -> None:
        path = tmp_path / f"out{suffix}"
        assert speak(TEXT, "-o", path, "--base-url", run_server()).exit_code == 0
        samples, _ = soundfile.read(path, samplerate=8000, channels=1, format="RAW", subtype=subtype, dtype="int16")
        (speech,) = CodedSynthesiser().speak(TEXT, sample_rate=8000)
        wanted = np.frombuffer(speech.pcm, "<i2").astype(float)
        assert len(samples) == len(wanted)
        assert np.max(np.abs(samples - wanted) - 0.05 * np.abs(wanted)) < 32

    @pytest.mark.parametrize("format", [None, "wav", "pcm", "mp3"])
    def test_standard_output(self, run_server: RunServer, format: str | None, words_in: WordsIn) -> None:
        asked = ("--format", format) if format else ()
        result = speak(TEXT, "-o", "-", *asked, "--base-url", run_server())
        assert (result.exit_code, result.stderr) == (0, "")
        if format == "pcm":
            assert words_in(result.stdout_bytes, 24000) == WORDS
        else:
            told = soundfile.info(io.BytesIO(result.stdout_bytes))
            assert told.format == ("MP3" if format == "mp3" else "WAV")
            assert told.duration == pytest.approx(seconds_of(TEXT, 24000), abs=0.1)

    def test_a_name_that_says_nothing_needs_a_format(self, run_server: RunServer, tmp_path: Path) -> None:
        path = tmp_path / "speech"
        assert speak(TEXT, "-f", "wav", "-o", path, "--base-url", run_server()).exit_code == 0
        assert soundfile.info(path).format == "WAV"

    def test_the_text_comes_through_a_pipe(self, run_server: RunServer, tmp_path: Path, words_in: WordsIn) -> None:
        path = tmp_path / "out.pcm"
        result = speak("-", "-o", path, "--base-url", run_server(), input=b"\xef\xbb\xbfw1 w2\nw3.\n")
        assert result.exit_code == 0, result.stderr
        assert words_in(path.read_bytes(), 24000) == WORDS

    def test_a_long_text_becomes_one_file(self, run_server: RunServer, tmp_path: Path, words_in: WordsIn) -> None:
        notes = Notes()
        path = tmp_path / "out.wav"
        assert speak(LONG, "-o", path, "--base-url", run_server(synthesiser=notes)).exit_code == 0
        with wave.open(str(path)) as file:
            assert words_in(file.readframes(file.getnframes()), 24000) == LONG.replace(".", "").split()
        assert len(notes.texts) > 3
        assert all(text.endswith(". ") for text in notes.texts[:-1])

    def test_what_was_asked_for_is_asked_of_the_service(self, run_server: RunServer, tmp_path: Path) -> None:
        quick, slow = tmp_path / "quick.pcm", tmp_path / "slow.pcm"
        url = run_server()
        options = ("--voice", "meher", "--model", "lightning-v3.1-pro", "--language", "en", "--base-url", url)
        assert speak(TEXT, "--speed", 2, "-o", quick, *options).exit_code == 0
        assert speak(TEXT, "--speed", 0.5, "-o", slow, *options).exit_code == 0
        assert len(slow.read_bytes()) > len(quick.read_bytes())


class TestPlay:
    def test_it_is_heard(self, run_server: RunServer, plug_in: PlugIn, words_in: WordsIn) -> None:
        loudspeaker = plug_in()
        result = speak(LONG, "--play", "--base-url", run_server())
        assert (result.exit_code, result.output) == (0, "")
        assert words_in(b"".join(loudspeaker.played), 24000) == LONG.replace(".", "").split()
        assert loudspeaker.done == ["start", "stop", "close"]

    def test_and_kept(self, run_server: RunServer, plug_in: PlugIn, tmp_path: Path) -> None:
        loudspeaker = plug_in()
        path = tmp_path / "out.pcm"
        assert speak(TEXT, "--play", "-o", path, "--base-url", run_server()).exit_code == 0
        assert path.read_bytes() == b"".join(loudspeaker.played)

    def test_without_a_loudspeaker_nothing_is_sent(self, plug_in: PlugIn, tmp_path: Path) -> None:
        plug_in(absent=True)
        result = speak(TEXT, "--play", "-o", tmp_path / "out.wav", "--base-url", "http://127.0.0.1:9")
        assert result.exit_code == 1
        assert "no sound device" in only_line(result)
        assert list(tmp_path.iterdir()) == []


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ([""], "the text is empty"),
            (["..."], "nothing that can be said"),
            (["caf\udce9"], "no UTF-8"),
            ([TEXT, "--speed", "3"], "speed must be a number from 0.5 to 2"),
            ([TEXT, "--voice", "?"], "the id of a voice"),
            ([TEXT, "--rate", "11025"], "one of 8000, 16000, 24000, 44100 Hz"),
            ([TEXT, "--language", "xx"], "has no language 'xx': use one of"),
            ([TEXT, "--model", "echo"], "one of lightning_v3.1, lightning_v3.1_pro"),
            ([TEXT, "--model", "lightning-v2"], "use lightning_v3.1"),
            ([TEXT, "-f", "mp3"], "its name says wav, and --format says mp3"),
        ],
    )
    def test_what_cannot_be_is_found_first(self, tmp_path: Path, arguments: list[str], said: str) -> None:
        result = speak(*arguments, "-o", tmp_path / "out.wav", "--base-url", "http://127.0.0.1:9")
        assert result.exit_code == 2
        assert said in only_line(result)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("output", "said"),
        [
            ("out.txt", ".txt is no format of speech: let it end in one of .wav, .pcm, .raw, .mp3"),
            ("out", "its name does not say what it is to hold"),
            ("", "is a directory: name a file in it"),
            ("none/out.wav", "does not exist: make it first"),
        ],
    )
    def test_so_is_what_cannot_be_written(self, tmp_path: Path, output: str, said: str) -> None:
        result = speak(TEXT, "-o", tmp_path / output, "--base-url", "http://127.0.0.1:9")
        assert result.exit_code == 2
        assert said in only_line(result)
        assert list(tmp_path.iterdir()) == []

    def test_an_unwritable_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # For the superuser every directory is writable: the system's answer is given here instead.
        monkeypatch.setattr(os, "access", lambda *_: False)
        result = speak(TEXT, "-o", tmp_path / "out.wav", "--base-url", "http://127.0.0.1:9")
        assert result.exit_code == 2
        assert "is not writable" in only_line(result)

    def test_a_format_that_cannot_be_made_here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(soundfile, "available_formats", dict)
        result = speak(TEXT, "-o", tmp_path / "out.mp3", "--base-url", "http://127.0.0.1:9")
        assert result.exit_code == 2
        assert "libsndfile makes no mp3" in only_line(result)

    def test_bytes_that_are_no_text(self, tmp_path: Path) -> None:
        result = speak("-", "-o", tmp_path / "out.wav", "--base-url", "http://127.0.0.1:9", input=b"caf\xe9")
        assert result.exit_code == 2
        assert "standard input is no UTF-8 text" in only_line(result)

    def test_a_voice_that_there_is_not(self, run_server: RunServer, tmp_path: Path) -> None:
        notes = Notes()
        url = run_server(synthesiser=notes)
        result = speak(SECRET, "--voice", "bogus", "-o", tmp_path / "out.wav", "--base-url", url)
        assert result.exit_code == 2
        assert "has no voice 'bogus': use one of aanya, aarush, " in only_line(result)
        assert notes.texts == []
        assert speak(TEXT, "--voice", "voice_mine", "-o", tmp_path / "out.wav", "--base-url", url).exit_code == 0

    @pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["plain", "debug"])
    def test_a_wrong_key(self, run_server: RunServer, tmp_path: Path, debug: list[str]) -> None:
        url = run_server(key="sk_the_right_one")
        result = speak(SECRET, "--voice", "sophia", "-o", tmp_path / "out.wav", "--base-url", url, *debug)
        assert result.exit_code == 1
        assert "check api_key (SMALLEST_API_KEY), or --api-key" in result.stderr
        assert "0123456789abcdef" not in result.output
        assert "the_right_one" not in result.output
        assert (SECRET in result.output, "Traceback" in result.output) == (False, bool(debug))

    def test_nobody_there(self, tmp_path: Path) -> None:
        with socket.socket() as taken:  # bound but not listening: nobody else gets the port
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/waves/v1"
            result = speak(SECRET, "-o", tmp_path / "out.wav", "--base-url", url)
        assert result.exit_code == 1
        assert "no connection to 127.0.0.1" in only_line(result)
        assert "--local needs none" in result.stderr

    def test_what_fails_in_the_middle_leaves_what_was_there(
        self, run_server: RunServer, tmp_path: Path, words_in: WordsIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connecting, "RETRY", RetryPolicy(max_retries=2, first_delay=0))
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "kept"))
        (tmp_path / "kept").mkdir()
        path = tmp_path / "new" / "out.wav"
        path.parent.mkdir()
        path.write_text("old")
        notes = Notes(broken="w150.")
        result = speak(LONG, "-o", path, "--base-url", run_server(synthesiser=notes))
        assert result.exit_code == 1
        *spoken, last = dict.fromkeys(notes.texts)
        assert "w150" not in only_line(result)
        assert path.read_text() == "old"
        assert list(path.parent.iterdir()) == [path]
        # It was tried again, and what was spoken before it is kept, each of it once.
        assert (len(spoken) > 1, notes.texts[len(spoken) :]) == (True, [last] * 3)
        (kept,) = (tmp_path / "kept").rglob("*.wav")
        assert str(kept) in result.stderr
        with wave.open(str(kept)) as file:
            pcm = file.readframes(file.getnframes())
            assert words_in(pcm, file.getframerate()) == "".join(spoken).replace(".", "").split()

    def test_a_terminal_shows_no_audio(self, start_command: StartCommand) -> None:
        terminal, inner = os.openpty()
        arguments = ("speak", TEXT, "-o", "-", "--base-url", "http://127.0.0.1:9")
        with start_command(*arguments, stdout=inner, **{KEY_VARIABLE: KEY}) as process:
            os.close(inner)
            _, stderr = process.communicate(timeout=30)
        os.close(terminal)
        assert process.returncode == 2
        assert stderr.startswith(b"Error: standard output is a terminal")


def test_ctrl_c_leaves_nothing_behind(start_command: StartCommand, silent_server: SilentServer, tmp_path: Path) -> None:
    url, came = silent_server
    process = start_command("speak", TEXT, "--base-url", url, "-o", str(tmp_path / "a.wav"), **{KEY_VARIABLE: KEY})
    assert came.wait(30)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout, stderr) == (130, b"", b"")
    assert list(tmp_path.iterdir()) == []


def test_a_bar_on_the_terminal_and_the_audio_alone_in_the_pipe(run_server: RunServer, on_terminal: OnTerminal) -> None:
    code, stdout, shown = on_terminal("speak", LONG, "-o", "-", "--base-url", run_server(), **{KEY_VARIABLE: KEY})
    assert code == 0, shown
    assert soundfile.info(io.BytesIO(stdout)).format == "WAV"
    assert b"speaking" in shown
    assert "━".encode() in shown


@contextlib.contextmanager
def server_without_a_list() -> Iterator[str]:
    """One that speaks, and knows no other request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'data: {"audio": "AAEAAQ==", "done": false}\n\ndata: {"done": true}\n\n'
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/waves/v1"
        server.shutdown()
        thread.join()


def test_a_server_that_lists_no_voices_can_speak_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "out.pcm"
    with server_without_a_list() as url:
        result = speak(TEXT, "--voice", "anybody", "-o", path, "--base-url", url)
    assert result.exit_code == 0, result.stderr
    assert path.read_bytes() == b"\0\1\0\1"


class TestVoices:
    def test_they_are_listed(self, run_server: RunServer) -> None:
        result = speak("--list-voices", "--base-url", run_server())
        assert (result.exit_code, result.stderr) == (0, "")
        head, *lines = result.stdout.splitlines()
        assert head.split() == ["VOICE", "NAME", "LANGUAGE", "GENDER", "ACCENT"]
        names = [line.split()[0] for line in lines]
        assert names == sorted(names)
        assert {"jordan", "magnus", "sophia"} < set(names)
        pro = speak("--list-voices", "--model", "lightning_v3.1_pro", "--base-url", run_server())
        assert [line.split()[0] for line in pro.stdout.splitlines()[1:]] == ["kaitlyn", "meher", "rhea"]

    def test_a_column_in_which_there_is_nothing_is_left_out(self) -> None:
        voices = [
            Voice(id="zoe", name="Zoe", languages=("english", "hindi")),
            Voice(id="al", name="Al\nan", gender="male"),
        ]
        assert table(voices).splitlines() == [
            "VOICE  NAME   LANGUAGE        GENDER",
            "al     Al an                  male",
            "zoe    Zoe    english, hindi",
        ]

    def test_that_there_are_none_is_said(self, run_server: RunServer) -> None:
        result = speak("--list-voices", "--model", "lightning-v9", "--base-url", run_server())
        assert result.exit_code == 1
        assert only_line(result) == "Error: no voices are listed for lightning-v9\n"


def test_real_speech_without_a_server_and_without_a_key(start_command: StartCommand, tmp_path: Path) -> None:
    path = tmp_path / "out.mp3"
    with start_command("speak", "Hello there, how are you?", "--local", "-o", str(path)) as process:
        stdout, stderr = process.communicate()
    assert (process.returncode, stdout, stderr) == (0, b"", b"")
    samples, rate = soundfile.read(path)
    assert 1 < len(samples) / rate < 4
    assert np.max(np.abs(samples)) > 0.1
