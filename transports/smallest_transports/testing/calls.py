"""A whole call as one value: what is said, what the application does, what happens to it. Run it, and judge it.

A ``CallPlan`` is run in virtual time, always in the same way. Its ``repr`` is Python that makes it again, so that a
failing example of Hypothesis, or a seed of a soak, is one line to copy into a test.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from smallest_proto.config import Endpoint, Route, Timeouts, TranscriptionConfig
from smallest_proto.errors import ConfigurationError
from smallest_proto.server.answers import error_answer
from smallest_proto.server.imperfection import Imperfection
from smallest_proto.transcription.events import Event, UpdateRejected
from smallest_proto.transcription.session import TranscriptionSession
from smallest_transports.memory import FAULTS, MemoryCall, MemoryLink, MemoryNetwork, refuse_next

from .judge import Report, Wrong, judge
from .speech import WORDS, Speech, Truth, join, speech
from .timeline import short, timeline

__all__ = [
    "Call",
    "CallPlan",
    "Fault",
    "Imperfection",
    "Network",
    "Part",
    "PlannedCall",
    "Step",
    "TranscriptionConfig",
]

REFUSED = "refused"  # the service of these calls takes no session of this name
_NUMBER = re.compile(r"\d+(\.\d+)?")
LIMIT = 900.0  # virtual seconds in which a call is over, whatever happens to it


class _Short:
    """``repr`` shows what is not as usual, and is Python."""

    def __repr__(self) -> str:
        return short(self)


@dataclasses.dataclass(frozen=True, repr=False)
class Part(_Short):
    """What is said in one audio format: as ``speech`` takes it."""

    script: tuple[str | float, ...]
    sample_rate: int = 16000  # Hz; from one part to the next the application updates it
    gap: float = 0.05  # seconds between two words


@dataclasses.dataclass(frozen=True, repr=False)
class Step(_Short):
    """What the application does ``at`` a time of the call, in seconds.

    ``do``: ``finalize``; ``update`` with other ``options``; ``update in vain``, which the service refuses.
    """

    do: str
    at: float
    options: tuple[tuple[str, Any], ...] = ()


@dataclasses.dataclass(frozen=True, repr=False)
class Fault(_Short):
    """What happens to the call: a name of ``memory.FAULTS``, ``stall:SECONDS``, ``close:CODE``, or
    ``refuse:STATUS`` for the next link.

    ``at`` a time of the call, in seconds, or when it has sent so many bytes (``byte``): to the newest link, or to the
    one before it (``back=1``). Or ``after`` so many seconds of the life of a link that is opened later: the first
    such fault to the second link of the call, the next one to the third.
    """

    name: str
    at: float | None = None
    byte: int | None = None
    after: float | None = None
    back: int = 0

    def __post_init__(self) -> None:
        name, _, value = self.name.partition(":")
        if self.name not in FAULTS and not (name in ("refuse", "close", "stall") and _NUMBER.fullmatch(value)):
            known = ", ".join((*FAULTS, "stall:SECONDS", "close:CODE", "refuse:STATUS"))
            raise ConfigurationError(f"there is no fault {self.name!r}: use {known}")

    def do(self, link: MemoryLink) -> None:
        """Do it to a link, now."""
        name, _, value = self.name.partition(":")
        if name == "close":
            link.hang_up(int(value))
        else:
            FAULTS[name](link)
        if name == "stall" and value:
            link.after(float(value), link.resume)


@dataclasses.dataclass(frozen=True, repr=False)
class Network(_Short):
    """The way to the service: seconds one way, what can come on top of them, and what the recogniser needs."""

    latency: float = 0.03
    jitter: float = 0.0
    decode_time: float = 0.1
    seed: int = 0  # of the jitter, and of the waits between tries
    faults: tuple[Fault, ...] = ()


@dataclasses.dataclass(frozen=True, repr=False)
class CallPlan(_Short):
    """A call. ``CallPlan(parts=(Part(("hello world", 1.0)),)).run().check()``"""

    parts: tuple[Part, ...]
    chunk: float = 0.02  # seconds of audio that are given at once
    real_time: bool = True  # each chunk when it has been spoken; else as fast as it is taken
    config: TranscriptionConfig = TranscriptionConfig()  # noqa: RUF009 - frozen
    route: Route = "unified"
    steps: tuple[Step, ...] = ()
    network: Network = Network()
    recogniser: Imperfection = Imperfection()  # noqa: RUF009 - frozen

    @classmethod
    def of(cls, *script: str | float, **more: Any) -> CallPlan:
        """A call of one part: ``CallPlan.of("hello world", 1.0, network=...)``."""
        return cls(parts=(Part(script),), **more)

    def speeches(self) -> list[Speech]:
        """What is said, part by part."""
        return [speech(*part.script, sample_rate=part.sample_rate, gap=part.gap) for part in self.parts]

    def make(self) -> PlannedCall:
        """The call before it has begun: plan more with its ``at``, then ``run`` it to a ``Call`` with ``finish``."""
        return PlannedCall(self)

    def run(self) -> Call:
        """Run it to its end; without one after a quarter of an hour the events lack it."""
        return self.make().finish()


class PlannedCall(MemoryCall):
    """Gives one part after the other; before each it goes over to the part's sample rate."""

    def __init__(self, plan: CallPlan) -> None:
        way = plan.network
        network = MemoryNetwork(
            WORDS,
            latency=way.latency,
            jitter=way.jitter,
            decode_time=way.decode_time,
            seed=way.seed,
            imperfection=plan.recogniser,
        )
        self.parts = plan.speeches()
        first = self.parts[0].sample_rate if self.parts else plan.config.sample_rate
        self.config = msgspec.structs.replace(plan.config, sample_rate=first)
        session = TranscriptionSession(
            self.config,
            Endpoint(api_key="key", route=plan.route),
            timeouts=Timeouts(last=120.0),  # several faults after the end of the input take their time one by one
            jitter=network.random.random,
            buffer_seconds=60.0,
        )
        super().__init__(session, network)
        self.plan = plan
        self.truth = msgspec.structs.replace(join(self.parts), imperfection=plan.recogniser)
        self.done = False  # all is given: no more changes
        self.finalized: list[float] = []  # where it finalized, in seconds of the stream
        self.story: list[tuple[float, str]] = []  # what was done to it, and when
        self._sent = 0  # bytes, on all links
        self._by_byte = sorted((f for f in way.faults if f.byte is not None), key=lambda fault: fault.byte or 0)
        self._on_links = [fault for fault in way.faults if fault.after is not None]
        network.on_link = self._opened
        for fault in way.faults:
            if fault.at == 0 and fault.name.startswith("refuse:"):
                self.happen(fault)  # before the first link is opened: it is the next one
            elif fault.at is not None:
                self.at(fault.at, partial(self.happen, fault))
        for step in plan.steps:
            self.at(step.at, partial(self._step, step))

    def finish(self) -> Call:
        """Run it to its end."""
        self.start()
        self.end_input()
        with contextlib.suppress(TimeoutError):  # then the end is missing
            self.run(limit=LIMIT)
        return self.outcome()

    def outcome(self) -> Call:
        """What there is to be judged."""
        truth = msgspec.structs.replace(self.truth, finalized=tuple(self.finalized))
        return Call(truth, self.events, self.session, self.story, self.plan)

    def tell_of(self, what: str) -> None:
        """Write something into the story."""
        self.story.append((self.network.clock.now, what))

    def end_input(self) -> None:
        """Go on with the next part; after the last one the input is over."""
        if not self.parts:
            self.done = True
            super().end_input()
            return
        part = self.parts.pop(0)
        if part.sample_rate != self.config.sample_rate:
            self.change(sample_rate=part.sample_rate)
        self.feed(part.pcm, real_time=self.plan.real_time, chunk=self.plan.chunk, format=self.config.audio_format)

    def finalize(self) -> None:
        """As the session's, while there is input."""
        if not self.done and not self.session.ended:
            self.finalized.append(self.session.stats.seconds_given)
            super().finalize()

    def change(self, **options: object) -> None:
        """Update the configuration."""
        if not self.done:
            self.config = msgspec.structs.replace(self.config, **options)
            self.update(self.config)

    def change_in_vain(self) -> None:
        """Ask for what the service refuses."""
        if not self.done:
            self.update(msgspec.structs.replace(self.config, external_session_id=REFUSED))

    def happen(self, fault: Fault, link: MemoryLink | None = None) -> None:
        """A fault happens, to ``link`` or as it says itself."""
        self.tell_of(fault.name)
        name, _, status = fault.name.partition(":")
        if name == "refuse":
            refuse_next(self.network, int(status))
            return
        hit = self.network.links[-1 - fault.back :][:1] if link is None else [link]
        for one in hit:
            fault.do(one)

    def _step(self, step: Step) -> None:
        self.tell_of(step.do)
        does: dict[str, Callable[[], None]] = {
            "finalize": self.finalize,
            "update": lambda: self.change(**dict(step.options)),
            "update in vain": self.change_in_vain,
        }
        does[step.do]()

    def _opened(self, link: MemoryLink) -> None:
        if f"external_session_id={REFUSED}" in link.request.query:
            link.refusal = error_answer(400, "no")
        elif link.number > 1 and self._on_links:
            fault = self._on_links.pop(0)
            self.network.clock.after(fault.after or 0.0, partial(self.happen, fault, link))
        if self._by_byte:
            self._count(link)

    def _count(self, link: MemoryLink) -> None:
        """Count what is sent on ``link``, for the faults that wait for a byte."""
        send = link.send

        def counted(data: str | bytes) -> None:
            send(data)
            self._sent += len(data)
            while self._by_byte and self._sent > (self._by_byte[0].byte or 0):
                # Not now: the session is being told something.
                self.network.clock.after(0.0, partial(self.happen, self._by_byte.pop(0)))

        link.send = counted  # type: ignore[method-assign]


