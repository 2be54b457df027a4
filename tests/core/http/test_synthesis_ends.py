"""HTTP synthesis: an answer that is cut, and one that has no end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.commands import SendRequest
from smallest_proto.config import Endpoint, SynthesisConfig, Timeouts
from smallest_proto.errors import FailureKind
from smallest_proto.http.exchange import ExchangeFailed
from smallest_proto.http.synthesis import Synthesis
from smallest_proto.synthesis.events import AudioChunk, SpeechFinished
from smallest_proto.synthesis.pieces import PIECE
from tests.core.private import SAID

from .test_synthesis import AUDIO, answered, begun, drain


def wav(seconds: float, *, size: int | None = None, before: bytes = b"") -> bytes:
    """A WAV of linear16 at 8 kHz; ``size``: what its head says; ``before``: chunks before the audio."""
    audio = b"\x01\x02" * int(8000 * seconds)
    fmt = b"fmt " + (16).to_bytes(4, "little") + b"\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0"
    said = len(audio) if size is None else size
    return b"RIFF\xff\xff\xff\xffWAVE" + fmt + before + b"data" + said.to_bytes(4, "little") + audio


ODD_CHUNK = b"LIST" + (3).to_bytes(4, "little") + b"abc\0"


@given(cuts=st.lists(st.integers(0, 5000), max_size=4))
@pytest.mark.parametrize("body", [wav(0.1), wav(0.05, before=ODD_CHUNK * 2)], ids=["plain", "with other chunks"])
def test_a_wav_that_is_cut_short_is_said(body: bytes, cuts: list[int]) -> None:
    audio, outcome = answered(body, AUDIO, output_format="wav", cuts=cuts)
    assert isinstance(outcome, SpeechFinished)
    assert audio == body
    audio, outcome = answered(body[:-1], AUDIO, output_format="wav", cuts=cuts)
    assert isinstance(outcome, ExchangeFailed)
    assert outcome.failure.kind is FailureKind.DISCONNECTED
    assert f"{len(body) - 1:,} of {len(body):,} bytes" in outcome.failure.reason
    assert audio == body[:-1]  # what came was given out


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFFF00, 10])
def test_a_head_that_does_not_know_the_length_is_no_fault(size: int) -> None:
    body = wav(0.5, size=size) + ODD_CHUNK
    audio, outcome = answered(body, AUDIO, output_format="wav")
    assert isinstance(outcome, SpeechFinished)
    assert audio == body


@pytest.mark.parametrize("options", [{"output_format": "pcm"}, {"output_format": "mp3"}, {"output_format": "wav"}])
def test_speech_without_an_end_is_dropped(options: dict[str, Any]) -> None:
    exchange, piece, came = begun(AUDIO, **options), b"\x01\x80" * 100_000, 0
    for _ in range(1000):
        exchange.body_received(piece, 0.0)
        came += sum(len(output.data) for output in drain_audio(exchange))
        if exchange.ended:
            break
    assert exchange.ended
    assert came <= (60 + 4 * len(SAID)) * 8000 * 2 + len(piece)


@pytest.mark.parametrize("output_format", ["pcm", "wav"])
def test_one_request_of_a_long_text_without_an_end_is_the_last(output_format: Any) -> None:
    config = SynthesisConfig(sample_rate=8000, output_format=output_format)
    exchange = Synthesis(config, Endpoint(api_key="k"), "Nobody had told the boats. " * 30)
    exchange.start(0.0)
    exchange.response_started(200, (AUDIO,), 0.0)
    exchange.body_received(bytes(8000), 0.0)
    exchange.response_ended(0.0)
    exchange.response_started(200, (AUDIO,), 0.0)
    came = 0
    while not exchange.ended:
        exchange.body_received(b"\x01\x80" * 100_000, 0.0)
        came += 200_000
        assert came < (60 + 4 * PIECE) * 8000 * 2 + 400_000
    outputs = drain(exchange)
    assert sum(isinstance(output, SendRequest) for output in outputs) == 2
    assert isinstance(outputs[-1], ExchangeFailed)
    assert "more than its text can be" in outputs[-1].failure.reason


def drain_audio(exchange: Synthesis) -> list[AudioChunk]:
    return [output for output in drain(exchange) if isinstance(output, AudioChunk)]


def test_nor_does_one_that_trickles_go_on_for_ever() -> None:
    exchange, now = begun(AUDIO, output_format="pcm"), 0.0
    while not exchange.ended:
        now += 1.0
        exchange.body_received(b"\x01\x80", now)
        exchange.handle_timer(now)
    assert now <= Timeouts().response + 60 + 4 * len(SAID) + 1
    outcome = drain(exchange)[-1]
    assert isinstance(outcome, ExchangeFailed)
    assert "has not ended after" in outcome.failure.reason
