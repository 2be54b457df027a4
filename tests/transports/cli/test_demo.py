"""The demo's pace and figures by a clock of the test's own; the demo itself, once, with the real recogniser."""

from __future__ import annotations

import asyncio
import io
import re
import signal
import subprocess
from collections.abc import Callable

import pytest
from rich.console import Console

from smallest_proto.events import FinalTranscript
from smallest_transports.cli.demo import Course, _Lines, _Screen

StartCommand = Callable[..., "subprocess.Popen[bytes]"]
PIECE = bytes(1600)  # 50 ms


class Clock:
    """Time that passes when somebody sleeps, and always a little more than was asked for."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds + 0.004


def final(text: str, end: float) -> FinalTranscript:
    return FinalTranscript(text=text, start=0.0, end=end)


async def send(course: Course, clock: Clock, pieces: int) -> list[float]:
    times: list[float] = []
    async for _ in course.pieces([PIECE] * pieces):
        times.append(clock.now - 1000.0)
    return times


def test_pieces_keep_to_the_start_and_do_not_drift() -> None:
    clock = Clock()
    times = asyncio.run(send(Course(paced=True, clock=clock, sleep=clock.sleep), clock, 1000))
    assert times == pytest.approx([0.05 * number + 0.004 for number in range(1, 1001)])


def test_what_came_late_is_caught_up() -> None:
    clock = Clock()
    course = Course(paced=True, clock=clock, sleep=clock.sleep)

    async def main() -> list[float]:
        times = []
        async for _ in course.pieces([PIECE] * 40):
            times.append(clock.now - 1000.0)
            clock.now += 0.5 if len(times) == 10 else 0.0  # the consumer was held up
        return times

    assert asyncio.run(main())[-1] == pytest.approx(40 * 0.05 + 0.004)


def test_latency_counts_from_the_sample_that_ended_the_speech() -> None:
    clock = Clock()
    course = Course(paced=True, clock=clock, sleep=clock.sleep)
    asyncio.run(send(course, clock, 40))  # the piece that ends at 1.0 s left at 1.004
    clock.now = 1000.0 + 1.004 + 0.75
    assert course.final(final("it was the best", 1.0)) == pytest.approx(0.75)
    clock.now += 1.0
    assert course.final(final("of times", 1.0)) == pytest.approx(1.75)
    report = "\n".join(course.report("It was the best of times.", 2.0))
    assert "Word error rate    0.0%" in report
    assert "p50 1.25 s, p99 1.74 s" in report
    assert "2 finals" in report
    assert "processor time" in report


def test_without_real_time_there_is_no_latency() -> None:
    clock = Clock()
    course = Course(paced=False, clock=clock, sleep=clock.sleep)
    assert asyncio.run(send(course, clock, 40)) == [0.0] * 40
    clock.now += 0.5
    assert course.final(final("it was", 1.0)) is None
    report = "\n".join(course.report("it was the best", 2.0))
    assert "50.0%  (0 of 4 words other, 2 missed, 0 added" in report
    assert "Real-time factor   0.25  (0.5 s for 2.0 s of audio)" in report
    assert "not measured" in report
    assert "p50" not in report


def test_nothing_heard_is_told_as_it_is() -> None:
    report = "\n".join(Course(paced=True).report("it was", 2.0))
    assert "100.0%" in report
    assert "p50" not in report


def test_a_pipe_gets_finals_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with (lines := _Lines()):
        lines.interim("it was the west")
        lines.final(final("It was the best of times.", 61.25), 0.71)
    assert capsys.readouterr().out == "00:00.0 – 01:01.2  It was the best of times.  (+0.71 s)\n"


def test_a_terminal_sees_the_interim_move_and_the_final_stay() -> None:
    file = io.StringIO()
    clock = Clock()
    course = Course(paced=True, clock=clock, sleep=clock.sleep)
    asyncio.run(send(course, clock, 20))
    with (screen := _Screen(Console(file=file, force_terminal=True, width=80), course, 44.0)):
        screen.interim("it was [the] west")
        screen._live.refresh()
        screen.final(final("It was [the] best.", 1.2), None)
    shown = file.getvalue()
    assert "it was [the] west" in shown
    assert "00:01.0 of 00:44.0" in shown
    assert "It was [the] best." in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back


def test_the_demo_hears_what_was_read(start_command: StartCommand) -> None:
    with start_command("demo", "--fast") as process:
        stdout, stderr = (stream.decode() for stream in process.communicate())
    assert process.returncode == 0, stderr
    assert stderr == ""
    rate = re.search(r"Word error rate +([0-9.]+)%", stdout)
    assert rate
    assert float(rate[1]) < 15
    finals = re.findall(r"^\d\d:\d\d\.\d – \d\d:\d\d\.\d  .+$", stdout, re.MULTILINE)
    assert len(finals) >= 3
    assert "Latency            not measured" in stdout
    assert "\x1b" not in stdout  # no colours and no cursor in a pipe


def test_ctrl_c_ends_the_demo_cleanly(start_command: StartCommand) -> None:
    with start_command("demo") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"A local server listens at http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stderr == b""
