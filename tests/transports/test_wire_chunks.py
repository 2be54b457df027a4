"""An answer that goes out part by part, as HTTP/1.1 and HTTP/1.0 have it."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import LocalProtocolError
from smallest_transports._wire import ServerConnection


def asked(version: str = "1.1") -> ServerConnection:
    wire = ServerConnection()
    wire.receive_data(f"GET / HTTP/{version}\r\nHost: x\r\n\r\n".encode())
    return wire


@given(st.lists(st.binary(max_size=50)), st.sampled_from(("1.0", "1.1")))
def test_the_parts_arrive_whole(parts: list[bytes], version: str) -> None:
    wire = asked(version)
    wire.start_response(200, [("Content-Type", "audio/pcm")])
    for part in parts:
        wire.send_body(part)
    before = wire.finished
    wire.end_body()
    assert (before, wire.finished) == (False, True)
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(wire.data_to_send())
    client.receive_data(b"")
    response = client.next_event()
    assert isinstance(response, h11.Response)
    assert dict(response.headers)[b"connection"] == b"close"
    assert (b"transfer-encoding" in dict(response.headers)) is (version == "1.1")
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert body == b"".join(parts)
    assert isinstance(event, h11.EndOfMessage)


def test_parts_belong_to_an_answer() -> None:
    wire = asked()
    for call in (wire.end_body, lambda: wire.send_body(b"x")):
        with pytest.raises(LocalProtocolError, match="begin it with start_response"):
            call()
    with pytest.raises(LocalProtocolError, match="HTTP cannot carry"):
        wire.start_response(200, [("X", "a\nb")])
    wire.start_response(200)
    with pytest.raises(LocalProtocolError, match="has been answered"):
        wire.start_response(200)
    assert wire.receive_data(b"more") == []
    wire.end_body()
    with pytest.raises(LocalProtocolError, match="no answer is under way"):
        wire.send_body(b"x")
