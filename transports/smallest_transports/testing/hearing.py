"""Which word of those that were said each word of a transcript is: by its letters, its time, and its neighbours."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from smallest_proto.reading import Word

from .speech import letters_of
from .told import Told


class Piece(NamedTuple):
    """A word as it was written, or a part of one."""

    word: int  # the index of the word that was said
    whole: bool
    alone: bool  # it is not written as one with another
    may_repeat: bool  # its final says so


class Timed(NamedTuple):
    """What was written as one word, whole, with its times."""

    text: str
    first: int  # the index of its first word, which begins it,
    last: int  # and of its last one, which ends it
    start: float | None
    end: float | None


class _Token(NamedTuple):
    """One word of a final: which words it can be, one after the other if several are written as one."""

    text: str
    choices: tuple[tuple[tuple[int, ...], bool], ...]  # indexes of the words, and whether it is whole
    start: float | None
    end: float | None
    told: Told
    ends: tuple[float | None, float | None]  # of its final, where it is the first word of it, or the last


class Hearing:
    """The transcripts, word by word. ``unknown`` are texts that are no word that was said, nor a part of one."""

    def __init__(self, said: Sequence[Word], told: Sequence[Told], *, respelled: bool = True) -> None:
        self.said = said
        self.pieces: list[Piece] = []
        self.timed: list[Timed] = []
        self.unknown: list[str] = []
        self._forms = _forms(said, respelled)
        self._longest = max(map(len, self._forms), default=0)
        tokens = [token for one in told if one.kind == "final" for token in self._tokens(one)]
        for token, near in zip(tokens, self._places(tokens), strict=True):
            self._take(token, near)

    def _tokens(self, told: Told) -> Iterator[_Token]:
        texts = told.text.split()
        words: Sequence[Word | None] = told.words if len(told.words) == len(texts) else [None] * len(texts)
        for at, (text, word) in enumerate(zip(texts, words, strict=True)):
            if not (letters := letters_of(text)) and "?" not in text:
                continue  # a dash between blanks
            choices = self._choices(letters)
            start, end = (None, None) if word is None else (word.start, word.end)
            ends = (told.start if at == 0 else None, told.end if at == len(texts) - 1 else None)
            if choices:
                yield _Token(text, choices, start, end, told, ends)
            else:
                self.unknown.append(text)

    def _choices(self, letters: str) -> tuple[tuple[tuple[int, ...], bool], ...]:
        """What is written so: one word, or else several as one, the longest first."""
        if letters in self._forms:
            return (self._forms[letters],)
        # From the end on, where the word that begins here can end: a text without blanks can be of any length.
        ends: dict[int, int] = {len(letters): 0}
        for begin in range(len(letters) - 1, -1, -1):
            for end in range(min(len(letters), begin + self._longest), begin, -1):
                if end in ends and letters[begin:end] in self._forms:
                    ends[begin] = end
                    break
        begin, choices = 0, []
        while begin in ends and begin < len(letters):
            choices.append(self._forms[letters[begin : ends[begin]]])
            begin = ends[begin]
        return tuple(choices)

    def _places(self, tokens: Sequence[_Token]) -> Iterator[int]:
        """For each token the index near which its word is, as the texts lie beside each other.

        It matters only where a word was said twice and the transcript has no times.
        """
        if all(len(indexes) == 1 for token in tokens for indexes, _ in token.choices):
            yield from [0] * len(tokens)
            return
        place = 0
        matches = _aligned([token.choices[0][0] for token in tokens], len(self.said))
        for at in range(len(tokens)):
            place = matches.get(at, place)
            yield place

    def _take(self, token: _Token, near: int) -> None:
        indexes: list[int] = []
        alone, whole = len(token.choices) == 1, True
        for at, (among, complete) in enumerate(token.choices):
            index = self._nearest(among, token.start if at == 0 else None, indexes[-1] + 1 if indexes else near)
            indexes.append(index)
            whole = whole and complete
            self.pieces.append(Piece(index, complete, alone, token.told.may_repeat))
        if whole and not token.told.provisional:
            self.timed.append(Timed(token.text, indexes[0], indexes[-1], token.start, token.end))
            if token.ends != (None, None):
                self.timed.append(Timed(token.text, indexes[0], indexes[-1], *token.ends))

    def _nearest(self, among: Sequence[int], time: float | None, near: int) -> int:
        """Which of these words, which are in order, is nearest to a time or else to an index; the first of two."""
        if time is None:
            after = bisect_left(among, near)
            return min(among[max(0, after - 1) : after + 1], key=lambda index: abs(index - near))
        after = bisect_left(among, time, key=self._start_of)
        return min(among[max(0, after - 1) : after + 1], key=lambda index: abs(self._start_of(index) - time))

    def _start_of(self, index: int) -> float:
        return self.said[index].start or 0.0


def _forms(said: Sequence[Word], respelled: bool) -> dict[str, tuple[tuple[int, ...], bool]]:
    """How each word can be written, in letters: whole, ``respelled`` its first twice, and as what is left of it."""
    forms: dict[tuple[str, bool], list[int]] = {}
    for index, word in enumerate(said):
        letters = letters_of(word.text)
        for form, whole in (
            (letters, True),
            (letters[:1] + letters if respelled else letters, True),
            (f"?{letters[1:]}", False),
            (f"?{letters}", False),
        ):
            places = forms.setdefault((form, whole), [])
            if places[-1:] != [index]:
                places.append(index)
    found: dict[str, tuple[tuple[int, ...], bool]] = {}
    for (form, whole), places in sorted(forms.items(), key=lambda item: item[0][1]):  # a whole word before a part
        if form not in found or whole:
            found[form] = (tuple(places), whole)
    return found


def _aligned(heard: Sequence[Sequence[int]], said: int) -> dict[int, int]:
    """As many words as can be, of those heard and those said, one each and in order: index by index.

    The longest common subsequence, with a row of the table as one integer: a bit for each word heard, the first one
    highest (Hyyrö, "Bit-parallel LCS-length computation revisited", 2004). So 10,000 words take 10,000 additions.
    """
    # Words that are written alike have the same tuple, and are many: each such kind is spread over the said words once.
    kinds: dict[int, list[int]] = {}
    for at, among in enumerate(heard):
        kinds.setdefault(id(among), []).append(at)
    last = len(heard) - 1
    fits = [0] * said  # for each word said the bits of those heard that it can be
    for places in kinds.values():
        bits = _bits([last - at for at in places], len(heard))
        for place in heard[places[0]]:
            fits[place] |= bits
    # rows[place]: from there on; a bit is 0 where the word heard adds one to what can still be had after it.
    every = (1 << len(heard)) - 1
    rows = [every] * (said + 1)
    for place in range(said - 1, -1, -1):
        row = rows[place + 1]
        found = row & fits[place]
        rows[place] = ((row + found) | (row - found)) & every
    matches: dict[int, int] = {}
    at = place = 0
    while at < len(heard) and place < said:
        if fits[place] >> last - at & 1:
            matches[at] = place
            at, place = at + 1, place + 1
        elif rows[place] >> last - at & 1:
            at += 1
        else:
            place += 1
    return matches


def _bits(which: Iterable[int], size: int) -> int:
    """An integer with these bits set."""
    found = bytearray(size // 8 + 1)
    for bit in which:
        found[bit >> 3] |= 1 << (bit & 7)
    return int.from_bytes(found, "little")
