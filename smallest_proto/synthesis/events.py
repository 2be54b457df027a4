"""What an application sees of a synthesis. All times are seconds of the audio of one segment, from its start.

A *segment* is one utterance: the text between two flushes. An HTTP synthesis is one segment, number 0.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from smallest_proto.errors import Failure
from smallest_proto.events import LinkLost, LinkOpened, SessionEnded
from smallest_proto.values import Value


class AudioChunk(Value, frozen=True, kw_only=True):
    """A piece of speech, in the ``output_format`` that was asked for. No sample is ever split between two chunks."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"data"})

    segment: int
    data: bytes
    start: float  # seconds of the segment before it; 0.0 where samples cannot be told apart (mp3, wav)
    samples: int | None  # in data; None for mp3 and wav


class WordSpoken(Value, frozen=True, kw_only=True):
    """A word as the service names it, and where it is in the audio."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset(("text", "written"))

    segment: int
    text: str
    # The word with the signs and blanks around it, as in the text: put together they are the text. For a word
    # that is not spoken as it is written ("$5") it is the words that the service named.
    written: str = ""
    start: float
    end: float


class SegmentDone(Value, frozen=True, kw_only=True):
    """A segment was spoken to its end."""

    segment: int
    seconds: float  # of audio
    certain: bool  # True: the service proved it; False: it was inferred, as continuations mark no end


class SpokenSoFar(Value, frozen=True, kw_only=True):
    """A segment ended before all of it was spoken: cancelled, cut off by a lost link, or by the end of the session."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset(("spoken", "unspoken"))

    segment: int
    spoken: str  # the text that is in the audio given out; spoken + unspoken is the text of the segment
    unspoken: str
    seconds: float  # of audio given out
    exact: bool  # True: to the word, from word times; False: what may be unspoken is unspoken
    failure: Failure | None = None  # what cut it off; None: the application


class SpeechFinished(Value, frozen=True, kw_only=True):
    """An HTTP synthesis is whole."""

    seconds: float | None  # of audio; None for mp3 and wav
    size: int  # bytes of audio in all chunks
    dropped: int = 0  # bytes of a sample cut short, at the very end
    request_id: str | None = None  # the service's name for the request, for its support
    # What became of expire_content: "applied", "not-entitled", or "unavailable" (it could not be verified: try again).
    content_expiry: str | None = None


SpeechEvent: TypeAlias = LinkOpened | LinkLost | AudioChunk | WordSpoken | SegmentDone | SpokenSoFar | SessionEnded
