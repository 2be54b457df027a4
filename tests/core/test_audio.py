"""Audio: formats, the cutting into messages, opus and Ogg positions."""

from __future__ import annotations

import array
import ctypes
import itertools
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.audio import (
    MAX_MESSAGE_BYTES,
    MAX_PACKET_BYTES,
    SAMPLE_RATES,
    AudioFormat,
    Chunk,
    Encoding,
    Framer,
    ogg_page_end,
    opus_packet_samples,
)
from smallest_proto.errors import LocalProtocolError

FIXED: tuple[Encoding, ...] = ("linear16", "linear32", "alaw", "mulaw")
PACKETS: tuple[Encoding, ...] = ("opus", "ogg_opus")
FORMATS = [AudioFormat(encoding=encoding, sample_rate=rate) for encoding in get_args(Encoding) for rate in SAMPLE_RATES]
FIXED_FORMATS = [format for format in FORMATS if format.encoding in FIXED]


def pattern(size: int) -> bytes:
    """Bytes that do not repeat within a message, so that one out of place shows."""
    return b"".join((at * 2654435761 % 2**32).to_bytes(4, "big") for at in range(size // 4 + 1))[:size]


# Sizes of chunks: many are messages of some format, which take a way of their own.
SIZES = st.integers(0, 5000) | st.sampled_from([400, 800, 1600, 3200, 4800, MAX_MESSAGE_BYTES])


def cut(audio: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(edge, len(audio)) for edge in at), len(audio)]
    return [audio[start:end] for start, end in itertools.pairwise(edges)]


# --- formats ---


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f"{f.encoding}-{f.sample_rate}")
def test_a_message_is_50_ms_unless_that_is_too_long(format: AudioFormat) -> None:
    if format.sample_width is None:
        assert (format.clock_rate, format.message_samples) == (48000, 2400)
        return
    assert format.clock_rate == format.sample_rate
    size = format.message_samples * format.sample_width
    assert size <= MAX_MESSAGE_BYTES
    if format.encoding == "linear32" and format.sample_rate > 40960:
        assert size == MAX_MESSAGE_BYTES
    else:
        assert format.message_samples == format.sample_rate // 20
    assert 0.02 < format.seconds(format.message_samples) <= 0.05  # the vendor's floor, and its guidance


@given(st.sampled_from(FORMATS), st.integers(0, 10**12))
def test_samples_come_back_from_seconds(format: AudioFormat, samples: int) -> None:
    assert format.samples(format.seconds(samples)) == samples


# --- the framer ---


@given(
    format=st.sampled_from(FIXED_FORMATS),
    sizes=st.lists(SIZES, max_size=12),
    start=st.integers(0, 10**9),
)
def test_any_split_of_the_audio_gives_the_same_messages(format: AudioFormat, sizes: list[int], start: int) -> None:
    size = sum(sizes)
    audio = pattern(size)
    width = format.sample_width
    assert width is not None
    framer = Framer(format, start)
    chunks: list[Chunk] = []
    given_ = 0
    for piece in cut(audio, list(itertools.accumulate(sizes))):
        chunks += framer.push(piece)
        given_ += len(piece)
        assert framer.position == start + given_ // width
    full = len(chunks)
    tail = framer.flush()
    chunks += [tail] if tail else []
    samples, rest = divmod(size, width)
    assert b"".join(chunk.data for chunk in chunks) == audio[: size - rest]
    assert full == samples // format.message_samples
    assert [chunk.end - chunk.start for chunk in chunks[:full]] == [format.message_samples] * full
    position = start
    for chunk in chunks:
        assert chunk.start == position
        assert len(chunk.data) == (chunk.end - chunk.start) * width
        assert 0 < len(chunk.data) <= MAX_MESSAGE_BYTES
        assert type(chunk.data) is bytes
        position = chunk.end
    assert framer.position == position == start + samples
    assert framer.flush() is None


@given(st.sampled_from(FIXED_FORMATS), st.lists(SIZES | st.none(), max_size=12))
def test_a_flush_anywhere_loses_nothing_and_keeps_the_part_of_a_sample(
    format: AudioFormat, story: list[int | None]
) -> None:
    audio = pattern(sum(filter(None, story)))
    framer, at = Framer(format), 0
    chunks: list[Chunk] = []
    for step in story:
        if step is None:
            tail = framer.flush()
            chunks += [tail] if tail else []
            assert chunks == [] or chunks[-1].end == framer.position  # nothing whole waits any longer
        else:
            chunks += framer.push(audio[at : at + step])
            at += step
    tail = framer.flush()
    chunks += [tail] if tail else []
    width = format.sample_width or 1
    assert b"".join(chunk.data for chunk in chunks) == audio[: len(audio) - len(audio) % width]
    assert all(one.end == two.start for one, two in itertools.pairwise(chunks))


