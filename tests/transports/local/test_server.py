"""The server on real loopback sockets; the clients are those of other libraries."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import json
import logging
import ssl
import threading
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import jiwer
import numpy as np
import pytest
import soundfile
import trustme
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from smallest_proto.config import TranscriptionConfig
from smallest_proto.errors import ConfigurationError, LocalProtocolError
from smallest_proto.messages import Word
from smallest_proto.recognition import CodedRecogniser, PlainRecogniser, Recognised, coded_speech
from smallest_transports.local import link
from smallest_transports.local.pcm import Samples, to_linear16
from smallest_transports.local.server import RETRY_AFTER, LocalServer, serve_in_thread

T = TypeVar("T")

KEY = {"Authorization": "Bearer sk-test-key"}
LIVE = "/stt/live?model=pulse&language=en&encoding=linear16&sample_rate=16000"
TEXT = "please call me back on tuesday morning"
CLOSE_STREAM = '{"type":"close_stream"}'
FINALIZE = '{"type":"finalize"}'


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end; then nothing may be left of it."""

    async def checked() -> T:
        result = await asyncio.wait_for(main, 60)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("local-server")]
        return result

    return asyncio.run(checked())


@asynccontextmanager
async def live(server: LocalServer, path: str = LIVE, **headers: str) -> AsyncIterator[ClientConnection]:
    url = server.base_url.replace("http", "ws", 1) + path
    async with connect(url, additional_headers=headers or KEY, proxy=None, compression=None) as socket:
        yield socket


def port_of(server: LocalServer) -> int:
    port = urlsplit(server.base_url).port
    assert port is not None
    return port


async def messages(socket: ClientConnection) -> list[dict[str, Any]]:
    """All that still comes, until the close."""
    received = []
    while True:
        try:
            received.append(json.loads(await socket.recv()))
        except ConnectionClosed:
            return received


async def receive(socket: ClientConnection) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(await socket.recv())
    return read


async def send_audio(socket: ClientConnection, pcm: bytes) -> None:
    for at in range(0, len(pcm), 1600):
        await socket.send(pcm[at : at + 1600])


async def status_of(server: LocalServer, path: str, **headers: str) -> tuple[int, str]:
    """The refusal of a WebSocket: its status and what it says."""
    with pytest.raises(InvalidStatus) as refused:
        async with live(server, path, **headers):
            pass
    response = refused.value.response
    body = json.loads(response.body)
    assert body["request_id"]
    return response.status_code, body["error"]


class Deaf:
    """A recogniser that waits in ``hear`` until it is told to go on, and notes what it was given."""

    def __init__(self, options: TranscriptionConfig | None = None) -> None:
        self.go_on = threading.Event()
        self.entered = threading.Event()
        self.calls: list[int | str] = []

    def hear(self, audio: bytes) -> Sequence[Recognised]:
        self.calls.append(len(audio))
        self.entered.set()
        self.go_on.wait()
        return ()

    def finalize(self) -> Sequence[Recognised]:
        self.calls.append("finalize")
        return ()

    def hurry(self) -> None:
        self.calls.append("hurry")
        self.go_on.set()


class Failing:
    def __init__(self, options: TranscriptionConfig | None = None) -> None: ...

    def hear(self, audio: bytes) -> Sequence[Recognised]:
        raise ValueError("what the user said")

    def finalize(self) -> Sequence[Recognised]:
        raise ValueError("what the user said")


# Live, with models that need no weights.


@pytest.mark.parametrize("path", [LIVE, "/pulse/get_text?language=en&sample_rate=16000", "/transcribe?language=en"])
def test_every_word_arrives_on_every_route(path: str) -> None:
    speech = coded_speech([1, 2, 3, 0.8, 4, 5])

    async def main() -> None:
        async with LocalServer(recogniser=CodedRecogniser) as server, live(server, path) as socket:
            await send_audio(socket, speech.pcm)
            await socket.send(CLOSE_STREAM)
            received = await messages(socket)
            assert socket.close_code == 1000
        finals = [message for message in received if message["is_final"]]
        assert [final["transcript"] for final in finals] == ["w1 w2 w3", "w4 w5"]
        assert [final["is_last"] for final in finals] == [False, True]
        assert ("transcription" in finals[0]) == (not path.startswith("/transcribe"))

    run(main())


