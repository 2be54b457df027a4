"""Bytes <-> WebSocket messages and HTTP/1.1, both sides of each, without I/O.

``ClientWebSocket`` and ``ClientExchange`` are what a driver needs (``client_wire`` makes the one that a request asks
for; ``open_tunnel`` goes before it through a proxy), ``ServerConnection`` is what a listener needs. All have one shape:
``receive_data(bytes)`` gives events (``b""`` is the end of what the peer sends; a client gives some of them at a time,
see ``unread``). The other methods take what is to be sent, and ``data_to_send()`` gives it as bytes. Once ``finished``
is true and all bytes are out, the socket can be closed.
Whatever a peer sends comes out as an event; nothing raises. What is sent over a connection that is already closing
goes nowhere, as it would on the network: the two cross on the way.
"""

from __future__ import annotations

from smallest_transports._address import Address, address
from smallest_transports._events import (
    BadRequest,
    BinaryMessage,
    Body,
    Closed,
    Ended,
    ExchangeEvent,
    MessageEvent,
    Opened,
    Pong,
    ProtocolBroken,
    Refused,
    RequestReceived,
    ResponseStarted,
    ServerEvent,
    TextMessage,
    WebSocketEvent,
)

try:
    from .client import FRAMING, ClientExchange, ClientWebSocket, client_wire
    from .proxy import ClientTunnel, open_tunnel
    from .server import ServerConnection
except ModuleNotFoundError as exc:
    if (exc.name or "").partition(".")[0] not in ("h11", "wsproto"):
        raise
    raise ImportError(
        'the transports speak WebSocket and HTTP with wsproto and h11: pip install "smallest-proto[asyncio]"'
    ) from exc

__all__ = [
    "FRAMING",
    "Address",
    "BadRequest",
    "BinaryMessage",
    "Body",
    "ClientExchange",
    "ClientTunnel",
    "ClientWebSocket",
    "Closed",
    "Ended",
    "ExchangeEvent",
    "MessageEvent",
    "Opened",
    "Pong",
    "ProtocolBroken",
    "Refused",
    "RequestReceived",
    "ResponseStarted",
    "ServerConnection",
    "ServerEvent",
    "TextMessage",
    "WebSocketEvent",
    "address",
    "client_wire",
    "open_tunnel",
]
