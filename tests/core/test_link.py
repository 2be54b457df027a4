"""The life of one connection: every cell of its table, and what its table promises as a whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import LocalProtocolError
from smallest_proto.link import LINKS, Link, LinkAction, LinkInput, LinkState
from smallest_proto.requests import Request

REQUEST = Request(method="GET", url="wss://service")

WAYS: dict[LinkState, tuple[LinkInput, ...]] = {
    LinkState.OPENING: (),
    LinkState.OPEN: (LinkInput.OPENED,),
    LinkState.DRAINING: (LinkInput.OPENED, LinkInput.DRAIN),
    LinkState.CLOSING: (LinkInput.OPENED, LinkInput.CLOSE),
    LinkState.GONE: (LinkInput.FAILED,),
}


def link_in(state: LinkState) -> Link:
    link = Link(7, REQUEST, 0.0)
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


@pytest.mark.parametrize("state", [state for state in LinkState if state is not LinkState.GONE])
def test_a_goodbye_needs_an_open_socket_and_is_said_once(state: LinkState) -> None:
    link = link_in(state)
    if state is LinkState.CLOSING:
        with pytest.raises(LocalProtocolError):
            link.take(LinkInput.CLOSE)
    elif state is LinkState.OPENING:
        assert (link.take(LinkInput.CLOSE), link.state) == (LinkAction.ABORT, LinkState.GONE)
    else:
        assert (link.take(LinkInput.CLOSE), link.state) == (LinkAction.CLOSE, LinkState.CLOSING)


@given(st.lists(st.sampled_from(LinkInput), max_size=8))
def test_what_happens_to_any_link(story: list[LinkInput]) -> None:
    link = Link(1, REQUEST, 0.0)
    actions = []
    for what in story:
        before = link.state
        try:
            actions.append(link.take(what))
        except LocalProtocolError:
            assert link.state is before
        assert link.open is (link.state is LinkState.OPEN)
        assert link.serves is (link.state in (LinkState.OPEN, LinkState.DRAINING))
        if before is LinkState.GONE:
            assert link.state is LinkState.GONE
    # Each is asked for once at most, and nothing is asked for after the connection was dropped.
    assert actions.count(LinkAction.CLOSE) <= 1
    assert actions.count(LinkAction.ABORT) <= 1
    assert LinkAction.ABORT not in actions[:-1]


def test_a_link_that_gets_another_name_is_told_apart_from_one_that_gets_its_first() -> None:
    link = link_in(LinkState.OPEN)
    assert not link.renamed(None)
    assert not link.renamed("one")
    assert not link.renamed("one")
    assert link.renamed("another")
    assert not link.renamed(None)
    assert link.session_id == "another"
    assert link.renamed("x" * 300)
    assert link.session_id == "x" * 256  # what a peer says is kept within a bound
    assert not link.renamed("x" * 300)
