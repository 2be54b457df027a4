"""A session that is told message by message what a real recogniser says: what moves the watermark, and what is new."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smallest_proto.commands import OpenLink
from smallest_proto.errors import Failure, FailureKind
from smallest_proto.transcription.events import FinalTranscript

from .way import RATE


class Told:
    """A session that is told what a service says, without one."""

    def __init__(self, calls: Any, **options: Any) -> None:
        self.session = calls.make(**options).session
        self.session.start(0.0)
        self.session.link_opened(1, 0.0)
        self.link, self.now = 1, 0.0
        self.drain()

    def drain(self) -> list[Any]:
        out = []
        while (output := self.session.poll_output()) is not None:
            out.append(output)
        return out

    def pump(self, until: float) -> None:
        while (when := self.session.get_timer()) is not None and when <= until:
            self.session.handle_timer(when)
            self.session.write_done(self.link, when)
        self.now = until

    def final(self, text: str, *spans: tuple[str, float, float], **more: Any) -> None:
        words = [{"word": word, "start": start, "end": end} for word, start, end in spans]
        message = {"type": "transcription", "transcript": text, "is_final": True, "words": words, **more}
        self.session.message_received(self.link, json.dumps(message), self.now)

    def new_link(self) -> None:
        lost = Failure(kind=FailureKind.DISCONNECTED, reason="lost")
        self.session.link_failed(self.link, lost, self.now)
        when = self.session.get_timer()
        self.session.handle_timer(when)
        (opened,) = [output.link for output in self.drain() if isinstance(output, OpenLink)]
        self.link, self.now = opened, when
        self.session.link_opened(opened, when)


def test_an_answer_of_repeated_words_does_not_move_the_watermark(calls: Any) -> None:
    told = Told(calls)
    told.session.send_audio(b"\xe8\x03" * 2 * RATE, 0.0)
    told.pump(1.0)
    told.final("hello world")  # no times: nothing is known to be final
    told.new_link()
    told.session.finalize(told.now)
    told.session.send_audio(b"\xe8\x03" * 3 * RATE, told.now)
    told.pump(told.now + 2.5)
    told.final("hello world", ("hello", 0.2, 0.5), ("world", 0.6, 0.9), from_finalize=True)
    assert told.session.stats.seconds_finalised <= 0.9
    answers = [output for output in told.drain() if isinstance(output, FinalTranscript) and output.from_finalize]
    assert [answer.text for answer in answers] == [""]
    told.new_link()
    assert told.session.stats.seconds_lost == 0.0


def test_with_opus_the_tail_of_a_word_does_not_move_the_watermark(calls: Any) -> None:
    told = Told(calls, encoding="opus")
    packet = bytes([3 << 3]) + bytes(50)  # SILK, 60 ms
    for _ in range(20):
        told.session.send_audio(packet, 0.0)
    told.pump(1.0)
    told.final("hello", ("hello", 0.2, 0.64))
    told.new_link()
    told.session.finalize(told.now)
    for _ in range(50):
        told.session.send_audio(packet, told.now)
    told.pump(told.now + 2.0)
    told.final("o", ("o", 0.3, 0.44), from_finalize=True)
    assert told.session.stats.seconds_finalised == pytest.approx(0.64)
    assert "o" not in [output.text for output in told.drain() if isinstance(output, FinalTranscript)]


def page(end: int, *, first: bool = False) -> bytes:
    body = b"x" * 20
    head = b"OggS\0" + (b"\x02" if first else b"\0") + end.to_bytes(8, "little") + bytes(12)
    return head + bytes([1, len(body)]) + body


@pytest.mark.parametrize("drift", [0.0, 0.1, 0.2])
def test_with_pages_of_ogg_a_word_heard_later_is_no_new_one(calls: Any, drift: float) -> None:
    told = Told(calls, encoding="ogg_opus", sample_rate=48000)
    told.session.send_audio(page(0, first=True), 0.0)
    for second in range(1, 4):
        told.session.send_audio(page(48000 * second), float(second))
        told.pump(second + 0.9)
    told.final("w1 w2", ("w1", 0.1, 0.4), ("w2", 1.2, 1.5))
    told.drain()
    told.new_link()  # from 1.0 s on
    told.pump(told.now + 2.0)
    told.final("w2 w3", ("w2", 0.2 + drift, 0.5 + drift), ("w3", 0.8, 1.1))
    (final,) = [output for output in told.drain() if isinstance(output, FinalTranscript)]
    assert [(word.text, word.start) for word in final.words] == [("w3", pytest.approx(1.8))]
