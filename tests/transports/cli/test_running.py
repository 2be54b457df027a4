"""Signals end a command cleanly; audio goes out while events come in, and the first error ends both."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator

import click
import pytest

from smallest_transports.cli.running import in_real_time, in_thread, run


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_what_runs_and_cleans_up(number: signal.Signals, code: int) -> None:
    done: list[str] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            done.append("cleaned up")

    before = signal.getsignal(number)
    with pytest.raises(click.exceptions.Exit) as stopped:
        run(work())
    assert stopped.value.exit_code == code
    assert done == ["cleaned up"]
    assert signal.getsignal(number) == before


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_ctrl_c_does_not_wait() -> None:
    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()  # a cleanup that hangs

    with pytest.raises((KeyboardInterrupt, click.exceptions.Exit)):
        run(work())


def test_what_is_ignored_stays_ignored() -> None:
    """A shell starts jobs in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:

        async def work() -> str:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0)
            return "done"

        assert run(work()) == "done"
    finally:
        signal.signal(signal.SIGINT, before)


def test_it_runs_outside_the_main_thread_too() -> None:
    async def work() -> str:
        return "done"

    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(run(work())))
    thread.start()
    thread.join()
    assert results == ["done"]


def test_a_cancellation_of_ones_own_is_not_a_signal() -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run(work())


def test_a_file_is_read_off_the_loop() -> None:
    threads: set[int] = set()

    def read() -> Iterator[bytes]:
        threads.add(threading.get_ident())
        yield from (b"a", b"b")

    async def work() -> list[bytes]:
        return [item async for item in in_thread(read())]

    assert run(work()) == [b"a", b"b"]
    assert threads.isdisjoint({threading.get_ident()})


def test_real_time_keeps_to_the_start() -> None:
    clock = [1000.0]
    given: list[float] = []

    async def sleep(seconds: float) -> None:
        clock[0] += seconds + 0.004

    async def work() -> None:
        pieces = in_thread(iter([b"a"] * 40))
        async for _ in in_real_time(pieces, 0.05, clock=lambda: clock[0], sleep=sleep):
            given.append(clock[0] - 1000.0)
            clock[0] += 0.5 if len(given) == 10 else 0.0  # whoever takes it was held up: then it is caught up

    run(work())
    assert given[:10] == pytest.approx([0.05 * number + 0.004 for number in range(1, 11)])
    assert given[10] == pytest.approx(0.5 + 0.504 + 0.004)
    assert given[39] == pytest.approx(40 * 0.05 + 0.004)
