"""An async test of an example runs in a new loop of asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest


@pytest.fixture
def run() -> Callable[[Callable[[], Awaitable[None]]], None]:
    return lambda test: asyncio.run(asyncio.wait_for(test(), 60))  # type: ignore[arg-type]
