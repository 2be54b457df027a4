"""Speech on real loopback sockets; the clients are those of other libraries."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import aiohttp
import jiwer
import numpy as np
import pytest
import soundfile

from smallest_proto.config import TranscriptionConfig
from smallest_proto.server.recogniser import CodedRecogniser, Heard
from smallest_proto.server.synthesiser import CodedSynthesiser, SpokenPiece
from smallest_transports.local.desks import RETRY_AFTER
from smallest_transports.local.recogniser import Engines, LocalRecogniser
from smallest_transports.local.server import LocalServer
from smallest_transports.local.voices import VOICES
from smallest_transports.testing.conformance.speaking import TEXT, heard

from .speech_peer import KEY, SPEAK, VOICE, coded, listen, post, say

if TYPE_CHECKING:
    from .conftest import Peer


# --- the socket ---


async def test_both_protocols_on_one_socket_one_text_after_the_other(peer: Peer) -> None:
    async with coded() as server, peer.live(server, SPEAK) as socket:
        for fragment in ("w1 w", "2 w3"):
            await say(socket, text=fragment, **{"continue": True, "flush": False})
        await say(socket, text="", **{"continue": False, "flush": True})
        pcm, others = await listen(socket)
        assert heard(pcm) == "w1 w2 w3"
        assert [message["status"] for message in others] == ["complete"]
        await say(socket, text="w4. w5", context_id="c", word_timestamps=True, **{"continue": True})
        await say(socket, text=" w6.", context_id="c", **{"continue": False})
        pcm, others = await listen(socket, completes=2)
        assert heard(pcm) == "w4 w5 w6"
        words = [message["data"]["word"] for message in others if message["status"] == "word_timestamp"]
        assert words == ["w4.", "w5", "w6."]


async def test_barge_in_stops_the_speech_and_the_socket_goes_on(peer: Peer) -> None:
    text = " ".join(f"w{number}." for number in range(2000))
    async with coded() as server, peer.live(server, SPEAK) as socket:
        await say(socket, text=text, context_id="c", **{"continue": True})
        await socket.recv()
        await say(socket, context_id="c", cancel_request=True)
        await say(socket, text="w7", context_id="d")
        late, own = b"", b""
        while (message := json.loads(await socket.recv()))["status"] != "complete" or message["context_id"] != "d":
            if message["status"] == "chunk" and message["context_id"] == "c":
                late += base64.b64decode(message["data"]["audio"])
            elif message["status"] == "chunk":
                own += base64.b64decode(message["data"]["audio"])
        assert heard(own) == "w7"
        assert len(late) < 2 * 16000 * 300  # of some 500 s


@pytest.mark.parametrize("road", ["socket", "/tts", "/tts/live"])
async def test_a_client_that_does_not_read_stops_its_speech(peer: Peer, road: str) -> None:
    asked = 0

    class Endless(CodedSynthesiser):
        def speak(self, text: str, *, sample_rate: int, speed: float = 1.0) -> Iterator[SpokenPiece]:
            nonlocal asked
            (piece,) = super().speak(text, sample_rate=sample_rate, speed=speed)
            while True:
                asked += 1
                yield piece

    async def until_it_stops() -> None:
        before = -1
        while asked != before:  # until the buffers between the two are full
            before = asked
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.3)
        assert 0 < asked < 1000

    server = LocalServer(recogniser=CodedRecogniser, synthesiser=Endless)
    async with server:
        if road == "socket":
            async with peer.live(server, SPEAK) as socket:
                await say(socket, text=TEXT)
                await until_it_stops()
                socket.transport.abort()
            return
        async with (
            aiohttp.ClientSession(headers=KEY) as session,
            session.post(server.base_url + road, json={**VOICE, "text": TEXT}) as answer,
        ):
            await until_it_stops()
            answer.close()
            while server._connections:
                await asyncio.wait(tuple(server._connections))


async def test_of_an_answer_whose_client_is_gone_no_more_is_made() -> None:
    """An mp3 comes at its end: nothing is sent before that would tell."""
    asked = threading.Event()

    class Endless(CodedSynthesiser):
        def speak(self, text: str, *, sample_rate: int, speed: float = 1.0) -> Iterator[SpokenPiece]:
            while True:
                yield from super().speak(text, sample_rate=sample_rate, speed=speed)
                asked.set()

    server = LocalServer(recogniser=CodedRecogniser, synthesiser=Endless, max_speech=1)
    async with server:
        answer = asyncio.ensure_future(post(server, text="w1", output_format="mp3"))
        await asyncio.get_running_loop().run_in_executor(None, asked.wait)
        assert (await post(server, text="w1"))[0] == 503
        answer.cancel()
        await asyncio.wait([answer])
        while server._connections:
            await asyncio.wait(tuple(server._connections))
        assert server._speech.taken == 0


async def test_an_idle_socket_is_told_and_closed(peer: Peer) -> None:
    async with coded(inactivity=0.1) as server, peer.live(server, SPEAK) as socket:
        _, others = await listen(socket)
        assert "no message from the client for 0.1 s" in others[0]["message"]
        assert await peer.messages(socket) == []
        assert socket.close_code == 1000
        async with peer.live(server, f"{SPEAK}?timeout=30") as patient:
            await say(patient, text="w1")
            assert heard((await listen(patient))[0]) == "w1"


async def test_beyond_its_bound_speech_is_refused_by_socket_and_by_http(peer: Peer) -> None:
    async with coded(max_speech=1) as server, peer.live(server, SPEAK) as first:
        await say(first, text="w1")
        await listen(first)
        async with peer.live(server, SPEAK) as second:
            _, (error,) = await listen(second)
            assert "1 syntheses" in error["message"]
            assert await peer.messages(second) == []
            assert second.close_code == 1013
        status, body, headers = await post(server, text="w1")
        assert (status, headers["Retry-After"]) == (503, str(RETRY_AFTER))
        assert "the server is full" in json.loads(body)["message"]


async def test_stopping_says_goodbye(peer: Peer) -> None:
    async with contextlib.AsyncExitStack() as client:
        async with coded() as server:
            socket = await client.enter_async_context(peer.live(server, SPEAK))
            await say(socket, text=TEXT)
            await socket.recv()
        _, others = await listen(socket, completes=2)
        assert others[-1]["message"] == "the server goes away"
        await peer.messages(socket)
        assert socket.close_code == 1001


class Failing(CodedSynthesiser):
    """Fails after its first piece, with words that are nobody's business."""

    def speak(self, text: str, *, sample_rate: int, speed: float = 1.0) -> Iterator[SpokenPiece]:
        yield from super().speak(text, sample_rate=sample_rate, speed=speed)
        raise ValueError(f"what the user said: {text}")


