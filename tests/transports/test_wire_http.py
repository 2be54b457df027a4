"""``_wire``: handshakes, refusals and HTTP exchanges at every fragmentation, on both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from smallest_proto.config import Endpoint, TranscriptionConfig
from smallest_proto.errors import ConfigurationError, FailureKind, LocalProtocolError
from smallest_proto.requests import Request, live_transcription_request
from smallest_proto.values import Secret
from smallest_transports import _wire as wire
from smallest_transports._wire.connection import MAX_HEAD_BYTES
from smallest_transports.testing.conformance.drivers import KEY

REQUEST = Request(
    method="GET",
    url="ws://example.com/stt/live",
    query="model=pulse&language=en",
    headers=(("Authorization", Secret(f"Bearer {KEY}")), ("X-Source", "tests")),
)
UPLOAD = Request(method="POST", url="http://example.com/stt/", query="model=pulse", body=b"RIFF" * 100)

CUTS = st.lists(st.integers(0, 2000), max_size=8)
EVERY_BYTE = range(3000)


def cut(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The data in pieces, none of them empty."""
    places = sorted({0, len(data), *(place for place in cuts if place < len(data))})
    return [data[start:end] for start, end in pairwise(places)]


def hear(connection: Any, data: bytes, cuts: Iterable[int] = ()) -> list[Any]:
    return [event for piece in cut(data, cuts) for event in connection.receive_data(piece)]


def said(peer: ClientProtocol | ServerProtocol) -> bytes:
    return b"".join(peer.data_to_send())


