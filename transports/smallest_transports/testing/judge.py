"""The judge: what an application was told, beside what was said. Every word is counted, however it was spelled.

A word may be otherwise than it was said only where the service made it so: its time by no more than the service's
times are off, its letters not at all (they are the service's), its pieces where the application's own finalize cut it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from smallest_proto.events import EndReason, SessionEnded
from smallest_proto.http.files import FileTranscript
from smallest_proto.reading import Word
from smallest_proto.stats import SessionStats
from smallest_proto.transcription.events import FinalTranscript, Usage

from .hearing import Hearing, Piece
from .report import KINDS, Report, Wrong
from .speech import Speech, Truth, letters_of
from .told import Told, read
from .turns import are_meant, wrong_turns

__all__ = ["KINDS", "Report", "Wrong", "judge"]

EXACT = 1e-6  # seconds


def judge(
    events: str | Iterable[Any],
    truth: Truth | Speech,
    *,
    tolerance: float = 0.0,
    stats: SessionStats | None = None,
    turns: bool | None = None,
) -> Report:
    """Hold what was told against what was said.

    ``events`` are those of a session, LiveKit's ``SpeechEvent``s or the texts of finals, in order, each alone or as
    ``(time, event)``. What a kind of events cannot show is not asked for: texts have no times and no turns.
    ``tolerance``: by how many seconds a time may be off beside what the service's ``imperfection`` allows.
    ``stats`` are the session's: then its end, and what it counted, are looked at too.
    ``turns``: whether starts and ends of speech are asked for. By default they are where any is among the events, and
    where there is more of a session than its transcripts: it tells of turns whatever its options are. A plugin of
    LiveKit that tells of none need not; say ``True`` of one that is meant to, ``False`` where you kept none.

    A word that was lost is ``told`` where an ``AudioLost`` covers it, and ``lost`` where nobody would know.
    Raises ``TypeError`` for what is no event.
    """
    truth = truth.truth if isinstance(truth, Speech) else truth
    told = read(events)
    hearing = Hearing(truth.words, told, respelled=truth.imperfection.respelled)
    wrongs = [
        *_wrong_words(truth, told, hearing),
        *_wrong_times(truth, told, hearing, tolerance),
        *_wrong_order(hearing),
        *_wrong_turns(truth, told, hearing, tolerance, turns),
        *_wrong_end(truth, [one.event for one in told], stats),
    ]
    return Report(tuple(wrongs), len(truth.words))


def _wrong_words(truth: Truth, told: Sequence[Told], hearing: Hearing) -> Iterator[Wrong]:
    of = truth.imperfection
    lost = [(one.start or 0.0, one.end or 0.0) for one in told if one.kind == "lost"]
    # Without times nothing but an answer in a pause says what is final: old audio can have to be given up, and is told.
    if lost and not of.no_times:
        yield Wrong("audio", f"lost audio: {lost}")
    for text in hearing.unknown:
        yield Wrong("damaged", f"{text} was never said")
    for one in told:
        if one.kind == "final" and one.words and not _same(one):
            yield Wrong("damaged", f"text and words differ: {one.text!r}")
    count = _Count(hearing.pieces)
    for index, word in enumerate(truth.words):
        if (wrong := _wrong_word(truth, index, word, count, lost)) is not None:
            yield wrong


def _same(told: Told) -> bool:
    """Whether text and words are the same: ours to the sign, those of others, who punctuate but one, by the letters."""
    if isinstance(told.event, FinalTranscript | FileTranscript):
        return told.text.split() == [word.text for word in told.words]
    return letters_of(told.text) == letters_of(" ".join(word.text for word in told.words))


class _Count:
    """How often each word came, by its index: whole, in parts, and as what."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.whole = Counter(piece.word for piece in pieces if piece.whole)
        self.part = Counter(piece.word for piece in pieces if not piece.whole)
        # What is written as one with a word that is new cannot be dropped without that one.
        self.joined = Counter(piece.word for piece in pieces if not piece.alone)
        self.joined_part = Counter(piece.word for piece in pieces if not piece.alone and not piece.whole)
        self.may_repeat = {piece.word for piece in pieces if piece.may_repeat}


