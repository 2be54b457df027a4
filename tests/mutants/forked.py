"""Runs tests in children of a process that has imported all that is not the project's: some tenths of a second each.

A new Python with pytest, Hypothesis and the rest costs two seconds before the first test, and a mutant is often killed
by the first.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from typing import NamedTuple

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
PYTEST = (
    "-x",
    "-q",
    "--assert=plain",
    "--hypothesis-profile=mutants",
    "--tb=short",
    "--no-header",
    "-pno:cacheprovider",
)
UNUSED = ("cov", "xdist")  # plugins that a single short run has no use for
FORK = multiprocessing.get_context("fork")
MEMORY = 8 << 30  # bytes of address space: a mutant that appends for ever shall not take the machine along


class Run(NamedTuple):
    """How the tests ended."""

    passed: bool
    output: str
    seconds: float


def get_ready() -> None:
    """Import what is not the project's."""
    for name in OTHERS:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    gc.freeze()  # a child need not look through all that for garbage


def run_tests(tests: Sequence[str], *, seconds: float, keep_bytecode: bool = False) -> Run:
    """Run ``tests`` in a child, the project's modules anew; at most ``seconds``, and less for a loop that works.

    ``keep_bytecode`` writes it beside the sources, as the first run over a tree should and that of a mutant must not.
    """
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        child = FORK.Process(target=_be_the_child, args=(tests, output.fileno(), seconds, keep_bytecode))
        child.start()
        try:
            child.join(seconds)
            code = child.exitcode
        finally:
            _end_group(child)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    in_time = code is not None and code >= 0  # a signal ends what takes too much
    return Run(code == 0, text if in_time else f"{text}\ntoo slow", time.monotonic() - began)


def _be_the_child(tests: Sequence[str], output: int, seconds: float, keep_bytecode: bool) -> None:
    os.setsid()  # what it starts ends with it
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    for stream in (1, 2):
        os.dup2(output, stream)
    # A third of the time is as much as the tests need on a slow machine: one that only waits gets all of it.
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds / 3) + 1,) * 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    sys.dont_write_bytecode = not keep_bytecode
    code = int(pytest.main([*PYTEST, f"--timeout={seconds / 2}", *tests]))
    sys.stdout.flush()
    os._exit(code)  # a thread that a mutant does not let end would hold it up


def _end_group(child: BaseProcess) -> None:
    """End a child, if it goes on, and what it started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid or 0, signal.SIGKILL)
    child.join()