def answer(status: int, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


class TestHandshake:
    def test_says_what_the_request_says(self) -> None:
        server = ServerProtocol()
        server.receive_data(wire.ClientWebSocket(REQUEST).data_to_send())
        (request,) = server.events_received()
        assert request.path == "/stt/live?model=pulse&language=en"  # type: ignore[union-attr]
        headers = request.headers  # type: ignore[union-attr]
        assert headers["Authorization"] == f"Bearer {KEY}"
        assert headers["Host"] == "example.com"
        assert headers["X-Source"] == "tests"
        assert "Sec-WebSocket-Extensions" not in headers
        assert server.accept(request).status_code == 101  # type: ignore[arg-type]

    def test_of_a_real_configuration(self) -> None:
        endpoint = Endpoint(api_key=KEY, base_url="http://[::1]:8080/waves/v1/")
        client = wire.ClientWebSocket(live_transcription_request(TranscriptionConfig(), endpoint))
        (request,) = hear(wire.ServerConnection(), client.data_to_send(), EVERY_BYTE)
        assert request.target.startswith("/waves/v1/stt/live?model=pulse&")
        assert dict(request.headers)["host"] == "[::1]:8080"
        assert KEY not in repr(request)

    @pytest.mark.parametrize(
        ("url", "address", "host"),
        [
            ("ws://h", ("h", 80, False), "h"),
            ("wss://h/", ("h", 443, True), "h"),
            ("http://h:80/x", ("h", 80, False), "h"),
            ("https://h:443/x", ("h", 443, True), "h"),
            ("https://h:80/x", ("h", 80, True), "h:80"),
            ("ws://EXAMPLE.com:443", ("example.com", 443, False), "example.com:443"),
            ("wss://[2001:db8::1]/x", ("2001:db8::1", 443, True), "[2001:db8::1]"),
            ("wss://[::1]:9/x", ("::1", 9, True), "[::1]:9"),
        ],
    )
    def test_knows_where_to_go(self, url: str, address: tuple[str, int, bool], host: str) -> None:
        request = Request(method="GET", url=url)
        assert wire.address(request) == address
        assert f"\r\nHost: {host}\r\n".encode() in wire.ClientWebSocket(request).data_to_send()

    @pytest.mark.parametrize(
        "url", ["", "h", "ftp://h", "http://", "http://h:x", "http://h:99999", "http://[::1", "//h"]
    )
    def test_goes_nowhere_without_an_address(self, url: str) -> None:
        with pytest.raises(ConfigurationError):
            wire.ClientWebSocket(Request(method="GET", url=url))

    @given(st.text(max_size=20), st.sampled_from("\r\n\0 \x7fé€"))
    def test_no_header_can_be_smuggled_in(self, text: str, mark: str) -> None:
        value = f"{text}{mark}X-Evil: 1"
        requests = [
            Request(method="GET", url="ws://h/", headers=(("Authorization", Secret(f"{KEY}{value}")),)),
            Request(method="GET", url="ws://h/", headers=((value, "1"),)),
            Request(method="GET", url=f"ws://h/{value}"),
            Request(method="GET", url="ws://h/", query=value),
            Request(method=value, url="ws://h/"),
        ]
        for request in requests:
            for make in (wire.ClientWebSocket, wire.ClientExchange):
                sent, refused = b"", None
                try:
                    sent = make(request).data_to_send()
                except ConfigurationError as exc:
                    refused = exc
                if refused is not None:
                    assert refused.__context__ is None
                    assert KEY not in str(refused)
                else:
                    assert b"\nX-Evil" not in sent
                    assert sent.count(b"\r\n\r\n") == 1

    @pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "Sec-WebSocket-Key", "Connection"])
    def test_its_own_headers_cannot_be_set(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match=name):
            wire.ClientWebSocket(Request(method="GET", url="ws://h/", headers=((name, "1"),)))

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b"Upgrade: websocket", b"Upgrade: other"),
            (b"Connection: Upgrade", b"Connection: close"),
            (b"Sec-WebSocket-Accept: ", b"Sec-WebSocket-Accept: x"),
            (b"Sec-WebSocket-Accept: ", b"Sec-WebSocket-Accept: !"),
            (b"Sec-WebSocket-Accept: ", b"Sec-WebSocket-Accept: \xff"),
            (b"Sec-WebSocket-Accept: ", b"X-Accept: "),
            (b"Connection: ", b"Connection: \xff"),
            (b"Upgrade:", b"Sec-WebSocket-Extensions: permessage-deflate\r\nUpgrade:"),
            (b"Upgrade:", b"Sec-WebSocket-Protocol: chat\r\nUpgrade:"),
        ],
    )
    def test_that_is_answered_wrongly_is_told(self, old: bytes, new: bytes) -> None:
        client, server = wire.ClientWebSocket(REQUEST), ServerProtocol(max_size=None)
        server.receive_data(client.data_to_send())
        server.send_response(server.accept(server.events_received()[0]))  # type: ignore[arg-type]
        answer = said(server)
        assert old in answer
        (event,) = hear(client, answer.replace(old, new))
        assert isinstance(event, wire.ProtocolBroken)
        assert event.failure.kind is FailureKind.PROTOCOL
        assert client.finished


