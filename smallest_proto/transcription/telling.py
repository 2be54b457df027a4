"""Finals as the application sees them: counted, and with one numbering of speakers over all links."""

from __future__ import annotations

from collections import deque

import msgspec

from smallest_proto.commands import Command
from smallest_proto.reading import Utterance, Word

from .cursor import Cursor
from .events import Event, FinalTranscript
from .messages import Transcription
from .timeline import Timeline


class Teller:
    """Makes the ``FinalTranscript`` of each final, and counts them. The service starts again on each link."""

    def __init__(self, output: deque[Command | Event]) -> None:
        self._output = output
        self._speakers = self._first_speaker = 0  # how many so far; our number for the link's speaker 0
        self._full: str | None = None  # the last full_transcript that we told
        self._links = 0  # that served
        self.show_words = True
        self.finals = self.timed = 0  # how many; how many of them with a latency
        self.latency_sum = self.latency_max = 0.0  # seconds

    def serve(self) -> None:
        """Another link serves."""
        self._links += 1
        self._first_speaker = self._speakers

    def renumbered(self, words: tuple[Word, ...]) -> tuple[Word, ...]:
        """Number speakers over all links: the service counts from 0 on each link."""
        for word in words:
            if isinstance(word.speaker, int) and 0 <= word.speaker < 1000:
                self._speakers = max(self._speakers, self._first_speaker + word.speaker + 1)
        if not self._first_speaker:
            return words
        return tuple(msgspec.structs.replace(word, speaker=self._speaker(word.speaker)) for word in words)

    def tell(
        self,
        cursor: Cursor,
        timeline: Timeline,
        message: Transcription,
        text: str,
        words: tuple[Word, ...],
        span: tuple[float, float],
        latency: float | None,
        *,
        asked: bool,
        begins: bool,
        unsure: bool,
    ) -> None:
        """Tell what is new of a final: ``text`` and ``words``, within ``span`` (stream seconds)."""
        self.finals += 1
        if latency is not None:
            self.timed += 1
            self.latency_sum += latency
            self.latency_max = max(self.latency_max, latency)
        start, end = span
        utterances = self._utterances(cursor, timeline, message.utterances, start) if message.utterances else ()
        self._output.append(
            FinalTranscript(
                text=text,
                start=start,
                end=end,
                words=words if self.show_words else (),
                utterances=utterances,
                language=message.language,
                languages=message.languages,
                redacted_entities=message.redacted_entities,
                full_transcript=None if message.full_transcript is None else self._full_transcript(message, text),
                emotions=message.emotions,
                gender=message.gender,
                session_id=message.session_id,
                from_finalize=asked,
                is_last=message.is_last,
                latency=latency,
                begins_in_mid_word=begins,
                may_repeat=bool(text) and unsure,
            )
        )

    def _speaker(self, speaker: int | str | None) -> int | str | None:
        return speaker + self._first_speaker if isinstance(speaker, int) else speaker

    def _utterances(
        self, cursor: Cursor, timeline: Timeline, utterances: tuple[Utterance, ...], start: float
    ) -> tuple[Utterance, ...]:
        """The utterances of a final in stream time, without those that were final before ``start``."""
        moved = timeline.utterances(utterances, cursor)
        if self._first_speaker:
            moved = tuple(msgspec.structs.replace(one, speaker=self._speaker(one.speaker)) for one in moved)
        return tuple(one for one in moved if one.end is None or one.end > start)

    def _full_transcript(self, message: Transcription, text: str) -> str | None:
        """The service's own on the first link. Later links start again: then what was told before, and the new text."""
        if self._links > 1 and self._full is not None:
            blank = "" if not self._full or self._full[-1].isspace() else " "
            self._full = f"{self._full}{blank}{text}" if text else self._full
        else:
            self._full = message.full_transcript
        return self._full
