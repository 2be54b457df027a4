"""What one call measured, for the application's function: each link when it has ended, each final; pure as well."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeAlias

from smallest_proto.commands import OpenLink
from smallest_proto.metrics import LinkMeter, LinkMetrics
from smallest_proto.synthesis.session import SynthesisSession
from smallest_proto.transcription.events import FinalTranscript
from smallest_proto.transcription.metrics import FinalMetrics
from smallest_proto.transcription.session import TranscriptionSession

Told: TypeAlias = Callable[["LinkMetrics | FinalMetrics"], object]


class CallMetrics:
    """Measures one session. What ``told`` raises is for ``complain``: a mistake in counting must not end a call."""

    def __init__(
        self, told: Told, session: TranscriptionSession | SynthesisSession, complain: Callable[[str], None]
    ) -> None:
        self._told = told
        self._session = session
        self._complain = complain
        self._meter = LinkMeter()
        self._links = 0  # that have begun, and were not told of

    def note(self, output: Any, now: float) -> None:
        """A command or an event of the session."""
        self._meter.take(output, now)
        if isinstance(output, OpenLink):
            self._links += 1
        elif isinstance(output, FinalTranscript):
            self._tell(FinalMetrics.of(output))

    def look(self, links: Collection[int], now: float) -> None:
        """``links`` are those that there still are."""
        if len(links) < self._links:
            for ended in self._meter.ended(self._session.stats.links, now):
                self._links -= 1
                self._tell(ended)

    def _tell(self, metrics: LinkMetrics | FinalMetrics) -> None:
        try:
            self._told(metrics)
        except Exception:
            self._complain("on_metrics raised; the call goes on")
