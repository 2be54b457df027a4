"""What a real service does worse than an ideal one, as a value with a seed, so that a test or a local server can do it
too.

Each field is something that real services were seen to do: they round the times of words, cut sentences into finals,
answer a finalize without saying so or not at all, send a final twice, and hear the same audio differently the second
time. ``LiveService`` takes an ``Imperfection`` and does this on each link. The same seed on the same link gives the
same result; nothing here uses real randomness.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from smallest_proto.config import TranscriptionConfig
from smallest_proto.errors import ConfigurationError
from smallest_proto.reading import Word
from smallest_proto.values import Value

from .endpointing import Heard

__all__ = ["OTHERS", "TIMES", "Imperfect", "Imperfection"]

EDGE_SECONDS = 0.1  # a word that begins this early on a link is at its edge: a recogniser needs a moment to start well
DRIFT_MOST = 0.05  # seconds: a drift of the times stops growing here
TWICE_SECONDS = 0.2  # a final was seen to come a second time within this
BETWEEN_SECONDS = 0.3  # from the first final that answers a finalize to the second

_Item = TypeVar("_Item")


class Imperfection(Value, frozen=True, kw_only=True):
    """What a service does worse than an ideal one. Without fields it is ideal. ``kinds`` names what is set; ``draw``
    makes one from a seed; ``on_link`` is the same service on one of its links.
    """

    seed: int = 0
    # The times of words.
    rounding: float = 0.0  # seconds: times are multiples of it
    jitter: float = 0.0  # seconds: each is wrong by up to this, either way
    bias: float = 0.0  # seconds: all are later by this, or earlier
    drift: float = 0.0  # seconds per second of the link's audio, up to 50 ms
    no_times: bool = False  # ``words`` is empty although it was asked for
    # The words.
    edges: bool = False  # a word in the first 0.1 s of a link is cut, changed or missing
    respelled: bool = False  # other letters, case or punctuation on each link
    joined: bool = False  # two words are written as one, as "55" for "five five"; different ones on each link
    # The finals.
    words_per_final: int | None = None  # a final comes after this many words, in mid-sentence
    no_interims: bool = False
    blank: bool = False  # a final's text ends in a blank, unless the speaker paused
    twice: bool = False  # a final can come again within 0.2 s, and the last one can say again what was just said
    empty_finals: bool = False  # an empty final can follow another one
    # The answers to a finalize.
    unlabelled: bool = False  # without ``from_finalize``
    silent_when_empty: bool = False  # none, if nothing was said
    unanswered: bool = False  # none at all
    empty_answer: bool = False  # the answer is empty, and what was said is a final of its own, before or after it
    two_answers: bool = False  # what was said comes in two finals
    leaves_word: bool = False  # the word that is being said is left for the next final, where the recogniser can
    # Messages.
    late: float = 0.0  # seconds: each is later by up to this; they stay in order

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is imperfect, in words: ``("rounding=0.1", "twice")``."""
        named = [(field.name, getattr(self, field.name), field.default) for field in msgspec.structs.fields(self)]
        return tuple(
            name if value is True else f"{name}={value:g}"
            for name, value, default in named
            if value != default and name != "seed"
        )

    @property
    def time_error(self) -> float:
        """The largest error of the time of a word, in seconds."""
        return self.rounding / 2 + self.jitter + abs(self.bias) + (DRIFT_MOST if self.drift else 0.0)

    @classmethod
    def read(cls, kinds: Iterable[str]) -> Imperfection:
        """What ``kinds`` writes, ``["rounding=0.1", "twice"]``, a ``seed=7`` with it; ``["7"]`` alone draws one.

        Hyphens count as underscores. Raises ``ConfigurationError``, which names the kinds that there are.
        """
        kinds = [kind.strip().lower() for kind in kinds]
        if len(kinds) == 1 and kinds[0].isdecimal():
            return cls.draw(int(kinds[0]))
        fields = {field.name: field.type for field in msgspec.structs.fields(cls)}
        given: dict[str, Any] = {}
        for kind in kinds:
            name, _, value = kind.partition("=")
            name = name.replace("-", "_")
            try:
                given[name] = msgspec.convert(value or "true", fields[name], strict=False)
            except (KeyError, msgspec.ValidationError):
                known = ", ".join(
                    name if kind is bool else f"{name}={'N' if kind is int or kind == int | None else 'SECONDS'}"
                    for name, kind in fields.items()
                )
                raise ConfigurationError(f"{kind[:40]!r} is no way to be imperfect: use some of {known}") from None
        return cls(**given)

    @classmethod
    def draw(cls, seed: int) -> Imperfection:
        """A service drawn from the seed: some are ideal, most have one kind of imperfection, some several."""
        chance = Chance(seed)
        made = cls(seed=seed)
        how_many = chance("how many")
        if how_many < 0.15:
            return made
        one = {**chance.choice(TIMES, "times"), **chance.choice(TIMES[:2], "rounding")}
        if how_many < 0.6:
            kinds = [*TIMES, *OTHERS]
            return msgspec.structs.replace(made, **chance.choice(kinds, "kind"))
        for kind in OTHERS:
            if chance("with", kind) < 0.2:
                one.update(kind)
        return msgspec.structs.replace(made, **one)

    def on_link(self, link: int) -> Imperfection:
        """The service as it is on one of its links, by the link's number: the same audio gives another text."""
        return msgspec.structs.replace(self, seed=int(Chance(self.seed)("link", link) * 2**32))

    def options(self, options: TranscriptionConfig) -> TranscriptionConfig:
        """The options for the recogniser, made from those that a client asked for."""
        if self.words_per_final is None or options.max_words is not None:
            return options
        return msgspec.structs.replace(options, max_words=self.words_per_final, finalize_on_words=None)


