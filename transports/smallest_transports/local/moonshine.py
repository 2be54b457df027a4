"""The recogniser's model: Moonshine tiny (English), run with onnxruntime on the CPU.

The weights are those that the package ``moonshine-voice`` carries. The package itself is never imported: it would load
a native library of its own and an audio device layer, and all that is wanted of it are three files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime

from smallest_proto.errors import ConfigurationError

from .pcm import SAMPLE_RATE, Samples

PACKAGE = "moonshine-voice==0.0.73"

_HASHES = {  # SHA-256 of the files that this decoder was written for
    "encoder_model.ort": "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
    "decoder_model_merged.ort": "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
    "tokenizer.bin": "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
}
_SHORTEST = 4000  # samples: the encoder's first layers need about this much
_TOKENS_PER_SECOND = 6.5  # nobody speaks faster; a decoder with more has begun to repeat itself
_START, _END = 1, 2  # tokens
_HEADS, _HEAD_WIDTH = 8, 36  # the shape of the decoder's attention cache
_MARKS = (b"<unk>", b"<s>", b"</s>")  # the vocabulary's own, as are <<ST_0>> and on: never text
_WORD_MARK = "▁".encode()  # begins a word in a SentencePiece vocabulary


class SpokenWord(NamedTuple):
    """A word, and how sure of it the model is."""

    text: str
    confidence: float  # 0..1, of its least sure token


def package_folder() -> Path:
    """Where the installed weights and recordings are.

    Raises ``ConfigurationError`` if the package is not installed.
    """
    spec = find_spec("moonshine_voice")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(
            f'the recogniser\'s weights ({PACKAGE}) are not installed: pip install "smallest-proto[local]"'
        )
    return Path(spec.submodule_search_locations[0]) / "assets"


class Moonshine:
    """The model, loaded once; it may be asked from several threads at the same time.

    ``threads`` is how many cores one decoding may use. Raises ``ConfigurationError`` for weights that are missing or
    are not the ones expected.
    """

    def __init__(self, folder: Path | None = None, *, threads: int = 1) -> None:
        folder = folder or package_folder() / "tiny-en"
        files = {name: _read(folder / name, digest) for name, digest in _HASHES.items()}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._encoder: Any = onnxruntime.InferenceSession(files["encoder_model.ort"], options)
        self._decoder: Any = onnxruntime.InferenceSession(files["decoder_model_merged.ort"], options)
        self._vocabulary = read_vocabulary(files["tokenizer.bin"])
        self._cache_inputs = [i.name for i in self._decoder.get_inputs() if i.name.startswith("past_key_values")]
        self._cache_outputs = [
            o.name.replace("present", "past_key_values") for o in self._decoder.get_outputs() if o.name != "logits"
        ]

    def transcribe(
        self, samples: Samples, given_up: Callable[[], bool] = lambda: False
    ) -> tuple[SpokenWord, ...] | None:
        """The words of one stretch of speech, up to some 20 s.

        ``given_up`` is asked before each token; as soon as it is true the decoding ends with ``None``.
        """
        most = max(4, int(len(samples) / SAMPLE_RATE * _TOKENS_PER_SECOND))
        if len(samples) < _SHORTEST:
            samples = np.pad(samples, (0, _SHORTEST - len(samples)))
        if given_up():
            return None
        audio = samples[None].astype(np.float32, copy=False)
        mask = np.ones(audio.shape, np.int64)
        (hidden,) = self._encoder.run(None, {"input_values": audio, "attention_mask": mask})
        inputs: dict[str, Any] = {"encoder_hidden_states": hidden, "encoder_attention_mask": mask}
        inputs.update(dict.fromkeys(self._cache_inputs, np.zeros((1, _HEADS, 0, _HEAD_WIDTH), np.float32)))
        token = _START
        tokens: list[tuple[bytes, float]] = []
        for step in range(most):
            if given_up():
                return None
            inputs["input_ids"] = np.array([[token]], np.int64)
            inputs["use_cache_branch"] = np.array([step > 0])
            logits, *caches = self._decoder.run(None, inputs)
            for name, cache in zip(self._cache_outputs, caches, strict=True):
                if step == 0 or ".decoder." in name:  # what it keeps of the encoder does not change after the first
                    inputs[name] = cache
            scores = logits[0, -1]
            token = int(scores.argmax())
            if token == _END:
                break
            tokens.append((self._vocabulary[token], float(1.0 / np.exp(scores - scores.max()).sum())))
        return join_tokens(tokens)


def join_tokens(tokens: list[tuple[bytes, float]]) -> tuple[SpokenWord, ...]:
    """Tokens and their confidences -> words; a word is as sure as its least sure token."""
    words: list[tuple[bytes, float]] = []
    for token, confidence in tokens:
        if token in _MARKS or token.startswith(b"<<ST_"):
            continue
        if token.startswith(_WORD_MARK) or not words:
            words.append((token.removeprefix(_WORD_MARK), confidence))
        else:
            text, least = words[-1]
            words[-1] = (text + token, min(least, confidence))
    decoded = ((text.decode("utf-8", "ignore").strip(), confidence) for text, confidence in words)
    return tuple(SpokenWord(text, confidence) for text, confidence in decoded if text)


def read_vocabulary(data: bytes) -> tuple[bytes, ...]:
    """The tokens of ``tokenizer.bin``: each is its length (one byte, or two from 128 on) and its UTF-8 bytes."""
    tokens: list[bytes] = []
    at = 0
    while at < len(data):
        size = data[at]
        at += 1
        if size >= 128:
            size += data[at] * 128 - 128
            at += 1
        tokens.append(data[at : at + size])
        at += size
    return tuple(tokens)


def _read(path: Path, digest: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the recogniser's weights cannot be read ({path.name}): reinstall {PACKAGE}"
        ) from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise ConfigurationError(
            f"the recogniser's weights are not the ones expected ({path.name}): reinstall {PACKAGE}"
        )
    return data
