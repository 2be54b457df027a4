"""Whole data frames, without wsproto: nearly all that a call says and hears (RFC 6455, section 5.2).

wsproto reads all other frames: anything but one whole, correct message in one frame.
"""

from __future__ import annotations

import contextlib
import struct
from os import urandom

TEXT, BINARY = 0x81, 0x82  # how a frame begins that is a message by itself: FIN, no reserved bit, the kind
ODD = 0  # all others

_KEY_BYTES = 4
_MASKED = 0x80  # in the second byte: a key follows the length
_IN_TWO, _IN_EIGHT = 126, 127  # in place of a length: it follows in so many bytes

_short_head = struct.Struct("!BB").pack
_head = struct.Struct("!BBH").pack
_long_head = struct.Struct("!BBQ").pack
_eight = struct.Struct("!Q").unpack_from


def _xor(data: bytes | bytearray | memoryview, mask: bytes | bytearray) -> bytes:
    """Data masked, or unmasked: as one integer, by far the fastest way in plain Python."""
    size = len(data)
    keys = (mask * (size // _KEY_BYTES + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(keys, "little")).to_bytes(size, "little")


# 1600 bytes take 4 µs so, and 0.15 in C. websockets has that: a function that is typed and has long been the same, but
# in no documentation, so nothing needs it to be there. Its documented way (``Frame.serialize``) takes 1.5 µs, its whole
# sans-IO protocol 2.1. aiohttp's masker is as quick, and private; picows has none to give without its own transport.
try:
    from websockets.speedups import apply_mask
except ImportError:  # it is not there, or was built without C
    apply_mask = _xor


# Asked of the system for many frames at once: that costs more than to mask a message. A process that forks does not
# leave its own to its child.
_KEYS_AT_ONCE = 256
_keys: list[bytes] = []
with contextlib.suppress(ImportError):  # there is none on Windows
    from os import register_at_fork

    register_at_fork(after_in_child=_keys.clear)


def _more_keys() -> bytes:
    """One, and others for later: of many threads each sees to its own."""
    found = urandom(_KEY_BYTES * _KEYS_AT_ONCE)
    _keys.extend(found[at : at + _KEY_BYTES] for at in range(_KEY_BYTES, len(found), _KEY_BYTES))
    return found[:_KEY_BYTES]


def pack(kind: int, data: bytes, *, masked: bool) -> tuple[bytes, bytes]:
    """A message as one frame: its head, and what follows it.

    ``masked``: a client's. The key is new and the system's own chance for each frame, as section 5.3 wants it: nobody
    may know beforehand what goes over the network.
    """
    size, sign = len(data), _MASKED if masked else 0
    if size < _IN_TWO:
        head = _short_head(kind, sign | size)
    elif size < 2**16:
        head = _head(kind, sign | _IN_TWO, size)
    else:
        head = _long_head(kind, sign | _IN_EIGHT, size)
    if not masked:
        return head, data
    try:
        key = _keys.pop()
    except IndexError:
        key = _more_keys()
    return head + key, apply_mask(data, key)


def find(held: bytes | bytearray, at: int, *, masked: bool) -> tuple[int, int, int] | None:
    """The frame that begins there: its kind (``TEXT``, ``BINARY``, ``ODD``), where its payload begins, where it ends.

    ``None`` where too little is held to know. ``masked``: it must be, as it comes from a client; the key lies before
    the payload. An odd one can be so wrong that it has no end; but its beginning, which shows that, is within it.
    """
    there = len(held) - at
    if there < 2:
        return None
    kind, begin = held[at], at + 2
    size = held[at + 1] ^ _MASKED if masked else held[at + 1]
    least = 0
    if size == _IN_TWO:
        if there < 4:
            return None
        size = held[begin] << 8 | held[begin + 1]
        begin, least = begin + 2, _IN_TWO
    elif size == _IN_EIGHT:
        if there < 10:
            return None
        (size,) = _eight(held, begin)
        begin, least = begin + 8, 2**16
    elif size > _IN_EIGHT:  # masked by the wrong side
        kind = ODD
    if masked:
        begin += _KEY_BYTES
    if size < least or kind not in (TEXT, BINARY):
        kind = ODD
    return kind, begin, begin + size


def unmasked(held: bytes | bytearray, begin: int, end: int) -> bytes:
    """The payload of a frame that is masked."""
    return apply_mask(held[begin:end], held[begin - _KEY_BYTES : begin])
