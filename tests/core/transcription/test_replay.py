"""What is held for the next link, where that one begins, and which silence it is spared."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.audio import AudioFormat, Chunk, Encoding
from smallest_proto.levels import LOUD, SILENT, SOFT
from smallest_proto.transcription.replay import LEAST_MARGIN, MOST_MARGIN, ReplayBuffer

RATE = 8000
MESSAGE = RATE // 20
SECOND = 20  # messages


def message(at: int, loudness: int) -> Chunk:
    sample = loudness.to_bytes(2, "little", signed=True)
    return Chunk(at * MESSAGE, (at + 1) * MESSAGE, sample + bytes(2 * MESSAGE - 2))


def held(*loudness: int) -> ReplayBuffer:
    """One message for each of these peaks."""
    buffer = ReplayBuffer(AudioFormat(sample_rate=RATE))
    for at, loud in enumerate(loudness):
        buffer.chunks.append(message(at, loud))
    return buffer


def places(chunks: list[Chunk]) -> list[int]:
    return [chunk.start // MESSAGE for chunk in chunks]


# --- where a link begins ---


def test_before_anything_is_final_a_link_begins_at_the_beginning() -> None:
    assert held(*[900] * 60).beginning(0) == 0
    assert ReplayBuffer(AudioFormat()).beginning(0) == 0


def test_a_link_begins_at_the_quietest_message_of_the_margin() -> None:
    loudness = [900] * 100
    loudness[32] = 300  # from 1.6 s on, in the margin before 2.0 s
    loudness[35] = 0  # nearer than the least margin
    loudness[20] = 0  # farther than the most
    assert held(*loudness).beginning(2 * RATE) == 32 * MESSAGE


def test_of_equally_quiet_messages_the_latest_is_the_beginning() -> None:
    assert held(*[900] * 100).beginning(2 * RATE) == 2 * RATE - 6 * MESSAGE
    assert held(*[0] * 100).beginning(2 * RATE) == 2 * RATE - 6 * MESSAGE


def test_what_is_not_held_cannot_be_the_beginning() -> None:
    buffer = held(*[900] * 100)
    for _ in range(35):
        buffer.drop()
    assert buffer.beginning(2 * RATE) == 35 * MESSAGE
    assert buffer.start == 35 * MESSAGE


LOUDNESS = st.lists(st.sampled_from((0, 0, 40, 100, 300, 5000)), min_size=1, max_size=120)


@settings(max_examples=300)
@given(LOUDNESS, st.integers(0, 120 * MESSAGE), st.integers(0, 60))
def test_a_link_begins_in_the_margin_if_that_is_held(loudness: list[int], watermark: int, dropped: int) -> None:
    buffer = held(*loudness)
    watermark = min(watermark, len(loudness) * MESSAGE)
    for _ in range(min(dropped, len(loudness) - 1)):
        buffer.drop()
    start = buffer.beginning(watermark)
    first = buffer.start
    assert first is not None
    assert start >= first
    if watermark > 0 and first <= watermark - LEAST_MARGIN * RATE:
        assert start <= watermark - LEAST_MARGIN * RATE
        assert start > watermark - MOST_MARGIN * RATE - MESSAGE
        in_the_margin = [
            max(abs(int.from_bytes(chunk.data[:2], "little", signed=True)), 0)
            for chunk in buffer.chunks
            if watermark - MOST_MARGIN * RATE < chunk.end and chunk.start <= watermark - LEAST_MARGIN * RATE
        ]
        assert loudness[start // MESSAGE] == min(in_the_margin)
    else:
        assert start == first  # everything that is held


@settings(max_examples=300)
@given(LOUDNESS, st.integers(0, 120 * MESSAGE), st.integers(0, 60))
def test_all_from_the_beginning_on_is_sent_again_but_the_middle_of_long_silences(
    loudness: list[int], watermark: int, dropped: int
) -> None:
    loudness = [loud for loud in loudness for _ in range(4)]  # silences that are long enough
    buffer = held(*loudness)
    watermark = min(4 * watermark, len(loudness) * MESSAGE)
    for _ in range(min(dropped, len(loudness) - 1)):
        buffer.drop()
    start = buffer.beginning(watermark) // MESSAGE
    sent = places(buffer.replay(watermark))
    assert sent == sorted(set(sent))
    spared = sorted(set(range(start, len(loudness))) - set(sent))
    assert all(loudness[at] < 64 for at in spared), "only what is surely silence"
    assert all(at >= start for at in sent)
    for at in spared:  # half a pause and more is left before what sounds, whatever that is
        following = range(at, min(at + 15, len(loudness)))
        assert all(loudness[later] < 64 for later in following), "the soft start of a word is silence as well"


# --- silence ---


def test_a_pause_is_sent_again_as_it_was() -> None:
    buffer = held(*[900] * 10, *[0] * 60, *[900] * 10)
    assert places(buffer.replay(0)) == list(range(80))


def test_of_a_long_silence_only_the_ends_are_sent() -> None:
    buffer = held(*[900] * 10, *[0] * 200, *[900] * 10)
    assert places(buffer.replay(0)) == [*range(10 + 15), *range(210 - 15, 220)]


def test_of_a_long_silence_after_the_last_final_only_the_end_is_sent() -> None:
    buffer = held(*[900] * 20, *[0] * 200)
    assert places(buffer.replay(40 * MESSAGE)) == list(range(220 - 15, 220))


@pytest.mark.parametrize("loudness", [64, 255])
def test_a_soft_voice_is_no_silence(loudness: int) -> None:
    buffer = held(*[900] * 10, *[0] * 100, loudness, *[0] * 100, *[900] * 10)
    assert 110 in places(buffer.replay(0))
    buffer = held(*[loudness] * 200)
    assert places(buffer.replay(0)) == list(range(200))


def test_what_is_silent_and_what_is_loud() -> None:
    buffer = held(0, 0, 100, 900, 900, 0)
    assert [buffer.level(at) for at in range(6)] == [SILENT, SILENT, SOFT, LOUD, LOUD, SILENT]
    assert buffer.silence == 3 * MESSAGE
    assert buffer.silent(0, 2 * MESSAGE)
    assert not buffer.silent(0, 2 * MESSAGE + 1)
    assert not buffer.silent(-1, MESSAGE), "what is not held may have been anything"
    assert buffer.loud(0, 6 * MESSAGE) == (2 * MESSAGE, 4 * MESSAGE)
    assert buffer.loud(3 * MESSAGE + 100, 4 * MESSAGE + 50) == (MESSAGE - 100 + 50, 4 * MESSAGE)
    assert buffer.loud(0, 3 * MESSAGE) == (0, None)
    assert not ReplayBuffer(AudioFormat()).silent(0, 100)


# --- what is held ---


@settings(max_examples=200)
@given(st.lists(st.integers(0, 130 * MESSAGE), max_size=6), st.integers(1, 120))
def test_what_a_link_can_begin_with_is_held(marks: list[int], count: int) -> None:
    buffer = held(*[900] * count)
    for mark in sorted(marks):
        before = buffer.beginning(mark)
        first = buffer.start
        buffer.trim(mark)
        if buffer.chunks:
            assert buffer.beginning(mark) == before
        kept = [chunk.start for chunk in buffer.chunks]
        assert kept == [at * MESSAGE for at in range(count - len(kept), count)], "in order, up to the newest"
        assert first is None or not kept or kept[0] >= first
        assert all(chunk.end > mark - MOST_MARGIN * RATE - MESSAGE for chunk in buffer.chunks)
        assert [buffer.level(at) for at in range(len(kept))] == [LOUD] * len(kept)


def test_what_is_dropped_comes_with_its_level() -> None:
    buffer = held(0, 100, 900)
    assert [(chunk.start // MESSAGE, level) for chunk, level in (buffer.drop() for _ in range(3))] == [
        (0, SILENT),
        (1, SOFT),
        (2, LOUD),
    ]
    assert buffer.start is None


# --- packets ---


@pytest.mark.parametrize("encoding", ["opus", "ogg_opus"])
def test_packets_are_sent_again_whole(encoding: Encoding) -> None:
    buffer = ReplayBuffer(AudioFormat(encoding=encoding))
    for at in range(200):  # of 20 ms
        buffer.chunks.append(Chunk(960 * at, 960 * (at + 1), b"packet" + bytes([at])))
    again = buffer.replay(2 * 48000 + 100)
    assert again == list(buffer.chunks)[again[0].start // 960 :]
    assert 0.3 <= (2 * 48000 + 100 - again[0].start) / 48000 <= 0.5 + 0.02


def test_a_pause_that_an_opus_encoder_tells_of_is_silence() -> None:
    buffer = ReplayBuffer(AudioFormat(encoding="opus"))
    for at in range(1000):
        buffer.chunks.append(Chunk(960 * at, 960 * (at + 1), b"\x08" if 100 <= at < 900 else b"\x08packet"))
    again = buffer.replay(0)
    assert all(one.end == two.start or two.start - one.end > 48000 for one, two in pairwise(again))
    assert len(again) < 300


def test_the_parts_of_a_page_stay_together() -> None:
    """A page longer than a message comes in pieces; those that tell no time begin or end one that does."""
    buffer = ReplayBuffer(AudioFormat(encoding="ogg_opus"))
    for at in range(10):
        buffer.chunks.append(Chunk(48000 * at, 48000 * at, b"OggS, the head of a page that ends later"))
        buffer.chunks.append(Chunk(48000 * at, 48000 * (at + 1), b"and the rest of it"))
    assert buffer.level(0) == LOUD
    again = buffer.replay(5 * 48000)
    assert again == list(buffer.chunks)[8:]
