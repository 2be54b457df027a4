"""The session's promises: what was said is heard, once and at its time, across any number of links."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from smallest_proto.config import Timeouts, TranscriptionConfig
from smallest_proto.events import EndReason, LinkLost
from smallest_proto.reading import Word
from smallest_proto.server.recogniser import CodedRecogniser, PlainRecogniser, Recognised, coded_speech
from smallest_proto.transcription.events import (
    AudioLost,
    FinalTranscript,
    InterimTranscript,
    SpeechEnded,
    SpeechStarted,
)
from smallest_proto.transcription.messages import CLOSE_STREAM, FINALIZE
from smallest_transports.memory import MemoryLink, MemoryNetwork, refuse_next

from .way import RATE, SPEECH

FIRST_FINAL = SPEECH.words[2].end / RATE + 0.6 + 0.05 + 0.2  # by then the first three words are final


def lose(call: Any, at: float) -> None:
    """The link that serves at ``at`` is lost then."""
    call.at(at, lambda: call.network.links[-1].lose())


# --- replay ---


def test_a_call_without_faults_sends_each_sample_once(calls: Any) -> None:
    call = calls.make()
    call.feed(SPEECH.pcm)
    call.run()
    call.assert_whole(SPEECH)
    assert call.audio(1) == SPEECH.pcm
    assert call.end.reason is EndReason.COMPLETED


def test_a_new_link_starts_a_margin_before_the_watermark_where_it_is_quietest(calls: Any) -> None:
    call = calls.make()
    call.feed(SPEECH.pcm)
    lose(call, FIRST_FINAL)
    call.run()
    call.assert_whole(SPEECH)
    margin = call.margin(2, SPEECH.pcm, SPEECH.words[2].end)
    assert 0.3 <= margin < 0.5 + 0.05
    first = call.sent[2][0][1]
    assert len(first) == 1600, "messages are sent again as they were"
    assert SPEECH.pcm.startswith(call.audio(1))


def test_a_new_link_begins_in_a_pause_if_there_is_one_in_the_margin(calls: Any) -> None:
    speech = coded_speech([1, 2, 0.2, 3, 0.8, 4, 1.0])
    call = calls.make()
    call.feed(speech.pcm)
    lose(call, speech.words[2].end / RATE + 0.85)
    call.run()
    call.assert_whole(speech)
    margin = call.margin(2, speech.pcm, speech.words[2].end)
    begins = speech.words[2].end - round(margin * RATE)
    assert 0.3 <= margin < 0.55
    assert not any(call.audio(2)[:1600]), "no word is cut at its edge"
    assert begins < speech.words[2].start


@pytest.mark.parametrize("interval", [0.02, 0.03, 0.0])
def test_catching_up_is_no_faster_than_the_service_takes_it(calls: Any, interval: float) -> None:
    call = calls.make(session={"timeouts": Timeouts(message_interval=interval)})
    call.feed(SPEECH.pcm, chunk=0.05)
    lose(call, 1.8)
    call.run()
    call.assert_whole(SPEECH)
    times = [time for time, data in call.sent[2] if isinstance(data, bytes)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) == pytest.approx(interval, abs=1e-9)
    catching_up = [gap for gap in gaps if gap < 0.049]
    assert len(catching_up) > 10
    if interval:  # while more than one message waits, each goes out exactly when it may
        assert catching_up[:-1] == pytest.approx([interval] * (len(catching_up) - 1), abs=1e-9)
    assert gaps[-5:] == pytest.approx([0.05] * 5, abs=1e-9), "then live again"


@pytest.mark.parametrize("latency", [0.5, 2.0])
def test_the_first_words_of_a_call_wait_for_the_first_link(calls: Any, latency: float) -> None:
    network = MemoryNetwork(latency=latency)
    refuse_next(network, 503)
    call = calls.make(network)
    call.feed(SPEECH.pcm)
    call.run()
    call.assert_whole(SPEECH)
    assert call.audio(2) == SPEECH.pcm
    assert call.session.stats.seconds_replayed == 0.0


def test_a_link_that_dies_before_anything_was_final_is_replayed_whole(calls: Any) -> None:
    call = calls.make()
    call.feed(SPEECH.pcm)
    lose(call, 0.9)
    call.run()
    call.assert_whole(SPEECH)
    assert call.audio(2) == SPEECH.pcm


def test_neither_an_answer_nor_silence_moves_the_watermark_past_the_last_word(calls: Any) -> None:
    call = calls.make()
    pause = coded_speech([1, 2.5, 2, 1.0])
    call.feed(pause.pcm, chunk=0.05)
    call.at(2.01, call.finalize)  # in the pause
    lose(call, 2.5)
    call.run()
    call.assert_whole(pause)
    assert call.margin(2, pause.pcm, pause.words[0].end) >= 0.2, "the word lies 0.2 s after the beginning"
    assert call.audio(2) == pause.pcm


def test_a_finalize_in_the_middle_of_a_word_costs_nothing_when_the_link_is_lost(calls: Any) -> None:
    """The service leaves the word for the next final, or cuts it in two: either way it is heard again."""
    speech = coded_speech([1, 2, 3, 0.4, *range(4, 10), 1.0])
    for number in range(3, 8):
        for share in (0.25, 0.5, 0.75):
            call = calls.make(MemoryNetwork(WholeWords))
            word = speech.words[number]
            at = (word.start + share * (word.end - word.start)) / RATE
            call.feed(speech.pcm)
            call.at(at, call.finalize)
            lose(call, at + 0.3)
            call.run()
            assert call.text.split() == speech.text.split(), (number, share)
            assert call.of(AudioLost) == []
            assert sum(final.from_finalize for final in call.of(FinalTranscript)) == 1


def test_a_finalize_that_was_not_answered_is_asked_again_at_the_same_sample(calls: Any) -> None:
    call = calls.make(endpointing=False)
    call.feed(SPEECH.pcm, chunk=0.05)
    at = SPEECH.words[2].end / RATE + 0.4
    call.at(at, call.finalize)
    lose(call, at + 0.01)  # it is under way
    call.run()
    call.assert_whole(SPEECH)
    told = [data for _, data in call.sent[2]]
    place = told.index(FINALIZE)
    before = b"".join(data for data in told[:place] if isinstance(data, bytes))
    assert len(before) == 2 * RATE * 0.05 * (at // 0.05)
    (answer,) = [final for final in call.of(FinalTranscript) if final.from_finalize]
    assert answer.text == "w1 w2 w3"
    assert told.count(FINALIZE) == 1


class WholeWords(CodedRecogniser):
    """A finalize leaves the word that is being said for the next final."""

    def finalize(self) -> Sequence[Recognised]:
        return self.finalize_words()


# --- without word times ---


class Untimed(CodedRecogniser):
    """Hears words, and does not say when."""

    def hear(self, audio: bytes) -> list[Recognised]:
        return [untimed(item) for item in super().hear(audio)]

    def finalize(self) -> list[Recognised]:
        return [untimed(item) for item in super().finalize()]


def untimed(item: Recognised) -> Recognised:
    return msgspec.structs.replace(item, words=()) if hasattr(item, "words") else item


@pytest.mark.parametrize("at", [0.3, 1.0, FIRST_FINAL, 2.5, SPEECH.seconds - 0.1, SPEECH.seconds + 0.05])
def test_without_word_times_what_is_heard_twice_is_told_once(calls: Any, at: float) -> None:
    call = calls.make(MemoryNetwork(Untimed))
    call.feed(SPEECH.pcm)
    lose(call, at)
    call.run()
    assert call.end.reason is EndReason.COMPLETED
    assert call.text == SPEECH.text
    assert call.audio(2) == SPEECH.pcm, "rather twice than lost: from where it is known to be final"
    assert all(0.0 <= final.start <= final.end <= SPEECH.seconds for final in call.of(FinalTranscript))


def test_without_word_times_a_repetition_that_is_cut_otherwise_is_found(calls: Any) -> None:
    call = calls.make(MemoryNetwork(Untimed))
    call.feed(SPEECH.pcm)
    call.at(2.6, lambda: call.update(TranscriptionConfig(max_words=2)))
    lose(call, 3.5)
    call.run()
    assert call.text == SPEECH.text
    assert len(call.network.links) == 3


def test_without_word_times_a_question_in_a_pause_settles_what_was_said_before_it(calls: Any) -> None:
    """Nothing else would ever be known to be final. It takes a second: one question can have two answers."""
    speech = coded_speech([1, 2, 3, 2.5, 4, 5, 6, 1.5, 7, 1.0])
    call = calls.make(MemoryNetwork(Untimed))
    call.feed(speech.pcm, chunk=0.05)
    asked = speech.words[2].end / RATE + 1.0
    call.at(asked, call.finalize)
    lose(call, speech.words[5].end / RATE + 1.0)
    call.run()
    assert call.text == speech.text
    margin = call.margin(2, speech.pcm, round(asked * RATE))
    assert 0.3 <= margin < 0.55 + 0.3, "in the pause, a margin before the question"


@pytest.mark.parametrize("after", [0.1, 0.4])
def test_without_word_times_an_answer_alone_settles_nothing(calls: Any, after: float) -> None:
    call = calls.make(MemoryNetwork(Untimed))
    call.feed(SPEECH.pcm, chunk=0.05)
    asked = SPEECH.words[2].end / RATE + 0.4
    call.at(asked, call.finalize)
    lose(call, asked + after)
    call.run()
    assert call.text == SPEECH.text
    assert call.audio(2) == SPEECH.pcm


# --- one timeline ---


@pytest.mark.parametrize("word_timestamps", [True, False])
def test_every_time_is_of_the_applications_audio(calls: Any, word_timestamps: bool) -> None:
    call = calls.make(vad_events=True, word_timestamps=word_timestamps, sentence_timestamps=True)
    call.feed(SPEECH.pcm)
    for at in (0.5, 2.1, 3.75):
        lose(call, at)
    call.run()
    spoken = [final for final in call.of(FinalTranscript) if final.text]
    if word_timestamps:
        call.assert_whole(SPEECH)
    else:
        assert call.text == SPEECH.text
        assert call.words == []
    times = {word.text: (word.start / RATE, word.end / RATE) for word in SPEECH.words}
    for final in spoken:
        first, *_, last = [*final.text.split()] * 2
        assert final.start == pytest.approx(times[first][0], abs=1e-9)
        assert final.end == pytest.approx(times[last][1], abs=1e-9)
        assert final.utterances[0].start == pytest.approx(final.start, abs=1e-9)
        assert final.utterances[-1].end == pytest.approx(final.end, abs=1e-9)
    for interim in call.of(InterimTranscript):
        assert 0.0 <= interim.start <= interim.end <= SPEECH.seconds
    for event in (*call.of(SpeechStarted), *call.of(SpeechEnded)):
        assert 0.0 <= event.time <= SPEECH.seconds
    assert len({final.session_id for final in spoken}) > 1
    assert len(call.of(LinkLost)) == 3


# --- turns ---


@pytest.mark.parametrize("vad_events", [True, False])
def test_a_turn_that_is_open_stays_open_while_links_come_and_go(calls: Any, vad_events: bool) -> None:
    speech = coded_speech([*range(1, 16), 1.5])
    call = calls.make(vad_events=vad_events, finalize_on_words=False)  # without events a final is the end of a turn
    call.feed(speech.pcm)
    for at in (1.0, 1.9, 2.8):
        lose(call, at)
    call.run()
    call.assert_whole(speech)
    (started,), (ended,) = call.of(SpeechStarted), call.of(SpeechEnded)
    assert ended.time == pytest.approx(speech.words[-1].end / RATE, abs=0.06)
    if vad_events:
        assert started.time == pytest.approx(speech.words[0].start / RATE, abs=0.06)


def test_a_turn_that_was_told_to_be_over_is_not_told_again(calls: Any) -> None:
    """The new link hears the words of an ended turn once more, and its detector tells of them once more."""
    call = calls.make(vad_events=True)
    call.feed(SPEECH.pcm)
    ended = SPEECH.words[2].end / RATE
    lose(call, ended + 0.25 + 0.2)  # after speech_ended, before the final
    call.run()
    call.assert_whole(SPEECH)
    assert call.when(SpeechEnded)[0] < ended + 0.25 + 0.2 < call.when(FinalTranscript)[0]
    assert [event.time for event in call.of(SpeechStarted)] == pytest.approx(
        [SPEECH.words[first].start / RATE for first in (0, 3, 6)], abs=1e-6
    )
    assert [event.time for event in call.of(SpeechEnded)] == pytest.approx(
        [SPEECH.words[last].end / RATE for last in (2, 5, 7)], abs=1e-6
    )


# --- packets ---


@pytest.mark.parametrize("lost_at", [None, 1.1])
def test_packets_of_opus_pass_whole_and_are_replayed_whole(calls: Any, lost_at: float | None) -> None:
    said = [Word(text="Hello", start=0.5, end=0.9), Word(text="there.", start=1.0, end=1.4)]
    network = MemoryNetwork(lambda options: PlainRecogniser(said, options))
    call = calls.make(network, encoding="opus", sample_rate=48000)
    packets = [bytes([0xF8]) + number.to_bytes(2, "big") * 20 for number in range(150)]  # CELT, one frame of 20 ms
    for number, packet in enumerate(packets):
        call.at(0.02 * (number + 1), lambda packet=packet: call.send_audio(packet))
    call.at(3.01, call.end_input)
    if lost_at is not None:
        lose(call, lost_at)
    call.run()
    links = len(network.links)
    assert [data for _, data in call.sent[links] if isinstance(data, bytes)] == packets
    assert call.texts(links)[-1][1] == CLOSE_STREAM
    assert [(word.text, word.start, word.end) for word in call.words] == [("Hello", 0.5, 0.9), ("there.", 1.0, 1.4)]
    stats = call.session.stats
    assert stats.seconds_given == stats.seconds_sent == pytest.approx(3.0)
    assert (stats.seconds_replayed > 0) == (lost_at is not None)


# --- accounting ---


def test_the_stats_count_every_second(calls: Any) -> None:
    network = MemoryNetwork()
    call = calls.make(network, route="direct")
    call.feed(SPEECH.pcm)
    lose(call, FIRST_FINAL)
    call.at(FIRST_FINAL - 0.1, lambda: refuse_next(network, 429))
    call.at(3.0, lambda: network.links[-1].hang_up(1013))
    call.run()
    call.assert_whole(SPEECH)
    stats = call.session.stats
    total = sum(len(call.audio(link)) for link in call.sent) / 2 / RATE
    assert stats.seconds_given == stats.seconds_sent == SPEECH.seconds
    assert stats.seconds_replayed == pytest.approx(total - SPEECH.seconds)
    assert stats.seconds_replayed > 0
    assert stats.seconds_lost == 0.0
    assert stats.seconds_finalised == pytest.approx(SPEECH.seconds, abs=1.0)
    assert [(record.link, record.opened, record.ended) for record in stats.links] == [
        (1, True, True),
        (2, False, True),
        (3, True, True),
        (4, True, True),
    ]
    failures = [record.failure for record in stats.links]
    assert failures[0] is not None
    assert failures[0].code == 1006
    assert failures[1] is not None
    assert failures[1].status == 429
    assert failures[2] is not None
    assert failures[2].code == 1013
    assert failures[3] is None, "the session itself ended it"
    finals = call.of(FinalTranscript)
    assert stats.finals == len(finals)
    latencies = [final.latency for final in finals if final.latency is not None]
    assert len(latencies) == 3
    assert stats.final_latency_mean == pytest.approx(sum(latencies) / 3)
    assert stats.final_latency_max == pytest.approx(max(latencies))


def test_latency_is_from_the_sending_of_the_last_sample_to_the_final(calls: Any) -> None:
    call = calls.make(MemoryNetwork(latency=0.1, decode_time=0.25))
    call.feed(SPEECH.pcm, chunk=0.05)
    call.run()
    at, final = next((at, event) for at, event in call.events if isinstance(event, FinalTranscript))
    end = SPEECH.words[2].end
    message = -(-end // 800)  # the message that holds the last sample, from 1
    sent = [time for time, data in call.sent[1] if isinstance(data, bytes)][message - 1]
    assert final.latency == pytest.approx(at - sent, abs=1e-9)
    assert (final.latency or 0.0) >= 0.6 - 0.05 + 0.2 + 0.25


def test_what_a_link_says_that_no_longer_serves_is_ignored(calls: Any) -> None:
    call = calls.make()
    call.feed(SPEECH.pcm)
    lost: list[MemoryLink] = []

    def late() -> None:
        link = lost[0]
        call.tell(lambda session, now: session.message_received(link.number, '{"transcript":"late"}', now))
        call.tell(lambda session, now: session.pong_received(link.number, now))
        call.tell(lambda session, now: session.link_closed(link.number, 1000, "", now))

    def lose_first() -> None:
        lost.extend(call.network.links)
        lost[0].lose()

    call.at(1.0, lose_first)
    call.at(2.0, late)
    call.run()
    call.assert_whole(SPEECH)
    assert call.session.stats.messages_ignored == 1