@pytest.mark.parametrize("format", FIXED_FORMATS, ids=lambda f: f"{f.encoding}-{f.sample_rate}")
def test_a_chunk_that_is_a_message_is_not_copied(format: AudioFormat) -> None:
    message = pattern(format.message_samples * (format.sample_width or 0))
    framer = Framer(format)
    for number in range(3):
        (chunk,) = framer.push(message)
        assert chunk.data is message
        assert (chunk.start, chunk.end) == (number * format.message_samples, (number + 1) * format.message_samples)


@pytest.mark.parametrize("format", FIXED_FORMATS, ids=lambda f: f"{f.encoding}-{f.sample_rate}")
@pytest.mark.parametrize("first", [1, 2, 399])
def test_a_chunk_as_long_as_a_message_waits_behind_what_came_before(format: AudioFormat, first: int) -> None:
    size = format.message_samples * (format.sample_width or 0)
    audio = pattern(size + first)
    framer = Framer(format)
    assert framer.push(audio[:first]) == []
    (chunk,) = framer.push(audio[first:])
    assert chunk.data == audio[:size]


def test_a_short_chunk_is_kept_without_a_copy() -> None:
    framer, piece = Framer(AudioFormat()), pattern(800)
    framer.push(piece)
    assert framer._parts[0] is piece


