"""What the driver for aiohttp has alone: a session that is handed in, and what aiohttp does not do.

What every driver has is tested in tests/conformance.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from smallest_proto.errors import ConfigurationError, ConnectError, LocalProtocolError
from smallest_proto.events import EndReason, SessionEnded
from smallest_transports._client import Client
from smallest_transports.testing.conformance.drivers import KEY, ONCE, PCM, Driver, connections_to
from smallest_transports.testing.conformance.others import Service, serve_by_aiohttp
from smallest_transports.testing.conformance.way import SPEECH, ProxyServer, hear
from smallest_transports.testing.servers import in_thread, local_server, port_of, serving
from tests.conformance.makers import those

if TYPE_CHECKING:
    from smallest_transports.testing.certificates import Tls

AIOHTTP = those(lambda made: made.module == "smallest_transports.aiohttp")


async def talk_to(client: Client) -> None:
    """A file, and a stream to its end."""
    assert (await client.transcribe(PCM)).text == "said in a file"
    async with client.stream_transcription() as stream:
        await stream.send_audio(PCM)
        await stream.end_input()
        assert [event async for event in stream][-1] == SessionEnded(reason=EndReason.COMPLETED)


async def stream_until_it_fails(client: Client) -> None:
    async with client.stream_transcription() as stream:
        await anext(stream)


class Resolver(AbstractResolver):
    """Knows one host, which nobody else knows."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host != "speech.example":
            raise RuntimeError("nobody should ask")
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        pass


@AIOHTTP
async def test_a_session_that_is_handed_in_is_used_and_stays_open(transport: Driver) -> None:
    service = Service()
    with in_thread(serve_by_aiohttp(service, None)) as url:
        there = url.replace("127.0.0.1", "speech.example")
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=Resolver()), headers={"X-Mine": "yes"}, cookies={"mine": "a-cookie"}
        ) as session:
            async with transport.client(there, http_session=session) as client:
                await talk_to(client)
            await talk_to(transport.client(there, http_session=session))  # nor has it to be entered
            assert not session.closed
            async with session.get(f"{there}/other") as response:
                assert response.status == 404
    assert len(service.headers) == 4
    for headers in service.headers:
        assert headers["x-mine"] == "yes"
        assert headers["cookie"] == "mine=a-cookie"
        assert headers["authorization"] == f"Bearer {KEY}"


@AIOHTTP
async def test_the_proxy_of_a_session_leads_to_the_service(transport: Driver, tls: Tls) -> None:
    with local_server(tls=tls.server) as url:
        proxy = ProxyServer(port_of(url))
        with serving(proxy.talk) as at:
            async with aiohttp.ClientSession(proxy=at) as session:
                assert await hear(transport, url, ssl_context=tls.client, http_session=session) == SPEECH.text
    assert [asked.split()[1] for asked in proxy.asked] == [f"127.0.0.1:{port_of(url)}".encode()]


@AIOHTTP
@pytest.mark.parametrize("trust", ["its own context", "no check", "a fingerprint"])
async def test_a_session_trusts_whom_it_likes(transport: Driver, tls: Tls, trust: str) -> None:
    service = Service()
    with in_thread(serve_by_aiohttp(service, tls.server)) as url:
        kinds: dict[str, Any] = {"its own context": tls.client, "no check": False, "a fingerprint": await seen_at(url)}
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=kinds[trust])) as session:
            async with transport.client(url, http_session=session) as client:
                await talk_to(client)
            mine = ssl.create_default_context()  # which trusts nobody here: what is given with the client comes first
            async with transport.client(url, http_session=session, ssl_context=mine) as client:
                with pytest.raises(ConnectError, match="does not hold"):
                    await client.transcribe(PCM)
    assert len(service.headers) == 2


