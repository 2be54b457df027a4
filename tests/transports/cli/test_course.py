"""The pace and the figures of a live stream by a clock of the test's own, and how it is shown."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator

import pytest
from rich.console import Console

from smallest_proto.transcription.events import FinalTranscript
from smallest_transports.cli.course import Course
from smallest_transports.cli.views import Lines, Screen

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


async def audio(pieces: int) -> AsyncIterator[bytes]:
    for _ in range(pieces):
        yield PIECE


async def send(course: Course, clock: Clock, pieces: int) -> list[float]:
    times: list[float] = []
    async for _ in course.pieces(audio(pieces)):
        times.append(clock.now - 1000.0)
    return times


async def test_pieces_keep_to_the_start_and_do_not_drift() -> None:
    clock = Clock()
    times = await send(Course(paced=True, clock=clock, sleep=clock.sleep), clock, 1000)
    assert times == pytest.approx([0.05 * number + 0.004 for number in range(1, 1001)])


async def test_what_came_late_is_caught_up() -> None:
    clock = Clock()
    course = Course(paced=True, clock=clock, sleep=clock.sleep)

    times: list[float] = []
    async for _ in course.pieces(audio(40)):
        times.append(clock.now - 1000.0)
        clock.now += 0.5 if len(times) == 10 else 0.0  # the consumer was held up
    assert times[-1] == pytest.approx(40 * 0.05 + 0.004)


async def test_latency_counts_from_the_sample_that_ended_the_speech() -> None:
    clock = Clock()
    course = Course(paced=True, clock=clock, sleep=clock.sleep)
    await send(course, clock, 40)  # the piece that ends at 1.0 s left at 1.004
    clock.now = 1000.0 + 1.004 + 0.75
    assert course.final(final("it was the best", 1.0)) == pytest.approx(0.75)
    clock.now += 1.0
    assert course.final(final("of times", 1.0)) == pytest.approx(1.75)
    assert "Word error rate    0.0%" in course.accuracy("It was the best of times.")
    (latency,) = course.latency()
    assert "p50 1.25 s, p99 1.74 s" in latency
    assert "2 finals" in latency
    assert "processor time, server and client, for 2.0 s of audio" in course.effort()


async def test_without_real_time_there_is_no_latency() -> None:
    clock = Clock()
    course = Course(paced=False, clock=clock, sleep=clock.sleep)
    assert await send(course, clock, 40) == [0.0] * 40
    clock.now += 0.5
    assert course.final(final("it was", 1.0)) is None
    assert "50.0%  (0 of 4 words other, 2 missed, 0 added" in course.accuracy("it was the best")
    assert course.effort() == "Real-time factor   0.25  (0.5 s for 2.0 s of audio)"
    (latency,) = course.latency()
    assert "not measured" in latency


def test_nothing_heard_is_told_as_it_is() -> None:
    course = Course(paced=True)
    assert "100.0%" in course.accuracy("it was")
    assert course.latency() == []


def test_a_pipe_gets_finals_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with (lines := Lines()):
        lines.interim("it was the west")
        lines.final(final("It was the best of times.", 61.25), 0.71)
    assert capsys.readouterr().out == "00:00.0 – 01:01.2  It was the best of times.  (+0.71 s)\n"


async def test_a_terminal_sees_the_interim_move_and_the_final_stay() -> None:
    file = io.StringIO()
    clock = Clock()
    course = Course(paced=True, clock=clock, sleep=clock.sleep)
    await send(course, clock, 20)
    with (screen := Screen(Console(file=file, force_terminal=True, width=80), course, 44.0)):
        screen.interim("it was [the] west")
        screen._display._draw()
        screen.final(final("It was [the] best.", 1.2), None)
    shown = file.getvalue()
    assert "it was [the] west" in shown
    assert "00:01.0 of 00:44.0" in shown
    assert "It was [the] best." in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back
