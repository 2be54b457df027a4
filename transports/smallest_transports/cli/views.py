"""Shows a live stream: on a terminal text that changes until it is final, in a pipe a line for each final."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from smallest_proto.config import TranscriptionConfig
from smallest_proto.transcription.events import Event, FinalTranscript, InterimTranscript
from smallest_transports.asyncio import Client

from .course import Course
from .display import Display
from .link_line import LinkLine
from .outages import Outages, missing_by
from .output import show
from .problems import say
from .running import stream_pieces


async def show_live(
    client: Client,
    config: TranscriptionConfig,
    pieces: AsyncIterable[bytes],
    course: Course,
    *,
    who: str = "",
    audio_seconds: float | None = None,
    note: Callable[[], str] = str,
) -> list[str]:
    """Stream audio, ``audio_seconds`` long if that is known, and show what is heard. Returns what may be missing.

    What became of the links is said, of ``who`` if it is named. ``note`` is shown behind the clock.
    """
    missing: list[str] = []
    console = Console()
    # A pipe has no screen to redraw, and a terminal that cannot move its cursor none either.
    view = (
        Screen(console, course, audio_seconds, note)
        if console.is_terminal and not console.is_dumb_terminal
        else Lines()
    )

    def heard(event: Event) -> None:
        view.links.heard(event)
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
        outages = Outages(lambda line: say(f"{who}{line}"))
        begun = lambda stream: view.links.begin(lambda: stream.stats)  # noqa: E731
        await stream_pieces(client, config, moving(), heard, outages, begun)
    return missing


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60):02d}:{seconds % 60:04.1f}"


def _settled(final: FinalTranscript, latency: float | None) -> str:
    late = f"  (+{latency:.2f} s)" if latency is not None else ""
    return f"{_clock(final.start)} – {_clock(final.end)}  {final.text.strip()}{late}"


class Lines:
    """For a pipe: a line for each final."""

    def __init__(self) -> None:
        self.links = LinkLine()  # shown on a screen alone

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
    """For a terminal: finals and what is said of links scroll up and stay; two lines move below.

    They are the end of the interim, and the clock with how the links are.
    """

    def __init__(
        self, console: Console, course: Course, audio_seconds: float | None, note: Callable[[], str] = str
    ) -> None:
        self._console = console
        self._course = course
        self._whole = f" of {_clock(audio_seconds)}" if audio_seconds is not None else ""
        self._note = note
        self._interim = ""
        self.links = LinkLine()
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
        interim = " ".join(self._interim.split()) or "…"
        if cell_len(interim) > width:  # its end is what is new
            interim = "…" + set_cell_size(interim[::-1], width - 1)[::-1].lstrip()
        where, links = f"{_clock(self._course.sent_seconds)}{self._whole}{self._note()}", self.links.words()
        status = Text(where, style="dim")
        if links:
            status.append(f"  {links}", style="" if self.links.open else "yellow")
        return [Text(interim, style="italic cyan"), status]
