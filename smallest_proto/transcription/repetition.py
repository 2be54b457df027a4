"""What a new link hears again, and how to tell it from what is new.

A new link begins before the watermark, so it hears words that are final already. A recogniser does not hear the same
audio the same way twice: times differ by some 100 ms, spelling, case and the number of words change, a word at the
start is cut. The times show what is a repetition; the text decides where they are too close. Where words have no times,
only the text is left. A word told twice is better than a word lost, so only what is surely the same is removed.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import ClassVar

from smallest_proto.reading import Word
from smallest_proto.values import Value

# Chinese, Japanese, Thai, Lao, Khmer and Burmese are written without blanks: there each character counts as a word.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_words = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")

REMEMBERED = 500  # words: more than fit into the audio that is held for replay
REACH = 0.3  # seconds between the middles of a word heard twice: both times are off by up to 0.1, and by the word's cut
_CUT = 0.15  # seconds that a word can end later when heard again; if more, it was cut the first time
_EDGE = 0.05  # seconds by which the middle of the last word can be told to lie behind its end: of the shortest words
_TWICE = 0.2  # seconds between the middles of two words that a doubled final has at the same place
_AT_ONCE = 0.03  # seconds between the starts of a part of a word that came twice; of a whole word twice that
_SURE = 3  # this many equal words in a row are no coincidence
_CLEAR = 0.25  # share of the letters that may differ when the same words are heard twice
_FEWEST = 8  # letters: in a shorter text one difference makes another word
_MOST_CELLS = 40_000  # cells of an alignment of letters: some milliseconds of work


class Known(Value, frozen=True, gc=False):
    """A word that is final."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    text: str  # normalised
    start: float | None  # stream seconds; None where words have no times
    end: float | None
    cut: bool = False  # a finalize came in the middle of it: this is a part of a word

    @property
    def middle(self) -> float | None:
        return None if self.start is None or self.end is None else (self.start + self.end) / 2


@lru_cache(maxsize=4096)
def _normalised(word: str) -> str:
    if word.isascii():
        return word.lower() if word.isalnum() else "".join(filter(str.isalnum, word)).lower()
    folded = unicodedata.normalize("NFKC", word).casefold()
    # Letters, marks and digits: vowel signs are marks, and words of Devanagari or Tamil differ by them alone.
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LMN")


def normalised(text: str) -> list[str]:
    """The words of ``text`` without case and punctuation, which two hearings of the same audio need not share."""
    return [_normalised(word) for word in _words.findall(text)]


@lru_cache(maxsize=4096)
def known_as(word: str) -> str:
    """A word of the service in the letters that two hearings of it share; it can hold blanks."""
    return "".join(normalised(word))


def without_words(text: str, count: int) -> str:
    """``text`` without its first ``count`` words."""
    if not count:
        return text
    words = list(_words.finditer(text))
    return text[words[count].start() :] if count < len(words) else ""


def same_again(known: Sequence[Known], words: Sequence[Word], *, soon: bool = True) -> int:
    """How many of the first words repeat the end of the last final on the same link.

    A final can come twice, when a finalize races the end of an utterance. It has the same words at the same times.
    ``soon``: it comes so soon after the last one that it can be the same part of a word that a finalize cut.
    """
    if not known or not words or (known[-1].cut and not soon):
        return 0
    first = words[0]
    if (known[-1].end or math.inf) < (first.start or 0.0) - _TWICE:  # as a rule: all of it comes after the last word
        return 0
    for count in range(min(len(known), len(words)), 0, -1):
        alone = count == 1
        if _same_place(known[-count], first, alone=alone) and all(
            _same_place(known[at - count], words[at], alone=alone) for at in range(1, count)
        ):
            return count
    return 0


