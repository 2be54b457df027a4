"""Text as it is written, on every transport."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from smallest_proto.config import SynthesisConfig
from smallest_proto.errors import LocalProtocolError
from smallest_proto.events import EndReason, LinkLost, LinkOpened, SessionEnded
from smallest_proto.synthesis.events import AudioChunk, SegmentDone, SpeechEvent, SpokenSoFar, WordSpoken
from smallest_transports._client import Client
from smallest_transports._speech import SynthesisStream
from smallest_transports.testing.certificates import Tls

from .drivers import SECURE, Driver
from .speaking import GOING_ON, LONG, PROTOCOLS, SPEAK, TEXT, audio_of, heard, say, speaking, until


@PROTOCOLS
@SECURE
async def test_text_is_spoken_segment_by_segment(
    transport: Driver, tls: Tls, secure: bool, config: SynthesisConfig
) -> None:
    with speaking(tls=tls.server if secure else None) as url:
        async with transport.client(url, ssl_context=tls.client) as client:
            async with client.stream_synthesis(config) as stream:
                first = await say(stream)
                assert isinstance(first[0], LinkOpened)
                await stream.send_text("w21 ")
                await stream.send_text("w22.")
                await stream.end_input()
                with pytest.raises(LocalProtocolError, match="after end_input"):
                    await stream.send_text("w23")
                second = [event async for event in stream]
                assert [event async for event in stream] == []
                assert stream.stats.segments_done == 2
            assert heard(audio_of(first)) == TEXT
            assert heard(audio_of(second, 1)) == "w21 w22"
            assert isinstance(second[-1], SegmentDone)
            words = [event.text for event in first if isinstance(event, WordSpoken)]
            assert words == (TEXT.split() if config.word_timestamps else [])


@PROTOCOLS
async def test_barge_in(transport: Driver, config: SynthesisConfig) -> None:
    with speaking() as url:
        async with transport.client(url) as client, client.stream_synthesis(config) as stream:
            await stream.send_text(LONG)
            await stream.flush()
            await until(stream, AudioChunk)
            await stream.cancel()
            *_, told = await until(stream, SpokenSoFar)
            assert isinstance(told, SpokenSoFar)
            assert told.spoken + told.unspoken == LONG
            events = await say(stream, "w21 w22")
            assert heard(audio_of(events, 1)) == "w21 w22"
            assert {event.segment for event in events if isinstance(event, AudioChunk)} == {1}
            await stream.end_input()
            assert [event async for event in stream if not isinstance(event, LinkOpened)] == []


async def test_ends_at_once_where_nothing_is_to_be_said(transport: Driver) -> None:
    with speaking() as url:
        async with transport.client(url) as client:
            await client.prewarm(SPEAK)
            for tell in ("end_input", "blank", "cancel"):
                ends: list[list[SpeechEvent]] = []
                async with anyio.create_task_group() as group, client.stream_synthesis(SPEAK) as stream:

                    async def listen(stream: SynthesisStream, ends: list[list[SpeechEvent]]) -> None:
                        ends.append([event async for event in stream])

                    group.start_soon(listen, stream, ends)
                    await anyio.lowlevel.checkpoint()
                    if tell == "blank":
                        await stream.send_text(" \n")
                    if tell == "cancel":
                        await stream.send_text("w1")
                        await stream.cancel()
                    await stream.end_input()
                    while not ends:
                        await anyio.lowlevel.checkpoint()
                assert [type(event) for event in ends[0]] == ([SpokenSoFar] if tell == "cancel" else [])


async def test_the_client_ends_a_stream(transport: Driver) -> None:
    ends: list[SpeechEvent] = []
    with speaking() as url:
        async with anyio.create_task_group() as group:
            begun = anyio.Event()

            async def listen(client: Client) -> None:
                async with client.stream_synthesis(SPEAK) as stream:
                    begun.set()
                    ends.extend([event async for event in stream])

            async with transport.client(url) as client:
                group.start_soon(listen, client)
                await begun.wait()
    assert ends[-1] == SessionEnded(reason=EndReason.ABORTED)


async def test_resumed_a_drop_costs_no_word(transport: Driver) -> None:
    with speaking("drop@1") as url:
        async with transport.client(url) as client, client.stream_synthesis(GOING_ON, resume=True) as stream:
            events = await say(stream)
    assert heard(audio_of(events)) == TEXT
    assert any(isinstance(event, LinkLost) for event in events)


@pytest.mark.parametrize("tokens", [("w1 \ud83e", "\udd16 w2."), ("w1 \udfff", " w2.\ud800")], ids=["pair", "alone"])
async def test_half_a_character_silences_nothing(transport: Driver, tokens: tuple[str, ...]) -> None:
    with speaking() as url:
        async with transport.client(url) as client:
            async with client.stream_synthesis(SPEAK) as stream:
                for token in tokens:
                    await stream.send_text(token)
                await stream.end_input()
                assert heard(audio_of([event async for event in stream])) == "w1 w2"
            assert heard(await client.synthesize("".join(tokens), SPEAK).read()) == "w1 w2"
