"""Server-sent events: any stream, in any pieces, against a reading of the whole text by the standard's own words."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smallest_proto.http import sse
from smallest_proto.http.sse import MAX_EVENT_BYTES, ServerSentEvent, SseDecoder


def read_whole(stream: bytes) -> tuple[list[tuple[str, str]], int | None]:
    """The events and the last retry of a stream, read at once: HTML standard, 9.2.5 and 9.2.6."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _unended = re.split("\r\n|\r|\n", text)
    events, data, kind, retry = [], "", "", None
    for line in lines:
        if line == "":
            if data:
                events.append((kind or "message", data.removesuffix("\n")))
            data = kind = ""
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data += value + "\n"
            elif name == "event":
                kind = value
            elif name == "retry" and re.fullmatch("[0-9]+", value):
                retry = int(value)
    return events, retry


def read_pieces(*pieces: bytes) -> tuple[list[tuple[str, str]], int | None]:
    decoder = SseDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return [(event.type, event.data) for event in events], decoder.retry


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    at = [0, *sorted(min(one, len(stream)) for one in cuts), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(at)]


_FIELDS = (
    *("data", "data:", "data: ", "data:  ", "event: audio", "event:", "retry: 250", "retry: 2x", "retry:", "retry: ٣"),
    *(
        "id: 5",
        ":",
        ": kept alive",
        "",
        "",
        "dat",
        "data\u00a0:",
        " data: x",
        "\ufeffdata: x",
        "Data: x",
        "\x0b\x0c\x85",
    ),
)
_FIELD = st.sampled_from(_FIELDS).map(str.encode)
_REST = st.sampled_from(
    [b"", b"a", b"a:b", b'{"audio": "AAAA"}', "नमस्ते".encode(), b"\xff\xe0\xa4", b"\x00", "\u2028".encode()]
)
_LINE = st.builds(bytes.__add__, _FIELD, _REST)
_STREAM = st.lists(_LINE | st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r\n", b"\r\n\r\n"]), max_size=24).map(
    b"".join
)
_BOM = b"\xef\xbb\xbf"
_EVENTS = "retry: 250\nevent: audio\r\ndata: é\ndata:ü\n\r\n:c\r\rdata: a\r\ndata\r\n\r\ndata\n\ndata: cut".encode()


@given(st.sampled_from([b"", _BOM, _BOM * 2]), _STREAM | st.binary(), st.lists(st.integers(0, 200), max_size=10))
@example(b"", b"data: a\r\n\r\n", [8, 10])
@example(b"", b"data: a\r\r", [8, 8])
@example(_BOM, b"data: a\n\n", [1, 2, 3])
def test_any_stream_in_any_pieces(mark: bytes, stream: bytes, cuts: list[int]) -> None:
    stream = mark + stream
    assert read_pieces(*cut(stream, cuts)) == read_whole(stream)


@pytest.mark.parametrize("mark", [b"", _BOM])
def test_byte_by_byte_and_at_each_place(mark: bytes) -> None:
    stream = mark + _EVENTS
    expected = [("audio", "é\nü"), ("message", "a\n"), ("message", "")], 250
    assert read_pieces(*(stream[at : at + 1] for at in range(len(stream)))) == read_whole(stream) == expected
    for at in range(len(stream)):
        assert read_pieces(stream[:at], stream[at:]) == read_whole(stream)


def test_an_event_comes_with_the_byte_that_ends_it() -> None:
    for end in (b"\n\n", b"\r\r", b"\r\n\r"):  # the LF after the last CR is not waited for
        decoder = SseDecoder()
        assert decoder.feed(b"data: a" + end[:-1]) == []
        assert [event.data for event in decoder.feed(end[-1:])] == ["a"]


@pytest.mark.parametrize("tail", [b"", b"\n", b"\r", b"\r\n"])
def test_what_an_end_without_a_blank_line_leaves(tail: bytes) -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\n\nevent: audio\ndata: b" + tail) != []
    left = decoder.end()
    assert left == ServerSentEvent(type="audio", data="b")
    assert decoder.end() is None
    assert SseDecoder().end() is None


@pytest.mark.parametrize("line", [b"", b"data: \n", b"data:\r\n", b": only\n"])
@pytest.mark.parametrize("size", [2**10, 2**14])
def test_an_event_without_an_end_is_not_kept_for_ever(line: bytes, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = MAX_EVENT_BYTES // 64  # millions of short lines take their time
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", bound)
    decoder = SseDecoder()
    part = line or b"data: " + bytes(size)
    fed = 0
    while not decoder.overflowed and fed < 2 * bound:
        block = part * max(1, size // len(part))
        assert decoder.feed(block) == []
        fed += len(block)
    assert decoder.overflowed
    assert bound - size <= fed <= bound + 2 * size
    assert decoder.feed(b"\n\ndata: a\n\n") == []


def test_an_event_just_within_the_bound_is_one() -> None:
    decoder = SseDecoder()
    data = b"x" * (MAX_EVENT_BYTES - len(b"data: \n\n"))
    (event,) = decoder.feed(b"data: " + data + b"\n\n")
    assert len(event.data) == len(data)
    assert [event.data for event in decoder.feed(b"data: a\n\n")] == ["a"]
    assert not decoder.overflowed


def test_the_data_of_an_event_is_private() -> None:
    (event,) = SseDecoder().feed(b"data: my secret\n\n")
    assert "secret" not in repr(event)
