"""What the tests of the transports share: certificates, Ctrl-C, and cases, which run on a transport."""

from __future__ import annotations

import logging
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

import pytest
import trustme

from tests.conformance.makers import KEY, PATIENCE, TRANSPORTS, Transport, descriptors

Run = Callable[[Callable[[], Awaitable[None]]], None]


class Tls(NamedTuple):
    """Both sides of TLS on loopback."""

    server: ssl.SSLContext
    of_another: ssl.SSLContext  # a server with another's name in its certificate
    client: ssl.SSLContext


@pytest.fixture(scope="session")
def tls() -> Tls:
    authority = trustme.CA()
    server, another = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.create_default_context()
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    authority.issue_cert("elsewhere.example").configure_cert(another)
    authority.configure_trust(client)
    return Tls(server, another, client)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises ``KeyboardInterrupt``, and ends what is started, where it is ignored too: ``nohup`` and a shell's
    ``&`` begin the tests like that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(params=TRANSPORTS, ids=[made.name for made in TRANSPORTS])
def transport(request: pytest.FixtureRequest, leaves_nothing: None) -> Transport:  # noqa: ARG001 - what is looked at last
    """What the case runs on."""
    made: Transport = request.param
    return made


@pytest.fixture
def run(transport: Transport) -> Run:
    """Runs a case in the framework of its transport."""
    return transport.run


@pytest.fixture
def leaves_nothing(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """After a case there is no socket and no thread that was not there before it, and no log record shows the key.

    What was there may be gone: the collector takes what an earlier test left whenever it likes.
    """
    logging.getLogger("websockets").setLevel(logging.INFO)  # a server of a test: it shows the headers that it was sent
    caplog.set_level(logging.DEBUG)
    before = {*descriptors().values()}, threads()
    yield
    new = [fd for fd, name in descriptors().items() if name not in before[0] and name.startswith("socket:")]
    assert [told(fd) for fd in new] == []
    enough = time.monotonic() + PATIENCE / 4  # one that nobody waited for, a resolver's, may still be about to be idle
    while (left := threads() - before[1]) and time.monotonic() < enough:
        left.pop().join(0.01)
    assert threads() - before[1] == set()
    assert KEY not in caplog.text
    assert "private words" not in caplog.text  # what the servers of the failures say, and what is said to them


def told(fd: int) -> str:
    """What a socket is: between which addresses."""
    with socket.socket(fileno=os.dup(fd)) as made:
        return repr(made)


def threads() -> set[threading.Thread]:
    """Those that live, but for trio's and anyio's idle ones, which end by themselves when nobody needs them."""
    idle = ("Trio thread", "AnyIO worker thread")
    return {thread for thread in threading.enumerate() if not thread.name.startswith(idle)}
