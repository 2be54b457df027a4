"""Servers that no one here wrote, those of aiohttp and websockets, and files by every transport."""

from __future__ import annotations

import io
import json
import os
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from smallest_proto.config import FileTranscriptionConfig, TranscriptionConfig
from smallest_proto.errors import ConfigurationError, ProtocolError, StatusError
from smallest_proto.events import EndReason, LinkOpened, SessionEnded
from smallest_proto.server.recogniser import coded_speech
from smallest_proto.transcription.events import AudioLost, FinalTranscript
from smallest_transports.testing.certificates import Tls
from smallest_transports.testing.servers import answering, in_thread, local_server, serving

from .drivers import KEY, LONG, PCM, SECURE, Driver
from .others import Service, serve_by_aiohttp, serve_by_websockets

if TYPE_CHECKING:
    from .others import Serve

BY_OTHERS = pytest.mark.parametrize("serve", [serve_by_aiohttp, serve_by_websockets], ids=["aiohttp", "websockets"])


@SECURE
@BY_OTHERS
async def test_audio_goes_out_and_events_come_back(transport: Driver, tls: Tls, serve: Serve, secure: bool) -> None:
    service = Service()
    with in_thread(serve(service, tls.server if secure else None)) as url:
        async with (
            transport.client(url, ssl_context=tls.client, source="conformance", headers=(("X-More", "yes"),)) as client,
            client.stream_transcription(TranscriptionConfig(language="hi", keywords=("Ünïcode & more",))) as stream,
        ):
            for at in range(0, len(PCM), 999):
                await stream.send_audio(PCM[at : at + 999])
            await stream.finalize()
            await stream.end_input()
            events = [event async for event in stream]
            assert [event async for event in stream] == []
            assert stream.stats.seconds_sent == 1.0
    assert service.audio == PCM
    assert [json.loads(text)["type"] for text in service.texts] == ["finalize", "close_stream"]
    assert service.targets[0].startswith("/waves/v1/stt/live?model=pulse&language=hi&")
    assert "%C3%9Cn%C3%AFcode" in service.targets[0]
    headers = service.headers[0]
    assert (headers["authorization"], headers["x-source"], headers["x-more"]) == (f"Bearer {KEY}", "conformance", "yes")
    assert "sec-websocket-extensions" not in headers  # audio does not shrink, so no compression is offered
    assert isinstance(events[0], LinkOpened)
    assert [event.text for event in events if isinstance(event, FinalTranscript)] == ["32000 bytes", "the last"]
    assert events[-1] == SessionEnded(reason=EndReason.COMPLETED)


@SECURE
@BY_OTHERS
async def test_minutes_given_at_once_lose_nothing(transport: Driver, tls: Tls, serve: Serve, secure: bool) -> None:
    service, audio = Service(), os.urandom(32000 * (300 if LONG else 90))  # much more than is held
    with in_thread(serve(service, tls.server if secure else None)) as url:
        async with transport.client(url, ssl_context=tls.client) as client, client.stream_transcription() as stream:
            await stream.send_audio(memoryview(audio).cast("h"))
            await stream.end_input()
            events = [event async for event in stream]
    assert not [event for event in events if isinstance(event, AudioLost)]
    assert service.audio == audio


@BY_OTHERS
async def test_an_update_opens_a_second_link_beside_the_first(transport: Driver, serve: Serve) -> None:
    service = Service()
    with in_thread(serve(service, None)) as url:
        async with transport.client(url) as client, client.stream_transcription() as stream:
            await stream.send_audio(PCM)
            assert isinstance(await anext(stream), LinkOpened)
            await stream.update(TranscriptionConfig(language="hi"))
            while not isinstance(await anext(stream), LinkOpened):
                pass
            await stream.send_audio(PCM)
            await stream.end_input()
            events = [event async for event in stream]
    assert ["language=hi" in target for target in service.targets] == [False, True]
    assert events[-1] == SessionEnded(reason=EndReason.COMPLETED)


@BY_OTHERS
async def test_twenty_at_once(transport: Driver, serve: Serve) -> None:
    service, ends = Service(), []
    with in_thread(serve(service, None)) as url:
        async with transport.client(url) as client:

            async def talk() -> None:
                async with client.stream_transcription() as stream:
                    await stream.send_audio(PCM)
                    await stream.end_input()
                    ends.append([event async for event in stream][-1])

            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(talk)
    assert ends == [SessionEnded(reason=EndReason.COMPLETED)] * 20
    assert len(service.audio) == 20 * len(PCM)


