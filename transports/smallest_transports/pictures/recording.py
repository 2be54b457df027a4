"""What the calls of both services have in common: their links, and how they end."""

from __future__ import annotations

from typing import Any

import msgspec

from smallest_proto.commands import AbortLink, CloseLink, OpenLink
from smallest_proto.events import EndReason, LinkLost, SessionEnded

from .model import Bar, Note, Point, Run, Sign
from .tracks import Track

_RUN_GAP = 0.7  # seconds without audio: what follows is drawn as another run

_ENDINGS = {
    EndReason.COMPLETED: "completed",
    EndReason.INCOMPLETE: "ended without its last final",
    EndReason.ABORTED: "aborted by the application",
    EndReason.FAILED: "failed",
}


class Link:
    """One link, while it is watched."""

    def __init__(self, number: int, at: float) -> None:
        self.bar = Bar(link=number, asked=at)
        self.signs: list[Sign] = []
        self.heard = Track()
        self.place: float | None = None  # the end of what it was sent
        self._runs: list[tuple[bool, Track]] = []

    def change(self, **fields: Any) -> None:
        self.bar = msgspec.structs.replace(self.bar, **fields)

    def end(self, at: float, why: str, *, lost: bool = False) -> None:
        """It has ended, if it had not; the first reason counts, but for one that says that it was lost."""
        if self.bar.ended is None:
            self.change(ended=at)
        if not self.bar.why or (lost and not self.bar.lost):
            self.change(why=why, lost=lost)

    def sign(self, at: float, what: str) -> None:
        if what in ("audio", "text", "text again") and self.signs and self.signs[-1] == Sign(at=at, what=what):
            return
        self.signs.append(Sign(at=at, what=what))

    def sent(self, at: float, start: float, end: float, *, again: bool) -> None:
        """It was sent the audio from one place to another."""
        if self._runs:
            before, track = self._runs[-1]
            when, place = track.last
            if before == again and abs(place - start) < 1e-6 and at - when < _RUN_GAP:
                track.add(at, end)
                return
        track = Track()
        track.add(at, start)
        track.add(at, end)
        self._runs.append((again, track))

    def value(self) -> Bar:
        runs = tuple(Run(again=again, points=track.points()) for again, track in self._runs)
        return msgspec.structs.replace(self.bar, runs=runs, signs=tuple(self.signs), heard=self.heard.points())


class Recording:
    """A session that is told the same again, and what of it is worth a picture.

    ``told`` comes before the session is told something, ``output`` for each of its outputs, ``settle`` after the last.
    """

    def __init__(self, session: Any, name: str, config: Any, *, private: bool) -> None:
        self.session = session
        self.config = config
        self.links: dict[int, Link] = {}
        self.notes: list[Note] = []
        self._name = name
        self._private = private
        self._began: float | None = None
        self._ended_at: float | None = None
        self._now = 0.0
        self._ending, self._well = "", True

    def told(self, name: str, args: tuple[Any, ...], now: float) -> float:
        """What the session is about to be told; returns when that is, in seconds since the call began."""
        if self._began is None:
            self._began = now
        at = self._now = max(self._now, now - self._began)
        return at

    def output(self, output: Any, at: float) -> None:
        """One output."""
        match output:
            case OpenLink(link=number):
                self.links[number] = Link(number, at)
            case CloseLink(link=number, code=code):
                self._closing(number, code)
            case AbortLink(link=number):
                self._link(number).end(at, "given up by the client")
            case LinkLost(link=number, failure=failure, retry_in=retry_in):
                link = self._link(number)
                link.end(at, failure.reason, lost=True)
                link.change(retry_in=retry_in)
            case SessionEnded(reason=reason, failure=failure):
                self._ending = _ENDINGS[reason] + (f": {failure.reason}" if failure is not None else "")
                self._well = reason in (EndReason.COMPLETED, EndReason.ABORTED)
                self._ended_at = at

    def _closing(self, number: int, code: int) -> None:
        link = self._link(number)
        if not link.bar.why:
            link.change(why="closed by the client: its work was done" if code == 1000 else f"closed with code {code}")

    def settle(self, name: str, args: tuple[Any, ...], at: float) -> None:
        """All that follows from what it was told is put out."""
        if not name.startswith("link_") or (link := self.links.get(args[0])) is None:
            return
        if name == "link_opened":
            if link.bar.opened is None and link.bar.ended is None:
                link.change(opened=at)
        elif name == "link_failed":
            link.end(at, args[1].reason)
        else:
            link.end(at, f"closed by the service with code {args[1]}")

    def _link(self, number: int) -> Link:
        if number not in self.links:
            self.links[number] = Link(number, self._now)
        return self.links[number]

    def note(self, at: float, text: str, *, bad: bool = False) -> None:
        self.notes.append(Note(at=at, text=text, bad=bad))

    def common(self) -> dict[str, Any]:
        """The fields that every call has."""
        return {
            "name": self._name,
            "private": self._private,
            "seconds": round(self._now if self._ended_at is None else self._ended_at, 3),
            "links": tuple(link.value() for link in self.links.values()),
            "notes": tuple(self.notes),
            "ending": self._ending,
            "well": self._well,
        }


def changed(before: Any, after: Any) -> str:
    """Which options an update changes, by name."""
    names = [name for name in after.__struct_fields__ if getattr(before, name, None) != getattr(after, name)]
    return ", ".join(names) or "nothing"


def rounded(point: Point) -> Point:
    """To the millisecond."""
    return (round(point[0], 3), round(point[1], 3))
