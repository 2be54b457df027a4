"""Connections that are kept warm between two syntheses; pure.

No task watches over them. A connection that is too old is closed when the next one comes, and the service closes it by
itself after a minute of silence: then its session has no link, and is not taken again.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from smallest_proto.synthesis.session import SynthesisSession

from ._driver import Driver


class _Kept(NamedTuple):
    key: Hashable
    driver: Driver[SynthesisSession]
    since: float

    def fits(self, seconds: float) -> bool:
        """Whether a segment can begin on it: at once, or when the link that is being opened is."""
        driver = self.driver
        return bool(driver.links) and not driver.over() and driver.now() - self.since <= seconds


class Pool:
    """Drivers of sessions of synthesis in which nothing is under way, by what they were made for.

    ``size`` is how many are kept at most; ``seconds`` how long one is.
    """

    def __init__(self, size: int, seconds: float) -> None:
        self.size = size
        self._seconds = seconds
        self._kept: list[_Kept] = []  # the oldest first

    def take(self, key: Hashable) -> Driver[SynthesisSession] | None:
        """One of ``key``, the youngest, with an open link if there is one. What it put out before is gone."""
        fit = [kept for kept in self._kept if kept.key == key and kept.fits(self._seconds)]
        best = max(fit, key=lambda kept: (kept.driver.machine.warm, kept.since), default=None)
        if best is None:
            return None
        self._kept.remove(best)
        best.driver.outputs.clear()
        return best.driver

    def give(self, key: Hashable, driver: Driver[SynthesisSession]) -> list[Driver[SynthesisSession]]:
        """Keep one in which nothing is under way. Returns what is to be closed, perhaps ``driver`` itself."""
        kept = [*self._kept, _Kept(key, driver, driver.now())]
        fit = [one for one in kept if one.fits(self._seconds)]
        self._kept = fit[max(0, len(fit) - self.size) :]
        return [one.driver for one in kept if one not in self._kept]
