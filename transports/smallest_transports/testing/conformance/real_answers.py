"""What the service was seen to answer, on every transport: errors that say what to do, and a server on premises."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from smallest_proto.config import FileTranscriptionConfig, SynthesisConfig, TranscriptionConfig
from smallest_proto.errors import DisconnectedError, ServiceError, StatusError
from smallest_proto.events import LinkLost, SessionEnded
from smallest_proto.wav import read_wav
from smallest_transports import _wire as wire
from smallest_transports._transcription import TranscriptionStream
from smallest_transports.testing.servers import LAST, Talk, accept, answering, serving

from .drivers import KEY, PCM, Driver
from .retries import response

RAW = FileTranscriptionConfig(encoding="linear16", sample_rate=16000)
JAPANESE = TranscriptionConfig(language="ja")
NOT_HERE = {
    "type": "error",
    "status": "error",
    "error_code": "LANGUAGE_NOT_ENABLED_IN_REGION",
    "message": "Language 'ja' has not been enabled in this region.",
}


def greeting(say: Callable[[wire.ServerConnection], object]) -> tuple[Talk, list[int]]:
    """Accept each WebSocket and do this to it at once; and what counts them."""
    count = [0]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        count[0] += 1
        server = await accept(reader, writer)
        say(server)
        writer.write(server.data_to_send())
        while not server.finished and (data := await reader.read(65536)):
            server.receive_data(data)
            writer.write(server.data_to_send())

    return talk, count


async def events_of(stream: TranscriptionStream, events: list[Any]) -> None:
    async for event in stream:
        events.append(event)


def refuse_language(server: wire.ServerConnection) -> None:
    server.send_text(json.dumps(NOT_HERE))
    server.close(1008)


async def test_a_language_that_this_region_lacks_costs_one_link_and_says_why(transport: Driver) -> None:
    talk, count = greeting(refuse_language)
    events: list[Any] = []
    with serving(talk) as url:
        async with transport.client(url) as client, client.stream_transcription(JAPANESE) as stream:
            await stream.send_audio(PCM)
            with pytest.raises(ServiceError, match=r"LANGUAGE_NOT_ENABLED_IN_REGION.*does not have this language"):
                await events_of(stream, events)
    assert count == [1]
    assert "too many sessions" not in events[-1].failure.reason
    assert not any(isinstance(event, LinkLost) for event in events)


async def test_closes_without_a_word_say_what_it_may_be(transport: Driver) -> None:
    talk, count = greeting(lambda server: server.close(1000, "no route for model"))
    events: list[Any] = []
    with serving(talk) as url:
        async with transport.client(url) as client, client.stream_transcription(JAPANESE) as stream:
            with pytest.raises(DisconnectedError, match=r'it says "no route for model".*language.*option'):
                await events_of(stream, events)
    assert isinstance(events[-1], SessionEnded)
    assert count == [9]  # it could be a server that restarts: the retry policy holds


@pytest.mark.parametrize("status", [414, 431])
async def test_a_url_that_is_too_long_says_so(transport: Driver, status: int) -> None:
    config = TranscriptionConfig(keywords=tuple(f"word{number}" for number in range(200)))
    with serving(answering(response(f"{status} Too Long"))) as url:
        async with transport.client(url) as client, client.stream_transcription(config) as stream:
            with pytest.raises(StatusError, match="send fewer keywords"):
                await events_of(stream, [])


async def test_a_refused_field_is_named(transport: Driver) -> None:
    said = {"error": [{"code": "custom", "path": ["voice_id"], "message": "Voice not found: Wilhelmina"}]}
    with serving(answering(response("400 Bad Request", json.dumps(said).encode()))) as url:
        async with transport.client(url) as client:
            with pytest.raises(StatusError, match=r"wrong: voice_id \(custom\)") as raised:
                await client.synthesize("Hello.", SynthesisConfig(voice_id="nobody")).read()
    assert "Wilhelmina" not in str(raised.value) + repr(raised.value.failure)
    assert raised.value.failure.detail == "Voice not found: Wilhelmina"


async def test_a_model_that_was_retired_says_what_to_use(transport: Driver) -> None:
    said = {"status": "error", "error_code": "MODEL_DEPRECATED", "message": "This model is retired."}
    with serving(answering(response("410 Gone", json.dumps(said).encode()))) as url:
        async with transport.client(url, route="model") as client:
            with pytest.raises(StatusError, match=r"use lightning_v3\.1"):
                await client.synthesize("Hello.", SynthesisConfig(model="lightning-v2")).read()


async def test_a_server_on_premises(transport: Driver) -> None:
    heads: list[bytes] = []
    bodies: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        rest = asyncio.StreamReader()
        rest.feed_data(head)
        if head.startswith(b"POST"):
            size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            bodies.append(await reader.readexactly(size))
            writer.write(response("200 OK", b'{"text":"on premises","duration":1.0}'))
            return
        server = await accept(rest, writer)
        while not server.finished:
            for event in server.receive_data(await reader.read(65536)):
                if isinstance(event, wire.TextMessage) and "close_stream" in event.text:
                    server.send_text(LAST)
                    server.close(1000)
            writer.write(server.data_to_send())

    with serving(talk) as url:
        base = url.removesuffix("/waves/v1")
        async with transport.client(base, route="on-premises") as client:
            transcript = await client.transcribe(PCM, RAW)
            async with client.stream_transcription() as stream:
                await stream.end_input()
                await events_of(stream, [])
    assert (transcript.text, transcript.duration) == ("on premises", 1.0)
    assert read_wav(bodies[0]) == ("linear16", 16000, PCM)
    assert [head.split(b"?")[0] for head in heads] == [b"POST /v1/listen", b"GET /v1/listen/stream"]
    assert all(f"authorization: token {KEY}".encode() in head.lower() for head in heads)
