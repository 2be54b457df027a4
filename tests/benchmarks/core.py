"""What the core costs: medians of several runs, each beside a baseline that is measured in the same run.

Run it with ``make bench``. The figures are this machine's at this moment; what holds elsewhere too are the ratios.
``--quick`` is one short run of everything: it shows that the benchmark works, its figures mean little.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tracemalloc
from collections import deque
from collections.abc import Callable
from time import perf_counter_ns
from typing import NamedTuple

import msgspec

from smallest_proto.commands import OpenLink, SendBinary
from smallest_proto.config import Endpoint, Timeouts, TranscriptionConfig
from smallest_proto.transcription.events import FinalTranscript, InterimTranscript
from smallest_proto.transcription.messages import _Wire
from smallest_proto.transcription.session import TranscriptionSession

MESSAGE_SECONDS = 0.05
AUDIO = bytes(1600)  # 50 ms of linear16 at 16 kHz
WORDS = 20
WORD_SECONDS = 0.4
UTTERANCE_MESSAGES = round(WORDS * WORD_SECONDS / MESSAGE_SECONDS)
IDLE_SESSIONS = 50

# Deadlines that never come: the service of this benchmark answers when it is asked to, and no network is part of it.
FAR = Timeouts(**{name: 1e6 for name in Timeouts.__struct_fields__ if name != "message_interval"})


class Row(NamedTuple):
    """One figure beside its baseline, in the same unit; ``goal`` is the most that it may be, if there is one."""

    name: str
    figure: float
    baseline_name: str
    baseline: float
    unit: str
    goal: float | None = None
    goal_text: str = ""


class Call:
    """A live transcription that a transport would drive, with the time going on as audio does."""

    def __init__(self) -> None:
        self.now = 0.0
        self.session = TranscriptionSession(TranscriptionConfig(), Endpoint(api_key="key of a benchmark"), timeouts=FAR)
        self.session.start(self.now)
        (opening,) = [output for output in self.drain() if isinstance(output, OpenLink)]
        self.link = opening.link
        self.session.link_opened(self.link, self.now)
        self.drain()

    def drain(self) -> list[object]:
        outputs: list[object] = []
        while (output := self.session.poll_output()) is not None:
            outputs.append(output)
        return outputs

    def send(self, messages: int) -> int:
        """Send so many audio messages with all that a driver asks and tells; return how many came out again."""
        session, link, sent = self.session, self.link, 0
        for _ in range(messages):
            self.now = now = self.now + MESSAGE_SECONDS
            assert session.ready_for_audio
            session.send_audio(AUDIO, now)
            while (output := session.poll_output()) is not None:
                sent += type(output) is SendBinary
            session.write_done(link, now)
            session.get_timer()
        return sent

    def send_alone(self, messages: int) -> int:
        """Send so many audio messages, each from ``send_audio`` to its command, and nothing besides."""
        session, sent = self.session, 0
        for _ in range(messages):
            self.now = now = self.now + MESSAGE_SECONDS
            session.send_audio(AUDIO, now)
            sent += type(session.poll_output()) is SendBinary
        return sent

    def receive(self, data: str) -> list[object]:
        outputs: list[object] = []
        session = self.session
        session.message_received(self.link, data, self.now)
        while (output := session.poll_output()) is not None:
            outputs.append(output)
        return outputs


def transcription(utterance: int, *, final: bool) -> str:
    """What the service sends of the 20 words of one utterance; times go on from one utterance to the next."""
    words = [f"word{number}" for number in range(WORDS)]
    start = utterance * WORDS * WORD_SECONDS
    message: dict[str, object] = {
        "session_id": "0d9c1c52-2a35-4b6e-b7c7-9a2d1be1fd11",
        "transcript": " ".join(words),
        "transcription": " ".join(words),
        "is_final": final,
        "is_last": False,
    }
    if final:
        message["language"] = "en"
        message["words"] = [
            {
                "word": word,
                "start": round(start + number * WORD_SECONDS, 3),
                "end": round(start + (number + 0.9) * WORD_SECONDS, 3),
                "confidence": 0.98,
            }
            for number, word in enumerate(words)
        ]
    return json.dumps(message)


def audio_messages(utterances: int, *, alone: bool) -> tuple[float, float]:
    """Microseconds of one 50 ms message from ``send_audio`` to ``SendBinary``; of a deque that passes its bytes.

    ``alone``: without what a driver asks and tells besides.
    """
    call, spent, sent = Call(), 0, 0
    send = call.send_alone if alone else call.send
    for utterance in range(utterances):
        begin = perf_counter_ns()
        sent += send(UTTERANCE_MESSAGES)
        spent += perf_counter_ns() - begin
        # Not timed: what was sent leaves, and the service answers, so that the session is one that goes well.
        sent += sum(isinstance(output, SendBinary) for output in call.drain())
        call.session.write_done(call.link, call.now)
        call.receive(transcription(utterance, final=True))
    messages = utterances * UTTERANCE_MESSAGES
    assert sent == messages, f"{sent} of {messages} messages came out"
    queue: deque[bytes] = deque()
    begin = perf_counter_ns()
    for _ in range(messages):
        queue.append(AUDIO)
        queue.popleft()
    baseline = perf_counter_ns() - begin
    return spent / messages / 1e3, baseline / messages / 1e3


def transcripts(utterances: int, *, final: bool, audio_ahead: bool = True) -> tuple[float, float]:
    """Microseconds of one message of 20 words to its events; of msgspec's own decoding of it into the same struct.

    With the audio of the whole call sent ahead, what is timed is the message alone; without, each final also frees the
    8 s of audio that were kept for replay.
    """
    call, spent, baseline = Call(), 0, 0
    decoder = msgspec.json.Decoder(_Wire)
    wanted = FinalTranscript if final else InterimTranscript
    interims = [transcription(utterance, final=False) for utterance in range(utterances)]
    finals = [transcription(utterance, final=True) for utterance in range(utterances)]
    for _ in range(utterances if audio_ahead else 0):
        call.send(UTTERANCE_MESSAGES)
    for interim, settled in zip(interims, finals, strict=True):
        if not audio_ahead:
            call.send(UTTERANCE_MESSAGES)
        call.receive(interim)  # not timed: the turn begins
        data = settled if final else interim
        begin = perf_counter_ns()
        decoder.decode(data)
        between = perf_counter_ns()
        events = call.receive(data)
        spent += perf_counter_ns() - between
        baseline += between - begin
        assert any(isinstance(event, wanted) for event in events), f"no {wanted.__name__} came out"
        if not final:
            call.receive(settled)
    return spent / utterances / 1e3, baseline / utterances / 1e3


def fresh_process(code: str) -> tuple[float, float]:
    """Run code in a new Python: the milliseconds that the process took, and those that it printed."""
    begin = perf_counter_ns()
    done = subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True)
    return (perf_counter_ns() - begin) / 1e6, float(done.stdout)


def imports() -> tuple[float, float, float, float]:
    """Milliseconds: to import the core, to import msgspec alone; of a process that imports the core, of a bare one."""
    timed = "import time; t = time.perf_counter(); import {}; print((time.perf_counter() - t) * 1e3)"
    bare, _ = fresh_process("print(0)")
    _, library = fresh_process(timed.format("msgspec"))
    process, core = fresh_process(timed.format("smallest_proto, smallest_proto.transcription"))
    return core, library, process, bare


def idle_memory() -> tuple[float, float]:
    """KiB that one session with an open link and nothing said holds; that one ``object()`` does."""

    def held(make: Callable[[], object]) -> float:
        kept: list[object] = [make()]  # the first one fills caches that all share
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            kept.extend([make() for _ in range(IDLE_SESSIONS)])
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return (after - before) / IDLE_SESSIONS / 1024

    return held(Call), held(object)


def measure(runs: int, utterances: int) -> list[Row]:
    """All figures, each the median of so many runs. Within a run a figure and its baseline alternate."""

    def medians(once: Callable[[], tuple[float, ...]]) -> list[float]:
        return [statistics.median(column) for column in zip(*(once() for _ in range(runs)), strict=True)]

    audio, passed = medians(lambda: audio_messages(utterances, alone=True))
    driven, _ = medians(lambda: audio_messages(utterances, alone=False))
    interim, interim_decoded = medians(lambda: transcripts(utterances, final=False))
    final, final_decoded = medians(lambda: transcripts(utterances, final=True))
    freeing, freeing_decoded = medians(lambda: transcripts(utterances, final=True, audio_ahead=False))
    core, library, process, bare = medians(imports)
    memory, thing = medians(idle_memory)

    def decoding(baseline: float) -> tuple[float, str]:
        goal = 1.3 * baseline + 5
        return goal, f"<= 1.3 x + 5 = {goal:.1f} µs"

    return [
        Row("audio message, 50 ms", audio, "deque in and out", passed, "µs", 2.0, "<= 2 µs"),
        Row("the same with all that a driver calls", driven, "deque in and out", passed, "µs"),
        Row("interim, 20 words", interim, "msgspec decodes", interim_decoded, "µs", *decoding(interim_decoded)),
        Row("final, 20 words", final, "msgspec decodes", final_decoded, "µs", *decoding(final_decoded)),
        Row("final that frees 8 s of audio", freeing, "msgspec decodes", freeing_decoded, "µs"),
        Row("import of the core", core, "import msgspec", library, "ms", 60.0, "<= 60 ms"),
        Row("process that imports it", process, "bare process", bare, "ms"),
        Row("idle session", memory, "object()", thing, "KiB", 64.0, "<= 64 KiB"),
    ]


def table(rows: list[Row]) -> str:
    """The rows as plain text."""
    cells = [("figure", "median", "baseline", "", "ratio", "goal", "")]
    for row in rows:
        met = "" if row.goal is None else "met" if row.figure <= row.goal else "NOT MET"
        cells.append(
            (
                row.name,
                f"{row.figure:.2f} {row.unit}",
                row.baseline_name,
                f"{row.baseline:.2f} {row.unit}",
                f"{row.figure / row.baseline:.2f}",
                row.goal_text or "-",
                met,
            )
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = (False, True, False, True, True, False, False)
    lines = [
        "  ".join(f"{c:>{w}}" if r else f"{c:<{w}}" for c, w, r in zip(line, widths, right, strict=True)).rstrip()
        for line in cells
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short run: does it work?")
    quick = parser.parse_args().quick
    runs, utterances = (1, 3) if quick else (9, 100)
    print(f"{platform.python_implementation()} {platform.python_version()}, medians of {runs}", flush=True)
    print(table(measure(runs, utterances)))


if __name__ == "__main__":
    main()