# What ``draw`` draws from. Together the errors of times stay below 0.15 s: the largest that were measured are a tenth.
TIMES: tuple[dict[str, Any], ...] = (
    {},
    {"rounding": 0.02},
    {"rounding": 0.1},
    {"jitter": 0.05},
    {"bias": -0.04},
    {"bias": 0.08},
    {"drift": 0.001},
    {"drift": -0.001},
)
OTHERS: tuple[dict[str, Any], ...] = (
    {"no_times": True},
    {"edges": True},
    {"respelled": True},
    {"joined": True},
    {"words_per_final": 3},
    {"words_per_final": 10},
    {"no_interims": True},
    {"blank": True},
    {"twice": True},
    {"empty_finals": True},
    {"unlabelled": True},
    {"silent_when_empty": True},
    {"unanswered": True},
    {"empty_answer": True},
    {"two_answers": True},
    {"leaves_word": True},
    {"late": 0.3},
    {"late": 1.0},
)


class Answer(NamedTuple):
    """One final that answers a finalize."""

    heard: Heard
    labelled: bool  # it says that it does
    delay: float = 0.0  # seconds


class Imperfect:
    """What an imperfection makes of the recogniser's results, and of the messages, on one link."""

    def __init__(self, imperfection: Imperfection) -> None:
        self._of = imperfection
        self._chance = Chance(imperfection.seed)
        self._messages = 0
        self._ideal = not imperfection.kinds
        self._before: tuple[float, Heard] | None = None  # the last final with words, and when it was told

    def heard(self, heard: Heard, now: float) -> Heard | None:
        """The words and times as this service sends them; ``None``: it sends nothing."""
        of = self._of
        if not heard.final and of.no_interims:
            return None
        if not heard.text or self._ideal:
            return heard
        if heard.final:
            self._before = now, heard
        words = [word for word in map(self._at_the_edge, heard.words) if word is not None] if of.edges else heard.words
        if heard.words:
            words = [self._timed(word) for word in self._joined(words)]
            texts = [word.text for word in words]
        else:
            texts = heard.text.split()
        if of.respelled:
            texts = [self._respelled(text) for text in texts]
            words = [msgspec.structs.replace(w, text=text) for w, text in zip(words, texts, strict=False)]
        # The sentences are made of the text and the words.
        shown = () if of.no_times else tuple(words)
        return msgspec.structs.replace(heard, text=" ".join(texts), words=shown, utterances=())

    def answers(self, heard: Heard) -> Sequence[Answer]:
        """The finals that answer a finalize."""
        of, labelled = self._of, not self._of.unlabelled
        if not heard.text:
            return () if of.silent_when_empty else (Answer(heard, labelled),)
        self._messages += 1
        first = self._chance("answer", self._messages) < 0.5
        later = BETWEEN_SECONDS * self._chance("between", self._messages)
        if of.empty_answer:
            parts = [Answer(Heard(text="", final=True), labelled), Answer(heard, False)]
            if not first:
                parts.reverse()
            return [parts[0], parts[1]._replace(delay=later)]
        half = len(heard.words) // 2
        if of.two_answers and half:
            one, other = _part(heard, heard.words[:half]), _part(heard, heard.words[half:])
            return [Answer(one, labelled and first), Answer(other, labelled, later)]
        return (Answer(heard, labelled),)

    def last(self, heard: Heard, now: float) -> Heard:
        """The last final: some services repeat what they sent just before."""
        if self._of.twice and not heard.text and self._before is not None:
            time, before = self._before
            if now - time <= TWICE_SECONDS:
                return before
        return heard

    def messages(self, message: dict[str, Any], delay: float) -> Iterator[tuple[float, dict[str, Any]]]:
        """The message, as often as it is sent, each with its delay in seconds."""
        of, text = self._of, message["transcript"]
        self._messages += 1
        chance = self._chance
        final = bool(message["is_final"])
        if (
            final
            and text
            and of.blank
            and not text.endswith(" ")
            and not message["speech_final"]
            and not message["is_last"]
        ):
            text += " "
            message |= {name: text for name in ("transcript", "transcription") if name in message}
        yield delay + of.late * chance("late", self._messages), message
        if not final or message["is_last"]:
            return
        if of.twice and text and chance("twice", self._messages) < 0.5:
            yield TWICE_SECONDS * chance("again", self._messages), message
        if of.empty_finals and text and chance("empty", self._messages) < 0.4:
            yield (
                0.0,
                message
                | {"transcript": "", "words": [], "from_finalize": False}
                | ({"transcription": ""} if "transcription" in message else {}),
            )

    def _at_the_edge(self, word: Word) -> Word | None:
        start, end = word.start or 0.0, word.end or 0.0
        if start >= EDGE_SECONDS:
            return word
        how = self._chance("edge", start)
        if how < 0.2:
            return None
        cut = (start + end) / 2 if how < 0.6 else start
        return msgspec.structs.replace(word, text=f"?{word.text[1:]}", start=cut)

    def _joined(self, words: Sequence[Word]) -> Sequence[Word]:
        if not self._of.joined:
            return words
        joined: list[Word] = []
        pending = False  # the last one may take another one in
        for word in words:
            if pending and self._chance("joined", joined[-1].text) < 0.3:
                joined[-1] = msgspec.structs.replace(joined[-1], text=joined[-1].text + word.text, end=word.end)
                pending = False
            else:
                joined.append(word)
                pending = True
        return joined

    def _timed(self, word: Word) -> Word:
        start = None if word.start is None else self._time(word.start)
        end = None if word.end is None else max(self._time(word.end), start or 0.0)
        return msgspec.structs.replace(word, start=start, end=end)

    def _time(self, time: float) -> float:
        of = self._of
        moved = time + of.bias + max(-DRIFT_MOST, min(DRIFT_MOST, of.drift * time))
        if of.jitter:
            moved += of.jitter * (2 * self._chance("time", time) - 1)
        if of.rounding:
            moved = round(moved / of.rounding) * of.rounding
        return max(0.0, moved)

    def _respelled(self, text: str) -> str:
        how = int(6 * self._chance("spelling", text))
        return (text, text.upper(), f"{text},", f"{text}.", f"{text.capitalize()}!", f"{text[0]}{text}")[how]


class Chance:
    """Numbers from 0 to 1 that depend only on a seed and on what they are for."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self, *what: object) -> float:
        mixed = binascii.crc32(repr((self._seed, what)).encode())
        # A checksum of texts that differ in little differs in little: two rounds of a well-mixing multiplication.
        for factor in (0x7FEB352D, 0x846CA68B):
            mixed = ((mixed ^ mixed >> 16) * factor) & 0xFFFFFFFF
        return (mixed ^ mixed >> 16) / 2**32

    def choice(self, items: Sequence[_Item], *what: object) -> _Item:
        """One of ``items``."""
        return items[int(self(*what) * len(items))]


def _part(heard: Heard, words: Sequence[Word]) -> Heard:
    return msgspec.structs.replace(heard, text=" ".join(word.text for word in words), words=tuple(words), utterances=())
