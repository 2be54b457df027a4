"""``smallest-proto speak``: text to a file of speech or to the loudspeaker, by the service or locally."""

from __future__ import annotations

import contextlib
import io
import sys
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import msgspec

from smallest_proto.config import OutputFormat, SynthesisConfig
from smallest_proto.errors import RemoteError, StatusError
from smallest_proto.http.seams import seam_of
from smallest_proto.http.voices import Voice, check_voice
from smallest_proto.values import Value
from smallest_transports._speech import SUFFIXES
from smallest_transports.asyncio import Client

from .connecting import connect
from .options import Service
from .output import check_output, keep, write_file, write_out
from .playing import Player
from .problems import Problem, WrongUse, explain
from .progress import Progress
from .running import run
from .texts import given_text, pieces_of

_TELEPHONE_RATE = 8000  # Hz: what mu-law and A-law are for
# What a file's name says of it: a .wav is wav, though the client would make it of pcm as well.
_KINDS: dict[str, OutputFormat] = {suffix: kind for kind in get_args(OutputFormat) for suffix in SUFFIXES[kind]}


class Options(Value, frozen=True, kw_only=True):
    """What ``speak`` was asked for."""

    service: Service
    voice: SynthesisConfig
    output: Path | None  # "-" is standard output
    format: OutputFormat | None  # None: as the name of the output says
    rate: int | None  # Hz
    play: bool


def speak(words: Sequence[str], options: Options) -> None:
    """Speak the text. What is wrong with it or with the options raises before anything is sent."""
    text = given_text(words, local=options.service.local)
    kind = _kind(options) if options.output is not None else "pcm"
    rate = options.rate or (_TELEPHONE_RATE if kind in ("ulaw", "alaw") else options.voice.sample_rate)
    config = msgspec.structs.replace(options.voice, sample_rate=rate)
    encode = _encoder(kind, rate)
    audio: list[bytes] = []
    try:
        run(_speak(pieces_of(text), config, options, audio))
    except (RemoteError, Problem) as error:
        if not audio or options.output is None:
            raise
        # What was spoken by then was paid for.
        name = f"speech.{kind}" if options.output == Path("-") else options.output.name
        raise Problem(f"{explain(error)}; not all was spoken{keep(encode(b''.join(audio)), name)}") from error
    pcm = b"".join(audio)
    if options.output is None:
        return
    if options.output == Path("-"):
        write_out(encode(pcm))
    else:
        write_file(options.output, encode(pcm))


def list_voices(service: Service, model: str) -> None:
    """The voices of a model as a table on standard output. Raises ``Problem`` if there are none."""
    voices = run(_voices(service, model))
    if not voices:
        raise Problem(f"no voices are listed for {model}")
    write_out(table(voices))


def table(voices: Sequence[Voice]) -> str:
    """A line for each voice under the names of the columns, without columns in which there is nothing."""
    rows: list[tuple[str, ...]] = [("VOICE", "NAME", "LANGUAGE", "GENDER", "ACCENT", "AGE", "USE")]
    for voice in sorted(voices, key=lambda voice: voice.id):
        uses = ", ".join(voice.use_cases)
        known = (voice.id, voice.name, ", ".join(voice.languages), voice.gender, voice.accent, voice.age, uses)
        rows.append(tuple(" ".join((text or "").split()) for text in known))
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    padded = [[cell.ljust(max(map(len, column))) for cell in column] for column in columns]
    return "".join("  ".join(row).rstrip() + "\n" for row in zip(*padded, strict=True))


def _kind(options: Options) -> OutputFormat:
    """What the output is to hold, found before the work is done to be possible."""
    path = options.output
    assert path is not None
    if path == Path("-"):
        if sys.stdout is not None and sys.stdout.isatty():
            raise WrongUse("standard output is a terminal, which shows no audio: pipe it into a player, or name a file")
        return options.format or "wav"
    if path.is_dir():
        raise WrongUse(f"{path}: is a directory: name a file in it, such as {path / 'speech.wav'}")
    suffix = path.suffix.lower()
    named = _KINDS.get(suffix)
    kind = options.format or named
    if kind is None:
        what = f"{suffix} is no format of speech" if suffix else "its name does not say what it is to hold"
        raise WrongUse(f"{path}: {what}: let it end in one of {', '.join(_KINDS)}, or add --format")
    if named not in (None, kind):
        raise WrongUse(f"{path}: its name says {named}, and --format says {kind}: leave out --format")
    check_output(path)
    return kind


def _encoder(kind: OutputFormat, rate: int) -> Callable[[bytes], bytes]:
    """From linear16 to what a file holds. Raises ``ConfigurationError`` for a format that cannot be made here.

    The service is asked for pcm whatever becomes of it: of that the pieces of a long text can be joined to one file,
    with one header that is true.
    """
    if kind == "wav":
        return lambda pcm: _wav(pcm, rate)
    from smallest_transports.local.encoders import encoder

    made = encoder(SynthesisConfig(output_format=kind, sample_rate=rate))
    return lambda pcm: made.feed(pcm) + made.end()


def _wav(pcm: bytes, rate: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setparams((1, 2, rate, 0, "NONE", "not compressed"))
        made.writeframes(pcm)
    return file.getvalue()


async def _speak(pieces: Sequence[str], config: SynthesisConfig, options: Options, audio: list[bytes]) -> None:
    seam = seam_of(config)
    spoken, whole = 0, sum(map(len, pieces))
    with Player(config.sample_rate) if options.play else contextlib.nullcontext(None) as player:

        def hear(pcm: bytes) -> None:
            if pcm:
                audio.append(pcm)
                if player is not None:
                    player.play(pcm)

        async with connect(options.service) as client:
            # All of them first: what cannot be spoken is found before a part of it was.
            speeches = [client.synthesize(piece, config, sse=True) for piece in pieces]
            if config.voice_id is not None:
                await _check_voice(client, config)
            with Progress() as progress, progress.bar("speaking") as bar:
                try:
                    for piece, speech in zip(pieces, speeches, strict=True):
                        if spoken:
                            hear(seam.next())
                        async with speech:
                            async for chunk in speech:
                                hear(seam.feed(chunk.data))
                        spoken += len(piece)
                        bar.move(spoken, whole)
                finally:
                    hear(seam.end())
        if player is not None:
            await player.finish()


async def _check_voice(client: Client, config: SynthesisConfig) -> None:
    try:
        voices = await client.voices(config.model)
    except StatusError as error:
        if error.failure.status in (404, 405, 501):  # a server that speaks and has no list
            return
        raise
    if voices:
        check_voice(config, voices)


async def _voices(service: Service, model: str) -> tuple[Voice, ...]:
    async with connect(service) as client:
        return await client.voices(model)
