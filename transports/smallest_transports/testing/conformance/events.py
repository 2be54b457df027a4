"""What the application is told: each event, once, in its order, as soon as it is known; and nothing after the end."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise

from smallest_proto.events import LinkLost, LinkOpened, SessionEnded
from smallest_proto.transcription.events import Event, FinalTranscript, InterimTranscript, Usage
from smallest_transports.testing import judge, speech
from smallest_transports.testing.servers import accept, heard_text, local_server, serving

from .drivers import ONCE, Driver, heard_interim
from .promises import SHORT

SAID = speech("w1 w2", 0.9, "w3 w4 w5", 0.9, "w6 w7", 0.9, "w8", 1.0)


async def events_of(transport: Driver, *faults: str) -> list[Event]:
    """All that is told of a call."""
    with local_server(*faults) as url:
        async with (
            transport.client(url, timeouts=SHORT) as client,
            client.stream_transcription() as stream,
        ):
            await stream.send_audio(SAID.pcm)
            await stream.end_input()
            return [event async for event in stream]


async def test_each_link_that_opens_or_is_lost_is_told(transport: Driver) -> None:
    events = await events_of(transport, "drop@1", "drop@1")
    links = [(type(event), event.link) for event in events if isinstance(event, (LinkOpened, LinkLost))]
    assert links == [(LinkOpened, 1), (LinkLost, 1), (LinkOpened, 2), (LinkLost, 2), (LinkOpened, 3)]


async def test_finals_come_in_the_order_of_what_was_said(transport: Driver) -> None:
    finals = [event for event in await events_of(transport) if isinstance(event, FinalTranscript) and event.text]
    assert len(finals) >= 3
    assert [event.start for event in finals] == sorted(event.start for event in finals)
    assert " ".join(event.text.strip() for event in finals) == SAID.text


async def test_every_turn_is_told_in_its_time(transport: Driver) -> None:
    report = judge(await events_of(transport), SAID, turns=True)
    assert not report.unpaired, report
    assert not report.mistimed, report


async def test_no_event_is_told_twice(transport: Driver) -> None:
    events = await events_of(transport, "drop@1")
    assert not [event for before, event in pairwise(events) if before == event]
    lasting = [event for event in events if not isinstance(event, (InterimTranscript, Usage))]
    assert not [event for at, event in enumerate(lasting) if event in lasting[:at]]


async def test_nothing_comes_after_the_end(transport: Driver) -> None:
    with local_server() as url:
        async with transport.client(url) as client, client.stream_transcription() as stream:
            await stream.send_audio(SAID.pcm)
            await stream.end_input()
            events = [event async for event in stream]
            assert [event for event in events if isinstance(event, SessionEnded)] == events[-1:]
            assert [event async for event in stream] == []
        assert [event async for event in stream] == []


async def test_an_event_comes_without_waiting_for_the_next(transport: Driver) -> None:
    """The service says something more only when it is asked."""
    told = ("one", "two", "three")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = await accept(reader, writer)
        for text in told:
            server.send_text(json.dumps({"type": "transcription", "transcript": text, "is_final": False}))
            writer.write(server.data_to_send())
            await heard_text(server, reader, "finalize")
        await reader.read()

    with serving(talk) as url:
        async with transport.client(url, retry=ONCE) as client, client.stream_transcription() as stream:
            for text in told:
                assert await heard_interim(stream) == text
                await stream.finalize()