@BY_OTHERS
async def test_two_consumers_both_come_to_an_end(transport: Driver, serve: Serve) -> None:
    with in_thread(serve(Service(), None)) as url:
        async with transport.client(url) as client, client.stream_transcription() as stream:
            events = []

            async def consume() -> None:
                async for event in stream:
                    events.append(event)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(consume)
                tasks.start_soon(consume)
                await stream.end_input()
    assert sum(isinstance(event, SessionEnded) for event in events) == 1
    assert len(events) >= 3


# --- files ---


@SECURE
@pytest.mark.parametrize("size", [1, 20_000_000 if LONG else 3_000_000])
async def test_a_file_goes_as_it_is(transport: Driver, tls: Tls, tmp_path: Path, secure: bool, size: int) -> None:
    audio, service = os.urandom(size), Service()
    path = tmp_path / "a file.wav"
    path.write_bytes(audio)
    with in_thread(serve_by_aiohttp(service, tls.server if secure else None)) as url:
        async with transport.client(url, ssl_context=tls.client) as client:
            for given in (audio, path, str(path)):
                transcript = await client.transcribe(given, FileTranscriptionConfig(language="hi"))
                assert (transcript.text, transcript.request_id) == ("said in a file", "r-1")
            await client.transcribe(url="https://example.com/a.wav")
    assert service.bodies == [audio] * 3 + [b'{"url":"https://example.com/a.wav"}']
    assert service.targets[0] == "/waves/v1/stt/?model=pulse&language=hi"
    assert service.headers[0]["authorization"] == f"Bearer {KEY}"
    assert service.headers[0]["content-length"] == str(size)


@SECURE
@pytest.mark.parametrize("route", ["unified", "model"])
async def test_the_local_server_hears_a_file(transport: Driver, tls: Tls, route: str, secure: bool) -> None:
    speech, file = coded_speech([1, 2, 0.8, 3]), io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, 16000, 0, "NONE", "NONE"))
        written.writeframes(speech.pcm)
    with local_server(tls=tls.server if secure else None) as url:
        async with transport.client(url, ssl_context=tls.client, route=route) as client:
            transcript = await client.transcribe(file.getvalue(), FileTranscriptionConfig(word_timestamps=True))
            assert transcript.text == speech.text
            assert [word.start for word in transcript.words] == [word.start / 16000 for word in speech.words]
            with pytest.raises(StatusError) as raised:
                await client.transcribe(b"no audio at all")
            assert raised.value.failure.status == 400


async def test_files_that_are_none(transport: Driver, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    with (tmp_path / "large.wav").open("wb") as file:
        file.truncate(250_000_001)  # sparse: it takes no room
    async with transport.client("http://127.0.0.1:1/") as client:
        with pytest.raises(FileNotFoundError, match=r"missing\.wav"):
            await client.transcribe(tmp_path / "missing.wav")
        with pytest.raises(IsADirectoryError):
            await client.transcribe(tmp_path)
        for given, said in (
            (tmp_path / "empty.wav", r"empty\.wav is empty"),
            (str(tmp_path / "large.wav"), r"large\.wav is over 250 MB"),
            (b"", "empty"),
            (os.devnull, "empty"),
            (None, "either"),
            ([b"abc"], "must be bytes"),
        ):
            with pytest.raises(ConfigurationError, match=said):
                await client.transcribe(given)


@pytest.mark.parametrize("size", [10, 20_000_000])
async def test_a_refusal_is_heard_while_the_file_still_goes_out(transport: Driver, size: int) -> None:
    refusal = b'HTTP/1.1 413 Large\r\nContent-Length: 20\r\n\r\n{"error":"too much"}'
    with serving(answering(refusal)) as url:
        async with transport.client(url) as client:
            with pytest.raises(StatusError) as raised:
                await client.transcribe(bytes(size))
    assert raised.value.failure.status == 413


async def test_an_answer_that_comes_by_webhook(transport: Driver) -> None:
    accepted = b'HTTP/1.1 202 Accepted\r\nContent-Length: 42\r\n\r\n{"status":"processing","request_id":"r-9"}'
    later = FileTranscriptionConfig(model="pulse-pro", webhook_url="https://example.com/hook")
    with serving(answering(accepted)) as url:
        async with transport.client(url) as client:
            assert (await client.transcribe_by_webhook(b"abc", later)).request_id == "r-9"
            with pytest.raises(ConfigurationError, match="transcribe_by_webhook"):
                await client.transcribe(b"abc", later)
            with pytest.raises(ConfigurationError, match="webhook_url"):
                await client.transcribe_by_webhook(b"abc")
            with pytest.raises(ProtocolError, match="later, though no webhook_url"):
                await client.transcribe(b"abc")
