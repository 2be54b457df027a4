"""Every session ends, in time and with what is owed; what it holds is bounded, and what it gives up is told exactly."""

from __future__ import annotations

import gc
import tracemalloc
from itertools import pairwise
from typing import Any

import pytest

from smallest_proto.audio import AudioFormat
from smallest_proto.commands import KEEPALIVE
from smallest_proto.config import RetryPolicy, Timeouts, TranscriptionConfig
from smallest_proto.errors import ConfigurationError, FailureKind, LocalProtocolError
from smallest_proto.events import EndReason, LinkLost, SessionEnded
from smallest_proto.server.recogniser import PlainRecogniser, coded_speech
from smallest_proto.transcription.events import (
    AudioLost,
    FinalTranscript,
    InterimTranscript,
    LossReason,
    SpeechEnded,
    SpeechStarted,
    Usage,
)
from smallest_proto.transcription.messages import CLOSE_STREAM
from smallest_transports.memory import MemoryLink, MemoryNetwork

from .way import RATE

SPEECH = coded_speech([1, 2, 3, 0.8, 4, 5, 6, 0.3])
GIVEN = SPEECH.seconds + 0.02  # when the input has ended
ENDLESS = {"retry": RetryPolicy(max_retries=10_000)}


def when_drained(network: MemoryNetwork, fault: Any, *, links: int = 1) -> None:
    """``fault`` happens to the first ``links`` links as soon as they were asked for the last final."""

    def watch(link: MemoryLink) -> None:
        if link.number > links:
            return
        send = link.send

        def sent(data: str | bytes) -> None:
            send(data)
            if data == CLOSE_STREAM:
                network.clock.after(0.0, lambda: fault(link))

        link.send = sent  # type: ignore[method-assign]

    network.on_link = watch


# --- the end of the input ---


def test_the_tail_is_sent_then_close_stream_then_goodbye(calls: Any) -> None:
    call = calls.make()
    speech = coded_speech([1, 2, 0.013])
    call.feed(speech.pcm)
    call.run()
    call.assert_whole(speech)
    assert call.audio(1) == speech.pcm
    assert call.sent[1][-1][1] == CLOSE_STREAM
    assert call.of(FinalTranscript)[-1].is_last
    assert call.end == SessionEnded(reason=EndReason.COMPLETED)


def test_an_input_without_audio(calls: Any) -> None:
    call = calls.make()
    call.at(0.0, call.end_input)
    call.run()
    assert call.end.reason is EndReason.COMPLETED
    assert call.text == ""
    assert call.of(Usage) == []


@pytest.mark.parametrize("links", [1, 3])
@pytest.mark.parametrize(
    "fault",
    [MemoryLink.lose, MemoryLink.mute, MemoryLink.half_open, lambda link: link.hang_up(1011)],
    ids=["lost", "mute", "half-open", "closed"],
)
def test_a_link_that_dies_while_it_drains_is_replaced_and_drained_again(calls: Any, fault: Any, links: int) -> None:
    network = MemoryNetwork()
    when_drained(network, fault, links=links)
    call = calls.make(network, session={"timeouts": Timeouts(last=30.0)})
    call.feed(SPEECH.pcm)
    call.run()
    call.assert_whole(SPEECH)
    assert call.end.reason is EndReason.COMPLETED
    assert len(network.links) == links + 1
    for link in call.sent:
        assert [text for _, text in call.texts(link) if text != KEEPALIVE] == [CLOSE_STREAM]
    assert 0.3 <= call.margin(links + 1, SPEECH.pcm, SPEECH.words[2].end) < 0.55


def test_a_service_that_once_closes_without_the_last_final_is_asked_again(calls: Any) -> None:
    network = MemoryNetwork()
    when_drained(network, lambda link: link.hang_up(1000))
    call = calls.make(network)
    call.feed(SPEECH.pcm)
    call.run()
    call.assert_whole(SPEECH)
    assert call.end.reason is EndReason.COMPLETED


