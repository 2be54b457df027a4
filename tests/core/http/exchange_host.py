"""One try of an HTTP exchange, for tests: how it is made, and what comes of it."""

from __future__ import annotations

import json
from typing import Any

from smallest_proto.commands import SendRequest
from smallest_proto.config import Endpoint, FileTranscriptionConfig, RetryPolicy, Timeouts
from smallest_proto.errors import Failure, FailureKind
from smallest_proto.http.exchange import ExchangeFailed
from smallest_proto.http.files import FileTranscription
from tests.core.private import KEY

ENDPOINT = Endpoint(api_key=KEY)
CONFIG = FileTranscriptionConfig()
LOST = Failure(kind=FailureKind.DISCONNECTED, reason="the connection was lost")

Pieces = list[bytes]


def transcription(max_retries: int = 0, **timeouts: float) -> FileTranscription:
    retry = RetryPolicy(max_retries=max_retries)
    return FileTranscription(CONFIG, ENDPOINT, audio=b"RIFF", timeouts=Timeouts(**timeouts), retry=retry)


def drain(exchange: FileTranscription) -> list[Any]:
    outputs = []
    while (output := exchange.poll_output()) is not None:
        outputs.append(output)
    return outputs


def answered(status: int, body: bytes | dict[str, Any], *headers: tuple[str, str], pieces: Pieces | None = None) -> Any:
    """The outcome of an exchange that was answered so."""
    exchange = transcription()
    exchange.start(0.0)
    exchange.response_started(status, headers, 1.0)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    for piece in [raw] if pieces is None else pieces:
        exchange.body_received(piece, 2.0)
    exchange.response_ended(3.0)
    sent, outcome = drain(exchange)
    assert isinstance(sent, SendRequest)
    assert exchange.ended
    assert exchange.get_timer() is None
    return outcome


def failure_of(status: int, body: bytes | dict[str, Any], *headers: tuple[str, str]) -> Failure:
    outcome = answered(status, body, *headers)
    assert isinstance(outcome, ExchangeFailed)
    return outcome.failure
