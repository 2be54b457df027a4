"""What is typed: help, wrong use, errors in one line, exit codes, and the key that is never shown."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner, Result

import smallest_proto
from smallest_proto.errors import ConfigurationError, Failure, FailureKind
from smallest_transports import cli
from smallest_transports.cli.app import Commands, commands
from smallest_transports.cli.problems import KEY_VARIABLE, Problem, explain, keep_secret

from .stage import KEY


def typed(*arguments: str, key: str | None = None, **options: object) -> Result:
    environment = {KEY_VARIABLE: key}
    return CliRunner().invoke(commands, arguments, env=environment, prog_name="smallest-proto", **options)  # type: ignore[arg-type]


def test_help_names_every_command_and_the_way_in() -> None:
    result = typed("--help")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in ("demo", "transcribe", "speak", "say-and-hear", "130 interrupted"))


@pytest.mark.parametrize("command", ["demo", "transcribe", "listen", "speak", "say-and-hear", "serve", "doctor"])
def test_every_option_says_what_it_does(command: str) -> None:
    result = typed(command, "--help")
    assert result.exit_code == 0
    for parameter in commands.commands[command].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.opts[-1] in result.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_help_says_of_completion_holds(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("click asks bash for its version, and there is none")
    assert f"_SMALLEST_PROTO_COMPLETE={shell}_source smallest-proto" in typed("--help").stdout
    monkeypatch.setenv("_SMALLEST_PROTO_COMPLETE", f"{shell}_source")
    assert f"_SMALLEST_PROTO_COMPLETE={shell}_complete" in typed().stdout


def test_help_is_quick() -> None:
    """Nothing heavy is imported before a command runs."""
    code = "import sys, smallest_transports.cli.app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "click" in loaded
    assert not {"numpy", "onnxruntime", "rich", "jiwer", "pysubs2", "soundfile", "asyncio"}.intersection(loaded)


def test_the_version_is_the_distributions() -> None:
    from importlib.metadata import version

    assert smallest_proto.__version__ == version("smallest-proto")
    assert typed("--version").stdout == f"smallest-proto {smallest_proto.__version__}\n"


@pytest.mark.parametrize("package", ["smallest_proto", "smallest_transports"])
@pytest.mark.parametrize(("arguments", "code", "said"), [(["--version"], 0, "smallest-proto "), (["wink"], 2, "wink")])
def test_either_package_runs_as_the_command(package: str, arguments: list[str], code: int, said: str) -> None:
    ran = subprocess.run([sys.executable, "-m", package, *arguments], capture_output=True, text=True)
    assert ran.returncode == code
    assert said in ran.stdout + ran.stderr
    assert "__main__" not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["transcribe", "a.wav"], "set SMALLEST_API_KEY, or pass --api-key; --local needs none"),
        (["transcribe", "--api-key", " ", "a.wav"], "no API key"),
        (["transcribe", "--local"], "Missing argument 'FILE...'"),
        (["transcribe", "--local", "--base-url", "http://localhost:1", "a.wav"], "leave out --base-url"),
        (["transcribe", "--local", "--format", "docx", "a.wav"], "'text', 'json', 'srt', 'vtt'"),
        (["transcribe", "--local", "--jobs", "0", "a.wav"], "1<=x<=32"),
        (["transcribe", "--local", "--fault", "drop@5", "a.wav"], "add --live --local"),
        (["transcribe", "--live", "--api-key", KEY, "--fault", "drop", "a.wav"], "add --live --local"),
        (["transcribe", "--live", "--local", "--fault", "drip", "a.wav"], "no fault 'drip': use drop, half-open"),
        (["demo", "--fault", "close:1006"], "use drop"),
        (["demo", "--fast", "--fault", "drop"], "leave out --fast"),
        (["speak", "Hello", "-o", "a.wav"], "set SMALLEST_API_KEY, or pass --api-key; --local needs none"),
        (["speak", "--local", "-o", "a.wav"], 'smallest-proto speak "Hello there" -o hello.wav'),
        (["speak", "--local", "Hello"], "add -o FILE, such as -o hello.wav, or --play to hear it"),
        (["speak", "--local", "--list-voices", "Hello"], "leave out the text, --output and --play"),
        (["speak", "--local", "--base-url", "http://localhost:1", "Hello"], "leave out --base-url"),
        (["speak", "--local", "--format", "ogg", "Hello"], "'pcm', 'mp3', 'wav', 'ulaw', 'alaw'"),
        (["say-and-hear", "--local"], "Missing argument 'TEXT'"),
        (["say-and-hear", "Hello"], "no API key"),
        (["say-and-hear", "--api-key", KEY, "--fault", "drop", "Hello"], "add --local"),
        (["say-and-hear", "--local", "--fast", "--fault", "drop", "Hello"], "leave out --fast"),
        (["serve", "--fault", "drop:5"], "write drop@SECONDS"),
        (["serve", "--port", "70000"], "0<=x<=65535"),
        (["serve", "--max-live", "0"], "x>=1"),
        (["transcribble"], "No such command"),
    ],
)
def test_wrong_use_is_said_in_words(arguments: list[str], said: str) -> None:
    result = typed(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def failing(error: BaseException, *arguments: str) -> Result:
    """A command that fails with ``error``, run as ours are."""

    @click.group(cls=Commands, params=commands.params)
    def group() -> None:
        pass

    @group.command()
    @click.pass_context
    def fail(context: click.Context) -> None:
        keep_secret(context, KEY)
        raise error

    return CliRunner().invoke(group, [*arguments, "fail"])


REFUSED = Failure(
    kind=FailureKind.STATUS, reason=f"HTTP 400: an option ({KEY})", status=400, detail=f"you said {KEY} hello"
)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Problem("it did not work"), 1, "it did not work"),
        (ConfigurationError("use one of en, hi"), 2, "use one of en, hi"),
        (REFUSED.error(), 1, "HTTP 400: an option (***)"),
        (ModuleNotFoundError("No module named 'jiwer'", name="jiwer"), 1, 'jiwer is not installed: pip install "'),
        (FileNotFoundError(2, "No such file or directory", "x.onnx"), 1, "x.onnx: No such file or directory"),
        (MemoryError(), 1, "not enough memory"),
        (ZeroDivisionError(f"with {KEY}"), 1, "unexpected ZeroDivisionError, a bug"),
    ],
)
def test_every_error_is_one_line_and_a_code(error: Exception, code: int, said: str) -> None:
    result = failing(error)
    assert result.exit_code == code
    assert result.stderr.startswith(f"Error: {said}")
    assert result.stderr.count("\n") == 1
    assert KEY not in result.output


def test_ctrl_c_is_130_and_says_nothing() -> None:
    result = failing(KeyboardInterrupt())
    assert result.exit_code == 130
    assert result.output == ""


def test_debug_shows_more_but_not_the_key() -> None:
    result = failing(REFUSED.error(), "--debug")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "the service said: you said *** hello" in result.stderr
    assert KEY not in result.output
    result = failing(ZeroDivisionError(f"with {KEY}"), "--debug")
    assert "ZeroDivisionError: with ***" in result.stderr


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (Failure(kind=FailureKind.STATUS, reason="HTTP 401: the key", status=401), ", or --api-key"),
        (Failure(kind=FailureKind.CONNECT, reason="nobody listens there"), "--base-url says where"),
        (Failure(kind=FailureKind.STATUS, reason="HTTP 429", status=429, retry_after=7.0), "asks to wait 7 s"),
        (Failure(kind=FailureKind.DEADLINE, reason="nothing came"), "try again"),
    ],
)
def test_what_to_do_about_it(failure: Failure, said: str) -> None:
    message = explain(failure.error())
    assert message.startswith(failure.reason)
    assert said in message


def test_the_environments_key_is_hidden_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, f"{KEY}\n")
    assert explain(Problem(f"bad {KEY}")) == "bad ***"


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "smallest_transports.cli.app")
    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert str(stopped.value.code) == 'Error: click is not installed: pip install "smallest-proto[cli]"'
    assert capsys.readouterr().out == ""


def test_an_interrupt_at_any_other_moment_is_130_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("smallest_transports.cli.app.commands", interrupted)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 130


def test_the_reader_may_leave_early(start_command: Callable[..., subprocess.Popen[bytes]]) -> None:
    """As in ``smallest-proto --help | head -1``: no traceback."""
    with start_command("--help") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_a_short_key_is_hidden_where_it_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "any")
    assert explain(Problem("too many sessions with any of 'any'")) == "too many sessions with *** of '***'"