def test_a_service_that_always_closes_without_the_last_final(calls: Any) -> None:
    network = MemoryNetwork()
    when_drained(network, lambda link: link.hang_up(1000), links=99)
    call = calls.make(network, session={"timeouts": Timeouts(last=60.0)})
    call.feed(SPEECH.pcm)
    call.run()
    assert call.end.reason is EndReason.INCOMPLETE
    assert len(network.links) == 2, "a third would do the same"
    (provisional,) = [final for final in call.of(FinalTranscript) if final.provisional]
    last_interim = call.of(InterimTranscript)[-1]
    assert provisional.text == last_interim.text
    assert (provisional.start, provisional.end) == (last_interim.start, last_interim.end)
    assert call.text.startswith("w1 w2 w3 w4")
    (lost,) = call.of(AudioLost)
    watermark = SPEECH.words[2].end / RATE
    assert (lost.start, lost.end, lost.reason) == (
        pytest.approx(watermark),
        pytest.approx(SPEECH.seconds),
        LossReason.ENDED,
    )
    assert len(call.of(SpeechStarted)) == len(call.of(SpeechEnded))


def test_the_end_tells_why_no_link_was_left_for_the_last_final(calls: Any) -> None:
    network = MemoryNetwork()
    network.on_link = lambda link: network.clock.after(0.0, lambda: link.hang_up(1011))
    call = calls.make(network)
    call.feed(SPEECH.pcm[:RATE])
    call.run()
    assert call.end.reason is EndReason.INCOMPLETE
    assert call.end.failure.kind is FailureKind.DEADLINE
    assert "did not send the last final: the service closed the connection" in call.end.failure.reason


def test_a_service_that_stays_silent_after_close_stream(calls: Any) -> None:
    network = MemoryNetwork()
    when_drained(network, MemoryLink.mute, links=99)
    call = calls.make(network)
    call.feed(SPEECH.pcm)
    call.run()
    assert call.end.reason is EndReason.INCOMPLETE
    assert call.end.failure is not None
    assert call.end.failure.kind is FailureKind.DEADLINE
    backlog = SPEECH.seconds - SPEECH.words[2].end / RATE
    assert network.clock.now == pytest.approx(GIVEN + 10.0 + backlog, abs=0.021)
    assert [final.text for final in call.of(FinalTranscript) if final.provisional]


def test_no_link_at_all_ends_in_time(calls: Any) -> None:
    network = MemoryNetwork()
    network.on_link = lambda link: link.half_open()
    call = calls.make(network, session=ENDLESS)
    call.feed(SPEECH.pcm)
    call.run()
    assert call.end.reason is EndReason.INCOMPLETE
    assert network.clock.now == pytest.approx(GIVEN + 10.0 + SPEECH.seconds, abs=0.021)
    (lost,) = call.of(AudioLost)
    assert (lost.start, lost.end) == (0.0, pytest.approx(SPEECH.seconds))


def test_a_goodbye_that_is_not_answered_is_not_waited_for_long(calls: Any) -> None:
    network = MemoryNetwork()
    network.on_link = lambda link: setattr(link, "close", lambda _: None)
    call = calls.make(network)
    call.feed(SPEECH.pcm)
    call.run()
    call.assert_whole(SPEECH)
    assert call.end.reason is EndReason.COMPLETED
    last = next(time for time, event in call.events if isinstance(event, FinalTranscript) and event.is_last)
    # The service of this network closes by itself after the last final.
    assert network.clock.now <= last + 2.0


def test_without_a_close_frame_the_goodbye_has_its_deadline(calls: Any) -> None:
    network = MemoryNetwork()

    def no_goodbye(link: MemoryLink) -> None:
        link.close = link.hang_up = lambda *_: None  # type: ignore[method-assign]

    network.on_link = no_goodbye
    call = calls.make(network)
    call.feed(SPEECH.pcm)
    call.run()
    call.assert_whole(SPEECH)
    last = next(time for time, event in call.events if isinstance(event, FinalTranscript) and event.is_last)
    assert network.clock.now == pytest.approx(last + 2.0)
    assert call.end.reason is EndReason.COMPLETED


# --- abort ---


