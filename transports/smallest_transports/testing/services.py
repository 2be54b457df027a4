"""Services on loopback for tests, on threads of their own: coded or scripted with no model, or with real engines."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from smallest_proto.config import TranscriptionConfig
from smallest_proto.server.imperfection import Imperfection
from smallest_proto.server.recogniser import PlainRecogniser, RecogniserFactory
from smallest_proto.server.synthesiser import CodedSynthesiser
from smallest_transports.local import check_installed
from smallest_transports.local.faults import AnyFault, Fault, read_fault
from smallest_transports.local.server import LocalServer

from . import calls
from .servers import in_thread
from .speech import WORDS, Truth, speech

__all__ = ["Service", "coded_service", "engine_service", "marked_call", "marked_plan"]

MANY = {"max_live": 256, "max_files": 256, "max_speech": 256}  # a test means no limit of the service


class Service(NamedTuple):
    """A service that runs; a client needs its ``base_url``."""

    base_url: str
    truth: Truth | None  # what a scripted one says on each link
    left: Callable[[], tuple[Fault, ...]]

    @property
    def faults_left(self) -> tuple[str, ...]:
        """The faults that did not happen yet."""
        return tuple(map(str, self.left()))


@contextmanager
def coded_service(
    *,
    faults: Sequence[AnyFault] = (),
    script: Sequence[str | float] = (),
    recogniser: Sequence[str] = (),
    ssl_context: ssl.SSLContext | None = None,
    **options: Any,
) -> Iterator[Service]:
    """The service without a model, on a free port of loopback: it hears coded speech and speaks it.

    With a ``script`` (texts, and pauses in seconds) it says that on each link, as its time comes by, whatever it hears.
    ``faults`` as ``LocalServer`` has them, ``recogniser`` as ``Imperfection.read`` does; ``options`` are the server's.
    Raises ``AssertionError`` at the end for faults that did not happen: what was to be shown was not.
    """
    said = speech(*script) if script else None
    ear: RecogniserFactory = WORDS if said is None else partial(_scripted, said.truth)
    imperfection = Imperfection.read(recogniser) if recogniser else Imperfection()
    server = LocalServer(
        **{
            **MANY,
            "recogniser": ear,
            "synthesiser": CodedSynthesiser,
            "faults": faults,
            "imperfection": imperfection,
            "ssl_context": ssl_context,
            **options,
        }
    )
    with in_thread(server) as running:
        service = Service(running.base_url, None if said is None else said.truth, lambda: running.faults_left)
        yield service
        assert not service.faults_left, f"these faults did not happen: {', '.join(service.faults_left)}"


def _scripted(truth: Truth, options: TranscriptionConfig) -> PlainRecogniser:
    return PlainRecogniser(truth.words, options)


def engine_service(**options: Any) -> AbstractContextManager[Service]:
    """The service with real engines. Raises ``ConfigurationError`` unless they are installed."""
    check_installed()
    return _engine_service(options)


@contextmanager
def _engine_service(options: Mapping[str, Any]) -> Iterator[Service]:
    with in_thread(LocalServer(**options)) as running:
        yield Service(running.base_url, None, lambda: running.faults_left)


def marked_plan(
    script: Sequence[str | float], faults: Sequence[AnyFault], kinds: Sequence[str], more: Mapping[str, Any]
) -> calls.CallPlan:
    """The plan of a call with faults as ``LocalServer`` has them written, at seconds of the call."""
    found = [fault if isinstance(fault, Fault) else read_fault(fault) for fault in faults]
    plan = calls.CallPlan.of(*script, **more)
    end = sum(part.seconds for part in plan.speeches())
    planned = [one for fault in found for one in _planned(fault, end)]
    if planned and not plan.network.faults:
        plan = replace(plan, network=replace(plan.network, faults=tuple(planned)))
    return replace(plan, recogniser=Imperfection.read(kinds)) if kinds and "recogniser" not in more else plan


def marked_call(
    script: Sequence[str | float], faults: Sequence[AnyFault], kinds: Sequence[str], more: Mapping[str, Any]
) -> calls.Call:
    """Run such a plan. Raises ``AssertionError`` for faults that did not happen: what was to be shown was not."""
    made = marked_plan(script, faults, kinds, more).make()
    call = made.finish()
    if faults and call.plan is not None:
        left = Counter(fault.name for fault in call.plan.network.faults)
        left -= Counter(name for _, name in call.story)
        left += Counter(f"refuse:{answer.status}" for answer in made.network.refusals)
        assert not left, f"these faults did not happen: {', '.join(left.elements())}\n\n{call.timeline()}"
    return call


# Those that are called otherwise in virtual time, where a fault is one thing that happens.
_NAMES = {"refuse": "refuse:503", "no-last": "no last", "garbage": "odd types"}


def _planned(fault: Fault, end: float) -> Iterator[calls.Fault]:
    """The same in virtual time: once at its time, then so long after each next link was opened."""
    value = "" if fault.value is None else f":{fault.value:g}"
    name = f"{fault.name}{value}" if value else _NAMES.get(fault.name, fault.name)
    yield calls.Fault(name, at=end if fault.name == "no-last" else fault.at)
    for _ in range(fault.times - 1):
        yield calls.Fault(name, after=fault.at)