class TestRefusal:
    @given(st.sampled_from([400, 401, 403, 404, 429, 500, 503]), CUTS)
    @example(429, EVERY_BYTE)
    def test_keeps_what_was_said(self, status: int, cuts: Iterable[int]) -> None:
        client = wire.ClientWebSocket(REQUEST)
        body = b'{"error": "no more", "request_id": "r-1"}'
        interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        (event,) = hear(client, interim + answer(status, body, "Retry-After: 7") + b"trailing", cuts)
        assert isinstance(event, wire.Refused)
        failure = event.failure
        assert (failure.kind, failure.status, failure.retry_after) == (FailureKind.STATUS, status, 7.0)
        assert failure.request_id == "r-1"
        assert failure.detail is not None
        assert "no more" in failure.detail
        assert "no more" not in repr(event)
        assert client.finished

    def test_a_redirect_says_so(self) -> None:
        (event,) = hear(wire.ClientWebSocket(REQUEST), answer(302, b"", "Location: http://elsewhere/"))
        assert isinstance(event, wire.Refused)
        assert "redirect" in event.failure.reason

    def test_success_is_no_websocket(self) -> None:
        (event,) = hear(wire.ClientWebSocket(REQUEST), answer(200, b"<html>hello</html>"))
        assert isinstance(event, wire.Refused)
        assert event.failure.kind is FailureKind.PROTOCOL

    @pytest.mark.parametrize("cuts", [(), EVERY_BYTE])
    def test_a_page_cut_short_is_one_all_the_same(self, cuts: Iterable[int]) -> None:
        client = wire.ClientWebSocket(REQUEST)
        assert hear(client, answer(401, b"half a p", length=100), cuts) == []
        (event,) = client.receive_data(b"")
        assert isinstance(event, wire.Refused)
        assert event.failure.status == 401

    def test_a_page_without_end_is_cut(self) -> None:
        client = wire.ClientWebSocket(REQUEST)
        assert hear(client, b"HTTP/1.1 503 No\r\n\r\n") == []
        events = hear(client, b"x" * 10_000_000, range(0, 10_000_000, 100_000))
        assert [type(event) for event in events] == [wire.Refused]
        assert len(events[0].failure.detail or "") < 100_000

    def test_a_page_is_cut_after_64_kib(self) -> None:
        client = wire.ClientWebSocket(REQUEST)
        assert hear(client, b"HTTP/1.1 503 No\r\n\r\n" + b"x" * (2**16 - 1)) == []
        (event,) = client.receive_data(b"x")
        assert isinstance(event, wire.Refused)
        assert client.finished

    @pytest.mark.parametrize("data", [b"", b"HTTP/1.1 101", b"HTTP/1.1 101 X\r\nUpgr"])
    def test_a_connection_that_closes_says_nothing_of_the_service(self, data: bytes) -> None:
        client = wire.ClientWebSocket(REQUEST)
        assert hear(client, data) == []
        (event,) = client.receive_data(b"")
        assert isinstance(event, wire.ProtocolBroken)
        assert event.failure.kind is FailureKind.DISCONNECTED
        assert client.finished

    @pytest.mark.parametrize("data", [b"SSH-2.0-OpenSSH\r\n\r\n", b"\x15\x03\x01\x00\x02\x02F\r\n\r\n", b"x" * 100_000])
    def test_what_does_not_speak_http_is_told(self, data: bytes) -> None:
        (event,) = hear(wire.ClientWebSocket(REQUEST), data)
        assert isinstance(event, wire.ProtocolBroken)
        assert event.failure.kind is FailureKind.PROTOCOL


