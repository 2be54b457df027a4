"""The state of a stream's links in a few words, for the line at the foot of a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable

from smallest_proto.events import LinkLost, LinkOpened
from smallest_proto.stats import SessionStats
from smallest_proto.transcription.events import Event

_LEAST = 0.05  # seconds: less is not worth a word


class LinkLine:
    """Tell it of every event; ``words`` says how the links are now."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stats: Callable[[], SessionStats] | None = None
        self._link: int | None = None  # the one that is open
        self._lost_at: float | None = None  # while there is none after one
        self._replayed = 0.0  # seconds of audio that were sent again before the last loss

    def begin(self, stats: Callable[[], SessionStats]) -> None:
        """The stream has begun; ``stats`` gives its counts."""
        self._stats = stats

    def heard(self, event: Event) -> None:
        """An event."""
        if isinstance(event, LinkOpened):
            self._link, self._lost_at = event.link, None
        elif isinstance(event, LinkLost) and self._link in (None, event.link) and self._lost_at is None:
            # Another one than the one that is open is beside it, and was not what is heard.
            self._link, self._lost_at = None, self._clock()
            self._replayed = self._stats().seconds_replayed if self._stats is not None else 0.0

    @property
    def open(self) -> bool:
        """Whether a link is open."""
        return self._link is not None

    def words(self) -> str:
        """Such as "link 3, 2.8 s sent again"; nothing before the stream has begun."""
        if self._stats is None:
            return ""
        stats = self._stats()
        if self._link is not None:
            again = stats.seconds_replayed - self._replayed
            return f"link {self._link}" + (f", {again:.1f} s sent again" if again >= _LEAST else "")
        if self._lost_at is None:
            return "connecting"
        waiting = stats.seconds_given - stats.seconds_sent
        held = f", {waiting:.1f} s of audio wait" if waiting >= _LEAST else ""
        return f"no link for {self._clock() - self._lost_at:.1f} s{held}"
