"""The end of a segment: how it is known, what ends it too early, and that no silence of the service lasts for ever."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from smallest_proto.config import RetryPolicy
from smallest_proto.errors import FailureKind
from smallest_proto.events import LinkLost, LinkOpened
from smallest_proto.synthesis.events import AudioChunk, SegmentDone, SpokenSoFar
from smallest_proto.timers import Timer

BOTH = pytest.mark.parametrize("continuations", [False, True], ids=["plain", "continuations"])


def begin(talks: Any, **options: Any) -> Any:
    talk = talks(**options)
    talk.tell("start")
    return talk


def chunk(seconds: float, **more: Any) -> dict[str, Any]:
    return {"status": "chunk", "data": {"audio": base64.b64encode(bytes(2 * round(8000 * seconds))).decode()}, **more}


def silent_service(talks: Any, text: str, **options: Any) -> Any:
    """A service that says only what it is told to."""
    talk = begin(talks, **options)
    talk.speaker.service.message_received = lambda *_: None
    talk.say(text)
    return talk


@pytest.fixture
def quiet() -> Any:
    return lambda talk: talk.session._links.serving.timers[Timer.QUIET] - talk.now


def test_the_end_of_a_context_is_inferred_from_the_strongest_sign(talks: Any, quiet: Any) -> None:
    text = "This is one sentence. This is another one. "  # 34 letters: 1.7 s at the least
    talk = silent_service(talks, text, continuations=True, max_buffer_delay_ms=1000)
    context = {"context_id": talk.speaker.told[0]["context_id"]}
    assert quiet(talk) == 15.0, "nothing came"
    talk.hear(**chunk(1.0, **context))
    talk.hear(status="complete", **context)
    assert quiet(talk) == 15.0, "the audio is too short"
    talk.hear(**chunk(1.0, **context))
    assert quiet(talk) == pytest.approx(0.5), "one complete can answer the whole text"
    talk.ring()
    (done,) = talk.of(SegmentDone)
    assert (done.certain, done.seconds) == (False, 2.0)
    assert len(talk.speakers) == 2, "another context could be disturbed by what still comes on the link"
    assert talk.session.warm
    talk.hear(1, **chunk(1.0, **context))
    assert talk.audio(0) == bytes(32000)


def test_complete_without_audio_is_no_end(talks: Any) -> None:
    """Twice, it is the fault of the text; once, another link speaks it."""
    for times in (1, 2):
        talk = silent_service(talks, "w1 w2.")
        talk.say("w3.")
        talk.hear(status="complete")
        assert talk.of(SegmentDone) == []
        if times == 2:
            talk.opens = False
            while talk.speaker.state != "opening":
                talk.ring()
            talk.opens = True
            talk.speaker.service.message_received = lambda *_: None
            talk.open(talk.link)
            talk.hear(status="complete")
            (cut,) = talk.of(SpokenSoFar)
            assert (cut.spoken, cut.unspoken, cut.exact) == ("", "w1 w2.", True)
            assert cut.failure.kind is FailureKind.PROTOCOL
        talk.run()
        assert [talk.heard(0), talk.heard(1)] == ["w1 w2" if times == 1 else "", "w3"]


def test_a_context_of_which_nothing_is_heard_is_tried_once_more(talks: Any) -> None:
    talk = begin(talks, continuations=True)
    talk.opens = False
    for _ in range(3):
        while talk.speaker.state not in ("opening", "open") and not talk.of(SpokenSoFar):
            talk.ring()
        talk.speaker.service.message_received = lambda *_: None
        if talk.speaker.state == "opening":
            talk.open(talk.link)
        if not talk.speakers[1].told:
            talk.say("w1 w2.")
        if talk.speaker.told:
            talk.hear(status="complete", context_id=talk.speaker.told[0]["context_id"])
        while not talk.of(SpokenSoFar) and talk.speaker.state == "open":
            talk.ring()
    (cut,) = talk.of(SpokenSoFar)
    assert len([speaker for speaker in talk.speakers.values() if speaker.told]) == 2
    assert (cut.unspoken, cut.failure.kind) == ("w1 w2.", FailureKind.DEADLINE)


SAID = {
    "words": {"status": "word_timestamp", "data": {"word": "w1", "start": 0, "end": 1}},
    "completes": {"status": "complete"},
    "empty audio": {"status": "chunk", "data": {"audio": ""}},
}


@pytest.mark.parametrize("replies", SAID.values(), ids=SAID)
def test_what_brings_no_audio_does_not_put_off_the_deadline(talks: Any, replies: dict[str, Any]) -> None:
    talk = silent_service(talks, "w1 w2 w3 w4 w5 w6 w7 w8 w9.", continuations=True)
    talk.hear(**chunk(0.1))
    began = talk.now
    while talk.now < began + 60 and not talk.of(SpokenSoFar):
        talk.now += 5.0
        talk.tell("handle_timer")
        if talk.speaker.state == "open":
            talk.hear(**replies)
    assert talk.now == began + 15.0
    (cut,) = talk.of(SpokenSoFar)
    assert cut.failure.kind is FailureKind.DEADLINE


def test_complete_that_never_comes(talks: Any) -> None:
    talk = silent_service(talks, "w1 w2.")
    talk.hear(**chunk(1.0))
    for _ in range(4):
        talk.ring()
    (done,) = talk.of(SegmentDone)
    assert not done.certain
    assert len(talk.speakers) == 2


def test_audio_that_stops_too_early_is_no_end(talks: Any) -> None:
    talk = silent_service(talks, "a long sentence of which little comes")
    talk.hear(**chunk(0.1))
    for _ in range(4):
        talk.ring()
    (cut,) = talk.of(SpokenSoFar)
    assert (cut.spoken, cut.exact, cut.seconds) == ("", False, 0.1)
    assert cut.failure.kind is FailureKind.DEADLINE


def test_a_word_that_was_told_is_awaited(talks: Any) -> None:
    talk = silent_service(talks, "w1 w2.", word_timestamps=True)
    talk.hear(**chunk(0.5))
    talk.hear(status="word_timestamp", data={"word": "w1", "start": 0.0, "end": 0.4})
    talk.hear(status="word_timestamp", data={"word": "w2.", "start": 0.4, "end": 0.8})
    for _ in range(4):
        talk.ring()
    (cut,) = talk.of(SpokenSoFar)
    assert (cut.spoken, cut.unspoken, cut.exact) == ("w1", " w2.", True)


@pytest.mark.parametrize("request_id", [None, "one"])
def test_complete_twice_ends_no_other_segment(talks: Any, request_id: str | None) -> None:
    talk = silent_service(talks, "w1.")
    named = {} if request_id is None else {"request_id": request_id}
    talk.hear(**chunk(0.5, **named))
    talk.hear(status="complete", **named)
    talk.hear(status="complete", **named)
    talk.say("w2.")
    talk.hear(status="complete", **named)
    assert len(talk.of(SegmentDone)) == 1
    talk.hear(**chunk(0.5, request_id="two"))
    talk.hear(status="complete", request_id="two")
    assert len(talk.of(SegmentDone)) == 2


def test_a_complete_before_the_end_of_the_text_is_that_of_a_part(talks: Any) -> None:
    talk = begin(talks)
    talk.speaker.service.message_received = lambda *_: None
    talk.say("w1. ", flush=False)
    talk.hear(**chunk(0.5))
    talk.hear(status="complete")
    assert talk.of(SegmentDone) == []
    talk.say("w2.")
    talk.hear(**chunk(0.5))
    talk.hear(status="complete")
    assert talk.of(SegmentDone) == [SegmentDone(segment=0, seconds=1.0, certain=True)]


# --- what the service does wrong ---


def test_samples_are_never_torn(talks: Any) -> None:
    talk = silent_service(talks, "w1.")
    for part in (b"\x01", b"\x02\x03\x04\x05", b"\x06", b"\x07"):
        talk.hear(status="chunk", data={"audio": base64.b64encode(part).decode()})
    talk.hear(status="complete")
    assert talk.audio(0) == b"\x01\x02\x03\x04\x05\x06"
    assert [len(piece.data) for piece in talk.of(AudioChunk)] == [4, 2]


@pytest.mark.parametrize("resume", [False, True])
def test_audio_that_cannot_be_decoded_costs_the_link(talks: Any, resume: bool) -> None:
    talk = begin(talks, resume=resume)
    talk.say("w1 w2 w3 w4.")
    talk.deliver(6)
    talk.hear(status="chunk", data={"audio": "not base64!"})
    talk.run()
    if resume:
        assert talk.heard(0) == "w1 w2 w3 w4"
    else:
        (cut,) = talk.of(SpokenSoFar)
        assert cut.failure.kind is FailureKind.PROTOCOL


def refuse(talk: Any, times: int, **error: Any) -> None:
    """So many links in a row answer each message with an error, and live on."""
    for _ in range(times):
        while talk.speaker.state != "open":
            talk.ring()
        told = len(talk.speaker.told)
        talk.speaker.service.message_received = lambda *_: None
        for _ in range(told):
            talk.hear(status="error", **error)
        lost = len(talk.of(LinkLost)), len(talk.of(SpokenSoFar))
        while (len(talk.of(LinkLost)), len(talk.of(SpokenSoFar))) == lost:
            talk.ring()


LIMIT = {"message": "too many requests"}


@BOTH
@pytest.mark.parametrize("times", [1, 2, 5])
def test_what_was_refused_is_said_again(talks: Any, continuations: bool, times: int) -> None:
    """A request over the limit, say: every message of the segment is answered by an error, and the socket lives."""
    talk = begin(talks, continuations=continuations)
    talk.say("w1 ", flush=False)
    talk.say("w2.")
    refuse(talk, times, **LIMIT)
    assert [lost.failure.kind for lost in talk.of(LinkLost)] == [FailureKind.SERVICE] * times
    assert all(lost.retry_in <= 0.25 * 2**at for at, lost in enumerate(talk.of(LinkLost)))
    talk.run()
    assert talk.heard(0) == "w1 w2"
    assert talk.of(SpokenSoFar) == []


@BOTH
def test_what_of_a_refused_segment_comes_all_the_same_is_not_heard_twice(talks: Any, continuations: bool) -> None:
    """The first message was refused and the second one was not."""
    talk = silent_service(talks, "w1 w2.", continuations=continuations)
    talk.hear(status="error", **LIMIT)
    talk.hear(**chunk(0.3))
    talk.hear(status="complete")
    assert talk.of(AudioChunk) == talk.of(SegmentDone) == []
    talk.ring()
    talk.run()
    assert talk.heard(0) == "w1 w2"


@BOTH
def test_a_refusal_in_mid_speech_is_resumed_after_the_last_word(talks: Any, continuations: bool) -> None:
    for at in (9, 14):
        talk = begin(talks, resume=True, continuations=continuations)
        talk.say("w1 w2 w3, w4. w5 w6.")
        talk.deliver(at)
        talk.speaker.service.message_received = lambda *_: None
        talk.hear(status="error", **LIMIT)
        talk.deliver()
        talk.run()
        assert talk.heard(0) == "w1 w2 w3 w4 w5 w6"
        assert talk.of(SpokenSoFar) == []


def test_what_was_not_refused_is_heard_to_its_end(talks: Any) -> None:
    """Where it is not known which word comes next, the speech is cut off, but not in the middle of what is sound."""
    talk = silent_service(talks, "w1 w2 w3.")
    talk.hear(**chunk(0.5))
    talk.hear(status="error", **LIMIT)
    for _ in range(5):
        talk.now += 0.4
        talk.tell("handle_timer")
        talk.hear(**chunk(0.5))
    assert talk.of(SpokenSoFar) == []
    talk.ring()
    (cut,) = talk.of(SpokenSoFar)
    assert (cut.seconds, cut.exact, cut.failure.detail) == (3.0, False, LIMIT["message"])
    assert len(talk.speakers) == 2


@pytest.mark.parametrize("flushed", [True, False])
def test_a_segment_that_is_flushed_while_it_is_refused_is_over(talks: Any, flushed: bool) -> None:
    talk = begin(talks)
    talk.speaker.service.message_received = lambda *_: None
    talk.say("w1. ", flush=False)
    talk.hear(**chunk(0.5))
    talk.hear(status="error", **LIMIT)
    if flushed:
        talk.tell("flush")
        talk.say("w2.")
    talk.ring()
    assert [cut.segment for cut in talk.of(SpokenSoFar)] == [0]
    if not flushed:
        talk.tell("flush")
        talk.say("w2.")
    talk.run()
    assert talk.heard(1) == "w2"


@pytest.mark.parametrize("flushed", [True, False])
@pytest.mark.parametrize("retries", [0, 2])
def test_refusals_have_a_budget(talks: Any, retries: int, flushed: bool) -> None:
    """Then the fault is in the text: the next one is spoken."""
    talk = begin(talks, session={"retry": RetryPolicy(max_retries=retries)})
    talk.say("w1. ", flush=flushed)
    refuse(talk, retries + 1, message="w1 is not a word")
    (cut,) = talk.of(SpokenSoFar)
    assert (cut.segment, cut.unspoken.strip(), cut.failure.kind) == (0, "w1.", FailureKind.SERVICE)
    assert len(talk.of(LinkLost)) == retries
    talk.tell("flush")
    talk.say("w2.")
    talk.run()
    assert talk.heard(1) == "w2"


@pytest.mark.parametrize("code", [400, "422"])
def test_what_no_try_can_mend_is_not_tried_again(talks: Any, code: int | str) -> None:
    talk = silent_service(talks, "w1.")
    talk.say("w2.")
    talk.hear(error={"message": "no such voice", "code": code})
    (cut,) = talk.of(SpokenSoFar)
    assert (cut.unspoken, cut.failure.detail) == ("w1.", "no such voice")
    talk.run()
    assert talk.heard(1) == "w2"


def test_a_complete_after_an_error_proves_nothing(talks: Any) -> None:
    talk = silent_service(talks, "w1 w2 w3.")
    talk.hear(**chunk(0.5))
    talk.hear(status="error", message="w2 is not a word")
    talk.hear(status="complete")
    assert talk.of(SegmentDone) == []
    talk.ring()
    (cut,) = talk.of(SpokenSoFar)
    assert (cut.spoken, cut.failure.kind) == ("", FailureKind.SERVICE)


def test_no_segment_begins_on_a_link_on_which_an_error_was_told(talks: Any) -> None:
    talk = silent_service(talks, "w1 w2 w3.")
    talk.say("w4.")
    talk.hear(**chunk(0.5))
    talk.hear(status="error", message="w2 is not a word")
    talk.hear(**chunk(0.5))
    talk.hear(status="complete")
    talk.ring()
    assert [cut.segment for cut in talk.of(SpokenSoFar)] == [0], "of a message that was refused nothing is heard"
    assert [len(speaker.told) for speaker in talk.speakers.values()] == [3, 2]
    talk.run()
    assert talk.heard(1) == "w4"


@pytest.mark.parametrize("code", [401, 403])
def test_a_final_error_is_told_of_each_segment(talks: Any, code: int) -> None:
    talk = silent_service(talks, "w1.")
    for text in ("w2.", "w3."):
        talk.hear(error={"message": "no such key", "code": code})
        talk.speaker.service.message_received = lambda *_: None
        talk.say(text)
    talk.tell("link_closed", talk.link, 1000, "")
    assert [(cut.segment, cut.failure.status) for cut in talk.of(SpokenSoFar)] == [(0, code), (1, code)]


def test_a_voice_without_word_times_is_not_kept_waiting(talks: Any) -> None:
    talk = silent_service(talks, "a voice that has none, of which a long text is asked", resume=True)
    talk.hear(**chunk(1.0))
    assert talk.of(AudioChunk) == []
    talk.hear(**chunk(1.0))
    assert [piece.samples for piece in talk.of(AudioChunk)] == [4000]
    talk.hear(**chunk(2.0))
    talk.hear(status="complete")
    assert len(talk.audio(0)) == 64000
    talk.say("the next segment is not held back")
    talk.hear(**chunk(1.0))
    assert len(talk.audio(1)) == 16000


def test_word_times_that_make_no_sense_prove_nothing(talks: Any) -> None:
    for data in ({"word": "w1"}, {"word": "w1", "start": 2, "end": 1}, {"word": "w1", "start": 0, "end": 1e9}):
        talk = silent_service(talks, "w1 w2.", word_timestamps=True, continuations=True)
        talk.hear(**chunk(0.5))
        talk.hear(status="word_timestamp", data=data)
        talk.tell("cancel")
        (cut,) = talk.of(SpokenSoFar)
        assert (cut.spoken, cut.exact) == ("", False)


@pytest.mark.parametrize("resume", [False, True])
def test_a_word_that_is_told_twice_is_spoken_once(talks: Any, resume: bool) -> None:
    talk = silent_service(talks, "no no no.", word_timestamps=True, resume=resume)
    talk.hear(**chunk(0.5))
    for _ in range(2):
        talk.hear(status="word_timestamp", data={"word": "no", "start": 0.0, "end": 0.4})
    talk.lose()
    (cut,) = talk.of(SpokenSoFar)
    assert (cut.spoken, cut.unspoken, cut.exact) == ("no", " no no.", False)


def test_a_service_that_names_no_context_gets_another_link_after_cancel(talks: Any) -> None:
    talk = silent_service(talks, "w1 w2.", continuations=True)
    talk.hear(**chunk(0.5))
    talk.tell("cancel")
    assert talk.speakers[1].told[-1]["cancel_request"] is True
    assert len(talk.speakers) == 2
    assert talk.session.warm
    assert talk.of(LinkOpened)[-1].link == 2
