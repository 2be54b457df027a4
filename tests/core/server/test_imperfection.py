"""What an imperfect service does: each kind alone, the same with the same seed, and no more than was asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.errors import ConfigurationError
from smallest_proto.server.imperfection import DRIFT_MOST, EDGE_SECONDS, TWICE_SECONDS, Chance, Imperfection
from smallest_proto.server.recogniser import CodedRecogniser, coded_speech
from smallest_proto.server.transcription import Close, Finalize, Hear, LiveService, Reply

from .asked import read_live

SPEECH = coded_speech([0.3, 1, 2, 3, 0.8, 4, 5, 6, 7, 0.8, 8, 0.8])
AT_ONCE = coded_speech([1, 2, 3, 0.8])
STEP = 0.05  # seconds


class Link:
    """One link of an imperfect service, in virtual time."""

    def __init__(self, imperfection: Imperfection, link: int = 1, options: str = "") -> None:
        target = f"/waves/v1/stt/live?model=pulse&word_timestamps=true&sentence_timestamps=true{options}"
        self.now = 0.0
        self.service = LiveService(read_live(target), "session", imperfection=imperfection.on_link(link))
        self.service.start(self.now)
        self.recogniser = CodedRecogniser(self.service.recogniser_options)
        self.replies: list[tuple[float, dict[str, Any]]] = []  # when, and what
        self.closed: float | None = None

    def tell(self, data: str | bytes) -> None:
        self.service.message_received(data, self.now)
        self.settle()

    def settle(self) -> None:
        while (command := self.service.poll_output()) is not None:
            if isinstance(command, Hear):
                self.service.recognised(self.recogniser.hear(command.audio), self.now)
            elif isinstance(command, Finalize):
                self.service.finalized(command.ask(self.recogniser), self.now)
            elif isinstance(command, Reply):
                self.replies.append((self.now, json.loads(command.text)))
            elif isinstance(command, Close):
                self.closed = self.now

    def wait(self, until: float) -> None:
        while (due := self.service.get_timer()) is not None and due <= until:
            self.now = max(self.now, due)
            self.service.handle_timer(self.now)
            self.settle()
        self.now = until

    def speak(self, pcm: bytes = SPEECH.pcm, *, finalize_at: Sequence[float] = ()) -> Link:
        asked = list(finalize_at)
        for at in range(0, len(pcm), 1600):
            self.wait(self.now + STEP)
            self.tell(pcm[at : at + 1600])
            if asked and self.now >= asked[0]:
                asked.pop(0)
                self.tell('{"type":"finalize"}')
        return self

    def close(self) -> Link:
        self.tell('{"type":"close_stream"}')
        self.wait(self.now + 10.0)
        return self

    @property
    def finals(self) -> list[dict[str, Any]]:
        return [message for _, message in self.replies if message.get("is_final")]

    @property
    def answers(self) -> list[dict[str, Any]]:
        """What came as finals, other than by the pauses and the end."""
        return [message for message in self.finals if not message["speech_final"] and not message["is_last"]]

    @property
    def words(self) -> list[dict[str, Any]]:
        return [word for message in self.finals for word in message["words"]]

    @property
    def text(self) -> str:
        return " ".join(message["transcript"].strip() for message in self.finals if message["transcript"])


def heard(imperfection: Imperfection = Imperfection(), link: int = 1, **more: Any) -> Link:  # noqa: B008 - frozen
    return Link(imperfection, link).speak(**more).close()


IDEAL = heard()


def test_without_fields_a_service_is_ideal() -> None:
    assert Imperfection().kinds == ()
    assert IDEAL.text == SPEECH.text
    assert [word["start"] for word in IDEAL.words] == [word.start / 16000 for word in SPEECH.words]


def test_kinds_are_named() -> None:
    assert Imperfection(seed=3, rounding=0.1, twice=True, words_per_final=3).kinds == (
        "rounding=0.1",
        "words_per_final=3",
        "twice",
    )


@pytest.mark.parametrize(
    ("imperfection", "most"),
    [
        (Imperfection(rounding=0.1), 0.05),
        (Imperfection(jitter=0.05), 0.05),
        (Imperfection(bias=-0.04), 0.04),
        (Imperfection(bias=0.08), 0.08),
        (Imperfection(drift=0.01), DRIFT_MOST),
        (Imperfection(rounding=0.02, jitter=0.05, bias=0.03, drift=-0.5), 0.09 + DRIFT_MOST),
    ],
)
def test_times_are_off_by_no_more_than_it_says(imperfection: Imperfection, most: float) -> None:
    link = heard(imperfection)
    assert imperfection.time_error == pytest.approx(most)
    assert link.text == SPEECH.text
    errors = [
        result[edge] - right[edge]
        for result, right in zip(link.words, IDEAL.words, strict=True)
        for edge in ("start", "end")
    ]
    assert 0 < max(map(abs, errors)) <= most + 1e-9
    assert all(word["start"] <= word["end"] for word in link.words)
    if imperfection.rounding:
        assert all(
            word["start"] / imperfection.rounding == pytest.approx(round(word["start"] / imperfection.rounding))
            for word in link.words
        )


def test_times_that_are_not_told() -> None:
    link = heard(Imperfection(no_times=True))
    assert link.text == SPEECH.text
    assert link.words == []
    assert all("start" not in utterance for message in link.finals for utterance in message["utterances"])


def test_a_word_at_the_edge_is_cut_heard_otherwise_or_not_heard() -> None:
    seen = set()
    for number in range(40):
        link = Link(Imperfection(edges=True), number).speak(AT_ONCE.pcm).close()
        first, *rest = link.text.split()
        seen.add("none" if first == "w2" else "cut" if link.words[0]["start"] > 0 else "otherwise")
        assert first in ("w2", "?1")
        assert rest[-1] == "w3"
        assert AT_ONCE.words[1].start / 16000 > EDGE_SECONDS
    assert seen == {"none", "cut", "otherwise"}
    assert heard(Imperfection(edges=True)).text == SPEECH.text


@pytest.mark.parametrize("kind", ["respelled", "joined"])
def test_each_link_hears_another_text(kind: str) -> None:
    imperfection = Imperfection(**{kind: True})  # type: ignore[arg-type]
    first, again, second = heard(imperfection, 1), heard(imperfection, 1), heard(imperfection, 2)
    assert first.replies == again.replies
    assert first.text != second.text
    assert len({heard(imperfection, link).text for link in range(10)}) > 5
    for link in (first, second):
        assert all(number in link.text for number in "12345678")
        assert link.words[0]["start"] == IDEAL.words[0]["start"]
        assert link.words[-1]["end"] == IDEAL.words[-1]["end"]
        assert [word["word"] for word in link.words] == link.text.split()


def test_finals_by_words() -> None:
    assert [len(message["words"]) for message in heard(Imperfection(words_per_final=2)).finals if message["words"]] == [
        2,
        1,
        2,
        2,
        1,
    ]
    asked = Link(Imperfection(words_per_final=2), 1, "&max_words=3").speak().close()
    assert [len(message["words"]) for message in asked.finals if message["words"]] == [3, 3, 1, 1]


def test_no_interims() -> None:
    assert [message for _, message in IDEAL.replies if not message["is_final"]]
    assert [message for _, message in heard(Imperfection(no_interims=True)).replies if not message["is_final"]] == []


def test_a_blank_where_words_follow() -> None:
    link = Link(Imperfection(blank=True, words_per_final=2)).speak().close()
    ends = [(message["transcript"][-1:], message["speech_final"]) for message in link.finals if message["words"]]
    assert ends == [(" ", False), ("3", True), (" ", False), (" ", False), ("8", True)]


def test_a_final_can_come_twice_in_no_time() -> None:
    link = Link(Imperfection(twice=True)).speak().close()
    result = [(time, message["transcript"]) for time, message in link.replies if message["is_final"]]
    again = [(time - before, text) for (before, same), (time, text) in pairwise(result) if text == same]
    assert again
    assert all(0 <= later <= TWICE_SECONDS for later, _ in again)


def test_the_last_final_can_repeat_what_was_just_said() -> None:
    for twice in (False, True):
        link = Link(Imperfection(twice=twice)).speak(coded_speech([0.3, 1, 0.6]).pcm).close()
        assert link.finals[-1]["is_last"]
        assert [word["word"] for word in link.finals[-1]["words"]] == ["w1"] * twice


def test_empty_finals() -> None:
    link = heard(Imperfection(empty_finals=True), 2)
    assert link.text == SPEECH.text
    assert sum(not message["transcript"] for message in link.finals) > 1


AFTER_WORDS = [SPEECH.words[2].end / 16000 + 0.2]  # in the first pause, before it is long enough,
IN_SILENCE = [SPEECH.words[2].end / 16000 + 0.75]  # and after


@pytest.mark.parametrize(
    ("kind", "in_speech", "in_silence"),
    [
        (None, [("w1 w2 w3", True)], [("", True)]),
        ("unlabelled", [("w1 w2 w3", False)], [("", False)]),
        ("silent_when_empty", [("w1 w2 w3", True)], []),
        ("unanswered", [], []),
        ("empty_answer", [("w1 w2 w3", False), ("", True)], [("", True)]),
        ("two_answers", [("w1", True), ("w2 w3", True)], [("", True)]),
    ],
)
def test_answers(kind: str | None, in_speech: list[Any], in_silence: list[Any]) -> None:
    imperfection = Imperfection(**{kind: True} if kind else {})  # type: ignore[arg-type]
    result = [
        [(message["transcript"], message["from_finalize"]) for message in heard(imperfection, finalize_at=at).answers]
        for at in (AFTER_WORDS, IN_SILENCE)
    ]
    if kind == "two_answers":  # the first half does not always say that it answers
        result[0][0] = ("w1", True)
    if kind == "empty_answer":
        result[0].sort(key=lambda answer: answer[1])  # either can be first
    assert result == [in_speech, in_silence]


def test_a_finalize_can_leave_the_word_that_is_being_said() -> None:
    middle = [(SPEECH.words[1].start + SPEECH.words[1].end) / 32000]
    cut, left = heard(finalize_at=middle), heard(Imperfection(leaves_word=True), finalize_at=middle)
    assert cut.text.startswith("w1 ?2 ?2 w3")
    assert left.text == SPEECH.text
    assert [message["transcript"] for message in left.finals][:2] == ["w1", "w2 w3"]


def test_late_messages_stay_in_order_and_the_close_comes_after_them() -> None:
    link = heard(Imperfection(late=1.0))
    assert [message for _, message in link.replies] == [message for _, message in IDEAL.replies]
    waited = [late - time for (late, _), (time, _) in zip(link.replies, IDEAL.replies, strict=True)]
    assert 0 <= min(waited) < max(waited) <= 1.0
    assert link.closed is not None
    assert link.closed >= link.replies[-1][0]


@settings(max_examples=50)
@given(st.integers(), st.integers(1, 100))
def test_the_same_seed_on_the_same_link_is_the_same_service(seed: int, link: int) -> None:
    imperfection = Imperfection.draw(seed)
    assert heard(imperfection, link).replies == heard(imperfection, link).replies
    assert imperfection.time_error <= 0.15


def test_what_is_drawn_is_everything() -> None:
    drawn = [Imperfection.draw(seed).kinds for seed in range(1000)]
    assert {kind.split("=")[0] for kinds in drawn for kind in kinds} == set(Imperfection.__struct_fields__) - {"seed"}
    assert 100 < drawn.count(()) < 250
    assert sum(len(kinds) == 1 for kinds in drawn) > 300
    assert sum(len(kinds) > 3 for kinds in drawn) > 100


def test_chance_is_even() -> None:
    numbers = [Chance(seed)("what", step) for seed in range(100) for step in range(100)]
    assert all(0 <= number < 1 for number in numbers)
    tenths = [sum(int(10 * number) == tenth for number in numbers) for tenth in range(10)]
    assert all(900 < count < 1100 for count in tenths)


@settings(max_examples=50)
@given(st.integers(0, 10_000))
def test_what_is_written_is_read(seed: int) -> None:
    drawn = Imperfection.draw(seed)
    assert Imperfection.read([*drawn.kinds, f"seed={seed}"]) == drawn == Imperfection.read([str(seed)])
    assert Imperfection.read(["empty-finals", " Two_Answers"]) == Imperfection(empty_finals=True, two_answers=True)


@pytest.mark.parametrize("wrong", ["late", "thrice", "twice=perhaps", "rounding=x", "words_per_final=1.5", "", "seed"])
def test_what_is_no_way_to_be_imperfect_is_told(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=r"late=SECONDS") as caught:
        Imperfection.read(["twice", wrong])
    assert "words_per_final=N" in str(caught.value)
