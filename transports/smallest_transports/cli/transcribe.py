"""``smallest-proto transcribe``: files to transcripts, over HTTP or as a live stream, by the service or locally."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from smallest_proto.config import FileTranscriptionConfig, Timeouts, TranscriptionConfig
from smallest_proto.errors import StatusError
from smallest_proto.transcription.events import Event, FinalTranscript
from smallest_proto.transcription.transcript import LiveTranscript
from smallest_proto.values import Value
from smallest_transports.asyncio import Client
from smallest_transports.local.decoding import Raw
from smallest_transports.local.faults import Fault

from .camera import Camera
from .connecting import LONGEST_ANSWER, PATIENT, connect
from .formats import SUFFIXES, Transcript, render
from .options import Service
from .outages import Outages, missing_by
from .output import check_output, keep, output_names, write_file, write_out
from .problems import Problem, WrongUse, explain, say, show_details
from .progress import Bar, Progress
from .running import in_real_time, in_thread, run, stream_pieces
from .sources import LIVE_RATE, PIECE_SECONDS, AudioReader, Source, find_source, seconds_of, why_unreadable

# What a service may hear less of a file than it tells of: decoders trim what encoders padded.
_LEAST_MISSING, _PART_MISSING = 1.0, 0.02  # seconds, and a part of the whole
_LONGEST_LAST = 60.0  # seconds for the last final: a recogniser on a small machine can be behind


class Options(Value, frozen=True, kw_only=True):
    """What ``transcribe`` was asked for."""

    live: bool
    service: Service
    format: str
    language: str
    model: str
    output: Path | None
    jobs: int
    faults: tuple[Fault, ...] = ()
    raw: Raw | None = None
    extra: Mapping[str, str] = {}
    picture: Path | None = None


def transcribe(names: Sequence[str], options: Options) -> bool:
    """Transcribe every file; whether all went well. What is wrong with the options raises before any work is done."""
    config = _configure(options)
    places = _places(names, options)
    # Before the loop: a read of a pipe cannot be cancelled.
    sources = [_source(name, options) for name in names]
    with Camera(options.picture) as camera:
        return run(_transcribe(sources, places, config, options, camera))


def _configure(options: Options) -> TranscriptionConfig | FileTranscriptionConfig:
    if options.live:
        return TranscriptionConfig(
            model=options.model, language=options.language, sample_rate=LIVE_RATE, extra=options.extra
        )
    return FileTranscriptionConfig(
        model=options.model, language=options.language, word_timestamps=True, extra=options.extra
    )


def _places(names: Sequence[str], options: Options) -> list[Path] | None:
    """A file for each transcript, or ``None`` where all go to one place."""
    if names.count("-") > 1:
        raise WrongUse("standard input can be read once: give '-' once")
    output = options.output
    if output is None or not output.is_dir():
        if len(names) > 1 and options.format in ("srt", "vtt"):
            raise WrongUse(
                f"{len(names)} files do not go into one {options.format} file: give a directory that exists to --output"
            )
        if output is not None:
            check_output(output)
        return None
    check_output(output)
    return output_names(output, names, SUFFIXES[options.format])


def _source(name: str, options: Options) -> Source | Problem:
    try:
        return find_source(name, live=options.live, raw=options.raw)
    except Problem as problem:
        return problem


async def _transcribe(
    sources: Sequence[Source | Problem],
    places: list[Path] | None,
    config: TranscriptionConfig | FileTranscriptionConfig,
    options: Options,
    camera: Camera,
) -> bool:
    well = True
    texts: list[str] = []  # for the one file of --output
    progress = Progress(shown=any(isinstance(source, Source) for source in sources))
    room = asyncio.Semaphore(options.jobs)

    async def one(client: Client | None, source: Source | Problem) -> _Outcome:
        if isinstance(source, Problem) or client is None:
            return None, source if isinstance(source, Problem) else None
        async with room:
            return await _transcribe_one(client, source, config, progress, paced=bool(options.faults))

    def deliver(at: int, transcript: Transcript) -> None:
        text = render(transcript, options.format, headed=len(sources) > 1)
        if places is not None:
            write_file(places[at], text)
        elif options.output is not None:
            texts.append(text)
        else:
            write_out(text)

    needed = any(isinstance(source, Source) for source in sources)
    connected = connect(
        options.service,
        timeouts=_timeouts(options),
        faults=options.faults,
        jobs=options.jobs,
        trace=camera.trace,
    )
    async with connected if needed else contextlib.nullcontext(None) as client:
        tasks = [asyncio.ensure_future(one(client, source)) for source in sources]
        try:
            with progress:
                for at, task in enumerate(tasks):  # in the order in which they were named
                    transcript, problem = await task
                    with progress.paused():
                        try:
                            if transcript is not None:
                                deliver(at, transcript)
                        except Problem as unwritten:
                            problem = problem or unwritten
                        if problem is not None:
                            well = False
                            say(f"Error: {explain(problem)}")
                            show_details(problem)
        except asyncio.CancelledError:
            if texts:  # they were paid for
                say(f"Interrupted before {options.output} was whole{keep(''.join(texts), 'transcripts')}")
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    if options.output is not None and texts:
        write_file(options.output, "".join(texts))
    return well


_Outcome = tuple[Transcript | None, Exception | None]  # both, where something of the transcript is missing


def _timeouts(options: Options) -> Timeouts:
    if not options.service.local:
        return Timeouts(response=LONGEST_ANSWER, last=_LONGEST_LAST)
    if options.faults:  # then a link can be lost: it is to be noticed as it would be in a call
        return Timeouts(last=_LONGEST_LAST)
    return PATIENT


async def _transcribe_one(
    client: Client,
    source: Source,
    config: TranscriptionConfig | FileTranscriptionConfig,
    progress: Progress,
    *,
    paced: bool,
) -> _Outcome:
    with progress.bar(source.name) as bar:
        try:
            if isinstance(config, TranscriptionConfig):
                return await _live(client, source, config, bar, paced=paced)
            return await _over_http(client, source, config)
        except Exception as error:  # whatever it is, it is this file's alone
            return None, _of(source, error)


def _of(source: Source, error: Exception) -> Exception:
    """The same error, with the file's name before what it says."""
    if isinstance(error, Problem):  # says it already
        return error
    named = Problem(f"{source.name}: {explain(error)}")
    named.__cause__ = error
    return named


