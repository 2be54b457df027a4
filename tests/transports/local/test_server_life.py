"""How the server starts, listens and stops."""

from __future__ import annotations

import asyncio
import errno
import threading
from typing import TYPE_CHECKING

import aiohttp
import pytest
from websockets.asyncio.client import connect

from smallest_proto.errors import ConfigurationError, LocalProtocolError
from smallest_proto.server.recogniser import CodedRecogniser
from smallest_transports.local import link
from smallest_transports.local.server import LocalServer
from smallest_transports.local.threaded import serve_in_thread
from smallest_transports.testing.certificates import Tls

from .speech_peer import KEY

if TYPE_CHECKING:
    from .conftest import Peer

LIVE = "/stt/live?model=pulse"
CLOSE_STREAM = '{"type":"close_stream"}'


async def test_stopping_says_goodbye_to_every_link(peer: Peer) -> None:
    async with LocalServer(recogniser=CodedRecogniser) as server:
        url = server.base_url.replace("http", "ws", 1) + LIVE
        sockets = [await connect(url, additional_headers=KEY, proxy=None) for _ in range(3)]
        idle, writer = await asyncio.open_connection("127.0.0.1", peer.port_of(server))
    for socket in sockets:
        await peer.messages(socket)
        assert socket.close_code == 1001
    assert await idle.read() == b""
    writer.close()
    await writer.wait_closed()
    with pytest.raises(LocalProtocolError, match="not running"):
        _ = server.base_url


async def test_stopping_does_not_wait_for_a_client_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, peer: Peer
) -> None:
    monkeypatch.setattr(link, "CLOSING_SECONDS", 0.05)
    async with LocalServer(recogniser=CodedRecogniser) as server:
        port = peer.port_of(server)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"GET /stt/live?model=pulse HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def test_a_port_in_use_is_an_error_that_says_so(peer: Peer) -> None:
    async with LocalServer(recogniser=CodedRecogniser) as server:
        port = peer.port_of(server)
        with pytest.raises(OSError, match="address already in use") as caught:
            async with LocalServer(port=port, recogniser=CodedRecogniser):
                pass
        assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::1", "[::1]")],
)
async def test_the_base_url_can_be_called(host: str, shown: str, peer: Peer) -> None:
    async with LocalServer(host=host, recogniser=CodedRecogniser) as server:
        assert server.base_url.startswith(f"http://{shown}:")
        assert server.base_url.endswith("/waves/v1")
        async with peer.live(server) as socket:
            await socket.send(CLOSE_STREAM)
            assert (await peer.messages(socket))[-1]["is_last"]


async def test_it_speaks_tls(peer: Peer, tls: Tls) -> None:
    async with LocalServer(recogniser=CodedRecogniser, ssl_context=tls.server) as server:
        assert server.base_url.startswith("https://")
        url = server.base_url.replace("https", "wss", 1)
        async with connect(url + LIVE, additional_headers=KEY, ssl=tls.client, proxy=None) as socket:
            await socket.send(CLOSE_STREAM)
            assert (await peer.messages(socket))[-1]["is_last"]
        async with (
            aiohttp.ClientSession(headers=KEY) as session,
            session.post(server.base_url + "/stt/?model=pulse", data=b"x", ssl=tls.client) as answer,
        ):
            assert answer.status == 400


def test_it_runs_in_a_thread_for_those_without_a_loop(peer: Peer) -> None:
    async def main(server: LocalServer) -> None:
        async with peer.live(server) as socket:
            await socket.send(CLOSE_STREAM)
            assert (await peer.messages(socket))[-1]["is_last"]

    with serve_in_thread(LocalServer(recogniser=CodedRecogniser)) as server:
        asyncio.run(main(server))
        port = peer.port_of(server)
        with (
            pytest.raises(OSError, match="in use"),
            serve_in_thread(LocalServer(port=port, recogniser=CodedRecogniser)),
        ):
            pass
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("local-server")]


def test_bounds_of_nothing_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        LocalServer(max_live=0)
