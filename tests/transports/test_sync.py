"""The client with nothing to await, against the local server in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from smallest_proto.config import TranscriptionConfig
from smallest_proto.errors import ConfigurationError, ConnectError, LocalProtocolError, StatusError
from smallest_proto.events import EndReason, LinkOpened, SessionEnded
from smallest_proto.metrics import LinkMetrics
from smallest_proto.server.recogniser import CodedRecogniser, coded_speech
from smallest_proto.server.synthesiser import CodedSynthesiser
from smallest_proto.synthesis.events import AudioChunk, SegmentDone
from smallest_proto.transcription.events import Event, FinalTranscript
from smallest_proto.transcription.metrics import FinalMetrics
from smallest_transports import sync
from smallest_transports.local.server import LocalServer
from smallest_transports.local.threaded import serve_in_thread
from smallest_transports.sync import Client, TranscriptionStream
from smallest_transports.testing.conformance.drivers import FAST, KEY, ONCE, PCM

SPEECH = coded_speech([1, 2, 3, 1.0, 4, 5, 6, 1.0])


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve_in_thread(LocalServer(recogniser=CodedRecogniser, synthesiser=CodedSynthesiser)) as server:
        yield server.base_url


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A listener that takes connections, reads nothing and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def url_of(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No thread of a client's stays, and no socket: that would be a ResourceWarning, which is an error."""
    yield
    assert [thread for thread in threading.enumerate() if thread.name == "smallest-proto"] == []
    gc.collect()


def pieces(pcm: bytes) -> Iterator[bytes]:
    return (pcm[at : at + 1600] for at in range(0, len(pcm), 1600))


def words(events: Any) -> str:
    return " ".join(event.text for event in events if isinstance(event, FinalTranscript) and event.text)


class TestStreams:
    def test_audio_goes_out_and_events_come_back(self, url: str) -> None:
        with (
            Client(api_key=KEY, base_url=url, timeouts=FAST) as client,
            client.stream_transcription(TranscriptionConfig(language="en")) as stream,
        ):
            stream.send_audio(SPEECH.pcm)
            stream.finalize()
            stream.update(TranscriptionConfig(language="hi"))
            stream.end_input()
            events = list(stream)
            assert list(stream) == []
            assert stream.stats.seconds_given == len(SPEECH.pcm) / 32000
        assert isinstance(events[0], LinkOpened)
        assert words(events) == SPEECH.text
        assert events[-1] == SessionEnded(reason=EndReason.COMPLETED)

    def test_its_links_and_finals_are_measured(self, url: str) -> None:
        told: list[LinkMetrics | FinalMetrics] = []
        with (
            Client(api_key=KEY, base_url=url, on_metrics=told.append) as client,
            client.stream_transcription() as stream,
        ):
            stream.send_audio(SPEECH.pcm)
            stream.end_input()
            finals = [FinalMetrics.of(event) for event in stream if isinstance(event, FinalTranscript)]
        assert told[:-1] == finals
        assert isinstance(told[-1], LinkMetrics)

    def test_an_iterable_of_audio_becomes_events(self, url: str) -> None:
        with Client(api_key=KEY, base_url=url, timeouts=FAST) as client:
            events = list(client.transcribe_live(pieces(SPEECH.pcm)))
        assert words(events) == SPEECH.text
        assert events[-1] == SessionEnded(reason=EndReason.COMPLETED)

    def test_events_come_while_there_is_audio_to_come(self, url: str) -> None:
        taken = 0

        def microphone() -> Iterator[bytes]:
            nonlocal taken
            while True:
                for piece in pieces(SPEECH.pcm):
                    taken += 1
                    yield piece

        with Client(api_key=KEY, base_url=url, timeouts=FAST) as client:
            live = client.transcribe_live(microphone())
            heard = next(event for event in live if isinstance(event, FinalTranscript))
            assert heard.text == "w1 w2 w3"
            asked = taken
            live.close()  # type: ignore[attr-defined]
            assert taken == asked

    def test_what_the_iterable_raises_comes_out_as_it_is(self, url: str) -> None:
        def broken() -> Iterator[bytes]:
            yield PCM
            raise KeyError("mine")

        with Client(api_key=KEY, base_url=url) as client:
            with pytest.raises(KeyError, match="mine"):
                list(client.transcribe_live(broken()))
            with pytest.raises(LocalProtocolError, match="bytes-like"):
                list(client.transcribe_live(["text"]))  # type: ignore[list-item]

    def test_a_failed_session_tells_its_end_and_then_raises(self) -> None:
        with (
            serve_in_thread(LocalServer(recogniser=CodedRecogniser, faults=["refuse:401"])) as server,
            Client(api_key=KEY, base_url=server.base_url, retry=ONCE) as client,
        ):
            events: list[Event] = []
            live = client.transcribe_live(PCM for _ in iter(int, 1))  # audio without end
            with pytest.raises(StatusError) as raised:
                events.extend(live)
            assert isinstance(events[-1], SessionEnded)
            assert events[-1].reason is EndReason.FAILED
        shown = "".join(traceback.format_exception(raised.value))
        assert KEY not in shown
        assert raised.value.__context__ is None

    def test_send_audio_waits_for_a_server_that_does_not_read(self, silent: socket.socket) -> None:
        given = []

        def speak(stream: TranscriptionStream) -> None:
            for _ in range(100):
                stream.send_audio(PCM)
                given.append(1)

        with ThreadPoolExecutor() as pool, Client(api_key=KEY, base_url=url_of(silent)) as client:
            with client.stream_transcription() as stream:
                speaking = pool.submit(speak, stream)
                with contextlib.closing(silent.accept()[0]):
                    still = 0
                    while still < 200:  # turns of the loop in which nothing more was taken
                        before = len(given)
                        assert stream.waiting() == []
                        still = still + 1 if len(given) == before > 0 else 0
                    assert len(given) <= 30  # s that may be held
                    assert not speaking.done()
            with pytest.raises(LocalProtocolError):  # it was left
                speaking.result()

    def test_one_thread_speaks_while_another_hears(self, url: str) -> None:
        def speak(stream: TranscriptionStream) -> None:
            for piece in pieces(SPEECH.pcm):
                stream.send_audio(piece)
            stream.end_input()

        def call(client: Client) -> str:
            with client.stream_transcription() as stream, ThreadPoolExecutor() as pool:
                pool.submit(speak, stream)
                return words(stream)

        with Client(api_key=KEY, base_url=url, timeouts=FAST) as client, ThreadPoolExecutor() as pool:
            assert [*pool.map(call, [client] * 5)] == [SPEECH.text] * 5


