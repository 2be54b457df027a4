"""The promises of a synthesis: what was given is spoken, once, and what was not is told."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from smallest_proto.config import RetryPolicy
from smallest_proto.errors import ConfigurationError, FailureKind, LocalProtocolError
from smallest_proto.events import EndReason, LinkLost, LinkOpened, SessionEnded
from smallest_proto.speech import AudioChunk, SegmentDone, SpokenSoFar, WordSpoken
from smallest_proto.timers import Timer

BOTH = pytest.mark.parametrize("continuations", [False, True], ids=["plain", "continuations"])


def begin(talks: Any, *, text: str | None = None, **options: Any) -> Any:
    talk = talks(**options)
    talk.tell("start")
    if text is not None:
        talk.say(text)
    return talk


@BOTH
def test_a_segment_is_spoken(talks: Any, continuations: bool) -> None:
    talk = begin(talks, text="w1 w2 w3.", continuations=continuations)
    talk.run()
    assert talk.heard(0) == "w1 w2 w3"
    (done,) = talk.of(SegmentDone)
    assert done.seconds == pytest.approx(len(talk.audio(0)) / 16000)
    assert done.certain is not continuations
    assert talk.end() == SessionEnded(reason=EndReason.COMPLETED)


@BOTH
def test_word_times_come_with_the_audio_and_prove_the_end(talks: Any, continuations: bool) -> None:
    talk = begin(talks, text="w1 w2. w3 w4.", continuations=continuations, word_timestamps=True)
    talk.run()
    assert [word.text for word in talk.of(WordSpoken)] == ["w1", "w2.", "w3", "w4."]
    (done,) = talk.of(SegmentDone)
    assert done.certain
    assert len(talk.speakers) == 1
    given = 0.0
    for output in talk.outputs:
        if isinstance(output, AudioChunk):
            given = output.start + output.samples / 8000
        elif isinstance(output, WordSpoken):
            assert output.end <= given
    talk.say("w5.")
    talk.run()
    assert talk.heard(1) == "w5"
    assert len(talk.speakers) == 1, "the link is kept"


@BOTH
def test_many_segments(talks: Any, continuations: bool) -> None:
    talk = begin(talks, continuations=continuations)
    for text in ("w1 w2.", "w3.", "w4 w5 w6."):
        talk.say(text)
    talk.run()
    assert [talk.heard(n) for n in range(3)] == ["w1 w2", "w3", "w4 w5 w6"]
    assert [done.segment for done in talk.of(SegmentDone)] == [0, 1, 2]


def test_the_plain_protocol_word_by_word(talks: Any) -> None:
    talk = begin(talks)
    for token in ("He", "llo", " wor", "ld", " and", "\n", " more"):
        talk.say(token, flush=False)
    talk.tell("flush")
    said = [(m["text"], m["continue"], m["flush"]) for m in talk.speaker.told]
    assert said == [
        ("Hello ", True, False),
        ("world ", True, False),
        ("and\n", True, False),
        (" more", True, False),
        ("", False, True),
    ]


@BOTH
@pytest.mark.parametrize("words", [True, False])
def test_a_lost_link_before_any_audio_costs_nothing(talks: Any, continuations: bool, words: bool) -> None:
    talk = begin(talks, text="w1 w2 w3.", continuations=continuations, word_timestamps=words)
    talk.lose()
    talk.run()
    assert talk.heard(0) == "w1 w2 w3"
    assert talk.of(SpokenSoFar) == []


@BOTH
def test_a_lost_link_in_mid_speech_is_told_to_the_word(talks: Any, continuations: bool) -> None:
    text = "w1 w2 w3, w4. w5 w6."
    talk = begin(talks, text=text, continuations=continuations, word_timestamps=True)
    talk.deliver(9)
    talk.lose()
    (cut,) = talk.of(SpokenSoFar)
    assert cut.spoken + cut.unspoken == text
    assert cut.exact
    assert cut.failure is not None
    heard = talk.heard(0).split()
    assert heard[: len(cut.spoken.split())] == cut.spoken.replace(",", "").replace(".", "").split()
    assert all(word.startswith("?") for word in heard[len(cut.spoken.split()) :])
    assert talk.end().reason is EndReason.INCOMPLETE


@BOTH
@pytest.mark.parametrize("flushed", [True, False])
def test_resume_repeats_and_skips_nothing(talks: Any, continuations: bool, flushed: bool) -> None:
    text = "w1 w2 w3, w4. w5 w6. "
    for at in range(40):
        talk = begin(talks, continuations=continuations, resume=True)
        talk.say(text, flush=flushed)
        talk.deliver(at)
        talk.lose()
        talk.run() if flushed else None
        talk.say("w7." if not flushed else "")
        talk.run()
        assert talk.heard(0) == "w1 w2 w3 w4 w5 w6" + ("" if flushed else " w7"), at
        assert talk.of(SpokenSoFar) == []
        assert talk.of(WordSpoken) == [], "they were not asked for"


def test_cancel_stops_at_once_and_the_next_segment_is_warm(talks: Any) -> None:
    for continuations in (False, True):
        talk = begin(talks, text="w1 w2 w3 w4 w5.", continuations=continuations, word_timestamps=True)
        talk.deliver(4)
        before = len(talk.of(AudioChunk))
        talk.tell("cancel")
        assert talk.session.warm
        (cut,) = talk.of(SpokenSoFar)
        assert (cut.spoken + cut.unspoken, cut.failure) == ("w1 w2 w3 w4 w5.", None)
        assert len(talk.speakers) == (1 if continuations else 2)
        talk.deliver()
        assert len(talk.of(AudioChunk)) == before
        talk.say("w6.")
        talk.run()
        assert talk.heard(1) == "w6"


def test_private(talks: Any) -> None:
    talk = begin(talks, text="sesame w1.", word_timestamps=True)
    talk.deliver(3)
    talk.hear(status="error", message="sesame is not a word")
    talk.lose()
    talk.end()
    assert "sesame" not in repr(talk.outputs)
    assert "the-key" not in repr(talk.outputs)


# What the application does wrong.


def test_bad_input(talks: Any) -> None:
    talk = begin(talks)
    before = talk.session.stats
    with pytest.raises(LocalProtocolError, match="must be a str, not bytes"):
        talk.tell("send_text", b"w1")
    with pytest.raises(ConfigurationError, match="lone surrogates"):
        talk.tell("send_text", "sesame \ud800")
    talk.tell("send_text", "")
    assert (talk.session.stats, talk.session.idle) == (before, True)
    assert talk.end().reason is EndReason.COMPLETED
    with pytest.raises(LocalProtocolError, match=r"send_text\(\) is not possible after the session has ended"):
        talk.tell("send_text", "w1")


def test_a_socket_carries_pcm_alone(talks: Any) -> None:
    with pytest.raises(ConfigurationError, match="pcm alone"):
        talks(output_format="mp3")


@pytest.mark.parametrize("text", ["", " \n", "...", " - "])
def test_an_empty_segment_asks_for_nothing(talks: Any, text: str) -> None:
    talk = begin(talks, text=text)
    assert talk.speaker.told == []
    assert talk.session.idle
    talk.say("w1")
    talk.run()
    assert [done.segment for done in talk.of(SegmentDone)] == [0]


# Links that rest.


def test_an_idle_link_that_is_closed_is_no_failure(talks: Any) -> None:
    talk = begin(talks, text="w1.", session={"retry": RetryPolicy(max_retries=0)})
    talk.run()
    for _ in range(14):  # pings do not keep the service awake
        talk.ring()
    talk.deliver()
    assert talk.of(LinkLost) == []
    assert not talk.session.warm
    assert len(talk.speakers) == 1
    assert talk.session.get_timer() is None
    talk.tell("prewarm")
    assert talk.session.warm
    talk.tell("prewarm")
    assert len(talk.speakers) == 2
    talk.say("w2.")
    talk.run()
    assert talk.heard(1) == "w2"


def test_a_link_that_died_while_it_rested_costs_no_try(talks: Any) -> None:
    talk = begin(talks, text="w1.", session={"retry": RetryPolicy(max_retries=0)})
    talk.run()
    talk.now += 1.0
    talk.say("w2 w3.")
    talk.lose()
    (lost,) = talk.of(LinkLost)
    assert lost.retry_in == 0.0
    talk.run()
    assert talk.heard(1) == "w2 w3"


def test_the_budget_of_tries(talks: Any) -> None:
    talk = begin(talks, text="w1.", session={"retry": RetryPolicy(max_retries=1)})
    talk.lose()
    talk.ring()
    talk.lose()
    assert talk.session.ended
    (cut,) = talk.of(SpokenSoFar)
    assert (cut.spoken, cut.unspoken, cut.seconds, cut.exact) == ("", "w1.", 0.0, True)
    assert talk.outputs[-1].reason is EndReason.FAILED
    assert talk.outputs[-1].failure == cut.failure


def test_a_service_that_never_speaks_is_given_up(talks: Any) -> None:
    """Each of its links lives, so the connection would try for ever."""
    talk = begin(talks, text="w1.", session={"retry": RetryPolicy(max_retries=3)})
    for _ in range(1000):
        if talk.of(SpokenSoFar):
            break
        talk.ring()
    assert len(talk.speakers) <= 6
    assert talk.of(SpokenSoFar)[0].failure.kind is FailureKind.DEADLINE


# The end of a segment.


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
    return lambda talk: talk.session._connection.serving.timers[Timer.QUIET] - talk.now


def test_the_end_of_a_context_is_inferred_from_the_strongest_sign(talks: Any, quiet: Any) -> None:
    text = "This is one sentence. This is another one. "  # 34 letters: 1.7 s at the least
    talk = silent_service(talks, text, continuations=True, max_buffer_delay_ms=1000)
    context = {"context_id": talk.speaker.told[0]["context_id"]}
    assert quiet(talk) == 15.0, "nothing came"
    talk.hear(**chunk(1.0, **context))
    talk.hear(status="complete", **context)
    assert quiet(talk) == 15.0, "the audio is too short"
    talk.hear(**chunk(1.0, **context))
    assert quiet(talk) == pytest.approx(3.0), "long enough, but one sentence has not ended"
    talk.hear(status="complete", **context)
    assert quiet(talk) == pytest.approx(0.5)
    talk.ring()
    (done,) = talk.of(SegmentDone)
    assert (done.certain, done.seconds) == (False, 2.0)
    assert len(talk.speakers) == 2, "another context could be disturbed by what still comes on the link"
    assert talk.session.warm
    talk.hear(1, **chunk(1.0, **context))
    assert talk.audio(0) == bytes(32000)


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


# What the service does wrong.


def test_samples_are_never_torn(talks: Any) -> None:
    talk = silent_service(talks, "w1.")
    for part in (b"\x01", b"\x02\x03\x04\x05", b"\x06", b"\x07"):
        talk.hear(status="chunk", data={"audio": base64.b64encode(part).decode()})
    talk.hear(status="complete")
    assert talk.audio(0) == b"\x01\x02\x03\x04\x05\x06"
    assert [len(piece.data) for piece in talk.of(AudioChunk)] == [4, 2]


@pytest.mark.parametrize("resume", [False, True])
def test_audio_that_cannot_be_decoded_costs_the_link(talks: Any, resume: bool) -> None:
    talk = begin(talks, text="w1 w2 w3 w4.", resume=resume)
    talk.deliver(6)
    talk.hear(status="chunk", data={"audio": "not base64!"})
    talk.run()
    if resume:
        assert talk.heard(0) == "w1 w2 w3 w4"
    else:
        (cut,) = talk.of(SpokenSoFar)
        assert cut.failure.kind is FailureKind.PROTOCOL


def test_an_error_twice_is_the_fault_of_the_text(talks: Any) -> None:
    talk = silent_service(talks, "w1.")
    talk.say("w2.")
    for _ in range(2):
        talk.hear(status="error", message="w1 is not a word")
        while not talk.of(LinkLost) or talk.speaker.state != "open":
            talk.ring()
        if len(talk.speakers) == 2:
            talk.hear(status="error", message="w1 is not a word")
            break
    while not talk.of(SpokenSoFar):
        talk.ring()
    (cut,) = talk.of(SpokenSoFar)
    assert (cut.segment, cut.unspoken, cut.failure.kind) == (0, "w1.", FailureKind.SERVICE)
    talk.run()
    assert talk.heard(1) == "w2", "the session goes on"


def test_an_error_that_is_final_ends_the_session(talks: Any) -> None:
    talk = silent_service(talks, "w1.")
    talk.hear(error={"message": "no such voice", "code": 400})
    talk.ring()
    assert talk.outputs[-1].reason is EndReason.FAILED
    assert talk.outputs[-1].failure.detail == "no such voice"


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


def test_a_service_that_names_no_context_gets_another_link_after_cancel(talks: Any) -> None:
    talk = silent_service(talks, "w1 w2.", continuations=True)
    talk.hear(**chunk(0.5))
    talk.tell("cancel")
    assert talk.speakers[1].told[-1]["cancel_request"] is True
    assert len(talk.speakers) == 2
    assert talk.session.warm
    assert talk.of(LinkOpened)[-1].link == 2
