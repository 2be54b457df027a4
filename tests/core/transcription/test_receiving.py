"""The incoming half: events in stream time, turns around them, the watermark, and what is repeated."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.reading import Utterance, Word
from smallest_proto.transcription.events import FinalTranscript, InterimTranscript, SpeechEnded, SpeechStarted
from smallest_proto.transcription.messages import Transcription
from smallest_proto.transcription.stream import Part

from .ear import RATE, Ear, words

# --- stream time ---


def test_an_interim_lies_between_the_watermark_and_what_was_sent() -> None:
    ear = Ear(origin=100.0)
    ear.speak(2.0)
    ear.hear("hel", session_id="s-1")
    ear.hear("hello")
    assert ear.events() == [
        SpeechStarted(time=102.0, inferred=True),
        InterimTranscript(text="hel", start=100.0, end=102.0, session_id="s-1"),
        InterimTranscript(text="hello", start=100.0, end=102.0, session_id=None),
    ]
    ear.final("hello", words=words(("hello", 0.5, 1.5)))
    ear.events()
    ear.hear("you")
    assert ear.events()[-1] == InterimTranscript(text="you", start=101.5, end=102.0, session_id=None)


def test_a_final_is_where_its_words_are_on_any_link() -> None:
    ear = Ear(origin=100.0)
    ear.speak(1.0)
    ear.pause(1.0)
    ear.speak(2.0)
    ear.final("a b", words=words(("a", 0.25, 0.5), ("b", 0.5, 1.0)))
    (_, final, end) = ear.events()
    assert (final.start, final.end, end.time) == (100.25, 101.0, 101.0)
    assert final.words == words(("a", 100.25, 100.5), ("b", 100.5, 101.0))
    assert ear.watermark == 1.0
    ear.new_link()  # its seconds count from a margin before 101
    assert 0.5 <= ear.cursor.start / RATE <= 0.7
    begins = ear.cursor.start / RATE
    ear.final("c", words=words(("c", 1.5 - begins, 2.0 - begins)))
    (start, final) = ear.events()  # speech goes on
    assert (start.time, final.words[0].start, final.words[0].end) == pytest.approx((101.5, 101.5, 102.0))
    assert ear.watermark == 2.0


def test_a_word_of_no_length_is_at_the_beginning_of_the_stream_too() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.say(("a", 0.0, 0.0))
    (final,) = ear.finals()
    assert (final.start, final.end) == (0.0, 0.0)


def test_a_final_without_word_times_is_somewhere_in_what_is_not_final() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.final("a b", words=(Word(text="a"), Word(text="b")))  # how far the service has heard is open
    (start, final, end) = ear.events()
    assert start == SpeechStarted(time=2.0, inferred=True)
    assert (final.start, final.end, end.time) == (0.0, 2.0, 2.0)
    assert final.latency is None
    assert ear.watermark == 0.0


def test_all_that_a_final_says_is_passed_on() -> None:
    ear = Ear(origin=10.0)
    ear.speak(2.0)
    told: dict[str, Any] = {
        "language": "en",
        "languages": ("en", "hi"),
        "redacted_entities": ("[NAME_1]",),
        "full_transcript": "before a",
        "session_id": "s-1",
        "is_last": True,
    }
    utterances = (Utterance(text="a", start=0.5, end=9.0, speaker=1),)
    ear.final("a", words=words(("a", 0.5, 1.0)), utterances=utterances, **told)
    final = ear.events()[1]
    assert {name: getattr(final, name) for name in told} == told
    assert final.utterances == (Utterance(text="a", start=10.5, end=12.0, speaker=1),)
    assert (final.provisional, final.from_finalize) == (False, False)


def test_words_are_hidden_where_they_were_not_wanted_and_move_the_watermark_all_the_same() -> None:
    ear = Ear(word_timestamps=False)
    ear.speak(2.0)
    ear.final("a", words=words(("a", 0.5, 1.0)))
    final = ear.events()[1]
    assert (final.words, final.start, final.end) == ((), 0.5, 1.0)
    assert ear.watermark == 1.0


def test_latency_is_from_the_sending_of_the_last_sample_to_the_arrival() -> None:
    ear = Ear()
    ear.speak(1.0, now=10.0)
    ear.speak(1.0, now=11.0)
    ear.final("a", now=10.25, words=words(("a", 0.5, 1.0)))
    ear.final("b", now=11.75, words=words(("b", 1.0, 1.5)))
    ear.speak(1.0, now=98.0)
    for text, end in (("c", 1.5), ("d", 1.4)):
        ear.final(text, now=99.0, words=words((text, 1.25, end)))  # not after the watermark: of what no more is known
    latencies = [event.latency for event in ear.events() if isinstance(event, FinalTranscript)]
    assert latencies == [0.25, 0.75, None, None]
    hearing = ear.receiver.teller
    assert (hearing.finals, hearing.timed, hearing.latency_sum, hearing.latency_max) == (4, 2, 1.0, 0.75)


# --- turns ---


def test_a_final_in_the_middle_of_speech_does_not_end_a_turn() -> None:
    """A service can cut a sentence by words, and the same final comes for each."""
    ear = Ear()
    ear.speak(4.0)
    ear.say(("a", 0.25, 0.5), ("b", 0.5, 1.0))
    ear.say(("c", 1.0, 1.5))
    assert [type(event) for event in ear.events()] == [SpeechStarted, FinalTranscript, FinalTranscript]
    assert ear.receiver.pausing
    ear.receiver.pause()
    assert ear.events() == [SpeechEnded(time=1.5)]
    assert not ear.receiver.pausing


@pytest.mark.parametrize(
    ("fields", "ends"),
    [
        ({}, True),  # a pause follows its last word
        ({"speech_final": True}, True),
        ({"speech_final": False}, False),
        ({"is_last": True}, True),
    ],
)
def test_which_finals_before_a_pause_end_a_turn(fields: dict[str, Any], ends: bool) -> None:
    ear = Ear()
    ear.speak(1.0)
    ear.pause(1.0)
    ear.say(("a", 0.25, 1.0), **fields)
    assert isinstance(ear.events()[-1], SpeechEnded) == ends


@pytest.mark.parametrize(
    ("fields", "ends"),
    [({}, False), ({"speech_final": True}, True), ({"is_last": True}, True), ({"from_finalize": True}, True)],
)
def test_which_finals_in_the_middle_of_speech_end_a_turn(fields: dict[str, Any], ends: bool) -> None:
    ear = Ear()
    ear.speak(1.0)
    if "from_finalize" in fields:
        ear.finalize()
    ear.speak(1.0)
    ear.say(("a", 0.25, 1.0), **fields)
    assert isinstance(ear.events()[-1], SpeechEnded) == ends


@pytest.mark.parametrize(
    ("silence", "ends"), [((1.0, 2.0), True), ((1.2, 1.6), True), ((1.25, 1.6), False), ((1.2, 1.55), False)]
)
def test_a_turn_ends_where_a_pause_follows_the_last_word(silence: tuple[float, float], ends: bool) -> None:
    """From 0.2 s after its end, which can be told this early, to 0.6 s: there a service ends an utterance."""
    start, end = silence
    ear = Ear()
    ear.speak(start)
    ear.pause(end - start)
    ear.speak(2.0 - end)
    ear.say(("a", 0.25, 1.0))
    assert isinstance(ear.events()[-1], SpeechEnded) == ends


def test_a_blank_at_the_end_says_that_words_follow() -> None:
    ear = Ear()
    ear.speak(1.0)
    ear.pause(1.0)
    ear.final("so ", words=words(("so", 0.25, 1.0)))
    (_, final) = ear.events()
    assert final.text == "so "  # it is kept


def test_where_words_have_no_times_each_final_ends_a_turn() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.final("a")
    assert [type(event) for event in ear.events()] == [SpeechStarted, FinalTranscript, SpeechEnded]


def test_voice_activity_events_that_never_come_are_not_waited_for() -> None:
    ear = Ear(vad_events=True)
    ear.speak(1.0)
    ear.pause(1.0)
    ear.say(("a", 0.25, 1.0))
    assert [type(event) for event in ear.events()] == [SpeechStarted, FinalTranscript, SpeechEnded]
    ear.onset(1.5)
    ear.offset(1.75)
    ear.events()
    ear.speak(1.0)
    ear.pause(1.0)
    ear.say(("b", 2.0, 3.0))
    assert [type(event) for event in ear.events()] == [SpeechStarted, FinalTranscript]
    assert not ear.receiver.pausing  # its detector will tell
    ear.receiver.use(ear.receiver_config, ear.timeline)
    assert not ear.receiver.pausing


def test_a_turn_with_voice_activity_events() -> None:
    ear = Ear(origin=10.0, vad_events=True)
    ear.speak(3.0)
    ear.onset(0.5)
    ear.hear("a")
    ear.final("a", words=words(("a", 0.5, 1.0)))
    ear.offset(1.25)
    ear.final("b", words=words(("b", 1.0, 1.2)))
    ear.onset(2.0)
    events = [event for event in ear.events() if not isinstance(event, InterimTranscript)]
    assert [type(event) for event in events] == [
        *(SpeechStarted, FinalTranscript, SpeechEnded, FinalTranscript, SpeechStarted)
    ]
    assert events[0] == SpeechStarted(time=10.5, inferred=False)
    assert events[2] == SpeechEnded(time=11.25)
    assert events[4] == SpeechStarted(time=12.0, inferred=False)


def test_voice_activity_without_a_time_is_about_now() -> None:
    ear = Ear(origin=10.0, vad_events=True)
    ear.speak(1.0)
    ear.onset()
    ear.speak(1.0)
    ear.offset()
    assert ear.events() == [SpeechStarted(time=11.0, inferred=False), SpeechEnded(time=12.0)]
    assert ear.timeline.mended == 2


@pytest.mark.parametrize("text", ["", " ", ".", "।"])
def test_what_says_nothing_is_not_told_unless_it_answers(text: str) -> None:
    ear = Ear()
    ear.speak(1.0)
    ear.hear(text)
    ear.final(text)
    assert ear.events() == []
    ear.finalize()
    ear.final(text, from_finalize=True)
    ear.final(text, is_last=True)
    assert [(event.text, event.from_finalize, event.is_last) for event in ear.events()] == [
        ("", True, False),
        ("", False, True),
    ]


@pytest.mark.parametrize("speech_final", [True, False, None])
def test_what_says_nothing_ends_a_turn_only_where_the_service_says_so(speech_final: bool | None) -> None:
    ear = Ear()
    ear.speak(1.0)
    ear.hear("and")
    ear.events()
    ear.final("", speech_final=speech_final)
    assert ear.events() == ([SpeechEnded(time=1.0)] if speech_final else [])


def test_the_end_tells_the_last_interim_and_ends_the_turn() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.hear("so far", session_id="s-1")
    ear.events()
    ear.receiver.end(2.0)
    final = FinalTranscript(text="so far", start=0.0, end=2.0, session_id="s-1", provisional=True)
    assert ear.events() == [final, SpeechEnded(time=2.0)]
    ear.receiver.end(2.0)
    assert ear.events() == []


def test_an_interim_that_became_final_is_not_told_twice() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.hear("so far")
    ear.final("so far", words=words(("so", 0.5, 1.0), ("far", 1.0, 1.5)))
    ear.hear("more")
    ear.final("")  # and so it was nothing
    ear.events()
    ear.receiver.end(2.0)
    assert ear.events() == [SpeechEnded(time=2.0)]


def test_word_times_that_cannot_be_prove_nothing() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.final("a", words=words(("a", 0.5, 99.0)))
    final = next(event for event in ear.events() if isinstance(event, FinalTranscript))
    assert (final.start, final.end, final.latency) == (0.0, 2.0, None)  # somewhere in there
    assert ear.watermark == 0.0


def test_only_words_without_times_say_that_all_before_them_is_answered() -> None:
    """Where they have times, the watermark says so."""
    ear = Ear()
    ear.speak(2.0)
    ear.say(("a", 0.5, 1.0))
    assert ear.cursor.judged_to == 0
    ear.final("b")
    assert ear.cursor.judged_to == ear.cursor.sent


@pytest.mark.parametrize("asked", [0, 1, 3])
def test_when_no_more_finals_come_each_question_has_its_answer(asked: int) -> None:
    ear = Ear(origin=10.0)
    ear.speak(1.0)
    for _ in range(asked):
        ear.sender.finalize()
    ear.receiver.answer_all(Part(ear.receiver_config, ear.sender, ear.timeline))
    assert ear.finals() == [FinalTranscript(text="", start=11.0, end=11.0, from_finalize=True)] * asked


# --- anything ---

TIMES = st.none() | st.floats(-5, 30)
TEXTS = st.sampled_from(["", ".", "a", "b c", "a b c d"])
MESSAGES = st.builds(
    Transcription,
    text=TEXTS,
    is_final=st.booleans(),
    is_last=st.booleans(),
    from_finalize=st.booleans(),
    speech_final=st.booleans(),
    words=st.lists(st.builds(Word, text=st.just("a"), start=TIMES, end=TIMES), max_size=3).map(tuple),
    utterances=st.lists(st.builds(Utterance, text=st.just("a"), start=TIMES, end=TIMES), max_size=2).map(tuple),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("hear"), MESSAGES),
        st.tuples(st.just("onset"), TIMES),
        st.tuples(st.just("offset"), TIMES),
        st.tuples(st.sampled_from(["speak", "pause"]), st.floats(0, 3)),
        st.tuples(st.sampled_from(["link", "finalize", "probe"]), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=300)
@given(STEPS, st.booleans())
def test_whatever_is_heard_turns_alternate_and_times_lie_in_the_stream(
    steps: list[tuple[str, Any]], vad_events: bool
) -> None:
    ear = Ear(origin=10.0, vad_events=vad_events)
    speaking = False
    for kind, value in [*steps, ("end", None)]:
        watermark = ear.timeline.watermark
        if kind == "hear":
            ear.take(value)
        elif kind in ("onset", "offset"):
            (ear.onset if kind == "onset" else ear.offset)(value)
        elif kind in ("speak", "pause"):
            (ear.speak if kind == "speak" else ear.pause)(value)
        elif kind == "finalize":
            ear.finalize()
        elif kind == "probe":
            ear.sender.probe(ear.cursor, 0.0)
        elif kind == "link":
            ear.new_link()
        else:
            ear.receiver.end(ear.timeline.seconds(ear.cursor.sent))
        assert watermark <= ear.timeline.watermark <= ear.sender.sent
        end = ear.timeline.seconds(ear.sender.sent) + 1e-9
        for event in ear.events():
            if isinstance(event, (SpeechStarted, SpeechEnded)):
                assert speaking is isinstance(event, SpeechEnded)
                speaking = not speaking
                assert 10.0 <= event.time <= end
            else:
                assert 10.0 <= event.start <= event.end <= end
                if isinstance(event, InterimTranscript) or not (event.from_finalize or event.is_last):
                    assert event.text
    assert not speaking


def test_a_final_that_comes_twice_is_told_once_where_some_of_its_words_have_no_blanks() -> None:
    ear = Ear()
    ear.speak(1.0)
    ear.finalize()
    ear.speak(1.0)
    for _ in range(2):
        ear.final("你好 a", words=words(("你好", 0.1, 0.5), ("a", 0.6, 1.0)))
    assert [event.text for event in ear.events() if isinstance(event, FinalTranscript) and event.text] == ["你好 a"]
