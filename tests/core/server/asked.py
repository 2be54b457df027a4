"""Requests for the service's side, as a client would make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smallest_proto.server.answers import Response
from smallest_proto.server.requests import FileRequest, LiveRequest, read_request

KEY = [("authorization", "Bearer some-key")]
LIVE = "/waves/v1/stt/live?model=pulse"


def read(
    target: str, *, method: str = "GET", headers: Sequence[tuple[str, str]] = KEY, websocket: bool = True, **more: Any
) -> LiveRequest | FileRequest | Response:
    return read_request(method, target, headers, websocket=websocket, **more)


def read_live(target: str = LIVE, **more: Any) -> LiveRequest:
    request = read(target, **more)
    assert isinstance(request, LiveRequest), request
    return request
