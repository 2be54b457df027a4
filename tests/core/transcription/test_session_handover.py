"""Other options in the middle of a stream: a handover that loses nothing, and a refusal that stops nothing."""

from __future__ import annotations

from typing import Any

import pytest

from smallest_proto.audio import AudioFormat
from smallest_proto.config import TranscriptionConfig
from smallest_proto.errors import ConfigurationError, LocalProtocolError
from smallest_proto.events import EndReason, LinkLost, LinkOpened
from smallest_proto.server.answers import error_answer
from smallest_proto.server.recogniser import CodedSpeech, coded_speech
from smallest_proto.transcription.events import AudioLost, FinalTranscript, LossReason, UpdateRejected
from smallest_transports.memory import MemoryLink, MemoryNetwork, refuse_next

from .way import RATE, SPEECH

PUNCTUATED = TranscriptionConfig(punctuate=True)
REFUSED = TranscriptionConfig(external_session_id="refused")


def network_that_refuses(what: str = "external_session_id=refused", **more: Any) -> MemoryNetwork:
    """Its service takes no link in whose query ``what`` stands."""
    network = MemoryNetwork(**more)

    def refuse(link: MemoryLink) -> None:
        if what in link.request.query:
            link.refusal = error_answer(400, "no such option")

    network.on_link = refuse
    return network


