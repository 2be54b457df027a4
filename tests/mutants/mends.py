"""What is taken back: each function puts there what was, before "nothing said is lost" held for real recognisers."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

import msgspec

from smallest_proto import watching
from smallest_proto.timers import Timer
from smallest_proto.transcription import course, liveness, receiving, repetition, replay, sending


class Patches:
    """Attributes that are other ones for a while."""

    def __init__(self) -> None:
        self._set: list[tuple[Any, str, Any, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        """``owner.name`` is ``value`` until the end."""
        self._set.append((owner, name, getattr(owner, name), value))
        setattr(owner, name, value)

    def wrap(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """``owner.name`` is what ``make`` makes of it."""
        self.set(owner, name, make(getattr(owner, name)))

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Everything is as it is, for a while."""
        self.end()
        yield
        for owner, name, _, value in self._set:
            setattr(owner, name, value)
        forget_words()

    def end(self) -> None:
        """Everything is as it is."""
        for owner, name, was, _ in reversed(self._set):
            setattr(owner, name, was)
        forget_words()


_CACHES = (repetition._normalised, repetition.known_as)


def forget_words() -> None:
    for cache in _CACHES:
        cache.cache_clear()


@contextmanager
def patches() -> Iterator[Patches]:
    """What is set within ends with it."""
    patch = Patches()
    forget_words()
    try:
        yield patch
    finally:
        patch.end()


def exact_times(patch: Patches) -> None:
    """What ends by the watermark is heard again, to the millisecond; all else is new."""

    def timed(self: Any, words: Sequence[Any]) -> int:
        again = sum(1 for _ in takewhile(lambda word: (word.end or 0.0) <= self._until + 1e-3, words))
        if again < len(words):
            self._known.clear()
        return again

    patch.set(repetition.Repetition, "timed", timed)


def no_margin(patch: Patches) -> None:
    """A new link begins where the last final word ended."""

    def beginning(self: Any, watermark: int) -> int:
        return next((chunk.start for chunk in self.chunks if chunk.end > watermark), watermark)

    patch.set(replay.ReplayBuffer, "beginning", beginning)


def cut_is_whole(patch: Patches) -> None:
    """A word that a finalize cut is final to its end."""
    patch.set(receiving, "is_cut", lambda *_: False)


def answer_moves_at_once(patch: Patches) -> None:
    """Whatever answers a finalize makes all before it final."""

    def settle(_: Any, position: int, sender: Any, __: float) -> None:
        sender._timeline.watermark = max(sender._timeline.watermark, position)

    patch.set(receiving, "may_settle", settle)


def repeats_move(patch: Patches) -> None:
    """An answer that says nothing new makes all that was sent final."""

    def make(final: Any) -> Any:
        def taken(self: Any, cursor: Any, message: Any, *rest: Any) -> None:
            before = self.timeline.watermark
            final(self, cursor, message, *rest)
            if message.from_finalize and message.text and self.timeline.watermark == before:
                self.timeline.watermark = max(before, cursor.sent)

        return taken

    patch.wrap(receiving.Receiver, "final", make)


def formats_share_words(patch: Patches) -> None:
    """Words of one audio format count as said before in the next."""

    def make(use: Any) -> Any:
        def used(self: Any, *args: Any) -> None:
            known = list(self._known) if hasattr(self, "_known") else []
            use(self, *args)
            if known and not self._known:
                said = [msgspec.structs.replace(word, start=None, end=None) for word in known]
                self._known.extend(said)
                self._repetition = repetition.Repetition(said, math.inf, whole=True)

        return used

    patch.wrap(receiving.Receiver, "use", make)


def twice_is_two(patch: Patches) -> None:
    """A final that comes twice was said twice."""
    patch.set(receiving, "same_again", lambda *_, **__: 0)
    patch.set(receiving.Receiver, "_is_twice", lambda *_: False)


def label_is_needed(patch: Patches) -> None:
    """Only a labelled final answers a finalize, and none is ever given up."""

    def make(answered: Any) -> Any:
        return lambda cursor, message, *rest: (
            answered(cursor, message, *rest) if message.from_finalize else (None, None)
        )

    patch.wrap(receiving, "answered", make)
    patch.set(course.Course, "answer_due", lambda *_: None)


def silence_is_muteness(patch: Patches) -> None:
    """A link on which nothing was heard for a while is given up, whatever it was sent."""

    def make(judge: Any) -> Any:
        def judged(self: Any, link: Any, part: Any, now: float) -> Any:
            cursor = part.sender.cursor(link)
            if cursor is None or not link.serves or not link.open:
                return judge(self, link, part, now)
            due = cursor.heard_at + self.patience
            if due <= now:
                return self._links.abandon(link, liveness._MUTE, now)
            link.timers[Timer.QUIET] = due
            return None

        return judged

    patch.wrap(liveness.Liveness, "judge", make)


def probe_anywhere(patch: Patches) -> None:
    """After two seconds without a final the session asks for one, in the middle of a word too."""

    def probe(self: Any, cursor: Any, _: float) -> bool:
        end = cursor.sent
        asked = cursor.probe is not None or cursor.asked
        if asked or end - self._timeline.watermark <= self._timeline.samples(2.0):
            return False
        cursor.probe = end
        self._output.append(sending.SendText(link=cursor.link.number, text=sending.FINALIZE))
        return True

    patch.set(sending.Sender, "probe", probe)


def last_word_ends_last(patch: Patches) -> None:
    """A final ends where its last word does, though another one goes on."""
    patch.set(receiving, "_reach", lambda words: (words[0].start or 0.0, words[-1].end or 0.0))


def vowels_do_not_count(patch: Patches) -> None:
    """Words are told apart by letters and digits alone."""

    def letters(word: str) -> str:
        folded = unicodedata.normalize("NFKC", word).casefold()
        return "".join(sign for sign in folded if unicodedata.category(sign)[0] in "LN")

    patch.set(repetition, "_normalised", letters)


def pong_is_due_at_once(patch: Patches) -> None:
    """A ping is to be answered within its time, though it waits behind audio, and whatever else is heard."""

    def due(self: Any, link: Any) -> float:
        return float((link.pinged_at or 0.0) + self._timeouts.pong)

    patch.set(watching.Watch, "_pong_due", due)
