"""The fixtures of the plugin's tests: a loop that must end clean, and all that was logged."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from livekit.agents import APIConnectOptions
from livekit.plugins.smallest_proto._options import STTOptions

from smallest_proto import Timeouts


def _ours(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and ("smallest" in code.co_filename or "livekit" in code.co_filename)


@pytest.fixture
def run() -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Runs a test to the end in a new loop; then no task may be left, and the loop may not have complained."""

    def run(test: Callable[[], Awaitable[None]]) -> None:
        complaints: list[Any] = []

        async def checked() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
            await asyncio.wait_for(test(), 60)
            assert [task for task in asyncio.all_tasks() if _ours(task) and task is not asyncio.current_task()] == []

        asyncio.run(checked())
        gc.collect()
        assert complaints == []

    return run


@pytest.fixture
def log_lines(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Everything that was logged, at any level, with all that was added to the records; but for the test's servers."""
    caplog.set_level(logging.DEBUG)
    return lambda: "\n".join(
        f"{record.getMessage()} {record.__dict__!r}"
        for record in caplog.records
        if not record.name.startswith("websockets")
    )


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is dead is found soon, and audio goes out at some ten times its pace."""
    patient = STTOptions.timeouts

    def timeouts(self: STTOptions, connecting: APIConnectOptions) -> Timeouts:
        soon = {"ping": 0.1, "pong": 0.4, "mute": 0.8, "closing": 0.2, "message_interval": 0.005}
        return msgspec.structs.replace(patient(self, connecting), **soon)

    monkeypatch.setattr(STTOptions, "timeouts", timeouts)
