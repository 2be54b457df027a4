"""What the suite runs on: a driver, the framework that it runs in, and what there is when it has left.

The cases await anyio's neutral calls, which work in every framework that there is a driver for, so each is written
once.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar
from weakref import WeakSet

import anyio
import anyio.lowlevel
import pytest

from smallest_proto.config import RetryPolicy, Timeouts
from smallest_proto.transcription.events import InterimTranscript

KEY = "sk-very-secret"
FAST = Timeouts(message_interval=0)  # audio goes as fast as it is taken
AGAIN = RetryPolicy(first_delay=0, longest_retry_after=0)  # at once, whatever the service asks for
ONCE = RetryPolicy(max_retries=0)
PCM = bytes(range(256)) * 125  # 1 s of linear16 at 16 kHz

LONG = "SOAK" in os.environ  # ``make soak``: every case that is left out, and every amount that is cut, for time
PATIENCE = 20  # seconds: a case that hangs is called off, and fails


# The drivers that there are. To look for them among all objects is no way: while one thread holds on to all that there
# are, what makes a tuple on another, a server's, fails.
LIVING: WeakSet[Any] = WeakSet()


async def heard_interim(stream: Any) -> str:
    """The text of the next interim; fails where the stream ends before one comes."""
    async for event in stream:
        if isinstance(event, InterimTranscript):
            return event.text
    pytest.fail("the stream ended before the interim that was due")


def noted(driver: Any) -> Any:
    """The same driver, which is noted while it lives."""

    class Noted(driver):  # type: ignore[misc]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            LIVING.add(self)

    return Noted


class Driver(NamedTuple):
    """A driver, and the framework that it runs in.

    ``made_by`` makes a client: the class, or its name as ``"my_package.my_module:Client"``; it is called with
    ``api_key``, ``base_url`` and what else a ``Client`` takes. ``lacks`` says honestly what it does not pass: names of
    cases (as ``fnmatch`` has them: ``"test_speech_*"``), each with its reason. Such a case must fail.
    """

    name: str
    made_by: str | Callable[..., Any]
    framework: str = "asyncio"  # or trio: as anyio names it
    uvloop: bool = False
    lacks: Mapping[str, str] = MappingProxyType({})

    @property
    def module(self) -> str:
        """Where its client is from: ``smallest_transports.trio``."""
        return self.made_by.partition(":")[0] if isinstance(self.made_by, str) else self.made_by.__module__

    def client(self, url: str, **options: Any) -> Any:
        """A client of a server that is here. A driver that is missing is a failure of the case."""
        make: Any = self.made_by
        if isinstance(make, str):
            module, _, name = make.partition(":")
            make = getattr(importlib.import_module(module), name)
        client = make(**{"api_key": KEY, "base_url": url, "timeouts": FAST, "retry": AGAIN, **options})
        if (driver := getattr(client, "_driver", None)) is not None:
            client._driver = noted(driver)
        return client

    def lack(self, case: str) -> str | None:
        """Why it does not pass this case, if it does not."""
        return next((why for pattern, why in self.lacks.items() if fnmatchcase(case, pattern)), None)

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
            import trio

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


SECURE = pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])

Case = TypeVar("Case", bound=Callable[..., Any])


def those(fit: Callable[[Driver], bool]) -> Callable[[Case], Case]:
    """Marks a case that is for some of the drivers alone."""

    def mark(case: Case) -> Case:
        case.fit = fit  # type: ignore[attr-defined]
        return case

    return mark


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
    """What this process has open, where Linux says it; a socket's name is its own, and never comes again."""
    found = {}
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():  # elsewhere nobody can say
        with suppress(FileNotFoundError):  # the listing itself
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


def clients_of(port: int) -> Iterator[socket.socket]:
    """The sockets of this process that are clients of a local port, as copies that are closed when the next one comes.

    The servers run on threads of their own: what is no client, or no longer one, is passed over. A driver can have a
    second descriptor of one.
    """
    for name, fd in {name: fd for fd, name in descriptors().items()}.items():
        if name.startswith("socket:"):
            with suppress(OSError), socket.socket(fileno=os.dup(fd)) as made:
                if made.getpeername()[1:2] == (port,):
                    yield made


def connections_to(port: int) -> int:
    """How many sockets of this process are clients of a local port."""
    return sum(1 for _ in clients_of(port))


class Logs(logging.Handler):
    """All that is logged, from DEBUG on: pytest's own way (``caplog``) is not there with ``-p no:logging``."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def messages(self) -> list[str]:
        """The messages, one for each record."""
        return [record.getMessage() for record in self.records]

    @property
    def text(self) -> str:
        """All of it, with tracebacks."""
        return "\n".join(map(self.format, self.records))


@contextmanager
def at_level(level: int, name: str | None = None) -> Iterator[None]:
    """A logger, or the root of all, lets through what is of this level."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def logged() -> Iterator[Logs]:
    """What is logged meanwhile, but for the headers that a server of websockets was sent."""
    logs, root = Logs(), logging.getLogger()
    root.addHandler(logs)
    try:
        with at_level(logging.DEBUG), at_level(logging.INFO, "websockets"):
            yield logs
    finally:
        root.removeHandler(logs)


@contextmanager
def leaves_nothing() -> Iterator[Logs]:
    """After a case there is no socket and no thread that was not there before it, and no log record shows the key.

    What was there may be gone: the collector takes what an earlier test left whenever it likes.
    """
    before = {*descriptors().values()}, threads()
    with logged() as logs:
        yield logs
    new = [fd for fd, name in descriptors().items() if name not in before[0] and name.startswith("socket:")]
    assert [told(fd) for fd in new] == []
    enough = time.monotonic() + PATIENCE / 4  # one that nobody waited for, a resolver's, may still be about to be idle
    while (left := threads() - before[1]) and time.monotonic() < enough:
        left.pop().join(0.01)
    assert threads() - before[1] == set()
    assert KEY not in logs.text
    assert "private words" not in logs.text  # what the servers of the failures say, and what is said to them


def told(fd: int) -> str:
    """What a socket is: between which addresses."""
    with socket.socket(fileno=os.dup(fd)) as made:
        return repr(made)


def threads() -> set[threading.Thread]:
    """Those that live, but for trio's and anyio's idle ones, which end by themselves when nobody needs them."""
    idle = ("Trio thread", "AnyIO worker thread")
    return {thread for thread in threading.enumerate() if not thread.name.startswith(idle)}
