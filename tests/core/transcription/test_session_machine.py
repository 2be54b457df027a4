"""A session under arbitrary sequences of what an application, a network and a peer can do: the kit's machine."""

from __future__ import annotations

from smallest_transports.testing.machine import unhurried
from smallest_transports.testing.session_machine import SessionMachine

TestSession = unhurried(SessionMachine, examples=80, steps=60)
