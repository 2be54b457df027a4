"""The oracle: speech that says which word it is, and the judge of what was heard, whoever tells it."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit.agents import LanguageCode
from livekit.agents.stt import SpeechData, SpeechEvent, SpeechEventType
from livekit.agents.types import TimedString

from smallest_proto.config import TranscriptionConfig
from smallest_proto.errors import ConfigurationError
from smallest_proto.reading import Word
from smallest_proto.server.imperfection import Imperfection
from smallest_proto.server.recogniser import Heard
from smallest_proto.server.synthesiser import CodedSynthesiser
from smallest_proto.transcription.events import (
    AudioLost,
    FinalTranscript,
    InterimTranscript,
    LossReason,
    SpeechEnded,
    SpeechStarted,
)
from smallest_transports.testing import WORDS, CallPlan, Speech, Step, join, judge, speech, strategies
from smallest_transports.testing.hearing import _aligned

SAID = speech("hello world", 0.9, "how are you", 1.0)


def hear(made: Speech) -> list[str]:
    """The finals of a recogniser that hears it."""
    ear = WORDS(msgspec.structs.replace(CallPlan.of("a").config, sample_rate=made.sample_rate))
    results = [*ear.hear(made.pcm), *ear.finalize()]
    return [item.text for item in results if isinstance(item, Heard) and item.final and item.text]


def final(text: str, *times: tuple[float, float], **more: Any) -> FinalTranscript:
    words = tuple(
        Word(text=text, start=start, end=end) for text, (start, end) in zip(text.split(), times, strict=False)
    )
    start, end = (times[0][0], times[-1][1]) if times else (0.0, 1.0)
    return FinalTranscript(text=text, start=start, end=end, words=words, **more)


def spans(made: Speech) -> list[tuple[float, float]]:
    return [(word.start or 0.0, word.end or 0.0) for word in made.truth.words]


# --- speech ---


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_speech_is_heard_as_it_was_written(rate: int) -> None:
    made = speech("Hello, world!", 0.8, "w17 नमस्ते दुनिया", 1.0, sample_rate=rate)
    assert " ".join(hear(made)) == made.text == "Hello, world! w17 नमस्ते दुनिया"
    assert made.seconds == pytest.approx(len(made.pcm) / 2 / rate)
    assert made.recogniser is WORDS


def test_the_same_text_is_the_same_audio() -> None:
    assert speech("one two three").pcm == speech("one two three").pcm
    (spoken,) = CodedSynthesiser().speak("one two three", sample_rate=16000)
    assert hear(Speech(pcm=spoken.pcm, sample_rate=16000, truth=SAID.truth)) == ["one two three"]


@pytest.mark.parametrize(("script", "says"), [(("hello —",), "nothing to be said"), ((-1.0,), "pause")])
def test_what_cannot_be_said_says_so(script: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        speech(*script)


def test_two_words_that_sound_alike_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="sound alike"):  # among so many there are two
        speech(" ".join(f"a{number}" for number in range(600)))


def test_parts_follow_each_other_whatever_their_rates() -> None:
    truth = join([speech("a b", 0.5), speech("c", 1.0, sample_rate=8000)])
    assert truth.text == "a b c"
    first, last = speech("a b", 0.5), truth.words[-1]
    assert last.start == pytest.approx(first.seconds)


# --- texts ---


@pytest.mark.parametrize(
    ("heard", "said", "wrong"),
    [
        ("Hello, WORLD! how are? you?", SAID.text, {}),
        ("hello world how you", SAID.text, {"lost": ["are"]}),
        ("hello world how are are you", SAID.text, {"repeated": ["are"]}),
        ("hello world moon how are you", SAID.text, {"damaged": ["moon"]}),
        ("hello ?orld how are you", SAID.text, {"damaged": ["world"]}),
        ("helloworld how are you", SAID.text, {}),
        ("hellohello world how are you", SAID.text, {"repeated": ["hello"]}),
        ("helloworld helloworld how are you", SAID.text, {"repeated": ["hello", "world"]}),
        ("hhello world how are you", SAID.text, {"lost": ["hello"], "damaged": ["hhello"]}),
        ("cafe\u0301 \u00e9te\u0301", "caf\u00e9 \u00e9t\u00e9", {}),  # accents in letters, and as marks of their own
        ("hello how world are you", SAID.text, {"order": ["hello how world"]}),
        ("hello — world how are you", SAID.text, {}),
        ("hello ? world how are you", SAID.text, {"damaged": ["?"]}),
        ("yes no yes", "yes no yes", {}),
        ("no yes", "yes no yes", {"lost": ["yes (0.00"]}),
        ("yes no", "yes no yes", {"lost": ["yes"]}),
        ("yes yes no yes", "yes no yes", {"repeated": ["yes (0.00"]}),
        ("", "yes", {"lost": ["yes"]}),
    ],
)
def test_texts_are_judged(heard: str, said: str, wrong: dict[str, list[str]]) -> None:
    for events in (heard, [heard], heard.split()):
        report = judge(events, speech(said))
        found = {kind: report.of(kind) for kind, _ in report.wrongs}
        assert found.keys() == wrong.keys()
        for kind, begins in wrong.items():
            assert len(found[kind]) == len(begins)
            assert all(begin in text for text, begin in zip(found[kind], begins, strict=True))
        assert report.ok is (not wrong)


def test_texts_without_blanks_are_read_however_long_and_however_they_could_be_cut() -> None:
    long = " ".join(f"w{number}" for number in range(1500))
    assert judge(long.replace(" ", ""), speech(long)).ok
    assert judge("a" * 60 + "b", speech("a aa c")).damaged == ("a" * 60 + "b was never said",)


def test_ten_thousand_words_of_four_kinds_are_counted() -> None:
    words = [("yes", "no", "well", "oh")[at * at // 3 % 4] for at in range(10_000)]
    said = speech(" ".join(words))
    assert judge(words, said).ok
    report = judge([word for at, word in enumerate(words) if at % 100], said)
    assert len(report.lost) == len(report.wrongs) == 100


@given(*2 * [st.lists(st.sampled_from([(0, 3), (1,), (2, 5, 6), (4, 7), (0, 1, 2, 3, 4, 5, 6, 7), ()]), max_size=8)])
def test_as_many_words_as_can_be_are_laid_beside_each_other(heard: list[tuple[int, ...]], more: list[Any]) -> None:
    heard = [*heard, *more]
    matches = _aligned(heard, 8)
    assert all(place in heard[at] for at, place in matches.items())
    assert [*matches.values()] == sorted({*matches.values()})

    @cache
    def most(at: int, place: int) -> int:
        if at == len(heard) or place == 8:
            return 0
        return max(most(at + 1, place), most(at, place + 1), (place in heard[at]) + most(at + 1, place + 1))

    assert len(matches) == most(0, 0)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=8), st.data())
def test_as_many_words_are_lost_as_are_missing(words: list[str], data: Any) -> None:
    keep = data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words)))
    heard = [word for word, kept in zip(words, keep, strict=True) if kept]
    report = judge(heard, speech(" ".join(words)))
    assert len(report.lost) == len(words) - len(heard)
    assert len(report.wrongs) == len(report.lost)


def test_a_report_can_be_read() -> None:
    report = judge("hello world world how you", SAID)
    assert str(report).splitlines() == [
        "5 words: 1 lost, 1 repeated",
        "  repeated  world (0.32 to 0.72 s) was heard 2 times".replace("0.32", f"{spans(SAID)[1][0]:.2f}").replace(
            "0.72", f"{spans(SAID)[1][1]:.2f}"
        ),
        f"  lost      are ({spans(SAID)[3][0]:.2f} to {spans(SAID)[3][1]:.2f} s) was heard 0 times",
    ]
    assert str(judge(SAID.text, SAID)) == "5 words: each is there, once, whole and in its place"
    assert (len(report.lost), len(report.untold), len(report.repeated)) == (1, 1, 1)


def test_what_is_no_event_is_refused() -> None:
    with pytest.raises(TypeError, match="dict is nothing that can be judged"):
        judge([{"text": "hello"}], SAID)


# --- events of the core ---


def test_the_events_of_a_call_are_judged_with_their_times() -> None:
    call = CallPlan.of("hello world", 0.9, "how are you", 1.0).run()
    for events in (call.events, [event for _, event in call.events]):
        assert judge(events, SAID, stats=call.session.stats).ok
    late = judge(call.events, speech(0.3, "hello world", 0.9, "how are you", 1.0))
    assert len(late.mistimed) >= 5
    assert judge(call.events, speech(0.002, "hello world", 0.9, "how are you", 1.0), tolerance=0.002).ok


def test_turns_are_paired() -> None:
    started, ended = SpeechStarted(time=0.0, inferred=False), SpeechEnded(time=spans(SAID)[-1][1])
    texts = final(SAID.text, *spans(SAID))
    for events, unpaired in (((started, texts, ended), 0), ((started, texts), 1), ((ended, texts), 1)):
        assert len(judge(events, SAID).unpaired) == unpaired


TURNS = (SpeechStarted, SpeechEnded)


@pytest.fixture(params=[True, False], ids=["heard", "inferred"])
def turns(request: pytest.FixtureRequest) -> list[Any]:
    """The events of a call of two turns, which the service tells of or not."""
    config = TranscriptionConfig(vad_events=request.param)
    call = CallPlan.of("hello world", 0.9, "how are you", 1.0, config=config).run()
    call.check()
    events: list[Any] = [event for _, event in call.events]
    assert [type(event) for event in events if isinstance(event, TURNS)] == [*TURNS, *TURNS]
    return events


def changed(events: list[Any], which: int, **fields: Any) -> list[Any]:
    """The same with other fields in one of the starts and ends, by its number."""
    at = [at for at, event in enumerate(events) if isinstance(event, TURNS)][which]
    return [*events[:at], msgspec.structs.replace(events[at], **fields), *events[at + 1 :]]


def test_turns_that_were_not_told_are_missing(turns: list[Any]) -> None:
    none = [event for event in turns if not isinstance(event, TURNS)]
    (*_, missing) = judge(none, SAID).unpaired
    assert "is of no turn" in missing
    assert judge(none, SAID, turns=False).ok
    spoken = [event for event in none if isinstance(event, (InterimTranscript, FinalTranscript))]
    assert judge(spoken, SAID).ok  # that is not all of a session
    assert judge(spoken, SAID, turns=True).unpaired
    for first in (0, 2):  # one of the two
        gone = [event for event in turns if isinstance(event, TURNS)][first : first + 2]
        assert len(judge([event for event in turns if event not in gone], SAID).unpaired) == 1


def test_words_that_are_in_no_turn_are_told() -> None:
    config = TranscriptionConfig(endpointing_timeout=2000)
    call = CallPlan.of("hello world", 0.9, "how are you", 2.5, config=config).run()
    assert next(event.text for _, event in call.events if isinstance(event, FinalTranscript)) == SAID.text  # in one
    gone = [event for _, event in call.events if isinstance(event, TURNS)][2:]
    (missing,) = judge([one for one in call.events if one[1] not in gone], call.truth).unpaired
    assert missing.startswith("how are you (")
    assert missing.endswith(" s) in no turn")


def test_turns_in_another_order_are_found(turns: list[Any]) -> None:
    places = [at for at, event in enumerate(turns) if isinstance(event, TURNS)]
    swapped = [*turns]
    for at, other in zip(places, [*places[2:], *places[:2]], strict=True):
        swapped[at] = turns[other]
    assert judge(swapped, SAID).wrongs
    late = sorted(turns, key=lambda event: isinstance(event, TURNS))  # all of them after the last final
    assert "is of no turn" in str(judge(late, SAID))
    if not turns[places[0]].inferred:
        twice = [event for at in places[:2] for event in turns if event is turns[at]]
        assert "comes after one from" in str(judge([*turns[: places[1] + 1], *twice, *turns[places[1] + 1 :]], SAID))


@pytest.mark.parametrize("which", range(4))
def test_a_turn_with_a_time_that_is_not_its_own_is_mistimed(turns: list[Any], which: int) -> None:
    time = [event.time for event in turns if isinstance(event, TURNS)][which]
    inferred = any(getattr(event, "inferred", False) for event in turns)
    for wrong in (-0.5, time - 5.0, time + 5.0, float("nan"), *(() if inferred else (time + 0.1, time - 0.1))):
        assert not judge(changed(turns, which, time=wrong), SAID).ok, wrong
    assert judge(changed(turns, which, time=time + 0.05), SAID, tolerance=0.06).ok


def test_a_finalize_ends_a_turn_wherever_it_comes() -> None:
    middle = sum(spans(SAID)[3]) / 2
    call = CallPlan.of("hello world", 0.9, "how are you", 1.0, steps=(Step("finalize", middle),)).run()
    call.check()
    for truth in (call.truth, SAID):  # the second does not know of it
        assert not judge(call.events, truth).mistimed
    none = [one for one in call.events if not isinstance(one[1], TURNS)]
    assert judge(none, call.truth).unpaired


@settings(max_examples=25)
@given(strategies.calls())
def test_no_call_can_do_without_its_turns(plan: CallPlan) -> None:
    call = plan.run()
    call.check()
    none = [one for one in call.events if not isinstance(one[1], TURNS)]
    assert bool(judge(none, call.truth).unpaired) is bool(call.text)


def test_a_loss_that_was_told_is_another_one() -> None:
    first, *rest = spans(SAID)
    texts = final("world how are you", *rest)
    lost = AudioLost(start=0.0, end=first[1], reason=LossReason.BUFFER_FULL)
    told = judge([lost, texts], SAID)
    assert (len(told.lost), told.untold) == (1, ())
    untold = judge([texts], SAID)
    assert len(untold.untold) == len(untold.lost) == 1


def test_an_interim_is_no_final() -> None:
    interim = InterimTranscript(text="hello", start=0.0, end=0.5, session_id=None)
    assert len(judge([interim], SAID).lost) == 5


def test_a_service_may_be_as_imperfect_as_it_is() -> None:
    times = [(start + 0.08, end + 0.08) for start, end in spans(SAID)]
    events = [final(SAID.text.upper(), *times)]
    assert not judge(events, SAID).ok
    truth = msgspec.structs.replace(SAID.truth, imperfection=Imperfection(bias=0.08, respelled=True))
    assert judge(events, truth).ok


def test_what_is_no_number_is_no_time() -> None:
    nan = float("nan")
    assert len(judge([final(SAID.text, *[(nan, nan)] * 5)], SAID).mistimed) >= 5


def test_which_of_two_equal_words_was_lost_is_told_by_its_time() -> None:
    said = speech("yes no yes")
    report = judge([final("no yes", *spans(said)[1:])], said)
    assert report.lost[0].startswith("yes (0.00")


# --- LiveKit's ---


def livekit(kind: SpeechEventType, text: str = "", *times: tuple[float, float]) -> SpeechEvent:
    words = [
        TimedString(text, start_time=start, end_time=end)
        for text, (start, end) in zip(text.split(), times, strict=False)
    ]
    ends = {"start_time": times[0][0], "end_time": times[-1][1]} if times else {}
    data = SpeechData(language=LanguageCode("en"), text=text, words=words or None, **ends)
    return SpeechEvent(type=kind, alternatives=[data] if text else [])


def test_livekits_events_are_judged() -> None:
    kinds = SpeechEventType
    events = [
        livekit(kinds.START_OF_SPEECH),
        livekit(kinds.INTERIM_TRANSCRIPT, "moon"),
        livekit(kinds.FINAL_TRANSCRIPT, SAID.text, *spans(SAID)),
        livekit(kinds.END_OF_SPEECH),
        livekit(kinds.RECOGNITION_USAGE),
    ]
    assert judge(events, SAID).ok
    assert len(judge(events[:-2], SAID).unpaired) == 1
    assert len(judge([events[0], events[3]], SAID).untold) == 5
    moved = livekit(kinds.FINAL_TRANSCRIPT, SAID.text, *[(start + 0.1, end + 0.1) for start, end in spans(SAID)])
    assert len(judge([moved], SAID).mistimed) >= 5
    silent = [livekit(kinds.FINAL_TRANSCRIPT, SAID.text)]  # of a plugin that knows no times, and tells of no turns
    assert judge(silent, SAID).ok
    assert len(judge(silent, SAID, turns=True).unpaired) == 1
    assert len(judge([*silent, *events[:1], events[3]], SAID).unpaired) == 1  # the turn begins after its final


@pytest.mark.parametrize(
    ("text", "words", "ok"),
    [
        ("Hello, world.", ["hello", "world"], True),  # as services have them that punctuate the text alone
        ("hello world", ["hello ", "world "], True),
        ("hello world", ["hello", "bye"], False),
        ("hello world", ["hello"], False),
    ],
)
def test_words_of_livekit_may_be_written_otherwise_than_the_text(text: str, words: list[str], ok: bool) -> None:
    said = speech("hello world")
    timed = [
        TimedString(word, start_time=start, end_time=end)
        for word, (start, end) in zip(words, spans(said), strict=False)
    ]
    data = SpeechData(language=LanguageCode("en"), text=text, words=timed)
    report = judge([SpeechEvent(type=SpeechEventType.FINAL_TRANSCRIPT, alternatives=[data])], said)
    assert report.ok is ok