@pytest.mark.parametrize("at", [0.0, 0.03, 1.0, 2.0, 2.1, 2.26, GIVEN - 0.01, GIVEN + 0.001, GIVEN + 0.1, GIVEN + 0.2])
@pytest.mark.parametrize("update", [False, True])
def test_abort_ends_at_once_wherever_the_session_is(calls: Any, at: float, update: bool) -> None:
    call = calls.make(vad_events=True)
    call.feed(SPEECH.pcm)
    call.at(2.0, lambda: call.network.links[-1].lose())
    if update and at > 0.05:
        call.at(min(at, GIVEN - 0.03) - 0.02, lambda: call.update(TranscriptionConfig(sample_rate=8000)))
    call.at(at, call.abort)
    call.run()
    assert call.end == SessionEnded(reason=EndReason.ABORTED)
    assert call.network.clock.now == at
    assert len(call.of(SpeechStarted)) == len(call.of(SpeechEnded))
    assert all(record.ended for record in call.session.stats.links)
    assert call.session.get_timer() is None


def test_abort_before_the_start_and_after_the_end(calls: Any) -> None:
    session = calls.make().session
    session.abort(0.0)
    assert session.poll_output() == SessionEnded(reason=EndReason.ABORTED)
    session.abort(1.0)
    assert session.poll_output() is None
    with pytest.raises(LocalProtocolError):
        session.start(2.0)


# --- bounds ---


@pytest.mark.parametrize("bound", [5.0, 30.0])
def test_audio_that_no_link_takes_in_time_is_told_of_exactly(calls: Any, bound: float) -> None:
    network = MemoryNetwork(latency=20.0)
    patient = Timeouts(opening=100.0, last=100.0, pong=100.0, mute=200.0)
    call = calls.make(network, session={"buffer_seconds": bound, "timeouts": patient})
    speech = coded_speech([item for word in range(1, 130) for item in ((word, 0.7) if word % 6 == 0 else (word,))])
    assert speech.seconds > 45.0
    call.feed(speech.pcm, chunk=0.05)
    call.run()
    losses = call.of(AudioLost)
    assert {lost.reason for lost in losses} == {LossReason.BUFFER_FULL}
    assert losses[0].start == 0.0
    for one, next_one in pairwise(losses):
        assert next_one.start == pytest.approx(one.end)
    assert losses[-1].end == pytest.approx(40.0 - bound, abs=0.051), "the link opens at 40 s"
    assert call.session.stats.seconds_lost == pytest.approx(losses[-1].end)
    heard = [word.text for word in call.words if not word.text.startswith("?")]
    assert heard == [word.text for word in speech.words if word.start / RATE >= losses[-1].end]
    at = {word.text: word.start / RATE for word in speech.words}
    assert [word.start for word in call.words if word.text in at] == [pytest.approx(at[text]) for text in heard]


