"""Every fault on real sockets, with our own client at the other end: each word arrives once, at its time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from smallest_proto.config import RetryPolicy, Timeouts
from smallest_proto.errors import ConfigurationError, FailureKind
from smallest_proto.events import EndReason, LinkLost, SessionEnded
from smallest_proto.server.recogniser import CodedRecogniser, coded_speech
from smallest_proto.transcription.events import Event, FinalTranscript
from smallest_transports.asyncio import Client
from smallest_transports.local import link
from smallest_transports.local.server import LocalServer

if TYPE_CHECKING:
    from .conftest import Peer

# What is dead is found soon; audio goes out at some ten times its pace.
TIMEOUTS = Timeouts(ping=0.1, pong=0.4, mute=0.8, closing=0.2, message_interval=0.005)
PATIENT = Timeouts(message_interval=0.005)
RETRY = RetryPolicy(max_retries=20, first_delay=0.02, longest_retry_after=0.05)
SPEECH = coded_speech([1, 2, 0.7, 3, 4, 5, 6, 0.7, 7, 8, 0.3])


async def call(server: LocalServer, timeouts: Timeouts) -> list[Event]:
    events: list[Event] = []
    async with (
        Client(api_key="sk-test-key", base_url=server.base_url, timeouts=timeouts, retry=RETRY) as client,
        client.stream_transcription() as stream,
    ):

        async def speak() -> None:
            for at in range(0, len(SPEECH.pcm), 1600):
                await stream.send_audio(SPEECH.pcm[at : at + 1600])
            await stream.end_input()

        speaking = asyncio.ensure_future(speak())
        async for event in stream:
            events.append(event)
        await speaking
    return events


async def survive(*faults: str, timeouts: Timeouts = TIMEOUTS) -> list[LinkLost]:
    """Speak through the faults; every word must be there. Returns how links were lost."""
    async with LocalServer(recogniser=CodedRecogniser, faults=faults, max_live=8) as server:
        events = await call(server, timeouts)
        assert server.faults_left == ()
    heard = [word for event in events if isinstance(event, FinalTranscript) for word in event.words]
    assert [word.text for word in heard] == [word.text for word in SPEECH.words]
    rate = SPEECH.sample_rate
    assert [(round((w.start or 0) * rate), round((w.end or 0) * rate)) for w in heard] == [
        (word.start, word.end) for word in SPEECH.words
    ]
    assert events[-1] == SessionEnded(reason=EndReason.COMPLETED)
    return [event for event in events if isinstance(event, LinkLost)]


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("drop@1.6", FailureKind.DISCONNECTED, "reset"),
        ("drop", FailureKind.DISCONNECTED, "the connection was lost"),
        ("half-open@1.6", FailureKind.DEADLINE, "did not answer a ping"),
        ("stall@1.6", FailureKind.DEADLINE, "did not answer a ping"),
        ("mute@1.6", FailureKind.DEADLINE, "the service is mute"),
        ("close:1011@1.6", FailureKind.DISCONNECTED, "code 1011"),
        ("close:1000@1.6", FailureKind.DISCONNECTED, "code 1000"),
        ("error@1.6", FailureKind.SERVICE, "told of an error"),
        ("no-last", FailureKind.DISCONNECTED, "code 1000"),
        ("refuse:503", FailureKind.STATUS, "HTTP 503"),
        ("refuse:429x3", FailureKind.STATUS, "HTTP 429"),
        ("drop@0.5x3", FailureKind.DISCONNECTED, "reset"),
    ],
)
async def test_every_word_survives_it(fault: str, kind: FailureKind, said: str) -> None:
    lost = await survive(fault)
    assert lost
    assert lost[0].failure.kind is kind
    assert said in lost[0].failure.reason
    if kind is FailureKind.STATUS:
        assert lost[0].failure.retry_after == 1.0
    if "x3" in fault:
        assert [loss.failure.kind for loss in lost[:3]] == [kind] * 3


@pytest.mark.parametrize("fault", ["garbage@1.6", "stall:0.2@1.6"])
async def test_what_passes_costs_no_link(fault: str) -> None:
    assert await survive(fault, timeouts=PATIENT) == []


async def test_one_after_the_other() -> None:
    faults = ("garbage", "drop@0.5", "refuse:500x2", "half-open@0.4", "error@0.3", "mute@0.4", "close:1013", "no-last")
    kinds = [loss.failure.kind for loss in await survive(*faults)]
    assert {FailureKind.DISCONNECTED, FailureKind.STATUS, FailureKind.DEADLINE, FailureKind.SERVICE} == set(kinds)


async def test_a_link_that_is_not_read_stops_its_client(peer: Peer) -> None:
    async with LocalServer(recogniser=CodedRecogniser, faults=["stall@1"]) as server, peer.live(server) as socket:
        sent = 0

        async def flood() -> None:
            nonlocal sent
            for _ in range(10_000):
                await socket.send(bytes(8000))
                sent += 8000

        flooding = asyncio.ensure_future(flood())
        before = -1
        while sent != before:  # until the buffers between the two are full
            before = sent
            done, _ = await asyncio.wait([flooding], timeout=0.3)
            assert not done
        assert sent < 60_000_000
        flooding.cancel()
        await asyncio.wait([flooding])
        socket.transport.abort()


async def test_a_half_open_link_is_let_go_after_the_time_for_idle_ones(
    monkeypatch: pytest.MonkeyPatch, peer: Peer
) -> None:
    monkeypatch.setattr(link, "CLOSING_SECONDS", 0.05)
    options = {"recogniser": CodedRecogniser, "faults": ["half-open@0.1"], "inactivity": 0.2}
    async with LocalServer(**options) as server, peer.live(server) as socket:  # type: ignore[arg-type]
        await peer.send_audio(socket, bytes(6400))
        assert await peer.messages(socket) == []
        assert socket.close_code == 1006  # no goodbye: the connection was aborted


@pytest.mark.parametrize("fault", ["mute@0.1", "half-open@0.1", "stall@0.1"])
async def test_stopping_does_not_wait_for_a_link_with_a_fault(peer: Peer, fault: str) -> None:
    async with LocalServer(recogniser=CodedRecogniser, faults=[fault]) as server, peer.live(server) as socket:
        await peer.send_audio(socket, bytes(6400))
        socket.transport.abort()


def test_a_fault_that_there_is_not_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError, match="no fault 'drip'"):
        LocalServer(faults=["drip@5"])


async def test_what_did_not_happen_is_left() -> None:
    async with LocalServer(recogniser=CodedRecogniser, faults=["drop@60", "mute@9"]) as server:
        await call(server, TIMEOUTS)
        assert list(map(str, server.faults_left)) == ["drop@60", "mute@9"]
