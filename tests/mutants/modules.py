"""The modules that ``make mutants`` changes, each with the tests that can kill a mutant of it."""

from __future__ import annotations

_TRANSCRIPTION = "tests/core/transcription"


def _some(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/test_{name}.py" for name in names)


_SESSION = _some(_TRANSCRIPTION, "session", "session_ends", "session_quiet", "session_stalls", "session_handover")
_HEARING = _some(
    _TRANSCRIPTION, "receiving", "receiving_twice", "receiving_begins", "questions", "session_told", "receiving_links"
)
_SENDING = _some(_TRANSCRIPTION, "sending", "sending_asks", "sending_lost", "sending_held")
_WIRE = _some("tests/transports", "wire_turns", "wire", "wire_frames", "wire_http")
# The tests that can kill a mutant of a module, those that are likely to first: the rest is not run then. A mutant that
# lives costs them all: what is slow and kills nothing more is not among them.
MODULES = {
    "smallest_proto/timers.py": _some("tests/core", "timers", "links"),
    "smallest_proto/retry.py": _some("tests/core", "retry", "links"),
    "smallest_proto/link.py": _some("tests/core", "link", "links", "links_beside"),
    "smallest_proto/statuses.py": _some("tests/core", "refusals", "retry", "errors"),
    "smallest_proto/transcription/states.py": _some(_TRANSCRIPTION, "states") + _SESSION,
    "smallest_proto/transcription/timeline.py": _some(_TRANSCRIPTION, "timeline") + _SESSION,
    "smallest_proto/transcription/turns.py": _some(_TRANSCRIPTION, "turns") + _SESSION,
    "smallest_proto/transcription/handover.py": _some(_TRANSCRIPTION, "handover") + _SESSION,
    "smallest_proto/transcription/sending.py": _SENDING + _SESSION,
    "smallest_proto/transcription/receiving.py": _HEARING,
    "smallest_proto/synthesis/states.py": _some("tests/core/synthesis", "states", "session", "session_ends"),
    "smallest_proto/server/states.py": _some("tests/core/server", "states", "transcription", "synthesis"),
    "transports/smallest_transports/_wire/connection.py": _WIRE,
    "transports/smallest_transports/_wire/client.py": _WIRE,
    "transports/smallest_transports/_wire/frames.py": _WIRE,
}
