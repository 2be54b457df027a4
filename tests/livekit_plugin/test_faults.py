"""The STT at a service that fails: nothing said is lost, turns stay paired, nothing secret shows, every end comes."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
from livekit.agents import APIConnectionError, APIConnectOptions, APIError, APIStatusError, APITimeoutError, stt
from livekit.agents.stt import SpeechEvent, SpeechEventType
from livekit.plugins import smallest_proto
from livekit.plugins.smallest_proto import AudioLostError, AudioLostMetrics

from smallest_proto import Word
from smallest_proto.config import TranscriptionConfig
from smallest_proto.server.recogniser import PlainRecogniser, coded_speech

from .stage import KEY, ONCE, RATE, Bench, are_paired, dumb, finals, heard, open_bench, push, scripted, turns, words

SPEECH = coded_speech([1, 2, 0.9, 3, 4, 5, 6, 0.9, 7, 8, 0.9])
AGAIN = APIConnectOptions(max_retry=5, retry_interval=0.05)
SAID = "Miriam"

pytestmark = pytest.mark.usefixtures("hurry")


def all_words(events: list[SpeechEvent]) -> bool:
    """Whether each word of ``SPEECH`` came once, to the sample at its place."""
    expected = [(word.text, word.start, word.end) for word in SPEECH.words]
    return [(text, round(start * RATE), round(end * RATE)) for text, start, end in words(events)] == expected


async def gather(stream: stt.RecognizeStream, events: list[SpeechEvent]) -> None:
    async for event in stream:
        events.append(event)


FAULTS = [
    ("drop@1.6", APIConnectionError, None),
    ("drop@0.5x3", APIConnectionError, None),
    ("half-open@1.6", APITimeoutError, None),
    ("stall@1.6", APITimeoutError, None),
    ("mute@1.6", APITimeoutError, None),
    ("close:1011@1.6", APIStatusError, 1011),
    ("close:1000@1.6", APIStatusError, 1000),
    ("error@1.6", APIStatusError, -1),
    ("no-last", APIStatusError, 1000),
    ("refuse:503", APIStatusError, 503),
    ("refuse:429", APIStatusError, 429),
]


@pytest.mark.parametrize(("fault", "type_", "status"), FAULTS)
async def test_every_word_survives_it(fault: str, type_: type[APIError], status: int | None) -> None:
    async with open_bench(faults=[fault]) as bench:
        events = await heard(bench.stt.stream(conn_options=AGAIN), SPEECH.pcm)
        assert bench.server.faults_left == ()
    assert all_words(events)
    assert are_paired(events)
    assert len(turns(events)) == 6
    assert [type(error.error) for error in bench.errors] == [type_] * (3 if "x3" in fault else 1)
    assert all(error.recoverable for error in bench.errors)
    assert getattr(bench.errors[0].error, "status_code", None) == status
    used = sum(metric.audio_duration for metric in bench.metrics)
    assert used == pytest.approx(SPEECH.seconds)  # what is heard again is used once


@pytest.mark.parametrize("fault", ["garbage@1.6", "stall:0.2@1.6"])
async def test_what_passes_costs_no_connection(fault: str) -> None:
    async with open_bench(faults=[fault]) as bench:
        assert all_words(await heard(bench.stt.stream(conn_options=AGAIN), SPEECH.pcm))
    assert bench.errors == []


@pytest.mark.parametrize(
    ("faults", "options", "type_", "tries"),
    [
        (["drop@1.6"], ONCE, APIConnectionError, 1),
        (["half-open@1.6"], ONCE, APITimeoutError, 1),
        (["close:1011@1.6"], ONCE, APIStatusError, 1),
        (["refuse:401"], AGAIN, APIStatusError, 1),
        (["refuse:503"], ONCE, APIStatusError, 1),
        (["refuse:500x9"], APIConnectOptions(max_retry=2, retry_interval=0.05), APIStatusError, 3),
    ],
)
async def test_in_the_end_it_is_raised_and_not_to_be_tried_again(
    faults: list[str], options: APIConnectOptions, type_: type[APIError], tries: int
) -> None:
    events: list[SpeechEvent] = []
    async with open_bench(faults=faults) as bench:
        stream = bench.stt.stream(conn_options=options)
        push(stream, SPEECH.pcm)
        with pytest.raises(type_) as raised:
            await gather(stream, events)
    assert isinstance(raised.value, APIError)
    assert raised.value.retryable is False
    assert [e.recoverable for e in bench.errors if not isinstance(e.error, AudioLostError)] == (
        [True] * (tries - 1) + [False]
    )
    assert bench.errors[-1].error is raised.value
    assert are_paired(events)
    kinds = {event.type for event in events}
    assert (SpeechEventType.START_OF_SPEECH in kinds) is ("@" in faults[0])


async def test_audio_that_had_to_be_given_up_is_an_error_and_a_metric() -> None:
    events: list[SpeechEvent] = []
    async with open_bench(faults=["drop@2.4"]) as bench:
        stream = bench.stt.stream(conn_options=ONCE)
        stream.start_time_offset = 100.0
        push(stream, SPEECH.pcm)
        with pytest.raises(APIConnectionError):
            await gather(stream, events)
    (lost,) = (error.error for error in bench.errors if isinstance(error.error, AudioLostError))
    (metric,) = (metric for metric in bench.metrics if isinstance(metric, AudioLostMetrics))
    assert 100.5 < lost.start_time < lost.end_time
    assert lost.reason == "ended"
    assert metric.lost_duration == pytest.approx(lost.end_time - lost.start_time)
    assert metric.audio_duration == 0.0
    (last,) = (e.alternatives[0] for e in events if e.alternatives and (e.alternatives[0].metadata or {}))
    assert last.metadata == {"provisional": True}


class TestSecrets:
    def chain(self, error: BaseException | None) -> Iterator[BaseException]:
        while error is not None:
            yield error
            error = error.__cause__ or error.__context__

    def check(self, bench: Bench, logged: str, *raised: BaseException) -> None:
        for error in (*(told.error for told in bench.errors), *raised):
            for one in self.chain(error):
                shown = f"{one} {one!r} {one.args!r} {vars(one)!r} {''.join(traceback.format_exception(one))}"
                assert KEY not in shown
                assert SAID not in shown
        for told in (*bench.errors, *bench.metrics):
            assert KEY not in f"{told!r}"
            assert SAID not in f"{told!r}"
        assert KEY not in logged
        assert SAID not in logged

    def miriam(self, options: TranscriptionConfig) -> PlainRecogniser:
        spoken = (Word(text=SAID, start=at + 0.1, end=at + 0.4) for at in (0, 1, 2, 3))
        return PlainRecogniser(spoken, options)

    @pytest.mark.parametrize("options", [AGAIN, ONCE])
    @pytest.mark.parametrize("fault", [fault for fault, _, _ in FAULTS] + ["garbage@1", "refuse:401", "refuse:400"])
    async def test_no_failure_shows_the_key_or_what_was_said(
        self, log_lines: Callable[[], str], fault: str, options: APIConnectOptions
    ) -> None:
        raised: list[BaseException] = []
        keywords = [(SAID, 2.0)]
        async with open_bench(faults=[fault], recogniser=self.miriam, keywords=keywords) as bench:
            stream = bench.stt.stream(conn_options=options)
            try:
                events = await heard(stream, bytes(2 * RATE * 5 // 2))
                assert SAID in finals(events)
            except APIError as error:
                raised.append(error)
            await stream.aclose()
        assert raised or bench.errors or fault.startswith("garbage")
        self.check(bench, log_lines(), *raised)

    async def test_nor_does_a_service_that_repeats_it(self, log_lines: Callable[[], str]) -> None:
        async def answer(socket: Any, message: dict[str, Any] | bytes) -> None:
            if isinstance(message, bytes):
                await socket.send(f'{{"type":"error","status":"error","message":"{SAID} is no word, {KEY}"}}')
                await socket.close(1011, SAID)

        async with scripted(answer) as service, open_bench(base_url=service.base_url) as bench:
            with pytest.raises(APIStatusError) as raised:
                await heard(bench.stt.stream(conn_options=ONCE), bytes(3200))
        assert raised.value.body.detail == f"{SAID} is no word, {KEY}"  # type: ignore[union-attr]
        self.check(bench, log_lines(), raised.value)

    async def test_nor_does_a_refused_buffer(self, log_lines: Callable[[], str]) -> None:
        async with open_bench(key="another") as bench:
            with pytest.raises(APIStatusError) as raised:
                await bench.stt.recognize(next(iter(_frames())), conn_options=AGAIN)
        self.check(bench, log_lines(), raised.value)

    async def test_nor_does_a_service_that_is_not_there(self, log_lines: Callable[[], str]) -> None:
        async with open_bench(base_url="http://127.0.0.1:9/waves/v1") as bench:
            with pytest.raises(APIConnectionError) as streamed:
                await heard(bench.stt.stream(conn_options=ONCE), bytes(3200))
            with pytest.raises(APIConnectionError) as recognised:
                await bench.stt.recognize(next(iter(_frames())), conn_options=ONCE)
        self.check(bench, log_lines(), streamed.value, recognised.value)


def _frames() -> Iterator[Any]:
    from .stage import frames

    return frames(SPEECH.pcm)


class TestClosing:
    """``aclose`` at every moment: it returns, and leaves nothing (``run`` looks for that)."""

    async def aclose(self, stream: stt.RecognizeStream) -> None:
        await asyncio.wait_for(stream.aclose(), 5)

    async def test_before_anything(self) -> None:
        async with open_bench() as bench:
            await self.aclose(bench.stt.stream())
            stream = bench.stt.stream()
            await asyncio.sleep(0)
            await self.aclose(stream)
            await self.aclose(stream)

    async def test_while_it_connects(self) -> None:
        async with dumb() as base_url, open_bench(base_url=base_url) as bench:
            stream = bench.stt.stream()
            push(stream, SPEECH.pcm)
            for _ in range(10):
                await asyncio.sleep(0)
            await self.aclose(stream)
            with pytest.raises(APITimeoutError):
                await heard(bench.stt.stream(conn_options=APIConnectOptions(max_retry=0, timeout=0.05)), b"")

    @pytest.mark.parametrize("ended", [False, True])
    async def test_in_mid_sentence_the_turn_is_closed(self, ended: bool) -> None:
        async with open_bench() as bench:
            stream = bench.stt.stream()
            push(stream, SPEECH.pcm[: 2 * RATE])
            if ended:
                stream.end_input()
            events = [await stream.__anext__()]
            task = stream._task
            await self.aclose(stream)
            assert task.cancelled()
            while stream._event_ch.qsize():
                events.append(stream._event_ch.recv_nowait())
        assert turns(events)[0] is SpeechEventType.START_OF_SPEECH

    async def test_while_it_replays(self) -> None:
        async with open_bench(faults=["drop@1.6"]) as bench:
            stream = bench.stt.stream(conn_options=AGAIN)
            lost = asyncio.Event()
            bench.stt.on("error", lambda _: lost.set())
            push(stream, SPEECH.pcm)
            await lost.wait()
            await self.aclose(stream)

    async def test_after_the_end(self) -> None:
        async with open_bench() as bench:
            stream = bench.stt.stream()
            await heard(stream, SPEECH.pcm)
            await self.aclose(stream)

    async def test_with_a_session_that_was_closed(self) -> None:
        async with aiohttp.ClientSession() as http:
            pass
        made = smallest_proto.STT(api_key=KEY, base_url="http://127.0.0.1:9/waves/v1", http_session=http)
        with pytest.raises(Exception, match="http_session is closed"):
            await heard(made.stream(conn_options=ONCE), b"")
