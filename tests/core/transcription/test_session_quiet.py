"""Silence: what is asked then cuts no word, and what is missing then is found in time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from smallest_proto.config import Timeouts
from smallest_proto.events import LinkLost, LinkOpened
from smallest_proto.server.imperfection import Imperfection
from smallest_proto.server.recogniser import coded_speech
from smallest_proto.transcription.events import FinalTranscript, SpeechEnded
from smallest_transports.memory import MemoryNetwork, refuse_next


@pytest.mark.parametrize("vad_events", [False, True])
def test_on_a_good_network_no_probe_cuts_a_word(calls: Any, vad_events: bool) -> None:
    for start in range(12):  # a word begins at, before and after the moment at which the silence is long enough
        call = calls.make(vad_events=vad_events)
        speech = coded_speech([1, 2, 5.0 + start * 0.15, *range(3, 9), 1.0])
        call.feed(speech.pcm, chunk=0.05)
        call.run()
        call.assert_whole(speech)
        assert call.of(LinkLost) == []


@pytest.mark.parametrize("no_times", [False, True])
def test_a_caller_who_says_no_more_gets_no_new_link(calls: Any, no_times: bool) -> None:
    call = calls.make(MemoryNetwork(imperfection=Imperfection(no_times=no_times)))
    call.feed(coded_speech([1, 7.0, 2, 0.4, 3, 0.4, 1.0, 40.0, 4, 1.0]).pcm, chunk=0.05)
    call.run()
    assert call.of(LinkLost) == []
    assert len(call.of(LinkOpened)) == 1
    assert "w2 w3" in [final.text for final in call.of(FinalTranscript)]


@pytest.mark.parametrize("no_times", [False, True])
def test_a_question_in_a_long_silence_brings_on_no_others(calls: Any, no_times: bool) -> None:
    call = calls.make(MemoryNetwork(imperfection=Imperfection(no_times=no_times)))
    call.feed(coded_speech([1, 2, 60.0, 3, 1.0]).pcm, chunk=0.05)
    call.at(25.0, call.finalize)
    call.run()
    assert call.session.stats.messages_received < 20  # each question is answered by one


def test_a_mute_service_is_found_in_time_after_an_outage(calls: Any) -> None:
    call = calls.make()
    speech = coded_speech([item for word in range(1, 300) for item in ((word, 0.7) if word % 6 == 0 else (word,))])
    call.feed(speech.pcm, chunk=0.05)
    for _ in range(5):  # an outage of some ten seconds
        call.at(29.9, lambda: refuse_next(call.network, 503))
    call.at(30.0, lambda: call.network.links[-1].lose())
    call.at(90.0, lambda: call.network.links[-1].mute())
    call.run()
    call.assert_whole(speech)
    assert max(call.when(LinkLost)) <= 90.0 + 13.5


def test_the_end_of_the_input_is_no_stall(calls: Any) -> None:
    for tenths in range(55, 65):  # the silence before the end is about as long as the patience
        call = calls.make()
        call.feed(coded_speech([1, 2, 1.0, tenths / 10]).pcm, chunk=0.05)
        call.run()
        assert call.of(LinkLost) == []


def test_a_turn_whose_end_was_lost_ends(calls: Any) -> None:
    call = calls.make(vad_events=True)
    speech = coded_speech([1, 2, 3, 20.0])
    call.feed(speech.pcm, chunk=0.05)
    spoken = speech.words[-1].end / speech.sample_rate

    words = [{"word": word.text, "start": word.start / 16000, "end": word.end / 16000} for word in speech.words]
    final = {"transcript": speech.text, "is_final": True, "words": words}

    def cut() -> None:
        link = call.network.links[-1]
        link.say(msgspec.json.encode(final))
        call.at(call.network.clock.now + 0.06, link.lose)

    call.at(spoken + 0.05, cut)
    call.run()
    (ended,) = call.of(SpeechEnded)
    assert ended.time < 12.0


def test_the_close_that_follows_an_error_says_what_kind_it_is(calls: Any) -> None:
    waits = []
    for code in (1008, 1013, None):
        call = calls.make()
        call.feed(coded_speech([1, 2, 3, 14.0]).pcm, chunk=0.05)

        def told(call: Any = call, code: int | None = code) -> None:
            call.network.links[-1].say('{"type":"error","status":"error","message":"the words of the service"}')
            if code is not None:
                call.network.links[-1].hang_up(code)

        call.at(0.5, told)
        call.run()
        (lost,) = call.of(LinkLost)
        assert (lost.failure.code, lost.failure.detail) == (code, "the words of the service")
        assert code is None or str(code) in lost.failure.reason
        waits.append(lost.retry_in)
    assert waits == [10.0, 0.25, 0.25]


def test_errors_told_without_end_do_not_put_the_next_link_off(calls: Any) -> None:
    call = calls.make()
    speech = coded_speech([*range(1, 12), 1.0])
    call.feed(speech.pcm, chunk=0.05)
    for tenths in range(10, 30, 4):  # none is followed by a close, each by another error
        call.at(tenths / 10, lambda: call.network.links[0].say('{"type":"error","message":"again"}'))
    call.run()
    call.assert_whole(speech)
    assert call.when(LinkLost) == pytest.approx([1.0 + 0.03 + 0.5])


@pytest.mark.parametrize("every", [0.25, 0.5, 1.0, 1.9])
def test_each_finalize_that_gets_no_answer_is_given_up_in_its_own_time(calls: Any, every: float) -> None:
    """A later question does not put off an earlier one: an agent asks at the end of each turn."""
    call = calls.make(MemoryNetwork(imperfection=Imperfection(unanswered=True)))
    call.feed(bytes(2 * 16000 * 40), chunk=0.05)
    asked = [0.5 + every * at for at in range(int(30 / every))]
    for time in asked:
        call.at(time, call.finalize)
    call.run()
    answered = [time for time, event in call.events if isinstance(event, FinalTranscript) and event.from_finalize]
    assert len(answered) == len(asked)
    waits = [end - start for start, end in zip(asked, answered, strict=True)]
    assert max(waits) <= Timeouts().finalize + 0.1
