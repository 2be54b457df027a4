"""A session under arbitrary sequences of what an application, a network and a peer can do: what always holds.

The machine is the transport, and no good one: it reports what it likes in any order, of any link that ever was. At the
far end of each link is a service that is imperfect in one way or another, and lies are told in its name as well.
"""

from __future__ import annotations

import json
from array import array
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from smallest_proto.config import TranscriptionConfig
from smallest_proto.errors import Failure, FailureKind
from smallest_proto.server.transcription import Reply
from smallest_proto.transcription.session import TranscriptionSession

from .session_run import FORMATS, KEY, TIMEOUTS, Run
from .strategies import SECRET, messages, odd_transcriptions

__all__ = ["Run", "SessionMachine"]

FINAL_FAILURES = (
    Failure(kind=FailureKind.CONNECT, reason="a bad certificate", final=True),
    Failure(kind=FailureKind.STATUS, reason="an option", status=400),
    Failure(kind=FailureKind.STATUS, reason="the key", status=401),
)
FAILURES = (
    Failure(kind=FailureKind.CONNECT, reason="nobody there"),
    Failure(kind=FailureKind.DISCONNECTED, reason="lost", code=1006),
    Failure(kind=FailureKind.STATUS, reason="slow down", status=429, retry_after=7.5),
    Failure(kind=FailureKind.STATUS, reason="busy", status=503),
    Failure(kind=FailureKind.PROTOCOL, reason="not HTTP"),
)
GAPS = st.one_of(st.sampled_from((0.0, 0.02, 0.05, 0.5, 6.0, 15.0)), st.floats(0.0, 3.0))

audio = st.one_of(st.sampled_from((0, 1, 2, 319, 1600, 3200, 16000, 64000)), st.integers(0, 5000)).map(bytes)
not_audio = st.sampled_from(("text", None, 7, array("d", [0.0]), [0]))


