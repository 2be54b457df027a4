"""The commands and their options. What they do is imported when they run, so that ``--help`` is quick."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from smallest_proto import __version__
from smallest_proto.config import SPEECH_SAMPLE_RATES, OutputFormat, SynthesisConfig
from smallest_proto.errors import ConfigurationError
from smallest_proto.values import Secret

from .options import (
    Service,
    debug_option,
    extra_option,
    fault_option,
    picture_option,
    secret,
    service_options,
    voice_options,
)
from .problems import Problem, WrongUse, explain, show_details

if TYPE_CHECKING:
    from smallest_transports.local.faults import Fault

_EXIT_CODES = "Exit codes: 0 fine, 1 something failed, 2 wrong use, 130 interrupted."
# As click has it. \\b keeps the lines as they are.
_COMPLETION = """\b
Shell completion, once and for all:
  bash  echo 'eval "$(_SMALLEST_PROTO_COMPLETE=bash_source smallest-proto)"' >> ~/.bashrc
  zsh   echo 'eval "$(_SMALLEST_PROTO_COMPLETE=zsh_source smallest-proto)"' >> ~/.zshrc
  fish  echo '_SMALLEST_PROTO_COMPLETE=fish_source smallest-proto | source' >> ~/.config/fish/config.fish"""


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


def _only_key(context: click.Context, parameter: click.Parameter, value: str | None) -> Secret | None:
    if value is not None and not value.strip():  # an unset variable, say: it must not open the server to every key
        raise WrongUse("--key is empty: give a key, or leave --key out to let any key in")
    return secret(context, parameter, value)


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=f"{_COMPLETION}\n\n{_EXIT_CODES}"
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@debug_option
def commands() -> None:
    """Transcription (live and of files) and speech synthesis with Smallest AI's Pulse and Lightning, or with a local
    stand-in for them.

    Start with "smallest-proto demo": it needs no key and no network.
    """


@commands.command(epilog=_EXIT_CODES)
@click.option("--fast", is_flag=True, help="Do not wait for real time (then there is no latency to measure).")
@fault_option
@picture_option
@debug_option
def demo(fast: bool, faults: tuple[Fault, ...], picture: Path | None) -> None:
    """Stream 44 seconds of human speech to a local server and watch it become text."""
    if fast and faults:
        raise WrongUse("--fault is done to a call in real time: leave out --fast")
    from .demo import demo as run_demo

    run_demo(fast=fast, faults=faults, picture=picture)


@commands.command(epilog=_EXIT_CODES)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--live", is_flag=True, help="Stream it as live audio (16 kHz, mono) in place of one HTTP request.")
@service_options("Recognise on this machine: no key, no network, English alone.")
@click.option(
    "-f",
    "--format",
    type=click.Choice(["text", "json", "srt", "vtt"]),
    default="text",
    show_default=True,
    help="json: one line for each file.",
)
@click.option("--language", default="en", show_default=True, help="A language of the service, such as en, hi, de.")
@click.option("--model", default="pulse", show_default=True, help="pulse; pulse-pro (files), pulse-2.")
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
@click.option(
    "--encoding",
    type=click.Choice(["linear16", "linear32", "alaw", "mulaw"]),
    help="For raw samples, which no file says anything of: what they are; with --rate.",
)
@click.option("--rate", type=click.IntRange(1000, 384_000), metavar="HZ", help="Their sample rate, such as 8000.")
@extra_option
@fault_option
@picture_option
@debug_option
def transcribe(
    files: tuple[str, ...],
    live: bool,
    service: Service,
    format: str,
    language: str,
    model: str,
    output: Path | None,
    jobs: int,
    encoding: str | None,
    rate: int | None,
    extra: dict[str, str],
    faults: tuple[Fault, ...],
    picture: Path | None,
) -> None:
    """Transcribe audio files; "-" is standard input.

    Any format that the service reads. With --live or --local WAV, MP3, FLAC, OGG and what else soundfile reads, at any
    sample rate, and with the extra "media" also m4a, mp4, webm and what else PyAV reads; raw samples with --encoding
    and --rate. Standard output gets the transcripts and nothing else. With --fault audio is given in real time, as in a
    call.
    """
    if (encoding is None) != (rate is None):
        raise WrongUse("raw samples need both, such as --encoding linear16 --rate 16000; any other file needs neither")
    if faults and not (live and service.local):
        raise WrongUse("--fault is done to live links of the local server: add --live --local")
    if picture is not None and not live:
        raise WrongUse("--picture is of live streams: add --live")
    from smallest_transports.local.decoding import Raw

    from .transcribe import Options
    from .transcribe import transcribe as transcribe_files

    options = Options(
        live=live,
        service=service,
        format=format,
        language=language,
        model=model,
        output=output if output != Path("-") else None,
        jobs=jobs,
        faults=faults,
        raw=Raw(encoding, rate) if encoding is not None and rate is not None else None,
        extra=extra,
        picture=picture,
    )
    if not transcribe_files(files, options):
        raise click.exceptions.Exit(1)


@commands.command(epilog=_EXIT_CODES)
@click.option("--device", metavar="NAME", help="Its number, or a part of its name; or an audio file, in real time.")
@click.option("--list-devices", is_flag=True, help="List the devices that can record, and do nothing else.")
@service_options("Recognise on this machine: no key, no network, English alone.", unless="list_devices")
@click.option("--language", default="en", show_default=True, help="A language of the service, such as en, hi, de.")
@click.option("--model", default="pulse", show_default=True, help="pulse or pulse-2.")
@click.option(
    "--to",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write what was heard to this file at the end: .srt, .vtt, .txt or .json.",
)
@fault_option
@debug_option
def listen(
    device: str | None,
    list_devices: bool,
    service: Service,
    language: str,
    model: str,
    to: Path | None,
    faults: tuple[Fault, ...],
) -> None:
    """Show what a microphone hears, as text that moves until it is settled, until Ctrl-C."""
    if faults and not service.local:
        raise WrongUse("--fault is done to links of the local server: add --local")
    from .listen import Options, show_devices
    from .listen import listen as listen_to

    if list_devices:
        show_devices()
        return
    listen_to(Options(service=service, device=device, to=to, language=language, model=model, faults=faults))


@commands.command(epilog=_EXIT_CODES)
@click.argument("text", nargs=-1, metavar="[TEXT]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write to this file (.wav, .mp3, .pcm, .ulaw, .alaw), whole or not at all; - is standard output.",
)
@click.option("--play", is_flag=True, help="Let it be heard, from the first sound on.")
@click.option(
    "-f",
    "--format",
    type=click.Choice(get_args(OutputFormat)),
    help="Where the name of the file does not say it.  [default: wav to standard output]",
)
@service_options("Speak on this machine: no key, no network, English alone.")
@voice_options
@click.option(
    "--rate",
    type=int,
    metavar="HZ",
    help=f"{', '.join(map(str, SPEECH_SAMPLE_RATES))}.  [default: 24000; 8000 for ulaw and alaw]",
)
@click.option("--list-voices", is_flag=True, help="List the voices of the model, and say nothing.")
@debug_option
def speak(
    text: tuple[str, ...],
    output: Path | None,
    play: bool,
    format: OutputFormat | None,
    service: Service,
    voice: SynthesisConfig,
    rate: int | None,
    list_voices: bool,
) -> None:
    """Speak a text into a file, or aloud.

    "-" reads the text from standard input. A long one is spoken a few sentences at a time, and becomes one file all the
    same.
    """
    if list_voices:
        if text or output is not None or play:
            raise WrongUse("--list-voices says nothing: leave out the text, --output and --play")
        from .speak import list_voices as list_model_voices

        list_model_voices(service, voice.model)
        return
    if not text:
        raise WrongUse('no text: smallest-proto speak "Hello there" -o hello.wav; "-" reads it from standard input')
    if output is None and not play:
        raise WrongUse("the speech has nowhere to go: add -o FILE, such as -o hello.wav, or --play to hear it")
    from .speak import Options
    from .speak import speak as speak_text

    speak_text(text, Options(service=service, voice=voice, output=output, format=format, rate=rate, play=play))


@commands.command(epilog=_EXIT_CODES)
@click.argument("text", nargs=-1, required=True, metavar="TEXT")
@service_options("Speak and recognise on this machine: no key, no network, English alone.")
@voice_options
@click.option("--fast", is_flag=True, help="Do not wait for real time (then there is no latency to measure).")
@fault_option
@picture_option
@debug_option
def say_and_hear(
    text: tuple[str, ...],
    service: Service,
    voice: SynthesisConfig,
    fast: bool,
    faults: tuple[Fault, ...],
    picture: Path | None,
) -> None:
    """Speak a text and transcribe the speech.

    It is streamed into a live transcription while it comes, and what was heard is compared with what was said: one
    command that tries everything. "-" reads the text from standard input.
    """
    if faults and not service.local:
        raise WrongUse("--fault is done to links of the local server: add --local")
    if fast and faults:
        raise WrongUse("--fault is done to a call in real time: leave out --fast")
    from .say_and_hear import Options
    from .say_and_hear import say_and_hear as run_both

    run_both(text, Options(service=service, voice=voice, fast=fast, faults=faults, picture=picture))


class TraceCommands(click.Group):
    """``trace FILE`` is ``trace show FILE``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and not (len(args) == 1 and args[0] in ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@commands.group(cls=TraceCommands, epilog=_EXIT_CODES)
@debug_option
def trace() -> None:
    """Look at calls that a client has written down, with Client(trace="calls.jsonl").

    "smallest-proto trace calls.jsonl" shows them here, with -o call.html as a page to zoom into.
    """


@trace.command(epilog=_EXIT_CODES)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Draw into this file, .html or .svg.")
@click.option("--svg", is_flag=True, help="Draw one call as an SVG, for a document.")
@click.option("--call", "number", type=click.IntRange(min=1), metavar="N", help="Of several calls this one.")
@debug_option
def show(file: Path, output: Path | None, svg: bool, number: int | None) -> None:
    """Show what happened: each link, what was sent again, what was heard (the default: "trace FILE")."""
    from .trace import show_trace

    show_trace(file, output=output, svg=svg, number=number)


@trace.command(epilog=_EXIT_CODES)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--call", "number", type=click.IntRange(min=1), default=1, metavar="N", help="Of several calls this one.")
@click.option("--reveal", is_flag=True, help="Show what was said too, where the trace holds it.")
@debug_option
def replay(file: Path, number: int, reveal: bool) -> None:
    """Tell a session the same again, and print every command and event that it puts out."""
    from .trace import replay_trace

    replay_trace(file, number=number, revealed=reveal)


@trace.command(epilog=_EXIT_CODES)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--fails",
    required=True,
    metavar="EXPRESSION",
    help="What shows the fault: an event, such as AudioLost; \"SessionEnded.reason == 'failed'\"; or Python over "
    "events, times, commands, stats and error.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write the test here; - is standard output.  [test_FILE.py]"
)
@click.option("--call", "number", type=click.IntRange(min=1), metavar="N", help="Of several calls this one.")
@click.option(
    "--seconds", type=click.FloatRange(min=0.0), default=50.0, show_default=True, help="How long to search at most."
)
@click.option("--private", is_flag=True, help="Keep what was said in the test, where the trace holds it.")
@debug_option
def shrink(file: Path, fails: str, output: Path | None, number: int | None, seconds: float, private: bool) -> None:
    """Cut a call down to the fewest inputs that still show a fault, and write a test that replays them.

    \b
    --fails AudioLost                            some audio was given up
    --fails "SessionEnded.reason == 'failed'"    the session failed
    --fails "FinalTranscript.latency > 3"        a final came late
    --fails "LinkLost and not AudioLost"         a link was lost, and no audio
    --fails "len(stats.links) > 3"               it took more than three links
    --fails "sum(isinstance(e, LinkLost) for e in events) > 2"
    --fails error                                the session raised what it may not

    The search is for any cause of that: say it as narrowly as you can, "SessionEnded.failure.status == 401". What was
    said is left out, unless --private. Of several calls the first one that shows it is taken.
    """
    from .shrink import Options
    from .shrink import shrink as shrink_trace

    shrink_trace(file, Options(fails=fails, output=output, number=number, seconds=seconds, private=private))


