"""A truthful service with a recogniser as they really are: no word is lost, none is told twice, whatever it does."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

import pytest

from smallest_proto.config import Timeouts, TranscriptionConfig
from smallest_proto.events import EndReason, LinkLost
from smallest_proto.server.recogniser import CodedRecogniser, CodedSpeech, Recognised, coded_speech
from smallest_proto.transcription.events import AudioLost, FinalTranscript, SpeechEnded, SpeechStarted
from smallest_proto.transcription.messages import FINALIZE
from smallest_transports.memory import MemoryLink, MemoryNetwork

from .way import RATE

Said = dict[str, Any]
Change = Callable[[Said, MemoryLink], Iterable[Said]]


class WholeWords(CodedRecogniser):
    """A finalize leaves the word that is being said for the next final."""

    def finalize(self) -> Sequence[Recognised]:
        return self.finalize_words()


def network(change: Change, recogniser: Any = CodedRecogniser) -> MemoryNetwork:
    """A service whose messages pass through ``change``."""
    made = MemoryNetwork(recogniser)

    def on_link(link: MemoryLink) -> None:
        say = link.say

        def changed(data: Any) -> None:
            for message in change(json.loads(data), link):
                say(json.dumps(message))

        link.say = changed  # type: ignore[method-assign]

    made.on_link = on_link
    return made


def talk(words: int, *, pause: float = 0.9, every: int = 6) -> CodedSpeech:
    script: list[int | float] = []
    for number in range(1, words + 1):
        script.append(number)
        if number % every == 0:
            script.append(pause)
    return coded_speech([*script, 1.0])


def lose(call: Any, *times: float) -> None:
    for at in times:
        call.at(at, lambda: call.network.links[-1].lose())


def texts(call: Any) -> list[str]:
    return [word for final in call.of(FinalTranscript) for word in final.text.split()]


def assert_told_once(call: Any, speech: CodedSpeech) -> None:
    """Every word is told once and in order, nothing was given up, each turn has its end."""
    assert texts(call) == speech.text.split()
    assert call.of(AudioLost) == []
    marks = [
        isinstance(event, SpeechEnded) for _, event in call.events if isinstance(event, (SpeechStarted, SpeechEnded))
    ]
    assert marks == [False, True] * (len(marks) // 2)
    assert call.end.reason is EndReason.COMPLETED


# --- times that are not exact ---


def times_off(*, step: float = 0.0, bias: float = 0.0, jitter: float = 0.0, seed: int = 0) -> Change:
    chance = random.Random(seed)

    def change(message: Said, _: MemoryLink) -> Iterable[Said]:
        for word in message.get("words") or ():
            for edge in ("start", "end"):
                time = word[edge] + bias + chance.uniform(-jitter, jitter)
                word[edge] = max(0.0, round(time / step) * step if step else time)
        yield message

    return change


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("off", "options"),
    [
        ({"step": 0.02}, {}),
        ({"step": 0.1}, {}),
        ({"jitter": 0.05}, {}),
        ({"bias": -0.04}, {}),
        ({"bias": 0.04}, {}),
        ({"bias": 0.08}, {}),
        ({"bias": 0.08}, {"max_words": 3}),
        ({"step": 0.1}, {"max_words": 3}),
    ],
    ids=str,
)
def test_times_that_are_rounded_or_off(calls: Any, off: dict[str, float], options: dict[str, Any], seed: int) -> None:
    speech, chance = talk(36), random.Random(seed)
    call = calls.make(network(times_off(**off, seed=seed)), **options)
    call.feed(speech.pcm)
    lose(call, *sorted(chance.uniform(1.0, speech.seconds - 1.0) for _ in range(5)))
    call.run()
    assert_told_once(call, speech)
    for word, said in zip(call.words, speech.words, strict=True):
        assert word.start == pytest.approx(said.start / RATE, abs=0.12)
        assert word.end == pytest.approx(said.end / RATE, abs=0.12)


# --- questions ---


@pytest.mark.parametrize("word", range(3, 8))
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_question_in_the_middle_of_a_word_and_then_a_lost_link(calls: Any, word: int, share: float) -> None:
    speech = coded_speech([1, 2, 3, 0.4, 4, 5, 6, 7, 8, 9, 1.0])
    at = (speech.words[word].start + share * (speech.words[word].end - speech.words[word].start)) / RATE
    call = calls.make(MemoryNetwork(WholeWords))
    call.feed(speech.pcm)
    call.at(at, call.finalize)
    lose(call, at + 0.3)
    call.run()
    assert_told_once(call, speech)


@pytest.mark.parametrize("labels", [1, 2])
def test_one_question_that_two_finals_answer_with_the_link_lost_between_them(calls: Any, labels: int) -> None:
    def halves(message: Said, link: MemoryLink) -> Iterable[Said]:
        words = message.get("words") or []
        if not message.get("from_finalize") or len(words) < 3 or link.number > 1:
            yield message
            return
        for at, part in enumerate((words[:3], words[3:])):
            half = deepcopy(message)
            half["words"] = part
            half["transcript"] = half["transcription"] = " ".join(word["word"] for word in part)
            half["from_finalize"] = at < labels
            if at == 0:
                yield half
                made.clock.after(0.1, link.lose)

    speech = coded_speech([*range(1, 9), 1.0])
    made = network(halves)
    call = calls.make(made)
    call.feed(speech.pcm)
    call.at(speech.words[6].end / RATE + 0.02, call.finalize)
    call.run()
    assert_told_once(call, speech)
    assert sum(final.from_finalize for final in call.of(FinalTranscript)) == 1


def test_without_interims_nobody_is_cut_who_does_not_pause(calls: Any) -> None:
    for first in (1, 11, 21):
        speech = coded_speech([*range(first, first + 60), 1.0])
        call = calls.make(network(lambda message, _: [message] if message.get("is_final", True) else []))
        call.feed(speech.pcm)
        call.run()
        assert_told_once(call, speech)
        assert all(text != FINALIZE for _, text in call.texts(1))


@pytest.mark.parametrize("every", [0.5, 0.05, 0.02, 0.01])
def test_a_storm_of_finalizes_loses_nothing_and_each_gets_its_event(calls: Any, every: float) -> None:
    speech = talk(18)
    call = calls.make(MemoryNetwork(WholeWords))
    call.feed(speech.pcm, chunk=min(0.02, every))
    count = int(speech.seconds / every)
    for number in range(count):
        call.at(0.005 + number * every, call.finalize)
    call.run()
    assert_told_once(call, speech)
    assert sum(final.from_finalize for final in call.of(FinalTranscript)) == count
    assert call.of(LinkLost) == []


@pytest.mark.parametrize("gap", [0.2, 0.05, 0.02])
def test_a_storm_of_updates_opens_a_few_links_and_ends_in_the_last(calls: Any, gap: float) -> None:
    speech = talk(36)
    call = calls.make()
    call.feed(speech.pcm)
    last = int(10 / gap)
    for number in range(last + 1):
        config = TranscriptionConfig(punctuate=bool(number % 2), max_words=number % 7 + 4)
        call.at(0.5 + number * gap, lambda config=config: call.update(config))
    call.run()
    assert_told_once(call, speech)
    assert call.session.config == TranscriptionConfig(punctuate=bool(last % 2), max_words=last % 7 + 4)
    assert len(call.network.links) <= 5


ANSWERS: dict[str, Change] = {
    "unlabelled": lambda message, _: [{**message, "from_finalize": False}],
    "none where nothing was said": lambda message, _: (
        [] if message.get("from_finalize") and not message.get("transcript") else [message]
    ),
    "empty": lambda message, _: [message],
}


@pytest.mark.parametrize("how", ANSWERS)
def test_each_finalize_gets_exactly_one_event_in_bounded_time(calls: Any, how: str) -> None:
    speech = coded_speech([1, 2, 0.8, 12.0, 3, 0.9, 4, 5, 1.0])
    call = calls.make(network(ANSWERS[how]))
    call.feed(speech.pcm)
    asked = [speech.words[1].end / RATE + 0.1, 6.0, 9.0, speech.words[2].end / RATE + 0.1]
    for at in asked:
        call.at(at, call.finalize)
    call.run()
    assert_told_once(call, speech)
    answered = [at for at, event in call.events if isinstance(event, FinalTranscript) and event.from_finalize]
    assert len(answered) == len(asked)
    assert all(0.0 <= told - at <= 5.0 for at, told in zip(asked, answered, strict=True))
    assert call.of(LinkLost) == []


# --- silence ---


@pytest.mark.parametrize("how", ANSWERS)
def test_a_caller_who_is_silent_for_ten_minutes(calls: Any, how: str) -> None:
    speech = coded_speech([1, 2, 0.8, 600.0, 3, 4, 5, 1.0])
    call = calls.make(network(ANSWERS[how]))
    call.feed(speech.pcm, chunk=0.05)
    call.run()
    assert_told_once(call, speech)
    assert len(call.network.links) == 1
    spoken, silent = speech.words[1].end / RATE, speech.words[2].start / RATE
    quiet = [event for at, event in call.events if spoken + 2.0 < at < silent and "Usage" not in type(event).__name__]
    assert quiet == []
    final = next(at for at, event in call.events if isinstance(event, FinalTranscript) and "w5" in event.text)
    assert final <= speech.words[4].end / RATE + 1.1, "as soon as on a link that was never silent"
    assert call.session.stats.seconds_lost == 0.0


def test_a_slow_reader_is_no_dead_link(calls: Any) -> None:
    """It reads 60 ms for each message of 50 ms: its pongs wait behind audio, at the end for ten seconds."""
    speech = talk(160)
    made = MemoryNetwork()

    def slow(link: MemoryLink) -> None:
        put = link.up.put

        def read(arrive: Any) -> None:
            put(arrive)
            link.up._last += 0.06

        link.up.put = read  # type: ignore[method-assign]

    made.on_link = slow
    call = calls.make(made, session={"timeouts": Timeouts(last=60.0)})
    call.feed(speech.pcm, chunk=0.05)
    call.run()
    assert made.links[0].up._last - speech.seconds > 2 * Timeouts().pong
    assert_told_once(call, speech)
    assert call.of(LinkLost) == []


# --- one link, one hearing ---


def test_a_final_that_comes_twice_is_told_once(calls: Any) -> None:
    def twice(message: Said, _: MemoryLink) -> Iterable[Said]:
        yield message
        if message.get("is_final") and not message.get("is_last"):
            yield {**message, "from_finalize": False}

    speech = talk(18)
    for times in (True, False):
        change: Change = twice if times else lambda message, link: map(untimed, twice(message, link))
        call = calls.make(network(change))
        call.feed(speech.pcm)
        call.at(speech.words[5].end / RATE + 0.59, call.finalize)
        call.run()
        assert_told_once(call, speech)
        assert len(call.of(SpeechStarted)) == 3


# --- no times ---


def untimed(message: Said) -> Said:
    return {name: value for name, value in message.items() if name != "words"}


SPEECH = coded_speech([1, 2, 3, 0.9, 4, 5, 6, 0.9, 7, 8, 9, 0.9, 10, 11, 12, 1.0])


def respelled(message: Said, link: MemoryLink) -> Iterable[Said]:
    message = untimed(message)
    if link.number > 1 and message.get("transcript"):
        message["transcript"] = message["transcription"] = ", ".join(message["transcript"].upper().split()) + "."
    yield message


def by_words_again(message: Said, link: MemoryLink) -> Iterable[Said]:
    message = untimed(message)
    said = message.get("transcript")
    if link.number > 1 and said and message.get("is_final") and not message.get("is_last"):
        for word in said.split():
            yield {**message, "transcript": word, "transcription": word}
    else:
        yield message


@pytest.mark.parametrize("change", [lambda message, _: [untimed(message)], respelled, by_words_again])
@pytest.mark.parametrize("at", [(3.0,), (3.0, 6.0)])
def test_words_without_times_are_told_once_however_they_come_again(calls: Any, change: Change, at: Any) -> None:
    call = calls.make(network(change))
    call.feed(SPEECH.pcm)
    lose(call, *at)
    call.run()
    told = [word.strip(",.").lower() for word in texts(call)]
    assert told == SPEECH.text.split()
    assert call.of(AudioLost) == []


def test_a_word_that_differs_by_a_vowel_sign_alone_is_not_lost(calls: Any) -> None:
    """The new link does not hear the first word again, and what it hears first looks much like it."""

    def hindi(message: Said, link: MemoryLink) -> Iterable[Said]:
        message = untimed(message)
        said = (message.get("transcript") or "").replace("w4", "का")
        said = said.replace("w1 w2 w3", "की" if link.number == 1 else "").strip()
        if said or message.get("is_final") or "transcript" not in message:
            yield {**message, "transcript": said, "transcription": said}

    call = calls.make(network(hindi))
    call.feed(SPEECH.pcm)
    lose(call, 2.2)
    call.run()
    assert texts(call) == ["की", "का", *SPEECH.text.split()[4:]]


def test_words_of_another_format_are_no_repetition(calls: Any) -> None:
    narrow = coded_speech([1, 0.9], sample_rate=8000)
    wide = coded_speech([1, 2, 1.0])
    call = calls.make(network(lambda message, _: [untimed(message)]), sample_rate=8000)
    form = TranscriptionConfig(sample_rate=8000).audio_format
    call.at(0.0, lambda: call.feed(narrow.pcm, chunk=0.05, format=form, end=False))
    call.at(2.0, lambda: call.update(TranscriptionConfig()))
    call.at(2.1, lambda: call.feed(wide.pcm, chunk=0.05))
    call.run()
    assert texts(call) == ["w1", "w1", "w2"]


# --- speakers who overlap ---


def test_the_watermark_is_the_end_of_the_word_that_ends_last(calls: Any) -> None:
    """The last word in the order of their starts can end before another one: two speak at once."""

    def overlapping(message: Said, _: MemoryLink) -> Iterable[Said]:
        words = message.get("words") or []
        if len(words) >= 3:
            words[-2]["end"] = words[-1]["end"]
            words[-1]["start"] = words[-2]["start"] + 0.01
            words[-1]["end"] = words[-1]["start"] + 0.05
            words[-1]["speaker"] = 1
        yield message

    call = calls.make(network(overlapping))
    call.feed(SPEECH.pcm)
    lose(call, 4.5)
    call.run()
    assert sorted(texts(call)) == sorted(SPEECH.text.split())
    assert all(final.end == max(word.end for word in final.words) for final in call.of(FinalTranscript) if final.words)