class Call(NamedTuple):
    """One call, run to its end."""

    truth: Truth
    events: list[tuple[float, Event]]  # with their virtual times
    session: TranscriptionSession
    story: list[tuple[float, str]]  # what was done to it, and when
    plan: CallPlan | None = None

    @property
    def text(self) -> str:
        """What the finals say, all together."""
        return " ".join(word for _, event in self.events for word in getattr(event, "text", "").split())

    def judge(self) -> Report:
        """What is wrong with it, if anything."""
        report = judge(self.events, self.truth, stats=self.session.stats)
        if sum(isinstance(event, UpdateRejected) for _, event in self.events) > len(self.story):
            more = Wrong("end", "more updates were rejected than asked for")
            report = report._replace(wrongs=(*report.wrongs, more))
        return report

    def check(self) -> None:
        """Raise ``AssertionError`` if anything is wrong: with the report, the time line, and how to run it again."""
        if not (report := self.judge()).ok:
            raise AssertionError(self.explain(report))

    def explain(self, report: object) -> str:
        """A report with what there is to understand it: the time line, and the line that runs the call again."""
        return f"{report}\n\n{self.timeline()}\n\nagain: {self.again}"

    @property
    def again(self) -> str:
        """One line of Python that runs it again, after ``from smallest_transports.testing.calls import *``."""
        return "" if self.plan is None else f"{self.plan!r}.run().check()"

    def timeline(self) -> str:
        """The call in text: what was said, what happened, what came of it, line by line with its time."""
        spoken = self.plan is None or self.plan.real_time
        return timeline(self.truth.words if spoken else (), self.story, self.events)


def pauses(truth: Truth, longer_than: float = 0.8) -> list[float]:
    """The middles of the pauses that are longer than so many seconds."""
    gaps = [(one.end or 0.0, following.start or 0.0) for one, following in pairwise(truth.words)]
    return [(start + end) / 2 for start, end in gaps if end - start > longer_than]
