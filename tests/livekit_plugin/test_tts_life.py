"""The TTS over its life: odd texts, connections that are opened ahead, kept and closed, options that change."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from livekit.agents import APIError, APIStatusError, tts
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT
from livekit.plugins import smallest_proto
from websockets.asyncio.server import ServerConnection, serve

from smallest_proto import Timeouts
from smallest_proto.server.synthesiser import CodedSynthesiser

from .mouth import AGAIN, RATE, TEXT, WORDS, open_bench, say, spoken
from .stage import KEY, ONCE, dumb, scripted

LONG = "w1 w2 w3 w4 w5 w6 w7 w8. " * 20


def seconds(audio: list[tts.SynthesizedAudio]) -> float:
    return sum(piece.frame.duration for piece in audio)


@pytest.mark.parametrize("continuations", [False, True])
class TestOddText:
    @pytest.mark.parametrize("text", ["...", "🙂", " — ", "__"])
    async def test_what_is_no_word_is_a_moment_of_silence(self, text: str, continuations: bool) -> None:
        async with open_bench(use_continuations=continuations) as bench:
            async with bench.tts.stream() as stream:
                assert 0 < seconds(await say(stream, text)) < 0.1
            if text != "__":  # which the service is left to judge
                async with bench.tts.synthesize(text) as whole:
                    assert 0 < seconds([piece async for piece in whole]) < 0.1
            async with bench.tts.stream() as stream:
                assert spoken(await say(stream, TEXT)) == WORDS
            assert bench.errors == []

    @pytest.mark.parametrize("text", ["", " ", "\n"])
    async def test_blanks_are_nothing(self, text: str, continuations: bool) -> None:
        async with open_bench(use_continuations=continuations) as bench:
            async with bench.tts.stream() as stream:
                assert await say(stream, text) == []
            async with bench.tts.synthesize(text) as whole:
                assert [piece async for piece in whole] == []
            assert bench.errors == []

    @pytest.mark.parametrize(
        "tokens", [("w1 \ud800 w2.",), ("w1 \ud83e", "\udd16 w2."), ("\ud83d", "\ude80", " w1 w2.\ud83d")]
    )
    async def test_half_a_character_silences_nothing(self, continuations: bool, tokens: tuple[str, ...]) -> None:
        async with open_bench(use_continuations=continuations) as bench:
            async with bench.tts.stream(conn_options=AGAIN) as stream:
                assert spoken(await say(stream, *tokens)) == ["w1", "w2"]
            async with bench.tts.synthesize("".join(tokens), conn_options=AGAIN) as whole:
                assert spoken([piece async for piece in whole]) == ["w1", "w2"]
            assert bench.errors == []

    async def test_text_after_the_end_is_passed_over(self, continuations: bool) -> None:
        async with open_bench(use_continuations=continuations) as bench, bench.tts.stream() as stream:
            stream.push_text("w1 ")
            stream.flush()
            stream.push_text("w2 ")  # the framework has one segment to a stream
            assert spoken(await say(stream, "w3")) == ["w1"]
            stream.push_text("w4")
            stream.end_input()

    async def test_words_become_a_transcript_that_can_be_read(self, continuations: bool) -> None:
        made = open_bench(use_continuations=continuations, word_timestamps=True)
        async with made as bench, bench.tts.stream() as stream:
            audio = await say(stream, "w1 w2, ", '"w3" w4! ', "w5.")
        timed = [word for piece in audio for word in piece.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, ())]
        assert "".join(timed) == 'w1 w2, "w3" w4! w5.'


@pytest.mark.parametrize("word_timestamps", [False, True])
@pytest.mark.parametrize("continuations", [False, True])
async def test_barge_in_keeps_the_connection(continuations: bool, word_timestamps: bool) -> None:
    async with open_bench(use_continuations=continuations, word_timestamps=word_timestamps) as bench:
        for _ in range(3):
            async with bench.tts.stream() as stream:
                stream.push_text(LONG)
                stream.flush()
                await stream.__anext__()
        if not continuations:  # which alone can take back what was said: here a new one is opened at once
            bench.tts.prewarm()
            await asyncio.gather(*bench.tts._warming)
        async with bench.tts.stream() as stream:
            assert spoken(await say(stream, TEXT)) == WORDS
        assert [metric.connection_reused for metric in bench.metrics] == [True]  # of what came to its end


class TestOpenedAhead:
    async def test_a_connection_opens_while_the_text_is_being_written(self) -> None:
        connected = asyncio.Event()

        async def talk(_: ServerConnection) -> None:
            connected.set()

        async with serve(talk, "127.0.0.1", 0) as server, aiohttp.ClientSession() as http:
            where = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/waves/v1"
            made = smallest_proto.TTS(api_key=KEY, base_url=where, http_session=http)
            async with made, made.stream():
                await connected.wait()

    @pytest.mark.parametrize("given", [True, False])
    async def test_prewarm_without_what_it_needs_does_no_harm(self, log_lines: Callable[[], str], given: bool) -> None:
        """Outside of a job there is no HTTP session; the service can be away."""
        async with aiohttp.ClientSession() as http:
            where = "http://127.0.0.1:9/waves/v1"
            made = smallest_proto.TTS(api_key=KEY, base_url=where, http_session=http if given else None)
            made.prewarm()
            await asyncio.gather(*made._warming)
            await made.aclose()
        assert "no connection could be opened ahead" in log_lines()
        assert KEY not in log_lines()

    def test_prewarm_without_a_loop_does_no_harm(self) -> None:
        smallest_proto.TTS(api_key=KEY).prewarm()

    async def test_outside_of_a_job_without_a_session(self) -> None:
        made = smallest_proto.TTS(api_key=KEY)
        stream: Any
        for stream in (made.stream(), made.synthesize("w1")):
            with pytest.raises(RuntimeError, match="http_context"):
                await stream.__anext__()
            await stream.aclose()
        await made.aclose()


@pytest.mark.parametrize("continuations", [False, True])
class TestClosing:
    async def test_while_it_speaks(self, continuations: bool) -> None:
        async with open_bench(use_continuations=continuations) as bench:
            stream, whole = bench.tts.stream(conn_options=ONCE), bench.tts.synthesize(LONG, conn_options=ONCE)
            stream.push_text(LONG)
            stream.flush()
            await stream.__anext__()
            await whole.__anext__()
            await asyncio.wait_for(bench.tts.aclose(), 5)
            with pytest.raises(APIError, match="ended before all was spoken"):
                [piece async for piece in stream]
            await stream.aclose()
            await whole.aclose()
            async with bench.tts.stream() as stream:  # it opens anew
                assert spoken(await say(stream, TEXT)) == WORDS

    @pytest.mark.parametrize("turns", [0, 1, 3, 10, 30])
    async def test_while_it_connects(self, continuations: bool, turns: int) -> None:
        async with dumb() as base_url, open_bench(base_url=base_url, use_continuations=continuations) as bench:
            bench.tts.prewarm()
            stream, whole = bench.tts.stream(), bench.tts.synthesize("w1")
            stream.push_text("w1 ")
            for _ in range(turns):
                await asyncio.sleep(0)
            await asyncio.wait_for(stream.aclose(), 5)
            await asyncio.wait_for(whole.aclose(), 5)
            await asyncio.wait_for(bench.tts.aclose(), 5)
            await asyncio.wait_for(bench.tts.aclose(), 5)


class TestOptions:
    async def test_a_new_rate_holds_for_the_next_segment(self) -> None:
        async with open_bench() as bench:
            async with bench.tts.stream() as stream:
                stream.push_text("w1 ")
                bench.tts.update_options(sample_rate=16000)
                assert bench.tts.sample_rate == 16000
                audio = await say(stream, "w2")
            assert (audio[0].frame.sample_rate, spoken(audio)) == (RATE, ["w1", "w2"])
            async with bench.tts.stream() as stream:
                audio = await say(stream, TEXT)
            assert (audio[0].frame.sample_rate, spoken(audio, 16000)) == (16000, WORDS)

    @pytest.mark.parametrize(
        ("model", "sent", "voice"),
        [
            ("lightning-v3.1", "lightning_v3.1", "sophia"),
            ("lightning_v3.1", "lightning_v3.1", "sophia"),
            ("lightning_v3.1_pro", "lightning_v3.1_pro", "meher"),
            ("lightning-v3.1_pro", "lightning_v3.1_pro", "meher"),
        ],
    )
    async def test_what_is_asked_for(self, model: str, sent: str, voice: str) -> None:
        asked: list[dict[str, Any]] = []

        async def answer(socket: Any, message: dict[str, Any] | bytes) -> None:
            assert isinstance(message, dict)
            asked.append(message)
            if not message["continue"]:
                await socket.send('{"status":"error","message":"no more"}')

        made = open_bench(model=model, use_continuations=False)
        async with scripted(answer) as service, made as other:
            other.tts._live = smallest_proto.TTS(api_key=KEY, base_url=service.base_url)._live
            stream = other.tts.stream(conn_options=ONCE)
            with pytest.raises(APIError):
                await say(stream, "w1")
            await stream.aclose()
            headers = service.headers[0]
        assert {(one["model"], one["voice_id"]) for one in asked} == {(sent, voice)}
        assert headers["authorization"] == f"Bearer {KEY}"
        assert (headers["x-source"], headers["x-livekit-version"]) == ("livekit", smallest_proto.__version__)

    @pytest.mark.parametrize("form", ["pcm", "wav", "mp3", "ulaw", "alaw"])
    async def test_each_format_becomes_frames(self, form: str) -> None:
        async with open_bench(output_format=form) as bench, bench.tts.synthesize(TEXT) as stream:
            audio = [piece async for piece in stream]
        assert {piece.frame.sample_rate for piece in audio} == {RATE}
        (speech,) = CodedSynthesiser().speak("w1 w2 w3.", sample_rate=RATE)
        assert seconds(audio) > speech.seconds
        if form != "mp3":  # which loses what is coded in the samples
            assert spoken(audio) == WORDS


@pytest.mark.parametrize("continuations", [False, True])
@pytest.mark.parametrize("times", [1, 2])
async def test_a_message_that_is_refused_is_said_again(times: int, continuations: bool) -> None:
    """A request over the limit is answered by an error, and the socket lives."""
    refused: list[ServerConnection] = []
    texts: dict[ServerConnection, str] = {}

    async def answer(socket: Any, message: dict[str, Any] | bytes) -> None:
        assert isinstance(message, dict)
        ids = {name: message[name] for name in ("context_id",) if name in message}
        if socket not in refused and len(refused) < times:
            refused.append(socket)
            await socket.send(json.dumps({"status": "error", "message": "over the limit", **ids}))
            return
        texts[socket] = texts.get(socket, "") + message["text"]
        if not message["continue"]:
            (speech,) = CodedSynthesiser().speak(texts.pop(socket), sample_rate=RATE)
            audio = base64.b64encode(speech.pcm).decode()
            await socket.send(json.dumps({"status": "chunk", "data": {"audio": audio}, **ids}))
            await socket.send(json.dumps({"status": "complete", **ids}))

    async with scripted(answer) as service, open_bench(use_continuations=continuations) as bench:
        bench.tts._live = smallest_proto.TTS(api_key=KEY, base_url=service.base_url)._live
        async with bench.tts.stream(conn_options=AGAIN) as stream:
            assert spoken(await say(stream, "w1 ", "w2 ", "w3.")) == ["w1", "w2", "w3"]
        assert [error.recoverable for error in bench.errors] == [True] * times


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is dead is found soon."""
    soon = Timeouts(ping=0.1, pong=0.4, closing=0.2, audio=1.0)
    monkeypatch.setattr("livekit.plugins.smallest_proto.tts.speech_timeouts", lambda _: soon)


