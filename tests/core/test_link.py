"""The life of one connection: every cell of its table, and what its table promises as a whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import LocalProtocolError
from smallest_proto.link import LINKS, Link, LinkAction, LinkInput, LinkState

WAYS: dict[LinkState, tuple[LinkInput, ...]] = {
    LinkState.OPENING: (),
    LinkState.OPEN: (LinkInput.OPENED,),
    LinkState.DRAINING: (LinkInput.OPENED, LinkInput.DRAIN),
    LinkState.CLOSING: (LinkInput.OPENED, LinkInput.CLOSE),
    LinkState.GONE: (LinkInput.FAILED,),
}


def link_in(state: LinkState) -> Link:
    link = Link(7, 0.0)
    for step in WAYS[state]:
        link.take(step)
    assert link.state is state
    return link


@pytest.mark.parametrize("state", LinkState)
@pytest.mark.parametrize("what", LinkInput)
def test_every_cell_of_the_table(state: LinkState, what: LinkInput) -> None:
    link = link_in(state)
    cell = LINKS.get((state, what))
    if cell is None:
        with pytest.raises(LocalProtocolError, match=f"link 7 is {state.value}: it cannot be {what.value}"):
            link.take(what)
        assert link.state is state
    else:
        assert (link.take(what), link.state) == cell


@pytest.mark.parametrize("state", [state for state in LinkState if state is not LinkState.GONE])
def test_a_link_that_is_not_gone_can_always_be_lost_and_given_up(state: LinkState) -> None:
    for what, action in (
        (LinkInput.FAILED, LinkAction.NOTHING),
        (LinkInput.CLOSED, LinkAction.NOTHING),
        (LinkInput.ABORT, LinkAction.ABORT),
    ):
        link = link_in(state)
        assert link.take(what) is action
        assert link.state is LinkState.GONE


def test_a_goodbye_needs_an_open_socket() -> None:
    assert link_in(LinkState.OPENING).take(LinkInput.CLOSE) is LinkAction.ABORT
    assert link_in(LinkState.OPEN).take(LinkInput.CLOSE) is LinkAction.CLOSE
    assert link_in(LinkState.DRAINING).take(LinkInput.CLOSE) is LinkAction.CLOSE


@given(st.lists(st.sampled_from(LinkInput), max_size=8))
def test_what_happens_to_any_link(story: list[LinkInput]) -> None:
    link = Link(1, 0.0)
    actions = []
    for what in story:
        before = link.state
        try:
            actions.append(link.take(what))
        except LocalProtocolError:
            assert link.state is before
        assert link.open is (link.state is LinkState.OPEN)
        if before is LinkState.GONE:
            assert link.state is LinkState.GONE
    # Each is asked for once at most, and nothing is asked for after the connection was dropped.
    assert actions.count(LinkAction.CLOSE) <= 1
    assert actions.count(LinkAction.ABORT) <= 1
    assert LinkAction.ABORT not in actions[:-1]


def test_a_link_remembers_that_it_was_asked_for_the_last_final() -> None:
    link = link_in(LinkState.OPEN)
    assert not link.drained
    link.take(LinkInput.DRAIN)
    link.take(LinkInput.CLOSED)
    assert link.drained


# --- its clock ---


def test_its_clock_counts_what_it_was_sent() -> None:
    link = link_in(LinkState.OPEN)
    link.begin(1000)
    assert (link.start, link.sent, link.lasting) == (1000, 1000, 0)
    link.reach(1000, 1800)
    link.reach(1800, 2000)
    assert (link.sent, link.lasting, link.left_out(999.0)) == (2000, 1000, 0)


def test_what_was_given_up_is_left_out_of_its_clock() -> None:
    link = link_in(LinkState.OPEN)
    link.begin(0)
    link.reach(0, 100)
    link.reach(150, 200)  # 100 to 150 were given up before they could be sent
    link.reach(270, 300)
    assert (link.sent, link.lasting) == (300, 180)
    assert [link.left_out(at) for at in (0.0, 99.5, 100.0, 149.5, 150.0, 180.0)] == [0, 0, 50, 50, 120, 120]


@given(st.integers(0, 1000), st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), max_size=8))
def test_every_sample_of_its_clock_has_one_place_in_the_stream(start: int, sent: list[tuple[int, int]]) -> None:
    link = link_in(LinkState.OPEN)
    link.begin(start)
    places, at = list[int](), start
    for left_out, samples in sent:
        link.reach(at + left_out, at + left_out + samples)
        places += range(at + left_out, at + left_out + samples)
        at += left_out + samples
    assert link.lasting == len(places)
    assert [start + sample + link.left_out(float(sample)) for sample in range(len(places))] == places
