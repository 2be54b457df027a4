"""What the service's side needs of a synthesiser, and one that needs no model: for tests, yours and ours.

``CodedSynthesiser`` speaks *coded audio* (``recogniser.py``): samples that say which word they belong to and where in
it they are. So a test can count words in audio exactly, and a ``CodedRecogniser`` hears what was spoken.
"""

from __future__ import annotations

import re
from binascii import crc32
from collections.abc import Callable, Iterator
from typing import ClassVar, Protocol, TypeAlias

from smallest_proto.checks import check_number
from smallest_proto.errors import ConfigurationError
from smallest_proto.reading import Word
from smallest_proto.values import Value

from .recogniser import MAX_CODED_WORD, coded_speech

__all__ = [
    "CodedSynthesiser",
    "SpokenPiece",
    "Synthesiser",
    "SynthesiserFactory",
    "joined",
    "sentence_end",
    "word_number",
]

FIRST_HASHED_WORD = 16384  # words that are not written w0, w1, ... have numbers from here to 32766

_PAUSE = 0.05  # seconds after each coded word
_NAME = re.compile(r"w(\d{1,5})")
_SENTENCE_END = re.compile(r"[.!?…।。][\"'”’»)\]]*\s")
_ENDED = re.compile(r"(?:\w\w\.|[!?…।。])[\"'”’»)\]]*\Z")  # "U." and "e.g." may go on
_AROUND = re.compile(r"^[\W_]+|[\W_]+$")


class SpokenPiece(Value, frozen=True, kw_only=True):
    """One piece of speech, a sentence as a rule."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset(("pcm", "words"))

    pcm: bytes  # linear16, mono
    seconds: float
    words: tuple[Word, ...]  # as they stand in the text ("19", "over."), with times from the start of this piece


class Synthesiser(Protocol):
    """Speaks. It may be slow: a host calls it on any thread, and several texts may be under way at once."""

    def speak(self, text: str, *, sample_rate: int, speed: float = 1.0) -> Iterator[SpokenPiece]:
        """Speak ``text`` piece by piece, at ``sample_rate`` Hz and ``speed`` times the natural pace (0.5 to 2).

        Raises ``ConfigurationError`` at once for text with nothing to say.
        """
        ...


SynthesiserFactory: TypeAlias = Callable[[], Synthesiser]


class CodedSynthesiser:
    """Speaks coded audio, sentence by sentence: ``w17`` is the coded word 17, any other word has ``word_number``.

    Every word is followed by 50 ms of silence, divided by ``speed``; words themselves last as long at any speed. So the
    audio of a text is that of its words one after the other, however the text is cut (between words).
    """

    def speak(self, text: str, *, sample_rate: int, speed: float = 1.0) -> Iterator[SpokenPiece]:
        check_number("speed", speed, 0.5, 2, "1 is the natural pace")
        sentences = [spoken for sentence in _sentences(text) if (spoken := _numbered(sentence))]
        if not sentences:
            raise ConfigurationError("the text holds nothing that can be said: no words, no numbers")
        return (_speech(sentence, sample_rate, _PAUSE / speed) for sentence in sentences)


def word_number(word: str) -> int | None:
    """The number of a word in coded audio, or ``None`` for one without letters and digits.

    Neither case nor what stands around a word counts: ``w17``, ``W17,`` and ``(w17)`` are 17. Words that are not
    written so have a number from 16384 to 32766 that depends on their letters alone.
    """
    name = _AROUND.sub("", word).casefold()
    if (written := _NAME.fullmatch(name)) and int(written[1]) <= MAX_CODED_WORD:
        return int(written[1])
    letters = name.encode("utf-8", "replace")
    return FIRST_HASHED_WORD + crc32(letters) % (MAX_CODED_WORD + 1 - FIRST_HASHED_WORD) if name else None


def joined(text: str, more: str) -> str:
    """Text and the next fragment of it. Where a sentence ended and another begins a blank stands between them.

    Pipecat's service sends whole sentences with none, and what is said is "you? The", not "you?The".
    """
    begins = more[:1].isalpha() and not more[:1].islower()
    return f"{text} {more}" if begins and _ENDED.search(text) else text + more


def sentence_end(text: str) -> int:
    """How much of ``text`` is whole sentences: up to and with the last sign of an end that a blank follows."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return ends[-1] if ends else 0


def _sentences(text: str) -> Iterator[str]:
    at = 0
    for match in _SENTENCE_END.finditer(text):
        yield text[at : match.end()]
        at = match.end()
    yield text[at:]


def _numbered(sentence: str) -> list[tuple[str, int]]:
    return [(word, number) for word in sentence.split() if (number := word_number(word)) is not None]


def _speech(words: list[tuple[str, int]], sample_rate: int, pause: float) -> SpokenPiece:
    coded = coded_speech([item for _, number in words for item in (number, pause)], sample_rate=sample_rate)
    return SpokenPiece(
        pcm=coded.pcm,
        seconds=coded.seconds,
        words=tuple(
            Word(text=text, start=place.start / sample_rate, end=place.end / sample_rate)
            for (text, _), place in zip(words, coded.words, strict=True)
        ),
    )
