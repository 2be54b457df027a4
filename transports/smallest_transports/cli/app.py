"""The commands and their options. What they do is imported when they run, so that ``--help`` is quick."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from smallest_proto.config import BASE_URL
from smallest_proto.errors import ConfigurationError
from smallest_proto.values import Secret

from .problems import KEY_VARIABLE, Problem, WrongUse, explain, keep_secret, set_debug, show_details

if TYPE_CHECKING:
    from smallest_transports.local.faults import Fault

Command = TypeVar("Command", bound=Callable[..., Any])

_EXIT_CODES = "Exit codes: 0 fine, 1 something failed, 2 wrong use, 130 interrupted."


class Commands(click.Group):
    """Whatever goes wrong in a command comes out as one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort) as known:
            if isinstance(known, Problem):
                show_details(known)
            raise
        except KeyboardInterrupt:
            ctx.exit(130)
        except BrokenPipeError:
            raise  # the reader of our output has had enough: click knows what to do
        except Exception as error:
            show_details(error)
            # A value that cannot be came from an option: wrong use.
            kind = WrongUse if isinstance(error, ConfigurationError) else Problem
            raise kind(explain(error)) from None


def _secret(context: click.Context, parameter: click.Parameter, value: str | None) -> Secret | None:  # noqa: ARG001
    if value is None or not value.strip():
        return None
    keep_secret(context, value)
    return Secret(value.strip())


def _only_key(context: click.Context, parameter: click.Parameter, value: str | None) -> Secret | None:
    if value is not None and not value.strip():  # an unset variable, say: it must not open the server to every key
        raise WrongUse("--key is empty: give a key, or leave --key out to let any key in")
    return _secret(context, parameter, value)


def _debug(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: ARG001
    if value:
        set_debug(context)


def _debug_option(command: Command) -> Command:
    return click.option(
        "--debug",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_debug,
        help="On an error show the traceback and the service's own words (they can repeat what was said).",
    )(command)


def _faults(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Fault, ...]:  # noqa: ARG001
    if not values:
        return ()
    from smallest_transports.local.faults import read_fault

    return tuple(map(read_fault, values))


def _fault_option(command: Command) -> Command:
    return click.option(
        "--fault",
        "faults",
        multiple=True,
        metavar="FAULT",
        callback=_faults,
        help="Do this to a link of the local server: drop@5 breaks it after 5 s of audio. Also half-open, stall, mute, "
        "close:CODE, error, garbage, no-last, refuse:STATUS; x3 at the end: to three links. Several: one after the "
        "other, each to the next link.",
    )(command)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXIT_CODES)
@click.version_option(package_name="smallest-proto", message="%(prog)s %(version)s")
@_debug_option
def commands() -> None:
    """Live transcription and file transcription with Smallest AI's Pulse, or with a local stand-in for it.

    Start with "smallest-proto demo": it needs no key and no network.
    """


@commands.command(epilog=_EXIT_CODES)
@click.option("--fast", is_flag=True, help="Do not wait for real time (then there is no latency to measure).")
@_fault_option
@_debug_option
def demo(fast: bool, faults: tuple[Fault, ...]) -> None:
    """Stream 44 seconds of human speech to a local server and watch it become text."""
    if fast and faults:
        raise WrongUse("--fault is done to a call in real time: leave out --fast")
    from .demo import demo as run_demo

    run_demo(fast=fast, faults=faults)


@commands.command(epilog=_EXIT_CODES)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--live", is_flag=True, help="Stream it as live audio (16 kHz, mono) in place of one HTTP request.")
@click.option("--local", is_flag=True, help="Recognise on this machine: no key, no network, English alone.")
@click.option("--base-url", metavar="URL", help=f"Where the service is.  [default: {BASE_URL}]")
@click.option(
    "--api-key",
    metavar="KEY",
    envvar=KEY_VARIABLE,
    show_envvar=True,
    callback=_secret,
    help="The key. Better in the environment: others on this machine can see arguments.",
)
@click.option(
    "-f",
    "--format",
    type=click.Choice(["text", "json", "srt", "vtt"]),
    default="text",
    show_default=True,
    help="json: one line for each file.",
)
@click.option("--language", default="en", show_default=True, help="A language of the service, such as en, hi, de.")
@click.option("--model", default="pulse", show_default=True, help="pulse; pulse-pro (files), pulse-2 (live).")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write to this file, whole or not at all; or, if it is a directory, a file in it for each FILE.",
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 32),
    default=2,
    show_default=True,
    help="How many files to transcribe at a time.",
)
@_fault_option
@_debug_option
def transcribe(
    files: tuple[str, ...],
    live: bool,
    local: bool,
    base_url: str | None,
    api_key: Secret | None,
    format: str,
    language: str,
    model: str,
    output: Path | None,
    jobs: int,
    faults: tuple[Fault, ...],
) -> None:
    """Transcribe audio files; "-" is standard input.

    Any format that the service reads (WAV, MP3, FLAC, OGG and more); with --live any that soundfile reads, at any
    sample rate. Standard output gets the transcripts and nothing else. With --fault audio is given in real time, as in
    a call.
    """
    if faults and not (live and local):
        raise WrongUse("--fault is done to live links of the local server: add --live --local")
    if local and base_url is not None:
        raise WrongUse("--local is a server of its own: leave out --base-url")
    if not local and api_key is None:
        raise WrongUse(
            f"no API key: set {KEY_VARIABLE}, or pass --api-key; --local needs none and recognises on this machine"
        )
    from .transcribe import Options
    from .transcribe import transcribe as transcribe_files

    options = Options(
        live=live,
        local=local,
        base_url=base_url or BASE_URL,
        api_key=api_key or Secret(),
        format=format,
        language=language,
        model=model,
        output=output if output != Path("-") else None,
        jobs=jobs,
        faults=faults,
    )
    if not transcribe_files(files, options):
        raise click.exceptions.Exit(1)


@commands.command(epilog=_EXIT_CODES)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes any that is free."
)
@click.option("--key", metavar="KEY", callback=_only_key, help="Accept this key alone; without it any key will do.")
@click.option(
    "--max-live",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="How many live streams to recognise at a time; one more is turned away with close code 1013.",
)
@_fault_option
@_debug_option
def serve(host: str, port: int, key: Secret | None, max_live: int, faults: tuple[Fault, ...]) -> None:
    """Run the local server: a stand-in for the service, for development, until Ctrl-C."""
    from .serve import serve as run_server

    run_server(host=host, port=port, key=key, max_live=max_live, faults=faults)