async def seen_at(url: str) -> aiohttp.Fingerprint:
    """That of the certificate of a server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(url), ssl=ssl._create_unverified_context())
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await reader.read()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return aiohttp.Fingerprint(hashlib.sha256(certificate).digest())


@AIOHTTP
async def test_a_session_that_trusts_nobody_here_is_heeded(transport: Driver, tls: Tls) -> None:
    with in_thread(serve_by_aiohttp(Service(), tls.server)) as url:
        other = aiohttp.Fingerprint(bytes(32))
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=other)) as session,
            transport.client(url, http_session=session, retry=ONCE) as client,
        ):
            with pytest.raises(ConnectError):
                await client.transcribe(PCM)


@AIOHTTP
async def test_the_proxy_of_a_session_comes_before_that_of_the_environment(
    transport: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    there = "https://speech.invalid/"
    proxy = ProxyServer(1, b"HTTP/1.1 502 No\r\n\r\n")
    with serving(proxy.talk) as at:
        async with aiohttp.ClientSession(proxy=at) as session:
            for named, asked in (({}, 1), ({"proxy": at}, 2), ({"proxy": None}, 2)):
                async with transport.client(there, http_session=session, retry=ONCE, **named) as client:
                    with pytest.raises(ConnectError):
                        await client.transcribe(PCM)
                assert len(proxy.asked) == asked


@AIOHTTP
async def test_a_session_keeps_what_a_server_sets(transport: Driver) -> None:
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(
            b"HTTP/1.1 200 OK\r\nSet-Cookie: node=7; Path=/\r\nSet-Cookie: \x7f=;\r\nContent-Length: 22\r\n\r\n"
        )
        writer.write(b'{"transcription":"so"}')
        await reader.read()

    with serving(talk) as url:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            for _ in range(2):
                async with transport.client(url, http_session=session) as client:
                    await client.transcribe(PCM)
    assert [b"cookie: node=7\r\n" in one.lower() for one in asked] == [False, True]


@AIOHTTP
async def test_the_traces_of_a_session_see_its_connections(transport: Driver) -> None:
    seen: list[str] = []

    async def note(_: Any, __: Any, told: Any) -> None:
        seen.append(type(told).__name__)

    traced = aiohttp.TraceConfig()
    traced.on_connection_create_start.append(note)
    traced.on_connection_create_end.append(note)
    with in_thread(serve_by_aiohttp(Service(), None)) as url:
        async with aiohttp.ClientSession(trace_configs=[traced]) as session:
            await talk_to(transport.client(url, http_session=session))
    assert seen == ["TraceConnectionCreateStartParams", "TraceConnectionCreateEndParams"] * 2


@AIOHTTP
async def test_the_timeouts_of_a_session_do_not_hold(transport: Driver) -> None:
    with in_thread(serve_by_aiohttp(Service(), None)) as url:
        at_once = aiohttp.ClientTimeout(total=1e-9, connect=1e-9, sock_connect=1e-9, sock_read=1e-9)
        async with aiohttp.ClientSession(timeout=at_once) as session:
            with pytest.raises(asyncio.TimeoutError):
                await session.get(url)
            async with transport.client(url, http_session=session) as client:
                await talk_to(client)


@AIOHTTP
async def test_a_session_that_is_closed_is_said(transport: Driver) -> None:
    session = aiohttp.ClientSession()
    await session.close()
    async with transport.client("http://127.0.0.1:1/", http_session=session) as client:
        with pytest.raises(LocalProtocolError, match="http_session is closed"):
            await client.transcribe(PCM)
        with pytest.raises(LocalProtocolError, match="http_session is closed"):
            async with client.stream_transcription():
                raise AssertionError("it must not begin")
        with pytest.raises(LocalProtocolError, match="http_session is closed"):
            await client.synthesize("w1").read()


@AIOHTTP
@pytest.mark.parametrize("live", [True, False], ids=["live", "file"])
async def test_what_a_connector_of_the_application_raises_comes_out_without_the_key(
    transport: Driver, live: bool
) -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Resolver())) as session,
        transport.client("http://other.example/", http_session=session) as client,
    ):
        with pytest.raises(RuntimeError, match="nobody should ask") as raised:
            await (stream_until_it_fails(client) if live else client.transcribe(PCM))
    assert KEY not in "".join(traceback.format_exception(raised.value))


@AIOHTTP
async def test_a_client_can_be_used_without_being_entered(transport: Driver) -> None:
    with in_thread(serve_by_aiohttp(Service(), None)) as url:
        tasks = transport.tasks()
        await talk_to(transport.client(url))
        assert connections_to(port_of(url)) == 0
        assert transport.tasks() == tasks


@AIOHTTP
async def test_what_a_server_sets_is_forgotten(transport: Driver) -> None:
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 22\r\n\r\n")
        writer.write(b'{"transcription":"so"}')
        await reader.read()

    with serving(talk) as url:
        async with transport.client(url.replace("127.0.0.1", "localhost")) as client:
            for _ in range(2):
                assert (await client.transcribe(PCM)).text == "so"
    assert len(asked) == 2
    assert b"cookie" not in asked[1].lower()


@AIOHTTP
async def test_http_through_a_proxy_is_not_done(transport: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"for https alone: use an https base_url, proxy=None, or"):
        transport.client("http://speech.invalid/", proxy="http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ConfigurationError, match="for https alone"):
        transport.client("http://speech.invalid/")
    transport.client("http://speech.invalid/", proxy=None)


def test_without_aiohttp_an_import_says_what_to_install() -> None:
    code = "import sys; sys.modules['aiohttp'] = None; import smallest_transports.aiohttp"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'ImportError: this driver needs aiohttp: pip install "smallest-proto[aiohttp]"' in done.stderr