class Broken:
    """Fails before its first piece."""

    def speak(self, text: str, *, sample_rate: int, speed: float = 1.0) -> Iterator[SpokenPiece]:
        raise ValueError(f"what the user said: {text}")


async def test_a_synthesiser_that_fails_is_told_without_its_words(peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        async with LocalServer(recogniser=CodedRecogniser, synthesiser=Broken) as server:
            status, body, _ = await post(server, text="w1")
            assert (status, json.loads(body)["message"]) == (500, "the synthesiser failed")
            async with peer.live(server, SPEAK) as socket:
                for _ in range(2):  # one error does not end the link
                    await say(socket, text="w1")
                    assert (await listen(socket))[1][0]["message"] == "the synthesiser failed"

    def unmade() -> CodedSynthesiser:
        raise ValueError("what the user said")

    async def none() -> None:
        async with LocalServer(recogniser=CodedRecogniser, synthesiser=unmade) as server:
            status, said = await peer.status_of(server, SPEAK)
            assert (status, said) == (500, "InternalServerError")
            assert (await post(server, text="w1"))[0] == 500

    async with LocalServer(recogniser=CodedRecogniser, synthesiser=Failing) as server:
        async with peer.live(server, SPEAK) as socket:
            await say(socket, text="w1")
            pcm, (error,) = await listen(socket)
            assert (heard(pcm), error["message"]) == ("w1", "the synthesiser failed")
        with pytest.raises(aiohttp.ClientPayloadError):  # half an answer is no answer
            await post(server, text="w1")
    await broken()
    await none()
    assert "ValueError" in caplog.text
    assert "what the user said" not in caplog.text


# --- HTTP ---


async def test_one_reply_says_what_it_is_and_whose() -> None:
    async with coded() as server:
        status, body, headers = await post(server, text=TEXT, session_id="mine", request_id="r.1")
        assert (status, heard(body)) == (200, TEXT)
        assert headers["Content-Type"] == "audio/wav"  # of PCM too, as the service says
        assert headers["Transfer-Encoding"] == "chunked"
        assert (headers["X-External-Session-Id"], headers["X-External-Request-Id"]) == ("mine", "r.1")
        assert headers["X-Session-Id"]
        assert headers["X-Request-Id"]
        status, body, _ = await post(server, "/lightning-v3.1/get_speech", text="w1 w2", speed=2)
        assert (status, heard(body)) == (200, "w1 w2")


class Tone:
    """Hums: what an encoder for human ears keeps."""

    def speak(self, text: str, *, sample_rate: int, speed: float = 1.0) -> Iterator[SpokenPiece]:
        pcm = self.samples(sample_rate).tobytes()
        yield SpokenPiece(pcm=pcm, seconds=1.0, words=())

    @staticmethod
    def samples(rate: int) -> np.ndarray[Any, np.dtype[np.int16]]:
        return (8000 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype("<i2")


@pytest.mark.parametrize("path", ["/tts", "/lightning-v3.1/get_speech"])
@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100])
@pytest.mark.parametrize(
    ("kind", "allowed"), [("pcm", 0.0), ("wav", 0.0), ("ulaw", 0.01), ("alaw", 0.01), ("mp3", 0.05)]
)
async def test_formats_at_every_rate_on_both_routes(kind: str, allowed: float, rate: int, path: str) -> None:
    async with LocalServer(recogniser=CodedRecogniser, synthesiser=Tone) as server:
        status, body, _ = await post(server, path, text="Hm.", output_format=kind, sample_rate=rate)
        assert status == 200
    subtype = {"pcm": "PCM_16", "ulaw": "ULAW", "alaw": "ALAW"}.get(kind)
    raw = {"format": "RAW", "samplerate": rate, "channels": 1, "subtype": subtype} if subtype else {}
    samples, found = soundfile.read(io.BytesIO(body), **raw)
    said = Tone.samples(rate) / 2**15
    assert found == rate
    assert len(samples) == len(said)
    middle = slice(rate // 10, -rate // 10)  # an mp3 fades in and out
    assert np.abs(samples - said)[middle].max() <= allowed


async def test_without_an_encoder_mp3_is_400(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soundfile, "available_formats", dict)
    async with coded() as server:
        status, body, _ = await post(server, text="w1", output_format="mp3")
        assert status == 400
        assert "makes no mp3" in json.loads(body)["error"][0]["message"]


async def test_server_sent_events() -> None:
    async with coded() as server:
        status, body, headers = await post(server, "/tts/live", text=TEXT)
        assert (status, headers["Content-Type"]) == (200, "text/event-stream")
        *events, last, empty = body.decode().split("\n\n")
        assert (last, empty) == ('data: {"status":"200","done":true}', "")
        pcm, sizes = b"", []
        for event in events:
            name, data = event.split("\n")
            message = json.loads(data.removeprefix("data: "))
            assert (name, message["done"], message["status"]) == ("event: audio", False, "206")
            pcm += base64.b64decode(message["audio"])
            sizes.append(len(base64.b64decode(message["audio"])))
        assert heard(pcm) == TEXT
        assert max(sizes) == 2 * 16000 * 20 // 1000  # 20 ms each


async def test_a_wav_says_exactly_how_long_it_is() -> None:
    async with coded() as server:
        _, body, _ = await post(server, text=TEXT, output_format="wav")
        assert int.from_bytes(body[4:8], "little") == len(body) - 8
        assert int.from_bytes(body[40:44], "little") == len(body) - 44
        assert heard(body[44:]) == TEXT


@pytest.mark.parametrize("path", ["/tts", "/tts/live"])
@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"text": ""}, "text", "the text is empty"),
        ({"text": None}, "text", "text is missing"),
        ({"text": "…"}, "text", "nothing that can be said"),
        ({"text": "w1", "voice_id": None}, "voice_id", "voice_id is missing"),
        ({"text": "w1", "voice_id": "nobody"}, "voice_id", "no voice 'nobody'"),
        ({"text": "w1", "sample_rate": 11025}, "sample_rate", "8000, 16000, 24000, 44100"),
        ({"text": "w1", "output_format": "flac"}, "output_format", "pcm, mp3, wav, ulaw, alaw"),
    ],
)
async def test_what_cannot_be_had_is_400_and_names_the_field(
    path: str, body: dict[str, Any], field: str, said: str
) -> None:
    async with coded() as server:
        status, answer, _ = await post(server, path, **body)
        assert status == 400
        (error,) = json.loads(answer)["error"]
        assert (error["path"], said in error["message"]) == ([field], True)
        assert (await post(server, path, text="w1"))[0] == 200


