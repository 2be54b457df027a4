"""The service and the network in one process and in virtual time: a call of an hour is over in a moment.

Test an agent without sockets, sleeping or luck: the same seed gives the same call, to the last bit.

::

    speech = coded_speech([1, 2, 3, 0.8, 4, 5, 1.0])
    network = MemoryNetwork(latency=0.03, seed=7)
    call = MemoryCall(TranscriptionSession(TranscriptionConfig(), endpoint), network)
    call.feed(speech.pcm)
    call.at(1.5, call.finalize)
    for time, event in call.run(): ...

The faults of a network are methods of ``MemoryLink``. ``network.on_link`` gets each link as it is opened, which is the
moment to plan what will happen to it: ``network.on_link = lambda link: network.clock.after(2.0, link.lose)``.

A real service is not ideal: ``MemoryNetwork(imperfection=Imperfection(rounding=0.1, twice=True))`` is as awkward as the
world, and ``Imperfection.draw(7)`` (``smallest_proto.server.imperfection``) is one of the many that there are.

``replay`` tells a session once more what a trace says it was told: a failure in production becomes a test.
"""

from __future__ import annotations

from .call import MemoryCall
from .clock import VirtualClock
from .faults import FAULTS, Fault, refuse_next
from .network import MemoryLink, MemoryNetwork, Pipe
from .replay import replay

__all__ = [
    "FAULTS",
    "Fault",
    "MemoryCall",
    "MemoryLink",
    "MemoryNetwork",
    "Pipe",
    "VirtualClock",
    "refuse_next",
    "replay",
]
