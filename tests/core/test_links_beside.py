"""A link beside the one that serves: it costs nothing, and takes over where that is needed."""

from __future__ import annotations

import pytest

from smallest_proto.commands import AbortLink, CloseLink, OpenLink
from smallest_proto.errors import Failure
from smallest_proto.events import LinkLost, LinkOpened
from smallest_proto.links import ChangeKind

from .line import BUSY, LOST, MUTE, NEW, OLD, REFUSED, Line

# --- a link beside ---


def test_a_link_beside_is_opened_with_the_same_options_and_hears_as_well() -> None:
    line = Line()
    first = line.serve(0.0)
    assert line.open_beside(1.0)
    assert line.said() == [OpenLink(link=2, request=OLD)]
    assert line.find(2) is None
    assert not line.open_beside(1.1)  # one is enough
    change = line.opened(2, 1.5)
    assert change is not None
    assert (change.kind, change.link) == (ChangeKind.BESIDE, line.beside)
    assert line.said() == [LinkOpened(link=2, seconds=0.5)]
    assert (line.find(1), line.find(2)) == (first, line.beside)


def test_the_link_beside_takes_the_place_of_the_first() -> None:
    line = Line()
    line.serve(0.0)
    line.open_beside(1.0)
    line.opened(2, 1.5)
    second = line.beside
    line.said()
    line.switch(MUTE)
    assert line.said() == [AbortLink(link=1), LinkLost(link=1, failure=MUTE, retry_in=0.0)]
    assert (line.serving, line.beside, line.find(1)) == (second, None, None)
    assert [record.failure for record in line.records] == [MUTE, None]
    assert line.open_beside(9.0)


def test_the_link_beside_is_closed_when_it_was_opened_in_vain() -> None:
    line = Line()
    first = line.serve(0.0)
    line.open_beside(1.0)
    line.opened(2, 1.5)
    line.said()
    line.close_beside(2.0)
    assert line.said() == [CloseLink(link=2, code=1000)]
    assert (line.serving, line.beside, line.find(2)) == (first, None, None)
    change = line.closed(2, LOST, 2.1)
    assert change is not None
    assert change.kind is ChangeKind.CLOSED
    line.close_beside(2.2)
    line.open_beside(3.0)
    line.close_beside(3.1)  # before it was open
    assert line.said() == [OpenLink(link=3, request=OLD), AbortLink(link=3)]


@pytest.mark.parametrize("failure", [LOST, REFUSED, BUSY])
@pytest.mark.parametrize("opens", [False, True])
def test_a_link_beside_that_cannot_be_had_costs_nothing(failure: Failure, opens: bool) -> None:
    line = Line(max_retries=0)
    first = line.serve(0.0)
    line.open_beside(1.0)
    if opens:
        line.opened(2, 1.5)
    line.said()
    change = line.failed(2, failure, 2.0)
    assert change is not None
    assert (change.kind, change.failure) == (ChangeKind.BESIDE_GONE, failure)
    assert (line.said(), line.serving, line.beside, line.next_timer()) == ([], first, None, 1e6)


@pytest.mark.parametrize("opens", [False, True])
def test_the_link_beside_takes_over_when_the_first_dies(opens: bool) -> None:
    line = Line(max_retries=0)
    line.serve(0.0)
    line.open_beside(1.0)
    if opens:
        line.opened(2, 1.5)
    second = line.beside
    line.said()
    change = line.failed(1, LOST, 2.0)
    assert change is not None
    assert change.kind is ChangeKind.LOST
    assert line.said() == [LinkLost(link=1, failure=LOST, retry_in=0.0)]
    assert (line.serving, line.beside) == (second, None)
    if not opens:
        change = line.opened(2, 2.5)
        assert change is not None
        assert change.kind is ChangeKind.SERVING


def test_other_options_take_the_place_of_a_link_beside() -> None:
    line = Line()
    line.serve(0.0)
    line.open_beside(1.0)
    line.opened(2, 1.5)
    line.said()
    line.replace(NEW, 2.0)
    assert line.said() == [CloseLink(link=2, code=1000), OpenLink(link=3, request=NEW)]
    assert not line.open_beside(2.1)  # one is being opened anyway
    line.opened(3, 2.5)
    assert line.open_beside(3.0)
    assert line.said()[-1] == OpenLink(link=4, request=NEW)


def test_a_link_beside_goes_when_all_is_over() -> None:
    line = Line()
    line.serve(0.0)
    line.open_beside(1.0)
    line.opened(2, 1.5)
    line.said()
    line.close(2.0)
    assert line.said() == [CloseLink(link=2, code=1000), CloseLink(link=1, code=1000)]
    assert (line.serving, line.beside) == (None, None)
