"""What a session did, in one value."""

from __future__ import annotations

from .values import Value


class SessionStats(Value, frozen=True, kw_only=True):
    """Counts of one session so far. Seconds are seconds of audio."""

    seconds_given: float  # by the application
    seconds_sent: float  # to the service, for the first time
    seconds_finalised: float  # the watermark: everything said before it is final
    links_opened: int
    messages_received: int
    messages_repaired: int  # something in them was not as it should be; the rest was used
    messages_ignored: int  # of an unknown type, no JSON object, or answering nothing
