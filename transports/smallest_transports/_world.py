"""What of the world all drivers share: environment, chance, files, TLS, and what went wrong, in words. No framework."""

from __future__ import annotations

import os
import random
import socket
import ssl
from typing import TYPE_CHECKING

from smallest_proto.errors import Failure, FailureKind
from smallest_proto.requests import MAX_FILE_BYTES

from ._client import check_size

if TYPE_CHECKING:
    from typing_extensions import Self

    from ._wire import Address


class World:
    """What all connections of one client have in common; it is entered and left with the client.

    A driver adds what its framework needs to keep a connection alive. ``secure``: the client speaks TLS.
    """

    def __init__(self, *, secure: bool, ssl_context: ssl.SSLContext | None = None) -> None:
        self.ssl_context = ssl_context or (ssl.create_default_context() if secure else None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Every driver has been closed by then."""

    getenv = staticmethod(os.getenv)
    jitter = staticmethod(random.random)


def read_file(path: str | os.PathLike[str]) -> bytes:
    """What is in a file; ``check_size`` says of which size. Raises ``OSError`` where it cannot be read. It blocks."""
    # The size is checked before anything is read, and bounded as it is: the file may be growing, or a pipe.
    with open(path, "rb") as file:
        check_size(path, max(1, os.fstat(file.fileno()).st_size))
        audio = file.read(MAX_FILE_BYTES + 1)
    check_size(path, len(audio))
    return audio


def no_connection(exc: OSError | UnicodeError, where: Address) -> Failure:
    """What came in place of a connection."""
    final = False
    if isinstance(exc, ssl.SSLCertVerificationError):
        final = True
        advice = "check base_url, or give an ssl_context that trusts it"
        reason = f"the certificate of {where.host} does not hold ({exc.verify_message}): {advice}"
    elif isinstance(exc, (socket.gaierror, UnicodeError)):  # a name that is too long is a UnicodeError
        reason = f"the host {where.host} was not found: check base_url and the network"
    else:
        advice = "that TLS is spoken there" if isinstance(exc, ssl.SSLError) else "the network"
        reason = f"no connection to {where.host}, port {where.port}: {_said(exc)}: check base_url and {advice}"
    return Failure(kind=FailureKind.CONNECT, reason=reason, final=final)


def connection_lost(exc: OSError) -> Failure:
    """What a connection broke of."""
    return Failure(kind=FailureKind.DISCONNECTED, reason=f"the connection was lost: {_said(exc)}", code=1006)


def _said(exc: OSError) -> str:
    if isinstance(exc, ssl.SSLError):
        return f"TLS failed ({exc.reason})"
    return os.strerror(exc.errno) if exc.errno else str(exc) or type(exc).__name__
