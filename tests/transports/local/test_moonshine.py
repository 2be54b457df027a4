"""The model, its weights and its vocabulary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import ConfigurationError
from smallest_transports.local import check_installed, moonshine
from smallest_transports.local.files import read_samples
from smallest_transports.local.moonshine import Moonshine, SpokenWord, join_tokens, package_folder, read_vocabulary
from smallest_transports.local.recogniser import Engines


def test_it_reads_a_person(models: Engines) -> None:
    words = models.moonshine.transcribe(read_samples(package_folder() / "beckett.wav"))
    assert words is not None
    text = " ".join(word.text for word in words).lower()
    assert "ever tried" in text
    assert "fail better" in text
    assert all(0 < word.confidence <= 1 for word in words)


@pytest.mark.parametrize("samples", [0, 1, 100, 3999, 16000])
def test_silence_of_any_length_can_be_given(models: Engines, samples: int) -> None:
    assert models.moonshine.transcribe(np.zeros(samples, np.float32)) is not None


def test_a_decoding_is_given_up_between_tokens(models: Engines) -> None:
    asked = 0

    def given_up() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    samples = read_samples(package_folder() / "beckett.wav")
    assert models.moonshine.transcribe(samples, given_up) is None
    assert asked == 4


def test_weights_that_are_other_than_expected_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be read \(encoder_model\.ort\): reinstall moonshine-voice=="):
        Moonshine(tmp_path)
    for name in ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"):
        (tmp_path / name).write_bytes(b"not these")
    with pytest.raises(ConfigurationError, match=r"not the ones expected \(encoder_model\.ort\)"):
        Moonshine(tmp_path)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check_installed()
    monkeypatch.setattr(moonshine, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r'pip install "smallest-proto\[local\]"'):
        package_folder()
    monkeypatch.setattr("smallest_transports.local.find_spec", lambda name: None if name == "soxr" else object())
    with pytest.raises(ConfigurationError, match="no soxr here"):
        check_installed()


@given(st.lists(st.binary(max_size=400), max_size=20))
def test_a_vocabulary_is_read_as_it_was_written(tokens: list[bytes]) -> None:
    data = b""
    for token in tokens:
        size = len(token)
        data += (bytes([size]) if size < 128 else bytes([128 + size % 128, size // 128])) + token
    assert read_vocabulary(data) == tuple(tokens)


def test_tokens_become_words() -> None:
    tokens = [("▁It", 0.9), ("▁in", 0.8), ("cred", 0.3), ("ul", 0.7), ("▁", 0.5), ("▁caf", 0.9)]
    encoded = [(text.encode(), sure) for text, sure in tokens]
    accent = "é".encode()
    encoded += [(accent[:1], 0.6), (accent[1:], 0.7), (b"<<ST_3>>", 0.1), (b"<", 0.9)]
    assert join_tokens(encoded) == (SpokenWord("It", 0.9), SpokenWord("incredul", 0.3), SpokenWord("café<", 0.6))
