"""The connections that are kept between two streams of speech, on every transport."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from smallest_proto.config import SynthesisConfig
from smallest_proto.errors import ConnectError, LocalProtocolError
from smallest_proto.events import EndReason, LinkLost, SessionEnded
from smallest_proto.synthesis.events import AudioChunk, SegmentDone, SpeechEvent, SpokenSoFar
from smallest_transports._speech import SynthesisStream
from smallest_transports.testing.servers import port_of

from .drivers import ONCE, Driver, connections_to
from .speaking import LONG, PROTOCOLS, SPEAK, TEXT, audio_of, heard, opened, say, speaking, take, until


@PROTOCOLS
async def test_the_next_stream_has_the_connection_of_the_last_one(transport: Driver, config: SynthesisConfig) -> None:
    with speaking() as url:
        async with transport.client(url) as client:
            for turn in range(3):
                async with client.stream_synthesis(config) as stream:
                    events = await say(stream)
                assert heard(audio_of(events)) == TEXT
                assert opened(events) == (turn == 0)
                assert connections_to(port_of(url)) == 1
            other = SynthesisConfig(sample_rate=16000, voice_id="meher")
            async with client.stream_synthesis(other) as stream:
                assert opened(await say(stream)) == 1
            assert connections_to(port_of(url)) == 2
        assert connections_to(port_of(url)) == 0


async def test_without_a_pool_nothing_is_kept(transport: Driver) -> None:
    with speaking() as url:
        async with transport.client(url, pool=0) as client:
            for _ in range(2):
                async with client.stream_synthesis(SPEAK) as stream:
                    assert opened(await say(stream)) == 1
                assert connections_to(port_of(url)) == 0
            with pytest.raises(LocalProtocolError, match="keeps no connection"):
                await client.prewarm(SPEAK)


async def test_no_more_is_kept_than_allowed(transport: Driver) -> None:
    with speaking() as url:
        async with transport.client(url, pool=2) as client:
            async with (
                client.stream_synthesis(SPEAK) as one,
                client.stream_synthesis(SPEAK) as two,
                client.stream_synthesis(SPEAK) as three,
            ):
                for stream in (one, two, three):
                    await say(stream, "w1")
                assert connections_to(port_of(url)) == 3
            assert connections_to(port_of(url)) == 2


async def test_prewarmed(transport: Driver) -> None:
    with speaking() as url:
        async with transport.client(url) as client:
            for _ in range(2):
                await client.prewarm(SPEAK)
                assert connections_to(port_of(url)) == 1
            async with client.stream_synthesis(SPEAK) as stream:
                events = await say(stream)
            assert opened(events) == 0
            assert heard(audio_of(events)) == TEXT


async def test_prewarming_fails(transport: Driver) -> None:
    with speaking() as url:
        pass
    async with transport.client(url, retry=ONCE) as client:
        with pytest.raises(ConnectError):
            await client.prewarm(SPEAK)
        async with client.stream_synthesis(SPEAK) as stream:
            await stream.send_text("w1")
            await stream.end_input()
            events: list[SpeechEvent] = []
            with pytest.raises(ConnectError):
                await take(stream, events)
            with pytest.raises(ConnectError):
                await anext(stream)
            await stream.cancel()
    assert [type(event) for event in events] == [SpokenSoFar, SessionEnded]
    assert isinstance(events[-1], SessionEnded)
    assert events[-1].reason is EndReason.FAILED


@PROTOCOLS
async def test_who_is_cancelled_leaves_a_warm_connection_and_nothing_else(
    transport: Driver, config: SynthesisConfig
) -> None:
    with speaking() as url:
        async with transport.client(url) as client:

            async def speak() -> None:
                async with client.stream_synthesis(config) as stream:
                    await stream.send_text(LONG)
                    await stream.flush()
                    async for event in stream:
                        if isinstance(event, AudioChunk):
                            group.cancel_scope.cancel()

            async with anyio.create_task_group() as group:
                group.start_soon(speak)
            await client.prewarm(config)  # without continuations a new one may be on its way
            async with client.stream_synthesis(config) as stream:
                events = await say(stream, "w21 w22")
                await stream.end_input()
                assert [event async for event in stream] == []
            assert opened(events) == 0
            assert heard(audio_of(events)) == "w21 w22"
            assert {event.segment for event in events if isinstance(event, AudioChunk)} == {0}


async def test_a_stream_that_was_left_is_nobodys(transport: Driver) -> None:
    with speaking() as url:
        async with transport.client(url) as client:
            async with client.stream_synthesis(SPEAK) as left:
                await say(left)
            async with client.stream_synthesis(SPEAK) as stream:
                await stream.send_text(TEXT)
                await stream.flush()
                await left.cancel()
                for call in (left.flush, left.end_input):
                    with pytest.raises(LocalProtocolError, match="after its block was left"):
                        await call()
                with pytest.raises(LocalProtocolError, match="after its block was left"):
                    await left.send_text("w99")
                assert [event async for event in left] == []
                events = await until(stream, SegmentDone)
                assert opened(events) == 0
                assert heard(audio_of(events)) == TEXT


async def test_who_still_listens_takes_nothing_of_the_next_stream(transport: Driver) -> None:
    with speaking() as url:
        async with anyio.create_task_group() as group, transport.client(url) as client:
            ends: list[SpeechEvent] = []

            async def listen(stream: SynthesisStream) -> None:
                ends.extend([event async for event in stream])

            await client.prewarm(SPEAK)
            async with client.stream_synthesis(SPEAK) as left:
                group.start_soon(listen, left)
                while not left._readers:
                    await anyio.lowlevel.checkpoint()
            async with client.stream_synthesis(SPEAK) as stream:
                events = await say(stream)
            assert heard(audio_of(events)) == TEXT
            while not ends:
                await anyio.lowlevel.checkpoint()
    assert ends == [SessionEnded(reason=EndReason.ABORTED)]


async def test_a_link_that_is_lost_while_it_is_kept_is_no_failure(transport: Driver) -> None:
    with speaking("close:1000") as url:  # at once, where nothing is said
        async with transport.client(url) as client:
            await client.prewarm(SPEAK)
            while any(driver.links for driver in client._drivers):
                await anyio.lowlevel.checkpoint()
            async with client.stream_synthesis(SPEAK) as stream:
                events = await say(stream)
    assert heard(audio_of(events)) == TEXT
    assert not any(isinstance(event, LinkLost) for event in events)
