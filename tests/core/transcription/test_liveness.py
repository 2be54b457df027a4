"""Silence is not muteness: every cell of the table, and what makes a quiet service suspicious."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from smallest_proto.commands import AbortLink, CloseLink, OpenLink
from smallest_proto.config import RetryPolicy, Timeouts, TranscriptionConfig
from smallest_proto.events import LinkLost
from smallest_proto.link import LinkInput
from smallest_proto.links import Links
from smallest_proto.transcription.cursor import Cursor
from smallest_proto.transcription.liveness import TRUST, Liveness, Trust, TrustAction, TrustInput
from smallest_proto.transcription.stream import Stream

from .way import RATE, REQUEST

VOICE = (1000).to_bytes(2, "little")
MUTE = 10.0  # seconds of patience
NOTHING, OPEN, CLOSE, SWITCH = TrustAction.NOTHING, TrustAction.OPEN, TrustAction.CLOSE, TrustAction.SWITCH


class Watch:
    """A link that serves, and who watches it."""

    def __init__(self) -> None:
        self.output: deque[Any] = deque()
        self.links = Links(
            REQUEST,
            keepalive=False,
            timeouts=Timeouts(ping=1e6),
            retry=RetryPolicy(),
            jitter=lambda: 1.0,
            output=self.output,
        )
        self.stream = Stream(TranscriptionConfig(), 0.0, 60.0, self.output)
        self.part = self.stream.first
        self.sender = self.part.sender
        self.liveness = Liveness(self.links, MUTE)
        self.links.open(0.0)
        self.links.opened(1, 0.0)
        self.first = self.join()
        self.said()

    def join(self, now: float = 0.0) -> Cursor:
        link = self.links.beside or self.links.serving
        assert link is not None
        cursor = self.sender.begin(link, now)
        self.sender.cursors.append(cursor)
        return cursor

    def open_beside(self, now: float) -> Cursor:
        assert self.links.beside is not None
        self.links.opened(self.links.beside.number, now)
        return self.join(now)

    def give(self, seconds: float, now: float, *, loud: bool = True) -> None:
        """Audio, in real time up to ``now``; all links are sent it."""
        messages = round(seconds * 20)
        for at in range(messages):
            self.sender.push(VOICE * 800 if loud else bytes(1600))
            for cursor in self.sender.cursors:
                self.sender.pump(cursor, now - (messages - 1 - at) / 20)

    def judge(self, now: float) -> Any:
        return self.liveness.judge(self.first.link, self.part, now)

    def suspect(self, now: float = 12.0) -> None:
        self.give(now, now)
        self.judge(now)
        assert self.liveness.state is Trust.SUSPECTED

    def said(self) -> list[Any]:
        said = [output for output in self.output if isinstance(output, (OpenLink, CloseLink, AbortLink, LinkLost))]
        self.output.clear()
        return said


# --- every cell ---

WAYS: dict[Trust, Callable[[Watch], object]] = {
    Trust.TRUSTED: lambda watch: watch.give(12.0, 12.0),
    Trust.SUSPECTED: lambda watch: watch.suspect(),
}
CELLS = [(state, what, *TRUST[state, what]) for state in Trust for what in TrustInput]


def test_no_cell_is_missing() -> None:
    assert TRUST.keys() == {(state, what) for state in Trust for what in TrustInput}


@pytest.mark.parametrize(("state", "what", "action", "after"), CELLS)
def test_every_cell_of_the_table(state: Trust, what: TrustInput, action: TrustAction, after: Trust) -> None:
    watch = Watch()
    WAYS[state](watch)
    if state is Trust.SUSPECTED:
        watch.open_beside(12.0)
    watch.said()
    assert watch.liveness._take(what, watch.sender, 12.0) is action
    assert watch.liveness.state is after
    kinds = [type(output) for output in watch.said()]
    assert kinds == {NOTHING: [], OPEN: [OpenLink], CLOSE: [CloseLink], SWITCH: [AbortLink, LinkLost]}[action]
    assert watch.links.serving is not None
    if what is not TrustInput.OTHER_GONE:  # then the links have done it already
        assert (watch.links.beside is not None) == (after is Trust.SUSPECTED)


def test_only_a_suspicion_opens_a_link_and_none_is_left_after_it() -> None:
    for (state, what), (action, after) in TRUST.items():
        assert (action is OPEN) == (state is Trust.TRUSTED and after is Trust.SUSPECTED), (state, what)
        if state is Trust.SUSPECTED and after is Trust.TRUSTED and what is not TrustInput.OTHER_GONE:
            assert action in (CLOSE, SWITCH), (state, what)


# --- what is suspicious ---


def test_loud_audio_without_an_answer_is() -> None:
    watch = Watch()
    watch.give(9.0, 9.0)
    assert watch.judge(9.5) is None
    assert watch.said() == []
    watch.give(2.0, 11.0)
    watch.judge(11.0)
    assert watch.said() == [OpenLink(link=2, request=REQUEST)]
    watch.judge(12.0)
    assert watch.said() == [], "one is enough"


def test_silence_is_not_however_long_it_lasts() -> None:
    watch = Watch()
    for minute in range(1, 11):
        watch.give(60.0, 60.0 * minute, loud=False)
        watch.judge(60.0 * minute)
    assert watch.said() == []
    assert watch.liveness.state is Trust.TRUSTED


@pytest.mark.parametrize(("loud", "suspicious"), [(0.1, False), (0.2, False), (0.3, True), (1.0, True)])
def test_a_click_is_no_word(loud: float, suspicious: bool) -> None:
    watch = Watch()
    watch.give(1.0, 1.0, loud=False)
    watch.give(loud, 1.0 + loud)
    watch.give(12.0, loud + 13.0, loud=False)
    watch.judge(loud + 13.0)
    assert (watch.liveness.state is Trust.SUSPECTED) == suspicious


def test_what_is_final_is_not_and_neither_is_the_tail_of_its_last_word() -> None:
    watch = Watch()
    watch.give(2.0, 2.0)
    watch.part.timeline.watermark = round(1.86 * RATE)
    watch.give(20.0, 22.0, loud=False)
    watch.judge(22.0)
    assert watch.liveness.state is Trust.TRUSTED


def test_a_service_that_says_something_is_trusted_for_as_long_again() -> None:
    watch = Watch()
    watch.give(8.0, 8.0)
    watch.liveness.heard(watch.first, watch.sender, 8.0)
    watch.give(9.0, 17.0)
    watch.judge(17.0)
    assert watch.liveness.state is Trust.TRUSTED
    watch.give(2.0, 19.0)
    watch.judge(19.0)
    assert watch.liveness.state is Trust.SUSPECTED


def test_a_recogniser_that_was_sent_much_at_once_is_given_the_time_to_hear_it() -> None:
    watch = Watch()
    for _ in range(20 * 20):  # a replay, say
        watch.sender.push(VOICE * 800)
        watch.sender.pump(watch.first, 0.0)
    for second in range(1, 40):
        watch.give(1.0, float(second))
        watch.judge(float(second))
        assert (watch.liveness.state is Trust.SUSPECTED) == (second >= 20.0 + MUTE)


def test_the_link_that_was_suspected_in_vain_is_trusted_longer() -> None:
    """Music on hold: each suspicion is a session that counts and costs."""
    watch = Watch()
    now, opened = 0.0, []
    while now < 1800.0:
        now += 5.0
        watch.give(5.0, now)
        watch.judge(now)
        for output in watch.said():
            if isinstance(output, OpenLink):
                opened.append(now)
                watch.open_beside(now)
                beside = watch.links.beside
                now += MUTE
                watch.give(MUTE, now)
                assert beside is not None
                watch.liveness.judge(beside, watch.part, now)
        watch.said()
    gaps = [later - earlier for earlier, later in pairwise(opened)]
    assert gaps == sorted(gaps)
    assert len(opened) <= 10, "at most one in five minutes after the first ones"
    watch.liveness.heard(watch.first, watch.sender, now)
    assert watch.links.serving is not None
    assert watch.links.serving.number == 1


def test_a_suspected_link_that_speaks_goes_on_serving() -> None:
    watch = Watch()
    watch.suspect()
    watch.open_beside(12.1)
    watch.said()
    assert not watch.liveness.heard(watch.first, watch.sender, 13.0)
    assert watch.said() == [CloseLink(link=2, code=1000)]
    assert watch.sender.cursors == [watch.first]


def test_the_link_beside_that_speaks_first_serves() -> None:
    watch = Watch()
    watch.suspect()
    beside = watch.open_beside(12.1)
    watch.said()
    assert watch.liveness.heard(beside, watch.sender, 13.0)
    assert [type(output) for output in watch.said()] == [AbortLink, LinkLost]
    assert watch.sender.cursors == [beside]
    assert watch.links.serving is beside.link
    assert watch.liveness.patience == MUTE


def test_a_link_that_was_asked_for_the_last_final_has_nothing_else_to_wait_for() -> None:
    watch = Watch()
    watch.give(1.0, 1.0, loud=False)
    watch.first.link.take(LinkInput.DRAIN)
    watch.first.link.sent(1.0)
    assert watch.judge(1.0 + MUTE / 2 - 0.01) is None
    change = watch.judge(1.0 + MUTE / 2)
    assert change is not None, "even a silence is answered then"
    assert "mute" in change.failure.reason
