"""What the links of a session measured, as typed values: one for each link when it ends.

They hold neither the key nor what was said, so they can go to any collector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .commands import OpenLink
from .errors import Failure
from .events import LinkOpened
from .stats import LinkRecord
from .values import Value


class LinkMetrics(Value, frozen=True, kw_only=True):
    """One connection, told when it ends. Seconds are seconds of time."""

    link: int
    opening: float | None  # from the attempt to an open connection; None: it never opened
    seconds: float  # from the attempt to its end
    failure: Failure | None = None  # why it ended; None: the session ended it


class LinkMeter:
    """Measures the links of one session: by its outputs, in order, and by ``SessionStats.links``."""

    def __init__(self) -> None:
        self._begun: dict[int, float] = {}  # of the links that have not been told of
        self._opening: dict[int, float] = {}

    def take(self, output: object, now: float) -> None:
        """A command or an event that the session gave at ``now``."""
        if isinstance(output, OpenLink):
            self._begun[output.link] = now
        elif isinstance(output, LinkOpened):
            self._opening[output.link] = output.seconds

    def ended(self, links: Sequence[LinkRecord], now: float) -> Iterator[LinkMetrics]:
        """The links that have ended since the last call, in order."""
        for number in sorted(self._begun):
            if (record := links[number - 1]).ended:
                yield LinkMetrics(
                    link=number,
                    opening=self._opening.pop(number, None),
                    seconds=now - self._begun.pop(number),
                    failure=record.failure,
                )
