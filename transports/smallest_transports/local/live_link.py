"""One live transcription link of the local server: a socket on one side, a slow recogniser on a thread on the other."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from smallest_proto.config import TranscriptionConfig
from smallest_proto.server.imperfection import Imperfection
from smallest_proto.server.recogniser import Recognised, Recogniser
from smallest_proto.server.requests import LiveRequest
from smallest_proto.server.transcription import Finalize, Hear, LiveService
from smallest_transports._wire import BinaryMessage, ServerEvent, TextMessage

from .faults import FaultPlan
from .link import Command, Connection, Link
from .places import Place, Places

logger = logging.getLogger(__name__)

STEP_SECONDS = 5.0  # of audio that the recogniser hears at once: a step cannot be stopped
# So much audio may wait for the recogniser (17 minutes at 16 kHz): then nothing more is read from the socket. Until
# then all is read, as a ping, or the end of the connection, comes behind the audio.
MAX_WAITING_BYTES = 32 * 2**20
FULL_SECONDS = 1.0  # how long a link may wait for a place: a client that changes to a new link


class LiveLink(Link):
    """Moves messages between one client, ``LiveService`` and a recogniser. It decides nothing."""

    def __init__(
        self,
        request: LiveRequest,
        connection: Connection,
        *,
        inactivity: float,
        faults: FaultPlan,
        imperfection: Imperfection,
    ) -> None:
        self._live = LiveService(request, str(uuid.uuid4()), inactivity=inactivity, imperfection=imperfection)
        self._format = request.audio_format
        self._jobs: deque[Hear | Finalize] = deque()  # for the recogniser
        self._waiting = 0  # bytes of audio in them
        self._work = asyncio.Event()  # there are jobs, or no more will come
        self._hurry: Callable[[], None] = _nothing
        self._place: Place | None = None
        super().__init__(self._live, connection, faults)

    @property
    def recogniser_options(self) -> TranscriptionConfig:
        """The options for the recogniser of ``run``."""
        return self._live.recogniser_options

    async def run(self, recogniser: Recogniser, threads: Executor, places: Places) -> None:
        """Until the connection is over. ``recogniser`` runs on ``threads`` once there is a place; without one it ends.

        The place is free again as soon as the recogniser has done all, or the client is gone.
        """
        # The local recogniser can be told that a final is wanted now; others need not have that.
        self._hurry = getattr(recogniser, "hurry", _nothing)
        work = asyncio.ensure_future(self._in_place(recogniser, threads, places))
        try:
            await self.read()
        finally:
            self._over = True
            self._work.set()
            self._hurry()
            if self._place is None:
                work.cancel()  # it waits for one
            else:
                self._place.leave()
            await asyncio.wait([work])  # a step that is being computed cannot be stopped

    async def _in_place(self, recogniser: Recogniser, threads: Executor, places: Places) -> None:
        self._place = await places.wait(FULL_SECONDS)
        if self._place is None:
            self.fail(f"the server is full: it serves {places.count} live links at once", 1013)
            return
        try:
            await self._recognise(recogniser, threads)
        finally:
            self._place.leave()

    def _came(self, event: ServerEvent) -> None:
        super()._came(event)
        if isinstance(event, TextMessage):
            self._faults.text_came(event.text)
        elif isinstance(event, BinaryMessage):
            self._faults.audio_came(self._seconds(len(event.data)))

    def _do(self, command: Command) -> None:
        if isinstance(command, (Hear, Finalize)):
            self._jobs.append(command)
            self._waiting += len(command.audio) if isinstance(command, Hear) else 0
            if isinstance(command, Finalize):
                self._hurry()
        else:
            super()._do(command)

    def _settle(self) -> None:
        if self._jobs or self._over:
            self._work.set()
        super()._settle()

    def _has_room(self) -> bool:
        return self._waiting < MAX_WAITING_BYTES

    def _seconds(self, size: int) -> float:
        """Seconds of this many bytes of audio; a guess for opus."""
        return size / ((self._format.sample_width or 0.2) * self._format.sample_rate)

    async def _recognise(self, recogniser: Recogniser, threads: Executor) -> None:
        """Do one job after the other. Audio that waits is heard at once, so that a slow recogniser catches up."""
        while True:
            await self._work.wait()
            if self._over:
                return
            count, job = self._next()
            try:
                if isinstance(job, Finalize):
                    items = await self._loop.run_in_executor(threads, job.ask, recogniser)
                else:
                    items = await self._loop.run_in_executor(threads, recogniser.hear, job)
            except Exception as error:  # a plugged-in recogniser can raise anything; its words can be the user's
                logger.error("the recogniser failed with %s", type(error).__name__)
                self.fail("the recogniser failed", 1011)
                return
            self._tell(items, count, finalized=isinstance(job, Finalize))

    def _next(self) -> tuple[int, bytes | Finalize]:
        """The next job: how many it is in one, and the audio to hear, or the finalize."""
        parts: list[bytes] = []
        size = 0
        while self._jobs and isinstance(job := self._jobs[0], Hear):
            parts.append(job.audio)
            size += len(job.audio)
            self._jobs.popleft()
            # Of opus one packet at a time.
            if self._format.sample_width is None or self._seconds(size) >= STEP_SECONDS:
                break
        self._waiting -= size
        finalize = None if parts else self._jobs.popleft()
        if not self._jobs:
            self._work.clear()
        return len(parts), finalize if isinstance(finalize, Finalize) else b"".join(parts)

    def _tell(self, items: Sequence[Recognised], count: int, *, finalized: bool) -> None:
        now = self._loop.time()
        if finalized:
            self._live.finalized(items, now)
        else:
            self._live.recognised(items, now)
            for _ in range(count - 1):
                self._live.recognised((), now)
        self._drain()


def _nothing() -> None:
    """For a recogniser that cannot be hurried."""
