"""Turns: every cell of the table by what can really be heard, and START and END that strictly alternate."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.transcription.turns import TURNS, TurnAction, TurnInput, Turns, TurnState, says_something

NOTHING, START, END, BOTH = TurnAction.NOTHING, TurnAction.START, TurnAction.END, TurnAction.START_AND_END

# --- every cell ---

# All of them have heard a turn from 1 to 2 before; the times that follow are later.
WAYS: dict[TurnState, Callable[[Turns], object]] = {
    TurnState.SILENT: lambda turns: turns.final(1.0, 2.0, ends=False),
    TurnState.SPEAKING: lambda turns: turns.onset(5.0),
    TurnState.SETTLED: lambda turns: (turns.onset(5.0), turns.final(5.0, 6.0, ends=False)),
    TurnState.TRAILING: lambda turns: (turns.onset(5.0), turns.offset(6.0)),
}
TELLINGS: dict[TurnInput, Callable[[Turns], TurnAction]] = {
    TurnInput.ONSET: lambda turns: turns.onset(8.0),
    TurnInput.OFFSET: lambda turns: turns.offset(8.0),
    TurnInput.WORDS: lambda turns: turns.interim(8.0),
    TurnInput.FINAL: lambda turns: turns.final(8.0, 9.0, ends=False),
    TurnInput.FINAL_END: lambda turns: turns.final(8.0, 9.0, ends=True),
    TurnInput.LATE: lambda turns: turns.final(1.5, 2.5, ends=False),  # of the first turn
    TurnInput.EMPTY: lambda turns: turns.empty(ends=False),
    TurnInput.EMPTY_END: lambda turns: turns.empty(ends=True),
    TurnInput.PAUSE: lambda turns: turns.take(TurnInput.PAUSE),
    TurnInput.END: lambda turns: turns.take(TurnInput.END),
}


def turns_in(state: TurnState) -> Turns:
    turns = Turns()
    turns.onset(1.0)
    turns.offset(2.0)
    WAYS[state](turns)
    assert turns.state is state
    return turns


class Witness(Turns):
    """Notes which inputs are taken."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[TurnInput] = []

    def take(self, what: TurnInput) -> TurnAction:
        self.taken.append(what)
        return super().take(what)


@pytest.mark.parametrize("state", TurnState)
@pytest.mark.parametrize("what", TurnInput)
def test_every_cell_of_the_table(state: TurnState, what: TurnInput) -> None:
    turns = turns_in(state)
    assert (TELLINGS[what](turns), turns.state) == TURNS[state, what]


@pytest.mark.parametrize("state", TurnState)
@pytest.mark.parametrize("what", TurnInput)
def test_every_input_is_what_it_is_called(state: TurnState, what: TurnInput) -> None:
    turns = Witness()
    turns.onset(1.0)
    turns.offset(2.0)
    WAYS[state](turns)
    turns.taken.clear()
    TELLINGS[what](turns)
    assert turns.taken == [what]


def test_no_cell_is_missing_and_none_unpairs_a_turn() -> None:
    assert TURNS.keys() == {(state, what) for state in TurnState for what in TurnInput}
    speaking = {TurnState.SPEAKING, TurnState.SETTLED}
    for (state, what), (action, after) in TURNS.items():
        change = {NOTHING: 0, START: 1, END: -1, BOTH: 0}[action]
        assert (state in speaking) + change == (after in speaking), (state, what)
        assert action is not BOTH or state not in speaking, (state, what)


OPEN = (TurnState.SPEAKING, TurnState.SETTLED)
SAID = (TurnInput.ONSET, TurnInput.WORDS, TurnInput.FINAL, TurnInput.FINAL_END)  # someone speaks
OVER = (TurnInput.OFFSET, TurnInput.FINAL_END, TurnInput.EMPTY_END, TurnInput.END)  # and no more
ALL_FINAL = (TurnInput.FINAL, TurnInput.EMPTY)


