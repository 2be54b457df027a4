"""The errors of the library, one tree.

::

    SmallestError
    ├── ConfigurationError     ours: a value that cannot be; found before anything is sent   (also a ValueError)
    ├── LocalProtocolError     ours: a call that this moment does not allow; nothing changed
    └── RemoteError            theirs: what the service or the network did; has ``.failure``
        ├── StatusError        an HTTP status instead of an answer, or instead of a WebSocket
        ├── ConnectError       no connection: no such host, nothing listens there, TLS refused
        ├── DisconnectedError  the connection was lost, or closed with a code
        ├── ServiceError       the service said "error" over an open connection
        ├── ProtocolError      the peer does not speak the protocol
        └── DeadlineError      nothing came in time                                           (also a TimeoutError)

What the service says of an error can repeat what the user said, so it is never part of a message here: it is in
``error.failure.detail``, which no ``repr`` shows.
"""

from __future__ import annotations

from typing import ClassVar

from .values import Name, Value


class SmallestError(Exception):
    """The root: every error that the library raises on purpose."""


class ConfigurationError(SmallestError, ValueError):
    """A value that cannot be: the message says what is wrong and what would be right."""


class LocalProtocolError(SmallestError):
    """The application made a call that is not allowed now, or gave something that is not audio. Nothing changed."""


class FailureKind(Name):
    """Why a connection or an exchange failed."""

    STATUS = "status"
    CONNECT = "connect"
    DISCONNECTED = "disconnected"
    SERVICE = "service"
    PROTOCOL = "protocol"
    DEADLINE = "deadline"


class Failure(Value, frozen=True, kw_only=True):
    """One failure of a link or an exchange, as a transport or the core saw it. It holds no key and no query."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"detail"})

    kind: FailureKind
    reason: str  # a sentence of ours, safe to show
    status: int | None = None  # HTTP status, when the service answered with one
    code: int | None = None  # WebSocket close code, when the peer closed (1006: without a close frame)
    retry_after: float | None = None  # seconds the service asks to wait
    request_id: str | None = None  # the service's name for the request, for its support
    detail: str | None = None  # the service's own words: private, they can repeat the user's
    final: bool = False  # another try cannot help: a certificate that is not valid, say

    def error(self) -> RemoteError:
        """The exception that tells of this failure."""
        return _ERRORS[self.kind](self)


class RemoteError(SmallestError):
    """The service or the network failed; ``failure`` says how."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure

    def __reduce__(self) -> tuple[type[RemoteError], tuple[Failure]]:
        return type(self), (self.failure,)


class StatusError(RemoteError):
    """The service answered with an HTTP status that is no success: ``failure.status``, ``failure.retry_after``."""


class ConnectError(RemoteError):
    """No connection could be made."""


class DisconnectedError(RemoteError):
    """The connection was lost, or the peer closed it: ``failure.code``."""


class ServiceError(RemoteError):
    """The service reported an error over an open connection, or would: for text with nothing to say in it."""


class ProtocolError(RemoteError):
    """The peer does not speak HTTP or WebSocket as it should, or answers what cannot be read."""


class DeadlineError(RemoteError, TimeoutError):
    """Nothing came within a deadline of ``Timeouts``."""


_ERRORS: dict[FailureKind, type[RemoteError]] = {
    FailureKind.STATUS: StatusError,
    FailureKind.CONNECT: ConnectError,
    FailureKind.DISCONNECTED: DisconnectedError,
    FailureKind.SERVICE: ServiceError,
    FailureKind.PROTOCOL: ProtocolError,
    FailureKind.DEADLINE: DeadlineError,
}
