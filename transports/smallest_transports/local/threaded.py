"""Servers on a thread of their own, for scripts and tests that have no event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TypeVar

from .server import LocalServer

T = TypeVar("T")

_TURNS = 5  # of the loop, in which what was accepted is taken up, and what was closed is gone


@contextlib.contextmanager
def in_thread(server: AbstractAsyncContextManager[T], name: str = "server") -> Iterator[T]:
    """Run a server in a thread of its own; gives what entering it gives, and raises what that raises."""
    running: Future[tuple[T, Callable[[], object]]] = Future()  # the second is what stops it

    async def main() -> None:
        stop = asyncio.Event()
        async with server as entered:
            running.set_result((entered, partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set)))
            await stop.wait()
            await turns()  # connections that were accepted and not yet taken up
        await turns()  # sockets that are about to be closed

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            if running.done():
                raise
            running.set_exception(error)

    thread = threading.Thread(target=run, name=name)
    thread.start()
    try:
        entered, stop = running.result()
        try:
            yield entered
        finally:
            stop()
    finally:
        thread.join()


def serve_in_thread(server: LocalServer) -> contextlib.AbstractContextManager[LocalServer]:
    """Run a local server in a thread of its own, for scripts and tests that have no event loop.

    ::

        with serve_in_thread(LocalServer()) as server:
            print(server.base_url)

    Raises what entering the server raises.
    """
    return in_thread(server, "local-server")


async def turns() -> None:
    """Some turns of the loop, so that what is due is done."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
