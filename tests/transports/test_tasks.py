"""What the drivers for trio and anyio have in common. What every driver has is tested in tests/conformance."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
import pytest
import trio

from smallest_proto.errors import LocalProtocolError, RemoteError
from smallest_transports.testing.conformance.drivers import ONCE, PCM, Driver
from smallest_transports.testing.servers import local_server, port_of, reset, serving
from tests.conformance.makers import those

if TYPE_CHECKING:
    pass

NURSED = those(lambda made: made.module in ("smallest_transports.trio", "smallest_transports.anyio"))


@NURSED
async def test_the_client_is_to_be_entered_once(transport: Driver) -> None:
    client = transport.client("http://127.0.0.1:1/")
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="async with Client"):
            await client.transcribe(PCM)
        with pytest.raises(LocalProtocolError, match="async with Client"):
            await client.stream_transcription().__aenter__()
        async with client:
            with pytest.raises(LocalProtocolError, match="open already"):
                await client.__aenter__()


@NURSED
async def test_an_error_of_the_application_comes_out_where_it_is_cancelled_as_well(transport: Driver) -> None:
    """Shielded, what cleans up hears of no cancellation; and a nursery wraps nothing in a group."""

    async def live(url: str) -> None:
        with anyio.CancelScope() as scope:
            async with transport.client(url) as client, client.stream_transcription() as stream:
                await anext(stream)
                scope.cancel()
                raise KeyError("mine")

    with local_server() as url:
        tasks = transport.tasks()
        with pytest.raises(KeyError, match="mine") as raised:
            await live(url)
        assert raised.value.__context__ is None
        del raised
        await transport.check_left(tasks, port_of(url))


@those(lambda made: made.module == "smallest_transports.trio")
async def test_a_reset_ends_reading_and_writing_in_one_turn(transport: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = trio.lowlevel.wait_writable

    async def after_the_reader(connected: trio.SocketType) -> None:
        await ready(connected)
        while connected.fileno() != -1:
            await trio.lowlevel.checkpoint()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        reset(reader, writer)

    monkeypatch.setattr(trio.lowlevel, "wait_writable", after_the_reader)
    with serving(talk) as url:
        async with transport.client(url, retry=ONCE) as client:
            with pytest.raises(RemoteError, match="connection"):
                await client.transcribe(bytes(20 * 2**20))  # far more than a socket holds


@pytest.mark.parametrize("name", ["trio", "anyio"])
def test_without_the_framework_an_import_says_what_to_install(name: str) -> None:
    code = f"import sys; sys.modules['{name}'] = None; import smallest_transports.{name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f'ImportError: the driver for {name} needs {name}: pip install "smallest-proto[{name}]"' in done.stderr
