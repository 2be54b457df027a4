"""A speech over a socket, told again: which text went out when, which audio came in when, when it would be heard."""

from __future__ import annotations

from typing import Any

import msgspec

from smallest_proto.audio import AudioFormat
from smallest_proto.commands import SendPing, SendText
from smallest_proto.config import SynthesisConfig
from smallest_proto.events import EndReason, SessionEnded
from smallest_proto.synthesis.events import AudioChunk, SegmentDone, SpokenSoFar, WordSpoken

from .model import Piece, Said, Segment, Spoken
from .recording import Recording
from .tracks import Levels, Track

_ENCODINGS: dict[str, Any] = {"pcm": "linear16", "ulaw": "mulaw", "alaw": "alaw"}


class _Speech:
    """One segment, while it is watched."""

    def __init__(self, number: int, at: float, format: AudioFormat | None) -> None:
        self.value = Segment(number=number, given=at)
        self.levels, self.heard = Levels(), Track()
        if format is not None:
            self.levels.hears(format)
        self.words: list[Spoken] = []
        self.links: set[int] = set()  # that were sent text of it

    def change(self, **fields: Any) -> None:
        self.value = msgspec.structs.replace(self.value, **fields)


class Speaking(Recording):
    """Records one ``SynthesisSession``."""

    def __init__(self, session: Any, name: str, config: SynthesisConfig, *, private: bool) -> None:
        super().__init__(session, name, config, private=private)
        self._format: AudioFormat | None = None
        encoding = _ENCODINGS.get(config.output_format)
        if encoding is not None and config.sample_rate is not None:
            self._format = AudioFormat(encoding=encoding, sample_rate=config.sample_rate)
        self._pieces: list[Piece] = []
        self._flushes: list[float] = []
        self._cancels: list[float] = []
        self._segments: dict[int, _Speech] = {}
        self._writes = 0  # the segment that text is for
        self._says = 0  # the segment whose text is sent
        self._played = 0.0  # when all audio so far has been heard, if each piece is played at once
        self._hears: int | None = None
        self._idle = True  # nothing was being said before what it is told now

    def told(self, name: str, args: tuple[Any, ...], now: float) -> float:
        at = super().told(name, args, now)
        self._hears = args[0] if name == "message_received" else None
        self._idle = self.session.idle
        return at

    def output(self, output: Any, at: float) -> None:
        super().output(output, at)
        match output:
            case SendText(link=number, text=text):
                self._sent(number, text, at)
            case SendPing(link=number):
                self._link(number).sign(at, "ping")
            case AudioChunk():
                self._audio(output, at)
            case WordSpoken(segment=number):
                text = (output.written or output.text) if self._private else ""
                self._speech(number, at).words.append(Spoken(text=text, start=output.start, end=output.end))
            case SegmentDone(segment=number, seconds=seconds):
                self._speech(number, at).change(over=at, seconds=seconds, whole=True)
                self._says = max(self._says, number + 1)
            case SpokenSoFar(segment=number):
                self._cut(output, at)
                self._says = max(self._says, number + 1)
            case SessionEnded(reason=EndReason.ABORTED) if self._idle:
                self._ending = "completed"  # a client closes what it need not keep for the next one

    def _sent(self, number: int, text: str, at: float) -> None:
        """Text, or what else a client says of it."""
        link = self._link(number)
        if '"cancel"' in text:
            link.sign(at, "cancel")
            return
        speech = self._segments.get(self._says)
        if speech is None:
            link.sign(at, "text")
            return
        again = any(other != number for other in speech.links)
        speech.links.add(number)
        link.sign(at, "text again" if again else "text")

    def _audio(self, chunk: AudioChunk, at: float) -> None:
        speech = self._speech(chunk.segment, at)
        seconds = 0.0 if chunk.samples is None or self._format is None else self._format.seconds(chunk.samples)
        if speech.value.first is None:
            speech.change(first=at)
        begins, before = max(self._played, at), speech.value.seconds
        self._played = begins + seconds
        speech.heard.add(begins, before)
        speech.heard.add(self._played, before + seconds)
        speech.change(seconds=before + seconds)
        speech.levels.add(chunk.data, seconds)
        if self._hears is not None:
            link = self._link(self._hears)
            link.sign(at, "audio")
            link.heard.add(at, (link.heard.last[1] if link.heard else 0.0) + seconds)

    def _cut(self, told: SpokenSoFar, at: float) -> None:
        shown = self._private
        self._speech(told.segment, at).change(
            over=at,
            seconds=told.seconds,
            spoken=told.spoken if shown else "",
            unspoken=told.unspoken if shown else "",
            cut=told.failure.reason if told.failure is not None else "cancelled by the application",
        )

    def _speech(self, number: int, at: float) -> _Speech:
        if number not in self._segments:
            self._segments[number] = _Speech(number, at, self._format)
        return self._segments[number]

    def settle(self, name: str, args: tuple[Any, ...], at: float) -> None:
        super().settle(name, args, at)
        if name == "send_text" and args[0]:
            self._writes = max(0, self.session.stats.segments - 1)
            self._speech(self._writes, at)
            self._pieces.append(Piece(at=at, text=args[0] if self._private else "", segment=self._writes))
        elif name == "flush":
            self._flushes.append(at)
        elif name == "cancel" and not self._idle:
            self._cancels.append(at)
            self._played = min(self._played, at)  # whoever cancels plays no more
            for speech in self._segments.values():
                if speech.value.stopped is None and speech.heard and speech.heard.last[0] > at:
                    speech.change(stopped=at)
        elif name == "end_input":
            self.note(at, "The input ends")

    def call(self) -> Said:
        """The call so far."""
        segments = [
            msgspec.structs.replace(
                speech.value, words=tuple(speech.words), level=speech.levels.signs(), heard=speech.heard.points()
            )
            for _, speech in sorted(self._segments.items())
        ]
        return Said(
            **self.common(),
            pieces=tuple(self._pieces),
            segments=tuple(segments),
            flushes=tuple(self._flushes),
            cancels=tuple(self._cancels),
        )
