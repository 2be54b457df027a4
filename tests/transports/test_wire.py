"""``_wire``: every message at every fragmentation, against peers not written here, and against noise."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from smallest_proto.errors import FailureKind
from smallest_proto.requests import Request
from smallest_proto.values import Secret
from smallest_transports import _wire as wire
from smallest_transports._wire.connection import MAX_MESSAGE_BYTES
from smallest_transports.testing.conformance.drivers import KEY

REQUEST = Request(
    method="GET",
    url="ws://example.com/stt/live",
    query="model=pulse&language=en",
    headers=(("Authorization", Secret(f"Bearer {KEY}")), ("X-Source", "tests")),
)
UPLOAD = Request(method="POST", url="http://example.com/stt/", query="model=pulse", body=b"RIFF" * 100)

# What a message can hold: empty, ASCII, characters of two, three and four bytes, that a cut can go through.
TEXTS = st.text(st.sampled_from("aé€😀\x00"), max_size=300)
MESSAGES = st.lists(TEXTS | st.binary(max_size=300), max_size=5)
CUTS = st.lists(st.integers(0, 2000), max_size=8)
EVERY_BYTE = range(3000)


def cut(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The data in pieces, none of them empty."""
    places = sorted({0, len(data), *(place for place in cuts if place < len(data))})
    return [data[start:end] for start, end in pairwise(places)]


def hear(connection: Any, data: bytes, cuts: Iterable[int] = ()) -> list[Any]:
    return [event for piece in cut(data, cuts) for event in connection.receive_data(piece)]


def opened() -> tuple[wire.ClientWebSocket, ServerProtocol]:
    """Our client, open, and its server by another hand."""
    client, server = wire.ClientWebSocket(REQUEST), ServerProtocol(max_size=None)
    server.receive_data(client.data_to_send())
    (request,) = server.events_received()
    server.send_response(server.accept(request))  # type: ignore[arg-type]
    (event,) = hear(client, said(server))
    assert isinstance(event, wire.Opened)
    return client, server


def accepted() -> tuple[wire.ServerConnection, ClientProtocol]:
    """Our server, open, and its client by another hand."""
    server, client = wire.ServerConnection(), ClientProtocol(parse_uri("ws://example.com/stt/live"), max_size=None)
    client.send_request(client.connect())
    (request,) = hear(server, said(client))
    assert isinstance(request, wire.RequestReceived)
    assert request.websocket
    assert server.accept() == []
    client.receive_data(server.data_to_send())
    assert client.handshake_exc is None
    client.events_received()
    return server, client


def said(peer: ClientProtocol | ServerProtocol) -> bytes:
    return b"".join(peer.data_to_send())


def say(peer: ClientProtocol | ServerProtocol, messages: Sequence[str | bytes], parts: int) -> bytes:
    """The messages, each in so many frames."""
    for message in messages:
        data = message.encode() if isinstance(message, str) else message
        size = -(-len(data) // parts) or 1
        pieces = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
        first, *rest = pieces
        (peer.send_text if isinstance(message, str) else peer.send_binary)(first, fin=not rest)
        for at, piece in enumerate(rest):
            peer.send_continuation(piece, fin=at == len(rest) - 1)
    return said(peer)


def contents(events: Iterable[Any]) -> list[str | bytes]:
    return [event.text if isinstance(event, wire.TextMessage) else event.data for event in events]


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, length: int | None = None, rsv: int = 0) -> bytes:
    """One frame as a server sends it, right or wrong."""
    size = len(payload) if length is None else length
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if size < 126:
        return head + bytes([size]) + payload
    return head + (b"\x7e" + struct.pack("!H", size) if size < 2**16 else b"\x7f" + struct.pack("!Q", size)) + payload


