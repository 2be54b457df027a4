"""What can be done to the links of the local server, by name: ``drop@5``, ``refuse:503x2``, ``stall:3@4``.

A fault is written ``NAME[:VALUE][@SECONDS][xTIMES]``. It happens to the first link that has brought so many seconds of
audio, or has been sent so many if speech is made on it (0 unless they are given), and then to more links in the same
way, until it has happened to ``TIMES`` of them. Several happen in the order in which they are named, each to the next
link, as no link outlives its fault. But ``garbage``, ``no-complete`` and ``twice`` leave a link as it is, which then
waits for the next fault too. ``no-last`` waits for a link that transcribes, ``no-complete`` and ``twice`` for one that
speaks; to speech over HTTP ``drop`` and ``refuse`` alone happen. After the last fault the server is healthy.

Names that ``smallest_transports.memory`` has as well mean the same there.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol, TypeAlias

from smallest_proto.errors import ConfigurationError
from smallest_proto.reading import read_json_object
from smallest_proto.server.answers import Response, error_answer
from smallest_proto.values import Value

REFUSAL_RETRY_AFTER = 1  # seconds: sent with a 429 or 503 that is played on purpose

_ERROR = '{"type":"error","status":"error","message":"something went wrong"}'
_GARBAGE: tuple[str | bytes, ...] = (
    "<html>",
    "[1, 2]",
    '{"type":7,"transcript":[],"words":"none","is_final":"perhaps"}',
    '{"type":"news","text":"none"}',
    '{"status":"chunk","data":{"audio":"no base64!"}}',
    '{"status":"chunk","data":7}',
    '{"status":"word_timestamp","data":{"id":"one","word":7,"start":[],"end":"soon"}}',
    '{"status":"news","data":{}}',
    b"\x00\xff",
)
_RESERVED_CODES = frozenset((1004, 1005, 1006, 1015))  # codes that no close frame may carry
_WRITTEN = re.compile(r"([a-z-]+)(?::([0-9.]+))?(?:@([0-9.]+))?(?:x([0-9]+))?")


class Harmed(Protocol):
    """What can be done to a link. None of it waits."""

    def lose(self) -> None:
        """Break the connection (RST): data that is on its way is lost."""

    def half_open(self) -> None:
        """Stop reading and writing, without a sign: the socket stays open."""

    def stall(self, seconds: float | None) -> None:
        """Stop reading, for some seconds or for ever; what was read is still answered."""

    def mute(self) -> None:
        """Read on and answer pings, but send no messages any more."""

    def say(self, data: str | bytes) -> None:
        """Send a message, whatever it is."""

    def tear(self) -> None:
        """Cut the next audio that is sent in the middle of a sample."""

    def hang_up(self, code: int, reason: str = "") -> None:
        """Close the WebSocket."""


class _Kind(NamedTuple):
    """What a fault does, and its properties."""

    do: Callable[[Harmed, float | None], None]
    value: str = ""  # what its value is; empty: it has none
    allowed: Callable[[float], bool] = math.isfinite
    needed: bool = False  # it needs one
    timed: bool = True  # it happens after some seconds of audio; else at a moment of its own
    harmless: bool = False  # the link goes on
    completes: int | None = None  # how often ``complete`` is sent, if it happens to that


def _talk_nonsense(link: Harmed, _: float | None) -> None:
    for data in _GARBAGE:
        link.say(data)
    link.tear()


def _nothing(_: Harmed, __: float | None) -> None:
    """Done elsewhere: by ``FaultPlan.refusal`` in place of the link, by ``LinkFaults.complete_due``."""


def _tell_error(link: Harmed, _: float | None) -> None:
    """As the service does: a close usually follows."""
    link.say(_ERROR)
    link.hang_up(1011)


FAULTS: Mapping[str, _Kind] = {
    "drop": _Kind(lambda link, _: link.lose()),
    "half-open": _Kind(lambda link, _: link.half_open()),
    "stall": _Kind(lambda link, seconds: link.stall(seconds), "seconds until it reads on", lambda s: 0 < s < 1e6),
    "mute": _Kind(lambda link, _: link.mute()),
    "close": _Kind(
        lambda link, code: link.hang_up(int(code or 1000)),
        "a close code that a server can send, such as 1011",
        lambda code: code.is_integer() and 1000 <= code <= 4999 and code not in _RESERVED_CODES,
        needed=True,
    ),
    "error": _Kind(_tell_error),
    "garbage": _Kind(_talk_nonsense, harmless=True),
    "no-last": _Kind(lambda link, _: link.hang_up(1000), timed=False),  # in place of the last final
    "no-complete": _Kind(_nothing, timed=False, harmless=True, completes=0),
    "twice": _Kind(_nothing, timed=False, harmless=True, completes=2),
    "refuse": _Kind(
        _nothing,
        "an HTTP status from 400 to 599",
        lambda status: status.is_integer() and 400 <= status <= 599,
        timed=False,
    ),
}
SYNTAX = "NAME[:VALUE][@SECONDS][xTIMES]"
KNOWN = (
    "drop, half-open, stall or stall:SECONDS, mute, close:CODE, error, garbage, no-last, no-complete, twice, "
    "refuse or refuse:STATUS"
)


class Fault(Value, frozen=True, kw_only=True):
    """One fault. ``str`` of it is how it is written.

    Raises ``ConfigurationError`` for a name that is not known, and for what the fault of that name does not have.
    """

    name: str
    value: float | None = None  # seconds of a stall, close code, HTTP status
    at: float = 0.0  # seconds of audio on the link before it happens
    times: int = 1  # how many links it happens to

    def __post_init__(self) -> None:
        kind = FAULTS.get(self.name)
        if kind is None:
            raise ConfigurationError(f"there is no fault {self.name!r}: use {KNOWN}, written {SYNTAX}")
        if self.value is None and kind.needed:
            raise ConfigurationError(f"{self.name} needs {kind.value}: {self.name}:1011")
        if self.value is not None and not kind.value:
            raise ConfigurationError(f"{self.name} has no value: write {self.name}@SECONDS")
        if self.value is not None and not kind.allowed(self.value):
            hint = "; for a connection without a goodbye (1006) use drop" if self.name == "close" else ""
            raise ConfigurationError(f"the value of {self.name} must be {kind.value}, not {self.value:g}{hint}")
        if self.at and not kind.timed:
            raise ConfigurationError(f"{self.name} has its own moment: leave out @{self.at:g}")
        if not 0 <= self.at < 1e6:
            raise ConfigurationError(f"a fault happens after a number of seconds of audio, not {self.at!r}")
        if not 1 <= self.times <= 1_000_000:
            raise ConfigurationError(f"a fault happens to at least 1 link, not {self.times}")

    def __str__(self) -> str:
        value = "" if self.value is None else f":{self.value:.9g}"
        at = f"@{self.at:.9g}" if self.at else ""
        return f"{self.name}{value}{at}" + (f"x{self.times}" if self.times > 1 else "")


AnyFault: TypeAlias = Fault | str  # as a value, or as it is written


def read_fault(text: str) -> Fault:
    """The fault that is written so; blanks and underscores in a name count as hyphens.

    Raises ``ConfigurationError``, which names the faults that there are.
    """
    match = _WRITTEN.fullmatch(re.sub(r"[ _]", "-", text.strip().lower()))
    try:
        if match is None:
            raise ValueError
        name, value, at, times = match.groups()
        numbers = None if value is None else float(value), float(at or 0), int(times or 1)
    except ValueError:
        raise ConfigurationError(f"{text[:40]!r} is no fault: use {KNOWN}, written {SYNTAX}") from None
    return Fault(name=name, value=numbers[0], at=numbers[1], times=numbers[2])


def links_of(faults: Iterable[Fault]) -> int:
    """How many links they happen to: links that are dead for the client can still take a place."""
    return sum(fault.times for fault in faults)


class FaultPlan:
    """The faults of one server, in order, and which are left."""

    def __init__(self, faults: Iterable[AnyFault] = ()) -> None:
        self._left = deque(fault if isinstance(fault, Fault) else read_fault(fault) for fault in faults)
        self._times = 0  # links that the first one happened to
        self.done = 0  # faults that are over: the number of the first one

    @property
    def left(self) -> tuple[Fault, ...]:
        """The faults that did not happen yet, or not often enough."""
        return tuple(self._left)

    def do_next(self, fault: AnyFault) -> None:
        """Do this one before all that did not begin yet. Raises ``ConfigurationError`` as ``read_fault`` does."""
        self._left.insert(1 if self._times else 0, fault if isinstance(fault, Fault) else read_fault(fault))

    def refusal(self, request_id: str) -> Response | None:
        """The answer in place of a WebSocket, if a refusal is due."""
        if not self._left or (fault := self._left[0]).name != "refuse":
            return None
        self.happened()
        status = int(fault.value or 503)
        headers = (("Retry-After", str(REFUSAL_RETRY_AFTER)),) if status in (429, 503) else ()
        return error_answer(status, "refused on purpose", request_id, headers=headers)

    def drops(self, seconds: float) -> bool:
        """Whether to break an answer that has this much audio now; if so, the fault has happened."""
        due = bool(self._left) and self._left[0].name == "drop" and seconds >= self._left[0].at
        if due:
            self.happened()
        return due

    def happened(self) -> None:
        """The first fault happened to one more link."""
        self._times += 1
        if self._times == self._left[0].times:
            self._left.popleft()
            self._times = 0
            self.done += 1


class LinkFaults:
    """The faults of one link, which reports what comes in or goes out."""

    def __init__(self, plan: FaultPlan, link: Harmed) -> None:
        self._plan = plan
        self._link = link
        self._seconds = 0.0  # of audio
        self._met: int | None = None  # the number of the last fault; each happens to a link once
        self._over = False

    def audio_came(self, seconds: float) -> None:
        """This much more audio went over the link; 0 when it opens."""
        self._seconds += seconds
        while (fault := self._next()) is not None and FAULTS[fault.name].timed and self._seconds >= fault.at:
            self._do(fault)

    def text_came(self, text: str) -> None:
        """A text message is here."""
        fault = self._next()
        if fault is not None and fault.name == "no-last" and _asks_for_the_last(text):
            self._do(fault)

    def complete_due(self) -> int:
        """How often to send ``complete``."""
        fault = self._next()
        times = None if fault is None else FAULTS[fault.name].completes
        if fault is None or times is None:
            return 1
        self._do(fault)
        return times

    def _next(self) -> Fault | None:
        if self._over or self._met == self._plan.done:
            return None
        return next(iter(self._plan.left), None)

    def _do(self, fault: Fault) -> None:
        kind = FAULTS[fault.name]
        self._met = self._plan.done
        self._over = not kind.harmless
        self._plan.happened()
        kind.do(self._link, fault.value)


def _asks_for_the_last(text: str) -> bool:
    read = read_json_object(text)
    return isinstance(read, dict) and read.get("type") == "close_stream"
