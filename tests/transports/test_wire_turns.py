"""How much of what came is read in one turn of the loop, and how long a head may be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smallest_proto.errors import FailureKind
from smallest_transports import _wire as wire

from .test_wire import REQUEST, UPLOAD, accepted, contents, cut, frame, opened, say

AT_ONCE = 128  # events
LONGEST_HEAD = 65536  # bytes


def turns(client: Any, *data: bytes) -> list[list[Any]]:
    """What each turn gives: those in which something came, and those that go on with what is unread."""
    events = [client.receive_data(piece) for piece in data]
    while client.unread:
        events.append(client.receive_data(None))
    return events


class TestTurns:
    @given(st.integers(1, 3 * AT_ONCE), st.integers(0, 2))
    @example(AT_ONCE - 1, 0)
    @example(AT_ONCE, 0)
    @example(AT_ONCE + 1, 0)
    def test_of_many_messages_are_short_and_lose_none(self, count: int, held_back: int) -> None:
        client, server = opened()
        said: list[str | bytes] = [str(number) for number in range(count)]
        data, heard = say(server, said, 1), list[Any]()
        for piece in cut(data, [len(data) - held_back]):  # a part of the last frame comes late
            *whole, last = turns(client, piece)
            assert {len(turn) for turn in whole} <= {AT_ONCE}
            assert len(last) <= AT_ONCE
            heard += [event for turn in (*whole, last) for event in turn]
        assert contents(heard) == said

    def test_that_only_answer_pings_are_short_as_well(self) -> None:
        client, server = opened()
        for number in range(AT_ONCE + 1):
            server.send_ping(str(number).encode())
        assert client.receive_data(b"".join(server.data_to_send())) == []
        assert client.unread
        server.receive_data(client.data_to_send())
        assert len(server.events_received()) == AT_ONCE
        assert client.receive_data(None) == []
        assert not client.unread

    def test_come_before_the_end_of_the_connection(self) -> None:
        client, server = opened()
        read = turns(client, say(server, ["a"] * 3 * AT_ONCE, 1), b"")
        assert [len(turn) for turn in read] == [AT_ONCE, AT_ONCE, AT_ONCE + 1]
        assert read[-1][-1] == wire.Closed(code=1006)
        assert client.finished

    def test_end_with_the_goodbye(self) -> None:
        client, server = opened()
        (events,) = turns(client, say(server, ["a"], 1) + frame(8) + frame(1, b"after it"))
        assert events == [wire.TextMessage("a"), wire.Closed(code=1005)]

    @pytest.mark.parametrize(
        ("chunks", "expected"),
        [
            (AT_ONCE - 2, [AT_ONCE]),  # with the head, and the end
            (AT_ONCE - 1, [AT_ONCE, 1]),
            (2 * AT_ONCE, [AT_ONCE, AT_ONCE, 2]),
        ],
    )
    def test_of_an_answer_in_parts_are_short_as_well(self, chunks: int, expected: list[int]) -> None:
        exchange = wire.ClientExchange(UPLOAD)
        data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"2\r\nab\r\n" * chunks + b"0\r\n\r\n"
        read = turns(exchange, data)
        assert [len(turn) for turn in read] == expected
        events = [event for turn in read for event in turn]
        assert events[1:] == [*[wire.Body(b"ab")] * chunks, wire.Ended()]
        assert exchange.finished

    def test_begin_with_nothing_unread(self) -> None:
        for connection in (wire.ClientWebSocket(REQUEST), wire.ClientExchange(UPLOAD), wire.ServerConnection()):
            assert not connection.unread

    def test_of_a_server_have_no_bound(self) -> None:
        server, client = accepted()
        assert len(server.receive_data(say(client, ["a"] * 3 * AT_ONCE, 1))) == 3 * AT_ONCE
        assert not server.unread


class TestHeads:
    def test_of_requests_are_at_most_64_kib(self) -> None:
        server = wire.ServerConnection()
        assert server.receive_data(b"GET /".ljust(LONGEST_HEAD, b"x")) == []
        (event,) = server.receive_data(b"x")
        assert isinstance(event, wire.BadRequest)
        assert event.status == 431

    @pytest.mark.parametrize("make", [lambda: wire.ClientWebSocket(REQUEST), lambda: wire.ClientExchange(UPLOAD)])
    def test_of_answers_are_at_most_64_kib(self, make: Any) -> None:
        client = make()
        assert client.receive_data(b"HTTP/1.1 200 OK\r\nX: ".ljust(LONGEST_HEAD, b"x")) == []
        (event,) = client.receive_data(b"x")
        assert isinstance(event, wire.ProtocolBroken)
        assert event.failure.kind is FailureKind.PROTOCOL
