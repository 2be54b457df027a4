"""The requests that a synthesis socket was sent, each with one or more parts that are spoken in one go.

In the plain protocol a request ends with a message without ``continue``; with continuations a context is a request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smallest_proto.config import SynthesisConfig

from .states import REQUESTS, RequestAction, RequestInput, RequestState, step


class SocketRequest:
    """The state of one request. ``context_id``: ``None`` in the plain protocol."""

    def __init__(self, request_id: str, context_id: str | None) -> None:
        self.request_id = request_id
        self.context_id = context_id
        self.fields: dict[str, Any] = {}  # of its messages so far
        self.options: SynthesisConfig | None = None
        self.buffer = ""  # text that waits to be spoken
        self.due: float | None = None  # when it must be spoken, at the latest
        self.seconds = 0.0  # of audio so far
        self.spoken_at = 0.0  # when its last part was
        self.words = 0  # in its parts that were spoken
        self._state = RequestState.EMPTY

    def take(self, what: RequestInput) -> RequestAction:
        """Move on."""
        action, self._state = step(REQUESTS, self._state, what)
        return action


class Part:
    """A text that is to be spoken in one go."""

    def __init__(self, request: SocketRequest, text: str, options: SynthesisConfig, *, completes: bool) -> None:
        self.request = request
        self.text = text
        self.options = options
        self.tokens: Sequence[str] = text.split()
        self.completes = completes  # ``complete`` follows
        self.next_token = 0

    def token(self, word: str) -> int:
        """The place of a spoken word among those of the text."""
        try:
            at = self.tokens.index(word, self.next_token)
        except ValueError:
            at = self.next_token
        self.next_token = at + 1
        return at
