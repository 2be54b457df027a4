"""A driver without a socket and without a clock, and a connection of it whose server is the test."""

from __future__ import annotations

import json
from typing import Any

from smallest_proto.config import Endpoint, RetryPolicy, Timeouts, TranscriptionConfig
from smallest_proto.events import LinkOpened
from smallest_proto.http.files import FileTranscription
from smallest_proto.requests import Request
from smallest_proto.transcription.session import TranscriptionSession
from smallest_transports import _wire as wire
from smallest_transports._driver import Driver

ENDPOINT = Endpoint(api_key="sk-very-secret", base_url="http://h/")
MESSAGE = bytes(1600)  # 50 ms


class FakeLink:
    """A connection that keeps what is written to it, for a server in the test."""

    def __init__(self, number: int, request: Request) -> None:
        self.number = number
        self.wire: Any = wire.client_wire(request)
        self.paused = False
        self.owed = False
        self.written: list[bytes] = []
        self.end: str | None = None
        self.server = wire.ServerConnection()

    def flush(self) -> bool:
        count = len(self.written)
        while self.wire.out and not self.paused:
            self.written.append(self.wire.data_to_send())
        return len(self.written) > count

    def finish(self) -> None:
        self.flush()
        self.end = "finished"

    def abort(self) -> None:
        self.end = "aborted"

    def heard(self) -> list[Any]:
        """What the server understands of what was written since the last time."""
        data, self.written = b"".join(self.written), []
        return self.server.receive_data(data) if data else []


class LoneDriver(Driver):
    """A driver whose time stands still unless it is moved."""

    def __init__(self, machine: TranscriptionSession | FileTranscription, world: Any = None) -> None:
        super().__init__(machine, world)
        self.time = 0.0
        self.made: list[FakeLink] = []
        self.done: list[int] = []

    def now(self) -> float:
        return self.time

    def open(self, number: int, request: Request) -> FakeLink:
        self.made.append(FakeLink(number, request))
        return self.made[-1]

    def wake_at(self, due: float) -> None:
        pass


def streaming() -> tuple[LoneDriver, FakeLink]:
    """A session whose link is open."""
    timeouts, retry = Timeouts(message_interval=0), RetryPolicy(max_retries=0)
    driving = LoneDriver(TranscriptionSession(TranscriptionConfig(), ENDPOINT, timeouts=timeouts, retry=retry))
    driving.tell(driving.machine.start)
    (link,) = driving.made
    assert isinstance(link.heard()[0], wire.RequestReceived)
    link.server.accept()
    driving.hear(link, link.server.data_to_send())
    assert isinstance(driving.outputs.popleft(), LinkOpened)
    return driving, link


def say(driving: LoneDriver, link: FakeLink, **message: Any) -> None:
    link.server.send_text(json.dumps(message))
    driving.hear(link, link.server.data_to_send())
