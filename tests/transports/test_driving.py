"""``_driving`` and ``_common``: what all drivers share, without a socket and without a clock."""

from __future__ import annotations

import array
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.config import Endpoint, FileTranscriptionConfig, RetryPolicy, Timeouts, TranscriptionConfig
from smallest_proto.errors import ConfigurationError, DisconnectedError, Failure, FailureKind
from smallest_proto.events import EndReason, FinalTranscript, LinkOpened, SessionEnded
from smallest_proto.exchange import ExchangeFailed, FileTranscript, FileTranscription
from smallest_proto.requests import Request
from smallest_proto.transcription import TranscriptionSession
from smallest_transports import _wire as wire
from smallest_transports._common import PIECE_BYTES, check_size, pieces
from smallest_transports._driving import Driving

ENDPOINT = Endpoint(api_key="sk-very-secret", base_url="http://h/")
MESSAGE = bytes(1600)  # 50 ms


class FakeLink:
    """A connection that keeps what is written to it, for a server in the test."""

    def __init__(self, number: int, codec: Any) -> None:
        self.number = number
        self.wire = codec
        self.paused = False
        self.written: list[bytes] = []
        self.end: str | None = None
        self.server = wire.ServerConnection()

    def flush(self) -> bool:
        count = len(self.written)
        while not self.paused and (data := self.wire.data_to_send()):
            self.written.append(data)
        return len(self.written) > count

    def finish(self) -> None:
        self.flush()
        self.end = "finished"

    def abort(self) -> None:
        self.end = "aborted"

    def heard(self) -> list[Any]:
        """What the server understands of what was written since the last time."""
        data, self.written = b"".join(self.written), []
        return self.server.receive_data(data) if data else []


class FakeDriving(Driving):
    """A driver whose time stands still unless it is moved."""

    def __init__(self, machine: TranscriptionSession | FileTranscription) -> None:
        super().__init__(machine)
        self.time = 0.0
        self.made: list[FakeLink] = []
        self.done: list[int] = []

    def now(self) -> float:
        return self.time

    def open(self, number: int, request: Request, codec: wire.ClientWebSocket | wire.ClientExchange) -> FakeLink:
        self.made.append(FakeLink(number, codec))
        return self.made[-1]

    def wake_at(self, due: float | None) -> None:
        pass

    def changed(self) -> None:
        pass


def streaming() -> tuple[FakeDriving, FakeLink]:
    """A session whose link is open."""
    timeouts, retry = Timeouts(message_interval=0), RetryPolicy(max_retries=0)
    driving = FakeDriving(TranscriptionSession(TranscriptionConfig(), ENDPOINT, timeouts=timeouts, retry=retry))
    driving.tell(driving.machine.start)
    (link,) = driving.made
    assert isinstance(link.heard()[0], wire.RequestReceived)
    link.server.accept()
    driving.hear(link, link.server.data_to_send())
    assert isinstance(driving.outputs.popleft(), LinkOpened)
    return driving, link


def say(driving: FakeDriving, link: FakeLink, **message: Any) -> None:
    link.server.send_text(json.dumps(message))
    driving.hear(link, link.server.data_to_send())


