"""A session under arbitrary sequences of speech, faults and changes, at an imperfect service: every word is counted.

The other state machine test gives a session anything at all; here everybody tells the truth as well as they can, and
each word that was said is to be in exactly one final.
"""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from smallest_proto.config import Endpoint, Timeouts, TranscriptionConfig
from smallest_proto.reading import Word
from smallest_proto.server.imperfection import Imperfection
from smallest_proto.server.recogniser import coded_speech
from smallest_proto.transcription.session import TranscriptionSession
from smallest_transports.memory import FAULTS, MemoryNetwork, refuse_next
from tests.soak.calls import MOST_FAULTS, Caller
from tests.soak.judge import Call, faults_of

OPTIONS = st.fixed_dictionaries(
    {
        "vad_events": st.booleans(),
        "endpointing_timeout": st.sampled_from((None, 300, 900)),
        "max_words": st.sampled_from((None, None, 3)),
    }
)


class WordsMachine(RuleBasedStateMachine):
    @initialize(
        imperfection=st.integers(0, 9999).map(Imperfection.draw),
        options=OPTIONS,
        latency=st.sampled_from((0.005, 0.03, 0.2)),
        decode_time=st.sampled_from((0.0, 0.1, 0.3)),
        gap=st.sampled_from((0.0, 0.05)),
    )
    def begin(
        self, imperfection: Imperfection, options: dict[str, Any], latency: float, decode_time: float, gap: float
    ) -> None:
        self.network = MemoryNetwork(latency=latency, decode_time=decode_time, imperfection=imperfection)
        config = TranscriptionConfig(**options)
        session = TranscriptionSession(
            config,
            Endpoint(api_key="key"),
            timeouts=Timeouts(last=120.0),
            jitter=self.network.random.random,
            buffer_seconds=60.0,
        )
        self.call = Caller(session, self.network, config)
        self.gap = gap
        self.numbers = count(1)
        self.words: list[Word] = []
        self.seconds = 0.0
        self.faults = MOST_FAULTS
        self.story: list[tuple[float, str]] = []
        self.call.start()
        self.give(0.3)  # a word at the very beginning would be one at the edge of a link

    def give(self, *script: int | float) -> None:
        """Speak it, in real time."""
        speech = coded_speech(script, gap=self.gap)
        self.words += [
            Word(text=word.text, start=self.seconds + word.start / 16000, end=self.seconds + word.end / 16000)
            for word in speech.words
        ]
        self.seconds += speech.seconds
        self.call.feed(speech.pcm, end=False)
        self.wait(speech.seconds)

    def wait(self, seconds: float) -> None:
        clock = self.network.clock
        until = clock.now + seconds + 0.02  # the last piece comes when it has been spoken
        clock.at(until, lambda: None)
        clock.run(lambda: clock.now >= until)

    def tell(self, what: str) -> None:
        self.story.append((self.network.clock.now, what))

    # The caller.

    @rule(words=st.integers(1, 6))
    def speaks(self, words: int) -> None:
        self.give(*[next(self.numbers) for _ in range(words)])

    @rule(seconds=st.sampled_from((0.1, 0.4, 0.9, 1.5, 7.0)))
    def pauses(self, seconds: float) -> None:
        self.give(seconds)

    @rule(share=st.floats(0.1, 0.9))
    def finalizes_in_the_middle_of_a_word(self, share: float) -> None:
        self.call.at(self.network.clock.now + 0.2 * share, self.call.finalize)
        self.give(next(self.numbers))

    @rule()
    def finalizes(self) -> None:
        self.call.finalize()

    @rule(punctuate=st.booleans())
    def updates(self, punctuate: bool) -> None:
        self.tell("update")
        self.call.change(punctuate=punctuate)

    @rule(every=st.sampled_from((0.01, 0.02)), finalizes=st.booleans())
    def storm(self, every: float, finalizes: bool) -> None:
        """Half a second of questions, or of changes, in mid-speech."""
        for at in range(int(0.5 / every)):
            what = self.call.finalize if finalizes else partial(self.call.change, punctuate=bool(at % 2))
            self.call.at(self.network.clock.now + at * every, what)
        self.give(*[next(self.numbers) for _ in range(4)])

    # The network.

    @precondition(lambda self: self.faults)
    @rule(name=st.sampled_from(sorted(FAULTS)), which=st.sampled_from((-1, -1, -2)))
    def fault(self, name: str, which: int) -> None:
        self.faults -= 1
        self.tell(name)
        for link in self.network.links[which:][:1]:
            FAULTS[name](link)

    @precondition(lambda self: self.faults)
    @rule(name=st.sampled_from(sorted(FAULTS)), seconds=st.floats(0.0, 1.0))
    def fault_while_somebody_speaks(self, name: str, seconds: float) -> None:
        self.faults -= 1
        self.call.at(self.network.clock.now + seconds, lambda: FAULTS[name](self.network.links[-1]))
        self.give(*[next(self.numbers) for _ in range(4)])

    @precondition(lambda self: self.faults)
    @rule(status=st.sampled_from((429, 503)))
    def refusal(self, status: int) -> None:
        self.faults -= 1
        self.tell(f"refuse {status}")
        refuse_next(self.network, status)

    # The end.

    def teardown(self) -> None:
        if not hasattr(self, "call"):
            return
        self.give(1.0)
        self.call.end_input()
        events = self.call.run(limit=self.network.clock.now + 900.0)
        imperfection = self.network.imperfection
        call = Call(
            self.words, self.seconds, events, self.call.session, self.story, imperfection, tuple(self.call.finalized)
        )
        assert list(faults_of(call)) == [], imperfection.kinds


WordsMachine.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=20,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestWords = WordsMachine.TestCase