class TestFiles:
    def test_errors_come_out_as_they_are(self, url: str, tmp_path: Any) -> None:
        with Client(api_key=KEY, base_url=url, retry=ONCE) as client:
            with pytest.raises(FileNotFoundError):
                client.transcribe(tmp_path / "none.wav")
            with pytest.raises(ConfigurationError, match="empty"):
                client.transcribe(os.devnull)
            with pytest.raises(StatusError) as raised:
                client.transcribe(b"no audio")
            assert raised.value.__context__ is None
            with pytest.raises(ConfigurationError, match="webhook_url"):
                client.transcribe_by_webhook(PCM)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            nobody = url_of(taken)
        with Client(api_key=KEY, base_url=nobody) as client, pytest.raises(ConnectError, match="Connection refused"):
            client.transcribe(PCM)

    def test_where_a_loop_runs_already(self, url: str) -> None:
        """As in a notebook."""

        async def cell() -> str:
            with Client(api_key=KEY, base_url=url, timeouts=FAST) as client:
                return words(client.transcribe_live(pieces(SPEECH.pcm)))

        assert asyncio.run(cell()) == SPEECH.text


class TestSpeech:
    SPOKEN = b"".join(piece.pcm for piece in CodedSynthesiser().speak("w1 w2 w3", sample_rate=24000))

    def test_is_read_saved_and_iterated_over(self, url: str, tmp_path: Any) -> None:
        with Client(api_key=KEY, base_url=url) as client:
            assert client.synthesize("w1 w2 w3").read() == self.SPOKEN
            client.synthesize("w1 w2 w3").save(tmp_path / "said.pcm")
            assert (tmp_path / "said.pcm").read_bytes() == self.SPOKEN
            speech = client.synthesize("w1 w2 w3", sse=True)
            assert b"".join(chunk.data for chunk in speech) == self.SPOKEN
            assert speech.finished is not None
            with client.synthesize("w1 w2 w3") as left:
                assert self.SPOKEN.startswith(next(left).data)
            with pytest.raises(LocalProtocolError, match="synthesize"):
                left.read()
            with pytest.raises(ConfigurationError):
                client.synthesize("")
            assert client.voices()

    def test_of_text_as_it_is_written(self, url: str) -> None:
        with Client(api_key=KEY, base_url=url) as client:
            client.prewarm()
            for _ in range(2):  # over one connection
                with client.stream_synthesis() as stream:
                    for token in ("w1", " w2", " w3"):
                        stream.send_text(token)
                    stream.flush()
                    stream.end_input()
                    events = list(stream)
                    assert b"".join(event.data for event in events if isinstance(event, AudioChunk)) == self.SPOKEN
                    assert isinstance(events[-1], SegmentDone)
            assert stream.stats.segments == 2
            with client.stream_synthesis() as stream:
                stream.send_text("w1 w2")
                stream.cancel()
                stream.end_input()
                assert [event for event in stream if isinstance(event, SegmentDone)] == []


