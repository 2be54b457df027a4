"""A trace: every input of a session with its time, a line of JSON each; pure, but for the function that it is given.

``memory.replay`` tells a session the same again, so that what happened in production can be looked at, and becomes a
test. The key is never in it. What was said, audio and text, is not either, unless that was asked for: every letter and
digit of a text is an ``x`` then, and of audio there is how loud each 10 ms of it are, as a session looks at that alone.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
import unicodedata
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar

import msgspec

from smallest_proto.audio import AudioFormat
from smallest_proto.config import Endpoint, RetryPolicy, SynthesisConfig, Timeouts, TranscriptionConfig
from smallest_proto.errors import Failure
from smallest_proto.levels import peak
from smallest_proto.synthesis.session import SynthesisSession
from smallest_proto.transcription.session import TranscriptionSession
from smallest_proto.values import Value

Session: TypeAlias = TranscriptionSession | SynthesisSession
S = TypeVar("S", TranscriptionSession, SynthesisSession)

_CONFIGS: dict[type[Session], type[TranscriptionConfig | SynthesisConfig]] = {
    TranscriptionSession: TranscriptionConfig,
    SynthesisSession: SynthesisConfig,
}
_VALUES: dict[str, type[Value]] = {kind.__name__: kind for kind in (*_CONFIGS.values(), Timeouts, RetryPolicy, Failure)}

_BLOCK = 0.01  # seconds: pieces of audio and messages are whole numbers of them, as a rule

# Strings of the service that say nothing of what was said.
_SAFE = frozenset(
    (
        *("type", "status", "error_code", "code", "session_id", "request_id", "context_id"),
        *("language", "languages", "gender"),
    )
)


class Trace:
    """Where the sessions of one client are written down. ``append`` is given one line at a time."""

    def __init__(self, append: Callable[[bytes], object], *, private: bool) -> None:
        self._append = append
        self._private = private

    def make(
        self, kind: type[S], config: Value, endpoint: Endpoint, jitter: Callable[[], float], **options: Any
    ) -> tuple[S, TracedSession]:
        """A session that begins here. Raises ``OSError`` where nothing can be written."""
        traced = TracedSession(self._append, f"{int(jitter() * 0xFFFFFFFF):08x}", private=self._private)
        traced.hears(config)
        where = {name: getattr(endpoint, name) for name in ("base_url", "route", "source", "any_region")}
        said = {name: traced.encoded(option) for name, option in options.items()}
        made = {"made": kind.__name__, "private": self._private}
        self._append(traced.line(**made, config=traced.encoded(config), endpoint=where, options=said))
        return kind(config, endpoint, jitter=lambda: traced.chance(jitter()), **options), traced  # type: ignore[arg-type]


class TracedSession:
    """The lines of one session."""

    def __init__(self, append: Callable[[bytes], object], name: str, *, private: bool) -> None:
        self._append = append
        self._name = name
        self._private = private
        self._format: AudioFormat | None = None  # of the audio that the session is given

    def hears(self, config: Value) -> None:
        """Audio is given in the format of ``config`` from now on."""
        if isinstance(config, TranscriptionConfig):
            self._format = config.audio_format

    def note(self, told: str, args: tuple[Any, ...], now: float) -> None:
        """An input that the session is about to be told."""
        encode = {"message_received": self._message, "send_audio": self._audio}.get(told, self.encoded)
        if told == "update" and args:
            self.hears(args[0])
        self._write(told=told, args=list(map(encode, args)), at=now)

    def chance(self, drawn: float) -> float:
        """A random number that the session has drawn."""
        self._write(drawn=drawn)
        return drawn

    def _write(self, **fields: Any) -> None:
        try:
            self._append(self.line(**fields))
        except OSError:  # the disk is full, say: a call does not end of that
            self._append = lambda _: None

    def line(self, **fields: Any) -> bytes:
        """One line."""
        return json.dumps({"session": self._name, **fields}).encode() + b"\n"

    def encoded(self, value: Any) -> Any:
        """A value as JSON has it; ``decoded`` makes the same of it again, or one that is as good."""
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, str):
            return value if self._private else _crossed_out(value)
        if isinstance(value, Value) and type(value).__name__ in _VALUES:
            fields = msgspec.to_builtins(value)
            if not self._private:
                fields = {name: _redacted(field) if name in value.PRIVATE else field for name, field in fields.items()}
            return {"value": type(value).__name__, "fields": fields}
        try:
            data = bytes(memoryview(value).cast("B"))
        except (TypeError, ValueError):  # no input at all: the session says so, then and later
            return {"unknown": type(value).__name__}
        return _base64(data) if self._private else {"bytes": len(data)}

    def _audio(self, value: Any) -> Any:
        """Audio: without what was said, how loud it is, block by block."""
        said, format = self.encoded(value), self._format
        if format is None or format.sample_width is None or "bytes" not in said:
            return said
        data, block = bytes(memoryview(value).cast("B")), format.samples(_BLOCK) * format.sample_width
        whole = len(data) - len(data) % format.sample_width
        peaks = [peak(data[at : min(at + block, whole)], format.encoding) for at in range(0, whole, block)]
        return {**said, "encoding": format.encoding, "block": block, "peaks": peaks}

    def _message(self, value: Any) -> Any:
        """What the service said, which is JSON as a rule; a binary message is read as text."""
        if self._private or not isinstance(value, (str, bytes)):
            return self.encoded(value)
        try:
            text = value if isinstance(value, str) else value.decode()
        except UnicodeDecodeError:
            return self.encoded(value)
        redacted = _redacted_message(text)
        return redacted if isinstance(value, str) else _base64(redacted.encode())


class Told(NamedTuple):
    """One input of a session that is being replayed."""

    name: str
    args: tuple[Any, ...]
    at: float  # seconds of the clock of then


# Whatever else a line names, no session is told it.
_TOLD = frozenset(
    (
        *("start", "send_audio", "finalize", "update", "end_input", "abort"),
        *("send_text", "flush", "cancel", "prewarm"),
        *("link_opened", "link_failed", "link_closed", "message_received", "pong_received", "write_done"),
        "handle_timer",
    )
)


class Replay:
    """One session out of a trace: ``made`` makes it anew, with the random numbers of then, and ``told`` it was told.

    Raises ``ValueError`` where the lines are not those of a trace.
    """

    KINDS: ClassVar[Mapping[str, type[Session]]] = {kind.__name__: kind for kind in _CONFIGS}

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        try:
            (made,) = [line for line in lines if "made" in line]
            self._kind = self.KINDS[made["made"]]
            self.config: Any = decoded(made["config"])
            self._endpoint = Endpoint(api_key="replayed", **made["endpoint"])
            self._options = {name: decoded(option) for name, option in made["options"].items()}
            self.private = bool(made.get("private"))  # what was said is in it
            self.drawn = deque(float(line["drawn"]) for line in lines if "drawn" in line)
            self.told = [told_by(line) for line in lines if "told" in line]
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise ValueError("this is no trace of a session: give a file that a client with trace=... wrote") from exc

    def make(self) -> Session:
        """The session as it was before ``start()``."""
        drawn = self.drawn
        jitter = lambda: drawn.popleft() if drawn else 1.0  # noqa: E731
        return self._kind(self.config, self._endpoint, jitter=jitter, **self._options)


def told_by(line: Mapping[str, Any]) -> Told:
    """The input that a line tells of. Raises ``KeyError``, ``TypeError`` or ``ValueError`` where it is none."""
    at = float(line["at"])
    if line["told"] not in _TOLD or not math.isfinite(at):
        raise ValueError("no input of a session")
    return Told(line["told"], tuple(map(decoded, line["args"])), at)


def decoded(value: Any) -> Any:
    """What ``encoded`` was given. Raises ``KeyError`` or ``ValueError``."""
    if not isinstance(value, dict):
        return value
    if "value" in value:
        return msgspec.convert(value["fields"], _VALUES[value["value"]])
    if "base64" in value:
        return base64.b64decode(value["base64"])
    if "peaks" in value:
        each = [_sounding(one, value["encoding"]) for one in value["peaks"]]
        sounds = b"".join(sample * (value["block"] // len(sample)) for sample in each)
        return sounds[: value["bytes"]].ljust(value["bytes"], b"\0")
    return bytes(value["bytes"]) if "bytes" in value else object()


def _sounding(loudness: int, encoding: str) -> bytes:
    """One sample of that magnitude, as ``peak`` counts it."""
    if encoding == "mulaw" or encoding == "alaw":
        return bytes([loudness ^ (0xFF if encoding == "mulaw" else 0x55)])
    return struct.pack("<h", min(loudness, 32767)) if encoding == "linear16" else struct.pack("<i", loudness << 16)


def _base64(data: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(data).decode()}


def _redacted_message(text: str) -> str:
    """A message without what was said: a session does the same about it."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return _crossed_out(text)
    return json.dumps(_redacted(read)) if isinstance(read, (dict, list)) else _crossed_out(text)


def _redacted(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _redacted(item, key) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(item, name) for item in value]
    if not isinstance(value, str) or name in _SAFE:
        return value
    return _silenced(value) if name == "audio" else _crossed_out(value)


def _crossed_out(text: str) -> str:
    return "".join("x" if unicodedata.category(sign)[0] in "LMN" else sign for sign in text)


def _silenced(audio: str) -> str:
    """Silence of the same length, in base64; what is none stays none."""
    try:
        return base64.b64encode(bytes(len(base64.b64decode(audio, validate=True)))).decode()
    except binascii.Error:
        return "!"
