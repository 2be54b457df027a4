"""What the server's speech has of the service's bounds: voices, plans, and when it says that all was spoken."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import InvalidStatus

from smallest_proto.server.recogniser import CodedRecogniser
from smallest_proto.server.synthesiser import CodedSynthesiser, SpokenPiece
from smallest_transports.local import server as server_module
from smallest_transports.local.plan import Plan
from smallest_transports.local.server import LocalServer
from smallest_transports.testing.conformance.speaking import heard

from .speech_peer import SPEAK, coded, listen, post, say

if TYPE_CHECKING:
    from .conftest import Peer


async def test_voices_that_are_not_listed_are_cloned_ones_or_need_a_word(peer: Peer) -> None:
    async with coded() as server, coded(any_voice=True) as every:
        assert (await post(server, text="w1", voice_id="voice_FlPK"))[0] == 200
        assert (await post(every, text="w1", voice_id="nobody"))[0] == 200
        async with peer.live(server, SPEAK) as socket:
            await say(socket, text="w1", voice_id="nobody")
            assert "no voice" in (await listen(socket))[1][0]["message"]
            await say(socket, text="w1")
            assert heard((await listen(socket))[0]) == "w1"


async def test_the_limits_of_a_plan(peer: Peer) -> None:
    """One synthesis at once and two sockets: over HTTP more is 429, on a socket an error, and the socket lives."""
    go_on = threading.Event()

    class Slow(CodedSynthesiser):
        def speak(self, text: str, *, sample_rate: int, speed: float = 1.0) -> Iterator[SpokenPiece]:
            yield from super().speak(text, sample_rate=sample_rate, speed=speed)
            go_on.wait()

    server = LocalServer(recogniser=CodedRecogniser, synthesiser=Slow, plan=Plan(requests=1, sockets=2))
    async with server, peer.live(server, SPEAK) as first, peer.live(server, SPEAK) as second:
        with pytest.raises(InvalidStatus) as refused:
            async with peer.live(server, SPEAK):
                pass
        assert refused.value.response.status_code == 429
        await say(first, text="w1")
        await first.recv()
        await say(second, text="w2")
        _, (error,) = await listen(second)
        assert "too many requests at once" in error["message"]
        status, body, headers = await post(server, text="w3")
        assert (status, json.loads(body)["error"], headers["Retry-After"]) == (429, "TooManyRequests", "1")
        go_on.set()
        await listen(first)
        await say(second, text="w4")
        assert heard((await listen(second))[0]) == "w4"
        assert (await post(server, text="w5"))[0] == 200


async def test_complete_comes_when_it_is_due_and_not_before(peer: Peer) -> None:
    async with coded() as server, peer.live(server, SPEAK) as socket:
        await say(socket, text="w1", request_id="a", complete_backoff_ms=10_000)
        pcm = b""
        while heard(pcm) != "w1":
            pcm += base64.b64decode(json.loads(await socket.recv())["data"]["audio"])
        await say(socket, text="w2", request_id="b", complete_backoff_ms=50)
        pcm, others = await listen(socket, completes=2)
        assert heard(pcm) == "w2"
        assert [message["external_request_id"] for message in others] == ["a", "b"]


async def test_the_voice_is_loaded_before_the_first_client_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class Noted(CodedSynthesiser):
        def speak(self, text: str, *, sample_rate: int, speed: float = 1.0) -> Iterator[SpokenPiece]:
            said.append(text)
            return super().speak(text, sample_rate=sample_rate, speed=speed)

    async with coded() as server:
        await server.warm_up()  # what was plugged in is left alone
        assert not said
    monkeypatch.setattr(server_module, "_local_synthesiser", Noted)
    async with LocalServer(recogniser=CodedRecogniser) as server:
        await server.warm_up()
        assert len(said) == 1
