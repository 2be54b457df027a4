"""The suite is tested: each driver that is wrong in one thing fails a case that says in what."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from smallest_transports.testing.conformance import (
    Driver,
    drivers,
    events,
    failures,
    leaving,
    messages,
    pressure,
)
from tests.conformance import wrong

# What says so: an assertion, an error where none was to be, none where one was to be, or that the case took too long.
FAILURES = (Exception, pytest.fail.Exception, asyncio.CancelledError)
# The driver, the case that finds it, and what the case has of its parameters.
WRONGS: dict[Any, tuple[Any, dict[str, Any]]] = {
    wrong.SwallowsLosses: (events.test_each_link_that_opens_or_is_lost_is_told, {}),
    wrong.SwallowsTurns: (events.test_every_turn_is_told_in_its_time, {}),
    wrong.SwapsFinals: (events.test_finals_come_in_the_order_of_what_was_said, {}),
    wrong.TellsTwice: (events.test_no_event_is_told_twice, {}),
    wrong.LagsByOne: (events.test_an_event_comes_without_waiting_for_the_next, {}),
    wrong.SpeaksAfterTheEnd: (events.test_nothing_comes_after_the_end, {}),
    wrong.HidesFailures: (failures.test_with_a_status, {"status": 401, "advice": "key", "live": True}),
    wrong.IgnoresRefusals: (failures.test_with_a_status, {"status": 401, "advice": "key", "live": True}),
    wrong.LosesTheFirstMessage: (messages.test_all_that_is_given_is_sent_in_its_order, {}),
    wrong.LosesTheLastMessage: (messages.test_all_that_is_given_is_sent_in_its_order, {}),
    wrong.SendsTextFirst: (messages.test_all_that_is_given_is_sent_in_its_order, {}),
    wrong.LosesWhatComesFirst: (messages.test_all_that_the_service_says_is_heard, {}),
    wrong.LosesWhatComesLast: (messages.test_all_that_the_service_says_is_heard, {}),
    wrong.DecodesPieces: (messages.test_text_is_whole_however_it_is_cut, {"framed": messages.in_one_frame}),
    wrong.NeverAnswersPings: (messages.test_a_ping_is_answered, {}),
    wrong.HearsNoPong: (messages.test_timers_ring_in_time, {}),
    wrong.NeverRings: (messages.test_timers_ring_in_time, {}),
    wrong.RingsLate: (messages.test_timers_ring_in_time, {}),
    wrong.NeverSaysWritten: (messages.test_timers_ring_in_time, {}),
    wrong.ForgetsBetweenLinks: (messages.test_what_is_given_while_no_link_is_open_is_heard, {}),
    wrong.HasNoBackPressure: (pressure.test_a_server_that_does_not_read_slows_the_sender, {"secure": False}),
    wrong.HearsNothingWhileItWaits: (pressure.test_what_is_said_is_heard_while_the_sender_waits, {}),
    wrong.SwallowsCancellation: (pressure.test_what_is_called_off_has_not_been_taken, {}),
    wrong.LeavesItsConnections: (leaving.test_early_drops_the_connection, {"secure": False}),
    wrong.WaitsForTheServer: (leaving.test_early_drops_the_connection, {"secure": False}),
}


def run(made_by: Any, case: Any, given: dict[str, Any], tls: Any) -> None:
    """Run a case, as the suite does."""
    names = case.__code__.co_varnames[: case.__code__.co_argcount]
    driver = Driver("wrong", made_by)
    with drivers.leaves_nothing():
        driver.run(partial(case, transport=driver, **given, **({"tls": tls} if "tls" in names else {})))


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is wrong often waits for ever; a right one would be done by then."""
    monkeypatch.setattr(drivers, "PATIENCE", 0.5)
    monkeypatch.setattr(messages, "LIMIT", messages.LIMIT / 5)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("driver", WRONGS, ids=[driver.__name__ for driver in WRONGS])
@pytest.mark.filterwarnings("ignore")  # of what such a driver leaves behind
def test_a_wrong_driver_fails(driver: Any, smallest_tls: Any) -> None:
    case, given = WRONGS[driver]
    with pytest.raises(FAILURES) as raised:
        run(wrong.client_of(driver), case, given, smallest_tls)
    assert "wrong.py" not in str(raised.traceback[-1].path), raised.getrepr()  # it is the case that fails
