"""What the driver for asyncio has alone. What every driver has is tested in tests/conformance."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from typing import Any

import pytest

from smallest_proto.events import EndReason, LinkOpened, SessionEnded
from smallest_transports.testing.conformance.drivers import PCM, Driver, connections_to
from smallest_transports.testing.conformance.others import Service, serve_by_aiohttp
from smallest_transports.testing.servers import in_thread, port_of
from tests.conformance.makers import those

ASYNCIO = those(lambda made: made.module == "smallest_transports.asyncio")


@ASYNCIO
async def test_a_client_can_be_used_without_being_entered(transport: Driver) -> None:
    with in_thread(serve_by_aiohttp(Service(), None)) as url:
        tasks, client = transport.tasks(), transport.client(url)
        assert (await client.transcribe(PCM)).text == "said in a file"
        async with client.stream_transcription() as stream:
            await stream.send_audio(PCM)
            await stream.end_input()
            assert [event async for event in stream][-1] == SessionEnded(reason=EndReason.COMPLETED)
        assert connections_to(port_of(url)) == 0
        assert transport.tasks() == tasks


@ASYNCIO
async def test_others_run_where_audio_comes_from_a_call_that_blocks(transport: Driver) -> None:
    with in_thread(serve_by_aiohttp(Service(), None)) as url:
        async with transport.client(url) as client, client.stream_transcription() as stream:
            assert isinstance(await anext(stream), LinkOpened)
            times, turns = itertools.count(stream._driver.now(), 0.05), 0
            live: Any = stream._driver
            live.now = lambda: next(times)  # nothing follows at once, and nobody waits for anything

            async def others() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            running = asyncio.create_task(others())
            for _ in range(60):
                await stream.send_audio(bytes(1600))
            running.cancel()
            assert turns >= 5


@pytest.mark.parametrize("missing", ["wsproto", "h11"])
def test_without_what_it_needs_an_import_says_what_to_install(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import smallest_transports.asyncio"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: " in done.stderr
    assert 'pip install "smallest-proto[asyncio]"' in done.stderr
