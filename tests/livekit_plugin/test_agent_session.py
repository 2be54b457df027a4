"""A real ``AgentSession`` without a room: a person speaks, the agent answers, whatever the network does meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from jiwer import wer
from livekit import rtc
from livekit.agents import Agent, AgentSession, llm, stt, tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities
from livekit.plugins import smallest_proto

from smallest_transports.local.server import LocalServer
from smallest_transports.local.synthesiser import synthesiser

from .stage import KEY, RATE, frames

SENTENCE = "Please call me back on Tuesday morning."
OBJECTION = "No, I have changed my mind about that."
REPLY = "Certainly, I will."


class Echo(llm.LLM):
    """Keeps what the user said, and says the same to all of it; after ``rambling`` it goes on for ever, once."""

    def __init__(self, rambling: str = "") -> None:
        super().__init__()
        self.asked: list[str] = []
        self.rambling = rambling

    def chat(self, *, chat_ctx: llm.ChatContext, tools: Any = None, **options: Any) -> llm.LLMStream:
        connecting = options.get("conn_options", DEFAULT_API_CONNECT_OPTIONS)
        return _EchoStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=connecting)


class _EchoStream(llm.LLMStream):
    async def _run(self) -> None:
        assert isinstance(self._llm, Echo)
        said = [
            item.text_content or "" for item in self._chat_ctx.items if item.type == "message" and item.role == "user"
        ]
        self._llm.asked.append(said[-1])
        rambling, self._llm.rambling = self._llm.rambling, ""
        for token in (rambling or REPLY).split(" "):
            delta = llm.ChoiceDelta(role="assistant", content=f"{token} ")
            self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))
        if rambling:
            await asyncio.Event().wait()


class Caller(AudioInput):
    """Says what it is given, then is silent, until it is given more."""

    def __init__(self, pcm: bytes) -> None:
        super().__init__(label="caller")
        self._frames = frames(pcm, milliseconds=20)
        self._more = asyncio.Event()

    def say(self, pcm: bytes) -> None:
        self._frames = frames(pcm, milliseconds=20)
        self._more.set()

    async def __anext__(self) -> rtc.AudioFrame:
        await asyncio.sleep(0)
        while (frame := next(self._frames, None)) is None:
            self._more.clear()
            await self._more.wait()
        return frame


class Loudspeaker(AudioOutput):
    """Plays what the agent says, at once when it is whole; the first ``endless`` times it plays until it is stopped."""

    def __init__(self, endless: int = 0) -> None:
        super().__init__(label="loudspeaker", capabilities=AudioOutputCapabilities(pause=False))
        self.frames: list[rtc.AudioFrame] = []
        self.speaking = asyncio.Event()
        self.played = asyncio.Event()
        self.interruptions = 0
        self._endless = endless

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        self.frames.append(frame)
        self.speaking.set()

    def flush(self) -> None:
        super().flush()
        if self.frames and self.interruptions == self._endless:
            self.played.set()
            seconds = sum(frame.duration for frame in self.frames)
            self.on_playback_finished(playback_position=seconds, interrupted=False)

    def clear_buffer(self) -> None:
        if self.frames and self.interruptions < self._endless:
            self.interruptions += 1
            self.frames.clear()
            self.on_playback_finished(playback_position=0.1, interrupted=True)


def spoken(text: str) -> bytes:
    """A sentence by a synthetic voice, with silence around it."""
    (speech,) = synthesiser().speak(text, sample_rate=RATE)
    return bytes(2 * RATE) + speech.pcm + bytes(2 * 2 * RATE)


def conversation(ears: stt.STT[Any], mind: llm.LLM, mouth: tts.TTS[Any], **options: Any) -> AgentSession[None]:
    """A session whose turns are those that the ears tell."""
    return AgentSession(
        stt=ears,
        llm=mind,
        tts=mouth,
        vad=None,
        turn_handling={"turn_detection": "stt"},
        user_away_timeout=None,
        **options,
    )


@pytest.fixture(scope="module")
def sentence() -> bytes:
    pcm = spoken(SENTENCE)
    assert len(pcm) > 2 * RATE * (2.5 + 2)  # else links that break after 2 s do not break in the middle of it
    return pcm


@pytest.mark.parametrize("faults", [[], ["drop@2"], ["drop@2", "refuse:503", "close:1011@2"]], ids=str)
async def test_a_conversation(sentence: bytes, faults: list[str]) -> None:
    """The LLM is asked the whole sentence, and its reply is to be heard: what was spoken is recognised again."""
    async with (
        LocalServer(faults=faults, max_live=8) as server,
        LocalServer() as voices,
        aiohttp.ClientSession() as http,
        smallest_proto.STT(api_key=KEY, base_url=server.base_url, http_session=http) as ears,
        smallest_proto.TTS(api_key=KEY, base_url=voices.base_url, http_session=http) as mouth,
    ):
        errors: list[Any] = []
        ears.on("error", errors.append)
        mind, loudspeaker = Echo(), Loudspeaker()
        session = conversation(ears, mind, mouth)
        session.input.audio = Caller(sentence)
        session.output.audio = loudspeaker
        await session.start(Agent(instructions="Be kind."))
        await loudspeaker.played.wait()
        await session.aclose()
        assert server.faults_left == ()
        assert [error.recoverable for error in errors] == [True] * len(faults)
        reply = await ears.recognize(loudspeaker.frames)
    assert len(mind.asked) == 1
    assert wer(plain(SENTENCE), plain(mind.asked[0])) < 0.2
    assert plain(reply.alternatives[0].text) == plain(REPLY)


@pytest.mark.parametrize("continuations", [False, True])
async def test_who_is_interrupted_falls_silent_and_answers_over_the_same_connection(
    sentence: bytes, continuations: bool
) -> None:
    """The caller speaks while the agent does; the LLM is asked that too, and its reply is heard and written down."""
    metrics: list[Any] = []
    async with (
        LocalServer(max_live=8) as server,
        aiohttp.ClientSession() as http,
        smallest_proto.STT(api_key=KEY, base_url=server.base_url, http_session=http) as ears,
        smallest_proto.TTS(
            api_key=KEY,
            base_url=server.base_url,
            http_session=http,
            use_continuations=continuations,
            max_buffer_flush_ms=100,
            word_timestamps=True,
        ) as mouth,
    ):
        mouth.on("metrics_collected", metrics.append)
        mind, loudspeaker, caller = Echo("Well, that depends. " * 8), Loudspeaker(endless=1), Caller(sentence)
        session = conversation(ears, mind, mouth, use_tts_aligned_transcript=True)
        session.input.audio, session.output.audio = caller, loudspeaker
        await session.start(Agent(instructions="Be kind."))
        await loudspeaker.speaking.wait()
        caller.say(spoken(OBJECTION))
        await loudspeaker.played.wait()
        await session.aclose()
        reply = await ears.recognize(loudspeaker.frames)
    assert loudspeaker.interruptions == 1
    assert [plain(text) for text in mind.asked][1:] == [plain(OBJECTION)]
    assert plain(reply.alternatives[0].text) == plain(REPLY)
    assert [metric.connection_reused for metric in metrics] == [True]  # that of the reply
    assert [item.text_content for item in session.history.items if item.type == "message"][-1] == REPLY


def plain(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalpha() or letter == " ")
