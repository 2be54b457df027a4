"""What both sides of a connection have in common: bytes that go out, HTTP and WebSocket messages that come in."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterator
from typing import Any

import h11
from wsproto import events as ws
from wsproto.connection import Connection, ConnectionState, ConnectionType

from smallest_transports._events import (
    MAX_MESSAGE_BYTES,
    BinaryMessage,
    Closed,
    Headers,
    MessageEvent,
    Pong,
    ProtocolBroken,
    TextMessage,
)
from smallest_transports._failures import broken_websocket

# No permessage-deflate: PCM does not shrink enough to pay for its cost (noise does not compress, a zlib window per
# link does cost), transcripts are short, and a message that is not compressed cannot be a bomb.

# What is read in one turn of the loop, some milliseconds of work: a read of 256 KiB can hold 130,000 frames.
EVENTS_AT_ONCE = 128

MAX_HEAD_BYTES = 64 * 2**10  # of a request line or a status line with its headers


class Phase(enum.Enum):
    HTTP = "http"
    ANSWERING = "answering"  # a server has its request, or never will
    RESPONDING = "responding"  # a server's answer goes out part by part
    MESSAGES = "messages"
    OVER = "over"


class Wire:
    """What all have in common: what goes out, and the HTTP in what comes in."""

    def __init__(self, role: type[h11.CLIENT | h11.SERVER]) -> None:
        self._http = h11.Connection(role, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._phase = Phase.HTTP
        self._at_once = EVENTS_AT_ONCE if role is h11.CLIENT else sys.maxsize
        self.unread = False  # more of what came is still to be read: ``receive_data(None)``, when others had their turn
        self._out: list[bytes | bytearray] = []

    @property
    def finished(self) -> bool:
        """Nothing more comes in: close the socket once ``data_to_send`` is out."""
        return self._phase is Phase.OVER

    def data_to_send(self) -> bytes:
        """What is to go out now; ``b""`` for nothing. What was asked for together comes in one piece."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _http_events(self, data: bytes | None) -> Iterator[h11.Event]:
        """Raises ``h11.RemoteProtocolError``."""
        if data is not None:
            self._http.receive_data(data)
        while not isinstance(event := self._http.next_event(), type):  # the sentinels NEED_DATA and PAUSED are types
            if isinstance(event, h11.ConnectionClosed):
                return
            yield event

    def _say(self, *events: h11.Event) -> None:
        self._out += [self._http.send(event) or b"" for event in events]


class Messages(Wire):
    """The messages of a WebSocket once it is open, on either side."""

    def __init__(self, role: type[h11.CLIENT | h11.SERVER]) -> None:
        super().__init__(role)
        side = ConnectionType.CLIENT if role is h11.CLIENT else ConnectionType.SERVER
        self._frames = Connection(side)
        self._parts: list[Any] = []  # of a message that has not ended
        self._size = 0  # bytes in parts

    def send_text(self, text: str) -> None:
        """One text message."""
        self._send(ws.TextMessage(data=text))

    def send_binary(self, data: bytes) -> None:
        """One binary message."""
        self._send(ws.BytesMessage(data=data))

    def ping(self) -> None:
        """A ping; its answer comes as ``Pong``. The peer's own pings are answered without a word."""
        self._send(ws.Ping())

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye; the peer's goodbye comes as ``Closed``. A reason over 123 bytes is cut."""
        self._send(ws.CloseConnection(code=code, reason=reason))

    def _send(self, event: ws.Event) -> None:
        if self._phase is Phase.MESSAGES and self._frames.state is ConnectionState.OPEN:
            self._out.append(self._frames.send(event))

    def _read_messages(self, data: bytes) -> list[MessageEvent]:
        """Of bytes that came; none at all are not the end."""
        if data:
            self._frames.receive_data(data)
        events: list[MessageEvent] = []
        self.unread = False
        for count, event in enumerate(self._frames.events(), 1):
            self.unread = count >= self._at_once
            if isinstance(event, ws.Message):
                self._size += _utf8_bytes(event.data) if isinstance(event.data, str) else len(event.data)
                if self._size > MAX_MESSAGE_BYTES:
                    events.append(self._broken(1009))
                    break
                if event.data:
                    self._parts.append(event.data)
                if event.message_finished:
                    events.append(self._whole(event))
            elif isinstance(event, ws.Ping):
                self._send(event.response())
            elif isinstance(event, ws.Pong):
                events.append(Pong())
            elif isinstance(event, ws.CloseConnection):
                if self._frames.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
                    # So wsproto tells of frames that cannot be: a close frame would have changed the state.
                    events.append(self._broken(event.code))
                    break
                if self._frames.state is ConnectionState.REMOTE_CLOSING:
                    self._out.append(self._frames.send(ws.CloseConnection(code=event.code)))
                self._phase = Phase.OVER
                events.append(Closed(code=int(event.code), reason=event.reason or ""))
            if self.unread:
                break
        self.unread = self.unread and self._phase is Phase.MESSAGES
        return events

    def _whole(self, event: ws.Message[Any]) -> TextMessage | BinaryMessage:
        parts, self._parts, self._size = self._parts, [], 0
        if isinstance(event, ws.TextMessage):
            return TextMessage("".join(parts))
        return BinaryMessage(b"".join(parts))

    def _broken(self, code: int) -> ProtocolBroken:
        self._send(ws.CloseConnection(code=code))
        self._phase = Phase.OVER
        return ProtocolBroken(failure=broken_websocket(code))

    def _lost(self) -> Closed:
        self._phase = Phase.OVER
        return Closed(code=1006)


def read_headers(event: h11.Request | h11.InformationalResponse | h11.Response) -> Headers:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)


def tokens(headers: Headers, name: str) -> set[str]:
    found = {token.strip().lower() for key, value in headers if key == name for token in value.split(",")}
    return found - {""}


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
