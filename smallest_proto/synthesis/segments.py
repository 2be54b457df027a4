"""The segments of one synthesis, in a row: the first one is being spoken, the last one takes text."""

from __future__ import annotations

from collections import deque

from smallest_proto.config import SynthesisConfig
from smallest_proto.errors import Failure, FailureKind
from smallest_proto.values import Sink

from .events import AudioChunk, SegmentDone, SpokenSoFar, WordSpoken
from .script import NOTHING_TO_SAY
from .segment import Segment
from .states import UNDER_WAY, SegmentAction, SegmentInput, SegmentState

_TELLING = 1.0  # seconds of audio: a voice with word times has named a word by then


class Segments:
    """``resume``: hold audio back, to continue at the right word after a lost link, as long as the voice has times."""

    def __init__(
        self,
        config: SynthesisConfig,
        *,
        resume: bool,
        most_retries: int,
        output: Sink[AudioChunk | WordSpoken | SegmentDone | SpokenSoFar],
    ) -> None:
        self._config = config
        self._resume = resume
        self._most_retries = most_retries
        self._output = output
        self._row: deque[Segment] = deque()
        self._voice_has_times = True  # as far as is known
        self.given = 0  # segments in which there is something to say
        self.done = 0  # those that were spoken to their end
        self.seconds = 0.0  # of audio given out of those that are over
        self.unspoken: Failure | None = None  # what cut off one of them first

    def __bool__(self) -> bool:
        return bool(self._row)

    @property
    def first(self) -> Segment:
        """The segment that is spoken now."""
        return self._row[0]

    @property
    def length(self) -> int:
        """Characters of the segment that takes text."""
        return 0 if not self._row or self._row[-1].script.closed else self._row[-1].script.length

    @property
    def under_way(self) -> Segment | None:
        """The segment that the service was sent some of."""
        return self._row[0] if self._row and self._row[0].state in UNDER_WAY else None

    def add(self, text: str) -> None:
        """Text of the newest segment, or of a new one."""
        if not self._row or self._row[-1].script.closed:
            self._row.append(
                Segment(
                    self.given,
                    self._config,
                    resume=self._resume,
                    hold=self._resume and self._voice_has_times,
                    most_retries=self._most_retries,
                    output=self._output,
                )
            )
            self.given += 1
        if self._row[-1].state is not SegmentState.CUT:
            self._row[-1].script.add(text)

    def flush(self) -> None:
        """Close the newest segment. One without text, or with signs of a pause alone, is forgotten."""
        if not self._row or self._row[-1].script.closed:
            return
        segment = self._row[-1]
        segment.script.close()
        segment.take(SegmentInput.FLUSH)
        if segment.state is SegmentState.OVER:
            self._row.pop()
        elif segment.script.wordless(0) and not segment.script.speechless:
            self._row.pop()
            self.given -= 1

    def pass_over_speechless(self) -> None:
        """Report first segments with signs and nothing to speak as not spoken."""
        while self._row and self._row[0].script.closed and self._row[0].script.speechless:
            self._row[0].take(SegmentInput.DROP)
            self.cut(
                Failure(kind=FailureKind.SERVICE, reason=NOTHING_TO_SAY, final=True)
            )  # as the service would say it

    def finish(self, *, certain: bool) -> None:
        """The first segment was spoken to its end."""
        segment = self._row.popleft()
        playout = segment.playout
        playout.finish()
        self._voice_has_times = playout.timed or (self._voice_has_times and playout.seconds < _TELLING)
        self.done += 1
        self.seconds += playout.seconds
        self._output.append(SegmentDone(segment=segment.number, seconds=playout.seconds, certain=certain))

    def cut(self, failure: Failure | None) -> None:
        """The first segment was cut off. If more of its text can come, it stays, and ignores that."""
        self.unspoken = self.unspoken or failure
        first = self._row[0]
        self._tell(first, failure)
        if first.state is SegmentState.CUT and first.script.closed:
            first.take(SegmentInput.FLUSH)
        if first.state is SegmentState.OVER:
            self._row.popleft()

    def drop(self, failure: Failure | None) -> None:
        """Stop all of them."""
        for segment in self._row:
            segment.script.close()
            if segment.script.wordless(0) and not segment.script.speechless:
                self.given -= 1
            elif segment.take(SegmentInput.DROP) is SegmentAction.TELL:
                self._tell(segment, failure)
        self._row.clear()

    def _tell(self, segment: Segment, failure: Failure | None) -> None:
        self.seconds += segment.playout.seconds
        self._output.append(segment.so_far(failure))
