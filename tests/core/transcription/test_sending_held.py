"""The outgoing half: the header of a file, and what is held for the next link and told of."""

from __future__ import annotations

import pytest

from smallest_proto.errors import LocalProtocolError
from smallest_proto.transcription.events import LossReason

from .way import MESSAGE, RATE, Way

HELD = LossReason.NOT_HELD
FULL = LossReason.BUFFER_FULL

# --- ogg_opus ---


def page(end: int, body: bytes) -> bytes:
    segments = [*[255] * (len(body) // 255), len(body) % 255]
    head = b"OggS\0\0" + end.to_bytes(8, "little", signed=True) + b"serl" + bytes(8)
    return head + bytes([len(segments), *segments]) + body


HEAD, TAGS = page(0, b"OpusHead"), page(0, b"OpusTags")
SECOND = 48000


def opus_way(**options: float) -> Way:
    way = Way(encoding="ogg_opus", interval=0.02, **options)  # type: ignore[arg-type]
    way.sender.push(HEAD)
    way.sender.push(TAGS)
    return way


def test_every_link_begins_with_the_pages_of_the_header() -> None:
    way = opus_way()
    pages = [page(second * SECOND, bytes([second])) for second in range(1, 5)]
    for audio in pages[:3]:
        way.sender.push(audio)
    assert way.send_all(way.link(), 0.0) == [HEAD, TAGS, *pages[:3]]
    way.final_to(SECOND + SECOND // 2 + 1)  # packets are not cut
    second = way.link()
    assert way.send_all(second, 10.0) == [HEAD, TAGS, *pages[1:3]]
    assert (second.start, second.sent) == (SECOND, 3 * SECOND)
    third = way.link()
    way.sender.push(pages[3])
    assert way.send_all(third, 20.0) == [HEAD, TAGS, *pages[1:]]


def test_a_header_that_comes_page_by_page_is_whole_on_the_next_link() -> None:
    way = Way(encoding="ogg_opus", interval=0.02)
    first = way.link(0.0)
    audio = page(SECOND, b"a")
    for data, samples in ((HEAD, 0), (TAGS, 0), (audio, SECOND)):
        assert way.sender.push(data) == samples
        assert way.send_all(first, 0.0) == [data]
    assert way.send_all(way.link(2.0), 2.0) == [HEAD, TAGS, audio]


def test_a_header_without_an_end_is_refused() -> None:
    way = opus_way()
    pages = [page(0, bytes([number]) * 8000) for number in range(8)]
    pages.append(page(0, bytes(64 * 1024 - sum(map(len, [HEAD, TAGS, *pages])) - 31)))
    assert sum(map(len, [HEAD, TAGS, *pages])) == 64 * 1024, "as much as it may have"
    for data in pages:
        way.sender.push(data)
    with pytest.raises(LocalProtocolError, match="ogg_opus"):
        way.sender.push(page(0, b""))
    assert way.send_all(way.link(), 0.0) == [HEAD, TAGS, *pages]


def test_packets_keep_the_pace_of_what_they_last() -> None:
    way = opus_way()
    for end in (SECOND // 50, SECOND // 50 + SECOND, SECOND // 25 + SECOND):
        way.sender.push(page(end, b"a"))
    link = way.link(0.0)
    times, now = [], 0.0
    while (wake := way.sender.pump(link, now)) is not None:
        times.append(round(wake, 6))
        now = wake
    assert times == [0.008, 0.408]  # 50 ms of audio in 20 ms: 20 ms in 8, a second in 400


def test_the_header_goes_out_whole_in_a_long_call() -> None:
    way = opus_way(bound=5.0)
    first = way.link()
    for second in range(1, 21):
        way.sender.push(page(second * SECOND, bytes([second])))
        way.send_all(first, second * 1.0)
        way.final_to(second * SECOND)
    second_link = way.link(21.0)
    late = page(21 * SECOND, b"x")
    way.sender.push(late)
    assert way.sender.waiting == 2.0  # and the page before, as the margin lies in it
    assert way.send_all(second_link, 21.02) == [HEAD, TAGS, page(20 * SECOND, bytes([20])), late]
    assert way.lost() == []


# --- bound ---


def test_what_waits_is_told_in_seconds() -> None:
    way = Way(bound=1.0)
    way.give(RATE // 2)
    assert way.sender.waiting == 0.5
    way.sender.pump(way.link(), 0.0)
    assert way.sender.waiting == 0.0  # the pace of this sender is no pace
    way.give(RATE // 2 + 2 * MESSAGE)
    assert way.sender.waiting == pytest.approx(0.6)
    way.send_all(way.beside())
    assert way.sender.waiting == pytest.approx(0.6), "for the link that serves"


def test_what_was_sent_and_is_not_known_to_be_heard_is_told_without_the_silence_in_it() -> None:
    way = Way(bound=10.0)
    link = way.link()
    told = []
    for seconds in (1, 1):
        way.give(seconds * RATE)
        told.append(way.sender.unheard)
        way.sender.pump(link, 0.0)
        told.append(way.sender.unheard)
    assert told == [0.0, 1.0, 1.0, 2.0]
    way.final_to(RATE // 2)
    assert way.sender.unheard == 1.5
    way.sender.push(bytes(2 * RATE), measure=True)
    way.sender.pump(link, 0.0)
    assert way.sender.unheard == 1.5
    assert way.sender.unfinalised == 2.5
    way.give(20 * RATE)
    way.sender.pump(link, 0.0)
    assert way.sender.unheard == 10.0, "no more than is held"


def test_silence_that_was_not_measured_counts_as_sound() -> None:
    way = Way()
    link = way.link()
    way.give_silence(10 * MESSAGE)
    way.sender.push(bytes(2 * 2 * MESSAGE), measure=True)
    way.sender.pump(link, 0.0)
    assert way.sender.unheard == 0.5


def test_what_can_still_become_words_is_told_in_seconds() -> None:
    way = Way(bound=3.0)
    way.give(2 * RATE)
    assert (way.sender.waiting, way.sender.unfinalised) == (2.0, 2.0)
    way.sender.pump(way.link(), 0.0)
    way.final_to(RATE)
    assert (way.sender.waiting, way.sender.unfinalised) == (0.0, 1.0)
    # What sounds less than 0.15 s after the watermark is the end of the last final word.
    assert way.sender.unheard_since == pytest.approx(1.0 - 0.15)
    way.sender.push(bytes(2 * RATE), measure=True)
    assert way.sender.unheard_since == pytest.approx(2.0 - 0.15)
    way.final_to(RATE * 7 // 4)
    assert way.sender.unheard_since == pytest.approx(1.1)
    way.final_to(2 * RATE)
    assert (way.sender.unheard_since, way.sender.unfinalised) == (0.0, 1.0), "the rest is silence"
    way.give(3 * RATE)
    assert way.sender.unfinalised == 3.0, "no more than is held"
    way.final_to(way.sender.given + RATE)
    assert (way.sender.unfinalised, way.sender.unheard) == (0.0, 0.0)


def test_a_page_longer_than_the_bound_is_not_lost() -> None:
    way = opus_way(bound=1.0)
    long = page(5 * SECOND, b"long")
    way.sender.push(long)
    assert way.send_all(way.link(), 0.0) == [HEAD, TAGS, long]
    assert way.lost() == []
