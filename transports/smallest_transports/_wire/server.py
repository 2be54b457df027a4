"""The server's side: one request, answered with a status or as a WebSocket."""

from __future__ import annotations

from collections.abc import Iterable

import h11
from wsproto.utilities import generate_accept_token

from smallest_proto.errors import LocalProtocolError
from smallest_proto.requests import MAX_FILE_BYTES
from smallest_transports._events import BadRequest, Headers, MessageEvent, RequestReceived, ServerEvent

from .connection import MAX_HEAD_BYTES, Messages, Phase, read_headers, tokens

MAX_REQUEST_BYTES = MAX_FILE_BYTES + 2**20  # of a body: the service's own limit is for its answers to name


class ServerConnection(Messages):
    """One request as a server sees it, answered by ``respond``, ``start_response``, or ``accept`` and then messages.

    One request per connection: the client is told so, and ``finished`` is true once it is answered.
    """

    def __init__(self, *, max_body: int = MAX_REQUEST_BYTES) -> None:
        super().__init__(h11.SERVER)
        self._max_body = max_body
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._early = b""  # what came after the request, before its answer
        self._half_closed = False

    @property
    def has_head(self) -> bool:
        """The head of the request is here, if not all of its body."""
        return self._request is not None

    def receive_data(self, data: bytes) -> list[ServerEvent]:
        """The client sent bytes; ``b""``: it sends nothing more, but may still read."""
        if self._phase is Phase.HTTP:
            return self._read_request(data)
        if self._phase is Phase.MESSAGES:
            return [*(self._read_messages(data) if data else self._lost())]
        if self._phase is Phase.ANSWERING and len(self._early) < MAX_HEAD_BYTES:  # no client sends that much unasked
            self._early += data
            self._half_closed = not data
        return []

    def respond(self, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> None:
        """Answer with an HTTP status; ``Content-Length`` and ``Connection`` are added.

        Raises ``LocalProtocolError`` where no answer is due, and for headers that HTTP cannot carry.
        """
        self._check_due()
        framing = [("Content-Length", str(len(body))), ("Connection", "close")]
        to_head = self._request is not None and self._request.method == b"HEAD"
        try:
            response = h11.Response(status_code=status, headers=[*headers, *framing])
        except (h11.LocalProtocolError, UnicodeError) as exc:
            raise LocalProtocolError(f"an answer that HTTP cannot carry: {exc}") from None
        self._say(response, *(() if to_head else (h11.Data(data=body),)), h11.EndOfMessage())
        self._phase = Phase.OVER

    def start_response(self, status: int, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Begin an answer whose length is not known yet: ``send_body``, then ``end_body``.

        It goes out in chunks (RFC 9112, section 7.1), to a client of HTTP/1.0 until the connection closes. Raises
        ``LocalProtocolError`` as ``respond`` does.
        """
        self._check_due()
        try:
            response = h11.Response(status_code=status, headers=[*headers, ("Connection", "close")])
        except (h11.LocalProtocolError, UnicodeError) as exc:
            raise LocalProtocolError(f"an answer that HTTP cannot carry: {exc}") from None
        self._say(response)
        self._phase = Phase.RESPONDING

    def send_body(self, data: bytes) -> None:
        """A part of the answer. Raises ``LocalProtocolError`` where none was begun."""
        self._check_begun()
        if data:  # an empty chunk would be the last
            self._say(h11.Data(data=data))

    def end_body(self) -> None:
        """The answer is whole. Raises ``LocalProtocolError`` where none was begun."""
        self._check_begun()
        self._say(h11.EndOfMessage())
        self._phase = Phase.OVER

    def accept(self) -> list[MessageEvent]:
        """Answer a WebSocket handshake; gives what the client said early, which as a rule is nothing.

        Raises ``LocalProtocolError`` where no answer is due or no WebSocket was asked for.
        """
        self._check_due()
        if self._request is None or not _wants_websocket(read_headers(self._request)):
            raise LocalProtocolError("the client asked for no WebSocket: answer with respond()")
        key = dict(self._request.headers)[b"sec-websocket-key"]
        headers = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", generate_accept_token(key).decode()),
        ]
        early = self._http.trailing_data[0] + self._early
        self._say(h11.InformationalResponse(status_code=101, headers=headers, reason="Switching Protocols"))
        self._open()
        events = self._read_messages(early)
        return [*events, *self._lost()] if self._half_closed and not self.finished else events

    def _check_due(self) -> None:
        if self._phase is not Phase.ANSWERING:
            raise LocalProtocolError("there is no request to answer, or it has been answered")

    def _check_begun(self) -> None:
        if self._phase is not Phase.RESPONDING:
            raise LocalProtocolError("no answer is under way: begin it with start_response()")

    def _read_request(self, data: bytes) -> list[ServerEvent]:
        try:
            for event in self._http_events(data):
                if isinstance(event, h11.Request):
                    self._request = event
                    if int(dict(event.headers).get(b"content-length", 0)) > self._max_body:
                        return [self._bad(413, "the body is too large")]
                    if self._http.they_are_waiting_for_100_continue:  # curl does, with a large file
                        self._say(h11.InformationalResponse(status_code=100, headers=[], reason="Continue"))
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) > self._max_body:
                        return [self._bad(413, "the body is too large")]
                elif isinstance(event, h11.EndOfMessage):
                    return [self._received()]
        except h11.RemoteProtocolError as exc:
            if data:
                return [self._bad(exc.error_status_hint, "this is no HTTP request that can be read")]
        return [] if data else [*self._lost()]

    def _received(self) -> RequestReceived | BadRequest:
        assert self._request is not None
        headers = read_headers(self._request)
        websocket = _wants_websocket(headers)
        said = dict(headers)
        if websocket and (
            self._request.method != b"GET"
            or "upgrade" not in tokens(headers, "connection")
            or said.get("sec-websocket-version") != "13"
            or len(said.get("sec-websocket-key", "")) != 24  # 16 bytes in base64
        ):
            return self._bad(400, "this is no right WebSocket handshake")
        self._phase = Phase.ANSWERING
        body, self._body = bytes(self._body), bytearray()
        method, target = self._request.method.decode(), self._request.target.decode()
        return RequestReceived(method=method, target=target, headers=headers, body=body, websocket=websocket)

    def _bad(self, status: int, reason: str) -> BadRequest:
        self._phase = Phase.ANSWERING
        self._body.clear()
        return BadRequest(status=status, reason=reason)


def _wants_websocket(headers: Headers) -> bool:
    return "websocket" in tokens(headers, "upgrade")
