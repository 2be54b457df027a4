"""What moves at the foot of a terminal leaves nothing behind and glues to nothing, however wide the window gets."""

from __future__ import annotations

import io
import re
import sys
from typing import ClassVar

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from smallest_proto.transcription.events import FinalTranscript
from smallest_transports.cli.course import Course
from smallest_transports.cli.display import Display
from smallest_transports.cli.problems import say
from smallest_transports.cli.progress import Progress
from smallest_transports.cli.views import Screen


class Window(io.StringIO):
    """A terminal that breaks its lines anew when it is made narrower or wider, as nearly all do."""

    _PART: ClassVar[re.Pattern[str]] = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.lines = [""]
        self.row = self.column = 0  # of a line that is not broken

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        for arguments, command, control, plain in self._PART.findall(text):
            if plain:
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + plain + line[self.column + len(plain) :]
                self.column += len(plain)
            elif control == "\r":  # the row that the last sign stands in, when it filled that
                self.column = max(0, self.column - 1) // self.width * self.width
            elif control == "\n":
                self.row, self.column = self.row + 1, 0
                self.lines += [""] * (self.row == len(self.lines))
            elif command == "A":
                self._up(int(arguments))
            elif command == "J":
                self.lines[self.row] = self.lines[self.row][: self.column]
                del self.lines[self.row + 1 :]
            else:
                assert command in "mhl", command
        return len(text)

    def _up(self, rows: int) -> None:
        for _ in range(rows):
            if self.column >= self.width:
                self.column -= self.width
            elif self.row:
                self.row -= 1
                self.column += max(0, len(self.lines[self.row]) - 1) // self.width * self.width

    @property
    def seen(self) -> list[str]:
        return [line.rstrip() for line in self.lines if line.strip()]


WORDS = st.lists(st.sampled_from(["it", "was", "the", "best", "incredulity", "of"]), min_size=1, max_size=40)
STEPS = st.lists(
    st.tuples(st.sampled_from(["interim", "final"]), WORDS) | st.tuples(st.just("width"), st.integers(20, 220)),
    max_size=25,
)


@given(st.sampled_from([60, 80, 200]), STEPS)
def test_what_stays_is_whole_and_what_moved_is_gone(width: int, steps: list[tuple[str, list[str] | int]]) -> None:
    window = Window(width)
    moving, stayed = "", []
    console = Console(file=window, force_terminal=True, width=width)

    def lines(width: int, height: int) -> list[Text]:
        return [*Text(moving.upper()).wrap(console, width), Text("00:00.0")][-height:]

    with Display(console, lines, clock=iter(range(10**6)).__next__) as display:
        for kind, value in steps:
            if isinstance(value, int):
                window.width = console.width = value
            elif kind == "interim":
                moving = " ".join(value)
                display.move()
            else:
                moving = ""
                stayed += value
                display.stay(Text(" ".join(value)))
        shown = " ".join(window.seen)
        assert shown.count("00:00.0") == 1
        assert shown.endswith("00:00.0")
    assert " ".join(" ".join(window.seen).split()) == " ".join(stayed)


def picture(shown: str, width: int) -> list[str]:
    """What a terminal that is not ours makes of it."""
    screen = pyte.Screen(width, 50)
    pyte.Stream(screen).feed(shown.replace("\n", "\r\n"))
    assert not screen.cursor.hidden
    return [line.rstrip() for line in screen.display if line.strip()]


OUTAGE = (
    "link 1 lost after 15.0 s: the connection was lost: Connection reset by peer; link 2 open 0.1 s later, 2.2 s of "
    "audio sent again"
)


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("colour", [True, False], ids=["colour", "plain"])
def test_an_outage_stands_whole_above_the_status_line(
    width: int, colour: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=width, height=50, no_color=not colour)
    stale = "it was the worst of times and it was the epoch of belief " * 4
    final = FinalTranscript(text="It was the best of times. " * 6, start=0.0, end=1.2)
    screen = Screen(console, Course(paced=True), 44.4)
    with screen:
        screen.interim(stale)
        screen._display._draw()
        say(OUTAGE)
        assert picture(file.getvalue() + "\x1b[?25h", width)[-1] == "00:00.0 of 00:44.4"
        screen.final(final, 0.71)
        say(OUTAGE)
    lines = " ".join(" ".join(picture(file.getvalue(), width)).split())
    assert lines.count(OUTAGE) == 2
    assert f"00:00.0 – 00:01.2 {final.text.strip()} (+0.71 s)" in lines
    assert "worst" not in lines
    assert "of 00:44.4" not in lines
    assert ("\x1b[33m" in file.getvalue()) == colour


def test_where_standard_error_goes_elsewhere_it_goes_there(capsys: pytest.CaptureFixture[str]) -> None:
    file = io.StringIO()
    with Display(Console(file=file, force_terminal=True, width=60), lambda *_: [Text("00:00.0")]):
        say(OUTAGE)
    assert OUTAGE not in file.getvalue()
    assert capsys.readouterr().err == f"{OUTAGE}\n"


async def test_bars_tell_files_apart_by_their_ends_and_are_gone_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    standard_error = Window(60)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys, "stderr", standard_error)
    names = [f"/calls/{'very ' * 20}long/{name}.wav" for name in ("one", "two")]
    with Progress() as progress, progress.bar(names[0]) as first, progress.bar(names[1]):
        first.move(11.0, 44.0)
        assert progress._display is not None
        progress._display._draw()
        one, two = standard_error.seen
        assert re.fullmatch(r"….*long/one\.wav  ━{5}·{15}  0:00", one)
        assert re.fullmatch(r"….*long/two\.wav  0:00", two)
        assert max(map(len, (one, two))) == 59
        first.say(f"one.wav: {OUTAGE}")
        with progress.paused():
            assert " ".join(standard_error.seen) == f"one.wav: {OUTAGE}"
    assert " ".join(standard_error.seen) == f"one.wav: {OUTAGE}"
