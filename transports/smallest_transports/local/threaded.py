"""The local server for scripts and tests that have no event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial

from .server import LocalServer


@contextlib.contextmanager
def serve_in_thread(server: LocalServer) -> Iterator[LocalServer]:
    """Run a server in a thread of its own, for scripts and tests that have no event loop.

    ::

        with serve_in_thread(LocalServer()) as server:
            print(server.base_url)

    Raises what entering the server raises.
    """
    running: Future[Callable[[], object]] = Future()  # gives what stops it

    async def main() -> None:
        stop = asyncio.Event()
        async with server:
            running.set_result(partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set))
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            if running.done():
                raise
            running.set_exception(error)

    thread = threading.Thread(target=run, name="local-server")
    thread.start()
    try:
        stop = running.result()
    except BaseException:
        thread.join()
        raise
    try:
        yield server
    finally:
        stop()
        thread.join()
