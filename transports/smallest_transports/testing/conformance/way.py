"""The way to the service: proxies, names, addresses, and a way that gives a byte at a time."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
import pytest

from smallest_proto.config import Timeouts
from smallest_proto.errors import ConnectError, DeadlineError
from smallest_proto.server.recogniser import coded_speech
from smallest_proto.transcription.events import FinalTranscript
from smallest_transports.testing.certificates import Tls
from smallest_transports.testing.servers import Talk, local_server, port_of, relay, serving

from .drivers import ONCE, SECURE, Driver, clients_of, those
from .failures import fail

SPEECH = coded_speech([1, 2, 0.8, 3, 4, 1.0])
# uvloop asks the C library, where no test gets at it.
RESOLVED = those(lambda made: not made.uvloop)
LIVE = pytest.mark.parametrize("live", [True, False], ids=["live", "file"])


async def hear(transport: Driver, url: str, **options: Any) -> str:
    """What is heard of ``SPEECH``."""
    async with transport.client(url, **options) as client, client.stream_transcription() as stream:
        await stream.send_audio(SPEECH.pcm)
        await stream.end_input()
        finals = [event.text async for event in stream if isinstance(event, FinalTranscript)]
    return " ".join(filter(None, finals))


class ProxyServer:
    """A proxy that makes tunnels to ``port``, whatever is asked for; it keeps what it was asked."""

    def __init__(self, port: int, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.asked: list[bytes] = []
        self._port, self._answer = port, answer

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self._answer)
        if b" 200 " in self._answer:
            await relay(reader, writer, "127.0.0.1", self._port)
        elif self._answer:
            await reader.read()


@SECURE
@pytest.mark.parametrize("user", ["", "me:p%40ss@"], ids=["open", "with credentials"])
async def test_through_a_proxy(transport: Driver, tls: Tls, secure: bool, user: str) -> None:
    with local_server(tls=tls.server if secure else None) as url:
        proxy = ProxyServer(port_of(url))
        with serving(proxy.talk) as at:
            way = f"http://{user}127.0.0.1:{port_of(at)}"
            assert await hear(transport, url, ssl_context=tls.client, proxy=way) == SPEECH.text
    (asked,) = proxy.asked
    assert asked.startswith(f"CONNECT 127.0.0.1:{port_of(url)} HTTP/1.1\r\n".encode())
    credentials = b"proxy-authorization: basic " + base64.b64encode(b"me:p@ss").lower()
    assert (credentials in asked.lower()) == bool(user)
    assert b"sk-very-secret" not in asked


async def test_the_environment_names_the_proxy(transport: Driver, tls: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("all", "http", "https", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_PROXY".upper(), raising=False)
    with local_server(tls=tls.server) as url:
        proxy = ProxyServer(port_of(url))
        with serving(proxy.talk) as at:
            monkeypatch.setenv("HTTPS_PROXY", at.removesuffix("/waves/v1"))
            # No proxy leads to this machine itself, so a name that only the proxy knows: its certificate is another's.
            elsewhere = f"https://speech.invalid:{port_of(url)}/waves/v1"
            error = await fail(transport, elsewhere, ssl_context=tls.client)
            assert "the certificate of speech.invalid does not hold" in str(error)
            assert len(proxy.asked) == 1
            monkeypatch.setenv("NO_PROXY", "speech.invalid")
            error = await fail(transport, elsewhere, ssl_context=tls.client)
            assert "the host speech.invalid was not found" in str(error)
            assert len(proxy.asked) == 1
            assert await hear(transport, url, ssl_context=tls.client) == SPEECH.text
            assert len(proxy.asked) == 1


@LIVE
@SECURE
@pytest.mark.parametrize(
    ("answer", "said", "final"),
    [
        (b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", "credentials", True),
        (b"HTTP/1.1 502 No\r\nContent-Length: 4\r\n\r\nnone", "HTTP 502", False),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "check HTTPS_PROXY or proxy", False),
    ],
    ids=["407", "502", "ssh"],
)
async def test_a_proxy_that_refuses(
    transport: Driver, tls: Tls, live: bool, secure: bool, answer: bytes, said: str, final: bool
) -> None:
    with serving(ProxyServer(1, answer).talk) as at:
        url = f"http{'s' if secure else ''}://speech.invalid/"
        proxy = f"http://me:hush-hush@127.0.0.1:{port_of(at)}"
        error = await fail(transport, url, live=live, proxy=proxy, ssl_context=tls.client)
    assert isinstance(error, ConnectError)
    assert "proxy" in str(error)
    assert said in str(error)
    assert error.failure.final == final
    assert "hush-hush" not in repr(error.failure) + str(error)


@LIVE
async def test_a_proxy_that_hangs_up(transport: Driver, live: bool) -> None:
    with serving(ProxyServer(1, b"").talk) as at:
        error = await fail(transport, "https://speech.invalid/", live=live, proxy=at.removesuffix("/waves/v1"))
    assert isinstance(error, ConnectError)
    assert "check HTTPS_PROXY or proxy" in str(error)


async def test_no_proxy_there(transport: Driver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = await fail(transport, "https://speech.invalid/", proxy=f"http://127.0.0.1:{port}")
    assert isinstance(error, ConnectError)
    assert f"no connection to the proxy 127.0.0.1, port {port}: Connection refused" in str(error)


# --- bytes ---


@SECURE
async def test_what_is_written_goes_at_once(transport: Driver, tls: Tls, secure: bool) -> None:
    """Nagle's algorithm would keep a small message until the one before it is acknowledged."""
    with local_server(tls=tls.server if secure else None) as url:
        async with transport.client(url, ssl_context=tls.client) as client, client.stream_transcription() as stream:
            await anext(stream)
            options = [made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for made in clients_of(port_of(url))]
    assert len(options) == 1
    assert all(options)


