"""smallest-proto: Smallest AI's speech services as pure state machines. No I/O, no clock, no threads.

The service's side of the same protocols is in ``smallest_proto.server``.
"""

from __future__ import annotations

from .audio import AudioFormat, Encoding
from .commands import (
    AbortLink,
    AbortRequest,
    CloseLink,
    Command,
    ExchangeCommand,
    OpenLink,
    SendBinary,
    SendPing,
    SendRequest,
    SendText,
)
from .config import (
    BASE_URL,
    US_BASE_URL,
    Endpoint,
    FileTranscriptionConfig,
    OutputFormat,
    RetryPolicy,
    Route,
    SynthesisConfig,
    Timeouts,
    TranscriptionConfig,
)
from .errors import (
    ConfigurationError,
    ConnectError,
    DeadlineError,
    DisconnectedError,
    Failure,
    FailureKind,
    LocalProtocolError,
    ProtocolError,
    RemoteError,
    ServiceError,
    SmallestError,
    StatusError,
)
from .events import EndReason, LinkLost, LinkOpened, SessionEnded
from .http.exchange import ExchangeFailed, ExchangeRetried
from .http.files import FileTranscript, FileTranscription, TranscriptionAccepted
from .http.synthesis import Synthesis
from .http.voices import Voice, VoiceList, Voices, check_voice
from .metrics import LinkMetrics
from .reading import Utterance, Word
from .requests import Request
from .stats import LinkPlace, LinkRecord, SessionStats, SynthesisStats
from .synthesis.events import AudioChunk, SegmentDone, SpeechEvent, SpeechFinished, SpokenSoFar, WordSpoken
from .synthesis.session import SynthesisSession
from .transcription.events import (
    AudioLost,
    Event,
    FinalTranscript,
    InterimTranscript,
    LossReason,
    SpeechEnded,
    SpeechStarted,
    UpdateRejected,
    Usage,
)
from .transcription.metrics import FinalMetrics
from .transcription.session import TranscriptionSession
from .transcription.transcript import LiveTranscript
from .values import reveal

__version__ = "0.1.0.dev0"  # of the distribution: it is read here when it is built

__all__ = [
    "BASE_URL",
    "US_BASE_URL",
    "AbortLink",
    "AbortRequest",
    "AudioChunk",
    "AudioFormat",
    "AudioLost",
    "CloseLink",
    "Command",
    "ConfigurationError",
    "ConnectError",
    "DeadlineError",
    "DisconnectedError",
    "Encoding",
    "EndReason",
    "Endpoint",
    "Event",
    "ExchangeCommand",
    "ExchangeFailed",
    "ExchangeRetried",
    "Failure",
    "FailureKind",
    "FileTranscript",
    "FileTranscription",
    "FileTranscriptionConfig",
    "FinalMetrics",
    "FinalTranscript",
    "InterimTranscript",
    "LinkLost",
    "LinkMetrics",
    "LinkOpened",
    "LinkPlace",
    "LinkRecord",
    "LiveTranscript",
    "LocalProtocolError",
    "LossReason",
    "OpenLink",
    "OutputFormat",
    "ProtocolError",
    "RemoteError",
    "Request",
    "RetryPolicy",
    "Route",
    "SegmentDone",
    "SendBinary",
    "SendPing",
    "SendRequest",
    "SendText",
    "ServiceError",
    "SessionEnded",
    "SessionStats",
    "SmallestError",
    "SpeechEnded",
    "SpeechEvent",
    "SpeechFinished",
    "SpeechStarted",
    "SpokenSoFar",
    "StatusError",
    "Synthesis",
    "SynthesisConfig",
    "SynthesisSession",
    "SynthesisStats",
    "Timeouts",
    "TranscriptionAccepted",
    "TranscriptionConfig",
    "TranscriptionSession",
    "UpdateRejected",
    "Usage",
    "Utterance",
    "Voice",
    "VoiceList",
    "Voices",
    "Word",
    "WordSpoken",
    "__version__",
    "check_voice",
    "reveal",
]