def by_the_rules(state: TurnState, what: TurnInput) -> tuple[TurnAction, TurnState]:
    """The table in other words: what opens a turn, what closes it, and what is known after that."""
    # What trails a turn that is over is only a hearing of it again, unless the detector or a final says more.
    opens = state not in OPEN and what in SAID and (state, what) != (TurnState.TRAILING, TurnInput.WORDS)
    closes = (state in OPEN or opens) and (what in OVER or (state is TurnState.SETTLED and what is TurnInput.PAUSE))
    action = {(True, True): BOTH, (True, False): START, (False, True): END, (False, False): NOTHING}[opens, closes]
    if closes:  # a final can still belong to what the detector has ended, and to nothing else
        return action, TurnState.TRAILING if what is TurnInput.OFFSET else TurnState.SILENT
    if state in OPEN or opens:
        stays = what in (TurnInput.LATE, TurnInput.PAUSE)
        return action, state if stays else TurnState.SETTLED if what in ALL_FINAL else TurnState.SPEAKING
    trails = state is TurnState.TRAILING and what in (TurnInput.OFFSET, TurnInput.WORDS, TurnInput.PAUSE)
    return action, TurnState.TRAILING if trails else TurnState.SILENT


@pytest.mark.parametrize("state", TurnState)
@pytest.mark.parametrize("what", TurnInput)
def test_every_cell_follows_from_the_rules(state: TurnState, what: TurnInput) -> None:
    assert TURNS[state, what] == by_the_rules(state, what)


# --- the rules, one by one ---


def test_without_an_onset_the_first_words_start_the_turn() -> None:
    assert Turns().interim(1.0) is START
    assert Turns().final(1.0, 2.0, ends=False) is START
    assert Turns().final(1.0, 2.0, ends=True) is BOTH


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("says", [True, False])
def test_a_final_ends_a_turn_that_it_is_the_last_of(says: bool, ends: bool) -> None:
    turns = Turns()
    assert turns.interim(1.0) is START
    action = turns.final(1.0, 2.0, ends=ends) if says else turns.empty(ends=ends)
    assert action is (END if ends else NOTHING)
    assert turns.state is (TurnState.SILENT if ends else TurnState.SETTLED)


def test_a_pause_ends_a_turn_of_which_all_is_final() -> None:
    turns = Turns()
    assert turns.take(TurnInput.PAUSE) is NOTHING
    turns.interim(1.0)
    assert turns.take(TurnInput.PAUSE) is NOTHING  # something said is not final yet
    turns.final(1.0, 2.0, ends=False)
    assert turns.take(TurnInput.PAUSE) is END
    assert turns.take(TurnInput.PAUSE) is NOTHING
    assert turns.final(2.0, 3.0, ends=False) is START


def test_with_voice_activity_events_a_turn_is_what_the_detector_hears() -> None:
    turns = Turns()
    assert turns.onset(1.0) is START
    assert turns.interim(1.0) is NOTHING
    assert turns.final(1.0, 1.5, ends=False) is NOTHING  # max_words, say: a final inside of the utterance
    assert turns.interim(1.5) is NOTHING
    assert turns.offset(2.0) is END
    assert turns.interim(1.5) is NOTHING
    assert turns.final(1.5, 2.0, ends=False) is NOTHING  # what was said before is final after it
    assert turns.onset(3.0) is START


def test_what_the_detector_missed_is_a_turn_all_the_same() -> None:
    turns = Turns()
    turns.onset(1.0)
    turns.offset(2.0)
    assert turns.final(2.5, 3.0, ends=False) is START
    assert turns.state is TurnState.SETTLED
    assert turns.final(3.0, 3.5, ends=True) is END
    turns.offset(4.0)
    assert turns.final(4.5, 5.0, ends=True) is BOTH


def test_a_final_of_the_turn_before_does_not_touch_the_one_that_has_begun() -> None:
    turns = Turns()
    turns.onset(1.0)
    turns.offset(2.0)
    assert turns.onset(3.0) is START
    assert turns.final(1.0, 1.9, ends=True) is NOTHING
    assert turns.final(1.0, 3.0, ends=True) is NOTHING
    assert turns.final(2.5, 3.0, ends=True) is END  # not before the end of the one before: it is of this one
    assert turns.onset(3.0) is START
    assert turns.final(1.0, 3.5, ends=True) is END  # reaches into this turn: it is of this one as well
    assert turns.onset(3.6) is START
    assert turns.offset(4.0) is END


