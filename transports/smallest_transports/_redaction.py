"""What may be kept of what was said: its shape. Every letter and digit becomes an ``x``, every sound silence; pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
import unicodedata
import zlib
from typing import Any

from smallest_proto.codings import Decoder
from smallest_proto.http.audio_answers import looks_like_text
from smallest_proto.http.bodies import Headers
from smallest_proto.http.mp3 import header_of
from smallest_proto.refusals import MAX_REFUSAL_BYTES, header

# Strings of the service that say nothing of what was said.
SAFE = frozenset(
    (
        *("type", "status", "error_code", "code", "session_id", "request_id", "context_id"),
        *("language", "languages", "gender"),
        *("model", "modelIds", "voiceId"),
    )
)
_TEXT = re.compile(r"text/.*|.*[/+](json|xml|html|problem)", re.I)  # content types
_WAV = re.compile(rb"RIFF.{4}WAVE.{0,200}?data.{4}", re.S)  # the head of one
_ID3 = 10  # bytes of the head of a tag: how long it is
_GZIP = 16 + zlib.MAX_WBITS  # what zlib calls the format of a body that came compressed, whatever it was
_DAMAGED = b"\xff" * 16  # no format of zlib's begins or goes on so


class Body:
    """The body of one answer, as it comes: what a session makes of it, it makes of this too.

    Text is held back until it is whole, as nothing follows from a part of it; server-sent events go out line by line.
    What came compressed is compressed again.
    """

    def __init__(self, status: int, headers: Headers) -> None:
        kind = (header(headers, "Content-Type") or "").partition(";")[0].strip()
        self._events = kind == "text/event-stream" and 200 <= status <= 299
        self._refused = not 200 <= status <= 299
        self._text = (self._refused or _TEXT.fullmatch(kind) is not None) and not self._events
        self._sounds = False  # it is audio, whatever it says that it is
        self._held = b""
        self._decoder = Decoder(headers)
        self._unknown = self._decoder.failure is not None  # it cannot be read, and will not be
        self._packer: Any = zlib.compressobj(wbits=_GZIP) if header(headers, "Content-Encoding") else None

    def feed(self, data: bytes) -> bytes:
        """What to write down for a part of it."""
        if self._unknown:
            return bytes(len(data))
        packed = b"".join(self._packed(self._redacted(piece)) for piece in self._decoder.feed(data))
        if self._decoder.failure is not None:
            self._unknown = True
            return packed + self._packed(self._rest()) + _DAMAGED
        return packed

    def end(self) -> bytes:
        """What was held back, at its end."""
        if self._unknown:
            return b""
        rest = self._packed(self._rest())
        if self._packer is not None and self._decoder.end() is None:
            rest += self._packer.flush()
        return rest

    def _packed(self, plain: bytes) -> bytes:
        if self._packer is None:
            return plain
        return bytes(self._packer.compress(plain) + self._packer.flush(zlib.Z_SYNC_FLUSH)) if plain else b""

    def _redacted(self, data: bytes) -> bytes:
        if self._sounds:
            return bytes(len(data))
        self._held += data
        if self._events:
            whole, line, self._held = self._held.rpartition(b"\n")
            return b"".join(map(_event_line, (whole + line).splitlines(keepends=True)))
        if self._text:
            # A refusal, or a page in place of audio, that is longer is read no further.
            return self._rest() if len(self._held) > MAX_REFUSAL_BYTES and self._refused else b""
        if looks_like_text(self._held):
            return b""
        self._sounds = True
        return self._rest()

    def _rest(self) -> bytes:
        held, self._held = self._held, b""
        if self._events:
            return b"".join(map(_event_line, held.splitlines(keepends=True)))
        if self._sounds:
            return _silent(held)
        try:
            return redacted_message(held.decode()).encode()
        except UnicodeDecodeError:
            return bytes(len(held))


def _silent(audio: bytes) -> bytes:
    """The beginning of a body without its sound, with what says how long it is."""
    if (head := _WAV.match(audio)) is not None:
        return head[0] + bytes(len(audio) - head.end())
    start, end = header_of(audio)
    tag = audio[: min(start, _ID3)]
    return (tag.ljust(start, b"\0") + audio[start:end]).ljust(len(audio), b"\0")[: len(audio)]


def _event_line(line: bytes) -> bytes:
    """A line of server-sent events: what follows ``data:`` is a message."""
    text = line.decode("utf-8", "replace")
    name, colon, said = text.rstrip("\r\n").partition(":")
    end = text[len(text.rstrip("\r\n")) :]
    if name != "data" or not colon:
        return line if name in ("event", "retry", "") else (crossed_out(text)).encode()
    blank = " " if said.startswith(" ") else ""
    return f"data:{blank}{redacted_message(said.removeprefix(blank))}{end}".encode()


def redacted_message(text: str) -> str:
    """A message without what was said: a session does the same about it."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return crossed_out(text)
    return json.dumps(redacted(read)) if isinstance(read, (dict, list)) else crossed_out(text)


def redacted(value: Any, name: str = "") -> Any:
    """A value of JSON, which stands under that name."""
    if isinstance(value, dict):
        return {key: redacted(item, key) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(item, name) for item in value]
    if not isinstance(value, str) or name in SAFE:
        return value
    if name.endswith("_url"):
        return crossed_url(value)
    return _silenced(value) if name == "audio" else crossed_out(value)


def crossed_out(text: str) -> str:
    """A text of the same length and signs, whose letters and digits are gone."""
    return "".join("x" if unicodedata.category(sign)[0] in "LMN" else sign for sign in text)


def crossed_url(url: str) -> str:
    """A URL that still is one."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}://{'x' * len(rest)}" if mark and scheme.lower() in ("http", "https") else crossed_out(url)


def _silenced(audio: str) -> str:
    """Silence of the same length, in base64; what is not base64 stays as it is."""
    try:
        return base64.b64encode(bytes(len(base64.b64decode(audio, validate=True)))).decode()
    except binascii.Error:
        return "!"
