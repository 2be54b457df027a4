"""What is wrong with a call: every word is counted, by its number, however the service spelled it.

A word may be otherwise than it was said only where the service made it so: its time by no more than the service's
times are off, its letters not at all (they are the service's), its pieces where the application's own finalize cut it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from smallest_proto.events import EndReason, SessionEnded
from smallest_proto.reading import Word
from smallest_proto.server.imperfection import Imperfection
from smallest_proto.transcription.events import (
    AudioLost,
    Event,
    FinalTranscript,
    InterimTranscript,
    SpeechEnded,
    SpeechStarted,
    UpdateRejected,
    Usage,
)
from smallest_proto.transcription.session import TranscriptionSession

EXACT = 1e-6  # seconds
WORD_FAULTS = ("lost", "repeated", "damaged", "mistimed", "told")  # told: with AudioLost

_WRITTEN = re.compile(r"([?A-Za-z]+)(\d+)")  # w17, W17!, ?17, and w17w18, where two words are written as one


class Call(NamedTuple):
    """One call, run to its end."""

    words: list[Word]  # what was said, in seconds of the stream
    seconds: float
    events: list[tuple[float, Event]]
    session: TranscriptionSession
    story: list[tuple[float, str]]  # what was done to it, and when
    imperfection: Imperfection = Imperfection()
    finalized: tuple[float, ...] = ()  # where the application finalized, in seconds of the stream


class Wrong(NamedTuple):
    """One thing that is not as promised."""

    kind: str  # one of WORD_FAULTS, or "else"
    text: str


class Piece(NamedTuple):
    """A word as it was written, or a part of one."""

    number: int
    whole: bool
    alone: bool  # it is not written as one with another


def faults_of(call: Call) -> Iterator[str]:
    """Everything about ``call`` that is not as promised."""
    return (wrong.text for wrong in wrongs_of(call))


def wrongs_of(call: Call) -> Iterator[Wrong]:
    """The same, with the kind of each."""
    events = [event for _, event in call.events]
    yield from _wrong_words(call, events)
    yield from _wrong_times(call, events)
    for text in (*_wrong_order(events), *_wrong_turns(events), *_wrong_end(call, events)):
        yield Wrong("else", text)


def _wrong_end(call: Call, events: Sequence[Event]) -> Iterator[str]:
    end = events[-1]
    if not isinstance(end, SessionEnded) or sum(isinstance(event, SessionEnded) for event in events) != 1:
        yield "the session did not end with SessionEnded, once"
    elif end.reason is not EndReason.COMPLETED:
        yield f"the session ended {end.reason.value}: {end.failure}"
    stats = call.session.stats
    told = sum(event.seconds for event in events if isinstance(event, Usage))
    if abs(told - stats.seconds_sent) > EXACT or abs(stats.seconds_given - call.seconds) > EXACT:
        yield f"usage tells of {told} s, sent {stats.seconds_sent} s, given {stats.seconds_given} of {call.seconds} s"
    if sum(isinstance(event, UpdateRejected) for event in events) > len(call.story):
        yield "more updates were rejected than asked for"
    answers = sum(isinstance(event, FinalTranscript) and event.from_finalize for event in events)
    if answers != len(call.finalized):
        yield f"{len(call.finalized)} finalizes have {answers} answers"


def _pieces(text: str) -> Iterator[Piece]:
    """The words of one token of a transcript; none where there is nothing to be understood."""
    written = _WRITTEN.findall(text)
    for mark, number in written:
        yield Piece(int(number), "?" not in mark, len(written) == 1)


def _wrong_words(call: Call, events: Sequence[Event]) -> Iterator[Wrong]:
    lost = [(event.start, event.end) for event in events if isinstance(event, AudioLost)]
    # Without times nothing but an answer in a pause says what is final: old audio can have to be given up, and is told.
    if lost and not call.imperfection.no_times:
        yield Wrong("else", f"lost audio: {lost}")
    pieces: list[Piece] = []
    told_of: set[int] = set()  # the final says that it can repeat them
    for event in events:
        if not isinstance(event, FinalTranscript):
            continue
        for text in event.text.split():
            read = list(_pieces(text))
            pieces += read
            told_of |= {piece.number for piece in read if event.may_repeat}
            if not read:
                yield Wrong("damaged", f"nothing is to be understood of {text}")
        if event.words and event.text.split() != [word.text for word in event.words]:
            yield Wrong("else", f"text and words differ: {event.text!r}")
    of = call.imperfection
    # Without times and with another text there is nothing by which a repetition is to be known.
    unknowable = of.no_times and (of.respelled or of.joined)
    wholes = Counter(piece.number for piece in pieces if piece.whole)
    parts = Counter(piece.number for piece in pieces if not piece.whole)
    # What is written as one with a word that is new cannot be dropped without that one.
    joined = Counter(piece.number for piece in pieces if not piece.alone)
    joined_parts = Counter(piece.number for piece in pieces if not piece.alone and not piece.whole)
    for word in call.words:
        number, start, end = int(word.text[1:]), word.start or 0.0, word.end or 0.0
        whole, part = wholes.pop(number, 0), parts.pop(number, 0)
        if whole:
            part -= joined_parts[number]
        cuts = 0 if of.leaves_word else sum(start < at < end for at in call.finalized)
        if not whole and not part:
            told = any(begin < end and start < over for begin, over in lost)
            if told and of.no_times:
                continue
            yield Wrong("told" if told else "lost", f"{word.text} was heard 0 times{', and that was told' * told}")
        elif of.no_times and cuts and (whole or part):
            continue  # two parts of a word that are written alike are not told apart without times
        elif number in told_of and (whole or part > 1):
            continue
        elif part > (cuts + 1 if cuts else 0) or (
            cuts and not whole and part < (1 if of.no_times or of.rounding else 2)
        ):
            yield Wrong("damaged", f"{word.text} is damaged: {whole} times whole, {part} parts")
        elif whole > 1 and not unknowable and number not in joined:
            yield Wrong("repeated", f"{word.text} was heard {whole} times")
    if rest := wholes + parts:
        yield Wrong("damaged", f"never said: {sorted(rest)}")


def _wrong_order(events: Sequence[Event]) -> Iterator[str]:
    finals = [event for event in events if isinstance(event, FinalTranscript)]
    said = [piece.number for final in finals for text in final.text.split() for piece in _pieces(text)]
    first = list(dict.fromkeys(said))  # one that is repeated is told of elsewhere
    if first != sorted(first):
        yield f"out of order: {first}"


def _wrong_times(call: Call, events: Sequence[Event]) -> Iterator[Wrong]:
    said = {int(word.text[1:]): word for word in call.words}
    off = call.imperfection.time_error + EXACT
    for event in events:
        if not isinstance(event, FinalTranscript) or event.provisional or not event.text or call.imperfection.no_times:
            continue
        texts = event.text.split()
        ends = (Word(text=texts[0], start=event.start), Word(text=texts[-1], end=event.end))
        for word in (*event.words, *ends):
            pieces = [piece for piece in _pieces(word.text) if piece.number in said]
            if not pieces or not all(piece.whole for piece in pieces):
                continue
            rights = (said[pieces[0].number].start, said[pieces[-1].number].end)
            for time, right in zip((word.start, word.end), rights, strict=True):
                if time is not None and right is not None and abs(time - right) > off:
                    yield Wrong("mistimed", f"{word.text} has the time {time}, not {right}")
    before = 0.0
    for event in events:
        if not isinstance(event, (InterimTranscript, FinalTranscript)):
            continue
        if not 0.0 <= event.start <= event.end <= call.seconds + EXACT:
            yield Wrong("mistimed", f"{type(event).__name__} from {event.start} to {event.end} of {call.seconds} s")
        if isinstance(event, FinalTranscript) and event.text:
            # A word that was cut by a finalize, or written as one with its neighbour, comes whole on the next link.
            whole_again = 1.0 if call.finalized or call.imperfection.joined else 0.0
            if event.start < before - 2 * off - whole_again and not call.imperfection.no_times:
                yield Wrong("mistimed", f"a final from {event.start} after one up to {before}")
            before = event.end


def _wrong_turns(events: Sequence[Event]) -> Iterator[str]:
    speaking = False
    for event in events:
        if isinstance(event, (SpeechStarted, SpeechEnded)):
            if isinstance(event, SpeechStarted) is speaking:
                yield f"{type(event).__name__} at {event.time} does not alternate"
            speaking = isinstance(event, SpeechStarted)
    if speaking:
        yield "a turn has no end"


class Tally:
    """What was wrong with many calls, by the kinds of imperfection that they had."""

    def __init__(self) -> None:
        self._rows: dict[str, Counter[str]] = {}
        self._seeds: dict[str, list[int]] = {}
        self.total: Counter[str] = Counter()

    def add(self, seed: int, call: Call, wrongs: Sequence[Wrong]) -> None:
        """Count one call."""
        counts = Counter(wrong.kind for wrong in wrongs)
        counts.update(calls=1, words=len(call.words), failed=int(bool(wrongs)))
        kinds = call.imperfection.kinds or ("ideal",)
        for kind in kinds if len(kinds) == 1 else [f"+ {kind}" for kind in kinds]:
            self._rows.setdefault(kind, Counter()).update(counts)
            if wrongs:
                self._seeds.setdefault(kind, []).append(seed)
        self.total.update(counts)

    def lines(self) -> Iterator[str]:
        """A table: a line for each kind, first where it was the only one, then (+) in company."""
        columns = ("calls", "words", *WORD_FAULTS, "else", "failed")
        yield "| imperfection | " + " | ".join(columns) + " | seeds that failed |"
        yield "|---" * (len(columns) + 2) + "|"
        for kind, counts in sorted(self._rows.items(), key=lambda row: (row[0].startswith("+"), row[0])):
            seeds = " ".join(map(str, self._seeds.get(kind, [])[:4]))
            yield f"| {kind} | " + " | ".join(str(counts[column]) for column in columns) + f" | {seeds} |"