def test_a_finalize_is_answered_and_the_link_goes_on() -> None:
    speech = coded_speech([7, 8])

    async def main() -> None:
        async with LocalServer(recogniser=CodedRecogniser) as server, live(server) as socket:
            await send_audio(socket, speech.pcm)
            await socket.send(FINALIZE)
            while not (message := await receive(socket))["is_final"]:
                pass
            assert (message["transcript"], message["from_finalize"]) == ("w7 w8", True)
            await socket.send(FINALIZE)
            empty = await receive(socket)
            assert (empty["transcript"], empty["from_finalize"]) == ("", True)
            await socket.send('{"type":"keepalive"}')
            assert await receive(socket) == {"type": "pong"}
            await send_audio(socket, speech.pcm)
            await socket.send(CLOSE_STREAM)
            assert (await messages(socket))[-1]["transcript"] == "w7 w8"

    run(main())


def test_voice_events_come_when_asked_for() -> None:
    words = [Word(text="hello", start=0.5, end=0.9)]

    async def main() -> None:
        async with (
            LocalServer(recogniser=lambda options: PlainRecogniser(words, options)) as server,
            live(server, LIVE + "&vad_events=true") as socket,
        ):
            await send_audio(socket, bytes(64000))
            await socket.send(CLOSE_STREAM)
            events = {message["type"]: message.get("timestamp") for message in await messages(socket)}
        assert events["speech_started"] == 0.5
        assert events["speech_ended"] == 0.9

    run(main())


def test_what_cannot_be_done_is_refused_with_a_status() -> None:
    async def main() -> None:
        async with LocalServer(key="sk-right", recogniser=CodedRecogniser) as server:
            right = {"Authorization": "Bearer sk-right"}
            status, text = await status_of(server, LIVE)
            assert status == 401
            assert "sk-right" not in text
            assert (await status_of(server, LIVE, **{"X-Source": "test"}))[0] == 401
            status, text = await status_of(server, LIVE + "&diarize=true", **right)
            assert status == 400
            assert "cannot tell speakers apart" in text
            status, text = await status_of(server, LIVE.replace("16000", "12345"), **right)
            assert status == 400
            assert "8000, 16000" in text
            assert (await status_of(server, "/nowhere", **right))[0] == 404
            # The recogniser's own refusal.
            status, text = await status_of(server, LIVE.replace("linear16", "mulaw"), **right)
            assert status == 400
            assert "linear16" in text
            async with live(server, **right) as socket:
                await socket.send(CLOSE_STREAM)
                assert (await messages(socket))[-1]["is_last"]

    run(main())


def test_beyond_its_bound_links_are_closed_with_1013_until_one_ends() -> None:
    async def main() -> None:
        async with (
            LocalServer(max_live=2, recogniser=CodedRecogniser) as server,
            live(server) as first,
            live(server),
        ):
            async with live(server) as third:
                (error,) = await messages(third)
                assert "2 live links" in error["message"]
                assert third.close_code == 1013
            await first.send(CLOSE_STREAM)
            assert (await messages(first))[-1]["is_last"]
            async with live(server) as fourth:
                await fourth.send(CLOSE_STREAM)
                assert (await messages(fourth))[-1]["is_last"]

    run(main())


def test_what_waits_is_heard_together_and_a_finalize_hurries_it() -> None:
    deaf = Deaf()

    async def main() -> None:
        async with LocalServer(recogniser=lambda _: deaf) as server, live(server) as socket:
            await socket.send(bytes(1600))
            await asyncio.to_thread(deaf.entered.wait)
            for _ in range(10):
                await socket.send(bytes(1600))
            await socket.send(FINALIZE)
            assert (await receive(socket))["from_finalize"]
            assert deaf.calls == [1600, "hurry", 16000, "finalize"]

    run(main())


