"""A receiver, with the sender and the links that it needs; what is spoken goes out at once."""

from __future__ import annotations

from collections import deque
from typing import Any

from smallest_proto.audio import AudioFormat
from smallest_proto.config import TranscriptionConfig
from smallest_proto.reading import Word
from smallest_proto.transcription.events import FinalTranscript, InterimTranscript, SpeechEnded, SpeechStarted
from smallest_proto.transcription.messages import SpeechOffset, SpeechOnset, Transcription
from smallest_proto.transcription.receiving import Receiver
from smallest_proto.transcription.sending import Sender
from smallest_proto.transcription.timeline import Timeline

from .way import open_link

RATE = 8000
VOICE = (1000).to_bytes(2, "little")
HEARD = (FinalTranscript, InterimTranscript, SpeechEnded, SpeechStarted)


def words(*spans: tuple[str, float, float]) -> tuple[Word, ...]:
    return tuple(Word(text=text, start=start, end=end) for text, start, end in spans)


class Ear:
    def __init__(self, *, origin: float = 0.0, bound: float = 600.0, **options: Any) -> None:
        config = TranscriptionConfig(sample_rate=RATE, **options)
        self.output: deque[Any] = deque()
        self.timeline = Timeline(AudioFormat(sample_rate=RATE), origin)
        self.sender = Sender(AudioFormat(sample_rate=RATE), self.timeline, 0.0, bound, self.output)
        self.receiver_config = config
        self.receiver = Receiver(config, self.timeline, self.output)
        self.links = 0
        self.new_link()

    def new_link(self, now: float = 0.0) -> None:
        """The link, if there is one, is lost; a new one serves."""
        for cursor in tuple(self.sender.cursors):
            self.sender.leave(cursor.link)
        self.links += 1
        self.cursor = self.sender.begin(open_link(self.links, now), now)
        self.sender.cursors.append(self.cursor)
        self.receiver.serve(self.cursor, self.sender)
        self.sender.pump(self.cursor, now)

    def give(self, audio: bytes, now: float) -> None:
        self.sender.push(audio)
        self.sender.flush()
        self.sender.pump(self.cursor, now)

    def speak(self, seconds: float, now: float = 0.0) -> None:
        self.give(VOICE * round(seconds * RATE), now)

    def pause(self, seconds: float, now: float = 0.0) -> None:
        self.give(bytes(2 * round(seconds * RATE)), now)

    def finalize(self, now: float = 0.0) -> None:
        self.sender.finalize()
        self.sender.pump(self.cursor, now)

    def hear(self, text: str = "", now: float = 0.0, **fields: Any) -> None:
        self.take(Transcription(text=text, **fields), now)

    def take(self, message: Transcription, now: float = 0.0) -> None:
        """The service says this message."""
        if message.is_final:
            self.receiver.final(self.cursor, message, self.sender, now)
        else:
            self.receiver.interim(self.cursor, message)
        self.sender.trim()

    def final(self, text: str = "", now: float = 0.0, **fields: Any) -> None:
        self.hear(text, now, is_final=True, **fields)

    def say(self, *spans: tuple[str, float, float], now: float = 0.0, **fields: Any) -> None:
        """A final of words with times, in seconds of the stream: what they are on the link is worked out."""
        start = self.cursor.start / RATE
        on_link = tuple((text, max(0.0, first - start), max(0.0, last - start)) for text, first, last in spans)
        self.final(" ".join(text for text, _, _ in spans), now, words=words(*on_link), **fields)

    def onset(self, timestamp: float | None = None) -> None:
        self.receiver.voice_activity(self.cursor, SpeechOnset(timestamp=timestamp))

    def offset(self, timestamp: float | None = None) -> None:
        self.receiver.voice_activity(self.cursor, SpeechOffset(timestamp=timestamp))

    def events(self) -> list[Any]:
        events = [output for output in self.output if isinstance(output, HEARD)]
        self.output.clear()
        return events

    def finals(self) -> list[FinalTranscript]:
        return [event for event in self.events() if isinstance(event, FinalTranscript)]

    def texts(self) -> list[str]:
        return [final.text for final in self.finals()]

    @property
    def watermark(self) -> float:
        return self.timeline.watermark / RATE
