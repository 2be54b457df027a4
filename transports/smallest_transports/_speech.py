"""Speech as a client's application has it: a whole text's, and that of text as it is written; pure as well."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from smallest_proto.config import SynthesisConfig
from smallest_proto.errors import ConfigurationError, Failure, LocalProtocolError
from smallest_proto.http.exchange import ExchangeFailed
from smallest_proto.http.synthesis import Synthesis
from smallest_proto.stats import SynthesisStats
from smallest_proto.synthesis.events import (
    AudioChunk,
    SegmentDone,
    SpeechEvent,
    SpeechFinished,
    SpokenSoFar,
    WordSpoken,
)
from smallest_proto.synthesis.session import SynthesisSession
from smallest_proto.values import Name

from ._driver import Driver

if TYPE_CHECKING:
    from typing_extensions import Self

WriteFile: TypeAlias = "Callable[[str, bytes, int | None], None]"  # path, audio, Hz of a WAV
Begin: TypeAlias = "Callable[[Synthesis], AbstractAsyncContextManager[Driver[Synthesis]]]"

# What a file of each format is called. PCM becomes a WAV, or stays without a header.
SUFFIXES = {
    "pcm": (".wav", ".pcm", ".raw"),
    "wav": (".wav",),
    "mp3": (".mp3",),
    "ulaw": (".ulaw", ".ul"),
    "alaw": (".alaw", ".al"),
}


class SpeechStage(Name):
    """Where the speech of a whole text is."""

    NEW = "before it has begun"
    BEGUN = "before any of it was taken"  # the request is out
    TAKEN = "after a part of it was taken"
    OVER = "after it has ended"


class Speech:
    """The speech of a whole text: ``read`` it, ``save`` it, or iterate over its ``AudioChunk``s as they come.

    The text is sent when the first audio is asked for, or on entering ``async with``. Whoever may stop before the end
    leaves by ``async with``, or calls ``aclose``. A failure is raised where the audio is awaited, as ``RemoteError``.
    """

    def __init__(self, exchange: Synthesis, config: SynthesisConfig, begin: Begin, write_file: WriteFile) -> None:
        self._config = config
        self._write_file = write_file
        self._stage = SpeechStage.NEW
        self._driving = begin(exchange)
        self._open = AsyncExitStack()  # the driver, once there is one
        self._driver: Driver[Synthesis] | None = None
        self._finished: SpeechFinished | None = None

    @property
    def finished(self) -> SpeechFinished | None:
        """How much it was, once all of it has been taken."""
        return self._finished

    async def read(self) -> bytes:
        """All of it, in ``output_format``. Raises ``LocalProtocolError`` where a part was taken before."""
        if self._stage not in (SpeechStage.NEW, SpeechStage.BEGUN):
            raise LocalProtocolError(f"read() and save() are not possible {self._stage.value}: synthesize() once more")
        return b"".join([chunk.data async for chunk in self])

    async def save(self, path: str | PathLike[str]) -> None:
        """Write all of it to a file, which is there whole or not at all. PCM is saved as WAV if its name says so.

        Raises ``ConfigurationError``, and sends nothing, for a name that ends otherwise than the format does;
        ``OSError`` for what cannot be written.
        """
        name = path if isinstance(path, str) else path.__fspath__()
        kind = self._config.output_format
        if not name.lower().endswith(SUFFIXES[kind]):
            raise ConfigurationError(f"{name!r} is no name for {kind}: let it end in {' or '.join(SUFFIXES[kind])}")
        rate = self._config.sample_rate if kind == "pcm" and name.lower().endswith(".wav") else None
        audio = await self.read()
        assert self._driver is not None
        await self._driver.in_thread(self._write_file, name, audio, rate)

    async def aclose(self) -> None:
        """Drop what has not come yet. Once is as good as twice."""
        self._stage = SpeechStage.OVER
        await self._open.aclose()

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AudioChunk:
        if self._stage is SpeechStage.OVER:
            raise StopAsyncIteration
        try:
            driver = await self._begin()
            self._stage = SpeechStage.TAKEN
            outcome = await driver.next()
            driver.check()
        except BaseException:
            await self.aclose()
            raise
        if isinstance(outcome, AudioChunk):
            return outcome
        await self.aclose()
        if isinstance(outcome, ExchangeFailed):
            raise outcome.failure.error()
        self._finished = outcome
        raise StopAsyncIteration

    async def _begin(self) -> Driver[Synthesis]:
        if self._stage is SpeechStage.OVER:
            raise LocalProtocolError(f"nothing can begin {self._stage.value}: synthesize() once more")
        if self._driver is None:
            self._driver = await self._open.enter_async_context(self._driving)
            self._stage = SpeechStage.BEGUN
        return self._driver


class StreamStage(Name):
    """Where a stream is in its life."""

    SPEAKING = "while speaking"
    ENDING = "after end_input()"
    OVER = "after the end"  # of its iteration
    LEFT = "after its block was left"


class SynthesisStream:
    """Text in as it is written, speech out.

    Iterating gives the session's events, its segments numbered from 0. It ends when the last segment is over after
    ``end_input``: the connection is kept for the next stream. Where the session ends before that, its last event is
    ``SessionEnded``, and if it failed the ``RemoteError`` of its failure is raised then. With ``strict`` that of the
    first segment which failed (``SpokenSoFar.failure``) is raised as well, after the last event.
    """

    def __init__(self, driver: Driver[SynthesisSession], *, strict: bool = True) -> None:
        self._driver = driver
        self._strict = strict
        self._failure: Failure | None = None  # of the first segment that failed
        self._session = driver.machine
        self._stage = StreamStage.SPEAKING
        self._first = self._session.stats.segments  # those before it were others'
        self._readers = 0  # that wait for an event

    @property
    def stats(self) -> SynthesisStats:
        """What was done so far over the connection, which may have served other streams before."""
        return self._session.stats

    async def send_text(self, text: str) -> None:
        """Give text of the present segment, in pieces of any size: tokens, as they are written.

        Waits while the socket has enough to do; what is cancelled while it waits has not been taken.
        Raises ``LocalProtocolError`` for what is no text and after ``end_input``, ``ConfigurationError`` for a
        segment of over 100,000 characters, and once the session has failed the ``RemoteError`` of its failure.
        Half a character (a surrogate) at the end of a piece waits for its other half in the next one.
        """
        await self._driver.until_ready()
        self._tell("send_text", self._session.send_text, text)

    async def flush(self) -> None:
        """The present segment has all its text: speak it to its end. The next text begins another one."""
        self._tell("flush", self._session.flush)

    async def end_input(self) -> None:
        """No more text comes: the rest is spoken, and the iteration ends."""
        self._tell("end_input", self._session.flush)
        self._stage = StreamStage.ENDING
        self._look()

    async def cancel(self) -> None:
        """Drop all that was given, at once (barge-in). The stream goes on.

        Audio that came before is still there to be taken; after it ``SpokenSoFar`` tells what was spoken.
        """
        if self._stage is StreamStage.LEFT or self._driver.over():
            return
        self._driver.tell(self._session.cancel)
        self._look()

    def leave(self) -> None:
        """Take back what is under way: whoever has the session next begins with nothing."""
        self._stage = StreamStage.LEFT
        if not self._driver.over():
            # A task that still waits here would take the events of the next stream.
            self._driver.tell(self._session.abort if self._readers else self._session.cancel)

    def _tell(self, name: str, told: Callable[..., None], *args: Any) -> None:
        if self._stage is not StreamStage.SPEAKING:
            raise LocalProtocolError(f"{name}() is not possible {self._stage.value}")
        self._driver.check()
        self._driver.tell(told, *args)

    def _look(self) -> None:
        """What ends without an event, a segment in which there was nothing to say, is the end as well."""
        if self._ended:
            self._driver.wake()

    @property
    def _ended(self) -> bool:
        return self._stage is StreamStage.ENDING and self._session.idle

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SpeechEvent:
        event: SpeechEvent | None = None
        if self._stage in (StreamStage.OVER, StreamStage.LEFT):
            raise StopAsyncIteration
        if not self._ended or self._driver.outputs:
            self._readers += 1
            try:
                event = await self._driver.next()
            finally:
                self._readers -= 1
        if event is None:
            self._driver.check()
            if self._ended:
                self._stage = StreamStage.OVER
                if self._strict and self._failure is not None:
                    raise self._failure.error()
            raise StopAsyncIteration
        if isinstance(event, SpokenSoFar):
            self._failure = self._failure or event.failure
        if self._first and isinstance(event, (AudioChunk, WordSpoken, SegmentDone, SpokenSoFar)):
            return msgspec.structs.replace(event, segment=event.segment - self._first)
        return event
