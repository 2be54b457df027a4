"""How loud a message of audio is: surely silence, perhaps a voice, or loud enough for one.

Two bounds, both on the peak of a message, on the scale of 16-bit samples:

- Below ``SILENCE_PEAK`` it is silence: 64 of 32768 is -54 dBFS. A muted microphone or an idle telephone line stays
  below that (the smallest steps of G.711 are 8 to 16). A voice does not, not even a soft one: telephony aims at
  -26 dBov for speech (ITU-T P.56, G.169), and a voice 20 dB softer still has peaks 12 dB above its mean level.
  A long stretch of what counts as silence here is not sent again, so this errs towards a voice.
- From ``LOUD_PEAK`` on it can be a voice that a recogniser should hear: 256 of 32768 is -42 dBFS. Only beside such
  audio is a quiet service suspicious, so this errs towards silence.

Packets of Opus do not show their level without a decoder: one of at most two bytes is what an encoder sends in a pause
(DTX, RFC 6716 section 2.1.9); any other one counts as loud.
"""

from __future__ import annotations

from array import array

from .audio import Encoding

SILENCE_PEAK = 64
LOUD_PEAK = 256

SILENT, SOFT, LOUD = 1, 2, 3  # levels; 0 is left for "not known yet"

_DTX_BYTES = 2

_SIGNS = bytes(128) + b"\xff" * 128  # of each byte, read as a number from -128 to 127
_SILENT_BYTES = bytes(value % 256 for value in range(1 - SILENCE_PEAK, SILENCE_PEAK))


def level(data: bytes, encoding: Encoding) -> int:
    """``SILENT``, ``SOFT`` or ``LOUD``, of one message of audio."""
    if encoding == "linear16":
        # A sample of a magnitude of 256 or more shows in its high byte: one pass in C, and the usual answer.
        low, high = data[::2], data[1::2]
        if high.translate(None, b"\x00\xff"):
            return LOUD
        # Where the high bytes only repeat the sign of the low ones, these alone are the samples.
        if low.translate(_SIGNS) == high:
            return SOFT if low.translate(None, _SILENT_BYTES) else SILENT
    elif encoding in _SILENT_CODES:
        if not data.translate(None, _SILENT_CODES[encoding]):
            return SILENT
        return LOUD if data.translate(None, _SOFT_CODES[encoding]) else SOFT
    elif encoding == "opus":
        return SILENT if len(data) <= _DTX_BYTES else LOUD
    elif encoding == "ogg_opus":
        return LOUD
    highest = peak(data, encoding)
    return SILENT if highest < SILENCE_PEAK else SOFT if highest < LOUD_PEAK else LOUD


def peak(data: bytes, encoding: Encoding) -> int:
    """The highest magnitude of the samples of a message: a number to compare messages of one encoding by.

    That of 16-bit samples for linear16 and linear32, a code of G.711 without its sign, 0 for opus.
    """
    if encoding == "linear16" or encoding == "linear32":
        samples = array("h" if encoding == "linear16" else "i", data)
        highest = max(max(samples), -min(samples)) if samples else 0
        return highest if encoding == "linear16" else highest >> 16
    if encoding in _MAGNITUDES:
        return max(data.translate(_MAGNITUDES[encoding]), default=0)
    return 0


def _codes(flipped: int, *magnitudes: int) -> bytes:
    """The codes of G.711 of these magnitudes, with either sign. ``flipped`` are the bits that the code has inverted."""
    return bytes(code for code in range(256) if (code ^ flipped) & 0x7F in magnitudes)


# A code without its sign is three bits of exponent and four of mantissa (ITU-T G.711). In 16-bit samples mu-law has
# 8 * m for exponent 0 and 132 + 16 * m for 1; A-law has 8 + 16 * m for exponent 0 and 264 and more above it.
_SILENT_CODES = {"mulaw": _codes(0xFF, *range(8)), "alaw": _codes(0x55, *range(4))}
_SOFT_CODES = {"mulaw": _codes(0xFF, *range(16 + 8)), "alaw": _codes(0x55, *range(16))}
_MAGNITUDES = {
    "mulaw": bytes((code ^ 0xFF) & 0x7F for code in range(256)),
    "alaw": bytes((code ^ 0x55) & 0x7F for code in range(256)),
}
