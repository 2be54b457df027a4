"""A shrunk call as a file for pytest."""

from __future__ import annotations

import json
import re

from .shrink import Shrunk

_FILE = '''"""{title}

Run it with pytest: it fails as long as the fault is there, and shows what the session told.
Written by: smallest-proto trace shrink --fails {shell}
"""

from smallest_transports.shrinking import Condition, Recording

FAULT = {fault}
# A line for each input, with its time in seconds; {private}.
TRACE = r"""
{trace}
"""


def test_{name}() -> None:
    outcome = Recording.read(TRACE).run()
    assert not Condition(FAULT)(outcome), f"{{FAULT}}, as in the call that was recorded:\\n{{outcome}}"
'''


def written(shrunk: Shrunk) -> str:
    """The source of a test module that needs no other file."""
    recording, fault = shrunk.recording, shrunk.condition.text
    few = "the fewest that still show it" if shrunk.complete else "the search was ended early: fewer may do"
    left = len(recording.inputs)
    lines = recording.lines(private=recording.private)
    return _FILE.format(
        title=f"A recorded call, shrunk: {left} of {shrunk.inputs:,} inputs, {few}.",
        shell=_in_docstring(fault),
        fault=json.dumps(fault) if '"' not in fault else repr(fault),
        private="what was said is in it" if recording.private else "what was said is not in it",
        # No JSON holds three quotes in a row.
        trace="\n".join(map(json.dumps, lines)),
        name=(re.sub(r"\W+", "_", fault.lower()).strip("_") or "the_fault")[:60].rstrip("_"),
    )


def _in_docstring(fault: str) -> str:
    return '"' + fault.replace("\\", "\\\\").replace('"', '\\"') + '"'
