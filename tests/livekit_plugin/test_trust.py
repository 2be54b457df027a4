"""Whom the plugin trusts: whom the session trusts that it is given, or the ``ssl_context`` where one is."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import aiohttp
import pytest
from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions
from livekit.plugins import smallest_proto

from smallest_transports.testing.certificates import Tls
from smallest_transports.testing.conformance.speaking import speaking

from .stage import KEY

Run = Callable[[Coroutine[Any, Any, Any]], Any]
ONCE = APIConnectOptions(max_retry=0, timeout=5)
FRAME = rtc.AudioFrame(bytes(32000), 16000, 1, 16000)


class Trust:
    """A server with a certificate of an authority of its own, and contexts that trust it or nobody."""

    def __init__(self, url: str, trusting: ssl.SSLContext) -> None:
        self.url = url
        self.trusting = trusting
        self.nobody = ssl.create_default_context()


@pytest.fixture
def trust(smallest_tls: Tls) -> Iterator[Trust]:
    with speaking(tls=smallest_tls.server) as url:
        yield Trust(url, smallest_tls.client)


async def speak(http: aiohttp.ClientSession, trust: Trust, **options: Any) -> int:
    """Samples that are spoken, over HTTP and over a socket."""
    live = trust.url.replace("http", "ws") + "/tts/live"
    async with smallest_proto.TTS(api_key=KEY, base_url=trust.url, ws_url=live, http_session=http, **options) as tts:
        async with tts.synthesize("w1 w2.", conn_options=ONCE) as whole:
            samples = sum([event.frame.samples_per_channel async for event in whole])
        async with tts.stream(conn_options=ONCE) as stream:
            stream.push_text("w1 w2.")
            stream.end_input()
            return samples + sum([event.frame.samples_per_channel async for event in stream])


async def hear(http: aiohttp.ClientSession, trust: Trust, **options: Any) -> str:
    """What comes of silence, in a file and live."""
    async with smallest_proto.STT(api_key=KEY, base_url=trust.url, http_session=http, **options) as stt:
        event = await stt.recognize(FRAME, conn_options=ONCE)
        async with stt.stream(conn_options=ONCE) as stream:
            stream.push_frame(FRAME)
            stream.end_input()
            async for _ in stream:
                pass
        return str(event.type)


@pytest.mark.parametrize("work", [speak, hear])
@pytest.mark.parametrize("whose", ["the session's context", "the session's, which checks nothing", "its own"])
async def test_who_is_trusted(trust: Trust, work: Callable[..., Coroutine[Any, Any, Any]], whose: str) -> None:
    kind: Any = {"the session's context": trust.trusting, "its own": trust.nobody}.get(whose, False)
    own = {"ssl_context": trust.trusting} if whose == "its own" else {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=kind)) as http:
        assert await work(http, trust, **own)


@pytest.mark.parametrize("work", [speak, hear])
async def test_who_is_not(trust: Trust, work: Callable[..., Coroutine[Any, Any, Any]]) -> None:
    for kind, own in ((trust.nobody, {}), (trust.trusting, {"ssl_context": trust.nobody})):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=kind)) as http:
            with pytest.raises(APIConnectionError, match="does not hold"):
                await work(http, trust, **own)
