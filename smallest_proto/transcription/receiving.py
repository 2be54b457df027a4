"""Transcripts on their way to the application: messages become events in stream time, and move the watermark.

The watermark is the end of the last final word. An answer to a finalize does not move it further: a word can be half
said at the finalize, and one question can have several answers. Only where words have no times, the answer to a
question asked in a pause moves it, once nothing has followed for a while.
"""

from __future__ import annotations

from collections import deque
from itertools import dropwhile
from typing import NamedTuple

from msgspec.structs import replace

from smallest_proto.commands import Command
from smallest_proto.config import TranscriptionConfig
from smallest_proto.reading import Word

from .cursor import Ask, Cursor
from .events import Event, FinalTranscript, InterimTranscript, SpeechEnded, SpeechStarted
from .messages import SpeechOffset, SpeechOnset, Transcription
from .questions import answered, is_cut, may_settle, settled
from .repetition import REMEMBERED, Known, Repetition, known_as, normalised, same_again, without_words
from .sending import COVERED, Sender
from .stream import Part
from .telling import Teller
from .timeline import Timeline
from .turns import TurnAction, TurnInput, Turns, TurnState, says_something

_STARTS = (TurnAction.START, TurnAction.START_AND_END)
_ENDS = (TurnAction.END, TurnAction.START_AND_END)

_TWICE = 0.3  # seconds: the vendor's clients drop a second final within 0.2 s of the first; networks add a little
_PAUSE = 0.6  # seconds: the silence after which the service ends an utterance by default
_ABUTTING = 0.06  # seconds between two parts of one word
_SHORTEST = 0.12  # seconds of loud audio: no word is shorter
_LATE = 3.0  # seconds that a final can come late: the pause that ends an utterance, and the decoding
_IN_A_MARGIN = 4  # words: no more fit into the margin before the watermark


class _Last(NamedTuple):
    """The last final of the link that serves."""

    text: str
    words: tuple[Known, ...]  # those with times
    end: float
    at: float  # when it came


