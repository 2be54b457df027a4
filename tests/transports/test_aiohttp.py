"""What the driver for aiohttp has alone: a session that is handed in, and what aiohttp does not do.

What every driver has is tested in tests/conformance.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from smallest_proto.errors import ConfigurationError, LocalProtocolError
from smallest_proto.events import EndReason, SessionEnded
from smallest_transports._client import Client
from tests.conformance.makers import KEY, PCM, Transport, connections_to, those
from tests.conformance.others import Service, serve_by_aiohttp
from tests.conformance.servers import in_thread, local_server, port_of, serving
from tests.conformance.test_way import SPEECH, ProxyServer, hear

if TYPE_CHECKING:
    from .conftest import Tls

AIOHTTP = those(lambda made: made.driver == "aiohttp")


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
async def test_a_session_that_is_handed_in_is_used_and_stays_open(transport: Transport) -> None:
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
async def test_the_proxy_of_a_session_leads_to_the_service(transport: Transport, tls: Tls) -> None:
    with local_server(tls=tls.server) as url:
        proxy = ProxyServer(port_of(url))
        with serving(proxy.talk) as at:
            async with aiohttp.ClientSession(proxy=at) as session:
                assert await hear(transport, url, ssl_context=tls.client, http_session=session) == SPEECH.text
    assert [asked.split()[1] for asked in proxy.asked] == [f"127.0.0.1:{port_of(url)}".encode()]


@AIOHTTP
async def test_the_timeouts_of_a_session_do_not_hold(transport: Transport) -> None:
    with in_thread(serve_by_aiohttp(Service(), None)) as url:
        at_once = aiohttp.ClientTimeout(total=1e-9, connect=1e-9, sock_connect=1e-9, sock_read=1e-9)
        async with aiohttp.ClientSession(timeout=at_once) as session:
            with pytest.raises(asyncio.TimeoutError):
                await session.get(url)
            async with transport.client(url, http_session=session) as client:
                await talk_to(client)


@AIOHTTP
async def test_a_session_that_is_closed_is_said(transport: Transport) -> None:
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
    transport: Transport, live: bool
) -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Resolver())) as session,
        transport.client("http://other.example/", http_session=session) as client,
    ):
        with pytest.raises(RuntimeError, match="nobody should ask") as raised:
            await (stream_until_it_fails(client) if live else client.transcribe(PCM))
    assert KEY not in "".join(traceback.format_exception(raised.value))


@AIOHTTP
async def test_a_client_can_be_used_without_being_entered(transport: Transport) -> None:
    with in_thread(serve_by_aiohttp(Service(), None)) as url:
        tasks = transport.tasks()
        await talk_to(transport.client(url))
        assert connections_to(port_of(url)) == 0
        assert transport.tasks() == tasks


@AIOHTTP
async def test_what_a_server_sets_is_forgotten(transport: Transport) -> None:
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
async def test_http_through_a_proxy_is_not_done(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
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
