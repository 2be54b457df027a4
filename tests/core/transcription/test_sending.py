"""The outgoing half: pace, places in the stream, the start of a link, and what is counted."""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.audio import AudioFormat, Encoding
from smallest_proto.commands import SendBinary, SendText
from smallest_proto.errors import LocalProtocolError
from smallest_proto.link import Link, LinkInput
from smallest_proto.transcription.events import Usage
from smallest_proto.transcription.messages import FINALIZE
from smallest_proto.transcription.sending import Ask, Sender
from smallest_proto.transcription.timeline import Timeline

RATE = 16000
MESSAGE = RATE // 20
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


def joined(sent: list[bytes | str]) -> bytes:
    assert all(isinstance(part, bytes) for part in sent)
    return b"".join(part for part in sent if isinstance(part, bytes))


# --- pace ---


def test_messages_go_out_whole_and_no_closer_than_the_interval() -> None:
    way = Way(interval=0.02)
    link = way.link(1.0)
    way.give(MESSAGE * 3 + 100)
    assert way.sender.pump(link, 1.0) == 1.02
    assert way.sent() == [pcm(0, MESSAGE)]
    assert way.sender.pump(link, 1.0199) == 1.02
    assert way.sent() == []
    assert way.sender.pump(link, 1.02) == 1.04
    assert way.sender.pump(link, 1.05) is None  # nothing is left
    assert way.sent() == [pcm(MESSAGE, 2 * MESSAGE), pcm(2 * MESSAGE, 3 * MESSAGE)]
    way.sender.flush()
    assert way.sender.pump(link, 1.06) == 1.07
    assert way.sender.pump(link, 1.07) is None
    assert way.sent() == [pcm(3 * MESSAGE, 3 * MESSAGE + 100)]


def test_without_an_interval_all_goes_out_at_once() -> None:
    way = Way(interval=0.0)
    link = way.link()
    way.give(MESSAGE * 40)
    assert way.sender.pump(link, 0.0) is None
    assert len(way.sent()) == 40


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("give"), st.integers(1, 5 * MESSAGE)),
        st.tuples(st.just("wait"), st.integers(0, 200)),  # milliseconds
        st.tuples(st.just("finalize"), st.just(0)),
        st.tuples(st.just("flush"), st.just(0)),
    ),
    max_size=15,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from([0.0, 0.02, 0.1]))
