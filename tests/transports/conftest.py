"""What the tests of the transports share: certificates, Ctrl-C, and cases, which run on a transport."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterator

import pytest

from smallest_transports.testing.certificates import Tls
from smallest_transports.testing.conformance import Driver, drivers
from tests.conformance.makers import TRANSPORTS

Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture(scope="session")
def tls(smallest_tls: Tls) -> Tls:
    """Both sides of TLS on loopback."""
    return smallest_tls


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises ``KeyboardInterrupt``, and ends what is started, where it is ignored too: ``nohup`` and a shell's
    ``&`` begin the tests like that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(params=TRANSPORTS, ids=[made.name for made in TRANSPORTS])
def transport(request: pytest.FixtureRequest, leaves_nothing: None) -> Driver:  # noqa: ARG001 - what is looked at last
    """What the case runs on."""
    made: Driver = request.param
    return made


@pytest.fixture
def run(transport: Driver) -> Run:
    """Runs a case in the framework of its transport."""
    return transport.run


@pytest.fixture
def leaves_nothing() -> Iterator[None]:
    """After a test there is no socket and no thread that was not there before it, and no log record shows the key."""
    with drivers.leaves_nothing():
        yield