def _wrong_word(
    truth: Truth, index: int, word: Word, count: _Count, lost: Sequence[tuple[float, float]]
) -> Wrong | None:
    of = truth.imperfection
    start, end = word.start or 0.0, word.end or 0.0
    whole, part = count.whole[index], count.part[index]
    if whole:
        part -= count.joined_part[index]
    cuts = 0 if of.leaves_word else sum(start < at < end for at in truth.finalized or ())
    at = f"{word.text} ({start:.2f} to {end:.2f} s)"
    if not whole and not part:
        told = any(begin < end and start < over for begin, over in lost)
        if told and of.no_times:
            return None
        return Wrong("told" if told else "lost", f"{at} was heard 0 times{', and that was told' * told}")
    if of.no_times and cuts:
        return None  # two parts of a word that are written alike are not told apart without times
    if index in count.may_repeat and (whole or part > 1):
        return None
    if part > (cuts + 1 if cuts else 0) or (cuts and not whole and part < (1 if of.no_times or of.rounding else 2)):
        return Wrong("damaged", f"{at} is damaged: {whole} times whole, {part} parts")
    # Without times and with another text there is nothing by which a repetition is to be known.
    if whole > 1 and not (of.no_times and (of.respelled or of.joined)) and not (of.joined and count.joined[index]):
        return Wrong("repeated", f"{at} was heard {whole} times")
    return None


def _wrong_order(hearing: Hearing) -> Iterator[Wrong]:
    first = list(dict.fromkeys(piece.word for piece in hearing.pieces))  # one that is repeated is told of elsewhere
    if first != sorted(first):
        yield Wrong("order", f"out of order: {' '.join(hearing.said[index].text for index in first)}")


def _wrong_times(truth: Truth, told: Sequence[Told], hearing: Hearing, tolerance: float) -> Iterator[Wrong]:
    off = truth.imperfection.time_error + tolerance + EXACT
    if not truth.imperfection.no_times:
        for piece in hearing.timed:
            first, last = truth.words[piece.first], truth.words[piece.last]
            for time, right in ((piece.start, first.start), (piece.end, last.end)):
                if time is not None and right is not None and not abs(time - right) <= off:  # NaN is no time
                    yield Wrong("mistimed", f"{piece.text} has the time {time:g}, not {right:g}")
    before = 0.0
    # A word that was cut by a finalize, or written as one with its neighbour, comes whole on the next link.
    whole_again = 1.0 if truth.finalized or truth.imperfection.joined else 0.0
    for one in told:
        if one.kind not in ("final", "interim") or one.start is None or one.end is None:
            continue
        if not 0.0 <= one.start <= one.end <= truth.seconds + tolerance + EXACT:
            yield Wrong("mistimed", f"{one.kind} from {one.start:g} to {one.end:g} of {truth.seconds:g} s")
        if one.kind == "final" and one.text:
            if one.start < before - 2 * off - whole_again and not truth.imperfection.no_times:
                yield Wrong("mistimed", f"a final from {one.start:g} after one up to {before:g}")
            before = one.end


def _wrong_turns(
    truth: Truth, told: Sequence[Told], hearing: Hearing, tolerance: float, asked: bool | None
) -> Iterable[Wrong]:
    if are_meant(told) if asked is None else asked:
        return wrong_turns(truth, told, {piece.word for piece in hearing.pieces}, tolerance + EXACT)
    return ()


def _wrong_end(truth: Truth, events: Sequence[object], stats: SessionStats | None) -> Iterator[Wrong]:
    ends = [event for event in events if isinstance(event, SessionEnded)]
    if ends or stats is not None:
        if len(ends) != 1 or events[-1] is not ends[0]:
            yield Wrong("end", "the session did not end with SessionEnded, once")
        elif ends[0].reason is not EndReason.COMPLETED:
            yield Wrong("end", f"the session ended {ends[0].reason.value}: {ends[0].failure}")
    if stats is not None:
        used = sum(event.seconds for event in events if isinstance(event, Usage))
        if abs(used - stats.seconds_sent) > EXACT or abs(stats.seconds_given - truth.seconds) > EXACT:
            given = f"given {stats.seconds_given:g} of {truth.seconds:g} s"
            yield Wrong("end", f"usage tells of {used:g} s, sent {stats.seconds_sent:g} s, {given}")
    if truth.finalized is not None:
        answers = sum(isinstance(event, FinalTranscript) and event.from_finalize for event in events)
        if answers != len(truth.finalized):
            yield Wrong("end", f"{len(truth.finalized)} finalizes have {answers} answers")
