"""The text of one segment: it comes in tokens, is sent in whole words, and is known to be spoken word by word."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from smallest_proto.checks import whole_text

from .pieces import pieces_of

_JOINS = "\u00a0\u2007\u202f"  # white space where text may not be cut
_STOPS = "。！？，、；：।"  # signs after which it may, as the scripts that use them have no white space
_IN_NUMBERS = "，："  # not after these if a digit stands before: 10：30
_WORD = re.compile(r"[^\W_]|[$€£¥￥₹%％+=°&@#]")  # there is something to say
_TRAIL = re.compile(r"[.,;:!?…。！？，、；：।)\]}\"'”’»]*(?=\s|\Z)")  # what belongs to the word before it
_LETTER = re.compile(r"[^\W_]")
_SYLLABLE = re.compile("[\u2e80-\uffdc]")
_LETTERS = "[^\\s\u2e80-\uffdc]*"  # of a script that has blanks between words
_TOKEN = re.compile(f"[\u2e80-\uffdc](?<={_WORD.pattern})|{_LETTERS}?(?:{_WORD.pattern}){_LETTERS}")
_INSIDE = re.compile("[^\\W\u2e80-\uffdc]{2}")  # between two such letters no word begins or ends
_MOST_SKIPPED = 8  # words in a row that are spoken otherwise than written: "$1,234,567.89" is one
_FARTHEST = 400  # characters from one word that the service names to the next
_ENDED = re.compile(r"[.!?…。！？।][\"'”’»)\]]*\s*\Z")


NOTHING_TO_SAY = "the text holds nothing that can be said: no words, no numbers"


def says_something(text: str) -> bool:
    """Whether there is a word or a number in it, or a sign that is read as a word."""
    return _WORD.search(text) is not None


class Place(NamedTuple):
    """Where a word that the service named is in the text."""

    end: int | None  # of the word, with the signs that belong to it; None: that is not known, or not yet
    written: str  # the word as it reads there, with what stands between the one before it and it


class Script:
    """Positions are characters of ``text``.

    ``begin`` is where the present link starts, ``sent`` the end of what it was sent, ``timed`` the end of the last word
    that it gave the time of, and ``spoken`` that of the last word whose audio has been given out whole.
    """

    __slots__ = (
        "_counted",
        "_guess",
        "_half",
        "_searched",
        "_unplaced",
        "begin",
        "closed",
        "sent",
        "spoken",
        "text",
        "timed",
    )

    def __init__(self) -> None:
        self.text = ""
        self.closed = False  # no more of it comes
        self.begin = self.sent = self.timed = self.spoken = 0
        self._half = ""  # of a surrogate pair: tokens of language models can end within one
        self._searched = 0  # before this the text cannot be cut, except in front of its first word
        self._counted = (0, 0, 0)  # timed and sent when the letters between were counted last, and their number
        self._unplaced = 0  # words since ``timed`` that are not in the text
        self._guess: int | None = None  # the end of the last of them, if it stands a little later in the text

    @property
    def length(self) -> int:
        """Characters that were given."""
        return len(self.text) + len(self._half)

    def add(self, text: str) -> None:
        """More of it comes."""
        text = self._half + text
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        self.text += whole_text(text[: len(text) - len(self._half)])

    def close(self) -> None:
        """No more of it comes."""
        self.text += whole_text(self._half)
        self._half = ""
        self.closed = True

    @property
    def speechless(self) -> bool:
        """Whether it has signs, such as an emoji, and nothing that can be spoken. Signs of a pause do not count."""
        return self.wordless(0) and any(unicodedata.category(sign) == "So" for sign in self.text)

    def wordless(self, start: int) -> bool:
        """Whether the text so far has nothing to speak after ``start``."""
        return _WORD.search(self.text, start) is None

    def wordless_sent(self, start: int) -> bool:
        """The same of what was sent."""
        return _WORD.search(self.text, start, self.sent) is None

    def fragments(self) -> Iterator[str]:
        """What to send now: whole words with the white space around them. From now on it counts as sent."""
        while (end := self._cut()) > self.sent:
            for piece in pieces_of(self.text[self.sent : end]):
                self.sent += len(piece)
                yield piece
        self._searched = len(self.text)

    def restart(self) -> None:
        """The next link begins after the last word that was spoken."""
        self.begin = self.sent = self.timed = self._searched = self.spoken
        self._unplaced, self._guess = 0, None

    def follow(self, word: str) -> Place:
        """The service named ``word``. As a rule it is the next word of the text.

        It can also be spoken otherwise than written ("five dollars" for "$5"). Then no place is known until two words
        in a row are in the text again, no further on than such words can have led.
        """
        start = self.timed if self._guess is None else self._guess
        index = self._find(word, start)
        certain = not self._unplaced or self._guess is not None
        if certain and index >= 0 and _WORD.search(self.text, start, index) is None:
            self.timed = self._end(index + len(word))
            self._guess, self._unplaced = None, 0
            return Place(self.timed, self.text[start : self.timed])
        index = self._search(word) if self._unplaced else -1
        self._guess = self._end(index + len(word)) if index >= 0 else None
        self._unplaced += 1
        if self._guess is not None:
            skipped = self.text[self.timed : index]
            return Place(None, skipped[len(skipped.rstrip()) :] + self.text[index : self._guess])
        if self._unplaced > 1:
            return Place(None, word if _SYLLABLE.match(word) else f" {word}")
        written = _WORD.search(self.text, self.timed, self.sent)
        return Place(None, self.text[self.timed : written.start() if written else self.timed] + word)

    @property
    def all_timed(self) -> bool:
        """Whether the service gave the time of the last word of the text."""
        return self.wordless(self.timed)

    @property
    def perhaps_all_timed(self) -> bool:
        """The same, or the time of a word that can be it: no other one follows that would confirm it."""
        return self.all_timed or (self._guess is not None and self.wordless(self._guess))

    def _search(self, word: str) -> int:
        """Where ``word`` is, with no more unknown words before it than the service named; or -1."""
        most = min(self._unplaced, _MOST_SKIPPED)
        index = self._find(word, self.timed)
        while index >= 0 and len(_TOKEN.findall(self.text, self.timed, index)) <= most:
            before, after = self.text[index - 1 : index], self.text[index + len(word) : index + len(word) + 1]
            if not _INSIDE.fullmatch(before + word[:1]) and not _INSIDE.fullmatch(word[-1:] + after):
                return index
            index = self._find(word, index + 1)
        return -1

    def _find(self, word: str, start: int) -> int:
        return self.text.find(word, start, min(self.sent, self.timed + _FARTHEST + len(word)))

    def _end(self, end: int) -> int:
        """The end of a word, with the signs that belong to it."""
        trail = _TRAIL.match(self.text, end, self.sent)
        return end if trail is None else trail.end()

    @property
    def untimed(self) -> int:
        """Letters and digits that were sent and have no time yet.

        A sign of a script that writes a syllable with it counts for three.
        """
        if self._counted[:2] != (self.timed, self.sent):  # it is asked for with each piece of audio
            text = self.text[self.timed : self.sent]
            letters = len(_LETTER.findall(text)) + 2 * len(_SYLLABLE.findall(text))
            self._counted = self.timed, self.sent, letters
        return self._counted[2]

    def _cut(self) -> int:
        """The end of the text that may be sent: that of the last whole word."""
        start, end = self.sent, len(self.text) if self.closed else self._last_break
        if _WORD.search(self.text, start, end) is not None:
            return end
        tail = self.closed and self._unended and not self.text[start:end].isspace()
        return end if tail else start  # else it goes with the word after it

    @property
    def _unended(self) -> bool:
        """Whether a sentence was sent without its end, which can stand apart from its last word."""
        return self.sent > self.begin and _ENDED.search(self.text, self.begin, self.sent) is None

    @property
    def _last_break(self) -> int:
        """The last place where the unsent text may be cut, or 0."""
        text = self.text
        for at in range(len(text) - 1, max(self.sent, self._searched) - 1, -1):
            sign = text[at]
            if sign in _STOPS and not (sign in _IN_NUMBERS and text[at - 1 : at].isdigit()):
                return at + 1
            if sign.isspace() and sign not in _JOINS:
                return at + 1
        return 0
