"""Content-Encoding: a gateway on the way can compress an answer, though we ask for identity.

gzip and deflate are decoded, as zlib is in every Python; anything else is refused by its name. Decoded bytes come in
pieces of bounded size, so that the reader can stop: a few bytes can unpack to a thousand times as many.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from .errors import Failure, FailureKind

PIECE_BYTES = 64 * 2**10  # decoded at once
MAX_CODINGS = 4  # on top of each other; each gateway adds at most one

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS  # what zlib calls its formats
_DECODED = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}


class Decoder:
    """Takes the body of one answer as it comes, and gives it uncompressed.

    ``failure`` says why that cannot go on: a coding that is not decoded, or bytes that are not what they should be.
    """

    def __init__(self, headers: Iterable[tuple[str, str]]) -> None:
        named = [
            name.strip().lower()
            for key, value in headers
            if key.lower() == "content-encoding"
            for name in value.split(",")
        ]
        codings = [name for name in named if name not in ("", "identity")]
        strange = [name for name in codings if name not in _DECODED]
        self.failure: Failure | None = None
        if strange or len(codings) > MAX_CODINGS:
            self.failure = _compressed(strange[0][:20] if strange else "many times over")
            codings = []
        self._layers = [_Layer(_DECODED[name]) for name in reversed(codings)]

    def feed(self, data: bytes) -> Iterable[bytes]:
        """What is in the next part of the body, in pieces of at most 64 KiB where it was compressed."""
        if self.failure is not None or not data:
            return ()
        return self._decoded(data) if self._layers else (data,)

    def _decoded(self, data: bytes) -> Iterator[bytes]:
        try:
            yield from self._through(data, 0)
        except zlib.error:
            self.failure = _damaged()

    def end(self) -> Failure | None:
        """What is wrong with a body that ends here; ``None`` if nothing is."""
        if self.failure is None and not all(layer.whole for layer in self._layers):
            reason = "the server closed the connection before its answer, which is compressed, was whole"
            self.failure = Failure(kind=FailureKind.DISCONNECTED, reason=reason)
        return self.failure

    def _through(self, data: bytes, at: int) -> Iterator[bytes]:
        if at == len(self._layers):
            if data:
                yield data
            return
        for piece in self._layers[at].feed(data):
            yield from self._through(piece, at + 1)


class _Layer:
    """One coding. A gzip body may be several, one after the other."""

    def __init__(self, form: int) -> None:
        self._form = form
        self._zlib: Any = None  # no byte has come yet

    @property
    def whole(self) -> bool:
        return self._zlib is None or self._zlib.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self.whole:
                self._zlib = zlib.decompressobj(self._begin(data))
            yield self._zlib.decompress(data, PIECE_BYTES)
            data = self._zlib.unconsumed_tail or self._zlib.unused_data

    def _begin(self, data: bytes) -> int:
        # Some servers call a stream deflate that has no header of zlib's, whose low four bits are 8.
        return _RAW if self._form == _ZLIB and data[0] & 15 != 8 else self._form


def decoded(headers: Iterable[tuple[str, str]], body: bytes, limit: int) -> bytes:
    """What can be read of the beginning of a body, at most ``limit`` bytes; nothing where its coding is unknown."""
    made = b""
    for piece in Decoder(headers).feed(body):
        made += piece
        if len(made) >= limit:
            break
    return made[:limit]


def _compressed(name: str) -> Failure:
    shown = name if name.isascii() and name.isprintable() else "a name that cannot be read"
    reason = (
        f"the answer came compressed ({shown}), which was not asked for: let whatever stands before the service "
        "(a proxy, a gateway) leave its answers as they are, or compress with gzip"
    )
    return Failure(kind=FailureKind.PROTOCOL, reason=reason, final=True)


def _damaged() -> Failure:
    return Failure(kind=FailureKind.PROTOCOL, reason="the answer came compressed, and was damaged on its way")