class TestMessages:
    @given(MESSAGES, st.integers(1, 4), CUTS)
    @example(["é€😀", b"\xff" * 200, ""], 3, EVERY_BYTE)
    def test_reach_the_client_however_split(self, messages: list[str | bytes], parts: int, cuts: Iterable[int]) -> None:
        client, server = opened()
        assert contents(hear(client, say(server, messages, parts), cuts)) == messages
        assert client.data_to_send() == b""

    @given(MESSAGES, st.integers(1, 4), CUTS)
    @example(["é€😀", b"\xff" * 200, ""], 3, EVERY_BYTE)
    def test_reach_the_server_however_split(self, messages: list[str | bytes], parts: int, cuts: Iterable[int]) -> None:
        server, client = accepted()
        assert contents(hear(server, say(client, messages, parts), cuts)) == messages

    @given(MESSAGES)
    @example([b"\x01" * 70_000, "é" * 40_000])
    @pytest.mark.parametrize("ours", [opened, accepted])
    def test_are_understood_by_the_other_side(self, ours: Callable[[], Any], messages: list[str | bytes]) -> None:
        we, peer = ours()
        for message in messages:
            if isinstance(message, str):
                we.send_text(message)
            else:
                we.send_binary(message)
        peer.receive_data(we.data_to_send())
        frames = peer.events_received()
        assert [(f.opcode, bytes(f.data)) for f in frames] == [
            (Opcode.TEXT, message.encode()) if isinstance(message, str) else (Opcode.BINARY, message)
            for message in messages
        ]
        assert we.data_to_send() == b""

    @given(MESSAGES, CUTS)
    def test_that_follow_the_handshake_at_once_are_heard(
        self, messages: list[str | bytes], cuts: Iterable[int]
    ) -> None:
        client, server = wire.ClientWebSocket(REQUEST), ServerProtocol(max_size=None)
        server.receive_data(client.data_to_send())
        server.send_response(server.accept(server.events_received()[0]))  # type: ignore[arg-type]
        first, *rest = hear(client, said(server) + say(server, messages, 2), cuts)
        assert isinstance(first, wire.Opened)
        assert contents(rest) == messages

    def test_that_come_before_the_answer_are_given_by_accept(self) -> None:
        server, client = wire.ServerConnection(), ClientProtocol(parse_uri("ws://h/"), max_size=None)
        client.send_request(client.connect())
        client.state = client.state.OPEN
        both = said(client) + say(client, ["one"], 1)
        (request,) = hear(server, both)
        assert isinstance(request, wire.RequestReceived)
        assert hear(server, say(client, ["two"], 1)) == []
        assert server.receive_data(b"") == []
        assert server.accept() == [wire.TextMessage("one"), wire.TextMessage("two"), wire.Closed(code=1006)]

    @pytest.mark.parametrize("ours", [opened, accepted])
    def test_pings_are_answered_and_pongs_are_told(self, ours: Callable[[], Any]) -> None:
        we, peer = ours()
        peer.send_ping(b"are you there")
        assert hear(we, said(peer), EVERY_BYTE) == []
        peer.receive_data(we.data_to_send())
        assert [(f.opcode, f.data) for f in peer.events_received()] == [(Opcode.PONG, b"are you there")]
        we.ping()
        peer.receive_data(we.data_to_send())
        assert hear(we, said(peer)) == [wire.Pong()]

    def test_a_ping_between_the_frames_of_a_message_is_answered(self) -> None:
        client, server = opened()
        server.send_text(b"to", fin=False)
        server.send_ping(b"!")
        server.send_continuation(b"gether", fin=True)
        assert hear(client, said(server), EVERY_BYTE) == [wire.TextMessage("together")]
        assert client.data_to_send() != b""

    def test_of_the_largest_size_pass_and_larger_ones_break(self) -> None:
        client, _ = opened()
        size = MAX_MESSAGE_BYTES // 2
        first = frame(1, b"a" * size, fin=False)
        for _ in range(2):  # none adds to the next
            assert contents(hear(client, first + frame(0, b"b" * size))) == ["a" * size + "b" * size]
        assert hear(client, first) == []
        (event,) = hear(client, frame(0, b"b" * (size + 1)))
        assert isinstance(event, wire.ProtocolBroken)
        assert "16 MiB" in event.failure.reason
        assert client.finished

    def test_size_counts_bytes_not_characters(self) -> None:
        client, _ = opened()
        text = ("€" * (MAX_MESSAGE_BYTES // 3 + 1)).encode()
        (event,) = hear(client, frame(1, text))
        assert isinstance(event, wire.ProtocolBroken)

    def test_a_length_that_nobody_sends_reserves_nothing(self) -> None:
        client, _ = opened()
        assert hear(client, frame(2, b"x", length=2**62)) == []


class TestTheEnd:
    @given(st.sampled_from([1000, 1001, 1008, 1011, 1013, 3000, 4999]), st.text("aé", max_size=40), CUTS)
    @pytest.mark.parametrize("ours", [opened, accepted])
    def test_of_the_peer_is_answered(self, ours: Callable[[], Any], code: int, reason: str, cuts: list[int]) -> None:
        we, peer = ours()
        peer.send_close(code, reason)
        assert hear(we, said(peer), cuts) == [wire.Closed(code=code, reason=reason)]
        assert we.finished
        peer.receive_data(we.data_to_send())
        assert peer.close_rcvd is not None
        assert peer.close_rcvd.code == code

    def test_without_a_code_is_1005(self) -> None:
        client, server = opened()
        server.send_close()
        assert hear(client, said(server)) == [wire.Closed(code=1005)]
        server.receive_data(client.data_to_send())
        assert server.close_rcvd is not None
        assert server.close_rcvd.code == 1005

    @pytest.mark.parametrize("ours", [opened, accepted])
    def test_of_ours_is_answered_by_the_peer(self, ours: Callable[[], Any]) -> None:
        we, peer = ours()
        we.close(1000, "é" * 100)
        peer.send_text(b"on its way")
        peer.receive_data(we.data_to_send())
        assert peer.close_rcvd.code == 1000
        assert peer.close_rcvd.reason == "é" * 61  # 123 bytes, and no half character
        message, closed = hear(we, said(peer))
        assert message == wire.TextMessage("on its way")
        assert closed.code == 1000
        assert we.finished
        assert we.data_to_send() == b""

    @pytest.mark.parametrize("ours", [opened, accepted])
    @pytest.mark.parametrize("closing", [True, False])
    def test_without_a_close_frame_is_1006(self, ours: Callable[[], Any], closing: bool) -> None:
        we, _ = ours()
        if closing:
            we.close()
        assert we.receive_data(b"") == [wire.Closed(code=1006)]
        assert we.finished
        assert we.receive_data(b"") == []

    @pytest.mark.parametrize("ours", [opened, accepted])
    def test_is_a_normal_one_unless_another_is_asked_for(self, ours: Callable[[], Any]) -> None:
        we, peer = ours()
        we.close()
        peer.receive_data(we.data_to_send())
        assert (peer.close_rcvd.code, peer.close_rcvd.reason) == (1000, "")

    @pytest.mark.parametrize("ours", [opened, accepted])
    def test_messages_after_it_go_nowhere(self, ours: Callable[[], Any]) -> None:
        we, _ = ours()
        we.close()
        we.data_to_send()
        for answer in (b"", b"\x88\x00" if ours is opened else b"\x88\x80mask"):
            hear(we, answer)
            we.send_text("late")
            we.send_binary(b"late")
            we.ping()
            we.close(1001)
            assert we.data_to_send() == b""
        assert we.finished

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (frame(1, b"\xff"), 1007),
            (frame(1, "€".encode()[:2]), 1007),
            (frame(1, b"\xe2", fin=False) + frame(0, b"a"), 1007),
            (frame(2, b"a", rsv=4), 1002),
            (frame(3, b"a"), 1002),
            (frame(11, b"a"), 1002),
            (frame(0, b"a"), 1002),
            (frame(1, b"a", fin=False) + frame(2, b"a"), 1002),
            (frame(9, b"a", fin=False), 1002),
            (frame(9, b"a" * 126), 1002),
            (frame(8, b"\x03"), 1002),
            (frame(8, struct.pack("!H", 999)), 1002),
            (frame(8, struct.pack("!H", 1006)), 1002),
            (frame(8, struct.pack("!H", 1000) + b"\xff"), 1007),
            (b"\x82\x81abcd\x00", 1002),  # masked, which a server never is
            (b"\x82\x7e\x00\x01a", 1002),  # a length in more bytes than it needs
        ],
    )
    @pytest.mark.parametrize("cuts", [(), EVERY_BYTE])
    def test_by_a_wrong_frame_is_told_and_said(self, data: bytes, code: int, cuts: Iterable[int]) -> None:
        client, server = opened()
        event, *more = hear(client, frame(1, b"before") + data + frame(1, b"after"), cuts)[1:]
        assert isinstance(event, wire.ProtocolBroken)
        assert more == []
        assert event.failure.kind is FailureKind.PROTOCOL
        assert str(code) in event.failure.reason
        assert client.finished
        server.receive_data(client.data_to_send())
        assert server.close_rcvd is not None
        assert server.close_rcvd.code == code

    def test_private_words_do_not_show(self) -> None:
        client, server = opened()
        server.send_text(b"said in private")
        server.send_close(1008, "said in private")
        assert "private" not in repr(hear(client, said(server)))


