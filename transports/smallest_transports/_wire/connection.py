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

from . import frames

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
        self.out: list[bytes | bytearray] = []  # what waits for ``data_to_send``

    @property
    def finished(self) -> bool:
        """Nothing more comes in: close the socket once ``data_to_send`` is out."""
        return self._phase is Phase.OVER

    def data_to_send(self) -> bytes:
        """What is to go out now; ``b""`` for nothing. What was asked for together comes in one piece."""
        data = b"".join(self.out)
        self.out.clear()
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
        self.out += [self._http.send(event) or b"" for event in events]


class Messages(Wire):
    """The messages of a WebSocket once it is open, on either side.

    A message in one frame, which is nearly all there is, is put into it and cut out of it here (``frames``). wsproto
    keeps the rest, frame by frame: control frames, messages in several frames, and whatever is wrong.
    """

    def __init__(self, role: type[h11.CLIENT | h11.SERVER]) -> None:
        super().__init__(role)
        self._hears_masked = role is h11.SERVER
        self._masks = not self._hears_masked
        self._frames = Connection(ConnectionType.SERVER if self._hears_masked else ConnectionType.CLIENT)
        self._sends = False  # messages can be sent: it is open, and neither side has said goodbye
        self._held = bytearray()  # what came of frames that are not whole, or not read yet
        self._needed = 0  # bytes that are to be held before there is more to read; 0: not known
        self._odd = 0  # bytes that are still to come of a frame which is wsproto's
        self._parts: list[Any] | None = None  # of a message in several frames that has not ended
        self._size = 0  # bytes in parts

    def send_text(self, text: str) -> None:
        """One text message."""
        if self._sends:
            self.out += frames.pack(frames.TEXT, text.encode(), masked=self._masks)

    def send_binary(self, data: bytes) -> None:
        """One binary message."""
        if self._sends:
            self.out += frames.pack(frames.BINARY, data, masked=self._masks)

    def ping(self) -> None:
        """A ping; its answer comes as ``Pong``. The peer's own pings are answered without a word."""
        self._send(ws.Ping())

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye; the peer's goodbye comes as ``Closed``. A reason over 123 bytes is cut."""
        self._send(ws.CloseConnection(code=code, reason=reason))

    def _open(self) -> None:
        self._phase, self._sends = Phase.MESSAGES, True

    def _send(self, event: ws.Event) -> None:
        if self._sends:
            self.out.append(self._frames.send(event))
            self._sends = self._frames.state is ConnectionState.OPEN

    def _read_messages(self, data: bytes) -> list[MessageEvent]:
        """The messages in bytes that came. Empty bytes are not the end."""
        events: list[MessageEvent] = []
        self.unread = False
        held: bytes | bytearray = data  # as it came, where nothing waits for the rest of it
        if self._held:
            held = self._held
            held += data
            if len(held) < self._needed:
                return events
        self._needed = at = 0
        for _ in range(self._at_once):
            begin, at = at, self._read_frame(held, at, events)
            if at == len(held) or at == begin or self._phase is not Phase.MESSAGES:
                break
        else:
            self.unread = True
        if held is self._held:
            del self._held[:at]
        elif at < len(data):
            self._held += data[at:]
        return events

    def _read_frame(self, held: bytes | bytearray, at: int, events: list[MessageEvent]) -> int:
        """Read one frame, as far as it is held, from there on; gives where what was read ends."""
        if self._odd == 0:
            if (found := frames.find(held, at, masked=self._hears_masked)) is None:
                return at
            kind, begin, end = found
            if kind is not frames.ODD and self._parts is None and end - begin <= MAX_MESSAGE_BYTES:
                if end > len(held):
                    self._needed = end - at
                    return at
                data = held[begin:end] if self._masks else frames.unmasked(held, begin, end)
                try:
                    events.append(TextMessage(data.decode()) if kind == frames.TEXT else BinaryMessage(bytes(data)))
                    return end
                except UnicodeDecodeError:
                    pass  # wsproto finds it as well, and says what is due
            self._odd = end - at
        end = min(at + self._odd, len(held))
        self._odd -= end - at
        self._read_odd(bytes(held[at:end]), events)
        return end

    def _read_odd(self, data: bytes, events: list[MessageEvent]) -> None:
        """Let wsproto read bytes: of one frame at most."""
        self._frames.receive_data(data)
        for event in self._frames.events():
            if isinstance(event, ws.Message):
                self._read_part(event, events)
            elif isinstance(event, ws.Ping):
                self._send(event.response())
            elif isinstance(event, ws.Pong):
                events.append(Pong())
            elif isinstance(event, ws.CloseConnection):
                if self._frames.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
                    # So wsproto tells of frames that cannot be: a close frame would have changed the state.
                    events.append(self._broken(event.code))
                    return
                if self._frames.state is ConnectionState.REMOTE_CLOSING:
                    self.out.append(self._frames.send(ws.CloseConnection(code=event.code)))
                self._over()
                events.append(Closed(code=int(event.code), reason=event.reason or ""))

    def _read_part(self, event: ws.Message[Any], events: list[MessageEvent]) -> None:
        self._parts = self._parts or []
        self._size += _utf8_bytes(event.data) if isinstance(event.data, str) else len(event.data)
        if self._size > MAX_MESSAGE_BYTES:
            events.append(self._broken(1009))
            return
        if event.data:
            self._parts.append(event.data)
        if event.message_finished:
            text = isinstance(event, ws.TextMessage)
            events.append(TextMessage("".join(self._parts)) if text else BinaryMessage(b"".join(self._parts)))
            self._parts, self._size = None, 0

    def _broken(self, code: int) -> ProtocolBroken:
        self._send(ws.CloseConnection(code=code))
        self._over()
        return ProtocolBroken(failure=broken_websocket(code))

    def _over(self) -> None:
        self._phase, self._sends = Phase.OVER, False

    def _lost(self) -> list[MessageEvent]:
        """The peer sends no more. The part that came of a frame can still be wrong."""
        events: list[MessageEvent] = []
        if self._held:
            self._read_odd(bytes(self._held), events)
        if self._phase is not Phase.OVER:
            self._over()
            events.append(Closed(code=1006))
        return events


def read_headers(event: h11.Request | h11.InformationalResponse | h11.Response) -> Headers:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)


def tokens(headers: Headers, name: str) -> set[str]:
    found = {token.strip().lower() for key, value in headers if key == name for token in value.split(",")}
    return found - {""}


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
