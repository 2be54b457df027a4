"""``smallest-proto demo``: human speech becomes text, live, through real sockets, on this machine alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from smallest_proto.config import Timeouts, TranscriptionConfig
from smallest_proto.events import Event, FinalTranscript, InterimTranscript
from smallest_transports.asyncio import Client
from smallest_transports.local.faults import Fault, links_of
from smallest_transports.local.recogniser import engines
from smallest_transports.local.recordings import two_cities
from smallest_transports.local.server import LocalServer

from .measures import SentTimes, percentile, word_errors
from .outages import Outages, tell_left
from .problems import say
from .running import in_real_time, run, stream_pieces
from .sources import LIVE_RATE, PIECE_SECONDS, AudioReader, find_source


def demo(*, fast: bool, faults: Sequence[Fault] = ()) -> None:
    """Show the recording becoming text, then how well and how fast that went."""
    run(_demo(fast, faults))


async def _demo(fast: bool, faults: Sequence[Fault]) -> None:
    recording = two_cities()
    with AudioReader(find_source(str(recording.path), live=True)) as reader:
        pieces = list(reader.pieces())
    audio_seconds = sum(map(len, pieces)) / 2 / LIVE_RATE
    # Faster than real time the recogniser is behind at the end: its last final takes its time.
    timeouts = Timeouts(message_interval=0, last=300.0) if fast else Timeouts()
    config = TranscriptionConfig(language="en", sample_rate=LIVE_RATE)
    console = Console()
    course = Course(paced=not fast)
    # A pipe has no screen to redraw, and a terminal that cannot move its cursor none either.
    view = _Screen(console, course, audio_seconds) if console.is_terminal and not console.is_dumb_terminal else _Lines()

    def heard(event: Event) -> None:
        if isinstance(event, InterimTranscript):
            view.interim(event.text)
        elif isinstance(event, FinalTranscript) and event.text:
            view.final(event, course.final(event))

    await asyncio.to_thread(engines)  # loaded first: it is not to count as latency
    pace = "as fast as it is recognised" if fast else "in real time"
    async with (
        LocalServer(faults=faults, max_live=1 + links_of(faults)) as server,
        Client(api_key="local", base_url=server.base_url, timeouts=timeouts) as client,
    ):
        click.echo(
            f"A local server listens at {server.base_url}; {audio_seconds:.0f} s of human speech go there {pace}."
        )
        click.echo("")
        with view:
            await stream_pieces(client, config, course.pieces(pieces), heard, Outages(say))
        tell_left(say, server.faults_left)
    click.echo("")
    for line in course.report(recording.text, audio_seconds):
        click.echo(line)
    click.echo("")
    click.echo("Next: smallest-proto transcribe --local YOUR_FILE, or smallest-proto serve and point any client at it.")


class Course:
    """What went out when, what came back when, and what that says."""

    def __init__(
        self,
        *,
        paced: bool,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._paced = paced
        self._clock = clock
        self._sleep = sleep
        self._sent = SentTimes()
        self._finals: list[FinalTranscript] = []
        self._latencies: list[float] = []
        self._begun = self._ended = (0.0, 0.0)  # clock, processor time

    @property
    def sent_seconds(self) -> float:
        """Seconds of audio that went out so far."""
        return self._sent.samples / LIVE_RATE

    async def pieces(self, pieces: list[bytes]) -> AsyncIterator[bytes]:
        """The audio, each piece when its last sample would have come out of a microphone, or at once."""
        self._begun = (self._clock(), time.process_time())
        given: AsyncIterable[bytes] = _each(pieces)
        if self._paced:
            given = in_real_time(given, PIECE_SECONDS, clock=self._clock, sleep=self._sleep)
        async for piece in given:
            self._sent.sent(len(piece) // 2, self._clock())
            yield piece

    def final(self, final: FinalTranscript) -> float | None:
        """Note a final that is here now; its latency in seconds, where the pace makes it one."""
        now = self._clock()
        self._finals.append(final)
        self._ended = (now, time.process_time())
        sent = self._sent.when(round(final.end * LIVE_RATE))
        if not self._paced or sent is None:
            return None
        self._latencies.append(now - sent)
        return now - sent

    def report(self, reference: str, audio_seconds: float) -> list[str]:
        """The figures, a line each."""
        errors = word_errors(reference, " ".join(final.text for final in self._finals))
        clock, processor = (end - begin for begin, end in zip(self._begun, self._ended, strict=True))
        accuracy = (
            f"Word error rate    {errors.rate:.1%}  ({errors.substituted} of {errors.reference_words} words other, "
            f"{errors.missed} missed, {errors.added} added; case and punctuation aside)"
        )
        if not self._paced:
            return [
                accuracy,
                f"Real-time factor   {clock / audio_seconds:.2f}  ({clock:.1f} s for {audio_seconds:.1f} s of audio)",
                "Latency            not measured: it means something in real time alone; leave out --fast",
            ]
        effort = (
            f"Real-time factor   {processor / audio_seconds:.2f}  "
            f"({processor:.1f} s of processor time, server and client, for {audio_seconds:.1f} s of audio)"
        )
        lines = [accuracy, effort]
        if self._latencies:
            p50, p99 = percentile(self._latencies, 0.5), percentile(self._latencies, 0.99)
            lines.append(
                f"Latency            p50 {p50:.2f} s, p99 {p99:.2f} s  (from when a final's last sample was sent "
                f"until the final was here; {len(self._latencies)} finals; the pause that ends speech is in it)"
            )
        return lines


async def _each(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60):02d}:{seconds % 60:04.1f}"


def _settled(final: FinalTranscript, latency: float | None) -> str:
    late = f"  (+{latency:.2f} s)" if latency is not None else ""
    return f"{_clock(final.start)} – {_clock(final.end)}  {final.text}{late}"


class _Lines:
    """For a pipe: a line for each final."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def interim(self, text: str) -> None:
        """Shown on a screen alone."""

    def final(self, final: FinalTranscript, latency: float | None) -> None:
        """A line, out at once."""
        click.echo(_settled(final, latency))


class _Screen:
    """For a terminal: finals scroll up and stay, the interim moves below them."""

    def __init__(self, console: Console, course: Course, audio_seconds: float) -> None:
        self._console = console
        self._course = course
        self._audio_seconds = audio_seconds
        self._interim = ""
        self._live = Live(get_renderable=self._render, console=console, transient=True, refresh_per_second=12)

    def __enter__(self) -> None:
        self._live.start()

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def interim(self, text: str) -> None:
        """What is believed so far."""
        self._interim = text

    def final(self, final: FinalTranscript, latency: float | None) -> None:
        """What stays."""
        self._interim = ""
        self._console.print(Text(_settled(final, latency)))

    def _render(self) -> Group:
        where = Text(f"{_clock(self._course.sent_seconds)} of {_clock(self._audio_seconds)}", style="dim")
        return Group(Text(self._interim or "…", style="italic cyan"), where)
