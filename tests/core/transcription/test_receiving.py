"""The incoming half: events in stream time, turns around them, the watermark, and what is repeated."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.audio import AudioFormat
from smallest_proto.config import TranscriptionConfig
from smallest_proto.link import Link, LinkInput
from smallest_proto.reading import Utterance, Word
from smallest_proto.transcription.events import FinalTranscript, InterimTranscript, SpeechEnded, SpeechStarted
from smallest_proto.transcription.messages import SpeechOffset, SpeechOnset, Transcription
from smallest_proto.transcription.receiving import Hearing
from smallest_proto.transcription.sending import Sender
from smallest_proto.transcription.timeline import Timeline

RATE = 8000
HEARD = (FinalTranscript, InterimTranscript, SpeechEnded, SpeechStarted)


def words(*spans: tuple[str, float, float]) -> tuple[Word, ...]:
    return tuple(Word(text=text, start=start, end=end) for text, start, end in spans)


class Ear:
    """A hearing, with the sender and the link that it needs; what is spoken goes out at once."""

    def __init__(self, *, origin: float = 0.0, **options: Any) -> None:
        config = TranscriptionConfig(sample_rate=RATE, **options)
        self.output: deque[Any] = deque()
        self.timeline = Timeline(AudioFormat(sample_rate=RATE), origin)
        self.sender = Sender(AudioFormat(sample_rate=RATE), self.timeline, 0.0, 600.0, self.output)
        self.hearing = Hearing(config, self.timeline, self.output)
        self.links = 0
        self.serve()

    def serve(self) -> None:
        self.links += 1
        self.link = Link(self.links, 0.0)
        self.link.take(LinkInput.OPENED)
        self.sender.serve(self.link)
        self.hearing.serve(self.link)
        self.sender.pump(self.link, 0.0)

    def new_link(self) -> None:
        """The link is lost, and another one takes over."""
        self.sender.take_back(self.link)
        self.serve()

    def speak(self, seconds: float, now: float = 0.0) -> None:
        self.sender.push(bytes(2 * round(seconds * RATE)))
        self.sender.flush()
        self.sender.pump(self.link, now)

    def finalize(self) -> None:
        self.sender.finalize()
        self.sender.pump(self.link, 0.0)

    def hear(self, text: str = "", now: float = 0.0, **fields: Any) -> bool:
        return self.hearing.transcription(self.link, Transcription(text=text, **fields), self.sender, now)

    def final(self, text: str = "", now: float = 0.0, **fields: Any) -> bool:
        return self.hear(text, now, is_final=True, **fields)

    def onset(self, timestamp: float | None = None) -> bool:
        return self.hearing.voice_activity(self.link, SpeechOnset(timestamp=timestamp))

    def offset(self, timestamp: float | None = None) -> bool:
        return self.hearing.voice_activity(self.link, SpeechOffset(timestamp=timestamp))

    def events(self) -> list[Any]:
        events = [output for output in self.output if isinstance(output, HEARD)]
        self.output.clear()
        return events

    def finals(self) -> list[str]:
        return [event.text for event in self.events() if isinstance(event, FinalTranscript)]

    @property
    def watermark(self) -> float:
        return self.timeline.watermark / RATE


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
    ear.speak(4.0)
    ear.final("a b", words=words(("a", 0.25, 0.5), ("b", 0.5, 1.0)))
    (_, final, end) = ear.events()
    assert (final.start, final.end, end.time) == (100.25, 101.0, 101.0)
    assert final.words == words(("a", 100.25, 100.5), ("b", 100.5, 101.0))
    assert ear.watermark == 1.0
    ear.new_link()  # its seconds count from 101
    ear.final("c", words=words(("c", 0.5, 1.0)))
    (start, final, _) = ear.events()
    assert (start.time, final.words) == (101.5, words(("c", 101.5, 102.0)))
    assert ear.watermark == 2.0


def test_a_final_without_word_times_is_somewhere_in_what_is_not_final() -> None:
    ear = Ear()
    ear.speak(2.0)
    assert ear.final("a b", words=(Word(text="a"), Word(text="b")))  # how far the service has heard is open
    (start, final, end) = ear.events()
    assert (start.time, final.start, final.end, end.time) == (2.0, 0.0, 2.0, 2.0)
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
    ear.final("c", now=99.0, words=words(("c", 1.25, 1.5)))  # not after the watermark: of what no more is known
    latencies = [event.latency for event in ear.events() if isinstance(event, FinalTranscript)]
    assert latencies == [0.25, 0.75, None]
    hearing = ear.hearing
    assert (hearing.finals, hearing.timed, hearing.latency_sum, hearing.latency_max) == (3, 2, 1.0, 0.75)


# --- turns ---


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


def test_whether_the_speaker_pauses_right_now() -> None:
    ear = Ear(vad_events=True)
    ear.speak(5.0)
    assert not ear.onset(2.0)
    assert not ear.offset(3.0)  # two seconds ago: the pause may be over
    assert not ear.onset(3.1)
    assert ear.offset(3.5)
    ear.hear("a")
    assert not ear.offset(4.0)  # something said is not final yet


@pytest.mark.parametrize("text", ["", " ", ".", "।"])
def test_what_says_nothing_is_not_told_unless_it_answers(text: str) -> None:
    ear = Ear()
    ear.speak(1.0)
    ear.hear(text)
    ear.final(text)
    assert ear.events() == []
    ear.final(text, from_finalize=True)
    ear.final(text, is_last=True)
    assert [(event.from_finalize, event.is_last) for event in ear.events()] == [(True, False), (False, True)]


def test_the_end_tells_the_last_interim_and_ends_the_turn() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.hear("so far", session_id="s-1")
    ear.events()
    ear.hearing.end(2.0)
    final = FinalTranscript(text="so far", start=0.0, end=2.0, session_id="s-1", provisional=True)
    assert ear.events() == [final, SpeechEnded(time=2.0)]
    ear.hearing.end(2.0)
    assert ear.events() == []


def test_an_interim_that_became_final_is_not_told_twice() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.hear("so far")
    ear.final("so far", words=words(("so", 0.5, 1.0), ("far", 1.0, 1.5)))
    ear.hear("more")
    ear.final("")  # and so it was nothing
    ear.events()
    ear.hearing.settle()
    ear.hearing.end(2.0)
    assert ear.events() == []


# --- answers ---


def test_the_answer_to_a_finalize_moves_the_watermark_to_where_it_was_asked() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.finalize()
    ear.speak(1.0)
    assert not ear.final("a", from_finalize=True)
    (_, final, _) = ear.events()
    assert (final.from_finalize, ear.watermark) == (True, 2.0)
    assert not ear.sender.asked(ear.link)


def test_answers_come_in_the_order_of_the_questions() -> None:
    ear = Ear()
    for _ in range(3):
        ear.speak(1.0)
        ear.finalize()
    marks = []
    for _ in range(4):
        ear.final("", from_finalize=True)
        marks.append(ear.watermark)
    assert marks == [1.0, 2.0, 3.0, 3.0]  # of the last one nobody asked
    assert len(ear.finals()) == 4


def test_the_answer_to_a_probe_is_not_shown_as_one() -> None:
    ear = Ear(vad_events=True)
    ear.speak(0.25)
    ear.sender.probe(ear.link)
    ear.final("", from_finalize=True)
    assert (ear.events(), ear.watermark) == ([], 0.0)
    ear.speak(1.75)
    ear.onset(0.5)
    ear.sender.probe(ear.link)
    ear.final("", from_finalize=True)
    assert [type(event) for event in ear.events()] == [SpeechStarted]  # and the turn goes on
    assert ear.watermark == 1.5  # a word can have begun that the service did not know of yet
    ear.speak(1.0)
    ear.sender.probe(ear.link)
    ear.final("a", from_finalize=True)
    (final,) = ear.events()
    assert (final.text, final.from_finalize) == ("a", False)
    assert ear.watermark == 3.0  # it knew of the word


def test_an_interim_that_claims_to_be_an_answer_is_none() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.finalize()
    ear.hear("a b", from_finalize=True)
    assert ear.watermark == 0.0  # nothing of it is final: a new link has to hear it again
    ear.final("a b", from_finalize=True)
    assert ear.watermark == 2.0


# --- finals without word times, over several links ---


def test_what_a_new_link_repeats_is_taken_off() -> None:
    ear = Ear()
    ear.speak(4.0)
    ear.final("Hello you.")
    ear.final("How are")
    ear.events()
    ear.new_link()
    ear.hear("hello")  # all of it was told before
    assert ear.events() == []
    ear.hear("hello you how are they")
    assert [event.text for event in ear.events() if isinstance(event, InterimTranscript)] == ["they"]
    ear.final("Hello, you!")
    ear.final("how are they?", words=tuple(Word(text=text) for text in ("how", "are", "they?")))
    (final,) = [event for event in ear.events() if isinstance(event, FinalTranscript)]
    assert (final.text, final.words) == ("they?", (Word(text="they?"),))
    ear.final("how are")
    assert ear.finals() == ["how are"]  # said once more


def test_what_a_new_link_hears_differently_is_told_again() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.final("a b c")
    ear.new_link()
    ear.final("a x c")
    ear.final("a b c")
    assert ear.finals() == ["a b c", "a x c", "a b c"]


def test_what_was_said_before_the_watermark_is_not_expected_again() -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.final("yes")
    ear.finalize()
    ear.final("", from_finalize=True)
    ear.speak(2.0)
    ear.new_link()
    ear.final("yes")
    assert ear.finals() == ["yes", "", "yes"]


@pytest.mark.parametrize(("text", "told"), [("yes", []), ("no", ["no"])])
def test_after_a_final_with_word_times_nothing_is_taken_off_any_more(text: str, told: list[str]) -> None:
    ear = Ear()
    ear.speak(2.0)
    ear.final("yes")
    ear.new_link()
    ear.final(text, words=words((text, 0.5, 1.0)))
    ear.speak(2.0)
    ear.final("yes")
    assert ear.finals() == ["yes", *told, "yes"]


def test_what_a_link_that_begins_before_the_watermark_hears_again_is_taken_off() -> None:
    ear = Ear()
    ear.speak(3.0)
    ear.final("a b", words=words(("a", 0.5, 1.0), ("b", 1.0, 1.5)))
    ear.events()
    ear.new_link()
    ear.link.begin(RATE // 2)  # packets cannot be cut: the nearest one
    ear.link.reach(RATE // 2, 3 * RATE)
    ear.hearing.serve(ear.link)
    ear.final("a b", words=words(("a", 0.0, 0.5), ("b", 0.5, 1.0)))
    assert ear.events() == []
    ear.final("b c", words=words(("b", 0.5, 1.0), ("c", 1.0, 2.0)))
    final = next(event for event in ear.events() if isinstance(event, FinalTranscript))
    assert (final.text, final.words, final.start) == ("c", words(("c", 1.5, 2.5)), 1.5)


def test_word_times_that_cannot_be_prove_nothing() -> None:
    ear = Ear()
    ear.speak(2.0)
    assert ear.final("a", words=words(("a", 0.5, 99.0)))
    final = next(event for event in ear.events() if isinstance(event, FinalTranscript))
    assert (final.start, final.end, final.latency) == (0.5, 2.0, None)
    assert ear.watermark == 0.0


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
        st.tuples(st.just("speak"), st.floats(0, 3)),
        st.tuples(st.sampled_from(["link", "finalize", "probe"]), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.booleans())
def test_whatever_is_heard_turns_alternate_and_times_lie_in_the_stream(
    steps: list[tuple[str, Any]], vad_events: bool
) -> None:
    ear = Ear(origin=10.0, vad_events=vad_events)
    speaking = False
    for kind, value in [*steps, ("end", None)]:
        watermark = ear.timeline.watermark
        if kind == "hear":
            ear.hearing.transcription(ear.link, value, ear.sender, 0.0)
        elif kind in ("onset", "offset"):
            (ear.onset if kind == "onset" else ear.offset)(value)
        elif kind == "speak":
            ear.speak(value)
        elif kind == "finalize":
            ear.finalize()
        elif kind == "probe":
            ear.sender.probe(ear.link)
        elif kind == "link":
            ear.new_link()
        else:
            ear.hearing.end(ear.timeline.seconds(ear.link.sent))
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
