"""A page elsewhere must not reach a server on this machine: by its own name, or by one that it gives this machine."""

from __future__ import annotations

import aiohttp
import pytest

from smallest_proto.server.recogniser import CodedRecogniser
from smallest_transports.local.browsers import why_foreign
from smallest_transports.local.page import LocalPage
from smallest_transports.local.server import LocalServer

from .conftest import LIVE, Peer
from .speech_peer import KEY


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8765", None),
        ("127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("localhost:8765", "http://LocalHost:8765"),
        ("[::1]:8765", "http://[::1]:8765"),
        ("voice.localhost", "http://voice.localhost"),
        ("my.machine:80", "http://my.machine:80"),
    ],
)
def test_pages_of_the_server_itself_are_let_in(host: str, origin: str | None) -> None:
    headers = [("host", host), *([("origin", origin)] if origin else [])]
    assert why_foreign(headers, "my.machine", secure=False, page=True) is None


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8765", "http://evil.example"),
        ("127.0.0.1:8765", "http://127.0.0.1:3000"),  # another program of this machine
        ("127.0.0.1:8765", "https://127.0.0.1:8765"),
        ("127.0.0.1:8765", "null"),  # of a file, or of a frame without rights
        ("127.0.0.1:8765", ""),
        ("evil.example:8765", "http://evil.example:8765"),  # its name has this machine's address
        ("localhost.evil.example:8765", "http://localhost.evil.example:8765"),
        ("[broken", "http://[broken"),
        ("", "http://"),
    ],
)
def test_pages_elsewhere_are_not(host: str, origin: str) -> None:
    headers = [("Host", host), ("Origin", origin)]
    assert why_foreign(headers, "127.0.0.1", secure=False, page=False)
    assert why_foreign(headers, "127.0.0.1", secure=False, page=True)


def test_a_program_may_call_the_service_by_any_name_but_not_the_page() -> None:
    headers = [("Host", "host.docker.internal:8765")]
    assert why_foreign(headers, "127.0.0.1", secure=False, page=False) is None
    assert why_foreign(headers, "127.0.0.1", secure=False, page=True)


@pytest.mark.parametrize("pages", [None, LocalPage()])
async def test_every_route_refuses_a_foreign_page(pages: LocalPage | None, peer: Peer) -> None:
    foreign = {**KEY, "Origin": "http://evil.example"}
    async with LocalServer(recogniser=CodedRecogniser, pages=pages) as server:
        own = {**KEY, "Origin": server.base_url.removesuffix("/waves/v1")}
        status, why = await peer.status_of(server, LIVE, **foreign)
        assert (status, why) == (
            403,
            "pages of 'http://evil.example' may not use this server; outside a browser leave out Origin",
        )
        for path in ("/stt/?model=pulse", "/lightning-v3.1/get_speech"):
            assert (await peer.post(server, b"x", path, **foreign))[0] == 403
        async with peer.live(server, **own) as socket:
            assert socket.response is not None
            assert socket.response.status_code == 101


async def test_the_page_has_no_foreign_name() -> None:
    async with LocalServer(recogniser=CodedRecogniser, pages=LocalPage()) as server, aiohttp.ClientSession() as session:
        url = server.base_url.removesuffix("/waves/v1")
        for path in ("/", "/page/microphone.js", "/page/hear"):
            async with session.get(url + path, headers={"Host": "evil.example"}) as answer:
                assert answer.status == 403
                assert "evil.example" in await answer.text()
