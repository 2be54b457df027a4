"""What an application gives as audio: any buffer, read as bytes if its items are the samples of the format.

A buffer says what its items are (PEP 3118). Floats, unsigned or big-endian numbers and interleaved channels have the
right number of bytes and are noise to the service, so they are refused here, with what would be right.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from .errors import LocalProtocolError

if TYPE_CHECKING:
    from typing_extensions import Buffer  # the standard library has it since 3.12

_BYTES = frozenset("Bbc")  # bytes are samples that the application has made already
_SAMPLES = {"linear16": "int16", "linear32": "int32"}
_FULL_SCALE = {"linear16": 32767, "linear32": 2147483647}
_KINDS = {"int": "bhilqn", "uint": "BHILQN", "float": "efd", "bool": "?"}  # the codes of struct
_LITTLE = struct.pack("=H", 1) == b"\1\0"
_OURS = "@=<" if _LITTLE else "<"  # the marks of the order of bytes that the service reads
_WHOLE = frozenset(mark + code for mark in (*_OURS, *([""] if _LITTLE else [])) for code in _KINDS["int"])

# How files begin that are not raw audio. The marks are so long that samples do not match by accident.
_FILES = tuple(
    (re.compile(sign, re.DOTALL), kind)
    for sign, kind in (
        (rb"fLaC\x00\x00\x00\x22", "a FLAC file"),
        (rb"OggS\x00\x02", "an Ogg file"),
        (rb"ID3[\x02-\x04]\x00[\x00\x40\x80\xc0][\x00-\x7f]{4}", "an MP3 file"),
        (rb"\x00\x00\x00.ftyp[ -~]{4}", "an MP4 file"),
        (rb"\x1a\x45\xdf\xa3.{1,8}\x42[\x82\x86]", "a WebM file"),
    )
)
_EXTENSIBLE = 0xFFFE  # the code of a WAV file that says later which code it is
_WAV_CODES = {"linear16": (1, 16), "linear32": (1, 32), "alaw": (6, 8), "mulaw": (7, 8)}  # format, bits


def read_buffer(audio: Buffer, encoding: str, width: int | None) -> memoryview:
    """The bytes of a buffer in order, copied only if they are not contiguous.

    ``width`` is the bytes of one sample of ``encoding``, or ``None`` for packets. One dimension may be longer than 1:
    an array of (n, 1) is mono too. Raises ``LocalProtocolError`` for what is no buffer, and for one whose items are
    not the samples of the encoding.
    """
    try:
        view = memoryview(audio)
    except ValueError:
        raise LocalProtocolError(
            f"audio is a {type(audio).__name__} that was released, or whose items have no type"
            " that a buffer can name: give its bytes"
        ) from None
    except (TypeError, BufferError):  # no buffer, or one that may not be exported
        raise LocalProtocolError(
            f"audio must be bytes-like (bytes, bytearray, memoryview, an array), not {type(audio).__name__}"
        ) from None
    format = view.format
    if format not in _BYTES and (format not in _WHOLE or view.itemsize != width):
        raise LocalProtocolError(_wrong_items(view, encoding))
    if view.ndim != 1:
        shape = view.shape or ()
        if sum(length != 1 for length in shape) > 1 or not shape:
            raise LocalProtocolError(
                f"audio has the shape {shape}, and a stream has one channel: give one of them, such as audio[:, 0], "
                "as a flat array (in a mean of several what is out of phase is lost)"
            )
        if not view.nbytes:  # an empty view of several dimensions cannot be cast
            return memoryview(b"")
    return view.cast("B") if view.c_contiguous else memoryview(view.tobytes())


def _wrong_items(view: memoryview, encoding: str) -> str:
    code = view.format.lstrip("@=<>!")
    kind = next((kind for kind, codes in _KINDS.items() if code and code in codes), "")
    swapped = kind != "" and view.itemsize > 1 and view.format[0] in "=@<>!" and view.format[0] not in _OURS
    actual = kind if kind == "bool" else f"{kind}{8 * view.itemsize}" if kind else f"{view.itemsize}-byte"
    if encoding not in _SAMPLES:
        due, advice = "bytes", "encode it, or set the encoding"
    else:
        due, advice = _SAMPLES[encoding], "convert it, or set the encoding"
        if kind == "float":
            advice = f"multiply what is from -1 to 1 by {_FULL_SCALE[encoding]} and convert it to {due}"
        elif swapped:
            advice = f"convert it to {due} in little-endian order, or swap its bytes"
    return f"audio has {'big-endian ' * swapped}{actual} items where {encoding} has {due}: {advice}"


def check_raw(data: bytes | memoryview, encoding: str, sample_rate: int) -> None:
    """Raises ``LocalProtocolError`` if a stream of raw audio begins with the header of a file in another format.

    A WAV file of just this encoding and rate (Hz), mono, may pass: its head is a click of a millisecond.
    """
    head = bytes(data[:64])
    kind = next((kind for sign, kind in _FILES if sign.match(head)), None)
    if encoding == "opus":  # of all marks, only this one is surely not the start of a packet
        if kind == "an Ogg file":
            raise LocalProtocolError("this is an Ogg file and not packets of opus: set encoding='ogg_opus'")
        return
    if kind is not None:
        raise LocalProtocolError(f"this is {kind} and not {encoding}: decode it first, or transcribe it as a file")
    at = head.find(b"fmt ")
    if not head.startswith(b"RIFF") or head[8:12] != b"WAVE" or not 12 <= at <= len(head) - 24:
        return
    code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head, at + 8)
    if code == _EXTENSIBLE and len(head) >= at + 34:
        (code,) = struct.unpack_from("<H", head, at + 32)
    if ((code, bits), channels, rate) != (_WAV_CODES.get(encoding), 1, sample_rate):
        raise LocalProtocolError(
            f"this is a WAV file of {rate} Hz, {bits} bits and {channels} channel{'s' * (channels != 1)}, and the "
            f"stream is set to {encoding} at {sample_rate} Hz, one channel: set what the file has, convert it, or "
            "transcribe it as a file"
        )
