"""Word times by forced alignment (``soundswallower``): which stretch of the audio is which word of a known text."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Any, TypeAlias

import soundswallower
from hibari.g2p import numbers
from hibari.g2p.oov import OOV

from .pcm import SAMPLE_RATE, Samples, to_linear16

Span: TypeAlias = tuple[float, float]  # seconds: start and end

# The aligner keeps Python's lock while it works, so it is given little at a time: other threads wait some 7 ms.
_PIECE = SAMPLE_RATE // 20 * 2  # bytes of 50 ms
_LONGEST_NUMBER = 12  # digits; longer ones are read digit by digit

# The phonemes that hibari writes (one letter each, as Misaki does) -> those of the CMU dictionary that the aligner has.
_PHONES = {
    "A": "EY", "I": "AY", "O": "OW", "Q": "OW", "W": "AW", "Y": "OY", "a": "AA", "e": "EY", "i": "IY", "o": "OW",
    "u": "UW", "ɑ": "AA", "ɐ": "AH", "ɒ": "AA", "æ": "AE", "ɔ": "AO", "ə": "AH", "ᵊ": "AH", "ɚ": "ER", "ɛ": "EH",
    "ɜ": "ER", "ɪ": "IH", "ᵻ": "IH", "ɨ": "IH", "ʊ": "UH", "ʌ": "AH", "b": "B", "d": "D", "f": "F", "h": "HH",
    "j": "Y", "k": "K", "l": "L", "m": "M", "n": "N", "p": "P", "r": "R", "s": "S", "t": "T", "v": "V", "w": "W",
    "x": "K", "z": "Z", "ð": "DH", "ʤ": "JH", "ɡ": "G", "ŋ": "NG", "θ": "TH", "ɹ": "R", "ɾ": "T", "T": "T", "ʃ": "SH",
    "ʧ": "CH", "ʒ": "ZH",
}  # fmt: skip
_SIGNS = {"%": " percent ", "$": " dollars ", "£": " pounds ", "€": " euros ", "&": " and ", "+": " plus ", "@": " at "}


class Aligner:
    """The aligner, loaded once. Calls from several threads take turns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # No beam: with one the search fails on synthetic voices.
        self._decoder: Any = soundswallower.Decoder(
            hmm=soundswallower.get_model_path("en-us"), loglevel="FATAL", beam=0.0, wbeam=0.0, pbeam=0.0
        )

    def align(self, samples: Samples, words: Sequence[str]) -> tuple[Span, ...] | None:
        """The times of each word, from the first sample on; ``None`` if words and audio do not match."""
        with self._lock:
            keys = [self._key(word) for word in words]
            if not keys or None in keys:
                return None
            try:
                return self._align(to_linear16(samples), " ".join(map(str, keys)), len(keys))
            except (RuntimeError, ValueError):  # the library raises this if words and audio do not match
                return None

    def _align(self, pcm: bytes, text: str, count: int) -> tuple[Span, ...] | None:
        decoder = self._decoder
        decoder.reinit_feat()  # or what it learned from the last speaker would move the times of this one
        decoder.set_align_text(text)
        decoder.start_utt()
        for at in range(0, len(pcm), _PIECE):
            decoder.process_raw(pcm[at : at + _PIECE], False, False)
        decoder.end_utt()
        # Silence and noise are in angle or square brackets, a second pronunciation in round ones at the end.
        spans = [(s.start, s.start + s.duration) for s in decoder.seg or () if s.text[0] not in "<[("]
        return tuple(spans) if len(spans) == count else None

    def _key(self, word: str) -> str | None:
        """The dictionary's name of a word; adds the word if it is not there."""
        key = re.sub(r"[^\w']|_", "", word.lower())
        if not key or self._decoder.lookup_word(key):
            return key or None
        phones = self._pronounce(word)
        if not phones:
            return None
        self._decoder.add_word(key, " ".join(phones), True)
        return key

    def _pronounce(self, word: str) -> list[str]:
        phones: list[str] = []
        for part in re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", spell_numbers(word).replace("’", "'")):
            known = self._decoder.lookup_word(part.lower())
            phones += known.split() if known else arpabet(self._unknown_words(part) or "")
        return phones

    @cached_property
    def _unknown_words(self) -> OOV:
        # The network alone: all of hibari's G2P takes a second to load and 170 MB, and the words that its lexicon
        # knows are in the aligner's dictionary as well.
        return OOV()


def arpabet(phonemes: str) -> list[str]:
    """Phonemes as hibari writes them -> those of the CMU dictionary; stress and what is unknown is left out."""
    phones = [_PHONES[letter] for letter in phonemes if letter in _PHONES]
    # "ɜɹ" and "əɹ" are one sound there: ER.
    joined: list[str] = []
    for phone in phones:
        if phone == "R" and joined and joined[-1] == "ER":
            continue
        if phone == "R" and joined and joined[-1] == "AH":
            joined[-1] = "ER"
            continue
        joined.append(phone)
    return joined


def spell_numbers(word: str) -> str:
    """Digits and signs as words, roughly as they are read: ``$9.50`` -> ``nine point five dollars``."""
    word = re.sub(r"(?<=\d),(?=\d{3})", "", word)
    signs = "".join(_SIGNS.get(sign, " ") for sign in word if sign in _SIGNS)
    return re.sub(r"(\d+)(?:\.(\d+))?", _spell, word) + signs


def _spell(match: re.Match[str]) -> str:
    whole, fraction = match.group(1), match.group(2)
    if len(whole) > _LONGEST_NUMBER or (len(whole) > 1 and whole[0] == "0"):
        words = " ".join(numbers.ONES[int(digit)] for digit in whole)
    elif len(whole) == 4 and not fraction and 1100 <= int(whole) < 2100:
        words = numbers.year(int(whole))
    else:
        words = numbers.cardinal(int(whole))
    if fraction:
        words += " point " + " ".join(numbers.ONES[int(digit)] for digit in fraction)
    return f" {words} "


def spread(words: Sequence[str], start: float, end: float) -> tuple[Span, ...]:
    """Times for words that could not be aligned: each gets a share of ``start`` to ``end`` by its length."""
    lengths = [len(word) + 1 for word in words]
    step = (end - start) / max(1, sum(lengths))
    spans: list[Span] = []
    at = 0
    for length in lengths:
        spans.append((start + at * step, start + (at + length) * step))
        at += length
    return tuple(spans)
