"""A change of options: every cell of its table that can be reached, and what its table promises as a whole."""

from __future__ import annotations

import pytest

from smallest_proto.transcription.handover import HANDOVERS, HandoverAction, HandoverInput, HandoverState

State, Input, Action = HandoverState, HandoverInput, HandoverAction
FINISHED = (Input.FINISHED, Input.FINISHED_LAST)


def test_what_the_application_the_links_and_the_service_do_has_a_cell_in_every_state() -> None:
    expected = {(state, what) for state in State for what in Input if what not in FINISHED}
    # A part of the stream is finished only where another one follows.
    expected |= {(state, what) for state in (State.FINISHING, State.OPENING_LAST) for what in FINISHED}
    assert HANDOVERS.keys() == expected


@pytest.mark.parametrize("state", State)
def test_a_refusal_is_told_wherever_something_is_tried_and_leaves_nothing_that_is_tried(state: HandoverState) -> None:
    action, after = HANDOVERS[state, Input.REFUSED]
    if state is State.FINISHING:  # the part that is finished is in a format that was accepted
        assert (action, after) == (Action.NOTHING, State.FINISHING)
    else:
        assert action in (Action.REJECT, Action.FALL_BACK, Action.SKIP)
        assert after in (State.SETTLED, State.FINISHING)


def test_options_are_tried_only_on_a_format_that_was_accepted() -> None:
    for (state, what), (action, after) in HANDOVERS.items():
        if action is Action.TRY:
            assert after is State.TRYING, (state, what)
            assert state in (State.SETTLED, State.TRYING) or what is Input.ACCEPTED, (state, what)
        if action is Action.CANCEL:
            assert state is State.TRYING, (state, what)


def test_from_every_state_acceptance_leads_to_rest() -> None:
    for state in State:
        now, steps = state, 0
        while now is not State.SETTLED:
            what = Input.FINISHED if now is State.FINISHING else Input.ACCEPTED
            _, now = HANDOVERS[now, what]
            steps += 1
            assert steps <= 4, state


def test_the_options_in_use_once_more_ask_for_nothing() -> None:
    for state in State:
        action, after = HANDOVERS[state, Input.BACK]
        assert action in (Action.NOTHING, Action.CANCEL)
        assert after is {State.TRYING: State.SETTLED, State.OPENING_MORE: State.OPENING}.get(state, state)


# --- the table in other words: what is done with the stream now, and what follows ---

AT_REST, FINISHES, OPENS = "at rest", "finishes a format", "opens a format"
NOTHING, OPTIONS, FORMAT = "nothing", "options", "a format"
MEANS = {
    State.SETTLED: (AT_REST, NOTHING),
    State.TRYING: (AT_REST, OPTIONS),
    State.FINISHING: (FINISHES, NOTHING),
    State.OPENING: (OPENS, NOTHING),
    State.OPENING_MORE: (OPENS, OPTIONS),
    State.OPENING_LAST: (OPENS, FORMAT),
}


def answered(now: str, follows: str, what: HandoverInput) -> tuple[HandoverAction, tuple[str, str]]:
    """The service took the options that a link was opened with, or refused them."""
    refused = what is Input.REFUSED
    if now == FINISHES:  # it is in the format before, which was accepted
        return Action.NOTHING, (now, follows)
    if now == AT_REST:
        return Action.REJECT if refused else Action.ADOPT if follows == OPTIONS else Action.NOTHING, (AT_REST, NOTHING)
    if follows == FORMAT:
        return Action.SKIP if refused else Action.NOTHING, (FINISHES, NOTHING)
    if refused or follows == NOTHING:
        return Action.FALL_BACK if refused else Action.NOTHING, (AT_REST, NOTHING)
    return Action.TRY, (AT_REST, OPTIONS)


def asked(now: str, follows: str, what: HandoverInput) -> tuple[HandoverAction, tuple[str, str]]:
    """The application asked for other options, for those in use, or for another format."""
    tries = (now, follows) == (AT_REST, OPTIONS)
    if what is Input.FORMAT:
        after = (OPENS, FORMAT) if now == OPENS else (FINISHES, NOTHING)
        return Action.CANCEL if tries else Action.NOTHING, after
    if now == FINISHES or follows == FORMAT:  # of the newest format: they are tried when its turn comes
        return Action.NOTHING, (now, follows)
    if what is Input.BACK:
        return Action.CANCEL if tries else Action.NOTHING, (now, NOTHING)
    return Action.TRY if now == AT_REST else Action.NOTHING, (now, OPTIONS)


@pytest.mark.parametrize(("state", "what"), HANDOVERS)
def test_every_cell_follows_from_what_is_done_now_and_what_follows(state: HandoverState, what: HandoverInput) -> None:
    action, after = HANDOVERS[state, what]
    if what in FINISHED:
        expected = Action.NOTHING, (OPENS, FORMAT if what is Input.FINISHED_LAST else NOTHING)
    else:
        expected = (answered if what in (Input.ACCEPTED, Input.REFUSED) else asked)(*MEANS[state], what)
    assert (action, MEANS[after]) == expected
