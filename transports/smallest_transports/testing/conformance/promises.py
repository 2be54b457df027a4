"""What the core promises, seen from outside: every word is counted, over real sockets that are bad on purpose."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from smallest_proto.config import Timeouts, TranscriptionConfig
from smallest_proto.events import LinkOpened
from smallest_proto.transcription.events import Event, FinalTranscript
from smallest_transports._transcription import TranscriptionStream
from smallest_transports.testing import Report, Speech, join, judge, speech
from smallest_transports.testing.certificates import Tls
from smallest_transports.testing.servers import local_server

from .drivers import LONG, Driver

SPEECH = speech("w1 w2 w3", 1.0, "w4 w5 w6 w7", 0.4, "w8 w9", 1.0, "w10 w11 w12 w13", 1.2, "w14 w15", 1.0)
# So short that what is found by waiting is found soon.
SHORT = Timeouts(message_interval=0, ping=0.1, pong=0.3, write=0.5, mute=0.6, keepalive=0.5)

NETWORKS = {
    "good": (),
    "drop": ("drop@2",),
    "three drops": ("drop@1", "drop@2", "drop@1"),
    "half-open": ("half-open@2",),
    "closed with 1011": ("close:1011@2",),
    "error": ("error@2",),
    "garbage": ("garbage@1",),
    "refused": ("refuse:503x2",),
    "no last": ("no-last",),
    "stall": ("stall@2",),
    "stall for a while": ("stall:0.1@2",),
    "all of it": ("refuse:500", "drop@1", "garbage", "half-open@2", "close:1013@1", "no-last"),
}


async def collect(stream: TranscriptionStream, *parts: Speech, before: Sequence[Event] = ()) -> Report:
    """What is wrong with all that comes to the end of the stream, after what came ``before``."""
    events = [*before, *[event async for event in stream]]
    return judge(events, join(parts), stats=stream.stats)


async def until_open(stream: TranscriptionStream) -> list[Event]:
    """What comes until a link is open."""
    events = [await anext(stream)]
    while not isinstance(events[-1], LinkOpened):
        events.append(await anext(stream))
    return events


# Voice activity is the core's matter and TLS the transport's: both on each network, in two cases of the four.
WAYS = {"plain": (False, False), "tls vad": (True, True), "plain vad": (False, True), "tls": (True, False)}


@pytest.mark.parametrize(
    ("secure", "vad_events"), [*WAYS.values()][: 4 if LONG else 2], ids=[*WAYS][: 4 if LONG else 2]
)
@pytest.mark.parametrize("network", NETWORKS)
async def test_every_word_is_heard_once_at_its_time(
    transport: Driver, tls: Tls, network: str, secure: bool, vad_events: bool
) -> None:
    with local_server(*NETWORKS[network], tls=tls.server if secure else None) as url:
        client = transport.client(url, ssl_context=tls.client, timeouts=SHORT)
        async with client, client.stream_transcription(TranscriptionConfig(vad_events=vad_events)) as stream:
            for at in range(0, len(SPEECH.pcm), 9999):  # no whole samples: the session puts them together
                await stream.send_audio(SPEECH.pcm[at : at + 9999])
            await stream.end_input()
            report = await collect(stream, SPEECH)
    assert report.ok, report


async def test_a_finalize_is_answered_and_the_stream_goes_on(transport: Driver) -> None:
    with local_server() as url:
        async with transport.client(url) as client, client.stream_transcription() as stream:
            first, second = speech("w1 w2", 0.3), speech("w3 w4", 0.3)
            await stream.send_audio(first.pcm)
            await stream.finalize()
            async for event in stream:
                if isinstance(event, FinalTranscript):
                    assert event.from_finalize
                    assert event.text == "w1 w2"
                    break
            await stream.send_audio(second.pcm)
            await stream.end_input()
            finals = [event.text async for event in stream if isinstance(event, FinalTranscript)]
    assert " ".join(filter(None, finals)) == "w3 w4"


@pytest.mark.parametrize("network", ["good", "drop", "refused"])
async def test_an_update_in_mid_word_goes_over_without_a_gap(transport: Driver, network: str) -> None:
    with local_server(*NETWORKS[network]) as url:
        config = TranscriptionConfig()
        async with transport.client(url) as client, client.stream_transcription(config) as stream:
            word = SPEECH.truth.words[5]
            middle = int(16000 * ((word.start or 0) + (word.end or 0))) // 2 * 2
            before = await until_open(stream)
            await stream.send_audio(SPEECH.pcm[:middle])
            await stream.update(msgspec.structs.replace(config, punctuate=True))
            before += await until_open(stream)
            await stream.send_audio(SPEECH.pcm[middle:])
            await stream.end_input()
            report = await collect(stream, SPEECH, before=before)
    assert report.ok, report


async def test_a_change_of_sample_rate_keeps_the_time(transport: Driver) -> None:
    parts = [speech("w1 w2", 0.8, "w3", 0.7), speech("w4 w5", 0.8, "w6", 1.0, sample_rate=8000)]
    with local_server() as url:
        async with transport.client(url) as client, client.stream_transcription() as stream:
            await stream.send_audio(parts[0].pcm)
            await stream.update(TranscriptionConfig(sample_rate=8000))
            await stream.send_audio(parts[1].pcm)
            await stream.end_input()
            report = await collect(stream, *parts)
    assert report.ok, report


@pytest.mark.parametrize("route", ["unified", "model", "direct"])
async def test_every_route(transport: Driver, route: str) -> None:
    with local_server(key="sk-very-secret") as url:
        async with transport.client(url, route=route) as client, client.stream_transcription() as stream:
            await stream.send_audio(SPEECH.pcm)
            await stream.end_input()
            report = await collect(stream, SPEECH)
    assert report.ok, report