@SECURE
async def test_what_the_server_says_comes_byte_by_byte(transport: Driver, tls: Tls, secure: bool) -> None:
    """The handshake too, and every frame split at every boundary."""
    with local_server("garbage", tls=tls.server if secure else None) as url:
        parts = urlsplit(url)
        between: Talk = partial(relay, host="127.0.0.1", port=port_of(url), piece=1)
        with serving(between) as way:
            assert (
                await hear(transport, f"{parts.scheme}://127.0.0.1:{port_of(way)}{parts.path}", ssl_context=tls.client)
                == SPEECH.text
            )


# --- names and addresses ---


async def test_ipv6(transport: Driver) -> None:
    with local_server(host="::1") as url:
        assert "[::1]" in url
        assert await hear(transport, url) == SPEECH.text


@contextmanager
def no_answer(port: int) -> Iterator[None]:
    """Who listens takes no more, so that nobody who comes is answered: what is waiting there fills its queue."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_INET6))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("::1", port))
        listener.listen(0)
        for _ in range(2):
            waiting = stack.enter_context(socket.socket(socket.AF_INET6))
            waiting.setblocking(False)
            waiting.connect_ex(("::1", port))
        yield


@RESOLVED
@pytest.mark.parametrize("first", [nullcontext, no_answer], ids=["refused", "silent"])
async def test_an_address_that_leads_nowhere_is_passed_over(
    transport: Driver, monkeypatch: pytest.MonkeyPatch, first: Callable[[int], AbstractContextManager[None]]
) -> None:
    with local_server() as url, first(port_of(url)):
        port = port_of(url)

        def resolve(host: Any, *_: Any, **__: Any) -> list[Any]:
            assert host in ("speech.example", b"speech.example")
            kind = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
            return [
                (socket.AF_INET6, *kind, ("::1", port, 0, 0)),
                (socket.AF_INET, *kind, ("127.0.0.1", port)),
            ]

        with monkeypatch.context() as patched:
            patched.setattr(socket, "getaddrinfo", resolve)
            heard = await hear(transport, f"http://speech.example:{port}/waves/v1")
        assert heard == SPEECH.text


class Resolver:
    """Stands for the system's, and finds nothing; it says so when it is told to."""

    def __init__(self) -> None:
        self.asked, self.answers = threading.Event(), threading.Event()

    def __call__(self, *named: Any, **__: Any) -> list[Any]:
        # trio first asks, without a thread, whether it is an address.
        if not (len(named) > 5 and named[5] & socket.AI_NUMERICHOST):
            self.asked.set()
            self.answers.wait(30)
        raise socket.gaierror(socket.EAI_NONAME, "no such name")


@RESOLVED
@LIVE
async def test_a_name_that_is_not_found_in_time(transport: Driver, monkeypatch: pytest.MonkeyPatch, live: bool) -> None:
    resolver = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    try:
        timeouts = Timeouts(opening=0.05, response=0.05)
        error = await fail(transport, "http://speech.example/", live=live, timeouts=timeouts)
        assert not resolver.answers.is_set()  # nobody waited for it
    finally:
        resolver.answers.set()
    assert isinstance(error, DeadlineError)


@RESOLVED
async def test_cancelled_while_a_name_is_looked_up(transport: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    left = []

    async def live() -> None:
        try:
            async with (
                transport.client("http://speech.example/", retry=ONCE) as client,
                client.stream_transcription() as stream,
            ):
                await anext(stream)
        finally:
            left.append(resolver.answers.is_set())

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(live)
            while not resolver.asked.is_set():
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
    finally:
        resolver.answers.set()
    assert left == [False]  # nobody waited for the resolver


@RESOLVED
@pytest.mark.parametrize("host", ["localhost.", "elsewhere.example."])
async def test_a_name_that_ends_in_a_dot_is_that_of_the_certificate(
    transport: Driver, tls: Tls, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    names: list[str | None] = []
    server = tls.server if host == "localhost." else tls.of_another
    monkeypatch.setattr(server, "sni_callback", lambda _, name, __: names.append(name))
    real = socket.getaddrinfo

    def resolve(name: Any, *args: Any, **named: Any) -> list[Any]:
        asked = name.decode() if isinstance(name, bytes) else name
        return real("127.0.0.1" if asked == host else name, *args, **named)

    with local_server(tls=server) as url:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        there = url.replace("127.0.0.1", host)
        assert await hear(transport, there, ssl_context=tls.client) == SPEECH.text
    assert names == [host.removesuffix(".")]
