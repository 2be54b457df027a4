"""A text that is longer than one request: several, one after the other, and one audio."""

from __future__ import annotations

import itertools
import json
from collections.abc import Container, Iterable
from typing import Any

import msgspec
import pytest

from smallest_proto.commands import AbortRequest, SendRequest
from smallest_proto.config import Endpoint, RetryPolicy, SynthesisConfig
from smallest_proto.errors import ConfigurationError, Failure, FailureKind
from smallest_proto.http.exchange import ExchangeFailed, ExchangeRetried
from smallest_proto.http.synthesis import Synthesis
from smallest_proto.synthesis.events import AudioChunk, SpeechFinished
from smallest_proto.synthesis.pieces import PIECE

ENDPOINT = Endpoint(api_key="the-key", base_url="http://example.com")
TEXTS = {
    "sentences": "The tide was out. Nobody had told the boats, which lay on their sides. " * 12,
    "no sentence": "and then " * 100,
    "no blanks": "潮水退了，没有人告诉船。" * 50,
}
BOTH = pytest.mark.parametrize("sse", [False, True], ids=["reply", "events"])


class Service:
    """Answers each request of one exchange with two samples for each character, at its own time ``now``."""

    def __init__(self, exchange: Any, *, sse: bool = False, expiries: Iterable[str] = ()) -> None:
        self.exchange = exchange
        self.sse = sse
        self.expiries = iter(expiries)
        self.now = 0.0
        self.texts: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.outputs: list[Any] = []
        self.under_way = False

    def run(self, *, fails_at: Container[int] = (), after: int = 0) -> None:
        """The requests ``fails_at``, counted from 1, are lost after so many bytes of their audio."""
        self.exchange.start(self.now)
        while (output := self.exchange.poll_output()) is not None:
            if isinstance(output, AbortRequest):
                self.under_way = False
            elif not isinstance(output, SendRequest):
                self.outputs.append(output)
            else:
                assert not self.under_way, "one request at a time"
                self.asked.append(json.loads(output.request.body))
                self.texts.append(self.asked[-1]["text"])
                if len(self.texts) in fails_at:
                    if after:
                        self.begin(audio_of(self.texts[-1])[:after])
                    self.under_way = False
                    self.exchange.exchange_failed(Failure(kind=FailureKind.DISCONNECTED, reason="lost"), self.now)
                else:
                    self.begin(audio_of(self.texts[-1]))
                    self.end()
            if isinstance(output, ExchangeRetried):
                assert self.exchange.get_timer() == self.now + output.retry_in
                self.now += output.retry_in
                self.exchange.handle_timer(self.now)

    def begin(self, audio: bytes) -> None:
        exchange, self.under_way = self.exchange, True
        headers = [("X-Request-Id", f"r{len(self.texts)}")]
        headers += [("X-Content-Expiry", said) for said in itertools.islice(self.expiries, 1)]
        exchange.response_started(200, headers, self.now)
        if self.sse:
            event = msgspec.json.encode({"audio": audio, "done": False, "status": "206"}).decode()
            exchange.body_received(f"event: audio\ndata: {event}\n\n".encode(), self.now)
        else:
            for at in range(0, len(audio), 333):
                exchange.body_received(audio[at : at + 333], self.now)

    def end(self) -> None:
        if self.sse:
            self.exchange.body_received(b'data: {"status":"200","done":true}\n\n', self.now)
        else:
            self.under_way = False
            self.exchange.response_ended(self.now)

    @property
    def waits(self) -> list[float]:
        return [output.retry_in for output in self.outputs if isinstance(output, ExchangeRetried)]

    @property
    def audio(self) -> bytes:
        return b"".join(output.data for output in self.outputs if isinstance(output, AudioChunk))


def audio_of(text: str) -> bytes:
    return b"".join((1 + ord(letter) % 100).to_bytes(2, "little") * 2 for letter in text)


@BOTH
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_long_text_is_asked_for_in_pieces(text: str, sse: bool) -> None:
    config = SynthesisConfig(sample_rate=8000)
    service = Service(Synthesis(config, ENDPOINT, text, sse=sse), sse=sse)
    service.run()
    assert "".join(service.texts) == text
    assert len(service.texts) > 2
    assert all(len(piece) <= PIECE for piece in service.texts)
    assert service.audio == audio_of(text)
    *chunks, finished = service.outputs
    at = 0
    for chunk in chunks:
        assert chunk.start == at / 8000
        at += chunk.samples
    whole = SpeechFinished(seconds=len(text) / 4000, size=4 * len(text), request_id=f"r{len(service.texts)}")
    assert finished == whole
    assert service.exchange.ended
    assert service.exchange.get_timer() is None


def test_a_wav_is_asked_for_as_pcm_and_has_one_header() -> None:
    service = Service(Synthesis(SynthesisConfig(output_format="wav"), ENDPOINT, TEXTS["sentences"]))
    service.run()
    assert {asked["output_format"] for asked in service.asked} == {"pcm"}
    assert service.audio[:4] == b"RIFF"
    assert service.audio[44:] == audio_of(TEXTS["sentences"])
    assert service.outputs[-1] == SpeechFinished(
        seconds=None, size=len(service.audio), request_id=f"r{len(service.texts)}"
    )
    short = Service(Synthesis(SynthesisConfig(output_format="wav"), ENDPOINT, "Short."))
    short.run()
    assert short.asked[0]["output_format"] == "wav"
    assert short.audio == audio_of("Short."), "one answer is as the service made it"


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_a_failure_ends_it(fails_at: int) -> None:
    exchange = Synthesis(
        SynthesisConfig(sample_rate=8000), ENDPOINT, TEXTS["sentences"], retry=RetryPolicy(max_retries=0)
    )
    service = Service(exchange)
    service.run(fails_at=[fails_at])
    assert len(service.texts) == fails_at
    assert isinstance(service.outputs[-1], ExchangeFailed)
    assert service.exchange.ended
    assert audio_of(TEXTS["sentences"]).startswith(service.audio)


