"""Traces of calls in virtual time, and of calls to which anything at all is told."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import strategies as st

from smallest_proto.config import Endpoint, RetryPolicy, SynthesisConfig, Timeouts, TranscriptionConfig
from smallest_proto.errors import Failure, FailureKind, SmallestError
from smallest_proto.server.recogniser import coded_speech
from smallest_proto.synthesis.session import SynthesisSession
from smallest_proto.transcription.session import TranscriptionSession
from smallest_transports._trace import Trace, TracedSession
from smallest_transports.memory import MemoryCall, MemoryNetwork

ENDPOINT = Endpoint(api_key="the-key", base_url="http://localhost/waves/v1")
GONE = Failure(kind=FailureKind.DISCONNECTED, reason="the connection was lost", code=1006)
TELEPHONE = TranscriptionConfig(encoding="mulaw", sample_rate=8000)
SPEECH = coded_speech([1, 2, 3, 0.8, 4, 5, 1.0, 6, 7, 8, 0.9])
HOSTILE = '</script><script>alert(1)</script><!-- ]]> & "quoted" \u2028 \x00 \x1b[2J'


class Traced:
    """A session that writes down what it is told, as a driver does."""

    def __init__(self, session: Any, traced: TracedSession) -> None:
        self._session = session
        self._traced = traced

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._session, name)
        if not callable(found) or name in ("poll_output", "get_timer"):
            return found

        def tell(*args: Any) -> None:
            self._traced.note(name, args[:-1], args[-1])
            found(*args)

        return tell


def begin(kind: Any, config: Any, *, private: bool, **options: Any) -> tuple[Any, list[bytes]]:
    """A session, and the lines of its trace so far."""
    lines: list[bytes] = []
    trace = Trace(lines.append, private=private)
    draws = iter(range(1, 1000))
    made = trace.make(kind, config, ENDPOINT, lambda: next(draws) % 97 / 97, **options)
    return Traced(*made), lines


def call(faults: dict[int, tuple[float, str]], *, private: bool = True, finalize: float | None = 2.0) -> Any:
    """A call whose links meet ``faults``, by their number: seconds after it is open, and a method of the link.

    Returns the lines, the events with their times, and the stats.
    """
    session, lines = begin(TranscriptionSession, TranscriptionConfig(), private=private, retry=RetryPolicy())
    network = MemoryNetwork(latency=0.03, seed=7)

    def plan(link: Any) -> None:
        if link.number in faults:
            after, what = faults[link.number]
            network.clock.after(after, getattr(link, what))

    network.on_link = plan
    memory = MemoryCall(session, network)
    memory.feed(SPEECH.pcm)
    if finalize is not None:
        memory.at(finalize, memory.finalize)
    events = memory.run()
    return lines, events, session.stats


def speech(*, private: bool = True, text: str = "Hello there. ", cancelled: bool = True) -> list[bytes]:
    """A speech that is broken off by a lost link, goes on, and is cancelled."""
    config = SynthesisConfig(word_timestamps=True, sample_rate=16000)
    session, lines = begin(SynthesisSession, config, private=private, timeouts=Timeouts(), resume=True)
    session.start(0.0)
    session.send_text(text, 0.1)
    session.link_opened(1, 0.2)
    session.write_done(1, 0.2)
    session.message_received(1, _chunk(0.4), 0.5)
    session.message_received(1, _word("Hello", 0.0, 0.35), 0.51)
    session.message_received(1, _chunk(0.4), 0.6)
    session.link_failed(1, GONE, 0.7)
    session.handle_timer(5.0)
    session.link_opened(2, 5.1)
    session.flush(5.1)
    session.send_text("And more. ", 5.2)
    session.flush(5.2)
    session.message_received(2, _chunk(2.0), 5.4)
    session.message_received(2, _word("there.", 0.0, 0.5), 5.4)
    if cancelled:
        session.cancel(6.0)
    session.abort(6.5)
    return lines


def _chunk(seconds: float) -> str:
    pcm = b"\x00\x20\x00\xe0" * int(seconds * 8000)
    return json.dumps({"status": "chunk", "data": {"audio": base64.b64encode(pcm).decode()}})


def _word(text: str, start: float, end: float) -> str:
    return json.dumps({"status": "word_timestamp", "data": {"word": text, "start": start, "end": end}})


_MESSAGES = st.one_of(
    st.builds(
        lambda text, final, last, start, lasting: json.dumps(
            {
                "type": "transcription",
                "transcript": text,
                "is_final": final,
                "is_last": last,
                "from_finalize": last != final,
                "words": [{"word": text, "start": start, "end": start + lasting}],
            }
        ),
        st.sampled_from(["hello", HOSTILE, "", "नमस्ते 你好"]),
        st.booleans(),
        st.booleans(),
        st.floats(-1, 20),
        st.floats(-1, 3),
    ),
    st.sampled_from(['{"type": "speech_started", "timestamp": 0.4}', '{"type": "speech_ended"}', "<html>", "[]"]),
    st.builds(_chunk, st.floats(0, 0.5)),
    st.builds(_word, st.sampled_from(["Hello", HOSTILE]), st.floats(0, 3), st.floats(0, 3)),
    st.sampled_from(['{"status": "complete"}', '{"error": "no"}']),
)
_LINKS = st.integers(1, 3)
_AUDIO = st.integers(0, 4000).map(lambda size: SPEECH.pcm[: 2 * size])
_TOLD = st.one_of(
    st.tuples(st.just("send_audio"), st.tuples(_AUDIO)),
    st.tuples(st.just("message_received"), st.tuples(_LINKS, _MESSAGES)),
    st.tuples(st.just("send_text"), st.tuples(st.sampled_from(["Hello ", HOSTILE, "there. "]))),
    st.tuples(st.sampled_from(["link_opened", "write_done", "pong_received"]), st.tuples(_LINKS)),
    st.tuples(st.just("link_failed"), st.tuples(_LINKS, st.just(GONE))),
    st.tuples(st.just("link_closed"), st.tuples(_LINKS, st.sampled_from([1000, 1011]), st.just(HOSTILE))),
    st.tuples(
        st.just("update"),
        st.tuples(
            st.sampled_from(
                [TranscriptionConfig(language="hi"), TranscriptionConfig(encoding="mulaw", sample_rate=8000)]
            )
        ),
    ),
    st.tuples(st.sampled_from(["handle_timer", "finalize", "flush", "cancel", "end_input", "abort"]), st.just(())),
)
STORIES = st.lists(st.tuples(st.floats(0, 4), _TOLD), max_size=40)


def tell_all(kind: Any, config: Any, story: Any, *, private: bool) -> tuple[list[bytes], list[Any]]:
    """A session to which all of ``story`` is told; its trace and its outputs."""
    session, lines = begin(kind, config, private=private)
    outputs: list[Any] = []
    now = 100.0
    for after, (name, args) in [(0.0, ("start", ())), *story]:
        now += after
        if not hasattr(kind, name):
            continue
        try:
            getattr(session, name)(*args, now)
        except SmallestError:
            continue
        while (output := session.poll_output()) is not None:
            outputs.append(output)
    return lines, outputs
