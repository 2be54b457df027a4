"""Many files at a service with few workers, in virtual time: by the default policy they all come back, and it ends."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest

from smallest_proto.commands import SendRequest
from smallest_proto.config import Endpoint, FileTranscriptionConfig, RetryPolicy, Timeouts
from smallest_proto.http.exchange import ExchangeFailed
from smallest_proto.http.files import FileTranscript, FileTranscription
from smallest_transports.memory.clock import VirtualClock

FILES = 20


class Service:
    """A service of so many workers, each of which needs ``work`` seconds for a file; who finds none is refused."""

    def __init__(self, workers: int, work: float, retry_after: float | None, seed: int) -> None:
        self.clock = VirtualClock()
        self.random = random.Random(seed)
        self.free = workers
        self.work = work
        self.headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
        self.outcomes: list[Any] = []

    def transcribe(self, **options: Any) -> None:
        """Hand a file in."""
        exchange = FileTranscription(
            FileTranscriptionConfig(), Endpoint(api_key="k"), audio=b"RIFF", jitter=self.random.random, **options
        )
        exchange.start(self.clock.now)
        self.look(exchange)

    def look(self, exchange: FileTranscription) -> None:
        while (output := exchange.poll_output()) is not None:
            if isinstance(output, SendRequest):
                self.clock.after(0.03, partial(self.arrived, exchange))
            elif isinstance(output, (FileTranscript, ExchangeFailed)):
                self.outcomes.append(output)
        if (due := exchange.get_timer()) is not None:
            self.clock.at(due, partial(self.wake, exchange))

    def wake(self, exchange: FileTranscription) -> None:
        exchange.handle_timer(self.clock.now)
        self.look(exchange)

    def arrived(self, exchange: FileTranscription) -> None:
        if self.free:
            self.free -= 1
            self.clock.after(self.work * self.random.uniform(0.8, 1.2), partial(self.done, exchange))
        else:
            self.answer(exchange, 503, b"")

    def done(self, exchange: FileTranscription) -> None:
        self.free += 1
        self.answer(exchange, 200, b'{"transcription":"whole"}')

    def answer(self, exchange: FileTranscription, status: int, body: bytes) -> None:
        exchange.response_started(status, self.headers, self.clock.now)
        exchange.body_received(body, self.clock.now)
        exchange.response_ended(self.clock.now)
        self.look(exchange)


@pytest.mark.parametrize(("workers", "work"), [(2, 1.0), (2, 3.0), (4, 5.0)])
@pytest.mark.parametrize("retry_after", [None, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_twenty_files_come_back_whole(workers: int, work: float, retry_after: float | None, seed: int) -> None:
    service = Service(workers, work, retry_after, seed)
    for _ in range(FILES):
        service.transcribe()
    service.clock.run(lambda: len(service.outcomes) == FILES)
    assert service.outcomes == [FileTranscript(text="whole")] * FILES


@pytest.mark.parametrize("most", [8, 10**6])
def test_a_service_that_stays_busy_is_given_up(most: int) -> None:
    service = Service(0, 1.0, 1.0, seed=0)
    service.transcribe(retry=RetryPolicy(max_retries=most), timeouts=Timeouts(response=600.0))
    service.clock.run(lambda: bool(service.outcomes))
    (outcome,) = service.outcomes
    assert outcome.failure.status == 503
    assert service.clock.now <= 600.1