@commands.command(epilog=_EXIT_CODES)
@service_options("Look at this machine alone, not at the way to the service.", keyless=True)
@debug_option
def doctor(service: Service) -> None:
    """Look at what a call needs: key, address, proxy, TLS, clock, engines, sound devices, versions.

    Each is told in a line, with what to do where it is wrong. With a key, half a second of silence is transcribed. The
    exit code is 1 if anything is wrong.
    """
    from .doctor import doctor as look_at_all

    if not look_at_all(service):
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
@click.option(
    "--max-files",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="How many files to transcribe at a time; more wait for their turn.",
)
@click.option(
    "--max-speech",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="How many syntheses at a time, idle sockets too; one more is turned away with 503, or close code 1013.",
)
@click.option(
    "--plan",
    type=click.Choice(["standard"]),
    help="Have the limits of this plan too: 1 synthesis at a time, 5 sockets for it, 100 live streams, 25 files a "
    "minute; more is answered with 429.",
)
@click.option(
    "--like",
    multiple=True,
    metavar="KIND",
    help="Be as awkward as the service can be: unlabelled, twice, empty-finals, no-times, rounding=0.1, late=1 and "
    "others, several at a time; a number alone draws some.",
)
@click.option("--english-only", is_flag=True, help="Refuse other languages, as a region that lacks them does.")
@click.option("--any-voice", is_flag=True, help="Take voices that the service is not known to have.")
@fault_option
@debug_option
def serve(**options: Any) -> None:
    """Run the local server: a stand-in for the service, for development, until Ctrl-C."""
    from .serve import Options
    from .serve import serve as run_server

    run_server(Options(**options))
