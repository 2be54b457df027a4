"""A session under arbitrary sequences of speech, faults and changes, at an imperfect service: every word is counted.

The other state machine test gives a session anything at all; here everybody tells the truth as well as they can, and
each word that was said is to be in exactly one final. The machine is the kit's, as it is.
"""

from __future__ import annotations

from smallest_transports.testing.machine import CallMachine, unhurried

TestWords = unhurried(CallMachine)