class TestExchange:
    @given(st.binary(max_size=500), st.booleans(), CUTS)
    @example(b"body" * 50, True, EVERY_BYTE)
    @example(b"", False, EVERY_BYTE)
    def test_answers_come_whole(self, body: bytes, chunked: bool, cuts: Iterable[int]) -> None:
        exchange = wire.ClientExchange(UPLOAD)
        if chunked:
            chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in cut(body, range(0, 500, 7)))
            data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        else:
            data = answer(200, body, "X-Request-Id: r-1")
        first, *parts, last = hear(exchange, data + b"trailing", cuts)
        assert isinstance(first, wire.ResponseStarted)
        assert first.status == 200
        assert ("x-request-id", "r-1") in first.headers or chunked
        assert b"".join(part.data for part in parts) == body
        assert last == wire.Ended()
        assert exchange.finished

    def test_an_answer_up_to_the_end_of_the_connection(self) -> None:
        exchange = wire.ClientExchange(UPLOAD)
        events = hear(exchange, b"HTTP/1.0 200 OK\r\n\r\nbody") + exchange.receive_data(b"")
        assert events[1:] == [wire.Body(b"body"), wire.Ended()]

    @pytest.mark.parametrize("data", [b"", b"HTTP/1.1 2", answer(200, b"ha", length=9), answer(100)])
    def test_an_answer_cut_short_is_told(self, data: bytes) -> None:
        exchange = wire.ClientExchange(UPLOAD)
        events: list[Any] = [*hear(exchange, data), *exchange.receive_data(b"")]
        last = events[-1]
        assert isinstance(last, wire.ProtocolBroken)
        assert last.failure.kind is FailureKind.DISCONNECTED
        assert exchange.finished
        assert exchange.receive_data(b"") == []

    def test_an_upgrade_nobody_asked_for_is_told(self) -> None:
        (event,) = hear(wire.ClientExchange(UPLOAD), b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n")
        assert isinstance(event, wire.ProtocolBroken)

    @given(st.binary(max_size=1200), CUTS)
    def test_requests_come_whole(self, body: bytes, cuts: Iterable[int]) -> None:
        request = Request(method="POST", url="https://h:8443/stt/", query="a=1", headers=REQUEST.headers, body=body)
        exchange, server = wire.ClientExchange(request), wire.ServerConnection()
        (received,) = hear(server, b"".join(iter(exchange.data_to_send, b"")), cuts)
        assert (received.method, received.target, received.body) == ("POST", "/stt/?a=1", body)
        headers = dict(received.headers)
        assert headers["host"] == "h:8443"
        assert headers["connection"] == "close"
        assert headers["authorization"] == f"Bearer {KEY}"
        assert not received.websocket

    def test_a_large_file_goes_out_in_pieces(self) -> None:
        body = bytes(range(256)) * 4096
        exchange = wire.ClientExchange(Request(method="POST", url="http://h/", body=body))
        sent = list(iter(exchange.data_to_send, b""))
        assert b"".join(sent).endswith(body)
        assert {len(piece) for piece in sent[1:]} == {256 * 1024}

    def test_no_body_has_no_length(self) -> None:
        sent = wire.ClientExchange(Request(method="GET", url="http://h/")).data_to_send()
        assert b"ontent-" not in sent


def post(body: bytes = b"", *headers: str, method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} /stt/?model=pulse HTTP/1.1", "Host: h", *headers, "", ""]).encode() + body


class TestServer:
    @given(st.binary(max_size=300), st.booleans(), CUTS)
    @example(b"audio" * 40, True, EVERY_BYTE)
    def test_requests_come_whole(self, body: bytes, chunked: bool, cuts: Iterable[int]) -> None:
        if chunked:
            chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in cut(body, range(0, 300, 7)))
            data = post(chunks + b"0\r\n\r\n", "Transfer-Encoding: chunked")
        else:
            data = post(body, f"Content-Length: {len(body)}", "X-Source: me")
        server = wire.ServerConnection()
        (request,) = hear(server, data, cuts)
        assert (request.method, request.target, request.body) == ("POST", "/stt/?model=pulse", body)
        assert ("x-source", "me") in request.headers or chunked
        server.respond(200, [("Content-Type", "application/json")], b"{}")
        assert server.finished
        client = wire.ClientExchange(UPLOAD)
        started, *parts, ended = hear(client, server.data_to_send(), cuts)
        assert started.status == 200
        assert dict(started.headers)["content-type"] == "application/json"
        assert b"".join(part.data for part in parts) == b"{}"
        assert ended == wire.Ended()

    def test_curl_may_ask_first(self) -> None:
        server = wire.ServerConnection()
        assert hear(server, post(b"", "Content-Length: 4", "Expect: 100-continue")) == []
        assert server.data_to_send().startswith(b"HTTP/1.1 100 ")
        (request,) = hear(server, b"abcd")
        assert request.body == b"abcd"

    @pytest.mark.parametrize(
        "data",
        [
            post(b"12345", "Content-Length: 5"),
            post(b"", "Content-Length: 5", "Expect: 100-continue"),
            post(b"5\r\n12345\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
        ],
    )
    def test_a_body_too_large_is_refused(self, data: bytes) -> None:
        server = wire.ServerConnection(max_body=4)
        (event,) = hear(server, data)
        assert isinstance(event, wire.BadRequest)
        assert event.status == 413
        assert server.receive_data(b"more") == []
        server.respond(413, (), b"too large")
        assert server.data_to_send().startswith(b"HTTP/1.1 413 ")

    @pytest.mark.parametrize(
        ("data", "status"),
        [
            (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
            (b"GET /" + b"x" * (MAX_HEAD_BYTES + 1), 431),
            (post(b"", "Content-Length: x"), 400),
            (post(b"", "Content-Length: " + "9" * 5000), 400),
            (post(b"", "Transfer-Encoding: gzip"), 501),
            (post(b"zz\r\n", "Transfer-Encoding: chunked"), 400),
        ],
    )
    def test_what_is_no_request_can_be_answered(self, data: bytes, status: int) -> None:
        server = wire.ServerConnection()
        (event,) = hear(server, data)
        assert isinstance(event, wire.BadRequest)
        assert event.status == status
        server.respond(status, (), b"no")
        assert server.data_to_send().startswith(b"HTTP/1.1 %d " % status)
        assert server.finished

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("GET", "POST"),
            ("Connection: Upgrade\r\n", ""),
            ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"),
            ("Sec-WebSocket-Version: 13\r\n", ""),
            ("Sec-WebSocket-Key: ", "Sec-WebSocket-Key: x"),
            ("Sec-WebSocket-Key: ", "Nothing: "),
        ],
    )
    def test_a_wrong_handshake_is_refused(self, old: str, new: str) -> None:
        client = ClientProtocol(parse_uri("ws://h/stt/live"))
        client.send_request(client.connect())
        data = said(client).decode()
        assert old in data
        (event,) = hear(wire.ServerConnection(), data.replace(old, new).encode())
        assert isinstance(event, wire.BadRequest)
        assert event.status == 400

    def test_a_handshake_can_be_refused_with_a_status(self) -> None:
        server, client = wire.ServerConnection(), wire.ClientWebSocket(REQUEST)
        hear(server, client.data_to_send())
        server.respond(429, [("Retry-After", "3")], b'{"error": "slow down"}')
        (event,) = hear(client, server.data_to_send())
        assert isinstance(event, wire.Refused)
        assert (event.failure.status, event.failure.retry_after) == (429, 3.0)
        assert server.finished

    def test_head_is_answered_without_a_body(self) -> None:
        server = wire.ServerConnection()
        hear(server, post(method="HEAD"))
        server.respond(405, (), b"no")
        assert server.data_to_send().endswith(b"Content-Length: 2\r\nConnection: close\r\n\r\n")

    def test_answers_have_their_time(self) -> None:
        server = wire.ServerConnection()
        with pytest.raises(LocalProtocolError):
            server.respond(200)
        hear(server, post(b"", "Content-Length: 0"))
        with pytest.raises(LocalProtocolError, match="no WebSocket"):
            server.accept()
        with pytest.raises(LocalProtocolError, match="cannot carry"):
            server.respond(200, [("X", "a\r\nb")])
        server.respond(200)
        with pytest.raises(LocalProtocolError):
            server.respond(200)

    @pytest.mark.parametrize("data", [b"", b"GET / HT", post(b"half", "Content-Length: 9")])
    def test_a_client_that_goes_before_it_asked(self, data: bytes) -> None:
        server = wire.ServerConnection()
        assert hear(server, data) == []
        assert server.receive_data(b"") == [wire.Closed(code=1006)]
        assert server.finished


@pytest.mark.parametrize(
    "greeting",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"-ERR wrong\r\n", b"\x15\x03\x03\x00\x02\x02\x28", b"HTTP/1 200 OK\r\n"],
)
@pytest.mark.parametrize("make", [wire.ClientExchange, wire.ClientWebSocket])
def test_what_greets_and_hangs_up_speaks_no_http(make: Callable[[Request], Any], greeting: bytes) -> None:
    connection = make(UPLOAD if make is wire.ClientExchange else REQUEST)
    events = [*connection.receive_data(greeting), *connection.receive_data(b"")]
    (broken,) = [event for event in events if isinstance(event, wire.ProtocolBroken)]
    assert broken.failure.kind is FailureKind.PROTOCOL
    assert "check base_url" in broken.failure.reason


@pytest.mark.parametrize(
    ("url", "made"),
    [
        ("ws://h/", wire.ClientWebSocket),
        ("wss://h/", wire.ClientWebSocket),
        ("http://h/", wire.ClientExchange),
        ("https://h/", wire.ClientExchange),
    ],
)
def test_the_url_says_what_is_spoken(url: str, made: type) -> None:
    assert type(wire.client_wire(Request(method="GET", url=url))) is made
