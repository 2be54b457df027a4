"""What a final measured, as a typed value that holds nothing of what was said."""

from __future__ import annotations

from smallest_proto.values import Value

from .events import FinalTranscript


class FinalMetrics(Value, frozen=True, kw_only=True):
    """One final of a live transcription. Times are seconds of the stream."""

    start: float
    end: float
    words: int  # as the text has them
    latency: float | None  # seconds from sending its last sample to its arrival, where words have times
    from_finalize: bool
    provisional: bool
    may_repeat: bool
    session_id: str | None  # the service's name for the connection, for its support

    @classmethod
    def of(cls, final: FinalTranscript) -> FinalMetrics:
        return cls(
            start=final.start,
            end=final.end,
            words=len(final.text.split()),
            latency=final.latency,
            from_finalize=final.from_finalize,
            provisional=final.provisional,
            may_repeat=final.may_repeat,
            session_id=final.session_id,
        )
