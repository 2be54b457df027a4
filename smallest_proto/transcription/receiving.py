"""Transcripts on their way up: the service's messages become events in stream time, and move the watermark."""

from __future__ import annotations

import math
from collections import deque

import msgspec

from smallest_proto.commands import Command
from smallest_proto.config import TranscriptionConfig
from smallest_proto.link import Link
from smallest_proto.reading import Word

from .events import Event, FinalTranscript, InterimTranscript, SpeechEnded, SpeechStarted
from .messages import SpeechOffset, SpeechOnset, Transcription
from .repetition import normalised, overlap, without_words
from .sending import Sender
from .timeline import Timeline
from .turns import TurnAction, TurnInput, Turns, TurnState, says_something

_STARTS = (TurnAction.START, TurnAction.START_AND_END)
_ENDS = (TurnAction.END, TurnAction.START_AND_END)
_WORD_BEGUN = 0.5  # seconds before a probe in which a word can have begun that the service did not know of yet
_REMEMBERED = 500  # words: more than are said in what can be held for replay
_RIGHT_NOW = 2.0  # seconds: no longer ago is a pause that may still last


class Hearing:
    """The incoming half of a stream: its turns, its finals, and what is not final yet."""

    def __init__(self, config: TranscriptionConfig, timeline: Timeline, output: deque[Command | Event]) -> None:
        self._output = output
        self._turns = Turns()
        self._interim: InterimTranscript | None = None  # said, and not final yet
        self._untimed: list[str] = []  # the words of finals without word times, after the watermark
        self._known_until = 0.0  # stream time: words from before it are a repetition
        self._repeated: list[str] = []  # those that the present link has not repeated yet
        self.finals = self.timed = 0
        self.latency_sum = self.latency_max = 0.0
        self.use(config, timeline)

    def use(self, config: TranscriptionConfig, timeline: Timeline) -> None:
        """From now on messages answer to ``config`` and their times to ``timeline``."""
        self._show_words = config.word_timestamps
        self._turns.vad_events = bool(config.vad_events)
        self.timeline = timeline

    def serve(self, link: Link) -> None:
        """``link`` begins at the watermark: it repeats what was finalised after that.

        With packets that cannot be cut it begins a little earlier, and repeats what was finalised before that as well.
        """
        watermark = self.timeline.watermark
        self._repeated = list(self._untimed)
        self._known_until = self.timeline.seconds(watermark) if link.start < watermark else 0.0

    def voice_activity(self, link: Link, message: SpeechOnset | SpeechOffset) -> bool:
        """Take a message of the service's voice activity detector; return whether the speaker pauses right now.

        It does not move the watermark: words from before it can still become final after it.
        """
        timeline, turns = self.timeline, self._turns
        if message.timestamp is None:  # then it is about now
            time = timeline.seconds(link.sent)
            timeline.mended += 1
        else:
            time = timeline.time(link, message.timestamp)
        if isinstance(message, SpeechOnset):
            if turns.onset(time) in _STARTS:
                self._output.append(SpeechStarted(time=time, inferred=False))
            return False
        if turns.offset(time) in _ENDS:
            self._output.append(SpeechEnded(time=time))
        return self._interim is None and timeline.seconds(link.sent) - time < _RIGHT_NOW

    def transcription(self, link: Link, message: Transcription, sender: Sender, now: float) -> bool:
        """Take an interim or a final; return whether it is a final that leaves open how far the service has heard."""
        settled = self._turns.state is TurnState.SETTLED
        answers = message.from_finalize and message.is_final  # nothing of an interim is final
        answered = asked.popleft() if answers and (asked := sender.asked(link)) else None
        if answered is not None and answered.probe:  # the application did not ask, it gets no answer
            message = msgspec.structs.replace(message, from_finalize=False)
        if message.is_final:
            self._final(link, message, sender, now)
        else:
            self._heard(link, message)
        if answered is not None:  # all that was sent before the question is final
            unheard = answered.probe and not says_something(message.text)
            if unheard and settled:  # a new link did not hear the voice that ends
                self._turns.take(TurnInput.EMPTY_END)
                self._output.append(SpeechEnded(time=self.timeline.seconds(answered.position)))
            self._advance(answered.position - self.timeline.samples(_WORD_BEGUN if unheard else 0.0))
        return message.is_final and answered is None and bool(self._untimed)

    def settle(self) -> None:
        """No more finals come: what was said and never made final is told as it stands."""
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

    def end(self, time: float) -> None:
        """The stream is over, and with it an open turn."""
        self.settle()
        if self._turns.take(TurnInput.END) is TurnAction.END:
            self._output.append(SpeechEnded(time=time))

    def _heard(self, link: Link, message: Transcription) -> None:
        text = message.text
        if self._repeated:
            repeated, _ = overlap(self._repeated, normalised(text))
            text = without_words(text, repeated)
        if not says_something(text):
            return
        start, end = self._span(link)
        if self._turns.transcript(message, start, end) in _STARTS:
            self._output.append(SpeechStarted(time=end, inferred=True))
        self._interim = InterimTranscript(text=text, start=start, end=end, session_id=message.session_id)
        self._output.append(self._interim)

    def _final(self, link: Link, message: Transcription, sender: Sender, now: float) -> None:
        timeline, text = self.timeline, message.text
        words: tuple[Word, ...] = ()
        timed = False
        if message.words:
            mended = timeline.mended
            words = timeline.words(message.words, link)
            timed = timeline.mended == mended and words[-1].end is not None  # times that cannot be prove nothing
        if again := self._heard_again(text, words):
            spaced = not words or len(text.split()) == len(words)  # else the text has no blanks, or other words
            words = words[again:]
            text = (
                without_words(text, again) if spaced else ("" if " " not in text else " ").join(w.text for w in words)
            )
        if timed:
            self._repeated.clear()  # from here on the times say what is new
        if words and (first := words[0].start) is not None and (last := words[-1].end) is not None:
            start, end = first, last
        else:
            start, end = self._span(link)
        self._interim = None
        spoken = says_something(text)
        action = self._turns.transcript(message, start, end) if spoken else self._turns.empty(message)
        if action in _STARTS:
            self._output.append(SpeechStarted(time=start if timed else end, inferred=True))
        if spoken or message.from_finalize or message.is_last:
            latency = None
            if not timed:
                self._untimed = [*self._untimed, *normalised(text)][-_REMEMBERED:]
            elif self._advance(timeline.position(end)) and (sent_at := sender.trim()) is not None:
                latency = now - sent_at
            self._tell(link, message, text, words, start, end, latency)
        if action in _ENDS:
            self._output.append(SpeechEnded(time=end))

    def _span(self, link: Link) -> tuple[float, float]:
        """Where what is not final yet can be, as far as is known without word times."""
        start = max(self.timeline.watermark, link.start)
        return self.timeline.seconds(start), self.timeline.seconds(max(start, link.sent))

    def _heard_again(self, text: str, words: tuple[Word, ...]) -> int:
        """How many words of a final, from its first on, were finalised before ``link`` began to serve."""
        if self._known_until and (again := sum(_middle(word) < self._known_until for word in words)):
            return again
        if not self._repeated:
            return 0
        again, done = overlap(self._repeated, normalised(text))
        self._repeated = self._repeated[done:]
        return again

    def _tell(
        self,
        link: Link,
        message: Transcription,
        text: str,
        words: tuple[Word, ...],
        start: float,
        end: float,
        latency: float | None,
    ) -> None:
        self.finals += 1
        if latency is not None:
            self.timed += 1
            self.latency_sum += latency
            self.latency_max = max(self.latency_max, latency)
        utterances = message.utterances
        if utterances:
            utterances = self.timeline.utterances(utterances, link)
        self._output.append(
            FinalTranscript(
                text=text,
                start=start,
                end=end,
                words=words if self._show_words else (),
                utterances=utterances,
                language=message.language,
                languages=message.languages,
                redacted_entities=message.redacted_entities,
                full_transcript=message.full_transcript,
                emotions=message.emotions,
                gender=message.gender,
                session_id=message.session_id,
                from_finalize=message.from_finalize,
                is_last=message.is_last,
                latency=latency,
            )
        )

    def _advance(self, position: int) -> bool:
        """Everything said before ``position`` is final: a new link will not repeat it. Return whether that is news."""
        if position <= self.timeline.watermark:
            return False
        self.timeline.watermark = position
        self._untimed.clear()
        return True


def _middle(word: Word) -> float:
    """A time that is surely inside of the word; for ever if it has none."""
    return math.inf if word.start is None or word.end is None else (word.start + word.end) / 2
