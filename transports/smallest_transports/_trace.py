"""A trace: every input of a session with its time, a line of JSON each; pure, but for the function that it is given.

An exchange over HTTP (a file, a whole text, the voices) counts as a session here, and so do its inputs.
``memory.replay`` tells a session the same again, so that you can look at what happened in production, and make a test
of it. The key is never in it. What was said, audio and text, is not either, unless that was asked for: every letter and
digit of a text is an ``x`` then, and of audio there is how loud each 10 ms of it are, as a session looks at that alone.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar, get_args

import msgspec

from smallest_proto.audio import AudioFormat
from smallest_proto.config import (
    Endpoint,
    FileTranscriptionConfig,
    RetryPolicy,
    SynthesisConfig,
    Timeouts,
    TranscriptionConfig,
)
from smallest_proto.errors import Failure
from smallest_proto.http.files import FileTranscription
from smallest_proto.http.synthesis import Synthesis
from smallest_proto.http.voices import VoiceList
from smallest_proto.levels import peak
from smallest_proto.synthesis.session import SynthesisSession
from smallest_proto.transcription.session import TranscriptionSession
from smallest_proto.values import Value

from ._redaction import SAFE, Body, crossed_out, crossed_url, redacted, redacted_message

Session: TypeAlias = TranscriptionSession | SynthesisSession
Exchange: TypeAlias = FileTranscription | Synthesis | VoiceList
S = TypeVar("S", TranscriptionSession, SynthesisSession)
K = TypeVar("K", bound=TranscriptionSession | SynthesisSession | FileTranscription | Synthesis | VoiceList)

_KINDS: tuple[type[Session | Exchange], ...] = (*get_args(Session), *get_args(Exchange))
_CONFIGS = (TranscriptionConfig, SynthesisConfig, FileTranscriptionConfig)
_VALUES: dict[str, type[Value]] = {kind.__name__: kind for kind in (*_CONFIGS, Timeouts, RetryPolicy, Failure)}

_BLOCK = 0.01  # seconds: pieces of audio and messages are whole numbers of them, as a rule

# Headers of an answer that say nothing of it but what it is; any other can hold what it likes.
_SAFE_HEADERS = frozenset(
    (
        *("content-type", "content-encoding", "content-length", "date", "retry-after"),
        *("x-request-id", "x-content-expiry"),
    )
)


class Trace:
    """Where the sessions of one client are written down. ``append`` gets one line at a time."""

    def __init__(self, append: Callable[[bytes], object], *, private: bool) -> None:
        self._append = append
        self._private = private

    def make(
        self, kind: type[K], config: Value | None, endpoint: Endpoint, jitter: Callable[[], float], **options: Any
    ) -> tuple[K, TracedSession]:
        """A session that begins here. Raises ``OSError`` where nothing can be written."""
        lines: list[bytes] = []  # a session that cannot be made has none
        traced = TracedSession(lines.append, f"{int(jitter() * 0xFFFFFFFF):08x}", private=self._private)
        where = {name: getattr(endpoint, name) for name in ("base_url", "route", "source", "any_region")}
        traced.begin(kind.__name__, config, where, options)
        made = construct(kind, config, endpoint, jitter=lambda: traced.chance(jitter()), **options)
        for line in lines:
            self._append(line)
        traced.append = self._append
        return made, traced

    def again(self, replay: Replay) -> TracedSession:
        """Write a replayed session down once more, from its beginning: ``note`` each input that it gets."""
        traced = TracedSession(self._append, "0", private=self._private)
        traced.begin(replay.kind.__name__, replay.config, replay.where, replay.options)
        return traced


def construct(kind: type[K], config: Value | None, endpoint: Endpoint, **options: Any) -> K:
    """A session or an exchange; the list of voices has no configuration."""
    make: Any = kind
    made: K = make(endpoint, **options) if config is None else make(config, endpoint, **options)
    return made


class TracedSession:
    """The lines of one session."""

    def __init__(self, append: Callable[[bytes], object], name: str, *, private: bool) -> None:
        self.append = append
        self._name = name
        self._private = private
        self._format: AudioFormat | None = None  # of the audio that the session is given
        self._body: Body | None = None  # of the answer that is coming

    def begin(self, kind: str, config: Value | None, where: dict[str, Any], options: dict[str, Any]) -> None:
        """The first line. Raises ``OSError`` where it cannot be written."""
        self.hears(config)
        said = {name: self._option(name, option) for name, option in options.items()}
        made = {"made": kind, "private": self._private}
        self.append(self.line(**made, config=self.encoded(config), endpoint=where, options=said))

    def hears(self, config: Value | None) -> None:
        """Audio is given in the format of ``config`` from now on."""
        if isinstance(config, TranscriptionConfig):
            self._format = config.audio_format

    def note(self, told: str, args: tuple[Any, ...], now: float) -> None:
        """An input that the session is about to be told."""
        encode = {"message_received": self._message, "send_audio": self._audio}.get(told, self.encoded)
        if told == "update" and args:
            self.hears(args[0])
        if not self._private and told in _OF_ANSWERS:
            args = self._answer(told, args, now)
        self._write(told=told, args=list(map(encode, args)), at=now)

    def _answer(self, told: str, args: tuple[Any, ...], now: float) -> tuple[Any, ...]:
        """The inputs of an exchange without what was said; what was held back of a body comes before its end."""
        if told == "response_started":
            status, headers = args
            self._body = Body(status, headers)
            return status, tuple(
                (name, text if name.lower() in _SAFE_HEADERS else crossed_out(text)) for name, text in headers
            )
        if self._body is None:
            return args
        if told == "body_received":
            return (_Plain(self._body.feed(args[0])),)
        body, self._body = self._body, None
        if left := body.end():
            self._write(told="body_received", args=[_base64(left)], at=now)
        return args

    def _option(self, name: str, option: Any) -> Any:
        """What a session is made with. A URL stays one."""
        if name in SAFE:
            return option
        if isinstance(option, str) and name.endswith("_url") and not self._private:
            return crossed_url(option)
        return self.encoded(option)

    def chance(self, drawn: float) -> float:
        """A random number that the session has drawn."""
        self._write(drawn=drawn)
        return drawn

    def _write(self, **fields: Any) -> None:
        try:
            self.append(self.line(**fields))
        except OSError:  # the disk is full, say: that must not end a call
            self.append = lambda _: None

    def line(self, **fields: Any) -> bytes:
        """One line."""
        return json.dumps({"session": self._name, **fields}).encode() + b"\n"

    def encoded(self, value: Any) -> Any:
        """A value as JSON has it; ``decoded`` makes the same of it again, or one that is as good."""
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, str):
            return value if self._private else crossed_out(value)
        if isinstance(value, _Plain):
            return _base64(value)
        if isinstance(value, tuple):  # headers: what is safe of them has been seen to
            return {"pairs": [list(pair) for pair in value]}
        if isinstance(value, Value) and type(value).__name__ in _VALUES:
            fields = msgspec.to_builtins(value)
            if not self._private:
                fields = {
                    name: redacted(field, name) if name in value.PRIVATE else field for name, field in fields.items()
                }
            return {"value": type(value).__name__, "fields": fields}
        try:
            data = bytes(memoryview(value).cast("B"))
        except (TypeError, ValueError):  # not a valid input: the session refuses it, now and in a replay
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
        redacted = redacted_message(text)
        return redacted if isinstance(value, str) else _base64(redacted.encode())


class _Plain(bytes):
    """Bytes of which nothing more has to be left out."""

    __slots__ = ()


class Told(NamedTuple):
    """One input of a session that is being replayed."""

    name: str
    args: tuple[Any, ...]
    at: float  # seconds of the clock of then


# A line that names anything else is never passed to a session.
_TOLD = frozenset(
    (
        *("start", "send_audio", "finalize", "update", "end_input", "abort"),
        *("send_text", "flush", "cancel", "prewarm"),
        *("link_opened", "link_failed", "link_closed", "message_received", "pong_received", "write_done"),
        *("response_started", "body_received", "response_ended", "exchange_failed"),
        "handle_timer",
    )
)
_OF_ANSWERS = frozenset(
    ("response_started", "body_received", "response_ended", "exchange_failed", "handle_timer", "abort")
)


class Replay:
    """One session out of a trace: ``made`` makes it anew, with the random numbers of then, and ``told`` it was told.

    Raises ``ValueError`` where the lines are not those of a trace.
    """

    KINDS: ClassVar[Mapping[str, type[Session | Exchange]]] = {kind.__name__: kind for kind in _KINDS}

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        try:
            (made,) = [line for line in lines if "made" in line]
            self.kind = self.KINDS[made["made"]]
            self.config: Any = decoded(made["config"])
            self.where: dict[str, Any] = dict(made["endpoint"])
            self._endpoint = Endpoint(api_key="replayed", **self.where)
            self.options = {name: decoded(option) for name, option in made["options"].items()}
            self.private = bool(made.get("private"))  # what was said is in it
            self.drawn = deque(float(line["drawn"]) for line in lines if "drawn" in line)
            self.told = [told_by(line) for line in lines if "told" in line]
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise ValueError("this is no trace of a session: give a file that a client with trace=... wrote") from exc

    def make(self) -> Any:
        """The session, or the exchange, as it was before ``start()``."""
        drawn = self.drawn
        jitter = lambda: drawn.popleft() if drawn else 1.0  # noqa: E731
        return construct(self.kind, self.config, self._endpoint, jitter=jitter, **self.options)


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
    if "pairs" in value:
        return tuple((str(name), str(text)) for name, text in value["pairs"])
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
