"""The recogniser of the local server: voice activity, stretches, Moonshine, word times. English.

It decodes what was said since the last final again and again while someone speaks, for interims, and once more when the
speaker has paused for 0.2 s: more silence would not change that, so when endpointing has its pause, or a finalize
comes, the final is there already. Finals depend on the audio alone; how many interims there are depends on how fast
the machine is: at most one for each call of ``hear``, and none where a host that is behind gives much audio at once. So
what is lost under load is interims, and never audio.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import numpy as np

from smallest_proto.config import FileTranscriptionConfig, TranscriptionConfig
from smallest_proto.reading import Utterance, Word
from smallest_proto.server.recogniser import INTERIM_SECONDS, Heard, Recognised, pause_seconds, words_limit
from smallest_proto.values import Value

from .alignment import Aligner, spread
from .endpointing import Endpointer, Stretch
from .moonshine import Moonshine, SpokenWord
from .pcm import SAMPLE_RATE, PcmReader, Samples
from .voice_activity import FRAME, VoiceActivity

logger = logging.getLogger(__name__)

INTERIM_SAMPLES = round(INTERIM_SECONDS * SAMPLE_RATE)
BEHIND_SAMPLES = 2 * INTERIM_SAMPLES  # a host that gives more at once is behind: no interim then
COUNT_SAMPLES = SAMPLE_RATE  # how often words are counted, if a number of them makes a final
FASTEST = 0.2  # seconds: nobody says a word in less
WORDS_AHEAD = 2  # words heard beyond those of a final: until then the last of them may still change
INTERIM_PAUSE = 3 * FRAME  # samples of silence after which an interim would repeat the last one
VOICE_MARGIN = 0.1  # seconds: a word may begin this long before the voice was noticed, or end this long after

_PUNCTUATION = '.,?!;:…"“”()'
_IGNORED = (
    "itn_normalize",
    "numerals",
    "redact_pii",
    "redact_pci",
    "keywords",
    "emotion_detection",
    "gender_detection",
)
_ENGLISH = ("en", "multi-eu", "multi-asian", "multi-indic")  # the service's names of languages that include English


class Engines:
    """The models that all recognisers of a process share."""

    def __init__(self) -> None:
        self.moonshine = Moonshine()
        self.aligner = Aligner()


_loading = threading.Lock()


def engines() -> Engines:
    """The models, loaded at the first call: about a second. Raises ``ConfigurationError`` if they are not installed."""
    with _loading:  # several links may ask at once
        return _engines()


@lru_cache(maxsize=1)
def _engines() -> Engines:
    return Engines()


class Style(Value, frozen=True, kw_only=True):
    """How text is written: ``format``, ``punctuate`` and ``capitalize`` of the options."""

    punctuate: bool = True
    capitalize: bool = True

    def apply(self, word: SpokenWord) -> SpokenWord:
        """The word as it is written; its text is empty if nothing is left."""
        text = word.text if self.punctuate else word.text.strip(_PUNCTUATION)
        return SpokenWord(text if self.capitalize else text.lower(), word.confidence)


class _Decoded(NamedTuple):
    """What was heard from sample ``start`` to ``end``."""

    start: int
    end: int
    words: tuple[SpokenWord, ...]
    timed: tuple[Word, ...] | None = None  # the same with times, once they are needed

    def is_of(self, stretch: Stretch) -> bool:
        return (self.start, self.end) == (stretch.start, stretch.end)


class LocalRecogniser:
    """Hears one stream: a ``smallest_proto.server.recogniser.Recogniser`` with real ears.

    What the service can do beyond that is accepted, passed over, and said in the log once: numerals, inverse text
    normalisation, redaction, keywords, emotions, gender. ``interims=False`` is for files, where nobody waits for them.
    Another language is heard as English, and several speakers as one, which it says likewise. Raises
    ``ConfigurationError`` for an encoding that it does not decode.
    """

    def __init__(
        self, options: TranscriptionConfig | None = None, *, interims: bool = True, models: Engines | None = None
    ) -> None:
        options = options or TranscriptionConfig()
        note_ignored(options)
        self._reader = PcmReader(options.audio_format)
        self._models = models or engines()
        self._voice = VoiceActivity()
        self._endpointer = Endpointer(pause_seconds(options))
        self._style = style_of(options)
        self._limit = words_limit(options)
        self._interims = interims
        self._hurry = threading.Event()
        self._audio: Samples = np.zeros(0, np.float32)  # what is kept of the stream,
        self._kept_from = 0  # from this sample on
        self._frames = 0  # given to the voice detector
        self._counted: list[str] = []  # the words of the open stretch when they were counted last
        self._count_at = COUNT_SAMPLES  # the sample at which words are counted
        self._interim_at = 0  # the sample from which another interim is due
        self._decoded: _Decoded | None = None
        self._interim_text = ""  # by the last interim
        self._final_until = 0.0  # seconds: the end of the last word that became final
        self._final_words = 0  # how many words of the open stretch are final

    def hear(self, audio: bytes) -> Sequence[Recognised]:
        heard = self._reader.read(audio)
        self._audio = np.concatenate((self._audio, heard))
        results: list[Recognised] = []
        while (at := self._frames * FRAME - self._kept_from) + FRAME <= len(self._audio):
            self._frames += 1
            for decision in self._endpointer.frame(self._voice.probability(self._audio[at : at + FRAME])):
                if isinstance(decision, Stretch):
                    results += self._final(decision)
                else:
                    results.append(decision)
            if self._limit is not None and self._frames * FRAME >= self._count_at:
                results += self._final_by_words(self._limit)
        if self._interims and len(heard) <= BEHIND_SAMPLES and not self._hurry.is_set():
            results += self._interim()
        self._trim()
        return results

    def finalize(self) -> Sequence[Recognised]:
        self._hurry.clear()
        stretch = self._endpointer.cut(self._kept_from + len(self._audio))
        results = [] if stretch is None else self._final(stretch)
        self._trim()
        return results

    def hurry(self) -> None:
        """A ``finalize`` is waiting: give up the interim that is being decoded, if any. Called from any thread."""
        self._hurry.set()

    def _interim(self) -> list[Recognised]:
        stretch, position = self._endpointer.open, self._frames * FRAME
        if stretch is None:
            self._interim_at = position + INTERIM_SAMPLES
            return []
        settled = self._endpointer.settled
        if settled:
            if self._decoded is not None and self._decoded.is_of(stretch):
                return []
        elif position < self._interim_at or position - stretch.voice_end >= INTERIM_PAUSE:
            return []
        # The longer it is, the longer it takes: so interims never cost more than half a core.
        self._interim_at = position + max(INTERIM_SAMPLES, (position - stretch.start) // 12)
        words = self._decode(stretch, self._hurry.is_set)
        if words and settled:
            self._timed(stretch)  # the final will probably need it
        text = " ".join(word.text for word in (words or ())[self._final_words :])
        if not text or text == self._interim_text:
            return []
        self._interim_text = text
        return [Heard(text=text)]

    def _final_by_words(self, limit: int) -> list[Recognised]:
        """The first words of the open stretch that are not final yet, once there are enough of them.

        It depends on the audio alone. The stretch goes on: cut there, its words would be heard without those before.
        """
        position = self._frames * FRAME
        self._count_at = position + COUNT_SAMPLES
        stretch = self._endpointer.open
        if stretch is None or position - stretch.voice_start < FASTEST * limit * SAMPLE_RATE:
            return []
        words = [word.text.strip(_PUNCTUATION).lower() for word in self._decode(stretch) or ()]
        before, self._counted = self._counted, words
        wanted = self._final_words + limit
        # A model that hears half a sentence can invent its end: only words that came twice count.
        if len(words) < wanted + WORDS_AHEAD or words[: wanted + 1] != before[: wanted + 1]:
            return []
        return [_heard(self._next_words(stretch, limit), endpoint=False)]

    def _next_words(self, stretch: Stretch, limit: int) -> tuple[Word, ...]:
        """Words of a stretch that are not final yet, with times; from now on they are."""
        words = tuple(word for word in self._timed(stretch) if _middle(word) > self._final_until)[:limit]
        if words:
            self._final_until = words[-1].end or self._final_until
            self._final_words += len(words)
            self._interim_text = ""
        return words

    def _final(self, stretch: Stretch) -> list[Recognised]:
        timed = self._next_words(stretch, len(self._timed(stretch)))
        self._decoded, self._interim_text, self._final_words, self._counted = None, "", 0, []
        size = self._limit or max(1, len(timed))
        parts = [timed[at : at + size] for at in range(0, len(timed), size)]
        return [_heard(part, endpoint=stretch.endpoint and part is parts[-1]) for part in parts]

    def _decode(self, stretch: Stretch, given_up: Callable[[], bool] = lambda: False) -> tuple[SpokenWord, ...] | None:
        """The words of a stretch; ``None`` if it was given up."""
        if self._decoded is None or not self._decoded.is_of(stretch):
            heard = self._models.moonshine.transcribe(self._samples(stretch), given_up)
            if heard is None:
                return None
            words = tuple(word for word in map(self._style.apply, heard) if word.text)
            if not any(letter.isalnum() for word in words for letter in word.text):
                words = ()  # punctuation alone is not speech
            self._decoded = _Decoded(stretch.start, stretch.end, words)
        return self._decoded.words

    def _timed(self, stretch: Stretch) -> tuple[Word, ...]:
        """The words of a stretch with their times."""
        words = self._decode(stretch) or ()
        if self._decoded is None or self._decoded.timed is None:
            timed = self._align(words, stretch)
            self._decoded = _Decoded(stretch.start, stretch.end, words, timed)
        return self._decoded.timed or ()

    def _align(self, words: Sequence[SpokenWord], stretch: Stretch) -> tuple[Word, ...]:
        texts = [word.text for word in words]
        spans = self._models.aligner.align(self._samples(stretch), texts)
        offset = stretch.start / SAMPLE_RATE
        voice = (stretch.voice_start / SAMPLE_RATE - offset, stretch.voice_end / SAMPLE_RATE - offset)
        if spans is None:
            spans = spread(texts, *voice)
        # The aligner can mistake a faint noise before or after the voice for a part of a word.
        first, last = max(0.0, voice[0] - VOICE_MARGIN), voice[1] + VOICE_MARGIN
        last = min(last, (stretch.end - stretch.start) / SAMPLE_RATE)

        def time(at: float) -> float:
            return round(offset + min(max(at, first), last), 3)

        return tuple(
            Word(text=word.text, start=time(span[0]), end=time(span[1]), confidence=round(word.confidence, 4))
            for word, span in zip(words, spans, strict=True)
        )

    def _samples(self, stretch: Stretch) -> Samples:
        return self._audio[stretch.start - self._kept_from : stretch.end - self._kept_from]

    def _trim(self) -> None:
        surplus = min(self._endpointer.needed, self._frames * FRAME) - self._kept_from
        if surplus > SAMPLE_RATE:  # in larger steps: each moves all that is kept
            self._audio = self._audio[surplus:].copy()
            self._kept_from += surplus


def _middle(word: Word) -> float:
    return ((word.start or 0.0) + (word.end or 0.0)) / 2


def _heard(words: tuple[Word, ...], *, endpoint: bool) -> Heard:
    text = " ".join(word.text for word in words)
    return Heard(text=text, words=words, final=True, utterances=sentences(words), endpoint=endpoint)


def sentences(words: Sequence[Word]) -> tuple[Utterance, ...]:
    """Words -> sentences: one ends at a word that ends with a full stop, a question or an exclamation mark."""
    number = 0
    numbered: list[tuple[int, Word]] = []
    for word in words:
        numbered.append((number, word))
        number += word.text.endswith((".", "?", "!", "…"))
    groups = [[word for _, word in group] for _, group in groupby(numbered, key=lambda pair: pair[0])]
    return tuple(Utterance(text=" ".join(w.text for w in g), start=g[0].start, end=g[-1].end) for g in groups)


def style_of(options: TranscriptionConfig | FileTranscriptionConfig) -> Style:
    """``format=False`` switches off punctuation and capitals, whatever else is set."""
    on = options.format is not False
    return Style(punctuate=on and options.punctuate is not False, capitalize=on and options.capitalize is not False)


def file_recogniser_options(options: FileTranscriptionConfig) -> TranscriptionConfig:
    """A file's options as those of a recogniser that is given the file's samples as linear16 at 16 kHz."""
    note_ignored(options)
    return TranscriptionConfig(
        format=options.format,
        punctuate=options.punctuate,
        capitalize=options.capitalize,
        finalize_on_words=False,  # a file has no finals
    )


_noted: set[str] = set()


def note_ignored(options: TranscriptionConfig | FileTranscriptionConfig) -> None:
    """Log, once for each, which of the options this recogniser does not have."""
    for name in _IGNORED:
        if getattr(options, name, None):
            _note(f"the local server's recogniser does not know {name}: it is accepted and ignored")
    if options.diarize:
        _note("the local server's recogniser cannot tell speakers apart: every word is of speaker 0")
    if options.language not in _ENGLISH:
        _note(f"the local server's recogniser knows English alone: {options.language} is heard as English")


def _note(note: str) -> None:
    if note not in _noted:
        _noted.add(note)
        logger.warning("%s", note)
