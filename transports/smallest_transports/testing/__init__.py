"""What other people test with: coded speech and its judge, calls in virtual time, services, drivers held to promises.

::

    from smallest_transports.testing import CallPlan, Fault, Network, judge, speech

    said = speech("hello world", 0.8, "how are you", 1.0)       # audio that says which word it is
    report = judge(texts_of_my_agent, said)                     # each word lost, repeated, damaged, mistimed
    assert report.ok, report

    plan = CallPlan.of("hello world", 1.0, network=Network(faults=(Fault("drop", at=0.4),)))
    plan.run().check()                                          # in virtual time, over a bad network

Each of these has a module of its own, as it needs more than the others:

- ``strategies``: calls, networks, recognisers, messages and options for Hypothesis.
- ``machine``: state machines of Hypothesis for who writes a session or an agent.
- ``conformance``: what every driver must do; give a maker, get every promise checked.
- ``services``: services on loopback, on a thread; the pytest fixtures ``smallest_service`` and others are made of them.

What it needs is in ``pip install "smallest-proto[testing]"``.
"""

from __future__ import annotations

from .calls import Call, CallPlan, Fault, Network, Part, PlannedCall, Step
from .judge import Report, Wrong, judge
from .speech import WORDS, Speech, Truth, join, speech
from .timeline import timeline

__all__ = [
    "WORDS",
    "Call",
    "CallPlan",
    "Fault",
    "Network",
    "Part",
    "PlannedCall",
    "Report",
    "Speech",
    "Step",
    "Truth",
    "Wrong",
    "join",
    "judge",
    "speech",
    "timeline",
]