def feed_parts(call: Any, *parts: CodedSpeech, chunk: float = 0.05) -> None:
    """Give one part after the other, each in its own sample rate, and end the input."""
    end = 0.0
    for at, part in enumerate(parts):
        config = TranscriptionConfig(sample_rate=part.sample_rate)

        def give(part: CodedSpeech = part, config: TranscriptionConfig = config, at: int = at) -> None:
            if call.session.config.audio_format != config.audio_format:
                call.update(config)
            call.feed(part.pcm, chunk=chunk, format=config.audio_format, end=at == len(parts) - 1)

        call.at(end, give)
        end += chunk * (-(-len(part.pcm) // round(2 * part.sample_rate * chunk))) + 0.001


# --- options ---


def test_the_old_link_hears_until_the_new_one_serves(calls: Any) -> None:
    call = calls.make(MemoryNetwork(latency=0.3))
    call.feed(SPEECH.pcm, chunk=0.05)
    before = call.session.config
    used: list[TranscriptionConfig] = []
    call.at(2.0, lambda: call.update(PUNCTUATED))
    call.at(2.5, lambda: used.append(call.session.config))
    call.run()
    call.assert_whole(SPEECH)
    assert (used, call.session.config) == ([before], PUNCTUATED)
    old, new = call.network.links
    assert "punctuate" not in old.request.query
    assert "punctuate=true" in new.request.query
    opened = call.when(LinkOpened)[1]
    assert opened == pytest.approx(2.6)
    assert call.sent[1][-1][0] == pytest.approx(2.55, abs=0.051), "it was sent audio all the while"
    assert call.sent[2][0][0] == pytest.approx(opened)
    assert 0.3 <= call.margin(2, SPEECH.pcm, SPEECH.words[2].end) < 0.55, (
        "the new one starts a margin before the watermark"
    )
    assert call.of(LinkLost) == []
    assert [record.failure for record in call.session.stats.links] == [None, None]


@pytest.mark.parametrize("latency", [0.03, 0.4])
def test_refused_options_leave_the_call_as_it_was(calls: Any, latency: float) -> None:
    call = calls.make(network_that_refuses(latency=latency))
    call.feed(SPEECH.pcm)
    call.at(1.0, lambda: call.update(REFUSED))
    call.run()
    call.assert_whole(SPEECH)
    (rejected,) = call.of(UpdateRejected)
    assert rejected.failure.status == 400
    assert call.session.config != REFUSED
    assert call.audio(1) == SPEECH.pcm
    assert {final.session_id for final in call.of(FinalTranscript)} == {"session-1"}
    assert call.end.reason is EndReason.COMPLETED


def test_options_refused_after_the_old_link_was_lost(calls: Any) -> None:
    call = calls.make(network_that_refuses(latency=0.3))
    call.feed(SPEECH.pcm)
    call.at(2.0, lambda: call.update(REFUSED))
    call.at(2.1, lambda: call.network.links[0].lose())
    call.run()
    call.assert_whole(SPEECH)
    assert len(call.of(UpdateRejected)) == 1
    assert len(call.network.links) == 3


@pytest.mark.parametrize("at", [0.0, 0.03, 1.0, 2.05])
@pytest.mark.parametrize("gap", [0.0, 0.03, 0.2])
def test_several_updates_in_a_row_end_in_the_last(calls: Any, at: float, gap: float) -> None:
    call = calls.make()
    call.feed(SPEECH.pcm)
    call.at(2.0, lambda: call.network.links[-1].lose())
    for number in (1, 2, 3):
        config = TranscriptionConfig(max_words=number)
        call.at(at + gap * number, lambda config=config: call.update(config))
    call.run()
    call.assert_whole(SPEECH)
    assert "max_words=3" in call.network.links[-1].request.query
    assert call.of(UpdateRejected) == []


def test_an_update_that_is_taken_back_in_time_changes_nothing(calls: Any) -> None:
    call = calls.make(MemoryNetwork(latency=0.3))
    call.feed(SPEECH.pcm)
    call.at(1.0, lambda: call.update(PUNCTUATED))
    call.at(1.2, lambda: call.update(TranscriptionConfig()))
    call.run()
    call.assert_whole(SPEECH)
    assert call.audio(1) == SPEECH.pcm
    assert [record.opened for record in call.session.stats.links] == [True, False]


def test_the_same_options_once_more_are_tried_once(calls: Any) -> None:
    call = calls.make(MemoryNetwork(latency=0.3))
    call.feed(SPEECH.pcm)
    for at in (1.0, 1.2, 2.5):  # while they are tried, and when they are in use
        call.at(at, lambda: call.update(TranscriptionConfig(punctuate=True)))
    call.run()
    call.assert_whole(SPEECH)
    assert len(call.network.links) == 2


def test_refused_options_can_be_asked_for_again(calls: Any) -> None:
    call = calls.make(network_that_refuses(latency=0.1))
    call.feed(SPEECH.pcm, chunk=0.05)
    for at in (1.0, 2.0):
        call.at(at, lambda: call.update(TranscriptionConfig(external_session_id="refused")))
    call.run()
    call.assert_whole(SPEECH)
    assert len(call.of(UpdateRejected)) == 2


@pytest.mark.parametrize("config", [PUNCTUATED, REFUSED])
@pytest.mark.parametrize("before_end", [0.0, 0.05, 0.3])
def test_an_update_just_before_the_end(calls: Any, config: TranscriptionConfig, before_end: float) -> None:
    call = calls.make(network_that_refuses(latency=0.1))
    call.at(0.0, lambda: call.feed(SPEECH.pcm, end=False))
    call.at(5.2 - before_end, lambda: call.update(config))
    call.at(5.2, call.end_input)
    call.run()
    call.assert_whole(SPEECH)
    assert call.end.reason is EndReason.COMPLETED


def test_options_that_the_endpoint_does_not_serve_change_nothing(calls: Any) -> None:
    call = calls.make()
    call.feed(SPEECH.pcm)
    session = call.session

    def wrong() -> None:
        with pytest.raises(ConfigurationError):
            session.update(TranscriptionConfig(model="pulse-2", language="hi"), 1.0)

    call.at(1.0, wrong)
    call.run()
    call.assert_whole(SPEECH)
    assert len(call.network.links) == 1
    with pytest.raises(LocalProtocolError):
        session.update(PUNCTUATED, 9.0)


# --- sample rate and encoding ---

NARROW = coded_speech([11, 12, 0.4, 13, 0.2], sample_rate=8000)
WIDE = coded_speech([21, 22, 0.7, 23, 1.0], sample_rate=16000)
FULL = coded_speech([31, 32, 1.0], sample_rate=48000)


@pytest.mark.parametrize("latency", [0.0, 0.03, 0.4])
def test_another_sample_rate_begins_at_an_exact_sample(calls: Any, latency: float) -> None:
    call = calls.make(MemoryNetwork(latency=latency), sample_rate=8000)
    feed_parts(call, NARROW, WIDE)
    call.run()
    call.assert_whole(NARROW, WIDE)
    assert call.audio(1) == NARROW.pcm
    assert call.audio(2) == WIDE.pcm
    assert "sample_rate=8000" in call.network.links[0].request.query
    assert "sample_rate=16000" in call.network.links[1].request.query
    stats = call.session.stats
    assert stats.seconds_given == stats.seconds_sent == pytest.approx(NARROW.seconds + WIDE.seconds)
    assert call.session.seconds_given == pytest.approx(stats.seconds_given)
    assert stats.seconds_finalised >= NARROW.seconds


def test_a_sample_rate_there_and_back_while_links_are_lost(calls: Any) -> None:
    call = calls.make(sample_rate=8000)
    back = coded_speech([41, 42, 1.0], sample_rate=8000)
    feed_parts(call, NARROW, FULL, WIDE, back)
    for at in (0.5, 1.4, 2.4, 3.3, 4.4, 5.5):
        call.at(at, lambda: call.network.links[-1].lose())
    call.run()
    call.assert_whole(NARROW, FULL, WIDE, back)


def test_formats_that_change_before_any_link_is_open(calls: Any) -> None:
    call = calls.make(MemoryNetwork(latency=2.0), sample_rate=8000)
    feed_parts(call, NARROW, FULL, WIDE)
    call.run()
    call.assert_whole(NARROW, FULL, WIDE)
    assert [link.request.query.split("sample_rate=")[1].split("&")[0] for link in call.network.links] == [
        "8000",
        "48000",
        "16000",
    ]


@pytest.mark.parametrize("refused_too", [False, True])
@pytest.mark.parametrize("at", [0.0, 0.05, 0.3, 0.7, 1.0])
def test_options_and_format_that_change_together(calls: Any, refused_too: bool, at: float) -> None:
    """Options for a format that no link was opened with yet: a refusal of them is none of the format."""
    call = calls.make(network_that_refuses(latency=0.2), sample_rate=8000)
    feed_parts(call, NARROW, WIDE)
    id = "refused" if refused_too else "welcome"
    config = TranscriptionConfig(external_session_id=id)
    change = 0.05 * (-(-len(NARROW.pcm) // 800)) + at
    call.at(change + 0.001, lambda: call.update(config))
    call.run()
    call.assert_whole(NARROW, WIDE)
    assert len(call.of(UpdateRejected)) == refused_too
    assert (f"external_session_id={id}" in call.network.links[-1].request.query) or refused_too


def test_options_that_wait_do_not_reach_the_next_format(calls: Any) -> None:
    network = MemoryNetwork()

    def never_opens(link: MemoryLink) -> None:
        if "punctuate" in link.request.query:
            link.half_open()

    network.on_link = never_opens
    call = calls.make(network, sample_rate=8000)
    feed_parts(call, NARROW, WIDE)
    call.at(1.0, lambda: call.update(TranscriptionConfig(sample_rate=8000, punctuate=True)))
    call.run()
    call.assert_whole(NARROW, WIDE)
    assert call.session.config.audio_format == AudioFormat(sample_rate=16000)


@pytest.mark.parametrize("at", [0.0, 0.3, 0.5, 0.7, 1.0])
def test_the_present_options_once_more_do_not_bring_back_an_earlier_format(calls: Any, at: float) -> None:
    call = calls.make(MemoryNetwork(latency=0.2), sample_rate=8000)
    feed_parts(call, NARROW, WIDE)
    change = 0.05 * (-(-len(NARROW.pcm) // 800))
    call.at(change + at + 0.001, lambda: call.update(PUNCTUATED))
    call.at(change + at + 0.021, lambda: call.update(TranscriptionConfig()))
    call.run()
    call.assert_whole(NARROW, WIDE)


def test_a_refused_format_goes_back_and_says_what_was_lost(calls: Any) -> None:
    call = calls.make(network_that_refuses("sample_rate=48000"))
    call.feed(SPEECH.pcm, chunk=0.05, end=False)
    full = AudioFormat(sample_rate=48000)
    lost_text = coded_speech([99], sample_rate=48000)

    def go_over() -> None:
        call.update(TranscriptionConfig(sample_rate=48000))
        assert call.session.config.audio_format == full
        assert call.session.config == TranscriptionConfig(sample_rate=48000)
        call.send_audio(lost_text.pcm)

    def go_back() -> None:
        assert call.session.config.audio_format == AudioFormat()
        assert call.session.config == TranscriptionConfig()
        call.feed(WIDE.pcm, chunk=0.05)

    call.at(5.2, go_over)
    call.at(6.0, go_back)
    call.run()
    (rejected,) = call.of(UpdateRejected)
    assert rejected.failure.status == 400
    (lost,) = call.of(AudioLost)
    assert (lost.start, lost.end) == (pytest.approx(SPEECH.seconds), pytest.approx(SPEECH.seconds + lost_text.seconds))
    assert lost.reason is LossReason.REJECTED
    assert call.text == f"{SPEECH.text} {WIDE.text}"
    origin = SPEECH.seconds + lost_text.seconds
    assert call.words[-1].end == pytest.approx(origin + WIDE.words[-1].end / RATE, abs=1e-9)
    assert call.end.reason is EndReason.COMPLETED
    assert call.session.stats.seconds_lost == pytest.approx(lost_text.seconds)


def test_a_refused_format_between_two_others(calls: Any) -> None:
    """The one after it is served; the wait for the refused one's last final is over with it."""
    call = calls.make(network_that_refuses("sample_rate=48000", latency=0.5), sample_rate=8000)
    call.at(0.0, lambda: call.feed(NARROW.pcm, chunk=0.05, format=AudioFormat(sample_rate=8000), end=False))
    call.at(2.0, lambda: call.update(TranscriptionConfig(sample_rate=48000)))
    call.at(2.1, lambda: call.send_audio(FULL.pcm))
    call.at(2.2, lambda: call.update(TranscriptionConfig(sample_rate=16000)))
    call.at(30.0, lambda: call.feed(WIDE.pcm, chunk=0.05))
    call.run()
    assert call.text == f"{NARROW.text} {WIDE.text}"
    (lost,) = call.of(AudioLost)
    assert (lost.start, lost.end) == (
        pytest.approx(NARROW.seconds),
        pytest.approx(NARROW.seconds + FULL.seconds),
    )
    assert call.end.reason is EndReason.COMPLETED


def test_options_for_the_format_after_a_refused_one_are_tried_when_its_turn_comes(calls: Any) -> None:
    call = calls.make(network_that_refuses("sample_rate=48000", latency=0.5), sample_rate=8000)
    call.at(0.0, lambda: call.feed(NARROW.pcm, chunk=0.05, format=AudioFormat(sample_rate=8000), end=False))
    call.at(2.0, lambda: call.update(TranscriptionConfig(sample_rate=48000)))
    call.at(2.1, lambda: call.update(TranscriptionConfig(sample_rate=16000)))
    call.at(2.2, lambda: call.update(TranscriptionConfig(sample_rate=16000, punctuate=True)))
    call.at(30.0, lambda: call.feed(WIDE.pcm, chunk=0.05))
    call.run()
    assert call.text == f"{NARROW.text} {WIDE.text}"
    assert "punctuate=true" in call.network.links[-1].request.query
    assert call.session.config == TranscriptionConfig(sample_rate=16000, punctuate=True)


def test_a_format_that_is_refused_once_is_tried_again_if_the_refusal_may_pass(calls: Any) -> None:
    call = calls.make(sample_rate=8000)
    feed_parts(call, NARROW, WIDE)
    call.at(0.5, lambda: refuse_next(call.network, 503))
    call.run()
    call.assert_whole(NARROW, WIDE)
    assert call.of(UpdateRejected) == []


def test_back_pressure_counts_the_audio_of_every_format(calls: Any) -> None:
    """An application that gives as much as it may, before any link is open, loses nothing."""
    session = calls.make(session={"buffer_seconds": 10.0}).session
    session.start(0.0)
    for rate in (16000, 8000, 16000, 48000):
        session.update(TranscriptionConfig(sample_rate=rate), 0.0)
        given = 0
        while session.ready_for_audio and given < 40:
            session.send_audio(bytes(2 * rate // 10), 0.0)
            given += 1
    while (output := session.poll_output()) is not None:
        assert not isinstance(output, AudioLost)
    assert session.stats.seconds_given == pytest.approx(5.0)
