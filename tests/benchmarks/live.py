"""What the benchmarks of live streams share: who speaks, and what that costs a process. The standard library alone.

So it runs beside other people's clients as well, in an environment that has nothing of ours.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

RATE = 16000  # Hz, linear16
MESSAGE_SECONDS = 0.05
MESSAGE_BYTES = 1600
LATE = 30.0  # seconds that the last message may be late

Sleep = Callable[[float], Awaitable[Any]]
Spawn = Callable[..., Any]
Send = Callable[[bytes], Awaitable[Any]]


class Speaker:
    """One stream's audio, when each message of it was sent, and when what was said in it came back."""

    def __init__(self, audio: bytes) -> None:
        self.audio = audio
        self.sent: list[float] = []
        self.latencies: list[float] = []

    async def speak(self, begin: float, sleep: Sleep, send: Send) -> None:
        """All of it in real time."""
        for number in range(len(self.audio) // MESSAGE_BYTES):
            await sleep(max(0.0, begin + number * MESSAGE_SECONDS - time.perf_counter()))
            self.sent.append(time.perf_counter())
            await send(self.audio[number * MESSAGE_BYTES : (number + 1) * MESSAGE_BYTES])

    def heard(self, end: float) -> None:
        """A final came whose last word ends at that second."""
        message = min(max(0, math.ceil(end / MESSAGE_SECONDS) - 1), len(self.sent) - 1)
        self.latencies.append(time.perf_counter() - self.sent[message])

    def heard_bare(self, message: Any) -> None:
        """The same from what the service said."""
        if message.get("is_final") and message.get("words"):
            self.heard(message["words"][-1]["end"])


async def measured(speakers: Sequence[Speaker], sends: Sequence[Send], sleep: Sleep, spawn: Spawn) -> dict[str, Any]:
    """Let all speak at once, each at a moment of its own within 50 ms; what that cost this process."""
    begin = time.perf_counter() + 0.3
    for number, (speaker, send) in enumerate(zip(speakers, sends, strict=True)):
        spawn(speaker.speak, begin + number / len(speakers) * MESSAGE_SECONDS, sleep, send)
    messages = len(speakers[0].audio) // MESSAGE_BYTES
    seconds = messages * MESSAGE_SECONDS
    await sleep(begin - time.perf_counter())
    before = time.process_time()
    await sleep(max(0.0, begin + seconds - time.perf_counter()))
    while any(len(speaker.sent) < messages for speaker in speakers):  # on a machine that is too busy
        assert time.perf_counter() < begin + seconds + LATE, "not all was spoken: a stream failed, or all are too slow"
        await sleep(MESSAGE_SECONDS)
    cpu = time.process_time() - before
    await sleep(0.5)  # what was said last comes back
    return {"cpu": cpu * 1e3 / seconds / len(speakers), "latencies": [x for s in speakers for x in s.latencies]}


def median(results: Sequence[dict[str, Any]], name: str) -> float:
    """That of the same figure of some measurements."""
    return statistics.median(result[name] for result in results)


def latency(results: Sequence[dict[str, Any]], part: float) -> float:
    """Milliseconds after which so large a part of the finals was here."""
    values = sorted(1e3 * one for result in results for one in result["latencies"])
    return values[min(len(values) - 1, int(len(values) * part))] if values else math.nan
