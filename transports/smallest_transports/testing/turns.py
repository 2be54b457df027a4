"""Turns beside what was said: each is told, its start and then its end, in its place and at its time.

What a turn's times can be follows from who told them. A start that the service heard is where a word begins, and its
end, over a good network, where one ends. A start that was inferred from a transcript is within that transcript. A
finalize ends a turn wherever it comes, and what begins after it can begin in mid-word.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from typing import NamedTuple, get_args

from smallest_proto.events import LinkOpened
from smallest_proto.server.recogniser import VOICE_END_SECONDS
from smallest_proto.transcription.events import Event, FinalTranscript, InterimTranscript

from .report import Wrong
from .speech import Truth, letters_of
from .told import Told

_BESIDE = tuple(kind for kind in get_args(Event) if kind not in (FinalTranscript, InterimTranscript))


class Turn(NamedTuple):
    """From a start to its end, in seconds of the stream; ``after`` is the transcript that was told next, if any."""

    start: float
    end: float
    inferred: bool
    after: Told | None


def are_meant(told: Iterable[Told]) -> bool:
    """Whether these are such events that turns are among them: more of a session's than its transcripts."""
    return any(one.kind in ("started", "ended") or isinstance(one.event, _BESIDE) for one in told)


def wrong_turns(truth: Truth, told: Sequence[Told], heard: Iterable[int], tolerance: float) -> Iterator[Wrong]:
    """What is wrong with the turns; ``heard`` are the indexes of the words that came, ``tolerance`` is in seconds."""
    unpaired = [*_unpaired(told)]
    yield from unpaired
    off = truth.imperfection.time_error + tolerance
    cut = bool(truth.finalized) or any(getattr(one.event, "from_finalize", False) for one in told)
    missing = [*_without_turn(told, off + (VOICE_END_SECONDS if cut else 0.0))]
    yield from missing
    if unpaired or any(one.start is None for one in told if one.kind in ("started", "ended")):
        return  # LiveKit's have no times
    turns = [*_turns(told)]
    if not cut and not missing:
        yield from _words_without_turn(truth, turns, heard, off)
    again = cut or sum(isinstance(one.event, LinkOpened) for one in told) > 1
    interims = any(one.kind == "interim" for one in told)
    yield from _mistimed(truth, turns, off, cut=cut, again=again, interims=interims)


def _unpaired(told: Sequence[Told]) -> Iterator[Wrong]:
    speaking = False
    for one in told:
        if one.kind in ("started", "ended"):
            if (one.kind == "started") is speaking:
                at = "" if one.start is None else f" at {one.start:g} s"
                yield Wrong("turns", f"a turn {one.kind}{at}: they do not alternate")
            speaking = one.kind == "started"
    if speaking:
        yield Wrong("turns", "a turn has no end")


def _without_turn(told: Sequence[Told], off: float) -> Iterator[Wrong]:
    """Finals that say something outside of any turn; those that begin before the end of the last one are of that."""
    speaking, until = False, -math.inf
    for one in told:
        if one.kind == "started":
            speaking = True
        elif one.kind == "ended":
            speaking, until = False, math.inf if one.start is None else max(until, one.start)
        elif speaking or one.kind != "final" or one.provisional or not letters_of(one.text):
            continue
        elif until == -math.inf or (one.start is not None and one.start > until + off):
            at = "" if one.start is None or one.end is None else f" from {one.start:g} to {one.end:g} s"
            yield Wrong("turns", f"a final{at} is of no turn: give turns=False where none are kept")


def _turns(told: Sequence[Told]) -> Iterator[Turn]:
    start, after = None, None
    for one in told:
        if one.kind == "started":
            start, after = one, None
        elif one.kind == "ended" and start is not None:
            yield Turn(start.start or 0.0, one.start or 0.0, start.inferred, after)
            start = None
        elif one.kind in ("final", "interim") and after is None:
            after = one


def _words_without_turn(truth: Truth, turns: Sequence[Turn], heard: Iterable[int], off: float) -> Iterator[Wrong]:
    """Words that came, and are in no turn; an inferred one can begin anywhere after the one before it."""
    befores = [0.0, *(turn.end for turn in turns)]
    spans = sorted(
        (min(before, turn.start) if turn.inferred else turn.start, turn.end)
        for before, turn in zip(befores, turns, strict=False)
    )
    starts, ends = [start for start, _ in spans], [*accumulate((end for _, end in spans), max)]

    def alone(index: int) -> bool:
        word = truth.words[index]
        begun = bisect_right(starts, (word.end or 0.0) + off)
        return not begun or ends[begun - 1] < (word.start or 0.0) - off

    for outside, indexes in groupby(sorted({*heard}), alone):
        if outside:
            words = [truth.words[index] for index in indexes]
            at = f"{words[0].start or 0.0:.2f} to {words[-1].end or 0.0:.2f} s"
            yield Wrong("turns", f"{' '.join(word.text for word in words)} ({at}) in no turn")


def _mistimed(
    truth: Truth, turns: Sequence[Turn], off: float, *, cut: bool, again: bool, interims: bool
) -> Iterator[Wrong]:
    starts = sorted(word.start or 0.0 for word in truth.words)
    ends = sorted(word.end or 0.0 for word in truth.words)
    before = -math.inf
    for turn in turns:
        span = f"a turn from {turn.start:g} to {turn.end:g} s"
        if not -off <= turn.start <= turn.end <= truth.seconds + off:
            yield Wrong("mistimed", f"{span} of {truth.seconds:g} s")
        elif turn.inferred:
            if turn.after is not None and not _is_within(turn.start, turn.after, off, interims=interims):
                yield Wrong("mistimed", f"{span} was inferred from what was said at another time")
        else:
            begins_voice = bisect_right(starts, turn.start + off) > bisect_right(ends, turn.start - off)
            if not (_is_near(turn.start, starts, off) or (cut and begins_voice)):
                yield Wrong("mistimed", f"{span} begins where no word does")
            # A final can have ended it, where nobody knows when its words were, or another link hears them again.
            if not (again or truth.imperfection.no_times or _is_near(turn.end, ends, off)):
                yield Wrong("mistimed", f"{span} ends where no word does")
            # What was ended in mid-speech is told from its start again, where another link hears it again.
            if turn.start < before - (off if again else 0.0) or (turn.start == before and not again):
                yield Wrong("turns", f"{span} comes after one from {before:g} s")
            before = turn.start


def _is_near(time: float, times: Sequence[float], off: float) -> bool:
    at = bisect_left(times, time - off)
    return at < len(times) and times[at] <= time + off


def _is_within(time: float, told: Told, off: float, *, interims: bool) -> bool:
    """Whether a start can be inferred from a transcript: if the interim was not kept, it is not the one told next."""
    start = -math.inf if told.start is None else told.start - off
    end = math.inf if told.end is None or not interims else told.end + off
    return start <= time <= end
