"""Speech on every transport: whole texts, text as it is written, and the connections that are kept between two."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import wave
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from smallest_proto.config import SynthesisConfig
from smallest_proto.errors import ConfigurationError, ConnectError, DisconnectedError, LocalProtocolError, StatusError
from smallest_proto.events import EndReason, LinkLost, LinkOpened, SessionEnded
from smallest_proto.speech import AudioChunk, SegmentDone, SpeechEvent, SpeechFinished, SpokenSoFar, WordSpoken
from smallest_proto.synthesiser import CodedSynthesiser
from smallest_transports._client import Client
from smallest_transports._speech import Speech, SynthesisStream
from smallest_transports.local.voices import VOICES
from tests.transports.local.speech_peer import TEXT, heard

from .makers import ONCE, Transport, connections_to
from .servers import answering, local_server, port_of, serving
from .test_leaving import SECURE, Walk

if TYPE_CHECKING:
    from tests.transports.conftest import Tls

SPEAK = SynthesisConfig(sample_rate=16000)
GOING_ON = SynthesisConfig(sample_rate=16000, continuations=True, word_timestamps=True)
PROTOCOLS = pytest.mark.parametrize("config", [SPEAK, GOING_ON], ids=["plain", "continuations"])
ROADS = pytest.mark.parametrize("sse", [False, True], ids=["reply", "sse"])
LONG = " ".join(f"w{number}." for number in range(2000))  # some 500 s: more than the buffers on the way hold


@contextmanager
def speaking(*faults: str, **options: Any) -> Iterator[str]:
    """The local server, which speaks coded audio."""
    with local_server(*faults, synthesiser=CodedSynthesiser, **{"max_speech": 256, **options}) as url:
        yield url


async def say(stream: SynthesisStream, text: str = TEXT) -> list[SpeechEvent]:
    """One segment, token by token, and the events to its end."""
    for at in range(0, len(text), 4):
        await stream.send_text(text[at : at + 4])
    await stream.flush()
    return await until(stream, SegmentDone)


async def until(stream: SynthesisStream, kind: type) -> list[SpeechEvent]:
    """The events up to the first of a kind."""
    events = [await anext(stream)]
    while not isinstance(events[-1], kind):
        events.append(await anext(stream))
    return events


async def take(stream: SynthesisStream, events: list[SpeechEvent]) -> None:
    async for event in stream:
        events.append(event)


def audio_of(events: list[SpeechEvent], segment: int = 0) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, AudioChunk) and event.segment == segment)


def opened(events: list[SpeechEvent]) -> int:
    return sum(isinstance(event, LinkOpened) for event in events)


# Whole texts.


@ROADS
@SECURE
async def test_a_whole_text(transport: Transport, tls: Tls, secure: bool, sse: bool) -> None:
    with speaking(tls=tls.server if secure else None) as url:
        async with transport.client(url, ssl_context=tls.client) as client:
            speech = client.synthesize(TEXT, SPEAK, sse=sse)
            chunks = [chunk async for chunk in speech]
            pcm = b"".join(chunk.data for chunk in chunks)
            assert heard(pcm) == TEXT
            at = 0
            for chunk in chunks:
                assert chunk.start == at / 32000
                at += len(chunk.data)
            assert isinstance(speech.finished, SpeechFinished)
            assert speech.finished.size == len(pcm)
            assert [chunk async for chunk in speech] == []
            assert await client.synthesize(TEXT, SPEAK, sse=sse).read() == pcm


async def test_is_saved_as_its_name_says(transport: Transport, tmp_path: Path) -> None:
    with speaking() as url:
        async with transport.client(url) as client:
            await client.synthesize(TEXT, SPEAK).save(tmp_path / "a.wav")
            await client.synthesize(TEXT, SPEAK).save(str(tmp_path / "a.PCM"))
            wav = SynthesisConfig(sample_rate=16000, output_format="wav")
            await client.synthesize(TEXT, wav).save(tmp_path / "a.wav")  # over the old one
            await client.synthesize(TEXT, SPEAK).save(tmp_path / "b.wav")
            with pytest.raises(FileNotFoundError):
                await client.synthesize(TEXT, SPEAK).save(tmp_path / "missing" / "c.wav")
    pcm = (tmp_path / "a.PCM").read_bytes()
    assert heard(pcm) == TEXT
    with wave.open(str(tmp_path / "b.wav")) as made:
        assert (made.getnchannels(), made.getsampwidth(), made.getframerate()) == (1, 2, 16000)
        assert made.readframes(made.getnframes()) == pcm
    assert (tmp_path / "a.wav").read_bytes()[44:] == pcm
    assert sorted(os.listdir(tmp_path)) == ["a.PCM", "a.wav", "b.wav"]


async def test_what_cannot_be_is_told_before_anything_is_sent(transport: Transport, tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(1))

    with serving(talk) as url:
        async with transport.client(url) as client:
            with pytest.raises(ConfigurationError, match="empty"):
                client.synthesize(" ")
            with pytest.raises(ConfigurationError, match=r"x\.mp3.*\.wav or \.pcm"):
                await client.synthesize("w1").save(tmp_path / "x.mp3")
            with pytest.raises(ConfigurationError, match="pcm"):
                async with client.stream_synthesis(SynthesisConfig(output_format="mp3")):
                    pass
            with pytest.raises(ConfigurationError, match="model"):
                await client.voices("lightning/../x")
            for wrong in ({"pool": -1}, {"pool_seconds": -1.0}):
                with pytest.raises(ConfigurationError, match=next(iter(wrong))):
                    transport.client(url, **wrong)
    assert asked == []
    assert os.listdir(tmp_path) == []


async def test_a_part_is_never_taken_for_the_whole(transport: Transport, tmp_path: Path) -> None:
    with speaking() as url:
        async with transport.client(url) as client, client.synthesize(LONG, SPEAK) as speech:
            await anext(speech)
            with pytest.raises(LocalProtocolError, match="after a part"):
                await speech.read()
            with pytest.raises(LocalProtocolError, match="after a part"):
                await speech.save(tmp_path / "x.wav")
            await speech.aclose()
            assert connections_to(port_of(url)) == 0
            assert [chunk async for chunk in speech] == []
            with pytest.raises(LocalProtocolError, match="has ended"):
                await speech.read()
            with pytest.raises(LocalProtocolError, match="has ended"):
                async with speech:
                    pass
            async with client.synthesize(TEXT, SPEAK) as whole:
                assert heard(await whole.read()) == TEXT
    assert os.listdir(tmp_path) == []


@ROADS
async def test_a_refusal_is_raised_where_it_is_awaited(transport: Transport, tmp_path: Path, sse: bool) -> None:
    with serving(answering(b'HTTP/1.1 401 No\r\nContent-Length: 15\r\n\r\n{"error": "no"}')) as url:
        async with transport.client(url) as client:
            waits: tuple[Callable[[Speech], Awaitable[object]], ...]
            waits = (Speech.read, Speech.__anext__, lambda speech: speech.save(tmp_path / "x.wav"))
            for wait in waits:
                with pytest.raises(StatusError, match="401"):
                    await wait(client.synthesize("w1", sse=sse))
    assert os.listdir(tmp_path) == []


async def test_the_client_ends_a_speech(transport: Transport) -> None:
    ends: list[BaseException] = []
    begun = threading.Event()

    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        begun.set()
        await reader.read()

    with serving(talk) as url:
        async with anyio.create_task_group() as group, transport.client(url) as client:

            async def read() -> None:
                try:
                    await client.synthesize("w1").read()
                except DisconnectedError as error:
                    ends.append(error)

            group.start_soon(read)
            while not begun.is_set():
                await anyio.lowlevel.checkpoint()
    assert len(ends) == 1


async def test_the_voices(transport: Transport) -> None:
    with speaking() as url:
        async with transport.client(url) as client:
            assert [voice.id for voice in await client.voices()] == [voice.voice_id for voice in VOICES]
            assert "meher" not in {voice.id for voice in await client.voices("lightning-v3.1")}
    with serving(answering(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")) as url:
        async with transport.client(url) as client:
            with pytest.raises(StatusError, match="404"):
                await client.voices()


# Text as it is written.


@PROTOCOLS
@SECURE
async def test_text_is_spoken_segment_by_segment(
    transport: Transport, tls: Tls, secure: bool, config: SynthesisConfig
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
async def test_the_next_stream_has_the_connection_of_the_last_one(
    transport: Transport, config: SynthesisConfig
) -> None:
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


async def test_without_a_pool_nothing_is_kept(transport: Transport) -> None:
    with speaking() as url:
        async with transport.client(url, pool=0) as client:
            for _ in range(2):
                async with client.stream_synthesis(SPEAK) as stream:
                    assert opened(await say(stream)) == 1
                assert connections_to(port_of(url)) == 0
            with pytest.raises(LocalProtocolError, match="keeps no connection"):
                await client.prewarm(SPEAK)


async def test_no_more_is_kept_than_allowed(transport: Transport) -> None:
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


async def test_prewarmed(transport: Transport) -> None:
    with speaking() as url:
        async with transport.client(url) as client:
            for _ in range(2):
                await client.prewarm(SPEAK)
                assert connections_to(port_of(url)) == 1
            async with client.stream_synthesis(SPEAK) as stream:
                events = await say(stream)
            assert opened(events) == 0
            assert heard(audio_of(events)) == TEXT


async def test_prewarming_fails(transport: Transport) -> None:
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
async def test_barge_in(transport: Transport, config: SynthesisConfig) -> None:
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


@PROTOCOLS
async def test_who_is_cancelled_leaves_a_warm_connection_and_nothing_else(
    transport: Transport, config: SynthesisConfig
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


async def test_ends_at_once_where_nothing_is_to_be_said(transport: Transport) -> None:
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


async def test_a_stream_that_was_left_is_nobodys(transport: Transport) -> None:
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


async def test_who_still_listens_takes_nothing_of_the_next_stream(transport: Transport) -> None:
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


async def test_the_client_ends_a_stream(transport: Transport) -> None:
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


async def test_a_link_that_is_lost_while_it_is_kept_is_no_failure(transport: Transport) -> None:
    with speaking(inactivity=0.05) as url:
        async with transport.client(url) as client:
            await client.prewarm(SPEAK)
            while connections_to(port_of(url)):
                await anyio.lowlevel.checkpoint()
            async with client.stream_synthesis(SPEAK) as stream:
                events = await say(stream)
    assert heard(audio_of(events)) == TEXT
    assert not any(isinstance(event, LinkLost) for event in events)


async def test_resumed_a_drop_costs_no_word(transport: Transport) -> None:
    with speaking("drop@1") as url:
        async with transport.client(url) as client, client.stream_synthesis(GOING_ON, resume=True) as stream:
            events = await say(stream)
    assert heard(audio_of(events)) == TEXT
    assert any(isinstance(event, LinkLost) for event in events)


# Leaving, at every moment.


async def speak_by_http(client: Client) -> None:
    async with client:
        await client.synthesize("w1 w2", SPEAK).read()
        async with client.synthesize(LONG, SPEAK, sse=True) as speech:
            await anext(speech)


async def speak_live(client: Client) -> None:
    async with client:
        await client.prewarm(SPEAK)
        async with client.stream_synthesis(SPEAK) as stream:
            await say(stream, "w1 w2")
            await stream.send_text(LONG)
            await stream.flush()
            await anext(stream)
            await stream.cancel()
        async with client.stream_synthesis(SPEAK) as stream:
            await stream.send_text("w3")
            await stream.end_input()
            async for _ in stream:
                pass


@SECURE
@pytest.mark.parametrize("life", [speak_by_http, speak_live], ids=["http", "live"])
async def test_cancelled_at_every_await(
    transport: Transport, tls: Tls, life: Callable[[Client], Coroutine[Any, Any, None]], secure: bool
) -> None:
    with speaking(tls=tls.server if secure else None) as url:
        tasks, at, over = transport.tasks(), 0, False
        while not over:
            at += 1
            with anyio.CancelScope() as scope:
                walk = Walk(life(transport.client(url, ssl_context=tls.client)), at, scope.cancel)
                await walk
            over = walk.waits < at
            assert over != scope.cancel_called
            await transport.check_left(tasks, port_of(url))
    assert at > 4


async def test_what_is_said_never_shows(transport: Transport, caplog: pytest.LogCaptureFixture) -> None:
    body, events = json.dumps({"error": "no"}).encode(), list[SpeechEvent]()
    with serving(answering(b"HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))) as url:
        async with transport.client(url, retry=ONCE) as client:
            speech = client.synthesize("hush-hush")
            with pytest.raises(StatusError) as raised:
                await speech.read()
            shown = [repr(speech), repr(raised.value), str(raised.value), repr(raised.value.__context__)]
            async with client.stream_synthesis() as stream:
                await stream.send_text("hush-hush")
                await stream.flush()
                shown.append(repr(stream))
                with pytest.raises(StatusError) as raised:
                    await take(stream, events)
            shown += [repr(event) for event in events]
            shown += [repr(raised.value), str(raised.value), repr(raised.value.__context__)]
    assert "hush" not in "".join(shown) + caplog.text
    assert "sk-very" not in "".join(shown)
