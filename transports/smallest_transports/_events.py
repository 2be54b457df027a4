"""What comes in over a connection, as values."""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from smallest_proto.errors import Failure
from smallest_proto.values import Value

Headers: TypeAlias = tuple[tuple[str, str], ...]  # names in lower case

MAX_MESSAGE_BYTES = 16 * 2**20  # of one WebSocket message that comes in
MAX_REFUSAL_BYTES = 64 * 2**10  # kept of the body that comes with a refusal


class Opened(Value, frozen=True, kw_only=True):
    """The server took the WebSocket."""

    headers: Headers


class Refused(Value, frozen=True, kw_only=True):
    """The server answered with an HTTP status in place of a WebSocket; the failure holds what it said."""

    failure: Failure


class TextMessage(Value, frozen=True):
    """One whole text message, however many frames it came in."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    text: str


class BinaryMessage(Value, frozen=True):
    """One whole binary message, however many frames it came in."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"data"})

    data: bytes


class Pong(Value, frozen=True, kw_only=True):
    """The peer answered a ping, or said pong unasked."""


class Closed(Value, frozen=True, kw_only=True):
    """The WebSocket is over. ``code`` is 1005 where the peer gave none, 1006 where it left without a close frame."""

    code: int
    reason: str = ""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"reason"})  # the peer's words


class ProtocolBroken(Value, frozen=True, kw_only=True):
    """The peer did not speak the protocol to its end. Nothing comes after it."""

    failure: Failure


class ResponseStarted(Value, frozen=True, kw_only=True):
    """Status and headers of an HTTP answer."""

    status: int
    headers: Headers


class Body(Value, frozen=True):
    """A part of the answer's body."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"data"})

    data: bytes


class Ended(Value, frozen=True, kw_only=True):
    """The answer is whole."""


class RequestReceived(Value, frozen=True, kw_only=True):
    """A whole request. Answer it with ``respond``, or with ``accept`` where ``websocket`` is true."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset(("target", "headers", "body"))

    method: str
    target: str  # path and query, as sent
    headers: Headers
    body: bytes
    websocket: bool  # it is a correct WebSocket handshake


class BadRequest(Value, frozen=True, kw_only=True):
    """Something that is no request that can be served. Answer it with ``respond(status, ...)``."""

    status: int  # 400, 413, 431, 501
    reason: str


MessageEvent: TypeAlias = TextMessage | BinaryMessage | Pong | Closed | ProtocolBroken
WebSocketEvent: TypeAlias = Opened | Refused | MessageEvent
ExchangeEvent: TypeAlias = ResponseStarted | Body | Ended | ProtocolBroken
ServerEvent: TypeAlias = RequestReceived | BadRequest | MessageEvent
