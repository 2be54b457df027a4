"""State machines of Hypothesis: a caller, a network and the time, in any order; add your own rules and invariants.

``CallMachine`` is for who writes an agent, or anything that hears the events of a call: everybody tells the truth as
well as they can, and each word that was said is counted at the end. ``session_machine.SessionMachine`` is for who
writes a session or the driver of one: it is told anything at all.
"""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from smallest_proto.config import TranscriptionConfig
from smallest_proto.server.imperfection import Imperfection
from smallest_proto.transcription.events import Event
from smallest_transports.memory import FAULTS

from .calls import CallPlan, Fault, Network, PlannedCall
from .judge import Report
from .speech import speech
from .strategies import configs, imperfections

__all__ = ["CallMachine", "unhurried"]

MOST_FAULTS = 8  # as many as are forgiven, should each one hit a link before it has been healthy for a while
AT_THE_END = 900.0  # virtual seconds in which a call has come to its end, whatever happens to it


class CallMachine(RuleBasedStateMachine):
    """One call in virtual time. Its rules are what a caller and a network do; a word is never said twice.

    ::

        class MyAgent(CallMachine):
            def heard(self, time, event):           # each event as it comes
                self.agent.take(event)
                if self.agent.wants_an_answer:
                    self.call.finalize()

            @rule()
            def the_agent_is_asked_for_more(self): ...

            @invariant()
            def it_never_interrupts(self): ...

            def judged(self, report):               # after the end
                assert not report.untold, report

        TestMyAgent = unhurried(MyAgent)

    ``call`` is the call, with its session, ``network`` and ``story``. ``faults`` are those that may still happen.
    """

    call: PlannedCall
    faults = MOST_FAULTS

    def heard(self, time: float, event: Event) -> None:
        """An event of the call, with its time in virtual seconds. Override it: your agent hears it here."""

    def judged(self, report: Report) -> None:
        """The call is over. Override it where less, or more, is promised than that nothing is wrong."""
        assert report.ok, f"{report}\n\n{self.call.outcome().timeline()}"

    @initialize(
        recogniser=imperfections(),
        config=configs(),
        latency=st.sampled_from((0.03, 0.005, 0.2)),
        decode_time=st.sampled_from((0.1, 0.0, 0.3)),
    )
    def begin(self, recogniser: Imperfection, config: TranscriptionConfig, latency: float, decode_time: float) -> None:
        """The call begins; a word at its very beginning would be one at the edge of a link."""
        way = Network(latency=latency, decode_time=decode_time)
        self.call = PlannedCall(CallPlan((), config=config, network=way, recogniser=recogniser))
        self.call.on_event = self.heard
        self.numbers = count(1)
        self.call.start()
        self.say(0.3)

    # For your rules.

    def say(self, *script: str | float) -> None:
        """Say it, in real time, and wait until it has been said."""
        part = speech(*script, sample_rate=self.call.config.sample_rate)
        self.call.truth = self.call.truth.then(part)
        self.call.feed(part.pcm, end=False, format=self.call.config.audio_format)
        self.wait(part.seconds + 0.02)  # the last piece comes when it has been spoken

    def say_words(self, how_many: int) -> None:
        """Say words that were not said before."""
        self.say(" ".join(f"w{next(self.numbers)}" for _ in range(how_many)))

    def wait(self, seconds: float) -> None:
        """Let time pass, in virtual seconds; what nobody sends is no silence."""
        clock = self.call.network.clock
        clock.run_until(clock.now + seconds)

    # The caller.

    @rule(words=st.integers(1, 6))
    def speaks(self, words: int) -> None:
        self.say_words(words)

    @rule(seconds=st.sampled_from((0.1, 0.4, 0.9, 1.5, 7.0)))
    def pauses(self, seconds: float) -> None:
        self.say(seconds)

    # The application.

    @rule(share=st.floats(0.1, 0.9))
    def finalizes_in_the_middle_of_a_word(self, share: float) -> None:
        self.call.at(self.call.network.clock.now + 0.2 * share, self.call.finalize)
        self.say_words(1)

    @rule()
    def finalizes(self) -> None:
        self.call.tell_of("finalize")
        self.call.finalize()

    @rule(punctuate=st.booleans())
    def updates(self, punctuate: bool) -> None:
        self.call.tell_of("update")
        self.call.change(punctuate=punctuate)

    @rule(every=st.sampled_from((0.02, 0.01)), finalizes=st.booleans())
    def storm(self, every: float, finalizes: bool) -> None:
        """Half a second of questions, or of changes, in mid-speech."""
        self.call.tell_of("storm of finalizes" if finalizes else "storm of updates")
        for at in range(int(0.5 / every)):
            time = self.call.network.clock.now + at * every
            if finalizes:
                self.call.at(time, self.call.finalize)
            else:
                self.call.at(time, partial(self.call.change, punctuate=bool(at % 2)))
        self.say_words(4)

    # The network.

    @precondition(lambda self: self.faults)
    @rule(name=st.sampled_from(sorted(FAULTS)), back=st.sampled_from((0, 0, 1)))
    def fault(self, name: str, back: int) -> None:
        self.faults -= 1
        self.call.happen(Fault(name, back=back))

    @precondition(lambda self: self.faults)
    @rule(name=st.sampled_from(sorted(FAULTS)), seconds=st.floats(0.0, 1.0))
    def fault_while_somebody_speaks(self, name: str, seconds: float) -> None:
        self.faults -= 1
        self.call.at(self.call.network.clock.now + seconds, lambda: self.call.happen(Fault(name)))
        self.say_words(4)

    @precondition(lambda self: self.faults)
    @rule(status=st.sampled_from((503, 429)))
    def refusal(self, status: int) -> None:
        self.faults -= 1
        self.call.happen(Fault(f"refuse:{status}"))

    # The end.

    def teardown(self) -> None:
        """The caller hangs up, and the call comes to its end."""
        if not hasattr(self, "call"):
            return
        self.say(1.0)
        self.call.end_input()
        self.call.run(limit=self.call.network.clock.now + AT_THE_END)
        self.judged(self.call.outcome().judge())


def unhurried(machine: type[RuleBasedStateMachine], *, examples: int = 100, steps: int = 20) -> Any:
    """The test case of a machine: ``TestMine = unhurried(MyMachine)``. No example of it is bound by the clock."""
    slow = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    case = machine.TestCase
    case.settings = settings(
        case.settings, max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=slow
    )
    return case
