"""The finals of a live transcription as one transcript."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from smallest_proto.events import EndReason, SessionEnded
from smallest_proto.reading import Utterance, Word
from smallest_proto.subtitles import to_srt, to_vtt
from smallest_proto.values import Value

from .events import AudioLost, Event, FinalTranscript


class LiveTranscript(Value, frozen=True, kw_only=True):
    """All that became final in a live transcription. Times are seconds of the stream."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset(("text", "words", "utterances"))

    text: str
    words: tuple[Word, ...] = ()  # unless word_timestamps=False
    utterances: tuple[Utterance, ...] = ()  # when sentence_timestamps were asked for
    language: str | None = None  # of the last final that tells it
    duration: float | None = None  # where the last final ends
    lost: tuple[AudioLost, ...] = ()  # audio that had to be given up
    complete: bool = False  # the last final came; provisional text is in ``text`` otherwise

    @classmethod
    def of(cls, events: Iterable[Event]) -> LiveTranscript:
        """Put together what a stream told, in order. A word that a final cut in two is written as one."""
        events = tuple(events)
        finals = [event for event in events if isinstance(event, FinalTranscript) and event.text]
        last = events[-1] if events else None
        return cls(
            text=_joined(finals),
            words=tuple(word for final in finals for word in final.words),
            utterances=tuple(utterance for final in finals for utterance in final.utterances),
            language=next((final.language for final in reversed(finals) if final.language), None),
            duration=finals[-1].end if finals else None,
            lost=tuple(event for event in events if isinstance(event, AudioLost)),
            complete=isinstance(last, SessionEnded) and last.reason is EndReason.COMPLETED,
        )

    def to_srt(self) -> str:
        """Subtitles in SubRip's format: two lines of 42 columns, cut at pauses."""
        return to_srt(self)

    def to_vtt(self) -> str:
        """The same in WebVTT."""
        return to_vtt(self)


def _joined(finals: Iterable[FinalTranscript]) -> str:
    text = ""
    for final in finals:
        blank = "" if not text or final.begins_in_mid_word else " "
        text += blank + final.text.strip()
    return text
