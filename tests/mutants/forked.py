"""Runs tests in children of a process that has imported what they need: a new Python costs seconds before the first.

A child that changes one function runs the tests that call it, of those that its ``Host`` has collected. What is decided
by an import, such as a table, takes a child that imports all of the project anew.
"""

from __future__ import annotations

import bisect
import functools
import gc
import importlib
import inspect
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import IO, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings

# What tests import that is not the project's. One that is not there costs a child the time alone.
OTHERS = (
    "aiohttp", "anyio._backends._asyncio", "anyio.pytest_plugin", "hypothesis.stateful", "msgspec", "numpy",
    "pytest_timeout", "trio", "trustme", "uvloop", "websockets", "websockets.sync.client", "wsproto",
)  # fmt: skip
# Nobody reads the smallest example that kills a mutant, and two runs shall give the same.
settings.register_profile(
    "mutants",
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
PYTEST = ("-x", "-q", "--assert=plain", "--hypothesis-profile=mutants", "--tb=short")
PYTEST += ("-pno:cacheprovider", "-pno:cov", "-pno:xdist")  # what a single short run has no use for
FORK = multiprocessing.get_context("fork")
MEMORY = 8 << 30  # bytes of address space: a mutant that appends for ever shall not take the machine along
PATIENCE = 10  # times as long as a test takes without a mutant: one that hangs is killed by that
AT_LEAST = 20.0  # seconds of patience: on a busy machine one test can have all the bad luck
AT_LEAST_WORKING = 5.0  # seconds of the processor's time, which has no luck


class Ended(NamedTuple):
    """How a child ended: its exit code, ``None`` if it took too much of something; and what it wrote."""

    code: int | None
    output: bytes

    @property
    def text(self) -> str:
        return self.output.decode("utf-8", "replace") + ("" if self.code is not None else "\ntoo slow")


def get_ready() -> None:
    """Import what is not the project's."""
    for name in OTHERS:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # a child need not look through all that for garbage


def in_child(work: Callable[[IO[bytes]], int], seconds: float) -> Ended:
    """Do ``work`` in a child, which returns an exit code; what it starts ends with it, after ``seconds`` at most."""
    with tempfile.TemporaryFile() as output:
        child = FORK.Process(target=_be_the_child, args=(work, output))
        child.start()
        try:
            child.join(seconds)
            code = child.exitcode
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid or 0, signal.SIGKILL)
            child.join()
        output.seek(0)
        return Ended(code if code is not None and code >= 0 else None, output.read())


def _be_the_child(work: Callable[[IO[bytes]], int], output: IO[bytes]) -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    with suppress(ValueError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    code = work(output)
    output.flush()
    os._exit(code)  # a thread that a mutant does not let end would hold it up


def run_tests(tests: Sequence[str], *, seconds: float, keep_bytecode: bool = False) -> Ended:
    """Run ``tests`` with the project's modules imported anew.

    ``keep_bytecode`` writes it beside the sources, as the first run over a tree should and that of a mutant must not.
    """

    def work(output: IO[bytes]) -> int:
        _write_to(output)
        # A third of the time is as much as the tests need on a slow machine: one that only waits gets all of it.
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds / 3) + 1,) * 2)
        sys.dont_write_bytecode = not keep_bytecode
        code = int(pytest.main([*PYTEST, f"--timeout={seconds / 2}", *tests]))
        sys.stdout.flush()
        return code

    return in_child(work, seconds)


def _write_to(output: IO[bytes]) -> None:
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)


class Seen(NamedTuple):
    """What a test did without a mutant."""

    functions: frozenset[int]  # the first lines of those of the module that it called
    seconds: float
    working: float  # seconds of the processor's time


