"""A call of two hours in virtual time: what it holds and costs at its first minute and at its last.

Run it with ``make bench``. Beside it: what a 50 ms message costs in a session, against a bare path that only cuts the
audio and wraps it in a command. ``--quick`` is a call of three minutes: it shows that the benchmark works.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tracemalloc
from collections import deque
from collections.abc import Iterator
from time import perf_counter_ns
from typing import NamedTuple

from smallest_proto.audio import AudioFormat, Framer
from smallest_proto.commands import OpenLink, SendBinary, SendPing, SendText
from smallest_proto.config import Endpoint, TranscriptionConfig
from smallest_proto.transcription.messages import FINALIZE
from smallest_proto.transcription.session import TranscriptionSession

MESSAGE_SECONDS = 0.05
AUDIO = bytes(1600)  # 50 ms of linear16 at 16 kHz
MESSAGES_A_MINUTE = 1200
MESSAGES_A_FINAL = 100  # someone says something every 5 s
WORDS = 12
LOST_EVERY = 10  # minutes from one lost connection to the next
GOAL_MICROSECONDS = 3.0
ANSWER = '{"transcript":"","is_final":true,"from_finalize":true}'


class Minute(NamedTuple):
    """What one minute of the call cost, medians."""

    message: float  # µs of one audio message, send_audio to write_done
    final: float  # µs of one final of 12 words


class Call:
    """A session, and the least that a transport and a service do for it; time goes on as audio does."""

    def __init__(self) -> None:
        self.now = 0.0
        self.session = TranscriptionSession(TranscriptionConfig(), Endpoint(api_key="key of a benchmark"))
        self.link = 0
        self.began = 0.0  # the stream's second at which the link begins
        self.heard = 0.0  # the end of the last final
        self.session.start(self.now)
        self.settle()

    def settle(self) -> None:
        """Do what the session asks for: a link is open, a ping and a finalize are answered at once."""
        while (output := self.session.poll_output()) is not None:
            if type(output) is OpenLink:
                self.link, self.began = output.link, self.heard
                self.session.link_opened(self.link, self.now)
            elif type(output) is SendPing:
                self.session.pong_received(self.link, self.now)
            elif type(output) is SendText and output.text == FINALIZE:
                self.session.message_received(self.link, ANSWER, self.now)

    def send(self, messages: int) -> float:
        """Send so many messages as a driver does; return the µs of one."""
        session, spent = self.session, 0
        for _ in range(messages):
            self.wake(self.now + MESSAGE_SECONDS)
            begin = perf_counter_ns()
            session.send_audio(AUDIO, self.now)
            while session.poll_output() is not None:
                pass
            session.write_done(self.link, self.now)
            spent += perf_counter_ns() - begin
        return spent / messages / 1e3

    def wake(self, until: float) -> None:
        """Let time pass, and wake the session when it wants to be woken."""
        while (due := self.session.get_timer()) is not None and due <= until:
            self.now = max(self.now, due)
            self.session.handle_timer(self.now)
            self.settle()
        self.now = until

    def hear(self) -> float:
        """The service says 12 words of the last five seconds; return the µs that they cost."""
        end = self.session.stats.seconds_sent
        start = end - MESSAGES_A_FINAL * MESSAGE_SECONDS - self.began
        words = ",".join(
            f'{{"word":"word{number}","start":{start + number * 0.4:.3f},"end":{start + number * 0.4 + 0.35:.3f}}}'
            for number in range(WORDS)
        )
        text = " ".join(f"word{number}" for number in range(WORDS))
        data = f'{{"transcript":"{text}","is_final":true,"words":[{words}]}}'
        begin = perf_counter_ns()
        self.session.message_received(self.link, data, self.now)
        while self.session.poll_output() is not None:
            pass
        spent = perf_counter_ns() - begin
        self.heard = self.session.stats.seconds_finalised
        return spent / 1e3

    def lose(self) -> None:
        """The connection is closed by the service, and another one opens when its time has come."""
        self.session.link_closed(self.link, 1001, "", self.now)
        self.settle()
        self.wake(self.now + 1.0)

    def minutes(self, count: int) -> Iterator[Minute]:
        """Let so many minutes go by, and every tenth one end with a lost connection."""
        for minute in range(1, count + 1):
            sent, heard = [], []
            for _ in range(MESSAGES_A_MINUTE // MESSAGES_A_FINAL):
                sent.append(self.send(MESSAGES_A_FINAL))
                heard.append(self.hear())
            yield Minute(statistics.median(sent), statistics.median(heard))
            if minute % LOST_EVERY == 0 and minute < count:
                self.lose()


def held(minutes: int) -> list[float]:
    """KiB held at the end of each minute, beyond what was at the beginning."""
    call = Call()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        used = []
        for _ in call.minutes(minutes):
            gc.collect()  # empties Python's stores of free tuples too
            used.append((tracemalloc.get_traced_memory()[0] - before) / 1024)
        return used
    finally:
        tracemalloc.stop()


def bare(messages: int) -> float:
    """µs of one message that is cut from the audio and wrapped in a command, with nothing kept."""
    framer, output = Framer(AudioFormat()), deque[SendBinary]()
    begin = perf_counter_ns()
    for _ in range(messages):
        for chunk in framer.push(AUDIO):
            output.append(SendBinary(link=1, data=chunk.data))
        while output:
            output.popleft()
    return (perf_counter_ns() - begin) / messages / 1e3


def bookkeeping(slices: int) -> tuple[float, float]:
    """µs of one message: in a session that goes well, and on the bare path; medians of short slices that alternate."""
    call, sessions, bares = Call(), [], []
    session, link = call.session, call.link
    for _ in range(slices):
        begin, now = perf_counter_ns(), call.now
        for _ in range(MESSAGES_A_FINAL):
            now += MESSAGE_SECONDS
            session.send_audio(AUDIO, now)
            while session.poll_output() is not None:
                pass
            session.write_done(link, now)
        sessions.append((perf_counter_ns() - begin) / MESSAGES_A_FINAL / 1e3)
        call.now = now
        call.hear()  # not timed
        bares.append(bare(MESSAGES_A_FINAL))
    return statistics.median(sessions), statistics.median(bares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three minutes: does it work?")
    quick = parser.parse_args().quick
    minutes = 3 if quick else 120
    call = Call()
    costs, memory = list(call.minutes(minutes)), held(minutes)
    stats = call.session.stats
    print(
        f"\na call of {minutes} minutes: {stats.finals} finals, {len(stats.links)} links, lost {stats.seconds_lost} s"
    )
    print("minute   held, KiB   audio message, µs   final of 12 words, µs")
    for minute in sorted({1, minutes // 2, minutes}):
        cost = costs[minute - 1]
        print(f"{minute:6}   {memory[minute - 1]:9.1f}   {cost.message:17.2f}   {cost.final:21.2f}")
    session, path = bookkeeping(10 if quick else 1000)
    more = session - path
    met = "met" if more <= GOAL_MICROSECONDS else "NOT MET"
    print(
        f"audio message   session {session:.2f} µs   bare path {path:.2f} µs   ratio {session / path:.2f}   "
        f"difference {more:.2f} µs   <= {GOAL_MICROSECONDS:g} µs {met}"
    )


if __name__ == "__main__":
    main()
