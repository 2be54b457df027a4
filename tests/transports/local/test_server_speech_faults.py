"""Every fault on sockets that speak, and on speech over HTTP."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import aiohttp
import pytest

from smallest_transports.local import link
from smallest_transports.testing.conformance.speaking import TEXT, heard

from .speech_peer import SPEAK, coded, listen, post, say

if TYPE_CHECKING:
    from .conftest import Peer


@pytest.mark.parametrize(
    ("fault", "code"),
    [("drop@0.5", 1006), ("close:1011@0.5", 1011), ("error@0.5", 1011), ("half-open@0.5", 1006)],
)
async def test_faults_that_end_a_socket_in_mid_speech(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, fault: str, code: int
) -> None:
    monkeypatch.setattr(link, "CLOSING_SECONDS", 0.05)
    async with coded(faults=[fault], inactivity=0.2) as server:
        async with peer.live(server, SPEAK) as socket:
            await say(socket, text=TEXT)
            pcm, others = await listen(socket)
            assert len(pcm) <= 2 * 16000 * 0.6
            assert heard(pcm).startswith("w1") or fault.startswith("drop")  # a reset takes what waits along
            assert [message["status"] for message in others] == ["error"] * (fault[0] == "e")
            await peer.messages(socket)
            assert socket.close_code == code
        assert server.faults_left == ()
        async with peer.live(server, SPEAK) as healthy:
            await say(healthy, text=TEXT)
            assert heard((await listen(healthy))[0]) == TEXT


async def test_a_mute_socket_answers_pings_and_says_nothing(peer: Peer) -> None:
    async with coded(faults=["mute@0.5"], inactivity=0.3) as server, peer.live(server, SPEAK) as socket:
        await say(socket, text=TEXT)
        await (await socket.ping())
        pcm, others = await listen(socket)
        assert len(pcm) == 2 * 16000 * 0.5
        assert others == []
        assert socket.close_code == 1000


async def test_a_stalled_socket_hears_later(peer: Peer) -> None:
    async with coded(faults=["stall:0.2@0.5"]) as server, peer.live(server, SPEAK) as socket:
        await say(socket, text=TEXT)
        assert heard((await listen(socket))[0]) == TEXT  # what was heard is still answered
        await say(socket, text="w12")
        assert heard((await listen(socket))[0]) == "w12"


async def test_garbage_and_a_torn_sample_leave_every_word_as_it_was(peer: Peer) -> None:
    async with coded(faults=["garbage@0.5"]) as server, peer.live(server, SPEAK) as socket:
        await say(socket, text=TEXT)
        pcm, odd, strange = b"", 0, 0
        while True:
            data = await socket.recv()
            try:
                message = json.loads(data)
                audio = base64.b64decode(message["data"]["audio"], validate=True)
            except (ValueError, KeyError, TypeError, UnicodeError):
                if isinstance(data, str) and '"complete"' in data:
                    break
                strange += 1
                continue
            odd += len(audio) % 2
            pcm += audio
        assert heard(pcm) == TEXT
        assert odd == 2
        assert strange == 9


async def test_complete_never_or_twice(peer: Peer) -> None:
    async with coded(faults=["no-complete", "twice"]) as server, peer.live(server, SPEAK) as socket:
        await say(socket, text="w1")
        await say(socket, text="w2")
        await say(socket, text="w3")
        pcm, others = await listen(socket, completes=3)
        assert heard(pcm) == "w1 w2 w3"
        requests = [message["request_id"][-2:] for message in others]
        assert requests == ["-2", "-2", "-3"]
        assert server.faults_left == ()


async def test_refusals_on_purpose_and_broken_answers(peer: Peer) -> None:
    async with coded(faults=["refuse:429", "refuse", "drop@1", "mute"]) as server:
        assert (await peer.status_of(server, SPEAK))[0] == 429
        assert (await post(server, text=TEXT))[0] == 503
        with pytest.raises(aiohttp.ClientError):
            await post(server, text=TEXT)
        assert (await post(server, text=TEXT))[0] == 200
        assert [str(fault) for fault in server.faults_left] == ["mute"]