async def test_the_voices() -> None:
    async with coded() as server, aiohttp.ClientSession(headers=KEY) as session:
        async with session.get(server.base_url + "/voice/get-all-models") as answer:
            every = (await answer.json())["voices"]
        async with session.get(server.base_url + "/lightning-v3.1/get_voices") as answer:
            own = (await answer.json())["voices"]
    assert [voice["voiceId"] for voice in every] == [voice.voice_id for voice in VOICES]
    assert {"sophia", "meher"} <= {voice["voiceId"] for voice in every}
    assert "one voice" in every[0]["description"]
    assert own[0] == {
        "voiceId": "sophia",
        "displayName": "Sophia",
        "tags": {"language": ["english"], "accent": "american", "gender": "female"},
    }
    assert "meher" not in {voice["voiceId"] for voice in own}


# --- the real voice ---


async def test_what_the_server_says_is_heard_back(peer: Peer, models: Engines) -> None:
    text = "Please call me back on Tuesday morning. I will be at the office until half past four."

    async with LocalServer(recogniser=CodedRecogniser) as server, peer.live(server, SPEAK) as socket:
        await say(socket, text="Привет, мир.")
        _, (error,) = await listen(socket)
        assert "not Latin" in error["message"]
        for word in text.split():
            await say(socket, text=f"{word} ", word_timestamps=True, **{"continue": True})
        await say(socket, text="", **{"continue": False, "flush": True})
        pcm, others = await listen(socket)
        words = [m["data"] for m in others if m["status"] == "word_timestamp"]
        assert [word["word"] for word in words] == text.split()
        assert [word["id"] for word in words] == list(range(len(words)))
        times = [time for word in words for time in (word["start"], word["end"])]
        assert times == sorted(times)
        assert times[-1] <= len(pcm) / 32000
        assert (await post(server, text="世界"))[0] == 400
        assert len((await post(server, text="Good morning.", sample_rate=8000))[1]) > 8000
    pcm = bytes(16000) + pcm + bytes(16000)
    recogniser = LocalRecogniser(TranscriptionConfig(format=False), interims=False, models=models)
    results = [*recogniser.hear(pcm), *recogniser.finalize()]
    found = " ".join(result.text for result in results if isinstance(result, Heard))
    assert jiwer.wer(text.lower().replace(".", ""), found) < 0.15