class Receiver:
    """The incoming half of a stream: its turns, its finals, and what is not final yet."""

    def __init__(self, config: TranscriptionConfig, timeline: Timeline, output: deque[Command | Event]) -> None:
        self._output = output
        self._turns = Turns()
        self._vad_seen = False  # the service does send voice activity events: it may not, even if asked
        self._started_at = 0.0  # stream seconds: the last start of a turn that we told
        self._interim: InterimTranscript | None = None  # said, and not final yet
        self._known: deque[Known] = deque(maxlen=REMEMBERED)  # the words of finals: a new link can hear them again
        self._repetition = Repetition()
        self._replayed_to = 0  # samples: a link that was sent more than this repeats nothing,
        self._caught_up_at: float | None = None  # and since when that is so; but a service can be late
        self._last: _Last | None = None
        self.has_times = False  # words did, in the last final that had any
        self._since_answer = 0  # words without times that became final after the last answer to a question
        self._blanks = False  # the service ends a final with a blank where words follow
        self.teller = Teller(output)
        self.use(config, timeline)

    def use(self, config: TranscriptionConfig, timeline: Timeline) -> None:
        """From now on messages follow ``config``, and their times ``timeline``."""
        self.teller.show_words = config.word_timestamps
        self._asked_for_vad = bool(config.vad_events)
        self._turns.vad_events = self._asked_for_vad and self._vad_seen
        if timeline is not getattr(self, "timeline", None):
            self._known.clear()  # another part of the stream: nothing of it was said before
            self._repetition = Repetition()
        self.timeline = timeline

    def serve(self, cursor: Cursor, sender: Sender) -> None:
        """The link of ``cursor`` serves: it begins before the watermark and hears some words again."""
        timeline = self.timeline
        start = timeline.seconds(cursor.start)
        if sender.silent(cursor.start, timeline.watermark):  # none of those words is heard again
            start = max(start, timeline.seconds(timeline.watermark))
        known = list(dropwhile(lambda word: word.end is not None and word.end <= start, self._known))
        self._repetition = Repetition(known, timeline.seconds(timeline.watermark), whole=cursor.start == 0)
        self._replayed_to, self._caught_up_at = max(sender.sent, cursor.start), None
        self._last = None
        self.teller.serve()
        # Only silence is left after the watermark: the new link does not hear the voice end.
        if self._turns.state is TurnState.SETTLED and cursor.start > timeline.watermark:
            self._turns.take(TurnInput.EMPTY_END)
            self._turn_ends(timeline.seconds(timeline.watermark))

    @property
    def pausing(self) -> bool:
        """Whether a turn is open that no event of the service will end if nothing follows."""
        return not self._turns.vad_events and self._turns.state is TurnState.SETTLED

    def pause(self) -> None:
        """Nothing was said for a while: if all of an open turn is final, it is over."""
        if self._turns.take(TurnInput.PAUSE) in _ENDS:
            self._turn_ends(self.timeline.seconds(self.timeline.watermark))

    def settle(self, cursor: Cursor, now: float) -> None:
        """Move the watermark over what an answer in a pause made final, if nothing has followed for a while."""
        position = settled(cursor, now)
        if position is not None and position > self.timeline.watermark:
            self.timeline.watermark = position
            known, end = list(self._known), self.timeline.seconds(position)
            later = len(known) - min(self._since_answer, len(known))  # said after the question: heard again
            last = [word if word.end is not None else replace(word, end=end) for word in known[:later][-_IN_A_MARGIN:]]
            self._known.clear()
            self._known.extend((*last, *known[later:]))

    def voice_activity(self, cursor: Cursor, message: SpeechOnset | SpeechOffset) -> None:
        """Take a message of the service's voice activity detector.

        It does not move the watermark: words from before it can still become final after it.
        """
        timeline, turns = self.timeline, self._turns
        self._vad_seen = True
        turns.vad_events = self._asked_for_vad
        if message.timestamp is None:  # then it was about now
            time = timeline.seconds(cursor.sent)
            timeline.mended += 1
        else:
            time = timeline.time(cursor, message.timestamp)
        if isinstance(message, SpeechOnset):
            if turns.onset(time) in _STARTS:
                self._turn_starts(time, inferred=False)
        elif turns.offset(time) in _ENDS:
            self._turn_ends(time)

    def answer(self, ask: Ask, timeline: Timeline, *, told: int = 0) -> None:
        """Give an event to each finalize() call of ``ask`` that no final answered; ``told``: how many one did."""
        time = timeline.seconds(ask.position)
        for _ in range(ask.calls - told):
            self._output.append(FinalTranscript(text="", start=time, end=time, from_finalize=True))

    def answer_all(self, part: Part) -> None:
        """No more finals come for ``part``: each unanswered finalize gets its event."""
        while part.sender.asks:
            self.answer(part.sender.answered(), part.timeline)

    def provisional(self) -> None:
        """No more finals come: what was said and never became final is told as it stands."""
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
        self.provisional()
        if self._turns.take(TurnInput.END) is TurnAction.END:
            self._turn_ends(time)

    def _turn_starts(self, time: float, *, inferred: bool) -> None:
        self._started_at = time
        self._output.append(SpeechStarted(time=time, inferred=inferred))

    def _turn_ends(self, time: float) -> None:
        # A start that was inferred without word times is late; no turn ends before it starts.
        self._output.append(SpeechEnded(time=max(time, self._started_at)))

    # Interims.

    def interim(self, cursor: Cursor, message: Transcription) -> None:
        """Take what the service believes so far."""
        text = message.text
        if not self._repetition.over:
            if cursor.sent <= self.timeline.watermark:
                return  # all that it was sent so far is final
            text = without_words(text, self._repetition.text(text, final=False))
        if not says_something(text):
            return
        start, end = self._span(cursor)
        if self._turns.interim(start) in _STARTS:
            self._turn_starts(end, inferred=True)
        self._interim = InterimTranscript(text=text, start=start, end=end, session_id=message.session_id)
        self._output.append(self._interim)

    def _span(self, cursor: Cursor) -> tuple[float, float]:
        """Where the words that are not final yet can be, as far as we know without word times."""
        start = max(self.timeline.watermark, cursor.start)
        return self.timeline.seconds(start), self.timeline.seconds(max(start, cursor.sent))

    # Finals.

    def final(self, cursor: Cursor, message: Transcription, sender: Sender, now: float) -> None:
        """Take what the service will not revise."""
        text = message.text
        words, timed = self._words(cursor, message)
        if text:
            self.has_times = timed
        said = tuple([Known(known_as(word.text), word.start, word.end) for word in words]) if timed else ()
        begins = self._begins_in_mid_word(text, words)
        if not timed and cursor.sent >= self._replayed_to:
            self._caught_up_at = now if self._caught_up_at is None else self._caught_up_at
            if now - self._caught_up_at >= _LATE:
                self._repetition = Repetition()  # what it hears now was not sent to an earlier link
        unsure, part = not timed and not self._repetition.over, self._repetition.part if timed else None
        if again := self._again(text, words, timed, now, cursor, sender):
            begins = False
            words, text = self._rest(text, words, again)
        if part is not None and words and (words[0].start or 0.0) < (part.end or 0.0):
            unsure = True  # its first word is perhaps the whole of a part that is final
        start, end = _reach(words) if words and timed else self._span(cursor)
        spoken = says_something(text)
        probed, ask = answered(cursor, message, end if timed and spoken else None, sender, self.timeline)
        self._interim = None
        asked = ask is not None
        if spoken:
            action = self._turns.final(
                start, end, ends=self._ends(message, text, end, timed, cursor, sender, asked=asked)
            )
        elif again and not asked and not message.is_last:
            action = TurnAction.NOTHING
        else:
            action = self._turns.empty(ends=asked or message.is_last or message.speech_final is True)
        if action in _STARTS:
            self._turn_starts(start if timed else end, inferred=True)
        asked_at = probed if ask is None else ask.position
        latency = None
        if spoken:
            cut = timed and bool(cursor.questions) and is_cut(end, cursor, sender, self.timeline)
            latency = self._take_in(text, words, said[again:] if timed else None, cut, end, cursor, now)
            if not timed:  # the watermark cannot tell that what was said is answered
                cursor.judged_to = cursor.sent
        if spoken or asked or message.is_last:
            if not spoken:
                text, words = "", ()
            self.teller.tell(
                cursor,
                self.timeline,
                message,
                text,
                words,
                (start, end),
                latency,
                asked=asked,
                begins=begins,
                unsure=unsure,
            )
        if ask is not None:
            self.answer(ask, self.timeline, told=1)
        if asked_at is not None:
            if not self.has_times:
                may_settle(cursor, asked_at, sender, now)
            self._since_answer = 0
        elif cursor.settled is not None and spoken:
            cursor.settled = cursor.settled[0], now
        self._remember(message, said, end, now)
        if action in _ENDS:
            self._turn_ends(end)

    def _remember(self, message: Transcription, said: tuple[Known, ...], end: float, now: float) -> None:
        """Keep a final as the service sent it: it can come twice."""
        if message.text:
            if said and self._known and self._known[-1].cut:
                said = *said[:-1], replace(said[-1], cut=True)
            self._last = _Last(message.text, said, end, now)

    def _words(self, cursor: Cursor, message: Transcription) -> tuple[tuple[Word, ...], bool]:
        """The words of a final in stream time, and whether their times are possible."""
        if not message.words:
            return (), False
        timeline = self.timeline
        mended = timeline.mended
        words = timeline.words(message.words, cursor)
        return self.teller.renumbered(words), timeline.mended == mended

    def _again(
        self, text: str, words: tuple[Word, ...], timed: bool, now: float, cursor: Cursor, sender: Sender
    ) -> int:
        """How many words of a final, from the first on, were final before."""
        if words and timed:
            last = self._last
            before, soon = ((), False) if last is None else (last.words, now - last.at <= _TWICE)
            again = self._repetition.timed(words) or same_again(self._known, words, soon=soon)
            if again or not before:
                return again
            known, count = self._known, len(before)
            if count <= len(known) and known[-count] is before[0]:  # nearly always the same words, and looked at
                return 0
            return same_again(before, words, soon=soon)
        repetition, count = self._repetition, len(normalised(text))
        new = repetition.over or repetition.text(text, final=False) < count
        if new and self._is_twice(text, now, cursor, sender):
            return count
        return 0 if repetition.over else repetition.text(text, final=True)

    def _is_twice(self, text: str, now: float, cursor: Cursor, sender: Sender) -> bool:
        """Whether a final without times repeats the last one: a question raced the end of an utterance."""
        last = self._last
        if last is None or normalised(last.text) != normalised(text):
            return False
        if now - last.at <= _TWICE:
            return True
        if not cursor.asked and cursor.probe is None:
            return False
        # "yes", and "yes" again: what was said since then is no answer that was long on its way.
        spoken = sender.loud(cursor.asked_to, cursor.sent)[0] >= self.timeline.samples(_SHORTEST)
        return 0.0 <= cursor.asked_at - last.at <= _TWICE and not (spoken and now - cursor.asked_at > _PAUSE)

    def _rest(self, text: str, words: tuple[Word, ...], again: int) -> tuple[tuple[Word, ...], str]:
        """Words and text without the first ``again`` words, which were final before."""
        spaced = not words or len(normalised(text)) == len(words)  # else the text has no blanks, or not the same words
        words = words[again:]
        if spaced:
            return words, without_words(text, again)
        return words, ("" if " " not in text else " ").join(word.text for word in words)

    def _ends(
        self,
        message: Transcription,
        text: str,
        end: float,
        timed: bool,
        cursor: Cursor,
        sender: Sender,
        *,
        asked: bool,
    ) -> bool:
        """Whether a final ends a turn. Where the service cuts sentences after some words, a final alone does not."""
        if asked or message.is_last or message.speech_final:
            return True
        if self._turns.vad_events or message.speech_final is False or text[-1:].isspace():
            return False
        if not timed:
            return True
        position = self.timeline.position(end)
        least, most = self.timeline.samples(COVERED), self.timeline.samples(_PAUSE)
        return not sender.loud(position + least, min(position + most, cursor.sent))[0]

    def _begins_in_mid_word(self, text: str, words: tuple[Word, ...]) -> bool:
        """Whether a final continues the word that the last one cut ("Uh" / "-huh.")."""
        last = self._last
        if last is None or not last.text[-1:].isalnum() or not text or text[0].isspace():
            return False
        if text[0] in "-'’":
            return text[1:2].isalnum()
        if not self._blanks or not text[0].isalnum() or text[0].isupper():
            return False
        return bool(words) and words[0].start is not None and words[0].start - last.end < _ABUTTING

    def _take_in(
        self,
        text: str,
        words: tuple[Word, ...],
        said: tuple[Known, ...] | None,
        cut: bool,
        end: float,
        cursor: Cursor,
        now: float,
    ) -> float | None:
        """New words are final: remember them and move the watermark; returns the latency, if known.

        ``said``: the words as they are known from now on, or ``None`` if they have no times.
        A word that a finalize ``cut`` is not finished: the watermark stays before it.
        """
        self._blanks = self._blanks or text[-1:].isspace()
        if said is None:
            heard = normalised(text)
            self._known.extend([Known(word, None, None) for word in heard])
            self._since_answer += len(heard)
            return None
        self._known.extend(said)
        position = self.timeline.position(end)
        if position <= self.timeline.watermark:
            return None
        sent_at = cursor.sent_at(position)
        if cut:
            self._known[-1] = replace(self._known[-1], cut=True)
            position = self.timeline.position(words[-1].start or 0.0)
        self.timeline.watermark = max(self.timeline.watermark, position)
        return None if sent_at is None else now - sent_at


def _reach(words: tuple[Word, ...]) -> tuple[float, float]:
    """The start of the first of some words that have times, and the latest end."""
    return words[0].start or 0.0, max([word.end or 0.0 for word in words])