@pytest.mark.parametrize("fails_at", [1, 2, 4])
@pytest.mark.parametrize(("output_format", "sse"), [("pcm", False), ("pcm", True), ("wav", False)])
def test_each_request_is_tried_again_and_what_came_before_it_is_kept(
    output_format: Any, fails_at: int, sse: bool
) -> None:
    config = SynthesisConfig(sample_rate=8000, output_format=output_format)
    policy = RetryPolicy(max_retries=2, first_delay=1.0)
    made = Synthesis(config, ENDPOINT, TEXTS["sentences"], sse=sse, retry=policy, jitter=lambda: 0.5)
    service = Service(made, sse=sse)
    service.run(fails_at=[fails_at, fails_at + 1])
    assert service.waits == [0.5, 1.0]
    again = service.texts[fails_at - 1]
    assert service.texts[fails_at - 1 : fails_at + 2] == [again] * 3
    assert "".join(service.texts[: fails_at - 1] + service.texts[fails_at + 1 :]) == TEXTS["sentences"]
    assert service.audio.endswith(audio_of(TEXTS["sentences"])), "all of it, once"
    assert len(service.audio) == len(audio_of(TEXTS["sentences"])) + (44 if output_format == "wav" else 0)
    assert isinstance(service.outputs[-1], SpeechFinished)
    assert service.exchange.get_timer() is None


def test_each_request_has_all_the_tries_of_the_policy() -> None:
    policy = RetryPolicy(max_retries=1)
    service = Service(Synthesis(SynthesisConfig(sample_rate=8000), ENDPOINT, TEXTS["sentences"], retry=policy))
    service.run(fails_at=range(1, 99, 2))
    assert len(service.waits) == len(service.texts) / 2 > 2
    assert service.audio == audio_of(TEXTS["sentences"])


@BOTH
@pytest.mark.parametrize("fails_at", [1, 2, 4])
def test_none_is_tried_again_once_a_byte_of_it_was_given_out(fails_at: int, sse: bool) -> None:
    config = SynthesisConfig(sample_rate=8000)
    service = Service(Synthesis(config, ENDPOINT, TEXTS["sentences"], sse=sse), sse=sse)
    service.run(fails_at=[fails_at], after=300)
    assert len(service.texts) == fails_at
    assert service.waits == []
    assert isinstance(service.outputs[-1], ExchangeFailed)
    assert audio_of(TEXTS["sentences"]).startswith(service.audio)
    assert len(service.audio) > len(audio_of("".join(service.texts[:-1])))


@pytest.mark.parametrize(
    ("said", "whole"),
    [
        (["applied"] * 99, "applied"),
        (["applied", "unavailable", *["applied"] * 99], "unavailable"),
        (["applied"], None),  # of the others nothing is known
        ([], None),
    ],
)
def test_the_wish_for_deletion_is_granted_if_it_is_of_each_request(said: list[str], whole: str | None) -> None:
    synthesis = Synthesis(SynthesisConfig(sample_rate=8000), ENDPOINT, TEXTS["sentences"])
    service = Service(synthesis, expiries=said)
    service.run()
    assert service.outputs[-1].content_expiry == whole


def test_it_is_aborted_in_the_middle() -> None:
    exchange = Synthesis(SynthesisConfig(sample_rate=8000), ENDPOINT, TEXTS["sentences"])
    exchange.start(0.0)
    assert isinstance(exchange.poll_output(), SendRequest)
    assert exchange.get_timer() is not None
    exchange.abort(1.0)
    outputs = [exchange.poll_output(), exchange.poll_output(), exchange.poll_output()]
    assert [type(output) for output in outputs] == [AbortRequest, ExchangeFailed, type(None)]
    assert exchange.ended
    exchange.abort(2.0)
    assert exchange.poll_output() is None


def test_pieces_without_a_word_are_left_out() -> None:
    text = "Once more. " + "* " * 300 + "Two."
    service = Service(Synthesis(SynthesisConfig(sample_rate=8000), ENDPOINT, text))
    service.run()
    assert service.texts == ["Once more. ", "* " * 50 + "Two."]


@BOTH
@pytest.mark.parametrize("text", ["👍", "…", "🎉🎉 !", "\ud83d", "-- * --"])
def test_where_nothing_can_be_said_nothing_is_asked_for(text: str, sse: bool) -> None:
    with pytest.raises(ConfigurationError, match="nothing that can be said") as raised:
        Synthesis(SynthesisConfig(), ENDPOINT, text, sse=sse)
    assert text not in str(raised.value)


def test_halves_of_a_character_are_mended() -> None:
    service = Service(Synthesis(SynthesisConfig(sample_rate=8000), ENDPOINT, "Hi \ud83d\ude80 \udc00 you."))
    service.run()
    assert service.texts == ["Hi \U0001f680 \ufffd you."]
