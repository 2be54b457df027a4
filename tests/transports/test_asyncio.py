"""The asyncio driver over real loopback sockets, against servers by other hands: what works, and what it leaves."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smallest_proto.config import FileTranscriptionConfig, RetryPolicy, Timeouts, TranscriptionConfig
from smallest_proto.errors import ConfigurationError, LocalProtocolError, StatusError
from smallest_proto.events import AudioLost, EndReason, Event, FinalTranscript, LinkOpened, SessionEnded
from smallest_proto.recognition import CodedRecogniser, coded_speech
from smallest_transports import _wire as wire
from smallest_transports.asyncio import Client, TranscriptionStream
from smallest_transports.local.server import LocalServer

if TYPE_CHECKING:
    from .conftest import Serve, Service, Tls

KEY = "sk-very-secret"
FAST = Timeouts(message_interval=0)
AGAIN = RetryPolicy(first_delay=0)
PCM = bytes(range(256)) * 125  # 1 s

Run = Callable[[Callable[[], Awaitable[None]]], None]
ServeBytes = Callable[..., AbstractAsyncContextManager[str]]


async def collect(stream: TranscriptionStream) -> list[Event]:
    return [event async for event in stream]


async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> wire.ServerConnection:
    """Answer a handshake by hand."""
    server = wire.ServerConnection()
    while not server.receive_data(await reader.read(65536)):
        pass
    server.accept()
    writer.write(server.data_to_send())
    return server


class TestStream:
    @pytest.mark.parametrize("secure", [False, True])
    def test_audio_goes_out_and_events_come_back(
        self, run: Run, nothing_left: Any, serve_live: Serve, make_service: type[Service], tls: Tls, secure: bool
    ) -> None:
        async def main() -> None:
            service = make_service()
            async with serve_live(service, tls.server if secure else None) as url:
                with nothing_left():
                    async with (
                        Client(api_key=KEY, base_url=url, ssl_context=tls.client if secure else None) as client,
                        client.stream_transcription(TranscriptionConfig(language="hi")) as stream,
                    ):
                        for at in range(0, len(PCM), 999):
                            await stream.send_audio(PCM[at : at + 999])
                        await stream.finalize()
                        await stream.end_input()
                        events = await collect(stream)
                        assert await collect(stream) == []
                        assert stream.stats.seconds_sent == 1.0
            assert service.audio == PCM
            assert [json.loads(text)["type"] for text in service.texts] == ["finalize", "close_stream"]
            assert service.targets[0].startswith("/waves/v1/stt/live?model=pulse&language=hi&")
            assert service.headers[0]["authorization"] == f"Bearer {KEY}"
            assert isinstance(events[0], LinkOpened)
            finals = [event.text for event in events if isinstance(event, FinalTranscript)]
            assert finals == ["32000 bytes", "the last"]
            assert events[-1] == SessionEnded(reason=EndReason.COMPLETED)

        run(main)

    @pytest.mark.parametrize("secure", [False, True])
    def test_ten_minutes_given_at_once_loses_nothing(
        self, run: Run, nothing_left: Any, serve_live: Serve, make_service: type[Service], tls: Tls, secure: bool
    ) -> None:
        async def main() -> None:
            service, audio = make_service(), os.urandom(32000 * 600)
            async with serve_live(service, tls.server if secure else None) as url:
                with nothing_left():
                    context = tls.client if secure else None
                    client = Client(api_key=KEY, base_url=url, ssl_context=context, timeouts=FAST)
                    async with client.stream_transcription() as stream:
                        await stream.send_audio(memoryview(audio).cast("h"))
                        await stream.end_input()
                        events = await collect(stream)
            assert not [event for event in events if isinstance(event, AudioLost)]
            assert service.audio == audio

        run(main)

    def test_the_local_server_hears_each_word_once(self, run: Run, nothing_left: Any) -> None:
        speech = coded_speech([1, 2, 3, 1.0, 4, 5, 1.0])

        async def main() -> None:
            async with LocalServer(recogniser=CodedRecogniser) as server:
                with nothing_left():
                    async with (
                        Client(api_key=KEY, base_url=server.base_url, timeouts=FAST) as client,
                        client.stream_transcription() as stream,
                    ):
                        await stream.send_audio(speech.pcm)
                        await stream.end_input()
                        finals = [event.text async for event in stream if isinstance(event, FinalTranscript)]
            assert " ".join(filter(None, finals)) == speech.text

        run(main)

    def test_send_audio_waits_for_a_server_that_does_not_read(
        self, run: Run, nothing_left: Any, serve_bytes: ServeBytes
    ) -> None:
        async def main() -> None:
            goes_on, received = asyncio.Event(), bytearray()

            async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                server = await accept(reader, writer)
                await goes_on.wait()
                while data := await reader.read(65536):
                    for event in server.receive_data(data):
                        if isinstance(event, wire.BinaryMessage):
                            received.extend(event.data)
                        elif isinstance(event, wire.TextMessage):
                            server.send_text('{"is_final": true, "is_last": true}')
                    writer.write(server.data_to_send())

            async with serve_bytes(talk) as url:
                with nothing_left():
                    timeouts = Timeouts(message_interval=0, write=100)
                    # So much may be held that it is the socket, not the session, that makes the sender wait.
                    client = Client(api_key=KEY, base_url=url, timeouts=timeouts, buffer_seconds=3600.0)
                    async with client.stream_transcription() as stream:

                        async def send() -> None:
                            for _ in range(1200):  # 38 MB: more than any kernel keeps for us
                                await stream.send_audio(PCM)
                            await stream.end_input()

                        sender = asyncio.create_task(send())
                        while not any(link.paused for link in stream._driver.links.values()):  # noqa: ASYNC110
                            await asyncio.sleep(0)
                        given = stream.stats.seconds_given
                        for _ in range(50):
                            await asyncio.sleep(0)
                        assert stream.stats.seconds_given <= given + 1
                        assert not sender.done()
                        goes_on.set()
                        await sender
                        await collect(stream)
            assert received == PCM * 1200

        run(main)

    def test_a_consumer_that_does_not_read_holds_nothing_up(
        self, run: Run, nothing_left: Any, serve_bytes: ServeBytes
    ) -> None:
        async def main() -> None:
            answered = asyncio.Event()

            async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                server = await accept(reader, writer)
                for at in range(2000):
                    server.send_text(json.dumps({"transcript": f"w{at}", "is_final": True}))
                server.ping()
                writer.write(server.data_to_send())
                while wire.Pong() not in server.receive_data(await reader.read(65536)):
                    pass
                answered.set()
                server.close(1000)
                writer.write(server.data_to_send())
                await reader.read()

            async with serve_bytes(talk) as url:
                with nothing_left():
                    client = Client(api_key=KEY, base_url=url, retry=RetryPolicy(max_retries=0))
                    async with client.stream_transcription() as stream:
                        await answered.wait()
                        events = [await stream.__anext__() for _ in range(1000)]
            assert len([event for event in events if isinstance(event, FinalTranscript)]) > 300

        run(main)

    def test_a_lost_link_is_followed_by_another(self, run: Run, nothing_left: Any) -> None:
        speech = coded_speech([1, 2, 3, 1.0, 4, 5, 6, 1.0, 7, 8, 0.5])

        async def main() -> None:
            async with LocalServer(recogniser=CodedRecogniser) as server:
                with nothing_left():
                    client = Client(api_key=KEY, base_url=server.base_url, timeouts=FAST, retry=AGAIN)
                    async with client.stream_transcription() as stream:
                        half = len(speech.pcm) // 4 * 2
                        await stream.send_audio(speech.pcm[:half])
                        finals, links = [], 0
                        async for event in stream:
                            links += isinstance(event, LinkOpened)
                            if isinstance(event, FinalTranscript):
                                finals.append(event.text)
                                if len(finals) == 1:
                                    for link in stream._driver.links.values():
                                        link._transport.abort()  # type: ignore[attr-defined]
                                    await stream.send_audio(speech.pcm[half:])
                                    await stream.end_input()
            assert links == 2
            assert " ".join(filter(None, finals)) == speech.text

        run(main)

    def test_an_update_opens_a_second_link_beside_the_first(
        self, run: Run, nothing_left: Any, serve_live: Serve, make_service: type[Service]
    ) -> None:
        async def main() -> None:
            service = make_service()
            async with serve_live(service, None) as url:
                with nothing_left():
                    async with (
                        Client(api_key=KEY, base_url=url, timeouts=FAST) as client,
                        client.stream_transcription() as stream,
                    ):
                        await stream.send_audio(PCM)
                        assert isinstance(await stream.__anext__(), LinkOpened)
                        await stream.update(TranscriptionConfig(language="hi"))
                        while not isinstance(await stream.__anext__(), LinkOpened):
                            pass
                        await stream.send_audio(PCM)
                        await stream.end_input()
                        events = await collect(stream)
            assert ["language=hi" in target for target in service.targets] == [False, True]
            assert events[-1] == SessionEnded(reason=EndReason.COMPLETED)

        run(main)

    def test_many_at_once(self, run: Run, nothing_left: Any, serve_live: Serve, make_service: type[Service]) -> None:
        async def main() -> None:
            service = make_service()

            async def one(client: Client) -> list[Event]:
                async with client.stream_transcription() as stream:
                    await stream.send_audio(PCM)
                    await stream.end_input()
                    return await collect(stream)

            async with serve_live(service, None) as url:
                with nothing_left():
                    async with Client(api_key=KEY, base_url=url, timeouts=FAST) as client:
                        calls = await asyncio.gather(*(one(client) for _ in range(20)))
            assert [call[-1] for call in calls] == [SessionEnded(reason=EndReason.COMPLETED)] * 20
            assert len(service.audio) == 20 * len(PCM)

        run(main)

    def test_two_consumers_both_come_to_an_end(self, run: Run, serve_live: Serve, make_service: type[Service]) -> None:
        async def main() -> None:
            async with (
                serve_live(make_service(), None) as url,
                Client(api_key=KEY, base_url=url).stream_transcription() as stream,
            ):
                consumers = asyncio.gather(collect(stream), collect(stream))
                await stream.end_input()
                assert len([event for events in await consumers for event in events]) >= 3

        run(main)

    def test_nagle_is_off(self, run: Run, serve_live: Serve, make_service: type[Service], tls: Tls) -> None:
        async def main() -> None:
            for secure in (False, True):
                async with (
                    serve_live(make_service(), tls.server if secure else None) as url,
                    Client(api_key=KEY, base_url=url, ssl_context=tls.client).stream_transcription() as stream,
                ):
                    await stream.__anext__()
                    (link,) = stream._driver.links.values()
                    made = link._transport.get_extra_info("socket")  # type: ignore[attr-defined]
                    assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

        run(main)

    def test_what_the_application_does_wrong_is_said_at_once(
        self, run: Run, nothing_left: Any, serve_live: Serve, make_service: type[Service]
    ) -> None:
        async def main() -> None:
            async with serve_live(make_service(), None) as url:
                with nothing_left():
                    async with Client(api_key=KEY, base_url=url).stream_transcription() as stream:
                        for wrong in ("text", None, 1.5, [b"list"]):
                            with pytest.raises(LocalProtocolError, match="bytes-like"):
                                await stream.send_audio(wrong)  # type: ignore[arg-type]
                        await stream.end_input()
                        with pytest.raises(LocalProtocolError):
                            await stream.end_input()
                        with pytest.raises(LocalProtocolError):
                            await stream.send_audio(PCM)
                        events = await collect(stream)
                        assert events[-1] == SessionEnded(reason=EndReason.COMPLETED)

        run(main)


class TestFiles:
    @pytest.mark.parametrize("secure", [False, True])
    @pytest.mark.parametrize("size", [1, 100, 20_000_000])
    def test_bytes_and_paths(
        self,
        run: Run,
        nothing_left: Any,
        serve_files: Serve,
        make_service: type[Service],
        tls: Tls,
        tmp_path: Path,
        secure: bool,
        size: int,
    ) -> None:
        audio = os.urandom(size)
        path = tmp_path / "a file.wav"
        path.write_bytes(audio)

        async def main() -> None:
            service = make_service()
            async with serve_files(service, tls.server if secure else None) as url:
                with nothing_left():
                    async with Client(api_key=KEY, base_url=url, ssl_context=tls.client) as client:
                        for given in (audio, path, str(path)):
                            transcript = await client.transcribe(given, FileTranscriptionConfig(language="hi"))
                            assert transcript.text == "said in a file"
                            assert transcript.request_id == "r-1"
            assert service.bodies == [audio] * 3
            assert service.targets[0] == "/waves/v1/stt/?model=pulse&language=hi"
            assert service.headers[0]["authorization"] == f"Bearer {KEY}"
            assert service.headers[0]["content-length"] == str(size)

        run(main)

    def test_a_url(self, run: Run, serve_files: Serve, make_service: type[Service]) -> None:
        async def main() -> None:
            service = make_service()
            async with serve_files(service, None) as url:
                await Client(api_key=KEY, base_url=url).transcribe(url="https://example.com/a.wav")
            assert [json.loads(body) for body in service.bodies] == [{"url": "https://example.com/a.wav"}]

        run(main)

    def test_files_that_are_none(self, run: Run, tmp_path: Path) -> None:
        empty, large = tmp_path / "empty.wav", tmp_path / "large.wav"
        empty.touch()
        with large.open("wb") as file:
            file.truncate(250_000_001)  # sparse: it takes no room

        async def main() -> None:
            client = Client(api_key=KEY, base_url="http://127.0.0.1:1/")
            with pytest.raises(FileNotFoundError, match=r"missing\.wav"):
                await client.transcribe(tmp_path / "missing.wav")
            with pytest.raises(IsADirectoryError):
                await client.transcribe(tmp_path)
            with pytest.raises(ConfigurationError, match=r"empty\.wav is empty"):
                await client.transcribe(empty)
            with pytest.raises(ConfigurationError, match=r"large\.wav is over 250 MB"):
                await client.transcribe(str(large))
            with pytest.raises(ConfigurationError, match="empty"):
                await client.transcribe(b"")
            with pytest.raises(ConfigurationError, match="either"):
                await client.transcribe()
            with pytest.raises(ConfigurationError, match="must be bytes"):
                await client.transcribe(bytearray(b"abc"))  # type: ignore[arg-type]

        run(main)

    def test_webhooks(self, run: Run, serve_bytes: ServeBytes) -> None:
        accepted = b'HTTP/1.1 202 Accepted\r\nContent-Length: 42\r\n\r\n{"status":"processing","request_id":"r-9"}'

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(accepted)
            await reader.read()

        async def main() -> None:
            later = FileTranscriptionConfig(model="pulse-pro", webhook_url="https://example.com/hook")
            async with serve_bytes(talk) as url:
                client = Client(api_key=KEY, base_url=url)
                assert (await client.transcribe_by_webhook(b"abc", later)).request_id == "r-9"
                with pytest.raises(ConfigurationError, match="transcribe_by_webhook"):
                    await client.transcribe(b"abc", later)
                with pytest.raises(ConfigurationError, match="webhook_url"):
                    await client.transcribe_by_webhook(b"abc")
                with pytest.raises(Exception, match="later, though no webhook_url"):
                    await client.transcribe(b"abc")

        run(main)

    @pytest.mark.parametrize("size", [10, 20_000_000])
    def test_a_refusal_is_heard_while_the_file_is_still_going_out(
        self, run: Run, nothing_left: Any, serve_bytes: ServeBytes, size: int
    ) -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b'HTTP/1.1 413 Large\r\nContent-Length: 19\r\n\r\n{"error":"too much"}')
            await reader.read()

        async def main() -> None:
            async with serve_bytes(talk) as url:
                with nothing_left():
                    with pytest.raises(StatusError) as raised:
                        await Client(api_key=KEY, base_url=url).transcribe(bytes(size))
                    assert raised.value.failure.status == 413

        run(main)


class TestClient:
    def test_takes_the_key_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SMALLEST_API_KEY", raising=False)
        with pytest.raises(ConfigurationError, match="SMALLEST_API_KEY"):
            Client()
        with pytest.raises(ConfigurationError, match="SMALLEST_API_KEY"):
            Client(api_key="")
        monkeypatch.setenv("SMALLEST_API_KEY", KEY)
        client = Client()
        assert client._endpoint.api_key == KEY
        assert KEY not in repr(vars(client))
        assert Client(api_key="another")._endpoint.api_key == "another"

    def test_options_that_cannot_be_are_told(self, run: Run) -> None:
        with pytest.raises(ConfigurationError, match="base_url"):
            Client(api_key=KEY, base_url="ftp://x")

        async def main() -> None:
            client = Client(api_key=KEY, route="direct")
            with pytest.raises(ConfigurationError, match="direct"):
                await client.transcribe(b"abc")
            client = Client(api_key=KEY)
            with pytest.raises(ConfigurationError, match="US"):
                async with client.stream_transcription(TranscriptionConfig(language="ja")):
                    raise AssertionError("it must not begin")

        run(main)

    @pytest.mark.parametrize("missing", ["wsproto", "h11"])
    def test_says_what_to_install(self, missing: str) -> None:
        code = f"import sys; sys.modules[{missing!r}] = None; import smallest_transports.asyncio"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "ImportError: " in done.stderr
        assert 'pip install "smallest-proto[asyncio]"' in done.stderr
