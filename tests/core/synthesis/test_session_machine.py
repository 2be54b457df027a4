"""A synthesis under arbitrary sequences of what an application, a network and the service can do: what always holds.

The service's side is the library's own, with a voice whose audio says which word it is: what came out is counted.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from smallest_proto.config import Endpoint, RetryPolicy, Timeouts
from smallest_proto.errors import Failure, FailureKind, LocalProtocolError
from smallest_proto.events import SessionEnded
from smallest_proto.server.transcription import Close
from smallest_proto.synthesis.events import AudioChunk, SegmentDone, SpokenSoFar, WordSpoken
from smallest_proto.synthesis.session import SynthesisSession

WORD = re.compile(r"w\d+")
STOPS = st.sampled_from((" ", " ", "  ", ", ", ". ", "! ", ".\n", " - ", "\t"))
COUNTS = st.sampled_from((3, 9, 15, 1, 0))  # words
ANSWERS = st.sampled_from((9, 20, 3, 40, 0))  # messages
GAPS = st.sampled_from((0.0, 0.1, 0.6, 3.0, 6.0, 16.0, 61.0))
FAILURES = (
    Failure(kind=FailureKind.CONNECT, reason="nobody there"),
    Failure(kind=FailureKind.DISCONNECTED, reason="lost", code=1006),
    Failure(kind=FailureKind.STATUS, reason="busy", status=503),
    Failure(kind=FailureKind.STATUS, reason="slow down", status=429, retry_after=3.0),
)
FATAL = Failure(kind=FailureKind.STATUS, reason="the key", status=401)
GARBAGE = (
    *(
        "<html>",
        "[]",
        "{}",
        '{"status":"news"}',
        '{"status":7,"data":[]}',
        b"\xff\x00",
        '{"status":"chunk","data":null}',
    ),
    '{"status":"chunk","data":{"audio":""}}',
    '{"status":"chunk","context_id":"nobody","data":{"audio":"AAAA"}}',
    '{"status":"complete","context_id":"nobody"}',
    '{"status":"error","context_id":"nobody","message":"w1"}',
    '{"status":"word_timestamp","context_id":"nobody","data":{"word":"w1","start":0,"end":1}}',
)
ERRORS = (
    '{"status":"chunk","data":{"audio":"?"}}',
    '{"status":"error","message":"w1"}',
    '{"status":500,"error":{"message":""}}',
    '{"status":400,"error":{"message":"w1"}}',
)


class SynthesisMachine(RuleBasedStateMachine):
    talks: Any  # set by the test below

    @initialize(
        options=st.fixed_dictionaries(
            {"continuations": st.booleans(), "word_timestamps": st.booleans(), "resume": st.booleans()}
        ),
        retries=st.sampled_from((8, 3, 8, 0)),
        opens=st.sampled_from((True, True, True, False)),
        words=st.sampled_from(("told", "told", "untold", "strange")),
        names=st.sampled_from((True, True, False)),
        count=COUNTS,
        flush=st.booleans(),
        answers=ANSWERS,
    )
    def begin(
        self,
        options: dict[str, bool],
        retries: int,
        opens: bool,
        words: str,
        names: bool,
        count: int,
        flush: bool,
        answers: int,
    ) -> None:
        """Something is being said already, as a rule: Hypothesis leaves out half of the rules of an example."""
        self.options = options
        self.more = {"retry": RetryPolicy(max_retries=retries)}
        self.talk = type(self).talks(session=self.more, **options)
        self.talk.opens = opens
        self.talk.words = words
        self.talk.names = names
        self.words = 0
        self.texts: list[str] = []  # by segment
        self.present = ""  # the text of the segment that takes text
        self.seen = 0
        self.talk.tell("start")
        self.writes(count, ". ", 0, flush, answers)

    # The application.

    def say(self, text: str) -> None:
        if not self.talk.session.ended:
            self.present += text
            try:
                self.talk.tell("send_text", text)
            except LocalProtocolError:
                self.present = self.present[: -len(text)]
        self.look()

    @rule(count=COUNTS, stop=STOPS, cut=st.integers(0, 3), flush=st.booleans(), answers=ANSWERS)
    def writes(self, count: int, stop: str, cut: int, flush: bool, answers: int) -> None:
        """And some of it is answered, as a rule."""
        text = "" if count else stop
        for _ in range(count):
            self.words += 1
            text += f"w{self.words}{stop if _ == count - 1 else ' '}"
        for part in (text[:cut], text[cut:]):
            self.say(part)
        if flush:
            self.close_segment("flush")
        self.messages_come(answers)

    @rule()
    def flushes(self) -> None:
        self.close_segment("flush")

    @rule()
    def cancels(self) -> None:
        self.talk.tell("cancel")
        self.next_segment()
        self.look()

    @rule(name=st.sampled_from(("prewarm", "prewarm", "prewarm", "prewarm", "end_input")))
    def asks(self, name: str) -> None:
        if name == "end_input":
            self.close_segment(name)
        else:
            with contextlib.suppress(LocalProtocolError):  # it is possible no more
                self.talk.tell(name)
            self.look()

    def close_segment(self, name: str) -> None:
        try:
            self.talk.tell(name)
        except LocalProtocolError:
            assert self.ending
        else:
            self.next_segment()
        self.look()

    def next_segment(self) -> None:
        if WORD.search(self.present):
            self.texts.append(self.present)
        self.present = ""

    @property
    def ending(self) -> bool:
        return self.talk.session.ended or any(what[0] == "end_input" for what in self.talk.inputs)

    # The network and the service.

    @precondition(lambda self: any(s.state == "opening" for s in self.talk.speakers.values()))
    @rule()
    def link_opens(self) -> None:
        if self.talk.speaker.state == "opening":
            self.talk.open(self.talk.link)
        self.look()

    @precondition(lambda self: self.talk.speaker.state in ("opening", "open"))
    @rule(how=st.sampled_from((*FAILURES, *FAILURES, 1000, 1001, 1006, 1008, 1011, FATAL)))
    def link_is_lost(self, how: Failure | int) -> None:
        if isinstance(how, Failure):
            self.talk.lose(how)
        elif self.talk.speaker.state == "open":
            self.talk.speaker.state = "gone"
            self.talk.tell("link_closed", self.talk.link, how, "w1")
        self.look()

    @rule(count=st.integers(1, 30))
    def messages_come(self, count: int) -> None:
        self.talk.deliver(count)
        self.look()

    @precondition(lambda self: self.talk.speaker.state == "open")
    @rule(count=st.integers(1, 30))
    def messages_set_out(self, count: int) -> None:
        self.talk.speaker.say(count, self.talk.now)

    @precondition(lambda self: self.talk.speaker.state == "open")
    @rule(cut=st.integers(0, 99))
    def a_message_comes_in_torn_pieces(self, cut: int) -> None:
        talk = self.talk
        link, reply = talk.link, talk.speaker.next(talk.now)
        if reply is None or isinstance(reply, Close):
            return
        message = json.loads(reply.text)
        if message.get("status") != "chunk":
            talk.receive(link, reply.text)
        else:
            audio = base64.b64decode(message["data"]["audio"])
            for part in (audio[:cut], audio[cut:]):
                message["data"]["audio"] = base64.b64encode(part).decode()
                talk.receive(link, json.dumps(message))
        self.look()

    @rule(times=st.sampled_from((0, 2, 3)))
    def the_next_complete_is_lost_or_repeated(self, times: int) -> None:
        self.talk.completes = times

    @precondition(lambda self: self.talk.speaker.state == "open")
    @rule(message=st.sampled_from((*GARBAGE, *ERRORS)))
    def garbage_or_an_error_comes(self, message: str | bytes) -> None:
        self.talk.tell("message_received", self.talk.link, message)
        self.look()

    @rule(link=st.integers(1, 3), name=st.sampled_from(("link_opened", "pong_received", "write_done")))
    def report_of_a_dead_link(self, link: int, name: str) -> None:
        if link in self.talk.speakers and self.talk.speakers[link].state == "gone":
            before = len(self.talk.outputs)
            self.talk.tell(name, link)
            assert len(self.talk.outputs) == before

    # Time.

    @rule(gap=GAPS)
    def time_passes(self, gap: float) -> None:
        until = self.talk.now + gap
        while (when := self.talk.session.get_timer()) is not None and when <= until:
            self.talk.ring()
        self.talk.now = until
        self.talk.tell("handle_timer")
        self.look()

    # What holds.

    def look(self) -> None:
        """Check what came out since the last look."""
        told = {event.segment for event in self.talk.outputs[: self.seen] if self.ends(event)}
        for output in self.talk.outputs[self.seen :]:
            if isinstance(output, (AudioChunk, WordSpoken, SegmentDone, SpokenSoFar)):
                assert output.segment not in told, "a segment that is over is not spoken"
            if self.ends(output):
                told.add(output.segment)
                texts = [*self.texts, self.present]
                if isinstance(output, SpokenSoFar):
                    assert texts[output.segment] == output.spoken + output.unspoken
        self.seen = len(self.talk.outputs)
        when = self.talk.session.get_timer()
        assert when is None or self.talk.session.ended is False

    @staticmethod
    def ends(output: Any) -> bool:
        return isinstance(output, (SegmentDone, SpokenSoFar))

    def teardown(self) -> None:
        if not hasattr(self, "talk"):
            return
        self.come_to_the_end()
        self.next_segment()
        talk = self.talk
        assert isinstance(talk.outputs[-1], SessionEnded)
        assert all(speaker.state == "gone" for speaker in talk.speakers.values())
        ended = {event.segment: event for event in talk.outputs if self.ends(event)}
        assert sorted(ended) == list(range(len(self.texts))), "each segment ends once"
        for segment, event in ended.items():
            self.check_audio(segment, event)
        shown = repr(talk.outputs) + repr(talk.session.stats)
        assert not WORD.search(shown)
        assert "the-key" not in shown
        self.check_determinism()

    def come_to_the_end(self) -> None:
        talk = self.talk
        talk.opens = True
        if not self.ending:
            self.close_segment("end_input")
        until = talk.now + 3600
        if talk.speaker.state == "opening":
            talk.open(talk.link)
        while not talk.session.ended:
            if talk.deliver() == 0:
                assert talk.session.get_timer() is not None, "the session waits for nothing, and has not ended"
                talk.ring()
                assert talk.now < until, "the session does not end in time"
        self.look()

    def check_audio(self, segment: int, event: Any) -> None:
        """What came out is what is told of: each word once, in order."""
        heard = self.talk.heard(segment).split()
        text = WORD.findall(self.texts[segment])
        whole = [word for word in heard if not word.startswith("?")]
        assert whole == text[: len(whole)]
        assert len(heard) - len(whole) <= 1
        assert heard[: len(whole)] == whole, "only the last word can be cut"
        assert event.seconds == pytest.approx(len(self.talk.audio(segment)) / 16000)
        if isinstance(event, SegmentDone):
            assert heard == text or not event.certain  # what was inferred can be wrong: here services fall silent
            return
        spoken = WORD.findall(event.spoken)
        assert whole[: len(spoken)] == spoken, "nothing unspoken is reported as spoken"
        assert spoken == whole or not event.exact
        times = self.talk.words == "told" and (self.options["word_timestamps"] or self.options["resume"])
        assert event.exact or not times or not whole
        assert whole == heard or not (times and self.options["resume"]), "resumed speech goes out in whole words"

    def check_determinism(self) -> None:
        talk = self.talk
        endpoint = Endpoint(api_key="the-key", base_url="http://localhost")
        again = SynthesisSession(talk.config, endpoint, resume=self.options["resume"], **self.more)
        outputs = []
        for name, *arguments in talk.inputs:
            try:
                getattr(again, name)(*arguments)
            except LocalProtocolError:
                continue
            while (output := again.poll_output()) is not None:
                outputs.append(output)
        assert outputs == talk.outputs, "two runs over the same inputs differ"


def test_the_promises_of_a_synthesis(talks: Any) -> None:
    machine = type("Machine", (SynthesisMachine,), {"talks": talks})
    machine.TestCase.settings = settings(
        max_examples=300,
        stateful_step_count=40,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    machine.TestCase().runTest()


assert Timeouts().audio < 61.0  # one of GAPS is longer than any silence
