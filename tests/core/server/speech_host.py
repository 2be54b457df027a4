"""A host of ``SynthesisService`` that speaks coded audio and keeps what is said."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from smallest_proto.config import TranscriptionConfig
from smallest_proto.errors import ConfigurationError
from smallest_proto.server.recogniser import CodedRecogniser, Heard
from smallest_proto.server.requests import SynthesisSocketRequest
from smallest_proto.server.synthesis import Chunk, Complete, GoOn, Speak, SynthesisService
from smallest_proto.server.synthesiser import CodedSynthesiser, SpokenPiece
from smallest_proto.server.transcription import Close, Reply

RATE = 16000
# Whoever does not want to wait for complete says so: the service's default is 4 s.
VOICE = {"voice_id": "sophia", "sample_rate": RATE, "complete_backoff_ms": 0}


class Host:
    """Runs a ``SynthesisService`` with the coded synthesiser, and keeps what it says."""

    def __init__(self, *, timeout: float | None = None, voices: Collection[str] | None = None) -> None:
        self.service = SynthesisService(SynthesisSocketRequest(timeout=timeout), "session-7", voices=voices)
        self.pieces: Iterator[SpokenPiece] = iter(())
        self.replies: list[dict[str, Any]] = []
        self.closed: Close | None = None
        self.now = 100.0
        self.service.start(self.now)

    def tell(self, **message: Any) -> None:
        self.service.message_received(json.dumps({**VOICE, **message}), self.now)

    def send(self, **message: Any) -> list[dict[str, Any]]:
        """Send a message; return all that is said to it."""
        before = len(self.replies)
        self.tell(**message)
        self.run()
        return self.replies[before:]

    def wait(self, seconds: float) -> list[dict[str, Any]]:
        before = len(self.replies)
        end = self.now + seconds
        while (due := self.service.get_timer()) is not None and due <= end:
            self.now = due
            self.service.handle_timer(self.now)
            self.run()
        self.now = end
        return self.replies[before:]

    def run(self) -> None:
        while self.step():
            pass

    def step(self) -> bool:
        """Do one thing, if there is one."""
        command = self.service.poll_output()
        if command is None:
            return False
        assert self.closed is None, "Close is the last command"
        if isinstance(command, Reply):
            message = json.loads(command.text)
            assert isinstance(command, Chunk) is (message["status"] == "chunk")
            assert isinstance(command, Complete) is (message["status"] == "complete")
            self.replies.append(message)
        elif isinstance(command, Close):
            self.closed = command
        else:
            self.answer(command)
        return True

    def answer(self, command: Speak | GoOn) -> None:
        try:
            if isinstance(command, Speak):
                rate = command.options.sample_rate
                self.pieces = CodedSynthesiser().speak(command.text, sample_rate=rate, speed=command.speed)
            self.service.spoken(next(self.pieces, None), self.now)
        except ConfigurationError as error:
            self.service.failed(str(error), self.now)


def statuses(replies: Sequence[dict[str, Any]]) -> list[str]:
    """The statuses, several chunks in a row as one."""
    found = [message["status"] for message in replies]
    return [status for at, status in enumerate(found) if status != "chunk" or found[at - 1 : at] != ["chunk"]]


def audio(replies: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(m["data"]["audio"]) for m in replies if m["status"] == "chunk")


def spoken(replies: Sequence[dict[str, Any]]) -> list[str]:
    """The words that are to be heard."""
    recogniser = CodedRecogniser(TranscriptionConfig(sample_rate=RATE))
    results = [*recogniser.hear(audio(replies)), *recogniser.finalize()]
    return [word.text for item in results if isinstance(item, Heard) and item.final for word in item.words]