def answer(status: int, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def post(body: bytes = b"", *headers: str, method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} /stt/?model=pulse HTTP/1.1", "Host: h", *headers, "", ""]).encode() + body


def fresh_socket() -> wire.ClientWebSocket:
    return wire.ClientWebSocket(REQUEST)


def fresh_exchange() -> wire.ClientExchange:
    return wire.ClientExchange(UPLOAD)


MAKERS: list[Callable[[], Any]] = [
    fresh_socket,
    fresh_exchange,
    wire.ServerConnection,
    lambda: opened()[0],
    lambda: accepted()[0],
]
# Good beginnings, so that noise reaches what lies behind them.
STARTS = st.sampled_from(
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        answer(200, b"", length=50),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        post(b"", "Content-Length: 50"),
        post(b"", "Transfer-Encoding: chunked"),
        frame(1, b"ab", fin=False),
        b"\x81\x85\x00\x00\x00\x00hello",
        b"\x8a\x80\x01\x02\x03\x04",
    ]
)


class TestNoise:
    @settings(max_examples=150)
    @given(STARTS, st.binary(max_size=200) | st.text(max_size=80).map(str.encode), CUTS)
    @pytest.mark.parametrize("make", MAKERS)
    def test_never_raises(self, make: Callable[[], Any], start: bytes, noise: bytes, cuts: Iterable[int]) -> None:
        connection = make()
        connection.data_to_send()
        events = hear(connection, start + noise, cuts)
        was_finished = connection.finished
        late = connection.receive_data(b"")
        assert connection.finished or isinstance(connection, wire.ServerConnection)
        assert not (was_finished and late)
        assert connection.receive_data(b"") == []
        assert b"".join(iter(connection.data_to_send, b"")) is not None
        ends = (wire.Closed, wire.ProtocolBroken, wire.Refused, wire.Ended, wire.BadRequest)
        assert sum(isinstance(event, ends) for event in [*events, *late]) <= 1

    @settings(max_examples=150)
    @given(MESSAGES, st.integers(1, 3), st.integers(0, 500), st.integers(0, 255), CUTS)
    def test_one_wrong_byte_never_raises(
        self, messages: list[str | bytes], parts: int, place: int, wrong: int, cuts: Iterable[int]
    ) -> None:
        client, server = opened()
        data = bytearray(say(server, messages, parts))
        server.send_close(1000)
        data += said(server)
        data[place % len(data)] = wrong
        events = hear(client, bytes(data), cuts)
        whole_client, _ = opened()
        assert [type(event) for event in hear(whole_client, bytes(data))] == [type(event) for event in events]
        client.receive_data(b"")
        assert client.finished
