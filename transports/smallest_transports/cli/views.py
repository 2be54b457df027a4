"""A live stream as a person sees it: on a terminal text that moves until it is settled, in a pipe a line a final."""

from __future__ import annotations

from collections.abc import AsyncIterable

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from smallest_proto.config import TranscriptionConfig
from smallest_proto.transcription.events import Event, FinalTranscript, InterimTranscript
from smallest_transports.asyncio import Client

from .course import Course
from .outages import Outages, missing_by
from .running import stream_pieces


async def show_live(
    client: Client,
    config: TranscriptionConfig,
    pieces: AsyncIterable[bytes],
    course: Course,
    outages: Outages,
    *,
    audio_seconds: float | None = None,
) -> list[str]:
    """Stream audio, ``audio_seconds`` long if that is known, and show what is heard. Returns what may be missing."""
    missing: list[str] = []
    console = Console()
    # A pipe has no screen to redraw, and a terminal that cannot move its cursor none either.
    view = Screen(console, course, audio_seconds) if console.is_terminal and not console.is_dumb_terminal else Lines()

    def heard(event: Event) -> None:
        if isinstance(event, InterimTranscript):
            view.interim(event.text)
        elif isinstance(event, FinalTranscript) and event.text:
            view.final(event, course.final(event))
        elif what := missing_by(event):
            missing.append(what)

    with view:
        await stream_pieces(client, config, course.pieces(pieces), heard, outages)
    return missing


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60):02d}:{seconds % 60:04.1f}"


def _settled(final: FinalTranscript, latency: float | None) -> str:
    late = f"  (+{latency:.2f} s)" if latency is not None else ""
    return f"{_clock(final.start)} – {_clock(final.end)}  {final.text}{late}"


class Lines:
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


class Screen:
    """For a terminal: finals scroll up and stay, the interim moves below them."""

    def __init__(self, console: Console, course: Course, audio_seconds: float | None) -> None:
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
        whole = f" of {_clock(self._audio_seconds)}" if self._audio_seconds is not None else ""
        where = Text(f"{_clock(self._course.sent_seconds)}{whole}", style="dim")
        return Group(Text(self._interim or "…", style="italic cyan"), where)
