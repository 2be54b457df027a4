"""Synthesis over HTTP: one answer or server-sent events, sent while the audio is made."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Collection, Iterator
from concurrent.futures import Executor
from functools import partial

from smallest_proto.errors import ConfigurationError
from smallest_proto.server.answers import SSE_END, Response, sse_audio, synthesis_error_answer, synthesis_headers
from smallest_proto.server.options import FieldError
from smallest_proto.server.requests import SynthesisOrder, SynthesisRequest, read_synthesis
from smallest_proto.server.synthesis import CHUNK_SECONDS
from smallest_proto.server.synthesiser import SpokenPiece, Synthesiser

from .encoders import encoder
from .faults import FaultPlan
from .link import Connection

logger = logging.getLogger(__name__)

SSE_SECONDS = 0.02  # of audio in one event, as the service has it


class SynthesisAnswer:
    """The answer to one request. A text that cannot be spoken gets an error; a failure later cuts the answer off."""

    def __init__(
        self, connection: Connection, threads: Executor, faults: FaultPlan, voices: Collection[str] | None = None
    ) -> None:
        self._connection = connection
        self._threads = threads
        self._faults = faults
        self._voices = voices  # those that there are; None: any
        self._seconds = 0.0  # of audio sent

    async def give(
        self, request: SynthesisRequest, body: bytes, synthesiser: Synthesiser, request_id: str
    ) -> Response | bool:
        """Answer, or return the refusal. ``True``: the answer is complete, ``False``: it broke off."""
        run = asyncio.get_running_loop().run_in_executor
        try:
            order = read_synthesis(request, body, voices=self._voices)
            encoding = encoder(order.options)
            pieces = await run(self._threads, partial(_speak, synthesiser, order))
            piece = await run(self._threads, next, pieces, None)
        except FieldError as error:
            return synthesis_error_answer(400, str(error), request_id, path=error.path, code=error.code)
        except ConfigurationError as error:  # the voice's own, which it has with the text
            return synthesis_error_answer(400, str(error), request_id, path="text")
        except Exception as error:  # a plugged-in synthesiser can raise anything; its words can be the user's
            logger.error("the synthesiser failed with %s", type(error).__name__)
            return synthesis_error_answer(500, "the synthesiser failed", request_id)
        headers = synthesis_headers(
            order.options, str(uuid.uuid4()), request_id, sse=request.sse, expire=request.expire
        )
        self._connection.wire.start_response(200, headers)
        size = 2 * round((SSE_SECONDS if request.sse else CHUNK_SECONDS) * order.options.sample_rate)
        while piece is not None:
            for at in range(0, len(piece.pcm), size):
                pcm = piece.pcm[at : at + size]
                await self._send(encoding.feed(pcm), sse=request.sse)
                self._seconds += len(pcm) / 2 / order.options.sample_rate
                if self._faults.drops(self._seconds):
                    self._connection.reset()
                    return False
            if self._connection.reader.at_eof():
                return False  # the client is gone; if nothing is sent before the end, only this shows it
            try:
                piece = await run(self._threads, next, pieces, None)
            except Exception as error:  # as above
                logger.error("the synthesiser failed with %s", type(error).__name__)
                return False
        rest = encoding.end()
        for at in range(0, len(rest), size):
            await self._send(rest[at : at + size], sse=request.sse)
        if request.sse:
            self._connection.wire.send_body(SSE_END)
        self._connection.wire.end_body()
        return True

    async def _send(self, audio: bytes, *, sse: bool) -> None:
        if audio:
            self._connection.wire.send_body(sse_audio(audio) if sse else audio)
            self._connection.writer.write(self._connection.wire.data_to_send())
            await self._connection.writer.drain()


def _speak(synthesiser: Synthesiser, order: SynthesisOrder) -> Iterator[SpokenPiece]:
    options = order.options
    return iter(synthesiser.speak(order.text, sample_rate=options.sample_rate, speed=options.speed or 1.0))
