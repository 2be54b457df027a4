"""Speech without a voice: audio whose samples say which word they are, and the truth of what is to be heard in it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import partial, reduce
from typing import ClassVar

import msgspec

from smallest_proto.errors import ConfigurationError
from smallest_proto.reading import Word
from smallest_proto.server.imperfection import Imperfection
from smallest_proto.server.recogniser import CodedRecogniser, RecogniserFactory, coded_speech
from smallest_proto.server.synthesiser import word_number
from smallest_proto.values import Value

__all__ = ["WORDS", "Speech", "Truth", "join", "letters_of", "speech"]

_spelled: dict[int, str] = {}  # what was last said by each number: a recogniser spells it as it was written


class Truth(Value, frozen=True, kw_only=True):
    """What was said, for ``judge``: the words with their times, in seconds of the stream.

    ``imperfection`` is what the service made of it: a word may be off as far as the service was. ``finalized``: where
    the application called ``finalize``, in seconds of the stream, if it is known; a word that is cut there may come in
    two parts, and each call has one answer.
    """

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"words"})

    words: tuple[Word, ...]
    seconds: float
    imperfection: Imperfection = Imperfection()
    finalized: tuple[float, ...] | None = None

    @property
    def text(self) -> str:
        """All the words."""
        return " ".join(word.text for word in self.words)

    def then(self, part: Speech) -> Truth:
        """The truth when ``part`` is said after this, at whatever sample rate."""
        words = (
            Word(text=word.text, start=self.seconds + (word.start or 0.0), end=self.seconds + (word.end or 0.0))
            for word in part.truth.words
        )
        return msgspec.structs.replace(self, words=(*self.words, *words), seconds=self.seconds + part.seconds)


class Speech(Value, frozen=True, kw_only=True):
    """Coded audio, linear16 of one channel, and what is to be heard in it."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"pcm"})

    pcm: bytes
    sample_rate: int  # Hz
    truth: Truth

    @property
    def text(self) -> str:
        """All the words."""
        return self.truth.text

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.truth.seconds

    @property
    def recogniser(self) -> RecogniserFactory:
        """Hears it, for ``LocalServer(recogniser=...)`` and ``MemoryNetwork``: any speech, not this alone."""
        return WORDS


def speech(*script: str | float, sample_rate: int = 16000, gap: float = 0.05) -> Speech:
    """Coded audio of ``script``: texts, whose words are said one after the other, and pauses in seconds.

    ``speech("hello world", 0.8, "how are you", 1.0)``. Between two words of a text there is a ``gap`` of silence
    (seconds, may be 0). A word lasts from 0.12 to 0.4 s. Punctuation is no part of a word. End in a pause of a second,
    so that a service hears that the last sentence is over. ``CodedSynthesiser`` says a word as this does.

    Raises ``ConfigurationError`` for a pause that cannot be, a word without a letter, and two words that sound alike
    (one pair in 16,000 does).
    """
    numbers: list[int | float] = []
    texts: list[str] = []
    for item in script:
        if isinstance(item, str):
            texts += item.split()
            numbers += map(_number_of, item.split())
        else:
            numbers.append(float(item))
    _check_different(texts)
    made = coded_speech(numbers, sample_rate=sample_rate, gap=gap)
    words = tuple(
        Word(text=text, start=word.start / sample_rate, end=word.end / sample_rate)
        for text, word in zip(texts, made.words, strict=True)
    )
    return Speech(pcm=made.pcm, sample_rate=sample_rate, truth=Truth(words=words, seconds=made.seconds))


def join(parts: Iterable[Speech]) -> Truth:
    """What is to be heard when ``parts`` are given one after the other, at whatever sample rates."""
    return reduce(Truth.then, parts, Truth(words=(), seconds=0.0))


def letters_of(text: str) -> str:
    """What of a word counts: its letters, marks and digits in lower case, and a "?" before one: a part is lost."""
    one_way = unicodedata.normalize("NFC", text.casefold())  # an accent is a mark of its own, or part of its letter
    kept = "".join(c for c in one_way if c == "?" or unicodedata.category(c)[0] in "LMN")
    return re.sub(r"\?+(?=\?|$)", "", kept)


def _number_of(text: str) -> int:
    number = word_number(text)
    if number is None:
        raise ConfigurationError(f"there is nothing to be said in {text[:40]!r}: a word needs a letter or a digit")
    if text != f"w{number}":
        _spelled[number] = text
    return number


def _check_different(texts: Iterable[str]) -> None:
    first: dict[int, str] = {}
    for text in texts:
        other = first.setdefault(_number_of(text), text)
        if letters_of(other) != letters_of(text):
            raise ConfigurationError(f"{other!r} and {text!r} sound alike in coded audio: say another word")


def _spelling(number: int) -> str:
    return _spelled.get(number, f"w{number}")


# A recogniser of all that ``speech`` says, for each link one.
WORDS: RecogniserFactory = partial(CodedRecogniser, spelling=_spelling)
