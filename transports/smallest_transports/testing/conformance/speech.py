"""Whole texts on every transport: read, saved, iterated over, left; and what holds for all speech."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import wave
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from smallest_proto.config import SynthesisConfig
from smallest_proto.errors import ConfigurationError, DisconnectedError, LocalProtocolError, StatusError
from smallest_proto.synthesis.events import SpeechEvent, SpeechFinished
from smallest_transports._client import Client
from smallest_transports._speech import Speech
from smallest_transports.local.voices import VOICES
from smallest_transports.testing.certificates import Tls
from smallest_transports.testing.servers import answering, port_of, serving

from .drivers import ONCE, SECURE, Driver, Logs, connections_to
from .leaving import cancelled_at_every_await
from .speaking import LONG, ROADS, SPEAK, TEXT, heard, say, speaking, take


@ROADS
@SECURE
async def test_a_whole_text(transport: Driver, tls: Tls, secure: bool, sse: bool) -> None:
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


async def test_is_saved_as_its_name_says(transport: Driver, tmp_path: Path) -> None:
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


async def test_what_cannot_be_is_told_before_anything_is_sent(transport: Driver, tmp_path: Path) -> None:
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


async def test_a_part_is_never_taken_for_the_whole(transport: Driver, tmp_path: Path) -> None:
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
async def test_a_refusal_is_raised_where_it_is_awaited(transport: Driver, tmp_path: Path, sse: bool) -> None:
    with serving(answering(b'HTTP/1.1 401 No\r\nContent-Length: 15\r\n\r\n{"error": "no"}')) as url:
        async with transport.client(url) as client:
            waits: tuple[Callable[[Speech], Awaitable[object]], ...]
            waits = (Speech.read, Speech.__anext__, lambda speech: speech.save(tmp_path / "x.wav"))
            for wait in waits:
                with pytest.raises(StatusError, match="401"):
                    await wait(client.synthesize("w1", sse=sse))
    assert os.listdir(tmp_path) == []


async def test_the_client_ends_a_speech(transport: Driver) -> None:
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


async def test_the_voices(transport: Driver) -> None:
    with speaking() as url:
        async with transport.client(url) as client:
            assert [voice.id for voice in await client.voices()] == [voice.voice_id for voice in VOICES]
            assert "meher" not in {voice.id for voice in await client.voices("lightning-v3.1")}
    with serving(answering(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")) as url:
        async with transport.client(url) as client:
            with pytest.raises(StatusError, match="404"):
                await client.voices()


async def test_what_is_said_never_shows(transport: Driver, logs: Logs) -> None:
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
    assert "hush" not in "".join(shown) + logs.text
    assert "sk-very" not in "".join(shown)


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
    transport: Driver, tls: Tls, life: Callable[[Client], Coroutine[Any, Any, None]], secure: bool
) -> None:
    with speaking(tls=tls.server if secure else None) as url:
        assert await cancelled_at_every_await(transport, url, life, ssl_context=tls.client) > 4


@ROADS
@pytest.mark.parametrize("count", [150, 400])
async def test_a_long_text_is_whole(transport: Driver, sse: bool, count: int) -> None:
    """In several requests: a server that speaks one at a time takes them all."""
    text = " ".join(f"w{number}{'.' if number % 7 == 0 else ''}" for number in range(1, count))
    assert len(text) > 600
    with speaking(max_speech=1) as url:
        async with transport.client(url) as client:
            assert heard(await client.synthesize(text, SPEAK, sse=sse).read()) == text.replace(".", "")
