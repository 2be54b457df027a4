"""What a session did, in one value."""

from __future__ import annotations

from .errors import Failure
from .values import Value


class LinkRecord(Value, frozen=True, kw_only=True):
    """One connection of a session, and how it ended."""

    link: int
    opened: bool = False
    ended: bool = False
    failure: Failure | None = None  # why it ended; None while it lives, or if the session itself ended it


class LinkPlace(Value, frozen=True, kw_only=True):
    """Where a connection that is sent audio is in the stream. Both are stream seconds."""

    link: int
    begins: float  # where its audio begins
    sent: float  # the end of what it was sent


class SessionStats(Value, frozen=True, kw_only=True):
    """Counts of one session so far. Seconds are seconds of audio, latencies seconds of time."""

    seconds_given: float  # by the application
    seconds_sent: float  # to the service, each second counted once
    seconds_replayed: float  # to the service, again
    seconds_lost: float  # as AudioLost reported
    seconds_finalised: float  # the watermark: everything said before it is final
    links: tuple[LinkRecord, ...]
    finals: int
    final_latency_mean: float | None  # from sending a final's last sample to its arrival
    final_latency_max: float | None
    messages_received: int
    messages_repaired: int  # something in them was wrong; the rest was used
    messages_ignored: int  # of an unknown type, not a JSON object, or from a link that does not serve any more


class SynthesisStats(Value, frozen=True, kw_only=True):
    """Counts of one synthesis so far."""

    segments: int  # that were given, and ask for something
    segments_done: int
    seconds: float  # of audio given out, in segments that are over
    links: tuple[LinkRecord, ...]
    messages_received: int
    messages_repaired: int  # something in them was wrong; the rest was used
    messages_ignored: int  # of an unknown type, not a JSON object, or about nothing that is being spoken
