"""Word times as services give them: clocks that begin anew with each part, words that are not said as written."""

from __future__ import annotations

import base64
from binascii import crc32
from collections.abc import Iterator
from typing import Any

import pytest

from smallest_proto.config import RetryPolicy
from smallest_proto.events import LinkLost
from smallest_proto.synthesis.events import SegmentDone, SpokenSoFar, WordSpoken

BOTH = pytest.mark.parametrize("continuations", [False, True], ids=["plain", "continuations"])
RATE = 8000
WORD = 0.1  # seconds that each word lasts
SAID = {"$9": "nine dollars", "St.": "saint", "7:45": "seven forty five", "&": "and", "№3": "number three"}


def spoken(text: str) -> list[str]:
    return [word for written in text.split() for word in SAID.get(written.rstrip(",."), written).split()]


def sound(word: str) -> bytes:
    """Samples that say which word it is."""
    return (crc32(word.encode()) % 30_000).to_bytes(2, "little") * round(RATE * WORD)


def saying(words: list[str], *, start: float = 0.0, **ids: str) -> Iterator[dict[str, Any]]:
    """What the service says of each word: its audio, and its time from ``start`` on."""
    for at, word in enumerate(words):
        yield {"status": "chunk", "data": {"audio": base64.b64encode(sound(word)).decode()}, **ids}
        begun = start + at * WORD
        yield {"status": "word_timestamp", "data": {"word": word, "start": begun, "end": begun + WORD}, **ids}


def begin(talks: Any, text: str, **options: Any) -> Any:
    """A talk with a service that says only what it is told to."""
    talk = talks(word_timestamps=True, **options)
    talk.tell("start")
    mute(talk)
    talk.say(text)
    return talk


def mute(talk: Any) -> None:
    talk.speaker.service.message_received = lambda *_: None


def context(talk: Any) -> dict[str, str]:
    return {name: talk.speaker.told[-1][name] for name in ("context_id",) if name in talk.speaker.told[-1]}


def heard(talk: Any, words: list[str]) -> list[str]:
    names = {sound(word): word for word in words}
    audio, size = talk.audio(0), 2 * round(RATE * WORD)
    return [names[audio[at : at + size]] for at in range(0, len(audio), size)]


# --- a rewritten word ---


@BOTH
@pytest.mark.parametrize(
    "text", ["Come to St. Paul & bring $9 for me, at 7:45 sharp.", "$9 it is at 7:45 or so, my dear friend."]
)
def test_a_link_lost_anywhere_costs_no_word_and_repeats_none(talks: Any, continuations: bool, text: str) -> None:
    words = spoken(text)
    for lost in range(1, 2 * len(words)):
        talk = begin(talks, text, continuations=continuations, resume=True)
        replies = list(saying(words))
        for message in replies[:lost]:
            talk.hear(**message, **context(talk))
        talk.lose()
        talk.ring()
        left = "".join(message["text"] for message in talk.speaker.told)
        assert text.endswith(left)
        for message in saying(spoken(left)):
            talk.hear(**message, **context(talk))
        talk.hear(status="complete", **context(talk))
        assert heard(talk, words) == words, lost
        assert [word.text for word in talk.of(WordSpoken)] == words
        assert [type(end) for end in talk.of(SegmentDone) + talk.of(SpokenSoFar)] == [SegmentDone]


def test_what_was_said_of_a_rewritten_word_is_not_told_as_exact(talks: Any) -> None:
    talk = begin(talks, "We met in №3, at St. Mary.")
    for message in saying(spoken("We met in №3, at St. Mary.")[:5]):
        talk.hear(**message)
    talk.lose()
    (cut,) = talk.of(SpokenSoFar)
    assert (cut.spoken, cut.exact) == ("We met in", False)


def test_words_are_told_as_they_are_written(talks: Any) -> None:
    talk = begin(talks, "“Wait—really?”  Then $9,\nplease …")
    for message in saying(["Wait", "really", "Then", "nine", "dollars", "please"]):
        talk.hear(**message)
    talk.hear(status="complete")
    written = [word.written for word in talk.of(WordSpoken)]
    assert written == ["“Wait", "—really?”", "  Then", " nine", " dollars", "\nplease"]


# --- clocks ---


@BOTH
@pytest.mark.parametrize("anew", [True, False], ids=["anew", "going on"])
@pytest.mark.parametrize("early", [True, False], ids=["words first", "audio first"])
def test_words_of_each_request_are_on_the_clock_of_the_segment(
    talks: Any, continuations: bool, anew: bool, early: bool
) -> None:
    parts = ["One two three.", "Four five.", "Six seven eight nine."]
    talk = begin(talks, " ".join(parts), continuations=continuations)
    start = 0.0
    for number, part in enumerate(parts):
        words = part.split()
        replies = list(saying(words, start=0.0 if anew else start, request_id=f"task-{number}"))
        if early:
            replies.sort(key=lambda message: message["status"] == "chunk")
        for message in replies:
            talk.hear(**message, **context(talk))
        start += len(words) * WORD
    talk.hear(status="complete", request_id="task-2", **context(talk))
    told = [(word.text, pytest.approx(word.start), pytest.approx(word.end)) for word in talk.of(WordSpoken)]
    words = " ".join(parts).split()
    assert told == [(word, at * WORD, (at + 1) * WORD) for at, word in enumerate(words)]
    (done,) = talk.of(SegmentDone)
    assert done.certain


