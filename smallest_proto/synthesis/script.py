"""The text of one segment: given token by token, sent in whole words, known to be spoken word by word."""

from __future__ import annotations

import re
from collections.abc import Iterator

from smallest_proto.checks import whole_text

_JOINS = "\u00a0\u2007\u202f"  # white space where text may not be cut
_STOPS = "。！？，、；：।"  # signs after which it may, as the scripts that use them have no white space
_IN_NUMBERS = "，："  # not after these if a digit stands before: 10：30
_WORD = re.compile(r"[^\W_]|[$€£¥₹%+=°&@#]")  # there is something to say
_TRAIL = re.compile(r"[.,;:!?…。！？，、；：।)\]}\"'”’»]*(?=\s|\Z)")  # what belongs to the word before it
_LETTER = re.compile(r"[^\W_]")
_SYLLABLE = re.compile("[\u2e80-\uffdc]")
_SENTENCE = re.compile(r"[.!?…]+(?=[\"'”’»)\]]*(?:\s|\Z))|[。！？।]+")
_ENDED = re.compile(r"[.!?…。！？।][\"'”’»)\]]*\s*\Z")


class Script:
    """Positions are characters of ``text``.

    ``begin`` is where the present link starts, ``sent`` the end of what it was sent, ``told`` the end of the last word
    that it gave the time of, and ``spoken`` that of the last word whose audio has been given out whole.
    """

    __slots__ = ("_counted", "_half", "_searched", "astray", "begin", "closed", "sent", "spoken", "text", "told")

    def __init__(self) -> None:
        self.text = ""
        self.closed = False  # no more of it comes
        self.begin = self.sent = self.told = self.spoken = 0
        self._half = ""  # of a surrogate pair: tokens of language models can end within one
        self._searched = 0  # up to there the text has no place where it may be cut, but such as no word stands before
        self._counted = (0, 0, 0)  # told and sent when the letters between were counted last, and their number
        self.astray = False  # the service told of a word that is not the next one: its words prove nothing any more

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

    def wordless(self, start: int) -> bool:
        """Whether nothing can be said of what follows ``start``, as far as it is given."""
        return _WORD.search(self.text, start) is None

    def fragments(self) -> Iterator[str]:
        """What is to be sent now: whole words with the white space around them. It counts as sent."""
        while (end := self._cut()) > self.sent:
            start, self.sent = self.sent, end
            yield self.text[start:end]
        self._searched = len(self.text)

    def restart(self) -> None:
        """The next link begins after the last word that was spoken."""
        self.begin = self.sent = self.told = self._searched = self.spoken
        self.astray = False

    def follow(self, word: str) -> int | None:
        """The end of ``word``, if it is the next one of the text; ``None`` if it is not, now and ever after."""
        found = -1 if self.astray else self.text.find(word, self.told, self.sent)
        if found < 0 or _WORD.search(self.text, self.told, found):
            self.astray = True
            return None
        end = found + len(word)
        trail = _TRAIL.match(self.text, end, self.sent)
        self.told = end if trail is None else trail.end()
        return self.told

    @property
    def untold(self) -> int:
        """Letters and digits that were sent and whose time the service has not told.

        A sign of a script that writes a syllable with it counts for three.
        """
        if self._counted[:2] != (self.told, self.sent):  # it is asked for with each piece of audio
            text = self.text[self.told : self.sent]
            letters = len(_LETTER.findall(text)) + 2 * len(_SYLLABLE.findall(text))
            self._counted = self.told, self.sent, letters
        return self._counted[2]

    @property
    def sentences(self) -> int:
        """How many sentences the present link was sent."""
        sent = self.text[self.begin : self.sent]
        return len(_SENTENCE.findall(sent)) + (_ENDED.search(sent) is None)

    def _cut(self) -> int:
        """Up to where text may be sent: the end of the last whole word."""
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
