"""``smallest-proto listen``: a microphone becomes text, live, until Ctrl-C."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from smallest_proto.config import Timeouts, TranscriptionConfig
from smallest_proto.transcription.transcript import LiveTranscript
from smallest_proto.values import Value
from smallest_transports.local.faults import Fault

from .connecting import connect
from .course import Course
from .formats import SUFFIXES, Transcript, render
from .microphone import Meter, Microphone, RecordedMicrophone, list_devices, open_microphone
from .options import Service
from .output import check_output, show, write_file
from .problems import Problem, WrongUse, say
from .running import ends_gently, run
from .sources import LIVE_RATE
from .views import show_live

_LONGEST_LAST = 60.0  # seconds for the last final: a recogniser on a small machine can be behind


class Options(Value, frozen=True, kw_only=True):
    """What ``listen`` was asked for."""

    service: Service
    device: str | None
    to: Path | None
    language: str
    model: str
    faults: tuple[Fault, ...] = ()


def show_devices() -> None:
    """List the devices that can record."""
    for line in list_devices():
        show(line)


def listen(options: Options) -> None:
    """Show what a microphone hears; what became final is in ``options.to`` at the end, however that comes."""
    if options.to is not None:
        if options.to.suffix.lower() not in SUFFIXES.values():
            raise WrongUse(f"--to {options.to}: let the name end in {', '.join(SUFFIXES.values())}")
        check_output(options.to, "--to")
    run(_listen(options))


async def _listen(options: Options) -> None:
    course = Course(paced=True, is_live=True)
    if options.service.local:
        await asyncio.to_thread(_load_engines)  # first: nobody is to speak to what does not hear yet
    config = TranscriptionConfig(model=options.model, language=options.language, sample_rate=LIVE_RATE)
    timeouts = Timeouts(last=_LONGEST_LAST)
    missing: list[str] = []
    # Opened first: without a microphone there is nothing to connect for.
    with open_microphone(options.device, say) as microphone:
        async with connect(options.service, timeouts=timeouts, faults=options.faults) as client:
            meter = Meter(say)
            say("Listening; Ctrl-C ends.")
            try:
                with ends_gently(microphone.stop):
                    pieces = _measured(microphone, meter)
                    missing = await show_live(client, config, pieces, course, note=lambda: f"  {meter}")
            finally:
                if options.to is not None:
                    _write(options.to, course, options)
    if missing:
        raise Problem(f"the transcript may lack {'; '.join(missing)}")


def _load_engines() -> None:
    from smallest_transports.local.recogniser import engines

    engines()


async def _measured(microphone: Microphone | RecordedMicrophone, meter: Meter) -> AsyncIterator[bytes]:
    async for piece in microphone.pieces():
        meter.heard(piece)
        yield piece


def _write(path: Path, course: Course, options: Options) -> None:
    made = LiveTranscript.of(course.finals)
    transcript = Transcript(
        name=options.device or "microphone",
        text=made.text,
        words=made.words,
        utterances=made.utterances,
        language=made.language or options.language,
        duration=round(course.sent_seconds, 3),
    )
    format = next(name for name, suffix in SUFFIXES.items() if suffix == path.suffix.lower())
    write_file(path, render(transcript, format))
    say(f"Written to {path}.")
