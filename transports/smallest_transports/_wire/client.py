"""The client's side: one WebSocket, or one HTTP exchange."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import h11
from wsproto.utilities import generate_accept_token, generate_nonce

from smallest_proto.errors import ConfigurationError
from smallest_proto.refusals import refusal
from smallest_proto.requests import Request
from smallest_transports._address import PORTS, address, is_websocket
from smallest_transports._events import (
    MAX_REFUSAL_BYTES,
    Body,
    Ended,
    ExchangeEvent,
    Opened,
    ProtocolBroken,
    Refused,
    ResponseStarted,
    WebSocketEvent,
)
from smallest_transports._failures import bad_handshake, cut_short, not_http

from .connection import Messages, Phase, Wire, read_headers, tokens

PIECE_BYTES = 256 * 2**10  # of a large file that goes out at once, so that it never fills a write buffer

# Headers that say how the message is framed are this module's business.
FRAMING = frozenset(("host", "connection", "upgrade", "content-length", "transfer-encoding", "expect", "te", "trailer"))


class ClientWebSocket(Messages):
    """A WebSocket from its handshake on. ``data_to_send`` gives the handshake first.

    Raises ``ConfigurationError`` for a request that HTTP cannot carry.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(h11.CLIENT)
        self._nonce = generate_nonce()
        self._refusal: h11.Response | None = None
        self._body = b""  # of the refusal
        self._ended = False  # nothing more comes after what is unread
        upgrade = (
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", self._nonce.decode()),
            ("Sec-WebSocket-Version", "13"),
        )
        self._say(_head(request, upgrade), h11.EndOfMessage())

    def receive_data(self, data: bytes | None) -> Sequence[WebSocketEvent]:
        """The server sent bytes; ``b""``: it sends nothing more; ``None``: go on with what is ``unread``."""
        if data and self._sends:  # nearly always
            return self._read_messages(data)
        self._ended = self._ended or data == b""
        events: list[WebSocketEvent] = []
        if self._phase is Phase.HTTP and data is not None:
            events = self._read_answer(data)
        elif self._phase is Phase.MESSAGES:
            events += self._read_messages(data or b"")
        if self._ended and self._phase is Phase.MESSAGES and not self.unread:
            events += self._lost()
        return events

    def _read_answer(self, data: bytes) -> list[WebSocketEvent]:
        try:
            for event in self._http_events(data):
                if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                    return self._opened(event)
                if isinstance(event, h11.Response):
                    self._refusal = event
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) >= MAX_REFUSAL_BYTES:
                        return [self._refused()]
                elif isinstance(event, h11.EndOfMessage):
                    return [self._refused()]
        except h11.RemoteProtocolError as exc:
            self._phase = Phase.OVER
            # A refusal whose page is cut short is a refusal all the same.
            return [self._refused() if self._refusal else _no_answer(data, self._http.trailing_data[0], str(exc))]
        return []

    def _opened(self, event: h11.InformationalResponse) -> list[WebSocketEvent]:
        headers = read_headers(event)
        said = dict(headers)
        accepts = (
            "websocket" in tokens(headers, "upgrade")
            and "upgrade" in tokens(headers, "connection")
            and said.get("sec-websocket-accept") == generate_accept_token(self._nonce).decode()
            # None was offered.
            and not tokens(headers, "sec-websocket-extensions")
            and not tokens(headers, "sec-websocket-protocol")
        )
        if not accepts:
            self._phase = Phase.OVER
            return [ProtocolBroken(failure=bad_handshake())]
        self._open()
        return [Opened(headers=headers), *self._read_messages(self._http.trailing_data[0])]

    def _refused(self) -> Refused:
        assert self._refusal is not None
        self._phase = Phase.OVER
        body = self._body[:MAX_REFUSAL_BYTES]
        return Refused(failure=refusal(self._refusal.status_code, read_headers(self._refusal), body))


class ClientExchange(Wire):
    """One HTTP request and its answer; the connection is closed after it.

    Raises ``ConfigurationError`` for a request that HTTP cannot carry.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(h11.CLIENT)
        self._body = memoryview(request.body or b"")  # what has not gone out
        length = (("Content-Length", str(len(self._body))),) if request.body is not None else ()
        self._say(_head(request, (("Connection", "close"), *length)))

    def data_to_send(self) -> bytes:
        """The next piece of the request, of at most 256 KiB; ``b""`` when all of it was given."""
        data = super().data_to_send()
        if self._body:
            self.out.append(bytes(self._body[:PIECE_BYTES]))
            self._body = self._body[PIECE_BYTES:]
        return data

    def receive_data(self, data: bytes | None) -> list[ExchangeEvent]:
        """The server sent bytes; ``b""``: it sends nothing more; ``None``: go on with what is ``unread``."""
        self.unread = False
        if self._phase is Phase.OVER:
            return []
        events: list[ExchangeEvent] = []
        in_head = self._http.their_state is h11.SEND_RESPONSE
        try:
            for event in self._http_events(data):
                if isinstance(event, h11.Response):
                    events.append(ResponseStarted(status=event.status_code, headers=read_headers(event)))
                elif isinstance(event, h11.Data):
                    events.append(Body(bytes(event.data)))
                elif isinstance(event, h11.EndOfMessage):
                    self._phase = Phase.OVER
                    events.append(Ended())
                    break
                if len(events) >= self._at_once:
                    self.unread = True
                    break
        except h11.RemoteProtocolError as exc:
            self._phase = Phase.OVER
            events.append(_no_answer(data or b"", self._http.trailing_data[0] if in_head else b"", str(exc)))
        return events


def client_wire(request: Request) -> ClientWebSocket | ClientExchange:
    """The wire that a request goes over, as its URL says."""
    return ClientWebSocket(request) if is_websocket(request) else ClientExchange(request)


def _head(request: Request, framing: Iterable[tuple[str, str]]) -> h11.Request:
    where = address(request)
    url = urlsplit(request.url)
    host = f"[{where.host}]" if ":" in where.host else where.host
    if where.port != PORTS[url.scheme]:
        host += f":{where.port}"
    target = url.path or "/"
    if request.query:
        target += f"?{request.query}"
    for name, _ in request.headers:
        if name.lower() in FRAMING or name.lower().startswith("sec-websocket-"):
            raise ConfigurationError(f"the header {name} is set by the transport: leave it out")
    try:
        return h11.Request(method=request.method, target=target, headers=[("Host", host), *framing, *request.headers])
    except (h11.LocalProtocolError, UnicodeError):
        pass
    # Raised out here as an exception keeps the one that it was raised beside, and h11's repeats the header: the key.
    raise ConfigurationError("the request holds characters that HTTP cannot carry: check its URL and headers")


def _no_answer(data: bytes, unread: bytes, detail: str) -> ProtocolBroken:
    """``unread``: what came of the head of an answer that is not whole; what is no HTTP can look like its beginning."""
    strange = data or not b"HTTP/1.".startswith(unread[:7])
    return ProtocolBroken(failure=not_http(detail) if strange else cut_short(detail))
