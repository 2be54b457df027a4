"""``_driver`` and ``_client``: what all drivers share, without a socket and without a clock."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Callable, Coroutine
from os import PathLike
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.audio import AudioFormat
from smallest_proto.config import FileTranscriptionConfig, RetryPolicy, Timeouts
from smallest_proto.errors import ConfigurationError, DisconnectedError, Failure, FailureKind, LocalProtocolError
from smallest_proto.events import EndReason, LinkLost, LinkOpened, SessionEnded
from smallest_proto.http.exchange import ExchangeFailed
from smallest_proto.http.files import FileTranscript, FileTranscription
from smallest_proto.transcription.events import FinalTranscript
from smallest_proto.transcription.session import TranscriptionSession
from smallest_transports import _wire as wire
from smallest_transports._client import Client
from smallest_transports._live import PIECE_BYTES, pieces
from smallest_transports._world import World, check_size

from .fakes import ENDPOINT, MESSAGE, FakeLink, LoneDriver, say, streaming


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
        driving.pump(driving.now())
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
        driving.tell(driving.machine.end_input)
        link.server.send_text('{"transcript": "the end", "is_final": true, "is_last": true}')
        link.server.send_text('{"transcript": "after it", "is_final": true}')
        driving.hear(link, link.server.data_to_send())
        assert [output.text for output in driving.outputs if isinstance(output, FinalTranscript)] == ["the end"]

    def test_a_lost_link_is_let_go_and_told(self) -> None:
        driving, link = streaming()
        driving.hear(link, b"")
        assert driving.links == {}
        assert driving.ready()  # to find out
        with pytest.raises(DisconnectedError):
            driving.check()


class TestAnExchange:
    def exchange(self) -> tuple[LoneDriver, FakeLink]:
        driving = LoneDriver(FileTranscription(FileTranscriptionConfig(), ENDPOINT, audio=b"RIFF"))
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
    @given(st.integers(0, 3 * PIECE_BYTES), st.sampled_from("bh"), st.sampled_from(("flat", "column", "row", "other")))
    def test_are_the_audio(self, items: int, kind: str, shape: str) -> None:
        audio: Any = np.frombuffer(bytes(range(256)) * (items // 256 + 1), kind)
        audio = {"flat": audio, "column": audio[:, None], "row": audio[None], "other": audio[::2]}[shape]
        cut = list(pieces(audio, AudioFormat()))
        assert b"".join(cut) == audio.tobytes()
        assert max(map(len, cut)) <= PIECE_BYTES

    def test_nothing_is_one_piece_of_nothing(self) -> None:
        nothing: Any = np.zeros((0, 1), np.int16)
        assert list(pieces(nothing, AudioFormat())) == [b""]

    def test_what_is_no_audio_is_refused_before_a_part_of_it_is_given(self) -> None:
        for audio in ("text", np.zeros((PIECE_BYTES, 2), np.int16), np.zeros(PIECE_BYTES, np.float32)):
            with pytest.raises(LocalProtocolError):
                next(pieces(audio, AudioFormat()))  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "wrong"), [(0, "empty"), (1, None), (250_000_000, None), (250_000_001, "250 MB")])
def test_sizes(size: int, wrong: str | None) -> None:
    if wrong is None:
        check_size("a.wav", size)
    else:
        with pytest.raises(ConfigurationError, match=f"a.wav is .*{wrong}"):
            check_size("a.wav", size)


class FakeDriver(LoneDriver):
    """A whole driver without a framework: whoever waits for it lets the service speak."""

    made_drivers: ClassVar[list[FakeDriver]] = []

    def __init__(self, machine: TranscriptionSession | FileTranscription, world: Any = None) -> None:
        super().__init__(machine, world)
        self.audio = b""
        self.waits = self.closed = 0
        self.made_drivers.append(self)

    @staticmethod
    async def read_file(path: str | PathLike[str]) -> bytes:
        return f"read from {path}".encode()

    async def until_ready(self) -> None:
        self.waits += 1

    async def next(self) -> Any:
        while not self.outputs and not self.over():
            for link in self.made:
                for event in link.heard():
                    self.answer(link.server, event)
                if data := link.server.data_to_send():
                    self.hear(link, data)
        return self.outputs.popleft() if self.outputs else None

    async def close(self) -> None:
        self.closed += 1
        self.tell(self.machine.abort)

    def answer(self, server: wire.ServerConnection, event: Any) -> None:
        match event:
            case wire.RequestReceived(websocket=True):
                server.accept()
            case wire.RequestReceived(body=body):
                server.respond(200, (), json.dumps({"transcription": body.decode()}).encode())
            case wire.BinaryMessage(data=data):
                self.audio += data
            case wire.TextMessage(text='{"type":"close_stream"}'):
                server.send_text('{"transcript": "bye", "is_final": true, "is_last": true}')


class FakeWorld(World):
    """A world of our own making."""

    environment: ClassVar[dict[str, str]] = {}
    inside = 0

    @staticmethod
    def getenv(name: str, /) -> str | None:
        return FakeWorld.environment.get(name)

    @staticmethod
    def jitter() -> float:
        return 0.5

    async def __aenter__(self) -> FakeWorld:
        self.inside += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.inside -= 1


class FakeClient(Client):
    """A client of no framework."""

    _driver = FakeDriver
    _world_of = FakeWorld


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run what awaits nothing but its driver to its end: anything of a framework would come out here."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it awaits something that no driver gave")


class TestTheClient:
    @pytest.fixture
    def run(self) -> Callable[[Callable[[], Coroutine[Any, Any, None]]], None]:
        return lambda test: finish(test())

    @pytest.fixture(autouse=True)
    def drivers(self, monkeypatch: pytest.MonkeyPatch) -> list[FakeDriver]:
        drivers: list[FakeDriver] = []
        monkeypatch.setattr(FakeDriver, "made_drivers", drivers)
        monkeypatch.setattr(FakeWorld, "environment", {"SMALLEST_API_KEY": "sk-very-secret"})
        return drivers

    async def test_streams(self, drivers: list[FakeDriver]) -> None:
        audio = bytes(range(256)) * 300  # more than a piece
        timeouts = Timeouts(message_interval=0)
        async with (
            FakeClient(base_url="http://h/", timeouts=timeouts) as client,
            client.stream_transcription() as stream,
        ):
            assert isinstance(await stream.__anext__(), LinkOpened)
            await stream.send_audio(audio)
            await stream.end_input()
            events = [event async for event in stream]
        assert events[-1] == SessionEnded(reason=EndReason.COMPLETED)
        (driver,) = drivers
        assert driver.audio == audio
        assert driver.waits == 2
        assert driver.closed == 1

    async def test_transcribes_what_its_driver_reads(self, drivers: list[FakeDriver]) -> None:
        client = FakeClient(base_url="http://h/")
        assert (await client.transcribe("a.wav")).text == "read from a.wav"
        assert (await client.transcribe(b"given")).text == "given"
        assert [driver.closed for driver in drivers] == [1, 1]

    async def test_closes_what_is_left_by_an_error(self, drivers: list[FakeDriver]) -> None:
        with pytest.raises(KeyError, match="mine"):
            async with FakeClient(base_url="http://h/").stream_transcription():
                raise KeyError("mine")
        assert drivers[0].closed == 1

    async def test_closes_what_is_under_way(self, drivers: list[FakeDriver]) -> None:
        client = FakeClient(base_url="http://h/")
        await client.stream_transcription().__aenter__()
        await client.stream_transcription().__aenter__()
        await client.__aexit__(None, None, None)
        assert [driver.closed for driver in drivers] == [1, 1]
        assert all(driver.over() for driver in drivers)

    async def test_asks_its_driver_for_what_is_of_the_world(self, drivers: list[FakeDriver]) -> None:
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for url, context in (("https://h/", None), ("WSS://h/", None), ("http://h/", None), ("https://h/", own)):
            async with FakeClient(base_url=url, ssl_context=context).stream_transcription():
                pass
        contexts = [driver.world.ssl_context for driver in drivers]
        assert contexts[2:] == [None, own]
        assert [context.verify_mode for context in contexts[:2]] == [ssl.CERT_REQUIRED] * 2
        (header,) = {dict(driver.made[0].heard()[0].headers)["authorization"] for driver in drivers}
        assert header == "Bearer sk-very-secret"
        FakeWorld.environment.clear()
        with pytest.raises(ConfigurationError, match="SMALLEST_API_KEY"):
            FakeClient()

    async def test_waits_before_the_next_try_as_long_as_its_driver_says(self, drivers: list[FakeDriver]) -> None:
        retry = RetryPolicy(first_delay=8, longest_delay=8)
        async with FakeClient(base_url="http://h/", retry=retry).stream_transcription() as stream:
            (driver,) = drivers
            driver.lose(driver.made[0], Failure(kind=FailureKind.CONNECT, reason="nobody listens"))
            assert isinstance(lost := await stream.__anext__(), LinkLost)
            assert lost.retry_in == 4.0

    def test_loads_no_framework(self) -> None:
        code = "import sys, smallest_transports._client; print(*sys.modules)"
        done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
        loaded = done.stdout.split()
        assert "smallest_transports._client" in loaded
        assert {"asyncio", "trio", "anyio", "aiohttp", "sniffio"}.intersection(loaded) == set()
