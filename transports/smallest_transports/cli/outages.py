"""What happened to the links of a stream: a line for each time that it had none."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from smallest_proto.errors import FailureKind
from smallest_proto.events import EndReason, LinkLost, LinkOpened, SessionEnded
from smallest_proto.stats import SessionStats
from smallest_proto.synthesis.events import SpeechEvent
from smallest_proto.transcription.events import AudioLost, Event

_WORTH_A_LINE = 1.0  # seconds: a longer wait is announced


def tell_left(say: Callable[[str], None], left: Sequence[object]) -> None:
    """Print which faults that were asked for did not happen, if any."""
    if left:
        say(f"Did not happen, as no link got so far: {', '.join(map(str, left))}")


def missing_by(event: Event) -> str | None:
    """What a transcript may lack, if that is what the event says."""
    if isinstance(event, AudioLost):
        return f"what was said from {event.start:.1f} s to {event.end:.1f} s"
    if isinstance(event, SessionEnded) and event.reason is EndReason.INCOMPLETE:
        return "its end, as the service did not send the last final"
    return None


class Outages:
    """Gives lines to ``say``. Tell it of every event."""

    def __init__(self, say: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._open: int | None = None  # the link that serves
        self._opened_at = 0.0
        self._lost_at: float | None = None  # while there is none
        self._again = 0.0  # seconds of audio that the next one is sent again
        self._unsaid: list[str] = []  # about this outage, and not printed yet

    def heard(self, event: Event | SpeechEvent, stats: SessionStats | None = None) -> None:
        """An event, and what the session that hears did until now.

        Raises the ``RemoteError`` of a first link to where nobody is.
        """
        if isinstance(event, LinkLost):
            if self._open is None and event.failure.kind is FailureKind.CONNECT:
                # A wrong URL is far more likely than a bad moment, so there is no wait.
                raise event.failure.error()
            self._lost(event, stats)
        elif isinstance(event, LinkOpened):
            now = self._clock()
            if self._lost_at is not None:
                again = f", {self._again:.1f} s of audio sent again" if self._again else ""
                self._unsaid.append(f"link {event.link} open {now - self._lost_at:.1f} s later{again}")
            self._flush()
            self._open, self._opened_at, self._lost_at = event.link, now, None
        elif isinstance(event, SessionEnded):
            self._flush()

    def _lost(self, event: LinkLost, stats: SessionStats | None) -> None:
        now = self._clock()
        if self._lost_at is None:
            self._lost_at = now
            # The next link begins with this audio.
            self._again = stats.seconds_sent - stats.seconds_finalised if stats else 0.0
        what = f"lost after {now - self._opened_at:.1f} s" if event.link == self._open else "did not open"
        self._unsaid.append(f"link {event.link} {what}: {event.failure.reason}")
        if event.retry_in >= _WORTH_A_LINE:
            self._unsaid.append(f"trying again in {event.retry_in:.1f} s")
            self._flush()

    def _flush(self) -> None:
        if self._unsaid:
            self._say("; ".join(self._unsaid))
            self._unsaid.clear()
