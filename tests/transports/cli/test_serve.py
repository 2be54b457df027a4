"""The server as a user starts it: what it says, what it hears, how it ends, and where it cannot listen."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from smallest_transports.cli.app import commands
from smallest_transports.cli.problems import KEY_VARIABLE
from smallest_transports.cli.serve import instructions

from .stage import StartCommand, WriteAudio


@pytest.fixture
def serving(start_command: StartCommand) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """``serve`` at a free port with a key, and its base URL."""
    with start_command("serve", "--port", "0", "--key", "sk_of_the_server") as process:
        assert process.stdout is not None
        first = process.stdout.readline().decode()
        listening = re.fullmatch(r"Listening at (http://127\.0\.0\.1:\d+/waves/v1)\n", first)
        assert listening, first
        yield process, listening[1]
        process.kill()


def test_faults_are_told_and_happen(start_command: StartCommand, write_audio: WriteAudio) -> None:
    with start_command("serve", "--port", "0", "--fault", "refuse:429", "--fault", "refuse:403") as process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().split()[-1]
        told = next(line for line in process.stdout if line.startswith(b"Faults"))
        assert told == b"Faults, one after the other: refuse:429, refuse:403\n"
        typed = ["transcribe", "--live", "--base-url", url, str(write_audio("tone.wav"))]
        refused = CliRunner().invoke(commands, typed, env={KEY_VARIABLE: "any"})
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    first, second = refused.stderr.splitlines()
    assert "link 1 did not open: HTTP 429" in first
    assert first.endswith("trying again in 1.0 s")
    assert "HTTP 403" in second
    assert refused.exit_code == 1


def test_it_can_be_like_the_service_at_its_oddest(start_command: StartCommand, write_audio: WriteAudio) -> None:
    typed = ("--like", "unlabelled", "--like", "empty-finals", "--like", "rounding=0.1", "--plan", "standard")
    with start_command("serve", "--port", "0", *typed, "--english-only", "--max-files", "1") as process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().split()[-1]
        told = next(line for line in process.stdout if line.startswith(b"Imperfect"))
        assert told == b"Imperfect: rounding=0.1, empty_finals, unlabelled\n"
        file = str(write_audio("tone.wav"))
        command = ["transcribe", "--live", "--language", "hi", "--base-url", url, file]
        refused = CliRunner().invoke(commands, command, env={KEY_VARIABLE: "any"})
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert refused.exit_code == 1
    assert refused.stderr


def test_an_oddness_that_there_is_not() -> None:
    code, said = serve("--like", "twice", "--like", "thrice")
    assert code == 2
    assert "'thrice' is no way to be imperfect" in said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_serves_until_it_is_told_to_stop(
    serving: tuple[subprocess.Popen[bytes], str], write_audio: WriteAudio, number: signal.Signals, code: int
) -> None:
    process, url = serving
    typed = ["transcribe", "--format", "json", "--base-url", url, str(write_audio("tone.wav"))]
    runner = CliRunner()
    heard = runner.invoke(commands, typed, env={KEY_VARIABLE: "sk_of_the_server"})
    assert heard.exit_code == 0, heard.stderr
    assert '"duration": 1.0' in heard.stdout
    refused = runner.invoke(commands, typed, env={KEY_VARIABLE: "another"})
    assert refused.exit_code == 1
    assert "401" in refused.stderr

    process.send_signal(number)
    assert process.stdout is not None
    assert process.stderr is not None
    stdout, stderr = process.stdout.read(), process.stderr.read()
    assert process.wait() == code
    assert stderr == b""
    assert b"export SMALLEST_API_KEY=" in stdout
    assert b"sk_of_the_server" not in stdout


def test_what_to_set_in_a_client_is_true() -> None:
    """The Python line runs, and the curl line goes where the service has its route."""
    url = "http://127.0.0.1:8765/waves/v1"
    lines = "\n".join(instructions(url, with_key=False))
    python = re.search(r"Python +(.*)", lines)
    assert python
    import smallest_transports.asyncio

    made: dict[str, object] = {"smallest_transports": smallest_transports}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, "any")
        exec(python[1], made)
    assert isinstance(made["client"], smallest_transports.asyncio.Client)
    assert f'"{url}/stt/?model=pulse&language=en"' in lines
    assert "Ctrl-C stops" in lines
    assert "development" in lines


def serve(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(commands, ["serve", *arguments])
    assert result.stdout == ""
    return result.exit_code, result.stderr


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = serve("--port", str(port))
    assert code == 1
    assert said == f"Error: port {port} is in use: take another with --port, or --port 0 for any that is free\n"


def test_an_address_that_is_not_here() -> None:
    code, said = serve("--port", "0", "--host", "host.invalid")
    warning, error = said.splitlines()
    assert code == 1
    assert warning.startswith("Warning: host.invalid can be reached from other machines. This is a development tool")
    assert error == "Error: host.invalid is no address of this machine: use 127.0.0.1, or 0.0.0.0 for all"


def test_beyond_loopback_it_warns(start_command: StartCommand) -> None:
    with start_command("serve", "--host", "0.0.0.0", "--port", "0") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"Listening at http://")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Warning: 0.0.0.0 can be reached from other machines" in stderr
    assert b"any key opens it (--key names one)" in stderr


def test_an_empty_key_does_not_open_the_server() -> None:
    result = CliRunner().invoke(commands, ["serve", "--port", "0", "--key", " "], prog_name="smallest-proto")
    assert result.exit_code == 2
    assert "--key is empty" in result.stderr
    assert "Traceback" not in result.stderr
