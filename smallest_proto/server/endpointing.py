"""What comes out of a recogniser, and how a stream of words becomes interims and finals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeAlias

from smallest_proto.config import TranscriptionConfig
from smallest_proto.reading import Utterance, Word
from smallest_proto.values import Value

ENDPOINTING_MS = 600  # the service's default: a silence this long ends an utterance
WORDS_PER_FINAL = 10  # the service's default: this many words become a final, in mid-sentence too
INTERIM_SECONDS = 0.3  # from one interim to the next, while someone speaks
VOICE_END_SECONDS = 0.25  # a silence this long ends a voice


class Heard(Value, frozen=True, kw_only=True):
    """What was said since the last final: as far as it is known now (interim), or for good (final)."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset(("text", "words", "utterances"))

    text: str
    words: tuple[Word, ...] = ()  # of a final; times in seconds of this link's audio
    final: bool = False
    utterances: tuple[Utterance, ...] = ()
    endpoint: bool = False  # of a final: the speaker paused; sent as speech_final


class VoiceStarted(Value, frozen=True, kw_only=True):
    """A voice began."""

    time: float  # seconds of this link's audio


class VoiceEnded(Value, frozen=True, kw_only=True):
    """The voice ended, at a time some silence ago."""

    time: float  # seconds of this link's audio


Recognised: TypeAlias = Heard | VoiceStarted | VoiceEnded


def pause_seconds(options: TranscriptionConfig) -> float | None:
    """The seconds of silence that make a final; ``None`` where only a finalize does.

    That is ``endpointing_timeout`` or ``eou_timeout_ms``, the shorter if both are set, else the service's default of
    600 ms. With ``endpointing=False`` only an ``eou_timeout_ms`` that was set counts.
    """
    endpointing = options.endpointing is not False
    asked = [ms for ms in (options.endpointing_timeout if endpointing else None, options.eou_timeout_ms) if ms]
    if asked:
        return min(asked) / 1000
    return ENDPOINTING_MS / 1000 if endpointing else None


def words_limit(options: TranscriptionConfig) -> int | None:
    """The number of words that makes a final without a pause; ``None``: no limit.

    ``max_words`` counts with ``finalize_on_words=False`` too: the service was seen to do that.
    """
    if options.max_words is not None:
        return options.max_words
    return WORDS_PER_FINAL if options.finalize_on_words is not False else None


class Endpointer:
    """Voice, silence and words, each at its sample -> voice events, interims and finals, each at its sample.

    The result depends on the samples alone, not on the size of the pieces they came in: events come out in the order of
    the samples at which they were due.
    """

    def __init__(self, options: TranscriptionConfig) -> None:
        self._format = options.audio_format
        pause = pause_seconds(options)
        self._pause = None if pause is None else self._format.samples(pause)
        self._limit = words_limit(options)
        self._interval = self._format.samples(INTERIM_SECONDS)
        self._trail = self._format.samples(VOICE_END_SECONDS)
        self._out: list[Recognised] = []
        self._words: list[Word] = []  # since the last final
        self._text = ""  # of all of them
        self._interim_words = 0  # how many of them the last interim had
        self._speaking = False  # between VoiceStarted and VoiceEnded
        self._quiet_since: int | None = None  # the sample at which the present silence began
        self._interim_at: int | None = None

    def take(self) -> Sequence[Recognised]:
        out, self._out = self._out, []
        return out

    def voice(self, start: int, end: int) -> None:
        self._quiet_since = None
        if not self._speaking:
            self._speaking = True
            self._out.append(VoiceStarted(time=self._format.seconds(start)))
        if self._interim_at is None:
            self._interim_at = start + self._interval
        self._advance(end)

    def silence(self, start: int, end: int) -> None:
        if self._quiet_since is None:
            self._quiet_since = start
        self._advance(end)

    def add(self, word: Word) -> None:
        """A word is over."""
        self._words.append(word)
        self._text = f"{self._text} {word.text}" if self._text else word.text
        if self._limit is not None and len(self._words) >= self._limit:
            self.flush()

    def flush(self, *, endpoint: bool = False) -> None:
        """Make a final of what was said."""
        if self._words:
            words, text = tuple(self._words), self._text
            utterance = Utterance(text=text, start=words[0].start, end=words[-1].end)
            self._out.append(Heard(text=text, words=words, final=True, utterances=(utterance,), endpoint=endpoint))
        self._words, self._text, self._interim_words, self._interim_at = [], "", 0, None

    def _advance(self, to: int) -> None:
        while True:
            quiet = self._quiet_since
            voice_end = quiet + self._trail if quiet is not None and self._speaking else None
            pause = quiet + self._pause if quiet is not None and self._pause is not None and self._words else None
            due = min((at for at in (self._interim_at, voice_end, pause) if at is not None), default=to + 1)
            if due > to:
                return
            if due == voice_end:
                self._speaking = False
                assert quiet is not None
                self._out.append(VoiceEnded(time=self._format.seconds(quiet)))
            elif due == pause:
                self.flush(endpoint=True)
            else:
                self._interim(due)

    def _interim(self, due: int) -> None:
        news = len(self._words) > self._interim_words
        if news:
            self._interim_words = len(self._words)
            self._out.append(Heard(text=self._text))
        # A silence brings no news; the next voice sets the time anew.
        self._interim_at = due + self._interval if news or self._quiet_since is None else None
