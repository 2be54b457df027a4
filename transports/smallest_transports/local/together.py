"""Coroutines that live and end together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def together(*works: Coroutine[Any, Any, None], until: str) -> None:
    """Run them ``until`` ``asyncio.FIRST_COMPLETED`` or ``FIRST_EXCEPTION``; the others are cancelled and awaited then.

    Raises the first of their errors. (``asyncio.TaskGroup`` is new in Python 3.11.)
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=until)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
