"""Whole frames, which take a short way of our own: as wsproto has them, whatever comes and however it is cut."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wsproto import events as ws
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.frame_protocol import FrameProtocol

from smallest_transports import _wire as wire
from smallest_transports._events import MAX_MESSAGE_BYTES
from smallest_transports._failures import broken_websocket
from smallest_transports._wire import frames

from .test_wire import CUTS, EVERY_BYTE, MESSAGES, accepted, contents, cut, hear, opened

FORKED = """
import os
from smallest_transports._wire import frames

def key():
    return frames.pack(frames.BINARY, bytes(4), masked=True)[1].hex()

key()
child = os.fork()
if child:
    os.waitpid(child, 0)
print(*(key() for _ in range(frames._KEYS_AT_ONCE)), flush=True)
"""
MASKS = {"C": frames.apply_mask, "an integer": frames._xor}


class Plain:
    """The same connection with wsproto alone: what it reads, and what it answers."""

    def __init__(self, side: ConnectionType) -> None:
        self.connection = Connection(side)
        self.out = b""
        self.over = False
        self.parts: list[Any] = []

    def say(self, event: ws.Event) -> None:
        if self.connection.state is ConnectionState.OPEN and not self.over:
            self.out += self.connection.send(event)

    def receive_data(self, data: bytes) -> Iterator[Any]:
        if self.over:
            return
        if not data:
            self.over = True
            yield wire.Closed(code=1006)
            return
        self.connection.receive_data(data)
        for event in self.connection.events():
            yield from self.read(event)
            if self.over:
                return

    def read(self, event: ws.Event) -> Iterator[Any]:
        if isinstance(event, ws.Message):
            self.parts.append(event.data)
            if event.message_finished:
                parts, self.parts = self.parts, []
                text = isinstance(event, ws.TextMessage)
                yield wire.TextMessage("".join(parts)) if text else wire.BinaryMessage(b"".join(parts))
        elif isinstance(event, ws.Ping):
            self.say(event.response())
        elif isinstance(event, ws.Pong):
            yield wire.Pong()
        elif isinstance(event, ws.CloseConnection):
            wrong = self.connection.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING)
            if self.connection.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
                self.out += self.connection.send(ws.CloseConnection(code=event.code))
            self.over = True
            if wrong:
                yield wire.ProtocolBroken(failure=broken_websocket(event.code))
            else:
                yield wire.Closed(code=int(event.code), reason=event.reason or "")


def sent(data: bytes, *, by_client: bool) -> list[Any]:
    """What is said in frames, each of which has to be right."""
    reader = FrameProtocol(client=not by_client, extensions=[])
    reader.receive_bytes(data)
    return [(frame.opcode, frame.payload) for frame in reader.received_frames()]


def frame(first: int, payload: bytes, *, masked: bool, width: int = 0, short: int = 0) -> bytes:
    """A frame, right or wrong: with a length in more bytes than it needs, or of more than follows."""
    size = len(payload) + short
    width = width or (1 if size < 126 else 2 if size < 2**16 else 8)
    sign = size % 126 if width == 1 else 126 if width == 2 else 127
    length = b"" if width == 1 else struct.pack("!H", size % 2**16) if width == 2 else struct.pack("!Q", size)
    key = b"\x07\xa5\x00\xff" if masked else b""
    return bytes((first, masked << 7 | sign)) + length + key + (frames._xor(payload, key) if masked else payload)


class Whole(NamedTuple):
    """In wsproto's place, where nothing is left to it."""

    state: ConnectionState


PAYLOADS = st.text(st.sampled_from("aé€😀"), max_size=150).map(str.encode) | st.binary(max_size=200)
SEQUENCES = st.lists(
    st.tuples(
        # whole text and binary most of all; their parts; pings, pongs, goodbyes; reserved bits and kinds
        st.sampled_from((0x81, 0x81, 0x82, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A, 0x88, 0xC1, 0x92, 0x83, 0x09))
        | st.integers(0, 255),
        PAYLOADS | st.sampled_from((b"", b"\x03\xe8", b"\x03\xe8bye", b"a" * 125, b"a" * 126, b"\xe2\x82")),
        st.sampled_from((True,) * 9 + (False,)),  # masked as it must be
        st.sampled_from((0,) * 9 + (2, 8)),  # bytes of the length
        st.sampled_from((0,) * 9 + (1, 70_000)),  # bytes that are missing
    ),
    max_size=7,
)


