"""Calls in virtual time for the tests of the session."""

from __future__ import annotations

from typing import Any

import pytest

from smallest_proto.config import Endpoint, TranscriptionConfig
from smallest_proto.events import AudioLost, Event, FinalTranscript, SessionEnded, SpeechEnded, SpeechStarted
from smallest_proto.messages import Word
from smallest_proto.recognition import CodedSpeech
from smallest_proto.transcription import TranscriptionSession
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
        """What the finals say, all together."""
        return " ".join(final.text for final in self.of(FinalTranscript) if final.text)

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
