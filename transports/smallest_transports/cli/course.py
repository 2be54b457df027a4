"""The figures of a live stream: when audio went out, when finals came back, and what follows from that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable

from smallest_proto.transcription.events import FinalTranscript

from .measures import SentTimes, percentile, word_errors
from .running import in_real_time
from .sources import LIVE_RATE, PIECE_SECONDS


class Course:
    """Tell it of every piece of audio and of every final."""

    def __init__(
        self,
        *,
        paced: bool,
        is_live: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._paced = paced
        self._is_live = is_live  # the pieces come in real time by themselves
        self._clock = clock
        self._sleep = sleep
        self._sent = SentTimes()
        self._finals: list[FinalTranscript] = []
        self._latencies: list[float] = []
        self._begun = self._ended = (0.0, 0.0)  # clock, processor time

    @property
    def finals(self) -> tuple[FinalTranscript, ...]:
        """What became final so far."""
        return tuple(self._finals)

    @property
    def sent_seconds(self) -> float:
        """Seconds of audio that went out so far."""
        return self._sent.samples / LIVE_RATE

    async def pieces(self, pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """The audio, each piece when its last sample would have come out of a microphone, or at once."""
        self._begun = (self._clock(), time.process_time())
        if self._paced and not self._is_live:
            pieces = in_real_time(pieces, PIECE_SECONDS, clock=self._clock, sleep=self._sleep)
        async for piece in pieces:
            self._sent.sent(len(piece) // 2, self._clock())
            yield piece

    def final(self, final: FinalTranscript) -> float | None:
        """Note a final that is here now; its latency in seconds, where the pace makes it one."""
        now = self._clock()
        self._finals.append(final)
        self._ended = (now, time.process_time())
        sent = self._sent.when(round(final.end * LIVE_RATE))
        if not self._paced or sent is None:
            return None
        self._latencies.append(now - sent)
        return now - sent

    def accuracy(self, reference: str) -> str:
        """How much was recognised correctly, in one line."""
        errors = word_errors(reference, " ".join(final.text for final in self._finals))
        return (
            f"Word error rate    {errors.rate:.1%}  ({errors.substituted} of {errors.reference_words} words other, "
            f"{errors.missed} missed, {errors.added} added; case and punctuation aside)"
        )

    def effort(self) -> str:
        """What it cost, in one line."""
        clock, processor = (end - begin for begin, end in zip(self._begun, self._ended, strict=True))
        spent, kind = (processor, " of processor time, server and client,") if self._paced else (clock, "")
        audio = self.sent_seconds
        return f"Real-time factor   {spent / audio:.2f}  ({spent:.1f} s{kind} for {audio:.1f} s of audio)"

    def latency(self) -> list[str]:
        """How long finals took, in one line, if it is known."""
        if not self._paced:
            return ["Latency            not measured: it means something in real time alone; leave out --fast"]
        if not self._latencies:
            return []
        p50, p99 = percentile(self._latencies, 0.5), percentile(self._latencies, 0.99)
        line = (
            f"Latency            p50 {p50:.2f} s, p99 {p99:.2f} s  (from when a final's last sample was sent "
            f"until the final was here; {len(self._latencies)} finals; the pause that ends speech is in it)"
        )
        return [line]
