"""Speech that fails is not silent, on any transport: it is raised where one iterates, and says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from smallest_proto.config import SynthesisConfig
from smallest_proto.errors import ConfigurationError, ServiceError, StatusError
from smallest_proto.server.synthesiser import CodedSynthesiser, SpokenPiece
from smallest_proto.synthesis.events import SegmentDone, SpeechEvent, SpokenSoFar

from .drivers import Driver
from .speaking import PROTOCOLS, ROADS, SPEAK, audio_of, heard, speaking, take

WHY = "this voice has no such letters"


class Choosy(CodedSynthesiser):
    """A voice that speaks Latin letters alone."""

    def speak(self, text: str, *, sample_rate: int, speed: float = 1.0) -> Iterator[SpokenPiece]:
        if not text.isascii():
            raise ConfigurationError(WHY)
        return super().speak(text, sample_rate=sample_rate, speed=speed)


@PROTOCOLS
@pytest.mark.parametrize("text", ["Привет, Миша.", "안녕하세요"])
async def test_what_the_voice_cannot_say_is_raised_in_the_services_words(
    transport: Driver, config: SynthesisConfig, text: str
) -> None:
    with speaking(synthesiser=Choosy) as url:
        async with transport.client(url) as client, client.stream_synthesis(config) as stream:
            await stream.send_text(text)
            await stream.end_input()
            with pytest.raises(ServiceError, match=WHY) as raised:
                async for _ in stream:
                    pass
            assert text not in repr(raised.value)
            assert [event async for event in stream] == [], "it is raised once"


@PROTOCOLS
async def test_the_rest_is_spoken_first(transport: Driver, config: SynthesisConfig) -> None:
    events: list[SpeechEvent] = []
    with speaking(synthesiser=Choosy) as url:
        async with transport.client(url) as client, client.stream_synthesis(config) as stream:
            for text in ("w1 w2.", "Ой.", "w3."):
                await stream.send_text(text)
                await stream.flush()
            await stream.end_input()
            with pytest.raises(ServiceError, match=WHY):
                await take(stream, events)
    assert [heard(audio_of(events, number)) for number in range(3)] == ["w1 w2", "", "w3"]


@PROTOCOLS
async def test_unless_told_otherwise(transport: Driver, config: SynthesisConfig) -> None:
    with speaking(synthesiser=Choosy) as url:
        async with transport.client(url) as client, client.stream_synthesis(config, strict=False) as stream:
            for text in ("Ой.", "👋"):
                await stream.send_text(text)
                await stream.flush()
            await stream.end_input()
            cuts = [event for event in [event async for event in stream] if isinstance(event, SpokenSoFar)]
    assert [(cut.segment, cut.unspoken) for cut in cuts] == [(0, "Ой."), (1, "👋")]


@PROTOCOLS
@pytest.mark.parametrize("text", ["🥳", " 🇫🇮 … ☂️!"])
async def test_an_emoji_alone(transport: Driver, config: SynthesisConfig, text: str) -> None:
    with speaking() as url:
        async with transport.client(url) as client:
            with pytest.raises(ConfigurationError, match="nothing that can be said"):
                client.synthesize(text, config)
            async with client.stream_synthesis(config) as stream:
                await stream.send_text(text)
                await stream.end_input()
                with pytest.raises(ServiceError, match="nothing that can be said"):
                    async for _ in stream:
                        pass
            async with client.stream_synthesis(config) as stream:
                await stream.send_text(f"w1 {text} w2")
                await stream.end_input()
                events = [event async for event in stream]
    assert heard(audio_of(events)) == "w1 w2"
    assert isinstance(events[-1], SegmentDone)


@ROADS
@pytest.mark.parametrize("text", ["Ça va ?", "مرحبا"])
async def test_a_whole_text_that_the_voice_cannot_say(transport: Driver, sse: bool, text: str) -> None:
    with speaking(synthesiser=Choosy) as url:
        async with transport.client(url) as client:
            with pytest.raises(StatusError, match=rf"HTTP 400: wrong: text \(custom\); {WHY}"):
                await client.synthesize(text, SPEAK, sse=sse).read()