@contextmanager
def masking(how: str) -> Iterator[None]:
    before, frames.apply_mask = frames.apply_mask, MASKS[how]
    try:
        yield
    finally:
        frames.apply_mask = before


class TestWholeFrames:
    @settings(max_examples=200)
    @given(SEQUENCES, st.binary(max_size=20), CUTS, st.booleans())
    @example([(0x81, b"\xff", True, 0, 0)], b"", EVERY_BYTE, False)
    @example([(0x82, b"masked, or not, by the wrong side", False, 0, 0)], b"", (), False)
    @example([(0x82, b"a", True, 8, 0)], b"", (), False)
    @example([(0x81, b"\xff", True, 0, 300)], b"", (), False)  # the end comes in the middle of what is wrong already
    @example([(0xC2, b"a", True, 0, 0)], b"", (), False)
    @example([(0x01, b"a", True, 0, 0), (0x81, b"b", True, 0, 0)], b"", (), False)  # a whole one within parts
    @example([(0x01, b"", True, 0, 0), (0x89, b"!", True, 0, 0), (0x80, b"", True, 0, 0)], b"", (), False)
    @pytest.mark.parametrize("ours", [opened, accepted], ids=["client", "server"])
    @pytest.mark.parametrize("masks", MASKS)
    def test_are_read_as_wsproto_reads_them(
        self, ours: Any, masks: str, sequence: list[Any], noise: bytes, cuts: Iterable[int], closing: bool
    ) -> None:
        of_client = ours is accepted
        data = noise.join(
            frame(first, payload, masked=of_client is right, width=width, short=short)
            for first, payload, right, width, short in sequence
        )
        we, _ = ours()
        plain = Plain(ConnectionType.SERVER if of_client else ConnectionType.CLIENT)
        if closing:
            we.close(1001)
            plain.say(ws.CloseConnection(code=1001))
        with masking(masks):
            expected = [*plain.receive_data(data)] if data else []
            events = hear(we, data, cuts)
            held_back = [*we.receive_data(b"")]
            expected += plain.receive_data(b"")
            assert events + held_back == expected
            answers = we.data_to_send()
        assert sent(answers, by_client=not of_client) == sent(plain.out, by_client=not of_client)

    @given(MESSAGES)
    @example([b"x" * size for size in (125, 126, 65535, 65536)])
    @example(["é" * 63, "é" * 32768])
    @pytest.mark.parametrize("ours", [opened, accepted], ids=["client", "server"])
    @pytest.mark.parametrize("masks", MASKS)
    def test_are_written_as_wsproto_writes_them(self, ours: Any, masks: str, messages: list[str | bytes]) -> None:
        we, _ = ours()
        plain = Plain(ConnectionType.SERVER if ours is accepted else ConnectionType.CLIENT)
        with masking(masks):
            for message in messages:
                if isinstance(message, str):
                    we.send_text(message)
                    plain.say(ws.TextMessage(data=message))
                else:
                    we.send_binary(message)
                    plain.say(ws.BytesMessage(data=message))
        data = we.data_to_send()
        assert len(data) == len(plain.out)
        assert sent(data, by_client=ours is opened) == sent(plain.out, by_client=ours is opened)

    @given(st.sampled_from((0, 1, 125, 126, 127, 128, 255, 256, 65535, 65536, 2**24 + 1)) | st.integers(0, 2**20))
    @pytest.mark.parametrize("at", [0, 1, 1000])
    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("kind", [frames.TEXT, frames.BINARY])
    def test_are_found_as_soon_as_their_length_came(self, kind: int, masked: bool, at: int, size: int) -> None:
        head = frame(kind, b"", masked=masked, short=size)
        held = bytearray(at)
        for byte in head[: -4 if masked else None]:
            assert frames.find(held, at, masked=masked) is None
            held.append(byte)
        assert frames.find(held, at, masked=masked) == (kind, at + len(head), at + len(head) + size)

    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize(
        ("first", "size", "width"),
        [(0x81, 125, 2), (0x82, 0, 2), (0x81, 65535, 8), (0x82, 126, 8), (0x80, 9, 1), (0x83, 9, 1), (0x01, 9, 1)],
    )
    def test_of_an_odd_kind_or_a_long_way_to_say_a_length_are_odd(
        self, first: int, size: int, width: int, masked: bool
    ) -> None:
        head = frame(first, b"", masked=masked, width=width, short=size)
        assert frames.find(bytearray(head), 0, masked=masked) == (frames.ODD, len(head), len(head) + size)

    @pytest.mark.parametrize("size", [0, 9, 125, 126, 65536])
    @pytest.mark.parametrize("masked", [False, True])
    def test_masked_by_the_wrong_side_are_odd(self, size: int, masked: bool) -> None:
        found = frames.find(bytearray(frame(frames.TEXT, b"", masked=not masked, short=size)), 0, masked=masked)
        assert found is not None
        kind, begin, _ = found
        assert kind == frames.ODD
        assert begin >= 2

    @pytest.mark.parametrize("masks", MASKS)
    @pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 1600])
    def test_come_back_by_the_same_mask(self, masks: str, size: int) -> None:
        data, key = bytes(range(256)) * 7, b"\x00\xa5\xff\x01"
        masked = MASKS[masks](bytearray(data[:size]), key)
        assert masked == bytes(byte ^ key[at % 4] for at, byte in enumerate(data[:size]))
        assert MASKS[masks](masked, bytearray(key)) == data[:size]

    def test_have_each_a_key_of_its_own(self) -> None:
        client, _ = opened()
        keys = set()
        for _ in range(1000):
            client.send_binary(bytes(4))
            keys.add(client.data_to_send()[2:])
        assert len(keys) >= 998  # of four thousand million

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_leave_no_key_to_a_process_that_is_forked(self) -> None:
        said = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=True).stdout
        keys = said.split()
        assert len(keys) == 2 * frames._KEYS_AT_ONCE
        assert len({*keys}) >= len(keys) - 2

    def test_that_are_not_whole_are_held_no_further_than_a_message_may_be(self) -> None:
        client, _ = opened()
        head = frame(0x82, b"", masked=False, width=8, short=MAX_MESSAGE_BYTES)
        for data in cut(head + bytes(MAX_MESSAGE_BYTES - 1), range(0, MAX_MESSAGE_BYTES, 2**18)):
            assert client.receive_data(data) == []
        assert client.receive_data(b"\x01") == [wire.BinaryMessage(bytes(MAX_MESSAGE_BYTES - 1) + b"\x01")]
        client.receive_data(frame(0x82, b"", masked=False, width=8, short=MAX_MESSAGE_BYTES + 1))
        events = [event for _ in range(65) for event in client.receive_data(bytes(2**18))]
        assert [type(event) for event in events] == [wire.ProtocolBroken]

    @pytest.mark.parametrize("size", [9, 125, 300, 3000, MAX_MESSAGE_BYTES - 5, MAX_MESSAGE_BYTES])
    def test_never_take_the_long_way_wherever_they_lie(self, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        client, _ = opened()
        monkeypatch.setattr(client, "_frames", Whole(client._frames.state))
        one = frame(frames.BINARY, bytes(size), masked=False)
        count = 100 if size < 2**16 else 1
        assert contents(client.receive_data(one * count + one[:-1])) == [bytes(size)] * count
        assert contents(client.receive_data(one[-1:])) == [bytes(size)]

    def test_that_are_not_whole_are_looked_at_again_only_when_they_can_be(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client, _ = opened()
        looked: list[int] = []
        find = frames.find

        def count(held: bytearray, at: int, *, masked: bool) -> tuple[int, int, int] | None:
            looked.append(at)
            return find(held, at, masked=masked)

        monkeypatch.setattr(frames, "find", count)
        one = frame(frames.TEXT, b"a" * 300, masked=False)
        assert contents(client.receive_data(one + one[:9])) == ["a" * 300]
        assert looked == [0, len(one)]
        assert hear(client, one[9:-1], EVERY_BYTE) == []
        assert len(looked) == 2
        assert contents(client.receive_data(one[-1:])) == ["a" * 300]

    def test_do_without_the_masker_in_c(self) -> None:
        code = (
            "import sys; sys.modules['websockets'] = None\n"
            "from smallest_transports._wire import frames; print(frames.apply_mask is frames._xor)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "True\n"
