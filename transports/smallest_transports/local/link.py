"""One live link of the local server: a socket on one side, a slow recogniser on a thread on the other."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from smallest_proto.recognition import Recognised, Recogniser
from smallest_proto.server import Close, Finalize, Hear, LiveRequest, LiveService, Reply, ServiceCommand
from smallest_transports._wire import BinaryMessage, Closed, ProtocolBroken, ServerConnection, ServerEvent, TextMessage

from .faults import FaultPlan, LinkFaults

logger = logging.getLogger(__name__)

CLOSING_SECONDS = 2.0  # how long the client may take to answer a close frame
WAITING_SECONDS = 5.0  # of audio that may wait for the recogniser: then nothing more is read from the socket

# SO_LINGER for 0 s: a close discards what waits, and sends RST. Windows has shorts there.
_RESET = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class LiveLink:
    """Moves messages between one client, ``LiveService`` and a recogniser. It decides nothing.

    What a bad network or a bad service would do to it is a method; ``faults`` says what is done on purpose, and when.
    """

    def __init__(
        self,
        request: LiveRequest,
        wire: ServerConnection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        inactivity: float,
        faults: FaultPlan | None = None,
    ) -> None:
        self._request = request
        self._inactivity = inactivity
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
        self._stalled = False
        self._timer: asyncio.TimerHandle | None = None  # the service's
        self._closing: asyncio.TimerHandle | None = None
        self._resuming: asyncio.TimerHandle | None = None
        self._hurry: Callable[[], None] = _nothing
        self._write: Callable[[bytes], None] = writer.write
        self._faults = LinkFaults(faults or FaultPlan(), self)

    def open(self, early: Sequence[ServerEvent]) -> None:
        """The WebSocket was accepted; ``early`` is what the client said before it knew."""
        self._service.start(self._loop.time())
        self._take(early)
        self._faults.audio_came(0.0)
        self._drain()

    def fail(self, message: str, code: int) -> None:
        """Tell the client why, and close."""
        self._service.fail(message, code, self._loop.time())
        self._drain()

    # What can be done to it. Whoever does it drains.

    def lose(self) -> None:
        """Break the connection: the client gets a reset, and what was under way is lost."""
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._writer.transport.abort()

    def half_open(self) -> None:
        """Read and write nothing any more, and tell nobody: the socket stays open until the time for idle links."""
        self._write = _write_nothing
        self.mute()
        self.stall()

    def stall(self, seconds: float | None = None) -> None:
        """Read nothing any more, for ``seconds`` or for ever. What was heard is still answered."""
        self._stalled = True
        if seconds is not None:
            self._resuming = self._loop.call_later(seconds, self._resume)

    def mute(self) -> None:
        """Read on and answer pings, but say nothing any more."""
        self._service = _MuteService(self._request, "", inactivity=self._inactivity)
        self._service.start(self._loop.time())

    def say(self, data: str | bytes) -> None:
        """Send a message, whatever it is."""
        if isinstance(data, str):
            self._wire.send_text(data)
        else:
            self._wire.send_binary(data)

    def hang_up(self, code: int, reason: str = "") -> None:
        """Close the WebSocket, unless it is closed."""
        if not self._over:
            self._wire.close(code, reason)
            self._over = True
            self._closing = self._loop.call_later(CLOSING_SECONDS, self._writer.transport.abort)

    def _resume(self) -> None:
        self._stalled = False
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
            for timer in (self._timer, self._closing, self._resuming):
                if timer is not None:
                    timer.cancel()

    def _take(self, events: Sequence[ServerEvent]) -> None:
        for event in events:
            if isinstance(event, TextMessage):
                self._service.message_received(event.text, self._loop.time())
                self._faults.text_came(event.text)
            elif isinstance(event, BinaryMessage):
                self._service.message_received(event.data, self._loop.time())
                self._faults.audio_came(self._seconds(len(event.data)))
            elif isinstance(event, (Closed, ProtocolBroken)):
                self._over = True
        self._drain()

    def _drain(self) -> None:
        while (command := self._service.poll_output()) is not None:
            if isinstance(command, Reply):
                self.say(command.text)
            elif isinstance(command, Close):
                self.hang_up(command.code, command.reason)
            else:
                self._jobs.append(command)
                if isinstance(command, Finalize):
                    self._hurry()
        self._flush()
        if self._jobs or self._over:
            self._work.set()
        if self._over or (not self._stalled and self._waiting() < WAITING_SECONDS):
            self._room.set()
        else:
            self._room.clear()
        self._set_timer()

    def _flush(self) -> None:
        data = self._wire.data_to_send()
        if data and not self._writer.transport.is_closing():
            self._write(data)

    def _waiting(self) -> float:
        """Seconds of audio for the recogniser."""
        return self._seconds(sum(len(job.audio) for job in self._jobs if isinstance(job, Hear)))

    def _seconds(self, size: int) -> float:
        """How long so many bytes of audio last; of opus, of which only a decoder knows, a guess."""
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


class _MuteService(LiveService):
    """Takes what comes and makes nothing of it. It still closes a link that is idle, and one that is to end."""

    def poll_output(self) -> ServiceCommand | None:
        while (command := super().poll_output()) is not None and not isinstance(command, Close):
            pass
        return command

    def recognised(self, items: Sequence[Recognised], now: float) -> None:
        """What the recogniser was still about."""

    def finalized(self, items: Sequence[Recognised], now: float) -> None:
        """As ``recognised``."""


def _nothing() -> None:
    """What to do to hurry a recogniser that cannot be hurried."""


def _write_nothing(_: bytes) -> None:
    """What a half-open connection does with what is to go out."""
