"""Connections that die in silence are found in time, and opened again neither too soon nor for ever."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from smallest_proto.commands import KEEPALIVE
from smallest_proto.config import RetryPolicy, Timeouts, TranscriptionConfig
from smallest_proto.events import EndReason, LinkLost, LinkOpened
from smallest_proto.server.answers import error_answer
from smallest_proto.server.recogniser import coded_speech
from smallest_proto.transcription.events import FinalTranscript, InterimTranscript
from smallest_transports.memory import MemoryLink, MemoryNetwork, refuse_next

SPEECH = coded_speech([item for word in range(1, 40) for item in ((word, 0.7) if word % 6 == 0 else (word,))] + [1.0])
OPENED = 0.06  # to the service and back


def first_lost(call: Any) -> tuple[float, LinkLost]:
    return next((time, event) for time, event in call.events if isinstance(event, LinkLost))


def fault_at(call: Any, time: float, fault: Any) -> None:
    call.at(time, lambda: fault(call.network.links[-1]))


# --- stalls ---


def test_a_half_open_connection_is_found_by_its_ping(calls: Any) -> None:
    call = calls.make()
    call.feed(SPEECH.pcm)
    fault_at(call, 6.0, MemoryLink.half_open)
    call.run()
    call.assert_whole(SPEECH)
    time, lost = first_lost(call)
    first_pong = OPENED + 5.0 + 0.06
    assert time == pytest.approx(first_pong + 5.0 + 5.0 + 0.06), "as long as the last pong took is added"
    assert "ping" in lost.failure.reason
    assert time - 6.0 <= Timeouts().ping + Timeouts().pong + 0.06


@pytest.mark.parametrize("at", [0.5, 3.0, 7.3])
def test_a_blocked_write_is_found_within_its_deadline(calls: Any, at: float) -> None:
    call = calls.make()
    call.feed(SPEECH.pcm)
    fault_at(call, at, MemoryLink.stall)
    call.run()
    call.assert_whole(SPEECH)
    time, lost = first_lost(call)
    assert at + 5.0 <= time <= at + 0.05 + 0.02 + 5.0, "from the first send that did not leave"
    assert "stuck" in lost.failure.reason


def test_a_short_block_is_none(calls: Any) -> None:
    call = calls.make()
    call.feed(SPEECH.pcm)
    fault_at(call, 2.0, MemoryLink.stall)
    fault_at(call, 6.0, MemoryLink.resume)
    call.run()
    call.assert_whole(SPEECH)
    assert call.of(LinkLost) == []


def test_a_mute_service_is_found_within_its_deadline(calls: Any) -> None:
    call = calls.make()
    call.feed(SPEECH.pcm)
    fault_at(call, 2.0, MemoryLink.mute)
    call.run()
    call.assert_whole(SPEECH)
    time, lost = first_lost(call)
    heard = max(when for when, event in call.events if isinstance(event, InterimTranscript) and when < time)
    beside = call.when(LinkOpened)[1]
    assert 12.0 - 1e-9 <= beside - OPENED - heard <= 12.0 + 0.1, "from the first message after the last word"
    assert beside < time <= beside + 0.2, "the first link hears on until the other one speaks"
    assert "mute" in lost.failure.reason
    assert [text for _, text in call.texts(1)] == [], "no question of our own cuts a word"


def test_the_deadlines_can_be_set(calls: Any) -> None:
    call = calls.make(session={"timeouts": Timeouts(mute=3.0, ping=1.0, pong=0.5, write=0.2)})
    call.feed(SPEECH.pcm)
    fault_at(call, 3.0, MemoryLink.mute)
    fault_at(call, 7.5, MemoryLink.half_open)
    call.at(11.0, lambda: call.network.links[-1].stall())
    call.run()
    call.assert_whole(SPEECH)
    reasons = [lost.failure.reason for lost in call.of(LinkLost)]
    assert ["mute" in reasons[0], "ping" in reasons[1], "stuck" in reasons[2]] == [True] * 3
    times = call.when(LinkLost)
    assert times[0] <= 3.0 + 3.1
    assert times[1] <= 7.5 + 1.5
    assert times[2] <= 11.0 + 0.3


def test_a_caller_who_is_silent_is_no_mute_service(calls: Any) -> None:
    call = calls.make()
    silence = coded_speech([1, 90.0, 2, 1.0])
    call.feed(silence.pcm, chunk=0.05)
    call.run()
    call.assert_whole(silence)
    assert call.of(LinkLost) == []
    assert [final.text for final in call.of(FinalTranscript)] == ["w1", "w2"] or call.text == "w1 w2"
    assert not any(final.from_finalize for final in call.of(FinalTranscript)), "what was not asked is not answered"


def test_after_a_long_silence_little_is_replayed(calls: Any) -> None:
    call = calls.make()
    silence = coded_speech([1, 90.0, 2, 1.0])
    call.feed(silence.pcm, chunk=0.05)
    fault_at(call, 80.0, MemoryLink.lose)
    call.run()
    call.assert_whole(silence)
    assert call.session.stats.seconds_replayed <= 12.5


def test_an_application_that_gives_nothing_is_no_stall(calls: Any) -> None:
    call = calls.make()
    call.at(100.0, call.end_input)
    call.run()
    assert call.of(LinkLost) == []
    assert call.end.reason is EndReason.COMPLETED


# --- keepalive ---


@pytest.mark.parametrize("route", ["unified", "model"])
def test_the_gateway_is_kept_awake_while_nothing_else_is_sent(calls: Any, route: str) -> None:
    call = calls.make(route=route)
    call.at(0.0, lambda: call.feed(coded_speech([1, 0.9]).pcm, end=False))
    call.at(21.0, lambda: call.feed(coded_speech([2, 1.0]).pcm))
    call.run()
    assert call.text == "w1 w2"
    sent = call.sent[1]
    told = [at for at, (_, data) in enumerate(sent) if data == KEEPALIVE]
    assert len(told) == 3
    for at in told:  # each 5 s after what was sent before it, and nothing else lets the link wait for longer
        assert sent[at][0] == pytest.approx(sent[at - 1][0] + 5.0)
    assert max(later - time for (time, _), (later, _) in pairwise(sent)) == pytest.approx(5.0)


def test_no_keepalive_beside_audio(calls: Any) -> None:
    call = calls.make()
    call.feed(SPEECH.pcm)
    call.run()
    assert KEEPALIVE not in [text for _, text in call.texts(1)]


def test_a_server_reached_directly_is_sent_no_keepalive(calls: Any) -> None:
    call = calls.make(route="direct")
    call.at(30.0, lambda: call.feed(SPEECH.pcm))
    call.run()
    call.assert_whole(SPEECH)
    assert all(text != KEEPALIVE for link in call.sent for _, text in call.texts(link))


# --- retry ---


@pytest.mark.parametrize(("asked", "waited"), [("7", 7.0), ("600", 60.0), ("0", 0.25)])
def test_retry_after_is_waited_up_to_a_bound(calls: Any, asked: str, waited: float) -> None:
    network = MemoryNetwork()
    refuse_next(network, 429, (("Retry-After", asked),))
    call = calls.make(network, session={"buffer_seconds": 90.0, "timeouts": Timeouts(last=60.0)})
    call.feed(SPEECH.pcm)
    call.run()
    call.assert_whole(SPEECH)
    time, lost = first_lost(call)
    assert lost.retry_in == waited
    assert call.when(LinkOpened) == [pytest.approx(time + waited + OPENED)]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404])
def test_a_refusal_that_no_second_try_can_help_ends_the_call_at_once(calls: Any, status: int) -> None:
    network = MemoryNetwork()
    refuse_next(network, status)
    call = calls.make(network)
    call.feed(SPEECH.pcm)
    call.run()
    assert call.end.reason is EndReason.FAILED
    assert call.end.failure is not None
    assert call.end.failure.status == status
    assert len(network.links) == 1
    assert network.clock.now == pytest.approx(OPENED)


def test_links_that_open_and_die_at_once_use_up_the_budget(calls: Any) -> None:
    network = MemoryNetwork()
    network.on_link = lambda link: network.clock.after(0.1, link.lose)
    call = calls.make(network, session={"retry": RetryPolicy(max_retries=4)})
    call.feed(SPEECH.pcm)
    call.run()
    assert call.end.reason is EndReason.FAILED
    assert [lost.retry_in for lost in call.of(LinkLost)] == [0.25, 0.5, 1.0, 2.0]
    assert len(call.of(LinkOpened)) == 5


def test_a_link_that_was_healthy_for_a_while_starts_the_count_over(calls: Any) -> None:
    network = MemoryNetwork()
    network.on_link = lambda link: network.clock.after(3.1 if link.number % 2 else 0.1, link.lose)
    call = calls.make(network, session={"retry": RetryPolicy(max_retries=2, healthy_after=3.0, first_delay=0.1)})
    call.feed(SPEECH.pcm)
    call.at(SPEECH.seconds - 0.5, lambda: setattr(network, "on_link", None))
    call.run()
    call.assert_whole(SPEECH)
    assert len(call.of(LinkLost)) > 4


def test_waits_are_spread(calls: Any) -> None:
    network = MemoryNetwork()
    for _ in range(3):
        refuse_next(network, 503)
    call = calls.make(network, session={"jitter": iter((0.5, 0.0, 0.25)).__next__})
    call.feed(SPEECH.pcm)
    call.run()
    call.assert_whole(SPEECH)
    assert [lost.retry_in for lost in call.of(LinkLost)] == [0.125, 0.0, 0.25]


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011, 1012, 1013])
def test_a_link_that_the_service_closes_is_opened_again(calls: Any, code: int) -> None:
    call = calls.make()
    call.feed(SPEECH.pcm)
    fault_at(call, 4.0, lambda link: link.hang_up(code))
    call.run()
    call.assert_whole(SPEECH)
    assert first_lost(call)[1].retry_in == 0.25


def test_too_many_sessions_are_tried_again_slowly(calls: Any) -> None:
    call = calls.make(session={"jitter": lambda: 0.0})
    call.feed(SPEECH.pcm)
    fault_at(call, 4.0, lambda link: link.hang_up(1008))
    call.run()
    call.assert_whole(SPEECH)
    assert first_lost(call)[1].retry_in == 10.0


def test_a_connection_that_never_opens_is_given_up_in_time(calls: Any) -> None:
    network = MemoryNetwork()

    def first_never_opens(link: MemoryLink) -> None:
        if link.number == 1:
            link.half_open()

    network.on_link = first_never_opens
    call = calls.make(network)
    call.feed(SPEECH.pcm)
    call.run()
    call.assert_whole(SPEECH)
    time, lost = first_lost(call)
    assert time == pytest.approx(10.0)
    assert "open in time" in lost.failure.reason


def test_an_error_message_is_a_reason_for_a_new_link(calls: Any) -> None:
    call = calls.make()
    call.feed(SPEECH.pcm)
    fault_at(call, 4.0, lambda link: link.say('{"type":"error","status":"error","message":"private"}'))
    call.run()
    call.assert_whole(SPEECH)
    _, lost = first_lost(call)
    assert lost.failure.detail == "private"
    assert "private" not in repr(lost)


def test_the_key_that_is_not_let_in(calls: Any) -> None:
    call = calls.make(MemoryNetwork(api_key="another"))
    call.feed(SPEECH.pcm)
    call.run()
    assert call.end.reason is EndReason.FAILED
    assert "the-key" not in repr(call.events)


def test_refusals_of_a_handover_count_for_nothing(calls: Any) -> None:
    network = MemoryNetwork()

    def refuse(link: MemoryLink) -> None:
        if "punctuate" in link.request.query:
            link.refusal = error_answer(503, "full")

    network.on_link = refuse
    call = calls.make(network, session={"retry": RetryPolicy(max_retries=0)})
    call.feed(SPEECH.pcm)
    for at in range(1, 6):
        call.at(float(at), lambda: call.update(TranscriptionConfig(punctuate=True)))
    call.run()
    call.assert_whole(SPEECH)
