"""What the service's side needs of a recogniser, and two that need no model: for tests, yours and ours.

``PlainRecogniser`` gives set words at set times, whatever it hears. ``CodedRecogniser`` really listens, but to *coded
audio*: PCM whose samples say which word they belong to and where in it they are. So a test can count words exactly: a
word that is missing, that came twice or that lost one sample shows in the transcript.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import ClassVar, Protocol, TypeAlias

from smallest_proto.audio import AudioFormat, ogg_page_end, opus_packet_samples
from smallest_proto.config import TranscriptionConfig
from smallest_proto.errors import ConfigurationError
from smallest_proto.reading import Word
from smallest_proto.values import Value

from .endpointing import (
    ENDPOINTING_MS,
    INTERIM_SECONDS,
    VOICE_END_SECONDS,
    WORDS_PER_FINAL,
    Endpointer,
    Heard,
    Recognised,
    VoiceEnded,
    VoiceStarted,
    pause_seconds,
    words_limit,
)

__all__ = [
    "DAMAGED",
    "ENDPOINTING_MS",
    "INTERIM_SECONDS",
    "MAX_CODED_WORD",
    "VOICE_END_SECONDS",
    "WORDS_PER_FINAL",
    "CodedRecogniser",
    "CodedSpeech",
    "CodedWord",
    "Heard",
    "PlainRecogniser",
    "Recognised",
    "Recogniser",
    "RecogniserFactory",
    "VoiceEnded",
    "VoiceStarted",
    "coded_speech",
    "pause_seconds",
    "words_limit",
]

DAMAGED = "?"  # marks a word that was not heard whole: "?17", or "?" where it is not known which
MAX_CODED_WORD = 32766  # 16-bit samples carry no higher number
_FIRST_PLACE = -8193  # words are loud, so that no part of one looks like silence

_TRIPLE = struct.Struct("<3h")


class Recogniser(Protocol):
    """Hears the audio of one link, in order. It may be slow: a host may call it on any thread, one call at a time."""

    def hear(self, audio: bytes) -> Sequence[Recognised]:
        """Take audio in the link's format: whole samples (or one packet of opus); return the results, in order."""
        ...

    def finalize(self) -> Sequence[Recognised]:
        """Make a final of all that was heard. If nothing was said since the last final, there is none."""
        ...


RecogniserFactory: TypeAlias = Callable[[TranscriptionConfig], Recogniser]  # one recogniser per link


class PlainRecogniser:
    """Gives ``words`` when their times come, whatever the audio is: any encoding, silence too.

    ``words`` are in order, each with ``start`` and ``end`` in seconds of the link's audio. Raises
    ``ConfigurationError`` if they are not.
    """

    def __init__(self, words: Iterable[Word], options: TranscriptionConfig | None = None) -> None:
        options = options or TranscriptionConfig()
        self._format = options.audio_format
        self._endpointer = Endpointer(options)
        self._position = 0  # samples heard
        self._endpointed = 0  # samples that the endpointer was given
        self._words: deque[tuple[int, int, Word]] = deque()
        last = 0
        for word in words:
            if (
                word.start is None
                or word.end is None
                or not last <= self._format.samples(word.start) < (end := self._format.samples(word.end))
            ):
                raise ConfigurationError("each word needs a start and a later end, and begins after the one before it")
            self._words.append((self._format.samples(word.start), end, word))
            last = end

    def hear(self, audio: bytes) -> Sequence[Recognised]:
        self._position = self._after(audio)
        while self._endpointed < self._position:
            start, end, word = self._words[0] if self._words else (self._position, 0, None)
            if self._endpointed < start:
                to = min(start, self._position)
                self._endpointer.silence(self._endpointed, to)
            else:
                to = min(end, self._position)
                self._endpointer.voice(self._endpointed, to)
            self._endpointed = to
            if word is not None and to == end:
                self._endpointer.add(word)
                self._words.popleft()
        return self._endpointer.take()

    def finalize(self) -> Sequence[Recognised]:
        """Leave a word that is not over for the next final."""
        self._endpointer.flush()
        return self._endpointer.take()

    def _after(self, audio: bytes) -> int:
        if width := self._format.sample_width:
            return self._position + len(audio) // width
        if self._format.encoding == "opus":
            return self._position + opus_packet_samples(audio)
        return max(self._position, ogg_page_end(audio))