def test_the_stream_goes_out_in_order_at_its_pace_with_each_finalize_in_its_place(
    steps: list[tuple[str, int]], interval: float
) -> None:
    way = Way(interval=interval)
    link = way.link()
    now, at, asked = 0.0, 0, list[int]()
    wake = way.sender.pump(link, now)
    times: list[float] = []

    def look() -> None:
        nonlocal at
        for output in way.said():
            if isinstance(output, SendBinary):
                assert output.data == pcm(at, at + len(output.data) // 2)
                at += len(output.data) // 2
                times.append(now)
            elif isinstance(output, SendText):
                assert at == asked[len(way.sender.asked(link)) - 1]

    def pass_time(end: float) -> None:
        nonlocal now, wake
        while wake is not None and wake <= end:
            now = wake
            wake = way.sender.pump(link, now)
            look()
        now = end

    for kind, value in [*steps, ("flush", 0), ("wait", 100_000)]:
        if kind == "give":
            way.give(value)
        elif kind == "finalize":
            if len(asked) == len(way.sender.asked(link)) or asked[-1] < way.given:  # else it waits already
                asked.append(way.given)
            way.sender.finalize()
        elif kind == "flush":
            way.sender.flush()
        else:
            pass_time(now + value / 1000)
        before = len(way.sender.asked(link))
        wake = way.sender.pump(link, now)
        asks = list(way.sender.asked(link))[before:]
        assert [ask.position for ask in asks] == asked[before : len(way.sender.asked(link))]
        look()
    assert at == way.given
    assert list(way.sender.asked(link)) == [Ask(position, probe=False) for position in asked]
    assert all(later - earlier >= interval * 0.999999 for earlier, later in itertools.pairwise(times))


# --- finalize ---


def test_a_finalize_goes_out_between_the_samples_where_it_was_asked() -> None:
    way = Way()
    way.give(MESSAGE + 7)
    way.sender.finalize()
    way.give(MESSAGE)
    way.sender.finalize()
    way.sender.finalize()  # one answer does for both
    link = way.link()
    way.sender.pump(link, 0.0)
    end = 2 * MESSAGE + 7
    parts = [pcm(0, MESSAGE), pcm(MESSAGE, MESSAGE + 7), pcm(MESSAGE + 7, end)]
    assert way.sent() == [*parts[:2], FINALIZE, parts[2], FINALIZE]
    assert list(way.sender.asked(link)) == [Ask(MESSAGE + 7, probe=False), Ask(end, probe=False)]
    way.sender.finalize()  # once more, after the other was sent
    way.sender.pump(link, 0.0)
    assert way.sent() == [FINALIZE]


def test_a_finalize_before_any_audio() -> None:
    way = Way()
    way.sender.finalize()
    way.give(MESSAGE)
    way.sender.pump(way.link(), 0.0)
    assert way.sent() == [FINALIZE, pcm(0, MESSAGE)]


def test_a_finalize_that_was_not_answered_is_said_again_at_the_same_sample() -> None:
    way = Way()
    first = way.link()
    way.give(MESSAGE)
    way.sender.finalize()
    way.give(MESSAGE)
    way.sender.finalize()
    way.sender.pump(first, 0.0)
    way.sender.probe(first)
    way.sender.finalize()  # not sent before the link died
    sent = way.sent()
    assert sent == [pcm(0, MESSAGE), FINALIZE, pcm(MESSAGE, 2 * MESSAGE), FINALIZE, FINALIZE]
    way.timeline.watermark = 100
    second = way.link()
    way.sender.pump(second, 1.0)
    assert way.sent() == [pcm(100, MESSAGE), FINALIZE, pcm(MESSAGE, 2 * MESSAGE), FINALIZE]  # one answer does for both
    assert [ask.position for ask in way.sender.asked(second)] == [MESSAGE, 2 * MESSAGE]
    assert not any(ask.probe for ask in way.sender.asked(second))  # the probe was ours, and of the other link


@pytest.mark.parametrize("beyond", [0, 10])
def test_a_finalize_at_or_before_the_watermark_is_said_first(beyond: int) -> None:
    way = Way()
    first = way.link()
    way.give(MESSAGE)
    way.sender.finalize()
    way.give(MESSAGE)
    way.sender.pump(first, 0.0)
    way.timeline.watermark = MESSAGE + beyond
    way.said()
    way.sender.pump(way.link(), 1.0)
    assert way.sent() == [FINALIZE, pcm(MESSAGE + beyond, 2 * MESSAGE)]


def test_a_probe_asks_for_what_was_sent() -> None:
    way = Way(interval=0.02)
    link = way.link()
    way.give(3 * MESSAGE)
    way.sender.pump(link, 0.0)
    way.said()
    way.sender.probe(link)
    assert way.sent() == [FINALIZE]
    assert list(way.sender.asked(link)) == [Ask(MESSAGE, probe=True)]


# --- the start of a link ---


@given(watermark=st.integers(0, 4 * MESSAGE), sent=st.integers(0, 4))
def test_a_new_link_starts_at_the_watermark_to_the_sample(watermark: int, sent: int) -> None:
    way = Way(interval=0.02)
    first = way.link()
    way.give(6 * MESSAGE)
    for number in range(sent):
        way.sender.pump(first, number * 1.0)
    way.timeline.watermark = min(watermark, sent * MESSAGE)
    way.sender.trim()
    assert joined(way.sent()) == pcm(0, sent * MESSAGE)
    second = way.link(9.0)
    assert second.start == second.sent == way.timeline.watermark
    while (wake := way.sender.pump(second, 10.0)) is not None:
        assert wake == 10.0 + 0.02
        second.next_message = 0.0
    assert joined(way.sent()) == pcm(way.timeline.watermark, 6 * MESSAGE)
    assert second.sent == 6 * MESSAGE
    assert way.sender.replayed == sent * MESSAGE - way.timeline.watermark


def test_a_link_before_any_audio_starts_at_the_beginning() -> None:
    way = Way()
    link = way.link()
    assert (link.start, link.sent, way.sender.pump(link, 0.0)) == (0, 0, None)


# --- counting ---


def usage(way: Way) -> list[float]:
    return [output.seconds for output in way.said() if isinstance(output, Usage)]


def test_usage_is_told_every_five_seconds_of_audio_and_at_the_end() -> None:
    way = Way(rate=8000, origin=3.0)
    link = way.link()
    way.give(5 * 8000 - 400)
    way.sender.pump(link, 0.0)
    assert usage(way) == []
    way.give(400)
    way.sender.pump(link, 0.0)
    assert usage(way) == [5.0]
    way.give(8000)
    way.sender.pump(link, 0.0)
    way.sender.report_usage()
    assert usage(way) == [1.0]
    way.sender.report_usage()
    assert usage(way) == []


def test_what_is_sent_again_is_replayed_and_not_used_again() -> None:
    way = Way()
    way.give(RATE)
    way.sender.pump(way.link(), 0.0)
    assert (way.sender.given, way.sender.sent, way.sender.replayed) == (RATE, RATE, 0)
    way.timeline.watermark = RATE // 4
    way.give(RATE // 2)
    way.sender.pump(way.link(), 1.0)
    assert (way.sender.sent, way.sender.replayed) == (RATE * 3 // 2, RATE * 3 // 4)
    way.sender.pump(way.link(), 2.0)
    assert (way.sender.sent, way.sender.replayed) == (RATE * 3 // 2, RATE * 2)
    way.sender.report_usage()
    assert sum(usage(way)) == 1.5


def test_a_tail_that_is_not_sent_counts_as_given() -> None:
    way = Way()
    way.give(100)
    assert (way.sender.given, way.sender.sent) == (100, 0)


@pytest.mark.parametrize("audio", ["text", 5, None, [1, 2]])
def test_what_is_no_audio_is_refused_and_changes_nothing(audio: Any) -> None:
    way = Way()
    way.give(100)
    with pytest.raises(LocalProtocolError, match="bytes-like"):
        way.sender.push(audio)
    assert (way.sender.given, way.said()) == (100, [])
