"""A live transcription, told again: when which audio was given, sent, sent again, and heard."""

from __future__ import annotations

from typing import Any

import msgspec

from smallest_proto.commands import SendPing, SendText
from smallest_proto.config import TranscriptionConfig
from smallest_proto.transcription.events import (
    AudioLost,
    FinalTranscript,
    InterimTranscript,
    SpeechEnded,
    SpeechStarted,
    UpdateRejected,
)

from .model import Ask, Final, Heard, Interim, Loss, Spoken, Turn
from .recording import Recording, changed
from .tracks import Levels, Track

_SIGNS = {'"finalize"': "finalize", '"close_stream"': "close_stream", '"keepalive"': "keepalive"}


class Hearing(Recording):
    """Records one ``TranscriptionSession``."""

    def __init__(self, session: Any, name: str, config: TranscriptionConfig, *, private: bool) -> None:
        super().__init__(session, name, config, private=private)
        self._given, self._levels = Track(), Levels()
        self._levels.hears(config.audio_format)
        self._watermark: list[tuple[float, float]] = [(0.0, 0.0)]
        self._sent = 0.0  # the end of what any link was sent
        self._finals: list[Final] = []
        self._interims: list[Interim] = []
        self._turns: list[Turn] = []
        self._asks: list[Ask] = []
        self._losses: list[Loss] = []
        self._hears: int | None = None  # the link whose message is being heard
        self._moved = False  # an event or a command came of what it was told

    def told(self, name: str, args: tuple[Any, ...], now: float) -> float:
        at = super().told(name, args, now)
        self._hears = args[0] if name == "message_received" else None
        return at

    def output(self, output: Any, at: float) -> None:
        super().output(output, at)
        self._moved = True
        match output:
            case SendText(link=number, text=text):
                what = next((sign for key, sign in _SIGNS.items() if key in text), "text")
                self._link(number).sign(at, what)
            case SendPing(link=number):
                self._link(number).sign(at, "ping")
            case FinalTranscript():
                self._final(output, at)
            case InterimTranscript():
                text = output.text if self._private else ""
                self._interims.append(Interim(at=at, start=output.start, end=output.end, text=text))
            case SpeechStarted(time=time, inferred=inferred):
                self._turns.append(Turn(told=at, start=time, inferred=inferred))
            case SpeechEnded(time=time):
                if self._turns and self._turns[-1].over is None:
                    self._turns[-1] = msgspec.structs.replace(self._turns[-1], over=at, end=time)
            case AudioLost(start=start, end=end, reason=reason):
                self._losses.append(Loss(at=at, start=start, end=end, reason=reason.value))
            case UpdateRejected(failure=failure):
                self.note(at, f"The new options were refused: {failure.reason}", bad=True)

    def _final(self, final: FinalTranscript, at: float) -> None:
        words = tuple(
            Spoken(text=word.text if self._private else "", start=word.start, end=word.end)
            for word in final.words
            if word.start is not None and word.end is not None
        )
        if final.from_finalize:
            self._answered(at)
        made = Final(
            at=at,
            link=self._hears,
            start=final.start,
            end=final.end,
            text=final.text if self._private else "",
            words=words,
            count=len(final.words) or len(final.text.split()),
            latency=final.latency,
            answers=final.from_finalize,
            last=final.is_last,
            provisional=final.provisional,
        )
        self._finals.append(made)

    def _answered(self, at: float) -> None:
        for number, ask in enumerate(self._asks):
            if ask.answered is None:
                self._asks[number] = msgspec.structs.replace(ask, answered=at)
                return

    def settle(self, name: str, args: tuple[Any, ...], at: float) -> None:
        super().settle(name, args, at)
        if name == "send_audio":
            self._give(args[0], at)
        elif name == "finalize":
            self._asks.append(Ask(at=at, place=self._given.last[1]))
        elif name == "update":
            self.note(at, f"Other options: {changed(self.config, args[0])}")
            self.config = args[0]
            self._levels.hears(self.session.config.audio_format)
        elif name == "end_input":
            self.note(at, "The input ends")
        for place in self.session.places:
            link = self._link(place.link)
            if link.place is None:
                link.place = place.begins
            if place.sent > link.place:
                self._send(link, link.place, place.sent, at)
                link.place = place.sent
        if name == "message_received" or self._moved:
            self._moved = False
            watermark = self.session.stats.seconds_finalised
            if watermark > self._watermark[-1][1]:
                self._watermark += [(at, self._watermark[-1][1]), (at, watermark)]

    def _give(self, audio: Any, at: float) -> None:
        format, data = self.session.config.audio_format, bytes(memoryview(audio).cast("B"))
        before = self._given.last[1]
        if format.sample_width is None:
            given = self.session.stats.seconds_given
        else:
            given = before + format.seconds(len(data)) / format.sample_width
        if not self._given:
            self._given.add(max(0.0, at - given), 0.0)
        self._given.add(at, given)
        self._levels.add(data, given - before)

    def _send(self, link: Any, start: float, end: float, at: float) -> None:
        """What was sent before, and what was not."""
        if start < self._sent:
            link.sent(at, start, min(end, self._sent), again=True)
        if end > self._sent:
            link.sent(at, max(start, self._sent), end, again=False)
            self._sent = end

    def call(self) -> Heard:
        """The call so far."""
        stats = self.session.stats
        return Heard(
            **self.common(),
            given=self._given.points(),
            level=self._levels.signs(),
            watermark=(*self._watermark, (self._now, self._watermark[-1][1])),
            finals=tuple(self._finals),
            interims=tuple(self._interims),
            turns=tuple(self._turns),
            asks=tuple(self._asks),
            losses=tuple(self._losses),
            seconds_given=stats.seconds_given,
            seconds_again=stats.seconds_replayed,
            seconds_lost=stats.seconds_lost,
            seconds_final=stats.seconds_finalised,
        )
