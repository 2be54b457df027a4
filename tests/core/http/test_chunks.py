"""Audio as it comes -> chunks: no byte lost, no sample torn, positions that follow one another."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.config import SynthesisConfig
from smallest_proto.http.chunks import Chunker
from smallest_proto.reading import decode_audio


@given(
    st.sampled_from(["pcm", "ulaw", "alaw", "mp3", "wav"]),
    st.sampled_from([8000, 44100]),
    st.lists(st.binary(max_size=9), max_size=12),
)
def test_chunks_are_whole_samples_one_after_the_other(output_format: Any, rate: int, pieces: list[bytes]) -> None:
    config = SynthesisConfig(output_format=output_format, sample_rate=rate)
    width = config.sample_width
    chunker = Chunker(config, segment=7)
    chunks = [chunk for piece in pieces if (chunk := chunker.take(piece)) is not None]
    audio, out = b"".join(pieces), b"".join(chunk.data for chunk in chunks)
    assert audio.startswith(out)
    assert chunker.held == len(audio) - len(out) == (0 if width is None else len(audio) % width)
    assert chunker.size == len(out)
    at = 0
    for chunk in chunks:
        assert chunk.segment == 7
        assert chunk.data
        if width is None:
            assert (chunk.start, chunk.samples) == (0.0, None)
        else:
            assert (chunk.start, chunk.samples) == (at / rate, len(chunk.data) / width)
            at += chunk.samples or 0
    assert chunker.seconds == (None if width is None else at / rate)


@given(st.binary(max_size=50))
def test_base64_is_decoded(data: bytes) -> None:
    assert decode_audio(base64.b64encode(data).decode()) == data


@pytest.mark.parametrize(
    "read",
    ["A", "AAA", "AA=A", "====", "AAAAA", "AA A", "AAAA\n", "A-_A", "é===", "\ud800AAA", None, 5, [], {}],
)
def test_what_is_no_base64_is_none(read: Any) -> None:
    assert decode_audio(read) is None


@given(st.text(max_size=12) | st.from_regex("[A-Za-z0-9+/=]{0,12}", fullmatch=True))
def test_no_text_raises(text: str) -> None:
    audio = decode_audio(text)
    assert audio is None or len(base64.b64encode(audio)) == len(text)