async def _over_http(client: Client, source: Source, config: FileTranscriptionConfig) -> _Outcome:
    try:
        answer = await client.transcribe(source.path if source.path is not None else source.data, config)
    except StatusError as error:
        if error.failure.status in (400, 415, 422) and (why := await asyncio.to_thread(why_unreadable, source)):
            raise Problem(f"{why} (the service: HTTP {error.failure.status})") from error
        raise
    whole = await asyncio.to_thread(seconds_of, source)
    problem = None
    if answer.duration is not None and whole - answer.duration > max(_LEAST_MISSING, whole * _PART_MISSING):
        heard = f"the service heard {answer.duration:.1f} s of its {whole:.1f} s"
        problem = Problem(
            f"{source.name}: {heard}: the transcript may lack the rest; --live streams all that can be read"
        )
    transcript = Transcript(
        name=source.name,
        text=answer.text,
        words=answer.words,
        utterances=answer.utterances,
        language=answer.language or config.language,
        duration=answer.duration,
        request_id=answer.request_id,
    )
    return transcript, problem


async def _live(client: Client, source: Source, config: TranscriptionConfig, bar: Bar, *, paced: bool) -> _Outcome:
    finals: list[FinalTranscript] = []
    missing: list[str] = []
    outages = Outages(lambda line: bar.say(f"{source.name}: {line}"))

    def heard(event: Event) -> None:
        if isinstance(event, FinalTranscript):
            finals.append(event)
            bar.move(event.end, duration)
        elif what := missing_by(event):
            missing.append(what)

    with await asyncio.to_thread(AudioReader, source) as reader:
        duration = reader.duration
        bar.move(0.0, duration)
        pieces = in_thread(reader.pieces())
        await stream_pieces(client, config, in_real_time(pieces, PIECE_SECONDS) if paced else pieces, heard, outages)
        for note in reader.notes:
            bar.say(f"{source.name}: {note}")
        missing += reader.missing
    made = LiveTranscript.of(finals)
    transcript = Transcript(
        name=source.name,
        text=made.text,
        words=made.words,
        utterances=made.utterances,
        language=made.language or config.language,
        duration=round(duration, 3),
    )
    problem = Problem(f"{source.name}: the transcript may lack {'; '.join(missing)}") if missing else None
    return transcript, problem
