"""What a user of the TTS sets, in the framework's names, and how it becomes the core's configurations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from livekit.agents import APIConnectOptions

from smallest_proto import ConfigurationError, SynthesisConfig, Timeouts
from smallest_proto.config import PRO_SPEECH_LANGUAGES, SPEECH_LANGUAGES
from smallest_proto.values import Value

from ._options import service_language

_LANGUAGES = SPEECH_LANGUAGES | PRO_SPEECH_LANGUAGES
_DECODED = ("pcm", "wav", "mp3")  # what the framework's frames can be made of


class TTSOptions(Value, frozen=True, kw_only=True):
    """The options of a TTS; defaults and units are those of ``TTS``."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"extra"})

    model: str
    voice_id: str | None
    sample_rate: int  # Hz
    speed: float
    consistency: float
    similarity: float
    enhancement: float
    language: str
    output_format: str
    word_timestamps: bool
    max_buffer_flush_ms: int
    use_continuations: bool
    max_buffer_delay_ms: int
    extra: Mapping[str, str] = {}

    def live(self) -> SynthesisConfig:
        """The configuration of a socket. Raises ``ConfigurationError`` for what the service does not have."""
        return SynthesisConfig(
            model=self.model,
            voice_id=self.voice_id,
            sample_rate=self.sample_rate,
            speed=self.speed,
            language=service_language(self.language, _LANGUAGES),
            word_timestamps=self.word_timestamps,
            continuations=self.use_continuations,
            max_buffer_flush_ms=None if self.use_continuations else self.max_buffer_flush_ms,
            max_buffer_delay_ms=self.max_buffer_delay_ms if self.use_continuations else None,
            extra=self.extra,
        )

    def whole(self) -> SynthesisConfig:
        """The configuration of one reply. Raises ``ConfigurationError`` for what the service does not have."""
        config = SynthesisConfig(model=self.model)
        older = config.current_model is None
        return SynthesisConfig(
            model=self.model,
            voice_id=self.voice_id,
            sample_rate=self.sample_rate,
            speed=self.speed,
            language=service_language(self.language, _LANGUAGES),
            # Telephone formats are PCM with less in it: what becomes frames is asked for as PCM.
            output_format=self.output_format if self.output_format in _DECODED else "pcm",  # type: ignore[arg-type]
            consistency=self.consistency if older else None,
            similarity=self.similarity if older else None,
            enhancement=self.enhancement if older else None,
            extra=self.extra,
        )

    def check(self) -> None:
        """Raises ``ConfigurationError`` for what the service does not have."""
        if self.output_format not in (*_DECODED, "ulaw", "alaw"):
            raise ConfigurationError(
                f"output_format must be one of pcm, mp3, wav, ulaw, alaw, not {self.output_format!r}"
            )
        self.live()
        self.whole()


def speech_timeouts(connecting: APIConnectOptions) -> Timeouts:
    """The deadlines: for a connection what the framework allows."""
    return Timeouts(opening=max(connecting.timeout, 0.001))
