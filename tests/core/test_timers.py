"""Named timers: the table against a plain model."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from smallest_proto.timers import Alarm, Timer, Timers

TIMERS = st.sampled_from(Timer)
TIMES = st.floats(0, 100, allow_nan=False)


class TimersMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.timers = Timers()
        self.model: dict[Timer, float] = {}

    @rule(timer=TIMERS, deadline=TIMES)
    def set(self, timer: Timer, deadline: float) -> None:
        self.timers[timer] = deadline
        self.model[timer] = deadline

    @rule(timer=TIMERS)
    def stop(self, timer: Timer) -> None:
        self.timers.stop(timer)
        self.model.pop(timer, None)

    @rule()
    def stop_all(self) -> None:
        self.timers.clear()
        self.model.clear()

    @rule(now=TIMES)
    def pop_due(self, now: float) -> None:
        popped = self.timers.pop_due(now)
        if popped is None:
            assert all(deadline > now for deadline in self.model.values())
        else:
            deadline = self.model.pop(popped)
            assert deadline <= now
            assert all(deadline <= other for other in self.model.values())

    @invariant()
    def the_table_is_the_model(self) -> None:
        assert self.timers.due == min(self.model.values(), default=None)
        assert {timer for timer in Timer if timer in self.timers} == set(self.model)


TestTimers = TimersMachine.TestCase


@given(st.dictionaries(TIMERS, TIMES), TIMES)
def test_waking_up_at_the_timer_always_finds_something_due(deadlines: dict[Timer, float], now: float) -> None:
    timers = Timers()
    for timer, deadline in deadlines.items():
        timers[timer] = deadline
    order = []
    while (wake := timers.due) is not None:
        due = timers.pop_due(wake)
        assert due is not None
        order.append(deadlines[due])
    assert order == sorted(deadlines.values())
    assert timers.pop_due(now) is None


def test_an_alarm_is_told_of_each_change_of_any_of_its_tables() -> None:
    alarm = Alarm()
    assert not alarm.known
    one, other = Timers(alarm), Timers(alarm)
    one[Timer.PING] = 1.0
    changes: list[Callable[[], object]] = [
        lambda: other.__setitem__(Timer.PING, 2.0),
        lambda: one.__setitem__(Timer.PING, 3.0),
        lambda: one.stop(Timer.PING),
        lambda: other.pop_due(2.0),
        lambda: other.clear(),
    ]
    for change in changes:
        alarm.known = True
        change()
        assert not alarm.known
    alarm.known = True
    one.stop(Timer.PING)
    one.pop_due(1e9)
    assert alarm.known, "nothing has changed"
