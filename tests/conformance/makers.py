"""The transports that the suite runs on: a new one is one more line in ``TRANSPORTS``.

The cases await anyio's neutral calls, which work in every one of these frameworks, so each case is written once.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from weakref import WeakSet

import anyio
import anyio.lowlevel
import pytest
import trio

from smallest_proto.config import RetryPolicy, Timeouts
from smallest_transports._client import Client
from smallest_transports._driving import Driving

KEY = "sk-very-secret"
FAST = Timeouts(message_interval=0)  # audio goes as fast as it is taken
AGAIN = RetryPolicy(first_delay=0, longest_retry_after=0)  # at once, whatever the service asks for
ONCE = RetryPolicy(max_retries=0)
PCM = bytes(range(256)) * 125  # 1 s of linear16 at 16 kHz

LONG = "SOAK" in os.environ  # ``make soak``: every case that is left out, and every amount that is cut, for time
PATIENCE = 20  # seconds: a case that hangs is called off, and fails


# The drivers that there are. To look for them among all objects is no way: while one thread holds on to all that there
# are, what makes a tuple on another, a server's, fails.
LIVING: WeakSet[Driving] = WeakSet()


def noted(driver: type[Driving]) -> type[Driving]:
    """The same driver, which is noted while it lives."""

    class Noted(driver):  # type: ignore[valid-type, misc]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            LIVING.add(self)

    return Noted


class Transport(NamedTuple):
    """A driver, and the framework that it runs in."""

    name: str
    driver: str  # the module of smallest_transports
    framework: str  # as anyio names it
    uvloop: bool = False

    def client(self, url: str, **options: Any) -> Client:
        """A client of a server that is here. A driver that is missing is a failure of the case."""
        module = importlib.import_module(f"smallest_transports.{self.driver}")
        client: Client = module.Client(**{"api_key": KEY, "base_url": url, "timeouts": FAST, "retry": AGAIN, **options})
        client._driver = noted(client._driver)  # type: ignore[misc]
        return client

    def run(self, case: Callable[[], Awaitable[None]]) -> None:
        """Run a case in a new loop; what it leaves behind, and what the loop complains of, fails it."""
        complaints: list[dict[str, Any]] = []

        async def main() -> None:
            if self.framework == "asyncio":
                asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
            before = self.tasks()
            with anyio.fail_after(PATIENCE):
                await case()
            await self.check_left(before)

        LIVING.clear()  # what holds those of a case that failed is its traceback
        with only_new_garbage():
            anyio.run(main, backend=self.framework, backend_options={"use_uvloop": True} if self.uvloop else {})
            gc.collect()  # a socket or a coroutine that nobody closed warns, and a warning is an error
        assert not complaints, complaints

    def tasks(self) -> set[str]:
        """Tasks that live in the running loop; of trio, which names none of them, how many."""
        if self.framework == "trio":
            return {f"{trio.lowlevel.current_statistics().tasks_living} tasks"}
        return {f"{task.get_name()}: {task.get_coro()!r}" for task in asyncio.all_tasks()}

    async def check_left(self, tasks: set[str], port: int | None = None) -> None:
        """What was left is gone: no tasks live but those of before, and nothing is connected to ``port``.

        A timer, a callback or a task that is still to run would keep its driver from being collected.
        """
        await anyio.lowlevel.checkpoint()  # for the callback of a socket that is closed
        gc.collect()
        left: list[Any] = [*(self.tasks() - tasks)]
        if port is not None and (count := connections_to(port)):
            left.append(f"{count} connections")
        enough = anyio.current_time() + PATIENCE / 4  # a resolver's thread can hold what it raised for a moment longer
        while (count := len(LIVING)) and anyio.current_time() < enough:
            await anyio.lowlevel.checkpoint()
            gc.collect()
        left += [f"{count} drivers"] * bool(count)
        assert not left, left


TRANSPORTS = (
    Transport("asyncio", "asyncio", "asyncio"),
    Transport("uvloop", "asyncio", "asyncio", uvloop=True),
    Transport("trio", "trio", "trio"),
    Transport("anyio-asyncio", "anyio", "asyncio"),
    Transport("anyio-uvloop", "anyio", "asyncio", uvloop=True),
    Transport("anyio-trio", "anyio", "trio"),
    Transport("aiohttp", "aiohttp", "asyncio"),
)


SECURE = pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])


def those(fit: Callable[[Transport], bool]) -> pytest.MarkDecorator:
    """The mark of a case that is for some of the transports alone."""
    found = [made for made in TRANSPORTS if fit(made)]
    return pytest.mark.parametrize("transport", found, ids=[made.name for made in found], indirect=True)


@contextmanager
def only_new_garbage() -> Iterator[None]:
    """What is there already is not looked at by the collector: looking for what is left takes no time then.

    Nor does it run by itself: while it does so on the thread of a server, a call of ``collect`` does nothing.
    """
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def descriptors() -> dict[int, str]:
    """What this process has open; a socket's name is its own, and never comes again."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the listing itself
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


def clients_of(port: int) -> Iterator[socket.socket]:
    """The sockets of this process that are clients of a local port, as copies that are closed when the next one comes.

    The servers run on threads of their own: what is no client, or no longer one, is passed over.
    """
    for fd, name in descriptors().items():
        if name.startswith("socket:"):
            with suppress(OSError), socket.socket(fileno=os.dup(fd)) as made:
                if made.getpeername()[1:2] == (port,):
                    yield made


def connections_to(port: int) -> int:
    """How many sockets of this process are clients of a local port."""
    return sum(1 for _ in clients_of(port))
