"""Readers of the body of a good HTTP answer: when it is complete, or while it comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

from smallest_proto.errors import Failure, FailureKind

MAX_ANSWER_BYTES = 64 * 2**20  # enough for days of words; more is not from this service

Headers: TypeAlias = tuple[tuple[str, str], ...]
Answer = TypeVar("Answer")
Answer_co = TypeVar("Answer_co", covariant=True)


class Reader(Protocol[Answer_co]):
    """What the body of a success means. It never raises, whatever the peer sent."""

    @property
    def settled(self) -> bool:
        """Whether the outcome is known, and the rest of the body is not needed."""

    def begin(self, status: int, headers: Headers) -> None:
        """A success begins."""

    def feed(self, data: bytes) -> Sequence[Answer_co]:
        """Take a part of the body; return what can be given out now."""

    def end(self) -> Sequence[Answer_co | Failure]:
        """The body has ended: return what is left, the outcome last."""


class WholeBody(Generic[Answer]):
    """Keeps the body, at most 64 MiB of it, and reads it when it is complete."""

    def __init__(self, read: Callable[[int, Headers, bytes], Answer | Failure]) -> None:
        self._read = read
        self._status = 0
        self._headers: Headers = ()
        self._body = bytearray()

    @property
    def settled(self) -> bool:
        return len(self._body) > MAX_ANSWER_BYTES

    def begin(self, status: int, headers: Headers) -> None:
        self._status, self._headers = status, headers

    def feed(self, data: bytes) -> Sequence[Answer]:
        self._body += data
        return ()

    def end(self) -> Sequence[Answer | Failure]:
        body = bytes(self._body)
        if len(body) > MAX_ANSWER_BYTES:
            reason = f"the answer is longer than {MAX_ANSWER_BYTES // 2**20} MiB"
            return (Failure(kind=FailureKind.PROTOCOL, reason=reason, final=True),)
        return (self._read(self._status, self._headers, body),)