def test_a_recogniser_that_is_behind_stops_the_client_and_loses_nothing() -> None:
    deaf = Deaf()
    sent = 0

    async def main() -> None:
        nonlocal sent
        async with LocalServer(recogniser=lambda _: deaf) as server, live(server) as socket:

            async def flood() -> None:
                nonlocal sent
                for _ in range(10_000):
                    await socket.send(bytes(8000))
                    sent += 8000

            flooding = asyncio.ensure_future(flood())
            await asyncio.to_thread(deaf.entered.wait)
            # Socket buffers take some megabytes; then nothing goes out any more.
            before = -1
            while sent != before:
                before = sent
                done, _ = await asyncio.wait([flooding], timeout=0.5)
                assert not done
            assert sent < 60_000_000
            deaf.go_on.set()
            await flooding
            await socket.send(CLOSE_STREAM)
            await messages(socket)
        assert sum(call for call in deaf.calls if isinstance(call, int)) == sent == 80_000_000
        assert max(call for call in deaf.calls if isinstance(call, int)) < 16000 * 2 * link.WAITING_SECONDS + 2**17

    run(main())


def test_a_recogniser_that_fails_ends_the_link_with_1011(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with LocalServer(recogniser=Failing) as server, live(server) as socket:
            await socket.send(bytes(1600))
            (error,) = await messages(socket)
            assert error["type"] == "error"
            assert socket.close_code == 1011

    with caplog.at_level(logging.DEBUG, "smallest_transports"):
        run(main())
    assert "ValueError" in caplog.text
    assert "what the user said" not in caplog.text


def test_a_recogniser_that_cannot_be_made_is_a_500() -> None:
    def broken(_: TranscriptionConfig) -> CodedRecogniser:
        raise RuntimeError("no")

    async def main() -> None:
        async with LocalServer(recogniser=broken) as server:
            assert (await status_of(server, LIVE))[0] == 500

    run(main())


def test_a_silent_client_is_let_go() -> None:
    async def main() -> None:
        async with LocalServer(recogniser=CodedRecogniser, inactivity=0.05) as server:
            async with live(server) as socket:
                await messages(socket)
                assert socket.close_code == 1000
            reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    run(main())


def test_a_client_that_vanishes_gives_its_place_back() -> None:
    async def main() -> None:
        async with LocalServer(max_live=1, recogniser=CodedRecogniser) as server:
            async with live(server) as socket:
                await socket.send(coded_speech([1, 2]).pcm[:8000])
                socket.transport.abort()
            served = False
            while not served:  # the server hears of it in its own time
                async with live(server) as socket:
                    with contextlib.suppress(ConnectionClosed):
                        await socket.send(CLOSE_STREAM)
                    served = bool((await messages(socket))[-1].get("is_last"))

    run(main())


def test_stopping_says_goodbye_to_every_link() -> None:
    async def main() -> None:
        async with LocalServer(recogniser=CodedRecogniser) as server:
            url = server.base_url.replace("http", "ws", 1) + LIVE
            sockets = [await connect(url, additional_headers=KEY, proxy=None) for _ in range(3)]
            idle, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        for socket in sockets:
            await messages(socket)
            assert socket.close_code == 1001
        assert await idle.read() == b""
        writer.close()
        await writer.wait_closed()
        with pytest.raises(LocalProtocolError, match="not running"):
            _ = server.base_url

    run(main())


def test_stopping_does_not_wait_for_a_client_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "CLOSING_SECONDS", 0.05)

    async def main() -> None:
        async with LocalServer(recogniser=CodedRecogniser) as server:
            port = port_of(server)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"GET /stt/live?model=pulse HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
            )
            await reader.readuntil(b"\r\n\r\n")
        writer.close()

    run(main())


def test_a_port_in_use_is_an_error_that_says_so() -> None:
    async def main() -> None:
        async with LocalServer(recogniser=CodedRecogniser) as server:
            port = port_of(server)
            with pytest.raises(OSError, match="address already in use") as caught:
                async with LocalServer(port=port, recogniser=CodedRecogniser):
                    pass
            assert caught.value.errno == errno.EADDRINUSE

    run(main())


@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::1", "[::1]")],
)
def test_the_base_url_can_be_called(host: str, shown: str) -> None:
    async def main() -> None:
        async with LocalServer(host=host, recogniser=CodedRecogniser) as server:
            assert server.base_url.startswith(f"http://{shown}:")
            assert server.base_url.endswith("/waves/v1")
            async with live(server) as socket:
                await socket.send(CLOSE_STREAM)
                assert (await messages(socket))[-1]["is_last"]

    run(main())


