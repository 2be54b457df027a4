"""Smallest AI for LiveKit Agents: Pulse speech-to-text and Lightning text-to-speech that survive a bad network.

``from livekit.plugins import smallest_proto as smallestai`` takes the place of ``livekit.plugins.smallestai``. Each
half is loaded when it is first asked for: an agent that only speaks pays for no ears.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    from livekit.agents import Plugin
except ModuleNotFoundError as exc:
    if (exc.name or "").partition(".")[0] not in ("livekit", "aiohttp"):
        raise
    raise ImportError('the plugin needs LiveKit Agents: pip install "smallest-proto[livekit]"') from exc

from .log import logger
from .version import __version__

if TYPE_CHECKING:
    from ._losses import AudioLostError, AudioLostMetrics
    from .stt import STT, SpeechStream
    from .tts import TTS, ChunkedStream, SynthesizeStream

__all__ = [
    "STT",
    "TTS",
    "AudioLostError",
    "AudioLostMetrics",
    "ChunkedStream",
    "SpeechStream",
    "SynthesizeStream",
    "__version__",
]

_ROOMS = {
    "AudioLostError": "_losses",
    "AudioLostMetrics": "_losses",
    "STT": "stt",
    "SpeechStream": "stt",
    "TTS": "tts",
    "ChunkedStream": "tts",
    "SynthesizeStream": "tts",
}


def __getattr__(name: str) -> Any:
    if (room := _ROOMS.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{room}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _SmallestPlugin(Plugin):
    def __init__(self) -> None:
        super().__init__(__name__, __version__, __package__ or __name__, logger)


Plugin.register_plugin(_SmallestPlugin())