class TestASession:
    def test_what_is_asked_together_is_written_together(self) -> None:
        driving, link = streaming()
        driving.tell(driving.machine.send_audio, MESSAGE * 9)
        assert len(link.written) == 1
        assert link.heard() == [wire.BinaryMessage(MESSAGE)] * 9

    def test_is_told_when_all_has_left(self) -> None:
        driving, link = streaming()
        told: list[int] = []
        driving.machine.write_done = lambda number, _: told.append(number)
        driving.tell(driving.machine.send_audio, MESSAGE)
        assert told == [link.number]
        link.paused = True
        driving.tell(driving.machine.send_audio, MESSAGE)
        driving.tell(driving.machine.finalize)
        assert told == [link.number]
        assert not driving.ready()
        link.paused = False
        driving.pump()
        assert told == [link.number] * 2
        assert driving.ready()
        assert len(link.heard()) == 3

    def test_goes_to_its_end(self) -> None:
        driving, link = streaming()
        driving.tell(driving.machine.end_input)
        say(driving, link, transcript="bye", is_final=True, is_last=True)
        assert wire.Closed(code=1000) in link.heard()
        driving.hear(link, link.server.data_to_send())
        assert driving.over()
        assert driving.links == {}
        assert link.end == "finished"
        assert isinstance(driving.outputs[-1], SessionEnded)
        driving.check()

    def test_a_link_that_is_given_up_finds_nobody(self) -> None:
        driving, link = streaming()
        driving.tell(driving.machine.abort)
        assert link.end == "aborted"
        last = driving.outputs[-1]
        say(driving, link, transcript="too late", is_final=True)
        driving.lose(link, Failure(kind=FailureKind.CONNECT, reason="too late"))
        assert driving.outputs[-1] is last
        assert last == SessionEnded(reason=EndReason.ABORTED)

    def test_what_follows_the_end_in_one_packet_finds_nobody(self) -> None:
        driving, link = streaming()
        link.server.send_text('{"type": "error", "message": "no"}')
        link.server.send_text('{"transcript": "after it", "is_final": true}')
        driving.hear(link, link.server.data_to_send())
        assert not [output for output in driving.outputs if isinstance(output, FinalTranscript)]

    def test_a_lost_link_is_let_go_and_told(self) -> None:
        driving, link = streaming()
        driving.hear(link, b"")
        assert driving.links == {}
        assert driving.ready()  # to find out
        with pytest.raises(DisconnectedError):
            driving.check()


class TestAnExchange:
    def exchange(self) -> tuple[FakeDriving, FakeLink]:
        driving = FakeDriving(FileTranscription(FileTranscriptionConfig(), ENDPOINT, audio=b"RIFF"))
        driving.tell(driving.machine.start)
        (link,) = driving.made
        (request,) = link.heard()
        assert request.body == b"RIFF"
        return driving, link

    def test_goes_to_its_end(self) -> None:
        driving, link = self.exchange()
        link.server.respond(200, (), b'{"transcription": "hello"}')
        driving.hear(link, link.server.data_to_send())
        assert list(driving.outputs) == [FileTranscript(text="hello")]
        assert link.end == "finished"
        assert driving.over()

    @pytest.mark.parametrize("whole", [True, False])
    def test_a_refusal_cut_short_is_one(self, whole: bool) -> None:
        driving, link = self.exchange()
        link.server.respond(401, (), b'{"error": "no"}')
        data = link.server.data_to_send()
        driving.hear(link, data if whole else data[:-1])
        driving.hear(link, b"")
        (outcome,) = driving.outputs
        assert isinstance(outcome, ExchangeFailed)
        assert outcome.failure.status == 401
        assert driving.links == {}

    def test_is_aborted(self) -> None:
        driving, link = self.exchange()
        driving.tell(driving.machine.abort)
        assert link.end == "aborted"
        assert isinstance(driving.outputs[-1], ExchangeFailed)


class TestPieces:
    @given(st.integers(0, 3 * PIECE_BYTES), st.sampled_from("bhi"))
    def test_are_the_audio(self, items: int, kind: str) -> None:
        audio = array.array(kind, bytes(range(256)) * (items // 256 + 1))
        cut = list(pieces(audio))
        assert b"".join(bytes(memoryview(piece)) for piece in cut) == audio.tobytes()
        assert max(memoryview(piece).nbytes for piece in cut) <= PIECE_BYTES
        assert {memoryview(piece).itemsize for piece in cut} == {audio.itemsize}

    def test_a_short_one_is_what_was_given(self) -> None:
        assert next(iter(pieces(MESSAGE))) is MESSAGE

    def test_what_is_no_audio_is_for_the_session_to_refuse(self) -> None:
        text: Any = "text"
        assert list(pieces(text)) == [text]


@pytest.mark.parametrize(("size", "wrong"), [(0, "empty"), (1, None), (250_000_000, None), (250_000_001, "250 MB")])
def test_sizes(size: int, wrong: str | None) -> None:
    if wrong is None:
        check_size("a.wav", size)
    else:
        with pytest.raises(ConfigurationError, match=f"a.wav is .*{wrong}"):
            check_size("a.wav", size)