class SessionMachine(RuleBasedStateMachine):
    """A session and all that can be reported to it; ``run`` has its outputs, each checked as it came.

    Add rules, which report with ``tell`` and ``report``, and invariants, which look at ``self.run``. A session of your
    own, a subclass or one that is wrapped, is made by ``make_session``. ``TestMine = unhurried(MyMachine)``
    (``machine.unhurried``) is its test.
    """

    make_session: Any = TranscriptionSession

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.inputs: list[tuple[Any, ...]] = []

    @initialize(
        options=st.fixed_dictionaries(
            {
                "seed": st.integers(0, 99),
                "imperfection": st.integers(0, 9999),
                "buffer_seconds": st.sampled_from((1.0, 3.0)),
                "vad_events": st.booleans(),
                "words": st.booleans(),
                "route": st.sampled_from(("unified", "direct")),
                "max_retries": st.sampled_from((0, 2, 8, 8, 8)),
            }
        ),
        start=st.sampled_from((True, True, True, False)),
    )
    def begin(self, options: dict[str, Any], start: bool) -> None:
        self.options = options
        self.run = Run(options, self.make_session)
        if start:
            self.tell("start")

    def tell(self, name: str, *arguments: Any) -> bool:
        self.inputs.append((name, *arguments, self.now))
        took = self.run.tell(name, *arguments, self.now)
        self.run.check_whole()
        return took

    def links(self, *states: str) -> list[int]:
        return [number for number, peer in self.run.peers.items() if peer.state in states]

    def report(self, name: str, link: int, *arguments: Any, state: str | None = None) -> None:
        """A report of a link that lives must be taken; of one that is gone, it changes nothing that can be seen."""
        peer = self.run.peers.get(link)
        lives = peer is not None and peer.state != "gone"
        if peer is not None and state is not None and lives:
            peer.state = state
        before = len(self.run.outputs)
        assert self.tell(name, link, *arguments)
        assert lives or len(self.run.outputs) == before, "a dead link found somebody"

    # The application.

    @rule()
    def starts(self) -> None:
        self.tell("start")

    @rule(pcm=audio)
    def sends_audio(self, pcm: bytes) -> None:
        self.tell("send_audio", pcm)

    @rule(what=not_audio)
    def sends_what_is_no_audio(self, what: object) -> None:
        assert not self.tell("send_audio", what)

    @rule()
    def finalizes(self) -> None:
        self.tell("finalize")

    @rule(form=st.sampled_from(FORMATS), punctuate=st.sampled_from((None, True, False)), vad=st.booleans())
    def updates(self, form: dict[str, Any], punctuate: bool | None, vad: bool) -> None:
        self.run.wide = self.run.wide or form is FORMATS[3]
        self.tell("update", TranscriptionConfig(**form, punctuate=punctuate, vad_events=vad))

    @rule(luck=st.integers(0, 9))
    def ends_input(self, luck: int) -> None:
        if luck == 9:  # or else most sessions would be over before much has happened
            self.tell("end_input")

    @rule(luck=st.integers(0, 19))
    def aborts(self, luck: int) -> None:
        if luck == 19:
            assert self.tell("abort")
            assert self.run.session.ended

    # The network.

    @precondition(lambda self: self.links("opening"))
    @rule(data=st.data())
    def link_opens(self, data: st.DataObject) -> None:
        self.report("link_opened", data.draw(st.sampled_from(self.links("opening"))), state="open")

    @precondition(lambda self: self.links("open", "closing"))
    @rule(data=st.data())
    def link_opens_twice(self, data: st.DataObject) -> None:
        assert not self.tell("link_opened", data.draw(st.sampled_from(self.links("open", "closing"))))

    @precondition(lambda self: self.links("opening", "open", "closing"))
    @rule(data=st.data(), failure=st.sampled_from((*3 * FAILURES, *FINAL_FAILURES)))
    def link_fails(self, data: st.DataObject, failure: Failure) -> None:
        link = data.draw(st.sampled_from(self.links("opening", "open", "closing")))
        self.report("link_failed", link, failure, state="gone")

    @precondition(lambda self: self.links("opening", "open", "closing"))
    @rule(data=st.data(), code=st.sampled_from((1000, 1001, 1006, 1008, 1011, 1013, 4321)))
    def link_is_closed(self, data: st.DataObject, code: int) -> None:
        link = data.draw(st.sampled_from(self.links("opening", "open", "closing")))
        self.report("link_closed", link, code, SECRET, state="gone")

    @precondition(lambda self: self.links("opening", "open", "closing"))
    @rule(data=st.data(), message=messages())
    def message_comes(self, data: st.DataObject, message: str | bytes) -> None:
        link = data.draw(st.sampled_from(self.links("opening", "open", "closing")))
        self.report("message_received", link, message)

    @precondition(lambda self: self.links("open"))
    @rule(data=st.data(), message=odd_transcriptions(), count=st.integers(1, 3))
    def transcriptions_come(self, data: st.DataObject, message: dict[str, Any], count: int) -> None:
        for _ in range(count):
            if links := self.links("open"):
                self.report("message_received", links[-1], json.dumps({**message, "is_final": count > 1}))

    @rule(messages=st.integers(1, 20), size=st.sampled_from((320, 1600, 16000)))
    def all_goes_well(self, messages: int, size: int) -> None:
        """For a while: links open, audio flows, the service says what it has to say."""
        self.tell("start")
        for _ in range(messages):
            for link in self.links("opening"):
                self.report("link_opened", link, state="open")
            self.tell("send_audio", bytes(size))
            for link in self.links("open", "closing"):
                self.report("write_done", link)
                self.report("pong_received", link)
                self.what_the_service_says_comes(link)
            self.pass_time(self.now + 0.05)

    def what_the_service_says_comes(self, link: int) -> None:
        peer = self.run.peers[link]
        peer.settle(self.now)
        while peer.under_way and peer.state != "gone":
            said = peer.under_way.popleft()
            if isinstance(said, Reply):
                self.report("message_received", link, said.text)
            else:
                self.report("link_closed", link, said.code, said.reason, state="gone")

    @precondition(lambda self: self.links("open", "closing"))
    @rule(data=st.data(), name=st.sampled_from(("pong_received", "write_done")))
    def sign_of_life(self, data: st.DataObject, name: str) -> None:
        self.report(name, data.draw(st.sampled_from(self.links("open", "closing"))))

    @rule(
        data=st.data(),
        name=st.sampled_from(
            ("link_opened", "link_failed", "link_closed", "message_received", "pong_received", "write_done")
        ),
        message=messages(),
    )
    def report_of_a_dead_link(self, data: st.DataObject, name: str, message: str | bytes) -> None:
        link = data.draw(st.sampled_from([*self.links("gone"), 0, 999]))
        more: dict[str, tuple[Any, ...]] = {
            "link_failed": (FAILURES[1],),
            "link_closed": (1000, ""),
            "message_received": (message,),
        }
        self.report(name, link, *more.get(name, ()))

    # Time.

    @rule(gap=GAPS)
    def time_passes(self, gap: float) -> None:
        self.pass_time(self.now + gap)

    @rule(count=st.integers(1, 5))
    def timers_ring(self, count: int) -> None:
        for _ in range(count):
            if (when := self.run.session.get_timer()) is not None:
                self.pass_time(max(when, self.now))

    @rule(gap=st.sampled_from((0.5, 60.0, 7200.0)))
    def time_jumps(self, gap: float) -> None:
        """The machine slept: nobody rang in between."""
        self.now += gap
        self.ring()

    def pass_time(self, until: float) -> None:
        while (when := self.run.session.get_timer()) is not None and when <= until:
            self.now = max(self.now, when)
            self.ring()
        self.now = until
        self.ring()  # for nothing

    def ring(self) -> None:
        assert self.tell("handle_timer")
        when = self.run.session.get_timer()
        assert when is None or when > self.now, "a driver would go in circles"

    # The end.

    def teardown(self) -> None:
        if not hasattr(self, "run"):
            return
        self.run.check_memory()
        self.come_to_the_end()
        again = Run(self.options, self.make_session, checked=False)
        for name, *arguments in self.inputs:
            again.tell(name, *arguments)
        assert again.outputs == self.run.outputs, "two runs over the same inputs differ"
        assert again.looks() == self.run.looks()
        shown = repr(self.run.outputs) + repr(self.run.session.stats)
        assert KEY not in shown
        # The words of a close right after opening are told on purpose: nothing was said by then, and they say why.
        assert SECRET not in shown.replace(f'; it says "{SECRET}"', "")

    def come_to_the_end(self) -> None:
        """After ``end_input`` time alone brings a session to its end; before ``start`` only ``abort`` does."""
        if not self.tell("end_input") and not self.run.session.ended and not self.run.peers:
            assert self.tell("abort")
        longest = self.run.parts * (2 * TIMEOUTS.last + self.run.session.stats.seconds_given) + TIMEOUTS.closing
        until = self.now + longest
        while not self.run.session.ended:
            when = self.run.session.get_timer()
            assert when is not None, "the session waits for nothing, and has not ended"
            assert when <= until, "the session does not end in time"
            self.now = max(self.now, when)
            self.ring()
