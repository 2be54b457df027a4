"""One suite for every transport: each case is an async function, written once, run on each of ``makers.TRANSPORTS``."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from tests.transports.conftest import tls

from .makers import KEY, TRANSPORTS, Transport, sockets

__all__ = ["tls"]


@pytest.fixture(params=TRANSPORTS, ids=[made.name for made in TRANSPORTS])
def transport(request: pytest.FixtureRequest) -> Transport:
    """What the case runs on."""
    made: Transport = request.param
    return made


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a case in the framework of its transport."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names if name != "self"}
    transport = pyfuncitem.funcargs["transport"]
    assert isinstance(transport, Transport)
    transport.run(partial(pyfuncitem.obj, **arguments))
    return True


@pytest.fixture(autouse=True)
def _nothing_left(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """After a case there are as many sockets and threads as before it, and no log record shows the key."""
    logging.getLogger("websockets").setLevel(logging.INFO)  # a server of a test: it shows the headers that it was sent
    caplog.set_level(logging.DEBUG)
    before = len(sockets()), len(threads())
    yield
    assert (len(sockets()), len(threads())) == before
    assert KEY not in caplog.text


def threads() -> list[threading.Thread]:
    """Those that live, but for trio's and anyio's idle ones, which end by themselves when nobody needs them."""
    idle = ("Trio thread", "AnyIO worker thread")
    return [thread for thread in threading.enumerate() if not thread.name.startswith(idle)]
