"""Transcripts on their way up: the service's messages become events in stream time, and move the watermark."""

from __future__ import annotations

from collections import deque

from .commands import Command
from .config import TranscriptionConfig
from .events import Event, FinalTranscript, InterimTranscript, SpeechEnded, SpeechStarted
from .link import Link
from .messages import SpeechOffset, SpeechOnset, Transcription, Word
from .timeline import Timeline
from .turns import TurnAction, TurnInput, Turns, says_something


class Hearing:
    """The incoming half of one stream."""

    def __init__(self, config: TranscriptionConfig, output: deque[Command | Event]) -> None:
        self._show_words = config.word_timestamps
        self._output = output
        self._turns = Turns(bool(config.vad_events))
        self._interim: InterimTranscript | None = None  # said, and not final yet
        self.timeline = Timeline(config.audio_format)

    def voice_activity(self, link: Link, message: SpeechOnset | SpeechOffset) -> None:
        """Take a message of the service's voice activity detector."""
        timeline = self.timeline
        if message.timestamp is None:  # then it is about now
            time = timeline.seconds(link.sent)
        else:
            time = timeline.time(link.start, message.timestamp, link.sent)
        if type(message) is SpeechOnset:
            if self._turns.onset(time) is TurnAction.START:
                self._output.append(SpeechStarted(time=time, inferred=False))
        elif self._turns.offset(time) is TurnAction.END:
            self._output.append(SpeechEnded(time=time))

    def transcription(self, link: Link, message: Transcription) -> None:
        """Take an interim or a final."""
        timeline = self.timeline
        start, end = timeline.seconds(timeline.watermark), timeline.seconds(link.sent)
        if not message.is_final:
            self._heard_interim(message, start, end)
            return
        words = timeline.words(message.words, link.start, link.sent) if message.words else ()
        timed = False
        if words and (first := words[0].start) is not None and (last := words[-1].end) is not None:
            start, end, timed = first, last, True
        self._interim = None
        if says_something(message.text):
            action = self._turns.transcript(message, start, end)
            if action is TurnAction.START or action is TurnAction.START_AND_END:
                self._output.append(SpeechStarted(time=start if timed else end, inferred=True))
            self._final(link, message, words, start, end)
        else:
            action = self._turns.empty(message)
            if message.from_finalize or message.is_last:
                self._final(link, message, words, start, end)
        if action is TurnAction.END or action is TurnAction.START_AND_END:
            self._output.append(SpeechEnded(time=end))
        if timed:
            timeline.advance(timeline.position(end))
        if message.from_finalize and link.asked:  # all that was sent before the question is answered
            timeline.advance(link.asked.popleft())

    def end(self, link_sent: int) -> None:
        """The stream is over: what was said and never made final is told as it stands, an open turn ends."""
        if (interim := self._interim) is not None:
            self._interim = None
            self._output.append(
                FinalTranscript(
                    text=interim.text,
                    start=interim.start,
                    end=interim.end,
                    session_id=interim.session_id,
                    provisional=True,
                )
            )
        if self._turns.take(TurnInput.END) is TurnAction.END:
            self._output.append(SpeechEnded(time=self.timeline.seconds(link_sent)))

    def _heard_interim(self, message: Transcription, start: float, end: float) -> None:
        if not says_something(message.text):
            return
        if self._turns.transcript(message, start, end) is TurnAction.START:
            self._output.append(SpeechStarted(time=end, inferred=True))
        self._interim = InterimTranscript(text=message.text, start=start, end=end, session_id=message.session_id)
        self._output.append(self._interim)

    def _final(self, link: Link, message: Transcription, words: tuple[Word, ...], start: float, end: float) -> None:
        self._output.append(
            FinalTranscript(
                text=message.text,
                start=start,
                end=end,
                words=words if self._show_words else (),
                utterances=self.timeline.utterances(message.utterances, link.start, link.sent)
                if message.utterances
                else (),
                language=message.language,
                languages=message.languages,
                redacted_entities=message.redacted_entities,
                full_transcript=message.full_transcript,
                session_id=message.session_id,
                from_finalize=message.from_finalize,
                is_last=message.is_last,
            )
        )
