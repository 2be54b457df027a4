"""What an application sees of any session, transcription or synthesis: its links, and its end."""

from __future__ import annotations

from .errors import Failure
from .values import Name, Value


class LinkOpened(Value, frozen=True, kw_only=True):
    """A connection to the service is open."""

    link: int
    seconds: float  # from OpenLink to open


class LinkLost(Value, frozen=True, kw_only=True):
    """The connection is lost, or could not be opened. The stream goes on: another connection follows."""

    link: int
    failure: Failure
    retry_in: float  # seconds until the next try


class EndReason(Name):
    """How a session ended."""

    COMPLETED = "completed"  # the last final came
    INCOMPLETE = "incomplete"  # the input ended, but the last final did not come
    ABORTED = "aborted"  # the application said so
    FAILED = "failed"  # the service or the network did


class SessionEnded(Value, frozen=True, kw_only=True):
    """The last output of every session."""

    reason: EndReason
    failure: Failure | None = None  # what went wrong, unless completed or aborted