def test_what_a_new_link_tells_again_is_not_told_again() -> None:
    turns = Turns()
    turns.onset(1.0)
    assert turns.onset(1.0) is NOTHING  # the turn is open
    turns.offset(2.0)
    assert turns.onset(1.0) is NOTHING
    assert turns.offset(2.0) is NOTHING
    assert turns.final(1.0, 2.0, ends=False) is NOTHING
    assert turns.onset(3.0) is START
    assert turns.offset(2.0) is NOTHING  # of the turn before
    assert turns.offset(3.0) is NOTHING
    assert turns.state is TurnState.SPEAKING
    assert turns.offset(3.5) is END
    assert turns.final(3.0, 3.5, ends=False) is NOTHING
    assert turns.interim(3.2) is START  # by words, as far as is known from before the last end on
    assert turns.offset(3.5) is NOTHING
    assert turns.offset(4.0) is END


def test_an_end_that_is_told_late_moves_nothing_back() -> None:
    turns = Turns()
    turns.onset(1.0)
    turns.offset(3.0)
    assert turns.offset(2.0) is NOTHING
    assert turns.final(2.0, 2.9, ends=False) is NOTHING  # still before the end of that turn
    assert turns.final(3.0, 4.0, ends=False) is START  # not before it


@pytest.mark.parametrize(
    "begins",
    [lambda turns: turns.onset(5.0), lambda turns: turns.interim(5.0), lambda turns: turns.final(5.0, 6.0, ends=False)],
)
def test_only_an_end_after_its_start_ends_a_turn(begins: Callable[[Turns], TurnAction]) -> None:
    turns = Turns()
    assert begins(turns) is START
    assert turns.offset(4.0) is NOTHING
    assert turns.offset(float("5")) is NOTHING
    turns.interim(8.0)  # what is said later in the turn does not move its start
    turns.final(8.0, 9.0, ends=False)
    assert turns.offset(7.0) is END


@pytest.mark.parametrize("state", TurnState)
def test_the_end_of_the_session_ends_an_open_turn(state: TurnState) -> None:
    turns = turns_in(state)
    assert turns.take(TurnInput.END) is (END if state in (TurnState.SPEAKING, TurnState.SETTLED) else NOTHING)
    assert turns.take(TurnInput.END) is NOTHING


@pytest.mark.parametrize("text", ["a", "7", ". a", "é", "नमस्ते", "你好", "x_"])
def test_a_letter_or_a_digit_says_something(text: str) -> None:
    assert says_something(text)


@pytest.mark.parametrize("text", ["", " ", ".", "।", "?!", "…", "_", "\n", "。"])
def test_punctuation_alone_says_nothing(text: str) -> None:
    assert not says_something(text)


# --- any sequence ---

TIMES = st.integers(0, 12).map(float)
STEPS: st.SearchStrategy[Callable[[Turns], object]] = st.one_of(
    TIMES.map(lambda time: lambda turns: turns.onset(time)),
    TIMES.map(lambda time: lambda turns: turns.offset(time)),
    TIMES.map(lambda time: lambda turns: turns.interim(time)),
    st.tuples(TIMES, TIMES, st.booleans()).map(
        lambda given: lambda turns: turns.final(given[0], given[1], ends=given[2])
    ),
    st.booleans().map(lambda ends: lambda turns: turns.empty(ends=ends)),
    st.just(lambda turns: turns.take(TurnInput.PAUSE)),
)


@settings(max_examples=300)
@given(st.lists(STEPS, max_size=30))
def test_starts_and_ends_strictly_alternate(steps: list[Callable[[Turns], object]]) -> None:
    turns = Turns()
    told = ""
    for step in [*steps, TELLINGS[TurnInput.END]]:
        action = step(turns)
        told += {START: "S", END: "E", BOTH: "SE"}.get(action, "") if isinstance(action, TurnAction) else ""
    assert told == "SE" * (len(told) // 2)