class TestTheClient:
    def test_says_what_is_wrong_with_its_options(self) -> None:
        with pytest.raises(ConfigurationError, match="SMALLEST_API_KEY"):
            Client(api_key="")
        with pytest.raises(TypeError, match="no_such_option"):
            Client(no_such_option=1)  # type: ignore[call-arg]

    def test_has_no_thread_before_it_has_work(self) -> None:
        Client(api_key=KEY).close()
        assert "smallest-proto" not in [thread.name for thread in threading.enumerate()]

    def test_is_closed_once_and_for_all(self, url: str) -> None:
        client = Client(api_key=KEY, base_url=url)
        with client.stream_transcription() as stream:
            stream.send_audio(PCM)
            client.close()
            client.close()
            for again in (stream.end_input, lambda: next(stream), lambda: client.transcribe(PCM)):
                with pytest.raises(LocalProtocolError, match="closed"):
                    again()

    def test_ends_what_waits_in_another_thread(self, silent: socket.socket) -> None:
        client = Client(api_key=KEY, base_url=url_of(silent))
        with ThreadPoolExecutor() as pool:
            call = pool.submit(client.transcribe, PCM)
            with contextlib.closing(silent.accept()[0]):
                client.close()
                with pytest.raises(LocalProtocolError, match="closed while this was under way"):
                    call.result()

    def test_a_thread_that_cannot_begin_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def none() -> None:
            raise OSError("no more file descriptors")

        with Client(api_key=KEY) as client:
            monkeypatch.setattr(asyncio, "run", lambda coroutine: (coroutine.close(), none()))
            with pytest.raises(OSError, match="no more"):
                client.transcribe(PCM)

    @pytest.mark.usefixtures("ctrl_c")
    @pytest.mark.skipif(sys.platform == "win32", reason="there a signal does not wake a thread that waits")
    @pytest.mark.parametrize(
        "work",
        [
            lambda client: client.transcribe(PCM),
            lambda client: [*client.transcribe_live([PCM])],
            lambda client: [*client.transcribe_live(PCM for _ in iter(int, 1))],
        ],
        ids=["file", "events", "audio"],
    )
    def test_ctrl_c_takes_back_what_is_under_way(self, silent: socket.socket, work: Callable[[Client], Any]) -> None:
        def interrupt() -> bytes:
            connected, _ = silent.accept()
            with connected:
                connected.recv(1)
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                while connected.recv(2**20):  # until the client has gone, while nobody closed it
                    pass
                return b"gone"

        client = Client(api_key=KEY, base_url=url_of(silent), timeouts=FAST)
        with ThreadPoolExecutor() as pool:
            gone = pool.submit(interrupt)
            with pytest.raises(KeyboardInterrupt):
                work(client)
            assert gone.result() == b"gone"
            assert client._client._drivers == set()
        client.close()

    def test_ctrl_c_in_the_moment_in_which_a_call_begins(
        self, silent: socket.socket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plain = sync.LoopThread.start

        def start(*args: Any) -> None:
            plain(*args)
            raise KeyboardInterrupt

        with Client(api_key=KEY, base_url=url_of(silent), timeouts=FAST) as client:
            monkeypatch.setattr(sync.LoopThread, "start", start)
            with pytest.raises(KeyboardInterrupt):
                client.transcribe(PCM)
            assert client._client._drivers == set()
            assert client._thread is not None
            assert client._thread._calls == set()

    def test_ctrl_c_before_a_call_has_begun(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def start(thread: sync.LoopThread, call: sync.Call[Any], work: Any) -> None:
            call.work, call.loop = work, thread._loop
            raise KeyboardInterrupt

        with Client(api_key=KEY) as client:
            monkeypatch.setattr(sync.LoopThread, "start", start)
            with pytest.raises(KeyboardInterrupt):
                client.transcribe(PCM)
