"""``smallest-proto say-and-hear``: text is spoken, and its speech transcribed while it comes: both services at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec

from smallest_proto.audio import AudioFormat, Framer
from smallest_proto.config import SynthesisConfig, Timeouts, TranscriptionConfig
from smallest_proto.synthesis.events import AudioChunk, SpokenSoFar
from smallest_proto.values import Value
from smallest_transports._speech import SynthesisStream
from smallest_transports.local.faults import Fault

from .camera import Camera
from .connecting import PATIENT, connect
from .course import Course
from .options import Service
from .outages import Outages
from .output import show
from .problems import Problem, say
from .running import run
from .sources import LIVE_RATE
from .texts import given_text
from .views import show_live


class Options(Value, frozen=True, kw_only=True):
    """What ``say-and-hear`` was asked for."""

    service: Service
    voice: SynthesisConfig
    fast: bool
    faults: tuple[Fault, ...] = ()
    picture: Path | None = None


def say_and_hear(words: Sequence[str], options: Options) -> None:
    """Show what was said, what was heard, and how well and how fast that went."""
    text = given_text(words, local=options.service.local)
    voice = msgspec.structs.replace(options.voice, sample_rate=LIVE_RATE, word_timestamps=True)
    ear = TranscriptionConfig(language=voice.language or "en", sample_rate=LIVE_RATE)
    with Camera(options.picture) as camera:
        run(_say_and_hear(text, voice, ear, options, camera))


async def _say_and_hear(
    text: str, voice: SynthesisConfig, ear: TranscriptionConfig, options: Options, camera: Camera
) -> None:
    course = Course(paced=not options.fast)
    if options.service.local:
        await asyncio.to_thread(_load_engines)  # first: it is not to count as latency
    async with (
        connect(options.service, timeouts=_timeouts(options), faults=options.faults, trace=camera.trace) as client,
        # Where links are to be lost, audio waits for its word's time: then the next one goes on with the next word.
        client.stream_synthesis(voice, resume=bool(options.faults), strict=False) as stream,
    ):
        mouth = Mouth(stream)
        for line in ("Said:", text.strip(), "", "Heard:"):
            show(line)
        await mouth.say(text)
        missing = await show_live(client, ear, mouth.pieces(), course, who="hearing: ")
    show()
    for line in (course.accuracy(text), *mouth.latency(), *course.latency()):
        show(line)
    if missing or mouth.missing:
        raise Problem("; ".join([*mouth.missing, *(f"the transcript may lack {what}" for what in missing)]))


def _timeouts(options: Options) -> Timeouts:
    if not options.fast:
        return Timeouts()
    # Faster than real time the recogniser is behind at the end: its last final takes its time.
    return PATIENT if options.service.local else Timeouts(last=300.0)


def _load_engines() -> None:
    from smallest_transports.local.recogniser import engines
    from smallest_transports.local.synthesiser import synthesiser

    engines()
    synthesiser()


class Mouth:
    """Speech as a stream of transcription takes it, and when the first of it was here."""

    def __init__(self, stream: SynthesisStream, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._begun = 0.0
        self._first: float | None = None  # seconds until the first audio
        self.missing: list[str] = []  # what was not spoken

    async def say(self, text: str) -> None:
        """Give the text, all of it."""
        self._begun = self._clock()
        await self._stream.send_text(text)
        await self._stream.end_input()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The audio in pieces of 50 ms, the last one shorter, as it comes."""
        framer = Framer(AudioFormat(sample_rate=LIVE_RATE))
        outages = Outages(lambda line: say(f"speaking: {line}"))
        async for event in self._stream:
            outages.heard(event)
            if isinstance(event, AudioChunk):
                if self._first is None:
                    self._first = self._clock() - self._begun
                for piece in framer.push(event.data):
                    yield piece.data
            elif isinstance(event, SpokenSoFar):
                self.missing.append(f"the speech may lack what comes after its first {event.seconds:.1f} s")
        if (rest := framer.flush()) is not None:
            yield rest.data

    def latency(self) -> list[str]:
        """How long it took to begin, in one line, if it did."""
        if self._first is None:
            return []
        when = "from when the text was given until its first audio was here, a new link in it"
        return [f"First sound        {self._first:.2f} s  ({when})"]
