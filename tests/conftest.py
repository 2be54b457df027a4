"""What holds for all tests: an async function is one too, and runs as its folder does that; time proves nothing."""

from __future__ import annotations

import inspect
import os
from functools import partial

import pytest
from hypothesis import HealthCheck, settings

# No test is a timed test: a machine that is busy with other work is no bug. And two runs over the same code give the
# same result: new examples are for ``make soak``, which draws others each time.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", UNTIMED, derandomize=True)
settings.register_profile("soak", UNTIMED)
settings.load_profile("soak" if os.environ.get("SOAK") else "repeatable")


def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: object) -> None:
    if collector.istestfunction(obj, name) and inspect.iscoroutinefunction(obj):
        pytest.mark.usefixtures("run")(obj)  # the nearest fixture of this name


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    pyfuncitem.funcargs["run"](partial(pyfuncitem.obj, **{name: pyfuncitem.funcargs[name] for name in names}))
    return True
