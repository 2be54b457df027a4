"""Audio that had to be given up, as the framework's users look for it: an error that can be gone on from, and a metric.

No I/O.
"""

from __future__ import annotations

from livekit.agents import APIError
from livekit.agents.metrics import STTMetrics

from smallest_proto import AudioLost, LossReason

_REASONS = {
    LossReason.BUFFER_FULL: "no connection took it in time",
    LossReason.NOT_HELD: "the new connection had to begin later than that",
    LossReason.REJECTED: "the service did not take its format",
    LossReason.ENDED: "the stream ended before it was final",
}


class AudioLostError(APIError):
    """Audio for which there will be no transcript. The stream goes on without it."""

    def __init__(self, lost: AudioLost, offset: float) -> None:
        self.start_time = lost.start + offset  # seconds, as in SpeechData
        self.end_time = lost.end + offset  # seconds
        self.reason = lost.reason.value
        span = f"{lost.end - lost.start:.2f} s of audio were lost, from {self.start_time:.2f} s on"
        super().__init__(f"{span}: {_REASONS[lost.reason]}", retryable=False)


class AudioLostMetrics(STTMetrics):
    """The metric beside an ``AudioLostError``: no usage, and how much was lost."""

    lost_duration: float
    """Seconds of audio without a transcript."""
