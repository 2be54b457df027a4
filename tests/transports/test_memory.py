"""Calls in virtual time: exact, the same each time, and whatever a network does to them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.config import Endpoint, FileTranscriptionConfig, RetryPolicy, Timeouts, TranscriptionConfig
from smallest_proto.errors import FailureKind
from smallest_proto.events import EndReason, SessionEnded
from smallest_proto.http.exchange import ExchangeFailed
from smallest_proto.http.files import FileTranscript, FileTranscription
from smallest_proto.reading import Word
from smallest_proto.server.answers import error_answer
from smallest_proto.server.imperfection import Imperfection
from smallest_proto.server.recogniser import PlainRecogniser, coded_speech
from smallest_proto.transcription.events import Event, FinalTranscript, SpeechEnded, SpeechStarted
from smallest_proto.transcription.session import TranscriptionSession
from smallest_transports.memory import MemoryCall, MemoryLink, MemoryNetwork, Pipe, VirtualClock
from smallest_transports.testing import Truth, judge, speech

ENDPOINT = Endpoint(api_key="the-key", base_url="http://localhost/waves/v1")
SPEECH = coded_speech([1, 2, 3, 0.8, 4, 5, 0.3])


def make_call(network: MemoryNetwork, endpoint: Endpoint = ENDPOINT, **options: Any) -> MemoryCall:
    return MemoryCall(TranscriptionSession(TranscriptionConfig(**options), endpoint), network)


def finals(events: list[tuple[float, Event]]) -> list[FinalTranscript]:
    return [event for _, event in events if isinstance(event, FinalTranscript)]


def ended(events: list[tuple[float, Event]]) -> SessionEnded:
    assert isinstance(events[-1][1], SessionEnded)
    return events[-1][1]


# --- the clock ---


def test_the_clock_jumps_from_one_happening_to_the_next() -> None:
    clock = VirtualClock()
    seen: list[tuple[float, str]] = []
    clock.at(2.0, lambda: seen.append((clock.now, "late")))
    clock.at(1.0, lambda: seen.append((clock.now, "first of two")))
    clock.at(1.0, lambda: seen.append((clock.now, "second of two")))
    clock.at(1.0, lambda: clock.at(0.0, lambda: seen.append((clock.now, "overdue"))))
    clock.after(0.5, lambda: clock.after(3600.0, lambda: seen.append((clock.now, "an hour later"))))
    clock.run(lambda: len(seen) == 3)
    assert seen == [(1.0, "first of two"), (1.0, "second of two"), (1.0, "overdue")]
    clock.run()
    assert seen[3:] == [(2.0, "late"), (3600.5, "an hour later")]


def test_time_that_does_not_move_on_is_noticed() -> None:
    clock = VirtualClock()

    def again() -> None:
        clock.after(0.0, again)

    again()
    with pytest.raises(TimeoutError, match="not done at 0 s"):
        clock.run()


def test_a_limit_of_time_is_kept() -> None:
    clock = VirtualClock()
    clock.at(5.0, lambda: None)
    with pytest.raises(TimeoutError, match="not done at 5 s"):
        clock.run(limit=4.0)


# --- pipes ---


@settings(max_examples=50)
@given(st.integers(), st.floats(0, 1), st.floats(0, 1), st.lists(st.floats(0, 0.5), min_size=1, max_size=10))
def test_a_pipe_delivers_in_order_and_in_time(seed: int, latency: float, jitter: float, gaps: list[float]) -> None:
    network = MemoryNetwork(latency=latency, jitter=jitter, seed=seed)
    pipe = Pipe(network)
    sent: list[float] = []
    arrived: list[tuple[int, float]] = []

    def send() -> None:
        at = len(sent)
        sent.append(network.clock.now)
        pipe.put(lambda: arrived.append((at, network.clock.now)))

    time = 0.0
    for gap in gaps:
        time += gap
        network.clock.at(time, send)
    network.clock.run()
    assert [at for at, _ in arrived] == list(range(len(gaps)))
    for at, time in arrived:
        assert sent[at] + latency <= time <= sent[at] + latency + jitter + 1e-9


def test_a_pipe_that_is_held_keeps_and_one_that_is_cut_loses() -> None:
    network = MemoryNetwork(latency=1.0)
    pipe = Pipe(network)
    arrived: list[tuple[str, float]] = []

    def put(name: str) -> None:
        pipe.put(lambda: arrived.append((name, network.clock.now)))

    for time, what in (
        (0.0, lambda: put("a")),
        (0.5, pipe.hold),
        (0.6, pipe.hold),  # twice is once
        (2.0, lambda: put("b")),
        (4.0, pipe.release),
        (5.0, lambda: put("c")),
        (5.5, pipe.cut),
        (7.0, lambda: put("d")),
        (8.0, pipe.release),
    ):
        network.clock.at(time, what)
    held: list[bool] = []
    network.clock.at(3.5, lambda: held.append(pipe.held))
    network.clock.run()
    assert held == [True]
    assert not pipe.held
    assert arrived == [("a", 4.0), ("b", 4.0)]


# --- calls ---


@pytest.mark.parametrize("route", ["unified", "model", "direct"])
@pytest.mark.parametrize("real_time", [True, False])
def test_every_word_of_a_call_is_heard_with_its_exact_times(route: Any, real_time: bool) -> None:
    endpoint = Endpoint(api_key="k", base_url="http://localhost", route=route)
    network = MemoryNetwork()
    call = make_call(network, endpoint, vad_events=True)
    call.feed(SPEECH.pcm, real_time=real_time)
    events = call.run()
    assert ended(events) == SessionEnded(reason=EndReason.COMPLETED)
    words = [word for final in finals(events) for word in final.words]
    assert [(word.text, word.start, word.end) for word in words] == [
        (word.text, pytest.approx(word.start / 16000), pytest.approx(word.end / 16000)) for word in SPEECH.words
    ]
    marks = [event.time for _, event in events if isinstance(event, (SpeechStarted, SpeechEnded))]
    assert marks == sorted(marks)
    assert (network.clock.now > SPEECH.seconds) == real_time
    assert len(network.links) == 1


@settings(max_examples=50)
@given(st.integers(0, 9999).map(Imperfection.draw), st.booleans())
def test_an_imperfect_service_alone_loses_nothing(imperfection: Imperfection, vad_events: bool) -> None:
    said = speech(0.3, "w1 w2 w3", 0.8, "w4 w5", 0.3)
    network = MemoryNetwork(imperfection=imperfection)
    call = make_call(network, vad_events=vad_events)
    call.feed(said.pcm)
    call.at(1.5, call.finalize)  # the speaker pauses
    events = call.run()
    truth = Truth(words=said.truth.words, seconds=said.seconds, imperfection=imperfection, finalized=(1.5,))
    report = judge(events, truth, stats=call.session.stats)
    assert report.ok, report
    assert len(network.links) == 1


def test_what_comes_takes_as_long_as_the_network_says() -> None:
    def final_at(**more: Any) -> float:
        call = make_call(MemoryNetwork(**more))
        call.feed(SPEECH.pcm)
        return next(time for time, event in call.run() if isinstance(event, FinalTranscript))

    quick = final_at(latency=0.0, decode_time=0.0)
    pause = SPEECH.words[2].end / 16000 + 0.6
    assert pause <= quick <= pause + 0.05  # the message in which the pause was long enough
    assert final_at(latency=0.1, decode_time=0.0) == pytest.approx(quick + 0.2)
    assert final_at(latency=0.1, decode_time=0.3) >= quick + 0.2 + 0.3


@settings(max_examples=15)
@given(st.integers(), st.floats(0, 0.2), st.integers(0, 9999).map(Imperfection.draw))
def test_the_same_seed_gives_the_same_call(seed: int, jitter: float, imperfection: Imperfection) -> None:
    def run() -> list[tuple[float, Event]]:
        network = MemoryNetwork(seed=seed, jitter=jitter, imperfection=imperfection)
        call = make_call(network, vad_events=True)
        call.feed(SPEECH.pcm)
        call.at(network.random.uniform(0.0, 2.0), call.finalize)
        return call.run()

    assert run() == run()


def test_an_hour_of_talk_in_a_moment() -> None:
    speech = coded_speech([item for word in range(120) for item in (word, 30.0)], sample_rate=8000)
    assert speech.seconds > 3600
    network = MemoryNetwork()
    call = make_call(network, sample_rate=8000)
    call.feed(speech.pcm, format=TranscriptionConfig(sample_rate=8000).audio_format, chunk=0.1)
    events = call.run()
    assert " ".join(final.text for final in finals(events) if final.text) == speech.text


def test_an_application_that_plans_its_calls() -> None:
    network = MemoryNetwork(lambda options: PlainRecogniser([Word(text="Yes.", start=0.1, end=0.4)], options))
    call = make_call(network)
    call.at(0.0, lambda: call.feed(bytes(25600), end=False))
    call.at(1.2, call.finalize)
    call.at(1.5, call.end_input)
    answer, last = finals(call.run())
    assert (answer.text, answer.from_finalize) == ("Yes.", True)
    assert (last.text, last.is_last) == ("", True)
    call.send_audio(b"\0\0")  # after the end this is passed over
    call.abort()


def test_a_call_that_is_aborted_ends_at_once() -> None:
    network = MemoryNetwork()
    call = make_call(network)
    call.feed(SPEECH.pcm)
    call.at(1.0, call.abort)
    events = call.run()
    assert ended(events).reason is EndReason.ABORTED
    assert network.clock.now == 1.0
    network.clock.run(limit=1000.0)  # what was under way finds nobody
    assert call.events == events


def test_a_call_for_which_nobody_ends_the_input_is_not_waited_for_for_ever() -> None:
    call = make_call(MemoryNetwork())
    with pytest.raises(TimeoutError):
        call.run(limit=600.0)


def test_two_calls_over_one_network() -> None:
    network = MemoryNetwork()
    calls = [make_call(network), make_call(network)]
    for call in calls:
        call.start()
        call.feed(SPEECH.pcm)
    for call in calls:
        assert " ".join(final.text for final in finals(call.run()) if final.text) == SPEECH.text
    assert [link.number for link in network.links] == [1, 1]
    assert {final.session_id for call in calls for final in finals(call.events)} == {"session-1", "session-2"}


# --- what a network does; how a session takes that is the session's own tests' business: here it may try but once ---


def fault(what: Any, at: float = 1.0, **more: Any) -> tuple[MemoryCall, MemoryNetwork]:
    """A call on whose only link ``what`` happens."""
    network = MemoryNetwork(**more)
    network.on_link = lambda link: network.clock.at(at, lambda: what(link))
    session = TranscriptionSession(
        TranscriptionConfig(), ENDPOINT, timeouts=Timeouts(), retry=RetryPolicy(max_retries=0)
    )
    call = MemoryCall(session, network)
    call.feed(SPEECH.pcm)
    call.run(limit=600.0)
    return call, network


def test_a_link_that_is_lost() -> None:
    call, network = fault(MemoryLink.lose)
    failure = ended(call.events).failure
    assert failure is not None
    assert (failure.kind, failure.code) == (FailureKind.DISCONNECTED, 1006)
    assert network.clock.now == 1.0


def test_a_link_that_is_lost_before_it_is_open() -> None:
    call, _ = fault(MemoryLink.lose, at=0.04)
    failure = ended(call.events).failure
    assert failure is not None
    assert (failure.kind, failure.code) == (FailureKind.CONNECT, None)


def test_a_link_that_is_closed() -> None:
    call, _ = fault(lambda link: link.hang_up(1011, "broken"))
    failure = ended(call.events).failure
    assert failure is not None
    assert (failure.code, failure.detail) == (1011, "broken")


def test_a_link_that_stalls_for_a_while_loses_nothing() -> None:
    def stall(link: MemoryLink) -> None:
        link.stall()
        link._network.clock.after(1.0, link.resume)

    call, _ = fault(stall)
    assert ended(call.events).reason is EndReason.COMPLETED
    assert " ".join(final.text for final in finals(call.events) if final.text) == SPEECH.text


def test_a_link_that_is_half_open_hears_and_says_nothing() -> None:
    call, _ = fault(MemoryLink.half_open, at=0.1)
    assert ended(call.events).reason is not EndReason.COMPLETED
    assert [final.text for final in finals(call.events) if final.text] == []


def test_a_service_may_say_what_it_likes() -> None:
    call, _ = fault(lambda link: (link.say("nonsense"), link.say(b"\xff"), link.say('{"type":"news"}')))
    assert ended(call.events).reason is EndReason.COMPLETED
    assert call.session.stats.messages_ignored >= 3


def test_a_service_that_falls_silent_does_not_come_back() -> None:
    call, _ = fault(MemoryLink.mute, at=0.1, inactivity=5.0)
    assert finals(call.events) == [] or not any(final.session_id for final in finals(call.events))
    assert ended(call.events).reason is not EndReason.COMPLETED


def test_a_client_that_says_nothing_is_let_go() -> None:
    network = MemoryNetwork(inactivity=3.0)
    session = TranscriptionSession(TranscriptionConfig(), ENDPOINT, retry=RetryPolicy(max_retries=0))
    call = MemoryCall(session, network)
    failure = ended(call.run(limit=600.0)).failure
    assert failure is not None
    assert failure.code == 1000
    assert network.clock.now == pytest.approx(3.0 + 2 * 0.03)


@pytest.mark.parametrize(("status", "key"), [(429, None), (401, "another")])
def test_a_service_that_refuses(status: int, key: str | None) -> None:
    def refuse(link: MemoryLink) -> None:
        if key is None:
            link.refusal = error_answer(429, "slow down", headers=[("Retry-After", "7")])

    network = MemoryNetwork(api_key=key)
    network.on_link = refuse
    session = TranscriptionSession(TranscriptionConfig(), ENDPOINT, retry=RetryPolicy(max_retries=0))
    call = MemoryCall(session, network)
    failure = ended(call.run(limit=600.0)).failure
    assert failure is not None
    assert failure.status == status
    assert failure.retry_after == (7.0 if status == 429 else None)


# --- files ---


def exchange(network: MemoryNetwork, audio: bytes = SPEECH.pcm, **options: Any) -> Any:
    config = FileTranscriptionConfig(word_timestamps=True, **options)
    return network.exchange(FileTranscription(config, ENDPOINT, audio=audio))


def test_a_file_is_transcribed_in_virtual_time() -> None:
    network = MemoryNetwork(latency=0.05, decode_time=0.2)
    answer = exchange(network, encoding="linear16", sample_rate=16000)
    assert isinstance(answer, FileTranscript)
    assert answer.text == SPEECH.text
    assert [word.text for word in answer.words] == [word.text for word in SPEECH.words]
    assert answer.duration == SPEECH.seconds
    assert network.clock.now == pytest.approx(0.3)


def test_a_file_that_is_refused() -> None:
    for network, status in ((MemoryNetwork(), 400), (MemoryNetwork(api_key="another"), 401)):
        failed = exchange(network)
        assert isinstance(failed, ExchangeFailed)
        assert failed.failure.status == status


def test_an_answer_that_is_too_slow() -> None:
    network = MemoryNetwork(latency=200.0)
    config = FileTranscriptionConfig(encoding="linear16", sample_rate=16000)
    failed = network.exchange(FileTranscription(config, ENDPOINT, audio=SPEECH.pcm, timeouts=Timeouts(response=100.0)))
    assert isinstance(failed, ExchangeFailed)
    assert failed.failure.kind is FailureKind.DEADLINE
    assert network.clock.now == 100.0