class CodedWord(Value, frozen=True, kw_only=True):
    """One word of coded audio and where it is: from sample ``start`` to before sample ``end``."""

    number: int
    start: int
    end: int

    @property
    def text(self) -> str:
        """Its text from a ``CodedRecogniser``: ``w17``."""
        return f"w{self.number}"


class CodedSpeech(Value, frozen=True, kw_only=True):
    """Coded audio, and the words in it."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"pcm"})

    pcm: bytes  # linear16
    words: tuple[CodedWord, ...]
    sample_rate: int  # Hz

    @property
    def text(self) -> str:
        """All the words."""
        return " ".join(word.text for word in self.words)

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.pcm) / 2 / self.sample_rate


def coded_speech(script: Iterable[int | float], *, sample_rate: int = 16000, gap: float = 0.05) -> CodedSpeech:
    """Make coded audio. In ``script`` an ``int`` is a word, a ``float`` a pause in seconds: ``[1, 2, 0.8, 3, 1.0]``.

    Between two words without a pause there is a ``gap`` of silence (seconds, may be 0). The words last from 0.12 to
    0.4 s, each number its own time. Raises ``ConfigurationError`` for a number outside 0..32766 or a negative pause.
    """
    AudioFormat(sample_rate=sample_rate)
    parts: list[bytes] = []
    words: list[CodedWord] = []
    position = 0  # samples
    after_word = False
    for item in script:
        if after_word or isinstance(item, float):
            pause = item if isinstance(item, float) else gap
            if not 0 <= pause < 1e6:
                raise ConfigurationError(f"a pause must be a number of seconds of at least 0, not {pause!r}")
            samples = round(pause * sample_rate)
            parts.append(bytes(2 * samples))
            position += samples
        after_word = not isinstance(item, float)
        if isinstance(item, float):
            continue
        if not 0 <= item <= MAX_CODED_WORD:
            raise ConfigurationError(f"a coded word has a number from 0 to {MAX_CODED_WORD}, not {item!r}")
        parts.append(_coded_word(item, sample_rate))
        start, position = position, position + len(parts[-1]) // 2
        words.append(CodedWord(number=item, start=start, end=position))
    return CodedSpeech(pcm=b"".join(parts), words=tuple(words), sample_rate=sample_rate)


@lru_cache(maxsize=1024)
def _coded_word(number: int, sample_rate: int) -> bytes:
    """The PCM of one word: pairs of samples, first the number of the word (> 0), then that of the pair (< 0).

    So each sample is other than silence, and any two neighbours say which word they are of, and where in it.
    """
    pairs = round((0.12 + 0.01 * (number * 11 % 29)) * sample_rate / 2)
    places = _places(pairs)
    name = (number + 1).to_bytes(2, "little")
    pcm = bytearray(4 * pairs)
    pcm[0::4], pcm[1::4] = name[:1] * pairs, name[1:] * pairs
    pcm[2::4], pcm[3::4] = places[0::2], places[1::2]
    return bytes(pcm)


@lru_cache(maxsize=128)
def _places(pairs: int) -> bytes:
    return struct.pack(f"<{pairs}h", *range(_FIRST_PLACE, _FIRST_PLACE - pairs, -1))


class CodedRecogniser:
    """Recognises coded audio, sample for sample; the same audio gives the same results in pieces of any size.

    A word that was heard whole is ``w17``. A word of which a part is missing (the link began in the middle of it,
    samples were lost, or a finalize cut it) is ``?17``, with the times of the part; what is not coded audio is ``?``.
    ``spelling`` says how the word of a number is written. Raises ``ConfigurationError`` unless the audio is linear16.
    """

    def __init__(
        self, options: TranscriptionConfig | None = None, *, spelling: Callable[[int], str] = "w{}".format
    ) -> None:
        options = options or TranscriptionConfig()
        if options.encoding != "linear16":
            raise ConfigurationError(f"coded audio is linear16, not {options.encoding}")
        self._format = options.audio_format
        self._spelling = spelling
        self._endpointer = Endpointer(options)
        self._rest = b""  # samples that need the next ones to be understood
        self._position = 0  # samples understood
        self._text = ""  # the word that is being heard, if any
        self._start = 0  # the sample from which it was heard
        self._coded = b""  # how it must go on,
        self._offset = 0  # from which byte
        self._whole = False

    def hear(self, audio: bytes) -> Sequence[Recognised]:
        data = self._rest + audio if self._rest else audio
        size = len(data) - len(data) % 2
        at = 0
        while at < size:
            if self._coded:
                at += self._go_on(data, at, size)
            elif (silence := _zeros(data, at, size)) > 0:
                self._end_word()
                self._endpointer.silence(self._position, self._position + silence // 2)
                self._position += silence // 2
                at += silence
            elif size - at < _TRIPLE.size:  # three samples show for certain which part of a word this is
                break
            else:
                at += self._begin(data, at)
        self._rest = data[at:]
        return self._endpointer.take()

    def finalize(self) -> Sequence[Recognised]:
        """Make a final of all that was heard; a word that is not over is cut into two damaged ones."""
        if self._text:
            self._whole = False
            self._say_word()
        self._endpointer.flush()
        return self._endpointer.take()

    def finalize_words(self) -> Sequence[Recognised]:
        """Make a final of the words that are over; one that is not over is left for the next final."""
        self._endpointer.flush()
        return self._endpointer.take()

    def _go_on(self, data: bytes, at: int, size: int) -> int:
        """Hear the next part of a word; return how many bytes it had."""
        length = min(size - at, len(self._coded) - self._offset)
        # One comparison of bytes per message and word: no loop over samples.
        if data[at : at + length] != self._coded[self._offset : self._offset + length]:
            length = _agreement(data, at, self._coded, self._offset, length)
            self._whole = False
            over = True
        else:
            over = self._offset + length == len(self._coded)
        if length:
            self._endpointer.voice(self._position, self._position + length // 2)
        self._position += length // 2
        self._offset += length
        if over:
            self._end_word()
        return length

    def _begin(self, data: bytes, at: int) -> int:
        """Find the word that these samples belong to; return how many bytes belong to none."""
        first, second, third = _TRIPLE.unpack_from(data, at)
        name, place = (first, second) if first > 0 else (second, first)
        coded = _coded_word(name - 1, self._format.sample_rate) if name > 0 > place else b""
        if first > 0:
            offset = 4 * (_FIRST_PLACE - place)
            goes_on = third == name or offset + 4 == len(coded)
        else:
            offset = 4 * (_FIRST_PLACE - place) + 2
            goes_on = third == place - 1
        if coded and goes_on and 0 <= offset < len(coded):
            self._end_word()
            self._text, self._start = self._spelling(name - 1), self._position
            self._coded, self._offset, self._whole = coded, offset, offset == 0
            return 0
        if not self._text:  # noise: one damaged word, up to what can be understood
            self._text, self._start, self._whole = "w", self._position, False
        self._endpointer.voice(self._position, self._position + 1)
        self._position += 1
        return 2

    def _end_word(self) -> None:
        if self._text:
            self._say_word()
            self._text = ""
        self._coded = b""

    def _say_word(self) -> None:
        if self._position > self._start:
            text = self._text if self._whole else DAMAGED + self._text[1:]
            start, end = self._format.seconds(self._start), self._format.seconds(self._position)
            self._endpointer.add(Word(text=text, start=start, end=end, confidence=1.0 if self._whole else 0.0))
        self._start = self._position


def _zeros(data: bytes, at: int, size: int) -> int:
    """Bytes of silence from ``at`` on, in whole samples."""
    if data[at] or data[at + 1]:
        return 0
    rest = data[
        at : min(size, at + 16384)
    ]  # at most this in one round, so that a long file is not copied again and again
    return (len(rest) - len(rest.lstrip(b"\0"))) // 2 * 2


def _agreement(data: bytes, at: int, coded: bytes, offset: int, length: int) -> int:
    """How many bytes two unequal pieces of audio have in common at the start, in whole samples."""
    low, high = 0, length // 2  # samples: the first low agree, the first high do not
    while high - low > 1:
        middle = (low + high) // 2
        same = data[at + 2 * low : at + 2 * middle] == coded[offset + 2 * low : offset + 2 * middle]
        low, high = (middle, high) if same else (low, middle)
    return 2 * low
