"""The log of a call: every link, retry, handover and loss at INFO, every command at DEBUG, no secret, nothing said."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest

from smallest_proto.config import TranscriptionConfig
from smallest_proto.errors import RemoteError
from smallest_proto.events import LinkOpened
from smallest_proto.transcription.events import FinalTranscript
from smallest_transports.testing.servers import answering, local_server, opening, reset, serving

from .drivers import AGAIN, KEY, ONCE, Driver, Logs, at_level
from .failures import PRIVATE, collect, fail
from .way import SPEECH, hear

if TYPE_CHECKING:
    from collections.abc import Iterator

REFUSED = b'HTTP/1.1 429 Slow\r\nContent-Length: 25\r\n\r\n{"error":"private words"}'


@contextmanager
def private(logs: Logs) -> Iterator[Logs]:
    """The log of a case, which must tell of nothing that is private."""
    yield logs
    ours = [record.getMessage() for record in logs.records if record.name.startswith("smallest_proto")]
    for secret in (KEY, PRIVATE, *SPEECH.text.split()):
        assert not [line for line in ours if secret in line.split() or (len(secret) > 4 and secret in line)]


def lines(log: Logs, level: int = logging.INFO) -> list[str]:
    """What was told, without the number of the call."""
    ours = [record for record in log.records if record.name.startswith("smallest_proto.")]
    return [record.getMessage().partition(": ")[2] for record in ours if record.levelno == level]


def has(told: list[str], *beginnings: str) -> bool:
    """Whether there are lines that begin so, in this order."""
    found = iter(told)
    return all(any(line.startswith(beginning) for line in found) for beginning in beginnings)


async def test_a_call_that_is_lost_goes_on(transport: Driver, logs: Logs) -> None:
    with private(logs) as log:
        with local_server("drop") as url:
            assert await hear(transport, url) == SPEECH.text
        told = lines(log)
        assert has(
            told,
            f"link 1: connecting to {url.replace('http', 'ws')}/stt/live",
            "link 1: open after 0.",
            "link 1: lost: ",
            "link 2: connecting",
            "link 2: open",
            "ended, completed",
        )
        assert "; the next one in 0.00 s" in "".join(told)
        assert "SendBinary(link=1, data=<" in "".join(lines(log, logging.DEBUG))


async def test_a_handover(transport: Driver, logs: Logs) -> None:
    with private(logs) as log:
        with local_server() as url:
            async with transport.client(url) as client, client.stream_transcription() as stream:
                await stream.send_audio(SPEECH.pcm)
                await anext(stream)
                await stream.update(TranscriptionConfig(language="hi"))
                while not isinstance(await anext(stream), LinkOpened):
                    pass
                await stream.end_input()
                assert [event async for event in stream if isinstance(event, FinalTranscript)]
        told = lines(log)
        assert has(told, "link 1: open", "link 2: connecting", "link 2: open", "ended, completed")
        assert "beside link 1" in "".join(told)
        assert "link 1: saying goodbye" in told


@pytest.mark.parametrize("live", [True, False], ids=["live", "file"])
async def test_refused(transport: Driver, logs: Logs, live: bool) -> None:
    with private(logs) as log:
        with serving(answering(REFUSED)) as url:
            await fail(transport, url, live=live)
            async with transport.client(url, retry=ONCE) as client:
                with pytest.raises(RemoteError):
                    await client.synthesize(PRIVATE).read()
        assert has(lines(log), "ended, failed: HTTP 429" if live else "failed: HTTP 429", "POST ", "failed: HTTP 429")


async def test_a_try_that_is_followed_by_another(transport: Driver, logs: Logs) -> None:
    with private(logs) as log:
        with serving(answering(REFUSED)) as url:
            async with transport.client(url, retry=msgspec.structs.replace(AGAIN, max_retries=1)) as client:
                with pytest.raises(RemoteError):
                    await client.voices()
        assert has(lines(log), "GET ", "not yet: HTTP 429", "GET ", "failed: HTTP 429")
        assert "; the next try in 0.00 s" in "".join(lines(log))


async def test_reset_while_speaking(transport: Driver, logs: Logs) -> None:
    with private(logs) as log:
        with serving(opening(reset)) as url:
            async with transport.client(url, retry=ONCE) as client, client.stream_synthesis() as stream:
                await stream.send_text(PRIVATE)
                await stream.flush()
                with pytest.raises(RemoteError):
                    await collect(stream, [])
        assert has(lines(log), "link 1: connecting", "ended, failed: ")
        names = {record.name for record in log.records if record.name.startswith("smallest_proto.")}
        assert names == {"smallest_proto.synthesis"}


async def test_nothing_where_nobody_listens(transport: Driver, logs: Logs) -> None:
    with private(logs) as log:
        with at_level(logging.WARNING, "smallest_proto"), serving(answering(REFUSED)) as url:
            await fail(transport, url)
        assert lines(log) == lines(log, logging.DEBUG) == []
