"""The outgoing half: what is held for the next link, the header of a file, and what is given up."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.audio import AudioFormat, Encoding
from smallest_proto.commands import SendBinary, SendText
from smallest_proto.errors import LocalProtocolError
from smallest_proto.link import Link, LinkInput
from smallest_proto.transcription.events import AudioLost, LossReason
from smallest_proto.transcription.sending import Sender
from smallest_proto.transcription.timeline import Timeline

RATE = 16000
MESSAGE = RATE // 20
HELD = LossReason.NOT_HELD
FULL = LossReason.BUFFER_FULL
PATTERN = b"".join(at.to_bytes(2, "little") for at in range(65536))


def pcm(start: int, end: int) -> bytes:
    """Samples that say which ones they are."""
    return (PATTERN * (end // 65536 + 1))[2 * start : 2 * end]


class Way:
    """A sender, the application that gives it audio in order, and what came out."""

    def __init__(
        self,
        *,
        encoding: Encoding = "linear16",
        rate: int = RATE,
        interval: float = 0.0,
        bound: float = 30.0,
        origin: float = 0.0,
    ) -> None:
        format = AudioFormat(encoding=encoding, sample_rate=rate)
        self.output: deque[Any] = deque()
        self.timeline = Timeline(format, origin)
        self.sender = Sender(format, self.timeline, interval, bound, self.output)
        self.given = 0
        self.links = 0
        self.current: Link | None = None

    def give(self, samples: int) -> None:
        self.sender.push(pcm(self.given, self.given + samples))
        self.given += samples

    def link(self, now: float = 0.0) -> Link:
        """A new link, open, that begins to serve; the one before serves no more."""
        if self.current is not None:
            self.sender.take_back(self.current)
        self.links += 1
        self.current = link = Link(self.links, now)
        link.take(LinkInput.OPENED)
        self.sender.serve(link)
        return link

    def said(self) -> list[Any]:
        said = list(self.output)
        self.output.clear()
        return said

    def sent(self) -> list[bytes | str]:
        """What was said to a link: audio as it is, ``finalize`` as text."""
        return [
            output.data if isinstance(output, SendBinary) else output.text
            for output in self.said()
            if isinstance(output, (SendBinary, SendText))
        ]

    def lost(self) -> list[tuple[float, float, LossReason]]:
        return [(lost.start, lost.end, lost.reason) for lost in self.said() if isinstance(lost, AudioLost)]


def joined(sent: list[bytes | str]) -> bytes:
    assert all(isinstance(part, bytes) for part in sent)
    return b"".join(part for part in sent if isinstance(part, bytes))


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


def send_all(way: Way, link: Link, now: float) -> list[bytes | str]:
    while (wake := way.sender.pump(link, now)) is not None:
        now = wake
    return way.sent()


def test_every_link_begins_with_the_pages_of_the_header() -> None:
    way = opus_way()
    pages = [page(second * SECOND, bytes([second])) for second in range(1, 5)]
    for audio in pages[:3]:
        way.sender.push(audio)
    assert send_all(way, way.link(), 0.0) == [HEAD, TAGS, *pages[:3]]
    way.timeline.watermark = SECOND + 1  # packets are not cut
    way.sender.trim()
    second = way.link()
    assert send_all(way, second, 10.0) == [HEAD, TAGS, *pages[1:3]]
    assert (second.start, second.sent) == (SECOND, 3 * SECOND)
    third = way.link()
    way.sender.push(pages[3])
    assert send_all(way, third, 20.0) == [HEAD, TAGS, *pages[1:]]


def test_a_header_that_comes_page_by_page_is_whole_on_the_next_link() -> None:
    way = Way(encoding="ogg_opus", interval=0.02)
    first = way.link(0.0)
    audio = page(SECOND, b"a")
    for data in (HEAD, TAGS, audio):
        way.sender.push(data)
        assert send_all(way, first, 0.0) == [data]
    assert send_all(way, way.link(2.0), 2.0) == [HEAD, TAGS, audio]


def test_a_header_without_an_end_is_refused() -> None:
    way = opus_way()
    pages = [page(0, bytes([number]) * 8000) for number in range(8)]
    for data in pages:
        way.sender.push(data)
    with pytest.raises(LocalProtocolError, match="ogg_opus"):
        way.sender.push(page(0, bytes(8000)))
    assert send_all(way, way.link(), 0.0) == [HEAD, TAGS, *pages]


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
        send_all(way, first, second * 1.0)
        way.timeline.watermark = second * SECOND
        way.sender.trim()
    second_link = way.link(21.0)
    assert way.sender.waiting == 0.0
    way.sender.pump(second_link, 21.0)
    late = page(21 * SECOND, b"x")
    way.sender.push(late)  # between the pages of the header
    assert way.sender.waiting == 1.0
    assert send_all(way, second_link, 21.02) == [HEAD, TAGS, late]
    assert way.lost() == []


# --- bound ---


def test_what_waits_is_told_in_seconds() -> None:
    way = Way(bound=1.0)
    way.give(RATE // 2)
    assert way.sender.waiting == 0.5
    way.sender.pump(way.link(), 0.0)
    assert way.sender.waiting == 0.0  # the pace of this sender is no pace


def test_crowded_when_half_of_the_bound_is_sent_and_not_known_to_be_heard() -> None:
    way = Way(bound=1.0)
    link = way.link()
    crowded = []
    for samples in (RATE // 2, MESSAGE):
        way.give(samples)
        crowded.append(way.sender.crowded)  # something waits: a probe would be too early
        way.sender.pump(link, 0.0)
        crowded.append(way.sender.crowded)
    way.timeline.watermark = MESSAGE
    assert [*crowded, way.sender.crowded] == [False, False, False, True, False]


def test_audio_that_no_link_takes_is_lost_from_its_start_and_each_sample_is_told_once() -> None:
    way = Way(bound=1.0, origin=100.0)
    way.give(RATE)
    way.sender.tell_dropped()
    assert way.said() == []
    for _ in range(21):  # it is told by the second
        way.give(MESSAGE)
    assert way.lost() == [(100.0, 101.0, FULL)]
    way.give(MESSAGE)
    assert way.lost() == []
    link = way.link()  # or when the stream goes on
    assert way.lost() == [(101.0, 101.1, FULL)]
    assert link.start == 22 * MESSAGE
    assert way.sender.lost == 22 * MESSAGE
    way.sender.pump(link, 0.0)
    assert joined(way.sent()) == pcm(22 * MESSAGE, 42 * MESSAGE)


def test_what_an_open_link_was_sent_between_two_losses_is_not_lost() -> None:
    way = Way(bound=1.0, interval=1.0)
    link = way.link()
    way.give(22 * MESSAGE)  # two too many
    way.sender.pump(link, 0.0)
    assert way.lost() == [(0.0, 0.1, FULL)]
    way.give(2 * MESSAGE)  # one too many: one was sent
    way.sender.pump(link, 1.0)
    assert way.lost() == [(0.15, 0.2, FULL)]
    assert (link.start, link.sent, link.lasting) == (0, 5 * MESSAGE, 2 * MESSAGE)


def test_what_a_healthy_link_has_heard_is_let_go_without_a_word() -> None:
    way = Way(bound=1.0)
    link = way.link()
    for _ in range(100):
        way.give(MESSAGE)
        way.sender.pump(link, 0.0)
    assert way.lost() == []
    assert way.sender.lost == 0


def test_a_new_link_that_would_have_to_start_before_what_is_held_tells_of_it() -> None:
    way = Way(bound=1.0)
    link = way.link()
    for _ in range(30):
        way.give(MESSAGE)
        way.sender.pump(link, 0.0)
    way.timeline.watermark = 4 * MESSAGE
    way.said()
    second = way.link()
    assert way.lost() == [(0.2, 0.5, HELD)]
    assert second.start == second.sent == 10 * MESSAGE
    assert way.sender.lost == 6 * MESSAGE
    way.link()
    assert way.lost() == []


def test_what_was_sent_to_a_dead_link_and_had_to_go_is_told_too() -> None:
    way = Way(bound=1.0)
    link = way.link()
    way.give(10 * MESSAGE)
    way.sender.pump(link, 0.0)
    way.timeline.watermark = 4 * MESSAGE
    way.sender.trim()
    way.said()
    way.give(22 * MESSAGE)  # 4 to 10 went first: it was heard, as far as is known
    second = way.link()  # it was not
    assert way.lost() == [(0.5, 0.6, FULL), (0.2, 0.5, HELD)]
    assert second.start == 12 * MESSAGE
    assert way.sender.lost == 8 * MESSAGE
    way.sender.lose(0, way.given, LossReason.ENDED)
    assert way.lost() == [(0.0, 0.2, LossReason.ENDED), (0.6, 1.6, LossReason.ENDED)]
    way.sender.lose(0, way.given, LossReason.ENDED)
    assert way.lost() == []
    assert way.sender.lost == way.given


LOSING = st.lists(
    st.one_of(
        st.tuples(st.just("give"), st.integers(1, 30)),
        st.tuples(st.just("send"), st.integers(1, 30)),
        st.tuples(st.just("heard"), st.integers(0, 10)),
        st.tuples(st.just("link"), st.just(0)),
    ),
    max_size=20,
)


@settings(max_examples=200, deadline=None)
@given(LOSING)
def test_every_sample_reaches_the_last_link_or_is_final_or_is_told_lost(steps: list[tuple[str, int]]) -> None:
    way = Way(bound=1.0, interval=1.0)
    link = way.link()
    now = 0.0
    lost: list[tuple[int, int]] = []  # in messages, as all of the following: nothing is cut here
    heard: list[bytes] = []  # by this link
    sent: set[int] = set()

    def look() -> None:
        for output in way.said():
            if isinstance(output, AudioLost):
                first, last = way.timeline.position(output.start), way.timeline.position(output.end)
                assert first < last
                assert all(last <= start or end <= first for start, end in lost)  # each sample once
                lost.append((first, last))
                if output.reason is FULL:  # no link was sent it, or only one that was lost
                    assert not sent.intersection(range(first, last, MESSAGE))
            elif isinstance(output, SendBinary):
                heard.append(output.data)

    def send(times: int) -> None:
        nonlocal now
        for _ in range(times):
            now += 1.0
            way.sender.pump(link, now)
            look()
            sent.add(link.sent - MESSAGE)

    for kind, value in [*steps, ("link", 0), ("send", 100)]:
        if kind == "give":
            way.give(value * MESSAGE)
        elif kind == "send":
            send(value)
        elif kind == "heard":
            mark = min(link.sent, way.timeline.watermark + value * MESSAGE)
            way.timeline.watermark = max(way.timeline.watermark, mark)
            way.sender.trim()
        else:
            link = way.link()
            heard.clear()
            sent.clear()
        look()
        assert way.sender.lost == sum(end - start for start, end in lost)
    assert b"".join(heard) == pcm(link.start, way.given)  # all that is left, from its start on
    assert not link.holes
    untold = [at for at in range(0, way.given, MESSAGE) if not any(start <= at < end for start, end in lost)]
    assert all(at < way.timeline.watermark or at >= link.start for at in untold)


def test_a_page_longer_than_the_bound_is_not_lost() -> None:
    way = opus_way(bound=1.0)
    long = page(5 * SECOND, b"long")
    way.sender.push(long)
    assert send_all(way, way.link(), 0.0) == [HEAD, TAGS, long]
    assert way.lost() == []
