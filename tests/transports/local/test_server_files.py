"""Files over HTTP; the client is that of another library."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import aiohttp
import jiwer
import numpy as np
import pytest
import soundfile

from smallest_proto.config import FileTranscriptionConfig, SynthesisConfig
from smallest_proto.server.recogniser import CodedRecogniser, RecogniserFactory, coded_speech
from smallest_proto.server.synthesiser import CodedSynthesiser
from smallest_transports.asyncio import Client
from smallest_transports.local import desks
from smallest_transports.local.desks import RETRY_AFTER
from smallest_transports.local.pcm import Samples
from smallest_transports.local.server import LocalServer

if TYPE_CHECKING:
    from .conftest import Deaf, Peer

TEXT = "please call me back on tuesday morning"


@pytest.mark.parametrize("path", ["/stt/?model=pulse", "/stt?model=pulse", "/pulse/get_text?language=en"])
async def test_a_file_is_transcribed_sample_for_sample(path: str, peer: Peer) -> None:
    speech = coded_speech([1, 2, 0.8, 3])
    async with LocalServer(recogniser=CodedRecogniser) as server:
        status, answer, _ = await peer.post(server, peer.wav(speech.pcm), path + "&word_timestamps=true")
        assert status == 200
        assert answer["transcription"] == "w1 w2 w3"
        assert [word["word"] for word in answer["words"]] == ["w1", "w2", "w3"]
        assert answer["metadata"]["duration"] == pytest.approx(speech.seconds)
        assert answer["metadata"]["fileSize"] == len(peer.wav(speech.pcm))


async def test_a_file_is_what_its_bytes_say_and_raw_samples_are_not_heard(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    """The service drops ``encoding`` of an upload: clients that send it with a WAV are heard, raw samples are not."""
    speech = coded_speech([1, 2])
    path = "/stt/?model=pulse&encoding=linear16&sample_rate=16000"
    async with LocalServer(recogniser=CodedRecogniser) as server:
        status, answer, _ = await peer.post(server, peer.wav(speech.pcm), path)
        assert (status, answer["transcription"]) == (200, "w1 w2")
        status, answer, _ = await peer.post(server, speech.pcm, path)
        assert (status, answer["transcription"], answer["metadata"]["duration"]) == (200, "", 0.0)
    assert "send it as WAV" in caplog.text


@pytest.mark.parametrize("wish", [False, True])
async def test_a_wish_for_deletion_is_confirmed(wish: bool, peer: Peer) -> None:
    """As the vendor's x-content-expiry does, in the answer to a file and to a text."""
    async with (
        LocalServer(recogniser=CodedRecogniser, synthesiser=CodedSynthesiser) as server,
        Client(api_key="some-key", base_url=server.base_url) as client,
    ):
        config = FileTranscriptionConfig(expire_content=wish)
        transcript = await client.transcribe(peer.wav(coded_speech([1]).pcm), config)
        async with client.synthesize("w1", SynthesisConfig(expire_content=wish)) as speech:
            async for _ in speech:
                pass
    assert speech.finished is not None
    assert transcript.content_expiry == speech.finished.content_expiry == ("applied" if wish else None)


async def test_bad_files_and_bad_requests_are_answered_with_a_status(peer: Peer) -> None:
    async with LocalServer(recogniser=CodedRecogniser, key="sk-test-key") as server:
        for body in (b"", b"no audio at all", peer.wav(b"")):
            status, answer, _ = await peer.post(server, body)
            assert status == 400
            assert set(answer) == {"error", "request_id"}
        assert (await peer.post(server, b"", Authorization="Bearer wrong"))[0] == 401
        kind = {"Authorization": "Bearer sk-test-key", "Content-Type": "application/json"}
        status, answer, _ = await peer.post(server, b'{"url": "https://a.example/b.wav"}', **kind)
        assert status == 400
        assert "reaches no network" in answer["error"]


async def test_a_file_that_is_too_large_is_refused_before_it_was_sent(peer: Peer) -> None:
    async with LocalServer(recogniser=CodedRecogniser) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", peer.port_of(server))
        writer.write(
            b"POST /stt/?model=pulse HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
            b"Content-Length: 300000000\r\n\r\n" + bytes(100_000)
        )
        assert b" 413 " in await reader.readline()
        writer.close()
        await writer.wait_closed()


async def test_files_wait_for_their_turn_and_only_beyond_that_are_told_when_to_come_again(
    peer: Peer, deaf: Deaf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desks, "WAITING_FILES", 2)
    file = peer.wav(bytes(3200))
    async with LocalServer(max_files=1, recogniser=lambda _: deaf) as server:
        first = asyncio.ensure_future(peer.post(server, file))
        await asyncio.to_thread(deaf.entered.wait)
        more = {asyncio.ensure_future(peer.post(server, file)) for _ in range(3)}
        done, waiting = await asyncio.wait(more, return_when=asyncio.FIRST_COMPLETED)
        (refused,) = done
        assert refused.result()[0] == 503
        assert refused.result()[2]["Retry-After"] == str(RETRY_AFTER)
        assert len(deaf.calls) == 1
        deaf.go_on.set()
        assert [(await one)[0] for one in (first, *waiting)] == [200] * 3


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.wait([asyncio.ensure_future(asyncio.sleep(0))])


async def test_a_file_whose_client_went_away_while_it_waited_is_not_transcribed(peer: Peer, deaf: Deaf) -> None:
    file = peer.wav(bytes(3200))
    async with LocalServer(max_files=1, recogniser=lambda _: deaf) as server:
        first = asyncio.ensure_future(peer.post(server, file))
        await asyncio.to_thread(deaf.entered.wait)
        waiting = asyncio.ensure_future(peer.post(server, file))
        await until(lambda: server._files._places.waiting == 1)
        waiting.cancel()
        await asyncio.wait([waiting])
        last = asyncio.ensure_future(peer.post(server, file))
        await until(lambda: server._files._places.waiting == 2)
        deaf.go_on.set()
        assert [(await one)[0] for one in (first, last)] == [200, 200]
    assert deaf.calls.count("finalize") == 2


async def test_a_recogniser_that_fails_on_a_file_is_a_500(peer: Peer, failing: RecogniserFactory) -> None:
    async with LocalServer(recogniser=failing) as server:
        assert (await peer.post(server, peer.wav(bytes(3200))))[0] == 500


async def test_stopping_gives_up_a_file(peer: Peer, deaf: Deaf) -> None:
    async with LocalServer(recogniser=lambda _: deaf) as server:
        posting = asyncio.ensure_future(peer.post(server, peer.wav(bytes(320_000))))
        await asyncio.to_thread(deaf.entered.wait)
        asyncio.get_running_loop().call_soon(deaf.go_on.set)  # runs once the server has begun to stop
    with pytest.raises(aiohttp.ClientError):
        await posting
    assert len([call for call in deaf.calls if isinstance(call, int)]) == 1


@pytest.mark.parametrize(("format", "subtype"), [("WAV", "PCM_16"), ("FLAC", None), ("OGG", "VORBIS"), ("MP3", None)])
async def test_files_of_many_kinds_become_text(spoken: Samples, format: str, subtype: str | None, peer: Peer) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.column_stack((spoken, spoken)), 16000, subtype, format=format)
    async with LocalServer() as server:
        status, answer, _ = await peer.post(server, file.getvalue(), "/stt/?model=pulse&language=en&format=false")
    assert status == 200
    assert jiwer.wer(TEXT, answer["transcription"]) < 0.15
