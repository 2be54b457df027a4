"""What only trio can show of its driver: time that jumps, and Ctrl-C. What it shares with anyio's: test_tasks.py."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from smallest_proto.config import RetryPolicy
from smallest_proto.errors import DeadlineError
from smallest_proto.events import EndReason, LinkLost, LinkOpened, SessionEnded
from smallest_transports import _wire as wire
from smallest_transports.testing.conformance.drivers import KEY, PCM
from smallest_transports.trio import Client


@pytest.fixture
def run() -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Runs a test in time that jumps to the next deadline where there is nothing else to do."""
    return partial(trio.run, clock=MockClock(autojump_threshold=0))


@asynccontextmanager
async def serving(talk: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[str]:
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, talk, 0)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/"
        nursery.cancel_scope.cancel()


async def accept(stream: trio.SocketStream) -> wire.ServerConnection:
    server = wire.ServerConnection()
    while not server.receive_data(await stream.receive_some()):
        pass
    server.accept()
    await stream.send_all(server.data_to_send())
    return server


async def half_open(stream: trio.SocketStream) -> None:
    """Accept a WebSocket, and do nothing more."""
    await accept(stream)
    await trio.sleep_forever()


async def silent(_: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def test_a_dead_connection_is_found_in_virtual_time() -> None:
    """Nobody sleeps: the clock jumps to the next deadline when there is nothing else to do."""
    retry = RetryPolicy(max_retries=20)
    async with serving(half_open) as url, Client(api_key=KEY, base_url=url, retry=retry) as client:
        begin, lost = trio.current_time(), 0
        async with client.stream_transcription() as stream:
            async for event in stream:
                lost += isinstance(event, LinkLost)
                if lost == 20:
                    break
        # A ping every 20 s at most, an answer within as long: minutes, of which no second was waited for.
        assert trio.current_time() - begin > 200
        assert len(client._drivers) == 0


async def test_a_service_that_never_answers_is_given_up_in_virtual_time() -> None:
    async with (
        serving(silent) as url,
        Client(api_key=KEY, base_url=url, retry=RetryPolicy(max_retries=3)) as client,
    ):
        with pytest.raises(DeadlineError):
            await client.transcribe(PCM)
        async with client.stream_transcription() as stream:
            events: list[Any] = []
            with pytest.raises(DeadlineError):
                events += [event async for event in stream]


async def test_what_is_given_in_time_goes_out_in_time() -> None:
    """A call of ten minutes, in real time by its clock: neither silence nor a pause in the audio is a stall."""
    heard, silence = bytearray(), bytes(len(PCM))

    async def talk(stream: trio.SocketStream) -> None:
        server = await accept(stream)
        while not server.finished:
            for event in server.receive_data(await stream.receive_some()):
                match event:
                    case wire.BinaryMessage(data=data):
                        heard.extend(data)
                    case wire.TextMessage(text='{"type":"close_stream"}'):
                        server.send_text('{"is_final": true, "is_last": true}')
                    case wire.TextMessage():
                        server.send_text('{"is_final": true, "from_finalize": true}')
            await stream.send_all(server.data_to_send())

    begin = trio.current_time()
    async with (
        serving(talk) as url,
        Client(api_key=KEY, base_url=url) as client,
        client.stream_transcription() as stream,
    ):
        for second in range(600):
            await trio.sleep_until(begin + second)
            if second % 60 < 30:
                await stream.send_audio(silence)
        await stream.end_input()
        events = [event async for event in stream]
    assert [type(event) for event in events].count(LinkOpened) == 1
    assert events[-1] == SessionEnded(reason=EndReason.COMPLETED)
    assert heard == silence * 300
    assert 599 <= trio.current_time() - begin < 605


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_is_raised_in_the_application_and_in_no_task_of_ours() -> None:
    left: list[str] = []

    async def call(url: str) -> None:
        async with Client(api_key=KEY, base_url=url) as client, client.stream_transcription() as stream:
            opened = stream._session.link_opened

            def interrupted(*args: Any) -> None:
                signal.raise_signal(signal.SIGINT)
                opened(*args)

            stream._session.link_opened = interrupted  # type: ignore[method-assign]
            try:
                await trio.sleep_forever()
            except KeyboardInterrupt:
                left.append(type(await stream.__anext__()).__name__)  # the task goes on
                raise

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(trio.serve_tcp, half_open, 0)
            try:
                await call(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/")
            except KeyboardInterrupt:
                left.append("not wrapped")
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert left == ["LinkOpened", "not wrapped"]