def test_a_clock_that_begins_anew_is_resumed_to_the_word(talks: Any) -> None:
    talk = begin(talks, "One two. Three four. Five.", resume=True)
    for message in saying(["One", "two."], request_id="a"):
        talk.hear(**message)
    for message in saying(["Three"], request_id="b"):
        talk.hear(**message)
    talk.lose()
    talk.ring()
    assert talk.speaker.text == " four. Five."
    for message in saying(["four."], request_id="c"):
        talk.hear(**message)
    for message in saying(["Five."], request_id="d"):
        talk.hear(**message)
    starts = [word.start for word in talk.of(WordSpoken)]
    assert starts == [pytest.approx(at * WORD) for at in range(5)]


def test_a_sample_that_is_cut_short_does_not_shift_what_the_next_request_says(talks: Any) -> None:
    talk = begin(talks, "One two.")
    for request, audio in (("a", b"\x01\x02\x03"), ("b", b"\x04\x05")):
        talk.hear(status="chunk", data={"audio": base64.b64encode(audio).decode()}, request_id=request)
    assert talk.audio(0) == b"\x01\x02\x04\x05"


# --- the end ---


def ends_after(talk: Any) -> float:
    """Seconds of silence until the segment is over."""
    began = talk.now
    while not talk.of(SegmentDone) + talk.of(SpokenSoFar):
        talk.ring()
    return float(talk.now - began)


@pytest.mark.parametrize("text", ["First. Second. Third one.", "Is it? Yes! It is. Really? Oh."])
@pytest.mark.parametrize("completes", [1, 2])
def test_one_complete_for_a_whole_text(talks: Any, text: str, completes: int) -> None:
    talk = begin(talks, text, continuations=True)
    audio = base64.b64encode(bytes(4 * RATE)).decode()
    for _ in range(completes):
        talk.hear(status="chunk", data={"audio": audio}, **context(talk))
        talk.hear(status="complete", **context(talk))
    assert ends_after(talk) <= 0.5
    assert [done.seconds for done in talk.of(SegmentDone)] == [2.0 * completes]


@BOTH
def test_words_say_that_it_is_the_end_where_no_complete_comes(talks: Any, continuations: bool) -> None:
    talk = begin(talks, "One two. Three.", continuations=continuations)
    for message in saying(["One", "two.", "Three."]):
        talk.hear(**message, **context(talk))
    assert ends_after(talk) <= 0.5
    assert [done.certain for done in talk.of(SegmentDone)] == [False]


def test_what_follows_the_last_word_needs_no_complete_of_its_own(talks: Any) -> None:
    talk = talks(continuations=True)
    talk.tell("start")
    mute(talk)
    talk.say("Hello there ", flush=False)
    talk.hear(status="chunk", data={"audio": base64.b64encode(bytes(4 * RATE)).decode()}, **context(talk))
    talk.hear(status="complete", **context(talk))
    talk.now += 4.0
    talk.say("!")
    assert talk.speaker.text == "Hello there !"
    assert ends_after(talk) <= 0.5
    assert len(talk.of(SegmentDone)) == 1


def test_times_that_are_a_little_late_are_no_reason_to_wait(talks: Any) -> None:
    talk = begin(talks, "One two.", continuations=True)
    for message in saying(["One", "two."], start=0.04):
        talk.hear(**message, **context(talk))
    talk.hear(status="complete", **context(talk))
    assert [done.certain for done in talk.of(SegmentDone)] == [True]


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("text", ["A short one.", "Two of them. Both are short."])
def test_a_service_that_closes_after_its_complete_has_spoken(talks: Any, resume: bool, text: str) -> None:
    talk = talks(continuations=True, resume=resume, session={"retry": RetryPolicy(max_retries=0)})
    talk.tell("start")
    for _ in range(3):  # it costs no try
        mute(talk)
        talk.say(text)
        talk.hear(status="chunk", data={"audio": base64.b64encode(bytes(4 * RATE)).decode()}, **context(talk))
        talk.hear(status="complete", **context(talk))
        talk.speaker.state = "gone"
        talk.tell("link_closed", talk.link, 1000, "")
        assert talk.session.warm
    assert [(done.seconds, done.certain) for done in talk.of(SegmentDone)] == [(2.0, False)] * 3
    assert talk.of(SpokenSoFar) == talk.of(LinkLost) == []


@pytest.mark.parametrize("resume", [False, True])
def test_a_service_that_closes_after_a_part_is_sent_the_rest(talks: Any, resume: bool) -> None:
    talk = talks(continuations=True, resume=resume)
    talk.tell("start")
    mute(talk)
    talk.say("The first part. ", flush=False)
    talk.hear(status="chunk", data={"audio": base64.b64encode(bytes(4 * RATE)).decode()}, **context(talk))
    talk.hear(status="complete", **context(talk))
    talk.tell("link_closed", talk.link, 1000, "")
    talk.say("w2.")
    assert talk.speaker.text == "w2."
    talk.run()
    assert talk.heard(0) == "w2"
    assert [done.seconds > 2.0 for done in talk.of(SegmentDone)] == [True]


@pytest.mark.parametrize(("seconds", "code"), [(0.1, 1000), (0.1, 1006), (2.0, 1006), (2.0, 1011)])
def test_a_close_that_is_no_goodbye_or_comes_too_early_cuts_off(talks: Any, seconds: float, code: int) -> None:
    talk = begin(talks, "It has been said to its end.", continuations=True)
    audio = base64.b64encode(bytes(2 * round(seconds * RATE))).decode()
    talk.hear(status="chunk", data={"audio": audio}, **context(talk))
    talk.hear(status="complete", **context(talk))
    talk.tell("link_closed", talk.link, code, "")
    assert len(talk.of(SpokenSoFar)) == 1
