"""Shows a live stream: on a terminal text that changes until it is final, in a pipe a line for each final."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

from rich.console import Console
from rich.text import Text

from smallest_proto.config import TranscriptionConfig
from smallest_proto.transcription.events import Event, FinalTranscript, InterimTranscript
from smallest_transports.asyncio import Client

from .course import Course
from .display import Display
from .outages import Outages, missing_by
from .output import show
from .problems import say
from .running import stream_pieces

_INTERIM_LINES = 4  # of text that changes: its end is new


async def show_live(
    client: Client,
    config: TranscriptionConfig,
    pieces: AsyncIterable[bytes],
    course: Course,
    *,
    who: str = "",
    audio_seconds: float | None = None,
) -> list[str]:
    """Stream audio, ``audio_seconds`` long if that is known, and show what is heard. Returns what may be missing.

    What became of the links is said, of ``who`` if it is named.
    """
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

    async def moving() -> AsyncIterator[bytes]:
        async for piece in course.pieces(pieces):
            view.move()
            yield piece

    with view:
        await stream_pieces(client, config, moving(), heard, Outages(lambda line: say(f"{who}{line}")))
    return missing


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60):02d}:{seconds % 60:04.1f}"


def _settled(final: FinalTranscript, latency: float | None) -> str:
    late = f"  (+{latency:.2f} s)" if latency is not None else ""
    return f"{_clock(final.start)} – {_clock(final.end)}  {final.text.strip()}{late}"


class Lines:
    """For a pipe: a line for each final."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def interim(self, text: str) -> None:
        """Shown on a screen alone."""

    def move(self) -> None:
        """Nothing moves in a pipe."""

    def final(self, final: FinalTranscript, latency: float | None) -> None:
        """A line, out at once."""
        show(_settled(final, latency))


class Screen:
    """For a terminal: finals and what is said of links scroll up and stay, the interim and the clock move below."""

    def __init__(self, console: Console, course: Course, audio_seconds: float | None) -> None:
        self._console = console
        self._course = course
        self._whole = f" of {_clock(audio_seconds)}" if audio_seconds is not None else ""
        self._interim = ""
        self._display = Display(console, self._lines)

    def __enter__(self) -> None:
        self._display.__enter__()

    def __exit__(self, *_: object) -> None:
        self._display.__exit__()

    def interim(self, text: str) -> None:
        """What is believed so far."""
        self._interim = text
        self.move()

    def final(self, final: FinalTranscript, latency: float | None) -> None:
        """What stays."""
        self._interim = ""
        self._display.stay(Text(_settled(final, latency)))

    def move(self) -> None:
        """Time has passed."""
        self._display.move()

    def _lines(self, width: int, height: int) -> list[Text]:
        heard = Text(self._interim or "…", style="italic cyan").wrap(self._console, width)
        for line in heard:
            line.rstrip()
        where = Text(f"{_clock(self._course.sent_seconds)}{self._whole}", style="dim")
        return [*heard[-min(_INTERIM_LINES, max(1, height - 1)) :], where]
