"""Text -> speech with word times: hibari, a neural voice of 24 kHz that runs on the CPU. English."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import soxr
from hibari import Hibari, dsp
from hibari.g2p.normalize import normalize

from smallest_proto.errors import ConfigurationError
from smallest_proto.reading import Word
from smallest_proto.server.synthesiser import SpokenPiece

from .pcm import to_linear16

VOICE_RATE = 24000  # Hz: what the voice speaks at

_MOST_PHONEMES = 400  # of one piece: the voice was not trained on longer pieces
_SILENT = frozenset(' .,?!;:—…"“”()')  # what stands between phonemes and makes no sound of its own
_UNIT = 0.025  # seconds of one step of the duration predictor
_DURATIONS = b"/Clip_output_0"  # its output inside the network's graph


class _Token(NamedTuple):
    text: str
    phonemes: str


class HibariSynthesiser:
    """The one voice that hibari brings with it ("heart", American English). Loading it takes about a second.

    It may be used from several threads. The same text gives the same audio.
    """

    def __init__(self, *, threads: int = 1) -> None:
        self._hibari: Any = Hibari(threads=threads)
        self._lock = threading.Lock()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        network = Path(self._hibari.model_path).read_bytes()
        self._network: Any = onnxruntime.InferenceSession(network + _one_more_output(_DURATIONS), options)
        _ = self._hibari.g2p  # loaded now, not at the first sentence

    def speak(self, text: str, *, sample_rate: int = VOICE_RATE, speed: float = 1.0) -> Iterator[SpokenPiece]:
        check_sayable(text)
        if not 0.5 <= speed <= 2:
            raise ConfigurationError(f"speed must be a number from 0.5 to 2, not {speed!r}")
        if sample_rate <= 0:
            raise ConfigurationError(f"sample_rate must be a number of Hz, not {sample_rate!r}")
        pieces = self._pieces(text)
        first = next(pieces, None)
        if first is None:
            raise ConfigurationError("the text holds nothing that can be said: no words, no numbers")
        return (self._say(piece, sample_rate, speed) for piece in chain((first,), pieces))

    def _pieces(self, text: str) -> Iterator[list[_Token]]:
        """The pieces to speak one by one; a long text is read while it is spoken."""
        for sentence in self._hibari.split_sentences(text):
            with self._lock:  # the dictionary reader keeps notes while it reads
                words = self._read(sentence)
            yield from split(words)

    def _read(self, sentence: str) -> list[_Token]:
        """The words of a sentence, each as it is written and as it is read."""
        g2p = self._hibari.g2p
        words: list[_Token] = []
        joined = False
        for token in g2p.phonemize_tokens(g2p.tokenize(normalize(sentence))):
            phonemes = "".join(letter for letter in token.phonemes or "" if letter in self._hibari.vocab)
            if joined:
                words[-1] = _Token(words[-1].text + token.text, words[-1].phonemes + phonemes)
            else:
                words.append(_Token(token.text, phonemes))
            joined = not token.whitespace
        return verbatim(sentence.split(), [word for word in words if word.phonemes])

    def _say(self, words: Sequence[_Token], sample_rate: int, speed: float) -> SpokenPiece:
        phonemes = " ".join(word.phonemes for word in words)
        inputs = {"ids": np.array([self._hibari.ids(phonemes)]), "speed": np.array([speed], np.float32)}
        *spectrum, steps = self._network.run(None, inputs)
        samples = dsp.synth(*(part[0] for part in spectrum), np.random.default_rng(0)).astype(np.float32)
        if sample_rate != VOICE_RATE:
            samples = soxr.resample(samples, VOICE_RATE, sample_rate)
        pcm = to_linear16(samples)
        # ids begin with a pad: before the phoneme at place i lie i + 1 of them.
        ends = np.cumsum(steps.reshape(-1)) * _UNIT
        return SpokenPiece(pcm=pcm, seconds=len(pcm) / 2 / sample_rate, words=tuple(_timed(words, ends)))


def _timed(words: Sequence[_Token], ends: Any) -> Iterator[Word]:
    at = 0
    for word in words:
        sounding = [at + i for i, letter in enumerate(word.phonemes) if letter not in _SILENT]
        if sounding:
            start, end = float(ends[sounding[0]]), float(ends[sounding[-1] + 1])
            yield Word(text=word.text, start=round(start, 3), end=round(end, 3))
        at += len(word.phonemes) + 1


def verbatim(words: Sequence[str], read: Sequence[_Token]) -> list[_Token]:
    """What is read (``ten thirty``) under the names that stand in the text (``10:30``); no phoneme is lost."""
    named: list[_Token] = []
    texts = [token.text for token in read]
    for kind, i, k, j, m in SequenceMatcher(None, words, texts, autojunk=False).get_opcodes():
        tokens = read[j:m]
        if kind == "equal":
            named += tokens
            continue
        names = [word for word in words[i:k] if any(map(str.isalnum, word))]
        groups = min(len(names), len(tokens))
        if not groups and tokens:  # not in the text: a part of the word before it
            names, before = [named[-1].text if named else " ".join(texts[j:m])], named[-1:]
            del named[-1:]
            tokens, groups = [*before, *tokens], 1
        for at in range(groups):
            name = " ".join(names[at * len(names) // groups : (at + 1) * len(names) // groups])
            part = tokens[at * len(tokens) // groups : (at + 1) * len(tokens) // groups]
            named.append(_Token(name, " ".join(token.phonemes for token in part)))
    return named


def split(words: Sequence[_Token]) -> list[list[_Token]]:
    """A sentence in pieces that the voice can speak, cut after a comma or the like if there is one."""
    pieces: list[list[_Token]] = []
    piece: list[_Token] = []
    size = clause = 0
    for word in words:
        if piece and size + len(word.phonemes) > _MOST_PHONEMES:
            cut = clause or len(piece)
            pieces.append(piece[:cut])
            piece = piece[cut:]
            size, clause = sum(len(left.phonemes) + 1 for left in piece), 0
        piece.append(word)
        size += len(word.phonemes) + 1
        if word.phonemes[-1] in ",;:—":
            clause = len(piece)
    pieces.append(piece)
    return [piece for piece in pieces if any(letter not in _SILENT for word in piece for letter in word.phonemes)]


def check_sayable(text: str) -> None:
    """Raises ``ConfigurationError`` for text that is empty, or in letters that are not Latin."""
    if not text.strip():
        raise ConfigurationError("the text is empty: there is nothing to say")
    for letter in text:
        if letter.isalpha() and not unicodedata.name(letter, "").startswith(
            ("LATIN", "MODIFIER", "FEMININE", "MASCULINE", "MICRO")
        ):
            raise ConfigurationError(
                "the local server's voice speaks English alone: the text has letters that are not Latin"
            )


@lru_cache(maxsize=1)
def _shared() -> HibariSynthesiser:
    return HibariSynthesiser()


_loading = threading.Lock()


def synthesiser() -> HibariSynthesiser:
    """The voice that all of a process shares, loaded at the first call."""
    with _loading:
        return _shared()


def _one_more_output(name: bytes) -> bytes:
    """Bytes which, put behind an ONNX model, make one inner value an output: how long it makes each phoneme.

    ONNX is protobuf, where a field that comes again is merged with what was there. Fields: ModelProto.graph = 7,
    GraphProto.output = 12, ValueInfoProto.name = 1, .type = 2, TypeProto.tensor_type = 1, .elem_type = 1 (float = 1).
    """

    def field(number: int, content: bytes) -> bytes:
        return bytes((number << 3 | 2, len(content))) + content

    return field(7, field(12, field(1, name) + field(2, field(1, b"\x08\x01"))))
