"""What a session asks its transport to do.

A command names the link it is for. A link's number is never used again: a late message of a dead link is ignored.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from .requests import Request
from .values import Value

KEEPALIVE = '{"type":"keepalive"}'  # the text that keeps a silent link from being closed


class OpenLink(Value, frozen=True, kw_only=True):
    """Open a WebSocket, then tell ``link_opened`` or ``link_failed``."""

    link: int
    request: Request


class SendText(Value, frozen=True, kw_only=True):
    """Send one text message."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    link: int
    text: str  # JSON


class SendBinary(Value, frozen=True, kw_only=True):
    """Send one binary message."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"data"})

    link: int
    data: bytes  # one audio message: at most 8192 bytes of samples, or one packet or page as it was given


class SendPing(Value, frozen=True, kw_only=True):
    """Send a WebSocket ping, and tell ``pong_received`` when its pong comes."""

    link: int


class CloseLink(Value, frozen=True, kw_only=True):
    """Send a close frame, and tell ``link_closed`` when the peer's close frame comes."""

    link: int
    code: int  # WebSocket close code


class AbortLink(Value, frozen=True, kw_only=True):
    """Drop the connection at once, or the attempt to open it. Tell nothing."""

    link: int


class SendRequest(Value, frozen=True, kw_only=True):
    """Send one HTTP request, then tell ``response_started``, ``body_received`` and ``response_ended``."""

    request: Request


class AbortRequest(Value, frozen=True, kw_only=True):
    """Drop the HTTP exchange at once."""


Command: TypeAlias = OpenLink | SendText | SendBinary | SendPing | CloseLink | AbortLink
ExchangeCommand: TypeAlias = SendRequest | AbortRequest
