"""Running a command's coroutine: signals that end it cleanly, audio that goes out while events come in."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from smallest_proto.config import TranscriptionConfig
from smallest_proto.transcription.events import Event
from smallest_transports.local.together import together

from .outages import Outages

if TYPE_CHECKING:
    from smallest_transports.asyncio import Client, TranscriptionStream

T = TypeVar("T")

_gentle: list[Callable[[], object]] = []  # what the next Ctrl-C does in place of an end


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, or until Ctrl-C or SIGTERM: then everything is closed and the exit code is 130 or 143.

    The second Ctrl-C does not wait for that.
    """
    stopped_by: list[int] = []

    async def main() -> T:
        task = asyncio.current_task()
        assert task is not None

        def stop(number: int) -> None:
            if number == signal.SIGINT and _gentle:
                _gentle.pop()()
                return
            stopped_by.append(number)
            asyncio.get_running_loop().remove_signal_handler(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            # Not on Windows and not outside the main thread: there Python's own handling has to do.
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                if signal.getsignal(number) is not signal.SIG_IGN:  # as the shell does for a job in the background
                    asyncio.get_running_loop().add_signal_handler(number, stop, number)
        return await work

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        if not stopped_by:
            raise
        raise click.exceptions.Exit(128 + stopped_by[0]) from None


@contextlib.contextmanager
def ends_gently(end: Callable[[], object]) -> Iterator[None]:
    """The first Ctrl-C meanwhile calls ``end`` and no more; the next one stops the command as ever."""
    _gentle.append(end)
    try:
        yield
    finally:
        if end in _gentle:
            _gentle.remove(end)


async def stream_pieces(
    client: Client,
    config: TranscriptionConfig,
    pieces: AsyncIterable[bytes],
    heard: Callable[[Event], None],
    outages: Outages,
    begun: Callable[[TranscriptionStream], object] = lambda _: None,
) -> None:
    """Stream audio and tell of every event until the session has ended; ``begun`` gets the stream.

    Raises what the session failed with, or what the pieces did.
    """
    async with client.stream_transcription(config) as stream:
        begun(stream)

        async def send() -> None:
            async for piece in pieces:
                await stream.send_audio(piece)
            await stream.end_input()

        async def receive() -> None:
            async for event in stream:
                outages.heard(event, stream.stats)
                heard(event)

        # Events first: where the session fails, that is the reason, and what send_audio makes of it is not.
        await together(receive(), send(), until=asyncio.FIRST_EXCEPTION)


async def in_thread(items: Iterator[T]) -> AsyncIterable[T]:
    """What an iterator that reads a file gives, read off the event loop."""
    while (item := await asyncio.to_thread(next, items, None)) is not None:
        yield item


async def in_real_time(
    pieces: AsyncIterable[bytes],
    seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterable[bytes]:
    """Each piece, of so many ``seconds``, when its last sample would have come out of a microphone."""
    start, number = clock(), 0
    async for piece in pieces:
        start = start if number else clock()  # the first may have been long in coming
        number += 1
        # Against the start, not the piece before: no drift, and what is late does not delay the rest.
        await sleep(max(0.0, start + number * seconds - clock()))
        yield piece
