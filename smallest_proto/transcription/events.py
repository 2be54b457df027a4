"""What an application sees of a transcription. All times are seconds of the audio that it gave: stream time."""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from smallest_proto.errors import Failure
from smallest_proto.events import LinkLost, LinkOpened, SessionEnded
from smallest_proto.reading import Utterance, Word
from smallest_proto.values import Name, Value


class UpdateRejected(Value, frozen=True, kw_only=True):
    """The service refused the new options. The stream goes on with the old ones.

    Audio that was given in a refused format comes as ``AudioLost``; from now on give the old format.
    """

    failure: Failure


class SpeechStarted(Value, frozen=True, kw_only=True):
    """A turn begins. After it, before the next one, comes exactly one ``SpeechEnded``."""

    time: float
    inferred: bool  # from a transcript, not from speech_started; without word times, ``time`` is then an upper bound


class SpeechEnded(Value, frozen=True, kw_only=True):
    """The turn is over. With voice activity events its last final may still follow."""

    time: float


class InterimTranscript(Value, frozen=True, kw_only=True):
    """What the service believes so far; the next interim or final replaces it."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    text: str
    start: float  # the end of the last final: interims have no word times
    end: float  # the end of the audio that the service has been sent
    session_id: str | None


class FinalTranscript(Value, frozen=True, kw_only=True):
    """What was said, and will not be revised. ``text`` is empty only where it answers a finalize or ends the stream.

    Texts are as the service gives them; a blank at the end says that words follow. To join two texts, put a blank
    between them, unless the first ends in a blank or the second ``begins_in_mid_word``. Speakers of ``words`` and
    ``utterances`` are numbered over all connections: the service starts again on each, so the speakers of a new
    connection get new numbers, and one person can have several.
    ``full_transcript`` is the service's own on the first connection; after that what was told so far and this text.
    """

    PRIVATE: ClassVar[frozenset[str]] = frozenset(
        ("text", "words", "utterances", "full_transcript", "redacted_entities", "emotions", "gender")
    )

    text: str
    start: float  # of the first word, where words have times
    end: float  # of the last word, where words have times
    words: tuple[Word, ...] = ()
    utterances: tuple[Utterance, ...] = ()
    language: str | None = None
    languages: tuple[str, ...] = ()
    redacted_entities: tuple[str, ...] = ()
    full_transcript: str | None = None
    emotions: tuple[tuple[str, float], ...] = ()  # (label, 0..1), with emotion_detection
    gender: str | None = None  # with gender_detection
    session_id: str | None = None  # the service's name for the connection
    from_finalize: bool = False  # answers finalize(): each call gets one
    is_last: bool = False  # answers end_input()
    # The last interim, as the service ended without making it final; AudioLost tells of its audio as well.
    provisional: bool = False
    latency: float | None = None  # seconds from sending its last sample to its arrival, where words have times
    begins_in_mid_word: bool = False  # its first word continues the last word of the final before: "Uh" / "-huh."
    # It may repeat an earlier final: a new connection hears some audio again, and without word times only the text
    # can show that. Or its first word is the whole of a word that a finalize() cut, of which a part is final already.
    may_repeat: bool = False


class Usage(Value, frozen=True, kw_only=True):
    """Audio sent for the first time since the last ``Usage``: about every 5 s of it, and at the end."""

    seconds: float


class LossReason(Name):
    """Why audio was given up."""

    BUFFER_FULL = "buffer_full"  # no link took it in time
    NOT_HELD = "not_held"  # a new link would need audio that is no longer held
    REJECTED = "rejected"  # it was in a format that the service refused
    ENDED = "ended"  # the session ended before it became final


class AudioLost(Value, frozen=True, kw_only=True):
    """Audio that no link heard, or that cannot be sent again."""

    start: float
    end: float
    reason: LossReason


Event: TypeAlias = (
    LinkOpened
    | LinkLost
    | UpdateRejected
    | SpeechStarted
    | SpeechEnded
    | InterimTranscript
    | FinalTranscript
    | Usage
    | AudioLost
    | SessionEnded
)
