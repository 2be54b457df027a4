"""One live link of the local server: a socket on one side, a slow recogniser on a thread on the other."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from smallest_proto.recognition import Recognised, Recogniser
from smallest_proto.server import Close, Finalize, Hear, LiveRequest, LiveService, Reply
from smallest_transports._wire import BinaryMessage, Closed, ProtocolBroken, ServerConnection, ServerEvent, TextMessage

logger = logging.getLogger(__name__)

CLOSING_SECONDS = 2.0  # how long the client may take to answer a close frame
WAITING_SECONDS = 5.0  # of audio that may wait for the recogniser: then nothing more is read from the socket


class LiveLink:
    """Moves messages between one client, ``LiveService`` and a recogniser. It decides nothing."""

    def __init__(
        self,
        request: LiveRequest,
        wire: ServerConnection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        inactivity: float,
    ) -> None:
        self._service = LiveService(request, str(uuid.uuid4()), inactivity=inactivity)
        self._format = request.audio_format
        self._wire = wire
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._jobs: deque[Hear | Finalize] = deque()  # for the recogniser
        self._work = asyncio.Event()  # there are jobs, or there never will be any again
        self._room = asyncio.Event()  # more audio may come
        self._room.set()
        self._over = False
        self._timer: asyncio.TimerHandle | None = None  # the service's
        self._closing: asyncio.TimerHandle | None = None
        self._hurry: Callable[[], None] = _nothing

    def open(self, early: Sequence[ServerEvent]) -> None:
        """The WebSocket was accepted; ``early`` is what the client said before it knew."""
        self._service.start(self._loop.time())
        self._take(early)

    def fail(self, message: str, code: int) -> None:
        """Tell the client why, and close."""
        self._service.fail(message, code, self._loop.time())
        self._drain()

    async def run(self, recogniser: Recogniser, threads: Executor, idle: Callable[[], None]) -> None:
        """Until the connection is over. ``recogniser`` runs on ``threads``; ``idle`` is called when it has done all."""
        # More than a Recogniser must have: a local one can be told that a final is wanted now.
        self._hurry = getattr(recogniser, "hurry", _nothing)
        work = asyncio.ensure_future(self._recognise(recogniser, threads))
        work.add_done_callback(lambda _: idle())
        try:
            await self.read()
        finally:
            self._over = True
            self._work.set()
            self._hurry()
            await work  # a step that is being computed cannot be called off

    async def read(self) -> None:
        """Read what the client says, until the connection is over."""
        try:
            while not self._wire.finished:
                await self._room.wait()
                self._take(self._wire.receive_data(await self._reader.read(2**16)))
                if not self._wire.finished:
                    await self._writer.drain()  # a client that does not read is not listened to either
        except OSError:
            pass  # it is gone
        finally:
            for timer in (self._timer, self._closing):
                if timer is not None:
                    timer.cancel()

    def _take(self, events: Sequence[ServerEvent]) -> None:
        for event in events:
            if isinstance(event, TextMessage):
                self._service.message_received(event.text, self._loop.time())
            elif isinstance(event, BinaryMessage):
                self._service.message_received(event.data, self._loop.time())
            elif isinstance(event, (Closed, ProtocolBroken)):
                self._over = True
        self._drain()

    def _drain(self) -> None:
        while (command := self._service.poll_output()) is not None:
            if isinstance(command, Reply):
                self._wire.send_text(command.text)
            elif isinstance(command, Close):
                self._wire.close(command.code, command.reason)
                self._over = True
                self._closing = self._loop.call_later(CLOSING_SECONDS, self._writer.transport.abort)
            else:
                self._jobs.append(command)
                if isinstance(command, Finalize):
                    self._hurry()
        self._flush()
        if self._jobs or self._over:
            self._work.set()
        if self._over or self._waiting() < WAITING_SECONDS:
            self._room.set()
        else:
            self._room.clear()
        self._set_timer()

    def _flush(self) -> None:
        data = self._wire.data_to_send()
        if data and not self._writer.transport.is_closing():
            self._writer.write(data)

    def _waiting(self) -> float:
        """Seconds of audio for the recogniser; of opus, of which only a decoder knows, a guess."""
        size = sum(len(job.audio) for job in self._jobs if isinstance(job, Hear))
        return size / ((self._format.sample_width or 0.2) * self._format.sample_rate)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._service.get_timer()
        if due is not None and not self._over:
            self._timer = self._loop.call_at(due, self._due)

    def _due(self) -> None:
        self._service.handle_timer(self._loop.time())
        self._drain()

    async def _recognise(self, recogniser: Recogniser, threads: Executor) -> None:
        """One job after the other. What waits is heard together, so that a recogniser that is behind catches up."""
        while True:
            await self._work.wait()
            if self._over:
                return
            count, audio = self._next()
            try:
                if audio is None:
                    items = await self._loop.run_in_executor(threads, recogniser.finalize)
                else:
                    items = await self._loop.run_in_executor(threads, recogniser.hear, audio)
            except Exception as error:  # a plugged-in recogniser can raise anything; its words can be the user's
                logger.error("the recogniser failed with %s", type(error).__name__)
                self.fail("the recogniser failed", 1011)
                return
            self._tell(items, count, finalized=audio is None)

    def _next(self) -> tuple[int, bytes | None]:
        """The next job: how many it is in one, and the audio to hear; ``None``: finalize."""
        parts: list[bytes] = []
        while self._jobs and isinstance(job := self._jobs[0], Hear):
            parts.append(job.audio)
            self._jobs.popleft()
            if self._format.sample_width is None:  # opus: one packet at a time
                break
        if not parts:
            self._jobs.popleft()
        if not self._jobs:
            self._work.clear()
        return len(parts), b"".join(parts) if parts else None

    def _tell(self, items: Sequence[Recognised], count: int, *, finalized: bool) -> None:
        now = self._loop.time()
        if finalized:
            self._service.finalized(items, now)
        else:
            self._service.recognised(items, now)
            for _ in range(count - 1):
                self._service.recognised((), now)
        self._drain()


def _nothing() -> None:
    """What to do to hurry a recogniser that cannot be hurried."""