def _same_place(known: Known, word: Word, *, alone: bool) -> bool:
    middle, at = known.middle, _middle(word)
    if middle is None or at is None or known.text != _normalised(word.text):
        return False
    if alone:  # "no, no": a short word can be said twice in a row, and a word that was cut goes on at once
        apart = abs((known.start or 0.0) - (word.start or 0.0))
        return apart <= (min(_AT_ONCE, ((known.end or 0.0) - (known.start or 0.0)) / 2) if known.cut else 2 * _AT_ONCE)
    return abs(middle - at) <= _TWICE


class Repetition:
    """What one link will still hear again: ``known`` words in order, said before ``until`` (stream seconds).

    Those with an end lie in the margin before that: the link may have begun after some of them, or in the middle of
    one. ``whole``: it began before all of them.
    """

    __slots__ = ("_known", "_until", "_whole")

    def __init__(self, known: Iterable[Known] = (), until: float = 0.0, *, whole: bool = True) -> None:
        self._known = deque(known)
        self._until = until
        self._whole = whole

    @property
    def over(self) -> bool:
        """Whether all of it was heard again."""
        return not self._known

    @property
    def part(self) -> Known | None:
        """The part of a word that it begins after, where a finalize cut one: it hears that word whole."""
        return self._known[-1] if self._known and self._known[-1].cut else None

    def timed(self, words: Sequence[Word]) -> int:
        """How many words of a final, from the first on, are repetitions. Every word has times."""
        if not self._known:
            return 0
        if any(known.end is None for known in self._known):
            return self._timed_by_text(words)
        known = list(self._known)
        near = [w for w in words if (w.start or 0.0) + (w.end or 0.0) < 2 * (self._until + REACH)]
        if not near:
            self._known.clear()
            return 0
        heard, again = _aligned(known, near, self._until)
        count = again
        if heard < len(known):  # the last of them was heard otherwise, or not yet
            end = known[-1].start if known[-1].cut and known[-1].start is not None else self._until
            last = known[-1]
            count = max(count, sum(_before(word, end) and not _goes_on(word, last, end) for word in near))
        for _ in range(heard):
            self._known.popleft()
        if count < len(words):
            self._known.clear()  # what follows is new
        return count

    def _timed_by_text(self, words: Sequence[Word]) -> int:
        """The same where what is known has no times: an earlier final came without them."""
        lengths = [len(normalised(word.text)) for word in words]
        again, count = self.text(" ".join(word.text for word in words), final=True), 0
        if again < sum(lengths):
            self._known.clear()  # what follows is new
        while count < len(words) and lengths[count] <= again:
            again -= lengths[count]
            count += 1
        return count

    def text(self, text: str, *, final: bool) -> int:
        """How many words of a text without times, from the first on, are repetitions. A ``final`` is not said again."""
        expected, heard = [known.text for known in self._known], normalised(text)
        if not any(expected) or not any(heard):
            return 0
        margin = 0 if self._whole else sum(1 for _ in takewhile(lambda known: known.end is not None, self._known))
        count, letters = _exact(expected, heard, margin)
        if not count:
            count, letters = _alike("".join(expected[margin:]), heard)
        if final and count == len(heard):
            self._forget(letters)
        elif final and count:
            self._known.clear()  # what follows is new
        return count

    def _forget(self, letters: int) -> None:
        """This many letters of the known words were heard again."""
        while self._known and letters >= len(self._known[0].text):
            letters -= len(self._known.popleft().text)
        if self._known and letters:
            self._known[0] = Known(self._known[0].text[letters:], None, None)


def _before(word: Word, end: float) -> bool:
    """Whether most of a word was said before ``end``, and what is after it is within the error of its times."""
    middle = _middle(word)
    return middle is not None and middle < end and (word.end or 0.0) <= end + _CUT


def _goes_on(word: Word, known: Known, until: float) -> bool:
    """Whether a word is written as one with the word after it, which is new: "can" was final, and "cannot" comes."""
    text = _normalised(word.text)
    return (word.end or 0.0) > until + _EDGE and len(text) > len(known.text) > 0 and text.startswith(known.text)


def _middle(word: Word) -> float | None:
    return None if word.start is None or word.end is None else (word.start + word.end) / 2