def test_audio_that_is_not_held_any_more_is_told_of_exactly(calls: Any) -> None:
    network = MemoryNetwork()
    call = calls.make(network, session={"buffer_seconds": 2.0}, endpointing=False, finalize_on_words=False)
    speech = coded_speech(range(1, 40))  # one breath: no final for a long time
    call.feed(speech.pcm, chunk=0.05)
    call.at(6.01, lambda: network.links[-1].lose())
    call.run()
    opened = 6.01 + 0.25 + 0.06
    assert [(lost.reason, lost.start, lost.end) for lost in call.of(AudioLost)] == [
        (LossReason.NOT_HELD, 0.0, pytest.approx(6.0 - 2.0)),
        (LossReason.BUFFER_FULL, pytest.approx(4.0), pytest.approx(opened // 0.05 * 0.05 - 2.0)),
    ]
    lost_to = call.of(AudioLost)[-1].end
    assert call.audio(2) == speech.pcm[round(2 * RATE * lost_to) :]
    heard = [word.text for word in call.words if not word.text.startswith("?")]
    assert heard == [word.text for word in speech.words if word.start / RATE >= lost_to]


def test_what_a_healthy_link_has_heard_is_let_go_of_in_silence(calls: Any) -> None:
    call = calls.make(MemoryNetwork(lambda options: PlainRecogniser([], options)), session={"buffer_seconds": 5.0})
    call.feed(bytes(2 * RATE * 60), chunk=0.05)
    call.run()
    assert call.of(AudioLost) == []
    assert call.end.reason is EndReason.COMPLETED


@pytest.mark.parametrize("bound", [0, 0.99, float("nan"), -1.0])
def test_a_bound_that_is_too_small(calls: Any, bound: float) -> None:
    with pytest.raises(ConfigurationError, match="buffer_seconds"):
        calls.make(session={"buffer_seconds": bound})


@pytest.mark.parametrize("opens", [True, False])
def test_memory_is_the_buffer_and_64_kib(calls: Any, opens: bool) -> None:
    """Three minutes of audio with nothing coming back, with a link and without.

    The buffer is the audio and, for each message of it, where it is in the stream and when it was sent.
    """
    session = calls.make(
        session={"timeouts": Timeouts(opening=1e6, mute=1e6, ping=1e6, write=1e6, message_interval=0.0)}
    ).session
    session.start(0.0)
    if opens:
        session.link_opened(1, 0.0)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for message in range(180 * 20):
            session.send_audio(bytearray(1600), message * 0.05)
            while session.poll_output() is not None:
                pass
            if message % 400 == 399:
                used = tracemalloc.get_traced_memory()[0] - before
                audio = min(30.0, (message + 1) * 0.05) * 2 * RATE
                assert used <= audio + audio / 1600 * 128 + 65536
    finally:
        tracemalloc.stop()


def test_formats_that_are_over_hold_nothing(calls: Any) -> None:
    call = calls.make()
    rates = [8000, 16000] * 25
    for number, rate in enumerate(rates):
        config = TranscriptionConfig(sample_rate=rate)
        call.at(2.0 * number + 0.1, lambda config=config: call.update(config))
        form = AudioFormat(sample_rate=rate)
        pcm = coded_speech([number, 0.9], sample_rate=rate).pcm
        call.at(2.0 * number + 0.2, lambda pcm=pcm, form=form: call.feed(pcm, chunk=0.05, format=form, end=False))
    call.at(2.0 * len(rates), call.end_input)
    call.run()
    assert call.text == " ".join(f"w{number}" for number in range(len(rates)))
    assert call.session.stats.seconds_given == pytest.approx(sum(event.seconds for event in call.of(Usage)))
    held = [thing for thing in gc.get_objects() if type(thing).__name__ == "Sender"]
    reachable = [sender for sender in held if any(part.sender is sender for part in call.session._course.stream._parts)]
    assert len(reachable) == 1
    assert len(call.session._course.stream._parts) == 1


# --- usage ---


def test_usage_tells_of_each_second_once(calls: Any) -> None:
    call = calls.make()
    speech = coded_speech([item for word in range(1, 40) for item in (word, 0.3)])
    call.feed(speech.pcm)
    for at in (2.0, 7.0, 11.0):
        call.at(at, lambda: call.network.links[-1].lose())
    call.run()
    told = [usage.seconds for usage in call.of(Usage)]
    assert all(5.0 <= seconds <= 5.05 + 1e-9 for seconds in told[:-1])
    assert sum(told) == pytest.approx(speech.seconds)
    assert len(call.of(LinkLost)) == 3
    assert call.session.stats.seconds_replayed > 0


def test_formats_that_no_link_takes_end_in_time(calls: Any) -> None:
    """Each part of the stream has its deadline once the input has ended, whether a link opens or not."""
    network = MemoryNetwork()
    network.on_link = lambda link: link.half_open()
    call = calls.make(network, session=ENDLESS)
    call.start()
    for number, rate in enumerate((8000, 16000, 8000)):
        call.at(0.1 * number, lambda rate=rate: call.update(TranscriptionConfig(sample_rate=rate)))
        call.at(0.1 * number + 0.05, lambda rate=rate: call.send_audio(bytes(2 * rate)))
    call.at(1.0, call.end_input)
    call.run()
    assert call.end.reason is EndReason.INCOMPLETE
    assert network.clock.now <= 1.0 + 4 * (10.0 + 1.0)
    assert sum(lost.end - lost.start for lost in call.of(AudioLost)) == pytest.approx(3.0)
