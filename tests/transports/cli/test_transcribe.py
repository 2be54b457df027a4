"""Files become transcripts: over HTTP and live, in every format, and with everything that can go wrong on the way."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pysubs2
import pytest
import soundfile
import websockets.sync.server
from click.testing import CliRunner, Result

from smallest_proto.config import RetryPolicy, Timeouts
from smallest_proto.reading import Word
from smallest_proto.server.recogniser import PlainRecogniser, Recognised
from smallest_transports.cli import connecting
from smallest_transports.cli import transcribe as module
from smallest_transports.cli.app import commands
from smallest_transports.cli.measures import word_errors
from smallest_transports.cli.options import Service
from smallest_transports.cli.problems import KEY_VARIABLE
from smallest_transports.local.faults import read_fault
from smallest_transports.local.recordings import two_cities

from .stage import KEY, OnTerminal, RunServer, SilentServer, StartCommand, WriteAudio

HEARD = "It was the best."


def transcribe(*arguments: object, key: str | None = KEY, input: bytes | None = None) -> Result:
    typed = ["transcribe", *map(str, arguments)]
    return CliRunner().invoke(commands, typed, env={KEY_VARIABLE: key}, input=input, prog_name="smallest-proto")


def only_line(result: Result) -> str:
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


@pytest.mark.parametrize("live", [[], ["--live"]], ids=["http", "live"])
class TestFormats:
    def test_text(self, run_server: RunServer, write_audio: WriteAudio, live: list[str]) -> None:
        result = transcribe(*live, "--base-url", run_server(), write_audio("a.wav"))
        assert (result.exit_code, result.stdout, result.stderr) == (0, HEARD + "\n", "")

    def test_json(self, run_server: RunServer, write_audio: WriteAudio, live: list[str]) -> None:
        path = write_audio("a.flac", rate=44100, channels=2)
        result = transcribe(*live, "--format", "json", "--base-url", run_server(), path)
        assert result.exit_code == 0, result.stderr
        read = json.loads(result.stdout)
        assert (read["file"], read["text"], read["language"]) == (str(path), HEARD, "en")
        assert read["duration"] == pytest.approx(1.0, abs=0.01)
        assert [word["word"] for word in read["words"]] == HEARD.split()
        assert read["words"][3]["start"] == pytest.approx(0.5, abs=0.01)

    @pytest.mark.parametrize("format", ["srt", "vtt"])
    def test_subtitles(self, run_server: RunServer, write_audio: WriteAudio, live: list[str], format: str) -> None:
        result = transcribe(*live, "--format", format, "--base-url", run_server(), write_audio("a.ogg"))
        assert result.exit_code == 0, result.stderr
        (cue,) = pysubs2.SSAFile.from_string(result.stdout, format_=format)
        assert (cue.text, cue.start) == (HEARD, 100)

    def test_standard_input(self, run_server: RunServer, write_audio: WriteAudio, live: list[str]) -> None:
        audio = write_audio("a.wav").read_bytes()
        result = transcribe(*live, "--base-url", run_server(), "-", input=audio)
        assert (result.exit_code, result.stdout) == (0, HEARD + "\n")


def test_several_files_are_headed_and_in_order(run_server: RunServer, write_audio: WriteAudio) -> None:
    paths = [write_audio(f"{name}.wav", seconds=seconds) for name, seconds in (("c", 1.5), ("a", 1.0), ("b", 1.2))]
    url = run_server()
    result = transcribe("--base-url", url, *paths)
    assert result.stdout == "".join(f"==> {path} <==\n{HEARD}\n" for path in paths)
    result = transcribe("--format", "json", "--base-url", url, *paths)
    assert [json.loads(line)["file"] for line in result.stdout.splitlines()] == list(map(str, paths))


def test_one_failure_does_not_stop_the_others(run_server: RunServer, write_audio: WriteAudio, tmp_path: Path) -> None:
    good, text = write_audio("good.wav"), tmp_path / "text.wav"
    text.write_text("this is no audio, however long it may be " * 9)
    result = transcribe("--base-url", run_server(), tmp_path / "missing.wav", text, good, tmp_path)
    assert result.exit_code == 1
    assert result.stdout == f"==> {good} <==\n{HEARD}\n"
    missing, no_audio, directory = result.stderr.splitlines()
    assert missing == f"Error: {tmp_path / 'missing.wav'}: there is no such file"
    assert re.search(r"text\.wav: is no audio file that can be read: use WAV.* \(the service: HTTP 4\d\d\)", no_audio)
    assert "is a directory" in directory


def test_no_more_at_a_time_than_asked_for(
    run_server: RunServer, write_audio: WriteAudio, words: Sequence[Word]
) -> None:
    both = threading.Barrier(2)
    lock = threading.Lock()
    at_work, most = [0], [0]

    class Slow:
        def __init__(self, asked: Any) -> None:
            self._inner = PlainRecogniser(words, asked)
            self._begun = False

        def hear(self, audio: bytes) -> Sequence[Recognised]:
            if not self._begun:
                self._begun = True
                with lock:
                    at_work[0] += 1
                    most[0] = max(most[0], at_work[0])
                both.wait(30)  # it goes on when two are at work
            return self._inner.hear(audio)

        def finalize(self) -> Sequence[Recognised]:
            with lock:
                at_work[0] -= 1
            return self._inner.finalize()

    paths = [write_audio(f"{number}.wav") for number in range(4)]
    result = transcribe("--live", "--jobs", 2, "--base-url", run_server(Slow), *paths)
    assert result.exit_code == 0, result.stderr
    assert most == [2]


class TestOutput:
    def test_into_a_file(self, run_server: RunServer, write_audio: WriteAudio, tmp_path: Path) -> None:
        target = tmp_path / "out.srt"
        result = transcribe("-f", "srt", "-o", target, "--base-url", run_server(), write_audio("a.wav"))
        assert (result.exit_code, result.output) == (0, "")
        assert HEARD in target.read_text()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "out.srt"]

    def test_several_into_one(self, run_server: RunServer, write_audio: WriteAudio, tmp_path: Path) -> None:
        paths = [write_audio("a.wav"), write_audio("b.wav")]
        result = transcribe("-o", tmp_path / "out.txt", "--base-url", run_server(), *paths)
        assert (result.exit_code, result.output) == (0, "")
        assert (tmp_path / "out.txt").read_text().count(HEARD) == 2

    def test_into_a_directory(self, run_server: RunServer, write_audio: WriteAudio, tmp_path: Path) -> None:
        paths = [write_audio("a.wav"), write_audio("b.flac")]
        folder = tmp_path / "subtitles"
        folder.mkdir()
        result = transcribe("-f", "vtt", "-o", folder, "--base-url", run_server(), *paths, tmp_path / "c.wav")
        assert result.exit_code == 1  # c.wav is not there
        assert sorted(path.name for path in folder.iterdir()) == ["a.vtt", "b.vtt"]
        assert (folder / "b.vtt").read_text().startswith("WEBVTT")

    def test_a_failure_leaves_nothing(self, run_server: RunServer, tmp_path: Path) -> None:
        result = transcribe("-o", tmp_path / "out.txt", "--base-url", run_server(), tmp_path / "missing.wav")
        assert result.exit_code == 1
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("output", "said"), [("none/out.txt", "does not exist"), ("a.wav/out.txt", "is no directory")]
    )
    def test_what_cannot_be_is_found_first(
        self, write_audio: WriteAudio, tmp_path: Path, output: str, said: str
    ) -> None:
        path = write_audio("a.wav")
        result = transcribe("-o", tmp_path / output, "--base-url", "http://127.0.0.1:9", path)
        assert result.exit_code == 2
        assert said in only_line(result)

    def test_subtitles_of_several_files_need_a_directory(self, write_audio: WriteAudio, tmp_path: Path) -> None:
        paths = [write_audio("a.wav"), write_audio("b.wav")]
        result = transcribe("-f", "srt", "-o", tmp_path / "out.srt", "--local", *paths)
        assert result.exit_code == 2
        assert "2 files do not go into one srt file" in only_line(result)


class TestRefused:
    @pytest.mark.parametrize("live", [[], ["--live"]], ids=["http", "live"])
    @pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["plain", "debug"])
    def test_a_wrong_key(
        self, run_server: RunServer, write_audio: WriteAudio, live: list[str], debug: list[str]
    ) -> None:
        url = run_server(key="sk_the_right_one")
        result = transcribe(*live, *debug, "--base-url", url, write_audio("a.wav"))
        assert result.exit_code == 1
        assert "401" in result.stderr
        assert "check api_key (SMALLEST_API_KEY), or --api-key" in result.stderr
        assert ("Traceback" in result.stderr) == bool(debug)
        assert "0123456789abcdef" not in result.output
        assert "the_right_one" not in result.output

    def test_the_key_of_the_option(self, run_server: RunServer, write_audio: WriteAudio) -> None:
        url, path = run_server(key="right"), write_audio("a.wav")
        assert transcribe("--api-key", "right", "--base-url", url, path).stdout == HEARD + "\n"
        assert transcribe("--api-key", "right", "--base-url", url, path, key=None).exit_code == 0

    @pytest.mark.parametrize("live", [[], ["--live"]], ids=["http", "live"])
    def test_nobody_there(self, write_audio: WriteAudio, live: list[str]) -> None:
        with socket.socket() as taken:  # bound but not listening: nobody else gets the port
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/waves/v1"
            result = transcribe(*live, "--base-url", url, write_audio("a.wav"))
        assert result.exit_code == 1
        assert "a.wav: no connection to 127.0.0.1" in only_line(result)
        assert "--local needs none" in result.stderr

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--language", "xx"], "file transcription has no language 'xx': use one of"),
            (["--live", "--language", "multi-eu"], "live transcription has no language 'multi-eu': use one of"),
            (["--model", "echo"], "model must be one of pulse, pulse-pro"),
            (["--live", "--model", "pulse-pro"], "pulse-pro has no live transcription"),
            (["--base-url", "api.smallest.ai"], "use a URL such as https://"),
        ],
    )
    def test_what_the_service_does_not_have(self, write_audio: WriteAudio, arguments: list[str], said: str) -> None:
        result = transcribe(*arguments, write_audio("a.wav"))
        assert result.exit_code == 2
        assert said in only_line(result)
        assert result.stdout == ""

    @pytest.mark.parametrize("live", [[], ["--live"]], ids=["http", "live"])
    def test_no_input(self, run_server: RunServer, live: list[str]) -> None:
        result = transcribe(*live, "--base-url", run_server(), "-", input=b"")
        assert result.exit_code == 1
        assert only_line(result) == "Error: standard input: is empty: there is nothing to transcribe\n"

    def test_standard_input_is_read_once(self, write_audio: WriteAudio) -> None:
        result = transcribe("-", write_audio("a.wav"), "-")
        assert result.exit_code == 2
        assert "give '-' once" in only_line(result)

    def test_no_audio_live(self, run_server: RunServer, tmp_path: Path) -> None:
        (tmp_path / "notes.wav").write_bytes(b"no audio")
        result = transcribe("--live", "--base-url", run_server(), tmp_path / "notes.wav")
        assert result.exit_code == 1
        assert "notes.wav: is no audio file that can be read" in only_line(result)

    def test_without_an_extra(
        self, run_server: RunServer, write_audio: WriteAudio, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url, path = run_server(), write_audio("a.wav")
        monkeypatch.setitem(sys.modules, "soundfile", None)
        result = transcribe("--live", "--base-url", url, path)
        assert result.exit_code == 1
        assert 'soundfile is not installed: pip install "smallest-proto[cli]"' in only_line(result)


@contextlib.contextmanager
def peer(behaviour: Callable[[websockets.sync.server.ServerConnection], None]) -> Iterator[str]:
    """A WebSocket server that is not ours, with behaviour that a test gives it."""
    with websockets.sync.server.serve(behaviour, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.socket.getsockname()[1]}/waves/v1"
        finally:
            server.shutdown()
            thread.join()


def test_a_service_that_stops_early_is_told(write_audio: WriteAudio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "RETRY", RetryPolicy(first_delay=0))

    def without_last(connection: websockets.sync.server.ServerConnection) -> None:
        for message in connection:
            if isinstance(message, str):
                connection.send('{"transcript":"It was","is_final":true}')
                return  # closed with 1000, and no is_last

    with peer(without_last) as url:
        result = transcribe("--live", "--base-url", url, write_audio("a.wav"))
    assert result.exit_code == 1
    assert result.stdout == "It was\n"  # what there is, is not withheld
    assert result.stderr.endswith("its end, as the service did not send the last final\n")


def test_a_link_that_breaks_is_tried_again_and_then_a_failure(
    write_audio: WriteAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "RETRY", RetryPolicy(max_retries=1, first_delay=0))

    def broken(connection: websockets.sync.server.ServerConnection) -> None:
        connection.recv()
        connection.close(1011, "out of order")

    with peer(broken) as url:
        result = transcribe("--live", "--base-url", url, write_audio("a.wav", seconds=3.0))
    assert result.exit_code == 1
    again, error = result.stderr.splitlines()
    why = r".*1011 \(an error inside the service\)"
    assert re.search(rf"a\.wav: link 1 lost after \d\.\d s: {why}; link 2 open \d\.\d s later, .* sent again$", again)
    assert error.startswith("Error: ")
    assert "a.wav: " in error
    assert result.stdout == ""


def test_what_a_lost_link_did_not_hear_is_heard_by_the_next(write_audio: WriteAudio) -> None:
    links: list[int] = []

    def once_broken(connection: websockets.sync.server.ServerConnection) -> None:
        links.append(sum(isinstance(connection.recv(), bytes) for _ in range(3)))
        if len(links) == 1:
            connection.close(1012, "restarting")
            return
        for message in connection:
            if isinstance(message, str):
                connection.send('{"transcript":"It was","is_final":true,"is_last":true}')
                return

    with peer(once_broken) as url:
        result = transcribe("--live", "--base-url", url, write_audio("a.wav"))
    assert links == [3, 3]
    assert "code 1012 (it restarts); link 2 open" in only_line(result)
    assert (result.exit_code, result.stdout) == (0, "It was\n")


@pytest.mark.parametrize("live", [[], ["--live"]], ids=["http", "live"])
def test_ctrl_c_leaves_nothing_behind(
    start_command: StartCommand, silent_server: SilentServer, write_audio: WriteAudio, tmp_path: Path, live: list[str]
) -> None:
    path = write_audio("a.wav")
    url, came = silent_server
    arguments = ("--base-url", url, "-o", str(tmp_path / "out.txt"), str(path))
    process = start_command("transcribe", *live, *arguments, **{KEY_VARIABLE: KEY})
    assert came.wait(30)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout, stderr) == (130, b"", b"")
    assert list(tmp_path.iterdir()) == [path]


def test_a_bar_on_the_terminal_and_the_transcript_alone_in_the_pipe(
    run_server: RunServer, on_terminal: OnTerminal, write_audio: WriteAudio
) -> None:
    path, url = write_audio("a.wav", seconds=3.0), run_server()
    code, stdout, shown = on_terminal("transcribe", "--live", "--base-url", url, str(path), **{KEY_VARIABLE: KEY})
    assert code == 0, shown
    assert stdout.decode() == HEARD + "\n"
    assert path.name.encode() in shown.replace(b"\r\n", b"")
    assert "━".encode() in shown


def test_a_local_server_that_is_behind_is_not_taken_for_dead() -> None:
    """Sockets and recogniser can hold minutes of a file: what was asked after that is answered after that."""
    options = module.Options(
        live=True,
        service=Service(local=True),
        format="text",
        language="en",
        model="pulse",
        output=None,
        jobs=1,
    )
    patient = module._timeouts(options)
    assert min(patient.ping, patient.pong, patient.write, patient.mute, patient.last, patient.response) >= 3600
    assert patient.message_interval == 0
    alert = module._timeouts(msgspec.structs.replace(options, faults=(read_fault("drop"),)))
    assert (alert.ping, alert.mute, alert.message_interval) == (Timeouts().ping, Timeouts().mute, 0.02)


def test_real_speech_survives_faults_and_they_are_told(start_command: StartCommand, tmp_path: Path) -> None:
    recording = two_cities()
    speech, rate = soundfile.read(recording.path, frames=48000 * 6)
    soundfile.write(tmp_path / "speech.wav", speech, rate)
    faults = [part for fault in ("drop@2", "error@3", "no-last", "mute@60") for part in ("--fault", fault)]
    with start_command("transcribe", "--local", "--live", *faults, str(tmp_path / "speech.wav")) as process:
        stdout, stderr = (stream.decode() for stream in process.communicate())
    assert process.returncode == 0, stderr
    *lost, left = stderr.splitlines()
    for number, (line, why) in enumerate(zip(lost, ("reset", "told of an error", "code 1000"), strict=True), 1):
        told = rf"link {number} lost after .*{why}.*; link {number + 1} open .* s later, .* s of audio sent again"
        assert re.search(told, line), stderr
    assert left == "Did not happen, as no link got so far: mute@60"
    reference = " ".join(recording.text.split()[: len(stdout.split())])
    assert len(stdout.split()) > 10
    assert word_errors(reference, stdout).rate < 0.25


def test_real_speech_without_a_server_and_without_a_key(start_command: StartCommand, tmp_path: Path) -> None:
    recording = two_cities()
    speech, rate = soundfile.read(recording.path, frames=48000 * 8)
    soundfile.write(tmp_path / "speech.wav", speech, rate)
    for live in ([], ["--live"]):
        with start_command("transcribe", "--local", *live, str(tmp_path / "speech.wav")) as process:
            stdout, stderr = (stream.decode() for stream in process.communicate())
        assert (process.returncode, stderr) == (0, "")
        reference = " ".join(recording.text.split()[: len(stdout.split())])
        assert len(stdout.split()) > 15
        assert word_errors(reference, stdout).rate < 0.25


class _Asked(http.server.BaseHTTPRequestHandler):
    """Answers every file with one word; ``server.asked`` has what was asked for."""

    def do_POST(self) -> None:
        self.server.asked.append((self.path, self.headers["Authorization"]))  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"transcription": "hi"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_options_and_routes_that_are_not_known_here_go_out_as_they_are(write_audio: WriteAudio) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Asked) as server:
        server.asked = asked = []  # type: ignore[attr-defined, var-annotated]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        service = ("--base-url", f"http://127.0.0.1:{server.server_port}", "--route", "on-premises")
        result = transcribe(*service, "--option", "language=xx", "--option", "new=a=b", write_audio("a.wav"))
        server.shutdown()
    assert (result.exit_code, result.stdout) == (0, "hi\n"), result.stderr
    ((path, authorization),) = asked
    assert path.startswith("/v1/listen?")
    assert {"language=xx", "new=a%3Db"} <= set(path.partition("?")[2].split("&"))
    assert authorization == f"Token {KEY}"


@pytest.mark.parametrize("pairs", [["numerals"], ["=auto"], ["a=1", "a=2"]])
def test_an_option_is_a_name_and_a_value(pairs: list[str], write_audio: WriteAudio) -> None:
    result = transcribe(*(word for pair in pairs for word in ("--option", pair)), write_audio("a.wav"))
    assert result.exit_code == 2
    assert "--option numerals=auto" in only_line(result)


def test_a_contract_can_have_other_regions(write_audio: WriteAudio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # where nobody is: nothing leaves this machine
    options = ("--language", "ja", write_audio("a.wav"))
    assert "ja is served from the US alone" in only_line(transcribe(*options))
    assert "proxy" in only_line(transcribe("--any-region", *options))


def test_a_local_server_has_one_route(write_audio: WriteAudio) -> None:
    result = transcribe("--local", "--route", "model", write_audio("a.wav"))
    assert result.exit_code == 2
    assert "leave out --route" in only_line(result)
