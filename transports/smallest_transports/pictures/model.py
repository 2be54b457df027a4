"""One call as a picture shows it: what happened when. Values alone; ``watch.py`` makes them from a trace.

``at``, ``opened`` and their like are seconds since the call began. A *place* is in the stream: seconds of the audio
that the application gave. What was said is empty where the trace does not hold it.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from smallest_proto.values import Value

Point: TypeAlias = tuple[float, float]  # (seconds since the call began, a place or a number of seconds of audio)

LEVEL_SECONDS = 0.05  # of audio for each sign of a level
LEVELS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"  # silence to full scale; see tracks.py


class Run(Value, frozen=True, kw_only=True):
    """Audio that a link was sent without a break: straight lines between ``points``."""

    again: bool  # an earlier link, or the one that still serves, was sent it before
    points: tuple[Point, ...]


class Sign(Value, frozen=True, kw_only=True):
    """Something that was sent on a link besides audio, or came in on it."""

    at: float
    what: str  # "finalize", "close_stream", "keepalive", "ping"; of speech "text", "text again", "cancel", "audio"


class Bar(Value, frozen=True, kw_only=True):
    """One link, from its opening to its end."""

    link: int
    asked: float
    opened: float | None = None
    ended: float | None = None  # None: it lives
    lost: bool = False  # it did not end because its work was done
    why: str = ""  # a sentence: why it ended
    retry_in: float | None = None  # seconds until the next one is tried
    runs: tuple[Run, ...] = ()
    signs: tuple[Sign, ...] = ()
    heard: tuple[Point, ...] = ()  # of speech: seconds of audio that came in on it


class Spoken(Value, frozen=True, kw_only=True):
    """A word and its place."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    text: str
    start: float
    end: float


class Final(Value, frozen=True, kw_only=True):
    """A final: ``start`` and ``end`` are places, ``at`` is when it was here."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    at: float
    link: int | None
    start: float
    end: float
    text: str
    words: tuple[Spoken, ...] = ()
    count: int = 0  # of words
    latency: float | None = None  # seconds
    answers: bool = False  # a finalize
    last: bool = False
    provisional: bool = False


class Interim(Value, frozen=True, kw_only=True):
    """An interim that was here at ``at``; it begins at the place ``start``."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    at: float
    start: float
    end: float
    text: str


class Turn(Value, frozen=True, kw_only=True):
    """A turn, by its places; ``told`` and ``over`` are when the application was told."""

    told: float
    start: float
    over: float | None = None
    end: float | None = None
    inferred: bool = False


class Ask(Value, frozen=True, kw_only=True):
    """A ``finalize()`` at a place of the stream."""

    at: float
    place: float
    answered: float | None = None


class Loss(Value, frozen=True, kw_only=True):
    """Audio that was given up, by its places."""

    at: float
    start: float
    end: float
    reason: str


class Note(Value, frozen=True, kw_only=True):
    """Something else that happened."""

    at: float
    text: str
    bad: bool = False


class _Call(Value, frozen=True, kw_only=True):
    name: str  # what the trace calls it
    private: bool  # whether what was said is in the trace
    seconds: float  # from its beginning to the last that is known of it
    links: tuple[Bar, ...] = ()
    notes: tuple[Note, ...] = ()
    ending: str = ""  # how it ended; empty while it goes on
    well: bool = True  # it goes on, or ended as it should


class Heard(_Call, frozen=True, kw_only=True, tag="heard"):
    """A live transcription."""

    given: tuple[Point, ...] = ()  # when which place of the stream was given
    level: str = ""  # of the audio: a sign of LEVELS for each LEVEL_SECONDS of the stream; empty where none is known
    watermark: tuple[Point, ...] = ()  # steps
    finals: tuple[Final, ...] = ()
    interims: tuple[Interim, ...] = ()
    turns: tuple[Turn, ...] = ()
    asks: tuple[Ask, ...] = ()
    losses: tuple[Loss, ...] = ()
    seconds_given: float = 0.0
    seconds_again: float = 0.0
    seconds_lost: float = 0.0
    seconds_final: float = 0.0  # the watermark


class Piece(Value, frozen=True, kw_only=True):
    """Text as the application gave it."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    at: float
    text: str
    segment: int


class Segment(Value, frozen=True, kw_only=True):
    """One segment of speech. Places are seconds of its audio; ``heard`` is when which of them would be heard, if each
    piece is played as soon as it is here and the ones before it are over."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset(("spoken", "unspoken"))

    number: int
    given: float  # when its first text was
    first: float | None = None  # when its first audio was here
    heard: tuple[Point, ...] = ()
    stopped: float | None = None  # when a barge-in stopped what was played of it, or would have been
    over: float | None = None  # when it was told that it is over
    seconds: float = 0.0  # of audio
    level: str = ""  # as of ``Heard``
    words: tuple[Spoken, ...] = ()
    whole: bool = False  # spoken to its end
    spoken: str = ""
    unspoken: str = ""
    cut: str = ""  # why it was cut off


class Said(_Call, frozen=True, kw_only=True, tag="said"):
    """A speech over a socket."""

    pieces: tuple[Piece, ...] = ()
    segments: tuple[Segment, ...] = ()
    flushes: tuple[float, ...] = ()
    cancels: tuple[float, ...] = ()  # barge-in


Call: TypeAlias = Heard | Said
