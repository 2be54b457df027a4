"""A sender, the application that gives it audio in order, and what came out."""

from __future__ import annotations

from collections import deque
from typing import Any

from smallest_proto.audio import AudioFormat, Encoding
from smallest_proto.commands import SendBinary, SendText
from smallest_proto.link import Link, LinkInput
from smallest_proto.requests import Request
from smallest_proto.server.recogniser import coded_speech
from smallest_proto.transcription.cursor import Cursor
from smallest_proto.transcription.events import AudioLost, LossReason
from smallest_proto.transcription.sending import Sender
from smallest_proto.transcription.timeline import Timeline

RATE = 16000
SPEECH = coded_speech([1, 2, 3, 0.8, 4, 5, 6, 0.9, 7, 8, 1.0])  # as most calls here hear it
MESSAGE = RATE // 20
PATTERN = b"".join(at.to_bytes(2, "little") for at in range(65536))
REQUEST = Request(method="GET", url="wss://service")


def pcm(start: int, end: int) -> bytes:
    """Samples that say which ones they are: nearly all of them are loud."""
    return (PATTERN * (end // 65536 + 1))[2 * start : 2 * end]


def joined(sent: list[bytes | str]) -> bytes:
    assert all(isinstance(part, bytes) for part in sent)
    return b"".join(part for part in sent if isinstance(part, bytes))


def open_link(number: int, now: float = 0.0) -> Link:
    link = Link(number, REQUEST, now)
    link.take(LinkInput.OPENED)
    return link


class Way:
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

    def give(self, samples: int) -> None:
        self.sender.push(pcm(self.given, self.given + samples))
        self.given += samples

    def give_silence(self, samples: int) -> None:
        self.sender.push(bytes(2 * samples))
        self.given += samples

    def link(self, now: float = 0.0) -> Cursor:
        """A new link, open, that serves; the ones before hear no more."""
        for cursor in tuple(self.sender.cursors):
            self.sender.leave(cursor.link)
        return self.beside(now)

    def beside(self, now: float = 0.0) -> Cursor:
        """A new link that is sent the same as the one that serves."""
        self.links += 1
        cursor = self.sender.begin(open_link(self.links, now), now)
        self.sender.cursors.append(cursor)
        return cursor

    def final_to(self, position: int) -> None:
        """Everything said before ``position`` is final."""
        self.timeline.watermark = position
        self.sender.trim()

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

    def send_all(self, cursor: Cursor, now: float = 0.0) -> list[bytes | str]:
        """Let all go out that waits; return it."""
        while (wake := self.sender.pump(cursor, now)) is not None:
            now = wake
        return self.sent()
