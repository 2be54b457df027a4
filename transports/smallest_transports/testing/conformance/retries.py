"""HTTP exchanges are tried again on every transport: refused, unheard or broken off, they come back whole, or once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import anyio
import pytest

from smallest_proto.config import FileTranscriptionConfig, RetryPolicy, SynthesisConfig
from smallest_proto.errors import DisconnectedError, StatusError
from smallest_proto.http.exchange import ExchangeRetried
from smallest_transports._client import Client
from smallest_transports.testing.servers import Talk, reset, serving, turns

from .drivers import Driver

FILES = 20
AT_ONCE = 2  # files that the busy service works at
PATIENT = 5  # times that one file is refused


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """The body of a request."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    size = head.partition(b"content-length:")[2].partition(b"\r\n")[0].strip()
    return await reader.readexactly(int(size or 0))


def response(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Busy:
    """A service that works at few files at once; to the others it says so, or hangs up on them."""

    def __init__(self) -> None:
        self.refused: Counter[bytes] = Counter()
        self.working = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = await read_request(reader)
        if self.working >= AT_ONCE and self.refused[name] < PATIENT:
            self.refused[name] += 1
            if self.refused[name] % 3 == 0:
                reset(None, writer)
            else:
                writer.write(response("429 Busy" if self.refused[name] % 3 else "503 Busy", b"", "Retry-After: 0"))
        else:
            self.working += 1
            try:
                while self.refused.total() < FILES:  # until the others have met a busy service
                    await turns()
                writer.write(response("200 OK", json.dumps({"transcription": name.decode()}).encode()))
            finally:
                self.working -= 1
        await reader.read()


async def test_twenty_files_come_back_whole_from_a_busy_service(transport: Driver) -> None:
    texts: dict[int, str] = {}

    async def transcribe(client: Client, number: int) -> None:
        texts[number] = (await client.transcribe(f"file {number}".encode())).text

    busy, retried = Busy(), list[ExchangeRetried]()
    with serving(busy) as url:
        async with transport.client(url, on_retry=retried.append) as client, anyio.create_task_group() as tasks:
            for number in range(FILES):
                tasks.start_soon(transcribe, client, number)
    assert texts == {number: f"file {number}" for number in range(FILES)}
    assert busy.refused.total() == len(retried) >= FILES


def in_turn(*talks: Talk) -> tuple[Talk, list[int]]:
    """One after the other, the last one for all that follow; and what counts the connections."""
    count = [0]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        count[0] += 1
        await read_request(reader)
        await talks[min(count[0], len(talks)) - 1](reader, writer)

    return talk, count


def saying(data: bytes) -> Talk:
    """Answer with these bytes, then hang up."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        writer.close()

    return talk


HANG_UP = saying(b"")
REFUSE = saying(response("503 Busy"))
VOICES = saying(response("200 OK", b'{"voices":[{"voiceId":"a"}]}'))
AUDIO = bytes(range(200))


@pytest.mark.parametrize("first", [HANG_UP, REFUSE, saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")])
async def test_the_list_of_voices_is_asked_for_again(transport: Driver, first: Talk) -> None:
    talk, count = in_turn(first, first, VOICES)
    with serving(talk) as url:
        async with transport.client(url) as client:
            assert [voice.id for voice in await client.voices()] == ["a"]
    assert count == [3]


async def test_speech_is_asked_for_again_before_its_first_byte(transport: Driver) -> None:
    talk, count = in_turn(
        REFUSE, HANG_UP, saying(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n"), saying(response("200 OK", AUDIO))
    )
    with serving(talk) as url:
        async with transport.client(url) as client:
            assert await client.synthesize("Hello.").read() == AUDIO
    assert count == [4]


async def test_and_never_after_it(transport: Driver) -> None:
    talk, count = in_turn(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + AUDIO[:100]), VOICES)
    with serving(talk) as url:
        async with transport.client(url) as client:
            speech = client.synthesize("Hello.", SynthesisConfig(sample_rate=8000))
            assert (await anext(speech)).data == AUDIO[:100]
            with pytest.raises(DisconnectedError):
                await anext(speech)
    assert count == [1]


@pytest.mark.parametrize("max_retries", [0, 2])
async def test_so_often_and_no_more(transport: Driver, max_retries: int) -> None:
    talk, count = in_turn(REFUSE)
    with serving(talk) as url:
        async with transport.client(url, retry=RetryPolicy(max_retries=max_retries, first_delay=0)) as client:
            with pytest.raises(StatusError):
                await client.transcribe(b"RIFF", FileTranscriptionConfig())
    assert count == [max_retries + 1]


async def test_leaving_while_it_waits_for_the_next_try(transport: Driver) -> None:
    talk, count = in_turn(REFUSE)
    waiting = anyio.Event()
    patient = RetryPolicy(first_delay=60, longest_delay=60)
    with serving(talk) as url:
        async with (
            transport.client(url, retry=patient, on_retry=lambda _: waiting.set()) as client,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(client.voices)
            await waiting.wait()
            tasks.cancel_scope.cancel()
    assert count == [1]