def test_it_speaks_tls() -> None:
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)

    async def main() -> None:
        async with LocalServer(recogniser=CodedRecogniser, ssl_context=server_context) as server:
            assert server.base_url.startswith("https://")
            url = server.base_url.replace("https", "wss", 1)
            async with connect(url + LIVE, additional_headers=KEY, ssl=client_context, proxy=None) as socket:
                await socket.send(CLOSE_STREAM)
                assert (await messages(socket))[-1]["is_last"]
            async with (
                aiohttp.ClientSession(headers=KEY) as session,
                session.post(server.base_url + "/stt/?model=pulse", data=b"x", ssl=client_context) as answer,
            ):
                assert answer.status == 400

    run(main())


def test_it_runs_in_a_thread_for_those_without_a_loop() -> None:
    async def main(server: LocalServer) -> None:
        async with live(server) as socket:
            await socket.send(CLOSE_STREAM)
            assert (await messages(socket))[-1]["is_last"]

    with serve_in_thread(LocalServer(recogniser=CodedRecogniser)) as server:
        asyncio.run(main(server))
        port = port_of(server)
        with (
            pytest.raises(OSError, match="in use"),
            serve_in_thread(LocalServer(port=port, recogniser=CodedRecogniser)),
        ):
            pass
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("local-server")]


def test_bounds_of_nothing_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        LocalServer(max_live=0)


# Files, with models that need no weights.


async def post(server: LocalServer, body: bytes, path: str = "/stt/?model=pulse", **headers: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(headers=headers or KEY) as session,
        session.post(server.base_url + path, data=body, headers={"Content-Type": "application/octet-stream"}) as answer,
    ):
        return answer.status, await answer.json()


def wav(pcm: bytes) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.frombuffer(pcm, "<i2"), 16000, format="WAV")
    return file.getvalue()


@pytest.mark.parametrize("path", ["/stt/?model=pulse", "/stt?model=pulse", "/pulse/get_text?language=en"])
def test_a_file_is_transcribed_sample_for_sample(path: str) -> None:
    speech = coded_speech([1, 2, 0.8, 3])

    async def main() -> None:
        async with LocalServer(recogniser=CodedRecogniser) as server:
            status, answer = await post(server, wav(speech.pcm), path + "&word_timestamps=true")
            assert status == 200
            assert answer["transcription"] == "w1 w2 w3"
            assert [word["word"] for word in answer["words"]] == ["w1", "w2", "w3"]
            assert answer["metadata"]["duration"] == pytest.approx(speech.seconds)
            status, answer = await post(server, speech.pcm, path + "&encoding=linear16&sample_rate=16000")
            assert (status, answer["transcription"]) == (200, "w1 w2 w3")

    run(main())


def test_bad_files_and_bad_requests_are_answered_with_a_status() -> None:
    async def main() -> None:
        async with LocalServer(recogniser=CodedRecogniser, key="sk-test-key") as server:
            for body in (b"", b"no audio at all", wav(b"")):
                status, answer = await post(server, body)
                assert status == 400
                assert set(answer) == {"error", "request_id"}
            assert (await post(server, b"", Authorization="Bearer wrong"))[0] == 401
            status, answer = await post(server, wav(bytes(3200)), "/stt/?model=pulse&language=fr")
            assert status == 400
            assert "English alone" in answer["error"]
            async with (
                aiohttp.ClientSession(headers=KEY) as session,
                session.post(
                    server.base_url + "/stt/?model=pulse", json={"url": "https://example.com/a.wav"}
                ) as answer,
            ):
                assert answer.status == 400

    run(main())


def test_a_file_that_is_too_large_is_refused_before_it_was_sent() -> None:
    async def main() -> None:
        async with LocalServer(recogniser=CodedRecogniser) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
            writer.write(
                b"POST /stt/?model=pulse HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
                b"Content-Length: 300000000\r\n\r\n" + bytes(100_000)
            )
            assert b" 413 " in await reader.readline()
            writer.close()
            await writer.wait_closed()

    run(main())


