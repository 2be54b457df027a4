"""Calls and talks in virtual time for the tests of the sessions."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from smallest_proto.commands import AbortLink, CloseLink, OpenLink, SendPing, SendText
from smallest_proto.config import Endpoint, SynthesisConfig, TranscriptionConfig
from smallest_proto.errors import ConfigurationError, Failure, FailureKind
from smallest_proto.events import SessionEnded
from smallest_proto.reading import Word
from smallest_proto.server.recogniser import CodedRecogniser, CodedSpeech, Heard
from smallest_proto.server.requests import SynthesisSocketRequest
from smallest_proto.server.synthesis import GoOn, Speak, SynthesisService
from smallest_proto.server.synthesiser import CodedSynthesiser, SpokenPiece
from smallest_proto.server.transcription import Close, Reply
from smallest_proto.synthesis.events import AudioChunk
from smallest_proto.synthesis.session import SynthesisSession
from smallest_proto.transcription.events import AudioLost, Event, FinalTranscript, SpeechEnded, SpeechStarted
from smallest_proto.transcription.session import TranscriptionSession
from smallest_transports.memory import MemoryCall, MemoryLink, MemoryNetwork


class Recording(MemoryCall):
    """A call that keeps what it sends: by link, the virtual time of each message and the message."""

    def __init__(self, session: TranscriptionSession, network: MemoryNetwork) -> None:
        super().__init__(session, network)
        self.sent: dict[int, list[tuple[float, str | bytes]]] = {}
        planned, network.on_link = network.on_link, self._opened
        self._planned = planned

    def _opened(self, link: MemoryLink) -> None:
        sent, send = self.sent.setdefault(link.number, []), link.send

        def record(data: str | bytes) -> None:
            sent.append((self.network.clock.now, data))
            send(data)

        link.send = record  # type: ignore[method-assign]
        if self._planned is not None:
            self._planned(link)

    def audio(self, link: int) -> bytes:
        """All the audio that ``link`` was sent."""
        return b"".join(data for _, data in self.sent[link] if isinstance(data, bytes))

    def margin(self, link: int, pcm: bytes, watermark: int) -> float:
        """Seconds before the sample ``watermark`` of ``pcm`` at which ``link`` began; it was sent all from there on."""
        audio = self.audio(link)
        assert pcm.endswith(audio)
        return (watermark - (len(pcm) - len(audio)) // 2) / 16000

    def texts(self, link: int) -> list[tuple[float, str]]:
        """The text messages that ``link`` was sent."""
        return [(time, data) for time, data in self.sent[link] if isinstance(data, str)]

    def of(self, kind: type[Event]) -> list[Any]:
        """The events of one kind, without their times."""
        return [event for _, event in self.events if isinstance(event, kind)]

    def when(self, kind: type[Event]) -> list[float]:
        """The virtual times of the events of one kind."""
        return [time for time, event in self.events if isinstance(event, kind)]

    @property
    def text(self) -> str:
        """What the finals say, all together; one that words follow ends in a blank."""
        return " ".join(word for final in self.of(FinalTranscript) for word in final.text.split())

    @property
    def words(self) -> list[Word]:
        return [word for final in self.of(FinalTranscript) for word in final.words]

    @property
    def end(self) -> SessionEnded:
        _, end = self.events[-1]
        assert isinstance(end, SessionEnded)
        return end

    def assert_whole(self, *parts: CodedSpeech) -> None:
        """Every word was heard once, in order, at its time to the sample; nothing was given up; turns are paired."""
        expected, origin = [], 0.0
        for part in parts:
            rate = part.sample_rate
            expected += [(w.text, origin + w.start / rate, origin + w.end / rate) for w in part.words]
            origin += part.seconds
        assert self.text == " ".join(text for text, _, _ in expected)
        got: list[Any] = [(word.text, word.start, word.end) for word in self.words]
        assert got == [(text, pytest.approx(s, abs=1e-9), pytest.approx(e, abs=1e-9)) for text, s, e in expected]
        assert self.of(AudioLost) == []
        marks = [event for _, event in self.events if isinstance(event, (SpeechStarted, SpeechEnded))]
        assert all(isinstance(mark, SpeechEnded) == at % 2 for at, mark in enumerate(marks))
        assert len(marks) % 2 == 0


class Calls:
    """Makes calls."""

    @staticmethod
    def make(
        network: MemoryNetwork | None = None, *, route: Any = "unified", session: Any = None, **options: Any
    ) -> Any:
        """A call; ``session``: what the session is made with, ``options``: its configuration."""
        endpoint = Endpoint(api_key="the-key", base_url="http://localhost", route=route)
        made = TranscriptionSession(TranscriptionConfig(**options), endpoint, **(session or {}))
        return Recording(made, network or MemoryNetwork())


@pytest.fixture
def calls() -> type[Calls]:
    return Calls


class Speaker:
    """The far end of one link of a synthesis: the service, its voice, and what is on its way from it."""

    def __init__(self, number: int) -> None:
        self.state = "opening"  # then open, closing, gone
        self.told: list[dict[str, Any]] = []  # what the client said
        self.under_way: deque[Reply | Close] = deque()  # said by the service, not yet here
        self.service = SynthesisService(SynthesisSocketRequest(), f"session-{number}")
        self.service.start(0.0)
        self._speech: Iterator[SpokenPiece] = iter(())

    def tell(self, text: str, now: float) -> None:
        self.told.append(json.loads(text))
        self.service.message_received(text, now)

    def say(self, count: int, now: float) -> None:
        """Let the service say so many things, which arrive later."""
        for _ in range(count):
            if (said := self._speak(now)) is None:
                break
            self.under_way.append(said)

    def next(self, now: float) -> Reply | Close | None:
        """The next thing that arrives, if the service has something to say."""
        return self.under_way.popleft() if self.under_way else self._speak(now)

    def _speak(self, now: float) -> Reply | Close | None:
        while (command := self.service.poll_output()) is not None:
            if isinstance(command, Speak):
                try:
                    voice = CodedSynthesiser()
                    self._speech = voice.speak(
                        command.text, sample_rate=command.options.sample_rate, speed=command.speed
                    )
                except ConfigurationError as error:
                    self.service.failed(str(error), now)
                    continue
                self.service.spoken(next(self._speech, None), now)
            elif isinstance(command, GoOn):
                self.service.spoken(next(self._speech, None), now)
            else:
                return command
        return None

    @property
    def text(self) -> str:
        """All the text that the client sent."""
        return "".join(message["text"] for message in self.told)


class Talk:
    """A synthesis session, its links to a service, and the time. By itself nothing goes wrong."""

    def __init__(self, *, resume: bool = False, session: Any = None, **options: Any) -> None:
        endpoint = Endpoint(api_key="the-key", base_url="http://localhost")
        config = SynthesisConfig(**{"sample_rate": 8000, **options})
        self.session = SynthesisSession(config, endpoint, resume=resume, **(session or {}))
        self.config = config
        self.now = 100.0
        self.speakers: dict[int, Speaker] = {}
        self.outputs: list[Any] = []
        self.inputs: list[tuple[Any, ...]] = []
        self.opens = True  # links open as soon as they are asked for
        self.says_goodbye = True  # the service answers a close at once
        self.words = "told"  # or "untold", or "strange": what the service says of the times of words
        self.names = True  # the service says which request and which context a message is about
        self.completes = 1  # how often the next complete arrives

    def tell(self, name: str, *arguments: Any) -> list[Any]:
        """Tell the session something; return what it put out."""
        self.inputs.append((name, *arguments, self.now))
        getattr(self.session, name)(*arguments, self.now)
        return self.settle()

    def settle(self) -> list[Any]:
        start = len(self.outputs)
        while (output := self.session.poll_output()) is not None:
            self.outputs.append(output)
            if isinstance(output, OpenLink):
                self.speakers[output.link] = Speaker(output.link)
                if self.opens:
                    self.open(output.link)
            elif isinstance(output, SendText):
                speaker = self.speakers[output.link]
                assert speaker.state == "open"
                speaker.tell(output.text, self.now)
                self.tell("write_done", output.link)
            elif isinstance(output, SendPing):
                self.tell("pong_received", output.link)
            elif isinstance(output, CloseLink):
                self.speakers[output.link].state = "closing"
                if self.says_goodbye:
                    self.speakers[output.link].state = "gone"
                    self.tell("link_closed", output.link, output.code, "")
            elif isinstance(output, AbortLink):
                self.speakers[output.link].state = "gone"
        return self.outputs[start:]

    @property
    def link(self) -> int:
        """The newest link."""
        return max(self.speakers)

    @property
    def speaker(self) -> Speaker:
        return self.speakers[self.link]

    def open(self, link: int) -> None:
        self.speakers[link].state = "open"
        self.tell("link_opened", link)

    def say(self, text: str, *, flush: bool = True) -> None:
        """Give a segment, or a part of one."""
        self.tell("send_text", text)
        if flush:
            self.tell("flush")

    def deliver(self, count: int = 1_000_000) -> int:
        """Let so many messages of the service arrive; return how many did."""
        arrived = 0
        while arrived < count:
            link = self.link
            speaker = self.speakers[link]
            reply = speaker.next(self.now) if speaker.state == "open" else None
            if reply is None:
                break
            arrived += 1
            if isinstance(reply, Close):
                speaker.state = "gone"
                self.tell("link_closed", link, reply.code, reply.reason)
            else:
                self.receive(link, reply.text)
        return arrived

    def receive(self, link: int, text: str) -> None:
        """A message of the service arrives, unless it is a word time that this voice does not have."""
        message = json.loads(text)
        times = 1
        if message["status"] == "complete":
            times, self.completes = self.completes, 1
        elif message["status"] == "word_timestamp" and self.words != "told":
            message["data"]["word"] = "strange"
            times = self.words == "strange"
        if not self.names:
            message = {name: value for name, value in message.items() if name not in ("request_id", "context_id")}
        for _ in range(times):
            if self.speakers[link].state == "open":
                self.hear(link, **message)

    def hear(self, link: int | None = None, **message: Any) -> list[Any]:
        """The service says something of its own."""
        return self.tell("message_received", link or self.link, json.dumps(message))

    def lose(self, failure: Failure | None = None) -> None:
        """The newest link is lost."""
        self.speaker.state = "gone"
        lost = Failure(kind=FailureKind.DISCONNECTED, reason="lost", code=1006)
        self.tell("link_failed", self.link, failure or lost)

    def ring(self) -> None:
        """Let time pass until the session wants to be woken."""
        when = self.session.get_timer()
        assert when is not None
        self.now = max(self.now, when)
        for speaker in self.speakers.values():
            if speaker.state == "open":
                speaker.service.handle_timer(self.now)
        self.tell("handle_timer")

    def run(self) -> None:
        """Let everything happen until nothing is under way."""
        for _ in range(1000):
            if self.deliver() == 0:
                if self.session.idle and (self.session.warm or self.session.get_timer() is None):
                    return
                self.ring()
        raise AssertionError("the session does not come to rest")

    def end(self) -> SessionEnded:
        self.tell("end_input")
        for _ in range(1000):
            self.deliver()
            if self.session.ended:
                return self.outputs[-1]  # type: ignore[no-any-return]
            self.ring()
        raise AssertionError("the session does not end")

    def of(self, kind: type[Any]) -> list[Any]:
        return [output for output in self.outputs if isinstance(output, kind)]

    def audio(self, segment: int) -> bytes:
        """The audio of a segment; its chunks must follow each other without a gap."""
        position, audio = 0, b""
        for chunk in self.of(AudioChunk):
            if chunk.segment == segment:
                assert chunk.start == pytest.approx(position / self.config.sample_rate)
                assert len(chunk.data) == 2 * chunk.samples > 0
                position += chunk.samples
                audio += chunk.data
        return audio

    def heard(self, segment: int) -> str:
        """What is to be heard in the audio of a segment: ``w1 w2``; a word that is not whole begins with "?"."""
        recogniser = CodedRecogniser(TranscriptionConfig(sample_rate=8000))
        results = [*recogniser.hear(self.audio(segment)), *recogniser.finalize()]
        return " ".join(item.text for item in results if isinstance(item, Heard) and item.final and item.text)


@pytest.fixture
def talks() -> type[Talk]:
    return Talk