FAULTS = [
    "drop@0.3",
    "half-open@0.3",
    "close:1011@0.3",
    "error@0.3",
    "garbage@0.3",
    "refuse:503",
    "refuse:401",
]


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("options", [ONCE, AGAIN])
@pytest.mark.parametrize("fault", FAULTS)
async def test_no_text_shows_whatever_fails(log_lines: Callable[[], str], fault: str, options: Any) -> None:
    said = "Miriam"
    raised: list[BaseException] = []
    async with open_bench(faults=[fault], word_timestamps=True) as bench:
        stream = bench.tts.stream(conn_options=options)
        try:
            await say(stream, f"{said} w1 w2 w3 w4. ", f"{said}.")
        except APIError as error:
            raised.append(error)
        await stream.aclose()
    errors = [*raised, *(told.error for told in bench.errors)]
    assert errors or fault.startswith("garbage")
    shown = "".join(f"{e} {e!r} {vars(e)} {e.__cause__!r} {e.__context__!r}" for e in errors)
    for text in (shown, f"{bench.errors!r} {bench.metrics!r}", log_lines()):
        assert said not in text
        assert KEY not in text
    if any(isinstance(error, APIStatusError) and error.status_code == 401 for error in errors):
        assert len(errors) == 2  # told, and raised: not tried again