def _likeness(known: Known, word: Word, until: float) -> float:
    """How well a word can be another hearing of a known one: 0 if it cannot, at most 2.

    One that lies beyond ``until`` can be by its text alone: it is new, or a finalize had cut the known one off it.
    """
    middle, at = known.middle, _middle(word)
    same = float(known.text == _normalised(word.text))
    beyond = at is None or at > until + _EDGE or (word.end or 0.0) > until + _CUT
    if not same and (known.cut or beyond or _goes_on(word, known, until)):
        return 0.0
    if middle is None or at is None:
        return same
    apart = abs(middle - at)
    return 1.0 - apart / REACH + same if apart < REACH else 0.0


def _aligned(known: Sequence[Known], words: Sequence[Word], until: float) -> tuple[int, int]:
    """The best match of two rows of words in order: how many of each lie before the end of its last pair."""
    # best[k][w]: of the first k known words and the first w heard ones.
    best = [[0.0] * (len(words) + 1) for _ in range(len(known) + 1)]
    for k, one in enumerate(known):
        above, row = best[k], best[k + 1]
        for w, other in enumerate(words):
            like = _likeness(one, other, until)
            row[w + 1] = max(above[w + 1], row[w], above[w] + like if like else 0.0)
    k, w = len(known), len(words)
    while k and w:
        here = best[k][w]
        if here == best[k - 1][w]:
            k -= 1
        elif here == best[k][w - 1]:
            w -= 1
        else:
            return k, w
    return 0, 0


def _exact(expected: Sequence[str], heard: Sequence[str], margin: int) -> tuple[int, int]:
    """How ``heard`` repeats ``expected`` letter for letter: how many words of it do, and how many letters are done.

    From the first expected word on, or from one of the first ``margin`` ones, which may not be heard; or from a later
    one on with at least three words.
    """
    for skipped in range(len(expected)):
        again = "".join(expected[skipped:])
        before = sum(map(len, expected[:skipped]))
        # The first word is cut where a link begins in the middle of it.
        for cut in (False, True):
            words = [expected[skipped], *heard[1:]] if cut else heard
            said, ends = "".join(words), _ends(words)
            if again.startswith(said):
                count, letters = len(heard), len(said)
            elif said.startswith(again) and len(again) in ends:
                count, letters = ends[len(again)], len(again)
            else:
                continue
            if (skipped <= margin or count >= _SURE) and (not cut or count > 1):
                return count, before + letters
    return 0, 0


def _alike(again: str, heard: Sequence[str]) -> tuple[int, int]:
    """The same where two hearings differ in some letters: in numbers, or words that sound alike."""
    said = "".join(heard)
    complete = len(again) <= 2 * len(said) + 20
    again = again[: 2 * len(said) + 20]
    ends = _ends(heard)
    best, found = _CLEAR, (0, 0)
    if len(said) * len(again) > _MOST_CELLS or min(len(said), len(again)) < _FEWEST:
        return found
    row = list(range(len(again) + 1))  # the edit distances of what was said so far to each beginning of ``again``
    for at, letter in enumerate(said, 1):
        before, row[0] = row[0], at
        for n, other in enumerate(again, 1):
            before, row[n] = row[n], min(row[n] + 1, row[n - 1] + 1, before + (letter != other))
        if at not in ends or at < _FEWEST:
            continue
        if complete and row[-1] / len(again) < best:  # all that is expected was heard again by here
            best, found = row[-1] / len(again), (ends[at], len(again))
        if at == len(said) and at < len(again):  # or all that was heard is a beginning of it
            done = min(range(at // 2, len(again) + 1), key=row.__getitem__)
            if row[done] / at < best:
                found = len(heard), done
    return found


def _ends(words: Sequence[str]) -> dict[int, int]:
    """For each number of letters at which a word ends, how many words that are."""
    ends, letters = {}, 0
    for count, word in enumerate(words, 1):
        letters += len(word)
        ends[letters] = count
    return ends
