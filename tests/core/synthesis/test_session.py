"""The promises of a synthesis: what was given is spoken, once, and what was not is told."""

from __future__ import annotations

from typing import Any

import pytest

from smallest_proto.config import RetryPolicy
from smallest_proto.errors import ConfigurationError, FailureKind, LocalProtocolError
from smallest_proto.events import EndReason, LinkLost, SessionEnded
from smallest_proto.synthesis.events import AudioChunk, SegmentDone, SpokenSoFar, WordSpoken

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
    sent = [(m["text"], m["continue"], m["flush"]) for m in talk.speaker.told]
    assert sent == [
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


# --- what the application does wrong ---


def test_bad_input(talks: Any) -> None:
    talk = begin(talks)
    before = talk.session.stats
    with pytest.raises(LocalProtocolError, match="must be a str, not bytes"):
        talk.tell("send_text", b"w1")
    talk.tell("send_text", "")
    assert (talk.session.stats, talk.session.idle) == (before, True)
    assert talk.end().reason is EndReason.COMPLETED
    with pytest.raises(LocalProtocolError, match=r"send_text\(\) is not possible after the session has ended"):
        talk.tell("send_text", "w1")


@BOTH
@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (("w1 \ud83d", "\ude80 w2."), "w1 \U0001f680 w2."),
        (("w1\ud83c", "\uddeb", "\ud83c", "\uddee w2."), "w1\U0001f1eb\U0001f1ee w2."),
        (("w1 \udc00 w2.",), "w1 \ufffd w2."),
        (("w1 \ud800", "", "\ud800", " w2."), "w1 \ufffd\ufffd w2."),
        (("w1 w2.\ud83d",), "w1 w2.\ufffd"),
    ],
)
def test_half_a_character_waits_for_its_other_half(
    talks: Any, continuations: bool, tokens: tuple[str, ...], text: str
) -> None:
    talk = begin(talks, continuations=continuations)
    for token in tokens:
        talk.say(token, flush=False)
    talk.tell("flush")
    assert talk.speaker.text == text
    talk.run()
    assert talk.heard(0) == "w1 w2"
    talk.say("w3 \ud83d", flush=False)
    talk.tell("cancel")
    assert talk.of(SpokenSoFar)[-1].unspoken == "w3 \ufffd"


def test_a_segment_has_a_bound(talks: Any) -> None:
    talk = begin(talks, continuations=True)
    talk.tell("send_text", "w1 ")
    before = len(talk.outputs)
    with pytest.raises(ConfigurationError, match=r"at most 100,000 characters.*flush\(\)") as caught:
        talk.tell("send_text", "sesame " * 14_286)
    assert "sesame" not in str(caught.value)
    assert len(talk.settle()) == len(talk.outputs) - before == 0
    talk.tell("send_text", "x" * 99_996 + " ")
    with pytest.raises(ConfigurationError, match="100,000"):
        talk.tell("send_text", " ")
    talk.tell("flush")
    talk.say("w2.")
    talk.tell("cancel")
    assert [len(cut.spoken + cut.unspoken) for cut in talk.of(SpokenSoFar)] == [100_000, 3]


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


# --- links that rest ---


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


@BOTH
def test_text_that_comes_letter_by_letter_costs_no_tries(talks: Any, continuations: bool) -> None:
    talk = begin(talks, continuations=continuations, session={"retry": RetryPolicy(max_retries=1)})
    for letter in "extraordinarily w1 ":
        talk.tell("send_text", letter)
    talk.lose()
    talk.say("w2.")
    talk.run()
    assert talk.of(SpokenSoFar) == []
    assert talk.speakers[2].text == "extraordinarily w1 w2."


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
