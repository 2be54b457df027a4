"""The loop in virtual time: nobody waits, sockets are real, and what never happens is noticed."""

from __future__ import annotations

import asyncio

import pytest

from tests import virtual_time
from tests.virtual_time import run


def test_an_hour_is_over_at_once_and_in_order() -> None:
    seen: list[tuple[float, str]] = []

    async def main() -> float:
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        for at, name in ((3600.0, "late"), (0.5, "soon"), (1800.0, "between")):
            loop.call_at(at, lambda name=name: seen.append((loop.time(), name)))  # type: ignore[misc]
        loop.call_at(7200.0, over.set_result, None)
        await over
        return loop.time()

    assert run(main()) == 7200.0
    assert seen == [(0.5, "soon"), (1800.0, "between"), (3600.0, "late")]


def test_what_is_sent_over_a_socket_is_there_before_the_clock_jumps() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            for number in range(100):
                writer.write(b"%03d" % number)
                assert await asyncio.wait_for(reader.readexactly(3), 60) == b"%03d" % number
            writer.close()
            await writer.wait_closed()
        return loop.time()

    assert run(main()) < 60


def test_what_would_run_on_a_thread_runs_here() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, lambda: loop.time()) == 0.0
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, lambda: 1 / 0)

    run(main())


def test_a_loop_for_which_nothing_will_ever_happen_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_time, "_OUTSIDE", 0.01)

    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError, match="nothing is waited for"):
        run(main())