def test_beyond_its_bound_files_are_answered_with_503_and_when_to_come_again() -> None:
    deaf = Deaf()

    async def main() -> None:
        async with LocalServer(max_files=1, recogniser=lambda _: deaf) as server:
            first = asyncio.ensure_future(post(server, wav(bytes(3200))))
            await asyncio.to_thread(deaf.entered.wait)
            async with (
                aiohttp.ClientSession(headers=KEY) as session,
                session.post(server.base_url + "/stt/?model=pulse", data=wav(bytes(3200))) as answer,
            ):
                assert answer.status == 503
                assert answer.headers["Retry-After"] == str(RETRY_AFTER)
            deaf.go_on.set()
            assert (await first)[0] == 200

    run(main())


def test_a_recogniser_that_fails_on_a_file_is_a_500() -> None:
    async def main() -> None:
        async with LocalServer(recogniser=Failing) as server:
            assert (await post(server, wav(bytes(3200))))[0] == 500

    run(main())


def test_stopping_gives_up_a_file() -> None:
    deaf = Deaf()

    async def main() -> None:
        async with LocalServer(recogniser=lambda _: deaf) as server:
            posting = asyncio.ensure_future(post(server, wav(bytes(320_000))))
            await asyncio.to_thread(deaf.entered.wait)
            asyncio.get_running_loop().call_soon(deaf.go_on.set)  # runs once the server has begun to stop
        with pytest.raises(aiohttp.ClientError):
            await posting
        assert len([call for call in deaf.calls if isinstance(call, int)]) == 1

    run(main())


# With real ears.


def test_speech_becomes_text_live(spoken: Samples) -> None:
    async def main() -> list[dict[str, Any]]:
        async with (
            LocalServer() as server,
            live(server, LIVE + "&vad_events=true&word_timestamps=true&format=false") as socket,
        ):
            await send_audio(socket, to_linear16(spoken))
            await socket.send(CLOSE_STREAM)
            return await messages(socket)

    received = run(main())
    kinds = [message["type"] for message in received]
    assert kinds.index("speech_started") < kinds.index("transcription")
    assert kinds.count("speech_ended") >= 1
    finals = [message for message in received if message.get("is_final")]
    assert jiwer.wer(TEXT, " ".join(final["transcript"] for final in finals)) < 0.15
    assert finals[0]["speech_final"]
    assert finals[-1]["is_last"]
    words = [word for final in finals for word in final["words"]]
    assert 0.9 < words[0]["start"] < 1.5


@pytest.mark.parametrize(("format", "subtype"), [("WAV", "PCM_16"), ("FLAC", None), ("OGG", "VORBIS"), ("MP3", None)])
def test_files_of_many_kinds_become_text(spoken: Samples, format: str, subtype: str | None) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.column_stack((spoken, spoken)), 16000, subtype, format=format)

    async def main() -> tuple[int, Any]:
        async with LocalServer() as server:
            return await post(server, file.getvalue(), "/stt/?model=pulse&language=en&format=false")

    status, answer = run(main())
    assert status == 200
    assert jiwer.wer(TEXT, answer["transcription"]) < 0.15


def test_four_links_are_heard_at_once(spoken: Samples) -> None:
    async def one(server: LocalServer) -> str:
        async with live(server, LIVE + "&format=false") as socket:
            await send_audio(socket, to_linear16(spoken))
            await socket.send(CLOSE_STREAM)
            return " ".join(m["transcript"] for m in await messages(socket) if m["is_final"]).strip()

    async def main() -> list[str]:
        async with LocalServer() as server:
            return await asyncio.gather(*(one(server) for _ in range(4)))

    assert run(main()) == [TEXT] * 4


def test_opus_and_other_languages_are_refused_by_name() -> None:
    async def main() -> None:
        async with LocalServer() as server:
            status, text = await status_of(server, LIVE.replace("=en", "=hi"))
            assert status == 400
            assert "English alone" in text
            status, text = await status_of(server, LIVE.replace("linear16", "opus").replace("16000", "48000"))
            assert status == 400
            assert "send linear16, linear32, alaw or mulaw" in text

    run(main())