_MUTABLE = [
    bytearray,
    lambda data: memoryview(bytearray(data)),
    lambda data: array.array("h", data),
    lambda data: np.frombuffer(data, np.int16).copy(),
    lambda data: (ctypes.c_int16 * (len(data) // 2)).from_buffer_copy(data),
]


@pytest.mark.parametrize("make", _MUTABLE, ids=["bytearray", "memoryview", "array", "numpy", "ctypes"])
@pytest.mark.parametrize("size", [0, 2, 1598, 1600, 1602, 4000])
def test_what_the_caller_changes_later_is_not_ours(make: Any, size: int) -> None:
    audio = pattern(size)
    given_ = make(audio)
    framer = Framer(AudioFormat())
    chunks = framer.push(given_)
    view = memoryview(given_)
    if size:
        view.cast("B")[:] = bytes(size)
    tail = framer.flush()
    assert b"".join(chunk.data for chunk in [*chunks, *([tail] if tail else [])]) == audio


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f"{f.encoding}-{f.sample_rate}")
@pytest.mark.parametrize(
    "nothing", [b"", bytearray(), memoryview(b""), array.array("B")], ids=lambda n: type(n).__name__
)
def test_nothing_is_nothing(format: AudioFormat, nothing: Any) -> None:
    framer = Framer(format, 7)
    assert framer.push(nothing) == []
    assert framer.flush() is None
    assert framer.position == 7


def test_views_that_skip_samples_are_read_as_they_say() -> None:
    left: Any = np.arange(4000, dtype=np.int16)[::2]
    framer = Framer(AudioFormat())
    (chunk, second) = framer.push(left[:1600])
    assert chunk.data + second.data == left[:1600].tobytes()


# --- packets ---


@given(st.sampled_from(PACKETS), st.lists(st.binary(max_size=60), max_size=20))
def test_packets_pass_through_whole(encoding: Encoding, packets: list[bytes]) -> None:
    framer = Framer(AudioFormat(encoding=encoding, sample_rate=48000))
    position = 0
    for packet in packets:
        for chunk in framer.push(packet):
            assert chunk.data is packet
            assert chunk.start == position <= chunk.end
            position = chunk.end
        assert framer.position == position
    assert framer.flush() is None


@pytest.mark.parametrize("encoding", PACKETS)
def test_a_packet_in_a_mutable_buffer_is_copied(encoding: Encoding) -> None:
    packet = bytearray(b"OggS1234")
    (chunk,) = Framer(AudioFormat(encoding=encoding)).push(packet)
    packet[:] = bytes(8)
    assert chunk.data == b"OggS1234"


@pytest.mark.parametrize("encoding", PACKETS)
def test_packets_and_pages_of_any_size_pass_and_a_whole_file_does_not(encoding: Encoding) -> None:
    framer = Framer(AudioFormat(encoding=encoding))
    for size in (MAX_MESSAGE_BYTES + 1, 65_307, MAX_PACKET_BYTES):
        (chunk,) = framer.push(bytes(size))
        assert len(chunk.data) == size
    position = framer.position
    with pytest.raises(LocalProtocolError, match=r"1048577 bytes: send one packet"):
        framer.push(bytes(MAX_PACKET_BYTES + 1))
    assert framer.position == position


# RFC 6716, table 2: the frame of each configuration number, in 48 kHz samples.
_FRAMES = [*[480, 960, 1920, 2880] * 3, *[480, 960] * 2, *[120, 240, 480, 960] * 4]


@pytest.mark.parametrize("config", range(32))
@pytest.mark.parametrize("stereo", [0, 4])
def test_the_length_of_an_opus_packet(config: int, stereo: int) -> None:
    toc = config << 3 | stereo
    frame = _FRAMES[config]
    assert opus_packet_samples(bytes([toc, 1, 2])) == frame
    assert opus_packet_samples(bytes([toc | 1, 1, 2])) == 2 * frame
    assert opus_packet_samples(bytes([toc | 2, 1, 2])) == 2 * frame
    for count in (1, 3, 48):
        for flags in (0, 0x40, 0x80, 0xC0):  # padding and variable length say nothing of the count
            assert opus_packet_samples(bytes([toc | 3, flags | count])) == count * frame


def test_opus_packets_of_browsers_and_phones() -> None:
    assert opus_packet_samples(b"\xfc\xff\xfe") == 960  # CELT, 20 ms, one stereo frame: an encoder's silence
    assert opus_packet_samples(b"\x78abc") == 960  # hybrid, 20 ms
    assert opus_packet_samples(b"\x08abc") == 960  # SILK narrowband, 20 ms
    assert opus_packet_samples(b"") == 0
    assert opus_packet_samples(b"\x03") == 0  # the count of its frames is missing
    assert opus_packet_samples(b"\x03\x00") == 0


@given(st.binary(max_size=4))
def test_any_bytes_have_a_length_as_opus(packet: bytes) -> None:
    assert 0 <= opus_packet_samples(packet) <= 63 * 2880


def ogg_page(granule: int, *segments: int, body: bytes | None = None) -> bytes:
    head = b"OggS\0\0" + granule.to_bytes(8, "little", signed=True) + b"serl" + bytes(8)
    return head + bytes([len(segments), *segments]) + (bytes(sum(segments)) if body is None else body)


def test_the_end_of_ogg_pages() -> None:
    assert ogg_page_end(ogg_page(960, 20)) == 960
    assert ogg_page_end(ogg_page(960, 20) + ogg_page(48000, 255, 255, 3) + ogg_page(96000, 1)) == 96000
    assert ogg_page_end(ogg_page(0, 19) + ogg_page(0, 60)) == 0  # the two pages of headers
    assert ogg_page_end(ogg_page(960, 9) + ogg_page(-1, 255)) == 960  # no packet ends on the second
    assert ogg_page_end(ogg_page(960, 9, body=b"OggS" + bytes(5))) == 960  # the mark inside a body is none
    assert ogg_page_end(ogg_page(960, 100)[:50]) == 960  # cut short: the rest comes in a chunk without a position
    assert ogg_page_end(b"") == ogg_page_end(b"OggS") == ogg_page_end(ogg_page(960)[:26]) == 0
    assert ogg_page_end(b"RIFF" + ogg_page(960)) == 0


@given(st.lists(st.builds(ogg_page, st.integers(-1, 2**62), st.integers(0, 255)), max_size=4), st.binary())
def test_any_bytes_have_an_end_as_ogg(pages: list[bytes], rest: bytes) -> None:
    assert ogg_page_end(b"".join(pages)) <= ogg_page_end(b"".join(pages) + rest)


def test_ogg_time_never_goes_back() -> None:
    framer = Framer(AudioFormat(encoding="ogg_opus", sample_rate=48000))
    pages = [ogg_page(960, 1), ogg_page(480, 1), b"no page", ogg_page(1920, 1)]
    assert [(c.start, c.end) for page in pages for c in framer.push(page)] == [
        (0, 960),
        (960, 960),
        (960, 960),
        (960, 1920),
    ]
