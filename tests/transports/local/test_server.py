"""Live links on real loopback sockets; the client is that of another library."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from typing import TYPE_CHECKING, Any

import jiwer
import pytest
from websockets.exceptions import ConnectionClosed

from smallest_proto.config import TranscriptionConfig
from smallest_proto.reading import Word
from smallest_proto.server.imperfection import Imperfection
from smallest_proto.server.recogniser import CodedRecogniser, PlainRecogniser, RecogniserFactory, coded_speech
from smallest_transports.local import live_link
from smallest_transports.local import server as server_module
from smallest_transports.local.pcm import Samples, to_linear16
from smallest_transports.local.plan import Plan
from smallest_transports.local.server import LocalServer

if TYPE_CHECKING:
    from .conftest import Deaf, Peer

LIVE = "/stt/live?model=pulse&language=en&encoding=linear16&sample_rate=16000"
TEXT = "please call me back on tuesday morning"
CLOSE_STREAM = '{"type":"close_stream"}'
FINALIZE = '{"type":"finalize"}'


@pytest.mark.parametrize("path", [LIVE, "/pulse/get_text?language=en&sample_rate=16000", "/transcribe?language=en"])
async def test_every_word_arrives_on_every_route(path: str, peer: Peer) -> None:
    speech = coded_speech([1, 2, 3, 0.8, 4, 5])
    async with LocalServer(recogniser=CodedRecogniser) as server, peer.live(server, path) as socket:
        await peer.send_audio(socket, speech.pcm)
        await socket.send(CLOSE_STREAM)
        received = await peer.messages(socket)
        assert socket.close_code == 1000
    finals = [message for message in received if message["is_final"]]
    assert [final["transcript"] for final in finals] == ["w1 w2 w3", "w4 w5"]
    assert [final["is_last"] for final in finals] == [False, True]
    assert ("transcription" in finals[0]) == (not path.startswith("/transcribe"))


async def test_a_finalize_is_answered_and_the_link_goes_on(peer: Peer) -> None:
    speech = coded_speech([7, 8])
    async with LocalServer(recogniser=CodedRecogniser) as server, peer.live(server) as socket:
        await peer.send_audio(socket, speech.pcm)
        await socket.send(FINALIZE)
        while not (message := await peer.receive(socket))["is_final"]:
            pass
        assert (message["transcript"], message["from_finalize"]) == ("w7 w8", True)
        await socket.send(FINALIZE)
        empty = await peer.receive(socket)
        assert (empty["transcript"], empty["from_finalize"]) == ("", True)
        await socket.send('{"type":"keepalive"}')
        assert await peer.receive(socket) == {"type": "pong"}
        await peer.send_audio(socket, speech.pcm)
        await socket.send(CLOSE_STREAM)
        assert (await peer.messages(socket))[-1]["transcript"] == "w7 w8"


async def test_a_service_that_is_not_ideal(peer: Peer) -> None:
    imperfection = Imperfection(unlabelled=True, leaves_word=True, words_per_final=2, late=0.01, respelled=True)
    speech = coded_speech([0.1, 1, 2, 3])
    transcripts = []
    async with LocalServer(recogniser=CodedRecogniser, imperfection=imperfection) as server:
        for _ in range(2):
            async with peer.live(server) as socket:
                await peer.send_audio(socket, speech.pcm[:-1000])  # in the middle of a word
                await socket.send(FINALIZE)
                await peer.send_audio(socket, speech.pcm[-1000:])
                await socket.send(CLOSE_STREAM)
                finals = [message for message in await peer.messages(socket) if message["is_final"]]
            assert [len(final["transcript"].split()) for final in finals] == [2, 0, 1]
            assert not any(final["from_finalize"] for final in finals)
            transcripts.append([final["transcript"] for final in finals])
    assert transcripts[0] != transcripts[1]  # each link hears in its own way


async def test_voice_events_come_when_asked_for(peer: Peer) -> None:
    words = [Word(text="hello", start=0.5, end=0.9)]
    async with (
        LocalServer(recogniser=lambda options: PlainRecogniser(words, options)) as server,
        peer.live(server, LIVE + "&vad_events=true") as socket,
    ):
        await peer.send_audio(socket, bytes(64000))
        await socket.send(CLOSE_STREAM)
        events = {message["type"]: message.get("timestamp") for message in await peer.messages(socket)}
    assert events["speech_started"] == 0.5
    assert events["speech_ended"] == 0.9


async def test_what_cannot_be_done_is_refused_with_a_status(peer: Peer) -> None:
    async with LocalServer(key="sk-right", recogniser=CodedRecogniser) as server:
        right = {"Authorization": "Bearer sk-right"}
        status, text = await peer.status_of(server, LIVE)
        assert status == 401
        assert "sk-right" not in text
        assert (await peer.status_of(server, LIVE, **{"X-Source": "test"}))[0] == 401
        status, text = await peer.status_of(server, LIVE.replace("16000", "12345"), **right)
        assert status == 400
        assert "8000, 16000" in text
        assert (await peer.status_of(server, "/nowhere", **right))[0] == 404
        # The recogniser's own refusal.
        status, text = await peer.status_of(server, LIVE.replace("linear16", "mulaw"), **right)
        assert status == 400
        assert "linear16" in text
        async with peer.live(server, **right) as socket:
            await socket.send(CLOSE_STREAM)
            assert (await peer.messages(socket))[-1]["is_last"]


async def test_beyond_its_bound_links_are_closed_with_1013_until_one_ends(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_link, "FULL_SECONDS", 0.05)
    async with (
        LocalServer(max_live=2, recogniser=CodedRecogniser) as server,
        peer.live(server) as first,
        peer.live(server),
    ):
        async with peer.live(server) as third:
            (error,) = await peer.messages(third)
            assert "2 live links" in error["message"]
            assert third.close_code == 1013
        await first.send(CLOSE_STREAM)
        assert (await peer.messages(first))[-1]["is_last"]
        async with peer.live(server) as fourth:
            await fourth.send(CLOSE_STREAM)
            assert (await peer.messages(fourth))[-1]["is_last"]


async def test_a_client_may_go_over_to_a_new_link_where_no_place_is_free(peer: Peer) -> None:
    """A hot update opens the new link before it closes the old one."""
    speech = coded_speech([1, 2])
    async with LocalServer(max_live=1, recogniser=CodedRecogniser) as server, peer.live(server) as old:
        async with peer.live(server) as new:
            await peer.send_audio(new, speech.pcm)
            await old.send(CLOSE_STREAM)
            assert (await peer.messages(old))[-1]["is_last"]
            await new.send(CLOSE_STREAM)
            assert (await peer.messages(new))[-1]["transcript"] == "w1 w2"
        for _ in range(10):  # as fast as it can, with a word that is being heard
            async with peer.live(server) as socket:
                await socket.send(speech.pcm[:3200])
                await socket.send(FINALIZE)
                while not (said := await peer.receive(socket)).get("is_final"):
                    assert said["type"] == "transcription"
                socket.transport.abort()


async def test_a_place_is_free_while_the_last_step_of_a_client_that_is_gone_is_computed(peer: Peer, deaf: Deaf) -> None:
    made: list[Any] = []

    def make(options: TranscriptionConfig) -> Any:
        made.append(deaf if not made else CodedRecogniser(options))
        return made[-1]

    deaf.hurry = deaf.go_on.is_set  # type: ignore[method-assign]  # it cannot be hurried
    async with LocalServer(max_live=1, recogniser=make) as server:
        async with peer.live(server) as gone:
            await gone.send(bytes(1600))
            await asyncio.to_thread(deaf.entered.wait)
            gone.transport.abort()
        async with peer.live(server) as socket:
            await socket.send(CLOSE_STREAM)
            assert (await peer.messages(socket))[-1]["is_last"]
        deaf.go_on.set()


async def test_pings_are_answered_while_the_recogniser_is_far_behind(peer: Peer, deaf: Deaf) -> None:
    async with LocalServer(recogniser=lambda _: deaf) as server, peer.live(server) as socket:
        for _ in range(200):  # a minute of audio, of which none has been heard
            await socket.send(bytes(9600))
        await (await socket.ping())
        deaf.go_on.set()
        await socket.send(CLOSE_STREAM)
        await peer.messages(socket)
    assert sum(call for call in deaf.calls if isinstance(call, int)) == 200 * 9600


async def test_a_language_is_refused_over_the_open_link_where_english_alone_is_served(peer: Peer) -> None:
    async with LocalServer(recogniser=CodedRecogniser, english_only=True) as server:
        async with peer.live(server, LIVE.replace("=en", "=hi")) as socket:
            (error,) = await peer.messages(socket)
            assert error["error_code"] == "LANGUAGE_NOT_ENABLED_IN_REGION"
            assert socket.close_code == 1008
        status, answer, _ = await peer.post(server, b"RIFF", "/stt/?model=pulse&language=hi")
        assert (status, answer["error_code"]) == (400, "LANGUAGE_NOT_ENABLED_IN_REGION")
        async with peer.live(server, LIVE.replace("=en", "=multi-asian")) as socket:
            await socket.send(CLOSE_STREAM)
            assert (await peer.messages(socket))[-1]["is_last"]


async def test_what_is_passed_over_is_noted_in_the_log_once(peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    async with LocalServer(recogniser=CodedRecogniser) as server:
        for _ in range(2):
            path = LIVE + "&punctuation=false&max_words=many"
            async with peer.live(server, path, Authorization="Token some-key") as socket:
                await socket.send('{"type":"end"}')
                await socket.send(CLOSE_STREAM)
                assert [said["is_last"] for said in await peer.messages(socket)] == [True]
    noted = [record.getMessage().split(":")[0] for record in caplog.records if record.levelno >= logging.WARNING]
    assert sorted(noted) == ["max_words is passed over", "punctuation is passed over"]


async def test_a_head_that_does_not_come_to_its_end_is_not_waited_for(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "HEAD_SECONDS", 0.2)
    async with LocalServer(recogniser=CodedRecogniser) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", peer.port_of(server))
        writer.write(b"GET /stt/live HTTP/1.1\r\n")
        reading = asyncio.ensure_future(reader.read())
        for letter in itertools.count():  # a header that never ends
            done, _ = await asyncio.wait([reading], timeout=0.01)
            if done:
                break
            assert letter < 1000
            writer.write(b"X")
        with contextlib.suppress(ConnectionResetError):  # a letter that came after the close
            assert reading.result() == b""
        writer.close()


@pytest.mark.parametrize("over", ["live", "files"])
async def test_the_limits_of_a_plan_are_told_with_429(peer: Peer, over: str) -> None:
    plan = Plan(live=1, files_a_minute=2)
    async with LocalServer(recogniser=CodedRecogniser, plan=plan) as server:
        if over == "live":
            async with peer.live(server) as first:
                status, said = await peer.status_of(server, LIVE)
                assert (status, "live sessions" in said) == (429, True)
                await first.send(CLOSE_STREAM)
                await peer.messages(first)
            async with peer.live(server) as again:
                await again.send(CLOSE_STREAM)
                assert (await peer.messages(again))[-1]["is_last"]
            return
        for expected in (200, 200, 429):
            status, _, headers = await peer.post(server, peer.wav(bytes(3200)))
            assert status == expected
        assert 1 <= int(headers["Retry-After"]) <= 60
        assert (await peer.post(server, peer.wav(bytes(3200)), "/stt/?model=pulse-pro"))[0] == 200


async def test_what_waits_is_heard_together_and_a_finalize_hurries_it(peer: Peer, deaf: Deaf) -> None:
    async with LocalServer(recogniser=lambda _: deaf) as server, peer.live(server) as socket:
        await socket.send(bytes(1600))
        await asyncio.to_thread(deaf.entered.wait)
        for _ in range(10):
            await socket.send(bytes(1600))
        await socket.send(FINALIZE)
        assert (await peer.receive(socket))["from_finalize"]
        assert deaf.calls == [1600, "hurry", 16000, "finalize"]


async def test_a_recogniser_that_is_behind_stops_the_client_and_loses_nothing(peer: Peer, deaf: Deaf) -> None:
    sent = 0

    async with LocalServer(recogniser=lambda _: deaf) as server, peer.live(server) as socket:

        async def flood() -> None:
            nonlocal sent
            for _ in range(10_000):
                await socket.send(bytes(8000))
                sent += 8000

        flooding = asyncio.ensure_future(flood())
        await asyncio.to_thread(deaf.entered.wait)
        # The server and the socket's buffers take some megabytes; then nothing goes out any more.
        before = -1
        while sent != before:
            before = sent
            done, _ = await asyncio.wait([flooding], timeout=0.5)
            assert not done
        assert sent < 60_000_000
        deaf.go_on.set()
        await flooding
        await socket.send(CLOSE_STREAM)
        await peer.messages(socket)
    assert sum(call for call in deaf.calls if isinstance(call, int)) == sent == 80_000_000
    assert max(call for call in deaf.calls if isinstance(call, int)) < 16000 * 2 * live_link.STEP_SECONDS + 2**17


async def test_a_recogniser_that_fails_ends_the_link_with_1011(
    caplog: pytest.LogCaptureFixture, peer: Peer, failing: RecogniserFactory
) -> None:
    caplog.set_level(logging.DEBUG, "smallest_transports")
    async with LocalServer(recogniser=failing) as server, peer.live(server) as socket:
        await socket.send(bytes(1600))
        (error,) = await peer.messages(socket)
        assert error["type"] == "error"
        assert socket.close_code == 1011
    assert "ValueError" in caplog.text
    assert "what the user said" not in caplog.text


async def test_a_recogniser_that_cannot_be_made_is_a_500(peer: Peer) -> None:
    def broken(_: TranscriptionConfig) -> CodedRecogniser:
        raise RuntimeError("no")

    async with LocalServer(recogniser=broken) as server:
        assert (await peer.status_of(server, LIVE))[0] == 500


async def test_a_silent_client_is_let_go(peer: Peer) -> None:
    async with LocalServer(recogniser=CodedRecogniser, inactivity=0.05) as server:
        async with peer.live(server) as socket:
            await peer.messages(socket)
            assert socket.close_code == 1000
        reader, writer = await asyncio.open_connection("127.0.0.1", peer.port_of(server))
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_vanishes_gives_its_place_back(peer: Peer) -> None:
    async with LocalServer(max_live=1, recogniser=CodedRecogniser) as server:
        async with peer.live(server) as socket:
            await socket.send(coded_speech([1, 2]).pcm[:8000])
            socket.transport.abort()
        served = False
        while not served:  # the server hears of it in its own time
            async with peer.live(server) as socket:
                with contextlib.suppress(ConnectionClosed):
                    await socket.send(CLOSE_STREAM)
                served = bool((await peer.messages(socket))[-1].get("is_last"))


async def test_speech_becomes_text_live(spoken: Samples, peer: Peer) -> None:
    async with (
        LocalServer() as server,
        peer.live(server, LIVE + "&vad_events=true&word_timestamps=true&format=false") as socket,
    ):
        await peer.send_audio(socket, to_linear16(spoken))
        await socket.send(CLOSE_STREAM)
        received = await peer.messages(socket)
    kinds = [message["type"] for message in received]
    assert kinds.index("speech_started") < kinds.index("transcription")
    assert kinds.count("speech_ended") >= 1
    finals = [message for message in received if message.get("is_final")]
    assert jiwer.wer(TEXT, " ".join(final["transcript"] for final in finals)) < 0.15
    assert finals[0]["speech_final"]
    assert finals[-1]["is_last"]
    words = [word for final in finals for word in final["words"]]
    assert 0.9 < words[0]["start"] < 1.5


async def test_four_links_are_heard_at_once(spoken: Samples, peer: Peer) -> None:
    async def one(server: LocalServer) -> str:
        async with peer.live(server, LIVE + "&format=false") as socket:
            await peer.send_audio(socket, to_linear16(spoken))
            await socket.send(CLOSE_STREAM)
            return " ".join(m["transcript"] for m in await peer.messages(socket) if m["is_final"]).strip()

    async with LocalServer() as server:
        assert await asyncio.gather(*(one(server) for _ in range(4))) == [TEXT] * 4


async def test_opus_is_refused_by_name_and_other_languages_are_heard_as_english(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    async with LocalServer() as server:
        status, text = await peer.status_of(server, LIVE.replace("linear16", "opus").replace("16000", "48000"))
        assert status == 400
        assert "send linear16, linear32, alaw or mulaw" in text
        async with peer.live(server, LIVE.replace("=en", "=kn") + "&diarize=true") as socket:
            await socket.send(CLOSE_STREAM)
            assert (await peer.messages(socket))[-1]["language"] == "kn"
    assert "kn is heard as English" in caplog.text
    assert "cannot tell speakers apart" in caplog.text