class Host:
    """A plugin of pytest that collects the tests of a module, and runs them in a child for each mutant."""

    def __init__(self, module: str, pipe: Connection) -> None:
        self._pipe = pipe
        self._path = Path(module).resolve()
        self._name = ".".join(Path(module.removeprefix("transports/")).with_suffix("").parts)
        self._items: list[pytest.Item] = []
        self._seen: list[Seen] = []
        self._kills = Counter[int]()
        self._failure: str | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failure = report.longreprtext

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = session.items
        importlib.import_module(self._name)
        self._plain = self._codes(self._path.read_text("utf-8"))
        self._functions = [
            one for one in gc.get_objects() if isinstance(one, FunctionType) and self._is_ours(one.__code__)
        ]
        gc.freeze()
        plain = in_child(self._look, 600.0)
        if plain.code != 0:
            self._pipe.send(plain.text)
            return True
        self._seen = pickle.loads(plain.output)
        self._pipe.send("")
        with suppress(EOFError):
            while True:
                self._pipe.send(self._kills_any(self._pipe.recv()))
        return True

    def _is_ours(self, code: CodeType) -> bool:
        return code.co_filename == str(self._path)

    def _codes(self, source: str) -> dict[tuple[str, int], CodeType]:
        """The functions of the module that are in no other function."""
        return {(code.co_name, code.co_firstlineno): code for code in _functions(compile(source, self._path, "exec"))}

    def _look(self, output: IO[bytes]) -> int:
        """Run all tests without a mutant, and see what each calls."""
        starts = sorted(code.co_firstlineno for code in self._plain.values())
        called: set[int] = set()
        seen = []

        def note(frame: FrameType, _event: str, _arg: object) -> None:
            if self._is_ours(frame.f_code) and (at := bisect.bisect(starts, frame.f_code.co_firstlineno)):
                called.add(starts[at - 1])

        threading.setprofile(note)
        sys.setprofile(note)
        for at in range(len(self._items)):
            called.clear()
            began, worked = time.monotonic(), time.process_time()
            self._run(at, at + 1 if at + 1 < len(self._items) else None)
            if self._failure is not None:
                output.write(self._failure.encode())
                return 1
            seen.append(Seen(frozenset(called), time.monotonic() - began, time.process_time() - worked))
        sys.setprofile(None)
        pickle.dump(seen, output)
        return 0

    def _run(self, at: int, following: int | None) -> None:
        item = self._items[at]
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following and self._items[following])

    def _kills_any(self, source: str) -> bool | None:
        """Whether a test fails with this source of the module; ``None`` if no test calls a function that differs."""
        try:
            found = self._codes(source)
        except SyntaxError:
            return True
        codes = {key: code for key, code in found.items() if code != self._plain.get(key)}
        lines = {line for _, line in codes}
        tests = [at for at, seen in enumerate(self._seen) if not lines.isdisjoint(seen.functions)]
        if not tests:
            return None
        tests.sort(key=lambda at: self._seen[at].working / (1 + self._kills[at]))  # what kills most for its time
        seconds = max(AT_LEAST, PATIENCE * sum(self._seen[at].seconds for at in tests))
        ended = in_child(functools.partial(self._run_changed, codes, tests), seconds)
        if ended.output:
            self._kills[int(ended.output)] += 1
        return ended.code != 0

    def _run_changed(self, codes: dict[tuple[str, int], CodeType], tests: Sequence[int], output: IO[bytes]) -> int:
        for function in self._functions:
            key = function.__code__.co_name, function.__code__.co_firstlineno
            function.__code__ = codes.get(key, function.__code__)
        for at, following in zip(tests, [*tests[1:], None], strict=True):
            signal.setitimer(signal.ITIMER_PROF, AT_LEAST_WORKING + PATIENCE * self._seen[at].working)  # ends it
            self._run(at, following)
            if self._failure is not None:
                output.write(str(at).encode())
                return 1
        return 0


def _functions(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if inner.co_flags & inspect.CO_OPTIMIZED:  # the body of a class is not
                yield inner
            else:
                yield from _functions(inner)


def host(module: str, tests: Sequence[str]) -> Connection:
    """A process for the mutants of a module: it takes a source each, and answers as ``_kills_any`` does.

    Raises ``RuntimeError`` if the tests fail without a mutant.
    """
    ours, its = FORK.Pipe()

    def work() -> None:
        ours.close()  # it ends when we close ours
        with open(os.devnull, "wb") as nothing:
            _write_to(nothing)
        pytest.main([*PYTEST, *tests], plugins=[Host(module, its)])

    FORK.Process(target=work).start()
    its.close()
    if failure := ours.recv():
        raise RuntimeError(f"the tests of {module} fail without any mutant:\n{failure}")
    return ours
