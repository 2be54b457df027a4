"""One synthesis socket of the local server: its audio goes out as fast as the client reads it, and no faster."""

from __future__ import annotations

import asyncio
import base64
import logging
import uuid
from collections.abc import Collection, Iterator
from concurrent.futures import Executor
from functools import partial

import msgspec

from smallest_proto.errors import ConfigurationError
from smallest_proto.server.requests import SynthesisSocketRequest
from smallest_proto.server.synthesis import Chunk, Complete, GoOn, Speak, SynthesisService
from smallest_proto.server.synthesiser import SpokenPiece, Synthesiser

from .faults import FaultPlan
from .link import Command, Connection, Link
from .places import Place
from .plan import Limits, too_many

logger = logging.getLogger(__name__)


class SynthesisLink(Link):
    """Moves messages between one client, ``SynthesisService`` and a synthesiser. It decides nothing."""

    def __init__(
        self,
        request: SynthesisSocketRequest,
        connection: Connection,
        *,
        inactivity: float,
        faults: FaultPlan,
        voices: Collection[str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """``voices`` are those that there are, ``limits`` say how many texts are spoken at once; ``None``: any."""
        self._speech = SynthesisService(request, str(uuid.uuid4()), inactivity=inactivity, voices=voices)
        self._requests = (limits or Limits()).requests
        self._request = Place(lambda: None)  # of the text under way
        self._work = asyncio.Event()  # there may be something to do
        self._torn = False  # the next audio is to be
        super().__init__(self._speech, connection, faults)

    async def run(self, synthesiser: Synthesiser, threads: Executor) -> None:
        """Until the connection is over. ``synthesiser`` runs on ``threads``."""
        work = asyncio.ensure_future(self._speak(synthesiser, threads))
        try:
            await self.read()
        finally:
            self._over = True
            work.cancel()  # it may wait for a client that has stopped reading
            await asyncio.wait([work])
            self._request.leave()

    def tear(self) -> None:
        self._torn = True

    def _drain(self) -> None:
        if self._speech.closed:  # the close does not wait for room
            super()._drain()
        self._work.set()
        self._settle()

    async def _speak(self, synthesiser: Synthesiser, threads: Executor) -> None:
        """Do one command after the other, each when there is room for its data."""
        pieces: Iterator[SpokenPiece] = iter(())
        while not self._over:
            command = self._speech.poll_output()
            if command is None:
                self._request.leave()
                self._settle()  # what is said later has its time
                self._work.clear()
                await self._work.wait()
            elif isinstance(command, Speak):
                self._request.leave()
                if (place := self._requests.take()) is None:
                    self._speech.failed(too_many("requests"), self._loop.time())
                    continue
                self._request = place
                pieces = _Pieces(synthesiser, command)
                await self._give_piece(pieces, threads)
            elif isinstance(command, GoOn):
                await self._give_piece(pieces, threads)
            else:
                self._carry_out(command)
                self._settle()
                if isinstance(command, Chunk):
                    self._faults.audio_came(command.seconds)
                    self._settle()
                try:
                    await self._writer.drain()
                except OSError:
                    return  # the client is gone

    async def _give_piece(self, pieces: Iterator[SpokenPiece], threads: Executor) -> None:
        try:
            piece = await self._loop.run_in_executor(threads, next, pieces, None)
        except ConfigurationError as error:
            self._speech.failed(str(error), self._loop.time())
        except Exception as error:  # a plugged-in synthesiser can raise anything; its words can be the user's
            logger.error("the synthesiser failed with %s", type(error).__name__)
            self._speech.failed("the synthesiser failed", self._loop.time(), status=500)
        else:
            self._speech.spoken(piece, self._loop.time())

    def _do(self, command: Command) -> None:
        if isinstance(command, Complete):
            for _ in range(self._faults.complete_due()):
                self.say(command.text)
        elif isinstance(command, Chunk) and self._torn:
            self._torn = False
            for part in torn(command.text):
                self.say(part)
        else:
            super()._do(command)


class _Pieces(Iterator[SpokenPiece]):
    """The pieces of one text; each is made on a thread."""

    def __init__(self, synthesiser: Synthesiser, command: Speak) -> None:
        self._begin = partial(
            synthesiser.speak, command.text, sample_rate=command.options.sample_rate, speed=command.speed
        )
        self._pieces: Iterator[SpokenPiece] | None = None

    def __next__(self) -> SpokenPiece:
        if self._pieces is None:
            self._pieces = iter(self._begin())
        return next(self._pieces)


def torn(text: str) -> tuple[str, str]:
    """A message with audio, as two that are cut in the middle of a sample."""
    message = msgspec.json.decode(text)
    audio = base64.b64decode(message["data"]["audio"])
    cut = len(audio) // 2 | 1
    first, second = (
        msgspec.json.encode({**message, "data": {"audio": part}}).decode() for part in (audio[:cut], audio[cut:])
    )
    return first, second
