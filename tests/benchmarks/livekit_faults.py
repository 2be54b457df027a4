"""What a caller's words become in LiveKit when the network fails: the published plugin beside ours.

Each call is 48 words of coded speech in real time, through ``STT.stream()`` with the framework's default options, to a
local server of its own that does the harm. All calls go on at the same time. Counted are words lost (also those that
came in part), said twice, and damaged, the largest error of a word's time, and the time to recover: the longest wait
for a transcript while somebody speaks, to be read beside that of the call to which nothing happens.

Run it with ``.venv/bin/python tests/benchmarks/livekit_faults.py`` (``--only reset``; ``--quick``: 8 words, to see that
it works).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import aiohttp
from livekit import rtc
from livekit.agents.stt import SpeechEventType
from livekit.plugins import smallest_proto as ours
from livekit.plugins import smallestai as theirs

from smallest_proto.server.recogniser import DAMAGED, CodedRecogniser, CodedSpeech, coded_speech
from smallest_transports.local.server import LocalServer

RATE = 16000
FRAME_SECONDS = 0.02
PATIENCE = 60.0  # seconds after the last frame: the published plugin can wait for ever
GIVEN_UP = 3.0  # seconds: whoever has told nothing for so long at the end of the call has not recovered
HEARD = (SpeechEventType.INTERIM_TRANSCRIPT, SpeechEventType.FINAL_TRANSCRIPT)


def _new_option(stt: Any) -> None:
    stt.update_options(endpointing_timeout_ms=301)


class Case(NamedTuple):
    """One thing that happens in the middle of a call."""

    name: str
    faults: tuple[str, ...] = ()
    change: Callable[[Any], None] | None = None


def cases(at: float) -> list[Case]:
    """Everything, after so many seconds of a link's audio."""
    return [
        Case("nothing"),
        Case("reset", (f"drop@{at}",)),
        Case("three resets", (f"drop@{at}x3",)),
        Case("half-open", (f"half-open@{at}",)),
        Case("close 1011", (f"close:1011@{at}",)),
        Case("error message", (f"error@{at}",)),
        Case("odd JSON", (f"garbage@{at}",)),
        Case("option change in mid-word", change=_new_option),
        Case("503, then fine", ("refuse:503",)),
        Case("no is_last", ("no-last",)),
    ]


class Outcome(NamedTuple):
    """What became of the words."""

    lost: int
    repeated: int
    damaged: int
    time_error: float  # seconds, of a word that came whole
    recovery: float | None  # seconds without a transcript, while somebody speaks; None: none came any more
    raised: str


def script(words: int) -> CodedSpeech:
    parts: list[int | float] = [0.2]
    for number in range(words):
        parts.append(number)
        if number % 6 == 5:
            parts.append(0.9)
    return coded_speech(parts)


async def call(module: Any, case: Case, speech: CodedSpeech, at: float) -> Outcome:
    pieces = [speech.pcm[i : i + 640] for i in range(0, len(speech.pcm), 640)]
    finals: list[Any] = []
    news: list[float] = []  # when a transcript came
    spoken: list[float] = []  # when all had been said
    raised = ""
    local = LocalServer(recogniser=CodedRecogniser, faults=case.faults, max_live=16)
    async with local as server, aiohttp.ClientSession() as http:
        stt = module.STT(api_key="any", base_url=server.base_url, http_session=http)
        stream = stt.stream()

        async def speak() -> None:
            begin = time.perf_counter()
            news.append(begin)
            changed = case.change is None
            for number, piece in enumerate(pieces):
                await asyncio.sleep(begin + number * FRAME_SECONDS - time.perf_counter())
                stream.push_frame(rtc.AudioFrame(piece, RATE, 1, len(piece) // 2))
                if case.change is not None and not changed and number * FRAME_SECONDS >= at:
                    changed = True
                    case.change(stt)
            stream.end_input()
            spoken.append(time.perf_counter())

        async def hear() -> None:
            async for event in stream:
                if event.type in HEARD:
                    news.append(time.perf_counter())
                if event.type is SpeechEventType.FINAL_TRANSCRIPT:
                    finals.append(event.alternatives[0])

        speaking = asyncio.create_task(speak())
        try:
            await asyncio.wait_for(hear(), speech.seconds + PATIENCE)
        except asyncio.TimeoutError:
            raised = "no end"
        except Exception as error:
            raised = type(error).__name__
        speaking.cancel()
        with contextlib.suppress(asyncio.CancelledError, RuntimeError):
            await speaking
        await stream.aclose()
        await stt.aclose()
    return judge(speech, finals, news, spoken[0] if spoken else time.perf_counter(), raised)


def judge(speech: CodedSpeech, finals: Sequence[Any], news: Sequence[float], spoken_at: float, raised: str) -> Outcome:
    heard = [word for final in finals for word in final.words or ()]
    counts = Counter(map(str, heard))
    starts = {word.text: word.start / RATE for word in speech.words}
    errors = [abs(word.start_time - starts[word]) for word in heard if word in starts]
    return Outcome(
        lost=sum(not counts[word.text] for word in speech.words),
        repeated=sum(max(0, counts[word.text] - 1) for word in speech.words),
        damaged=sum(count for word, count in counts.items() if word.startswith(DAMAGED)),
        time_error=max(errors, default=0.0),
        recovery=max((news[at] - news[at - 1] for at in range(1, len(news))), default=0.0)
        if spoken_at - news[-1] < GIVEN_UP
        else None,
        raised=raised,
    )


async def compare(words: int, only: str | None) -> list[tuple[Case, Outcome, Outcome]]:
    speech = script(words)
    middle = speech.words[words * 5 // 16]  # in the middle of a word, in the middle of a sentence
    at = round((middle.start + middle.end) / 2 / RATE, 2)
    chosen = [case for case in cases(at) if only in (None, case.name)]
    calls = [call(module, case, speech, at) for case in chosen for module in (theirs, ours)]
    outcomes = await asyncio.gather(*calls)
    return list(zip(chosen, outcomes[0::2], outcomes[1::2], strict=True))


def show(rows: Sequence[tuple[Case, Outcome, Outcome]], words: int) -> None:
    print(f"{words} words; each cell: the published plugin / ours")
    print("| fault | lost | repeated | damaged | largest time error | time to recover | raised |")
    print("|---|---|---|---|---|---|---|")
    for case, a, b in rows:
        print(
            f"| {case.name} | {a.lost} / {b.lost} | {a.repeated} / {b.repeated} | {a.damaged} / {b.damaged} "
            f"| {a.time_error * 1000:.0f} ms / {b.time_error * 1000:.0f} ms "
            f"| {waited(a)} / {waited(b)} | {a.raised or '-'} / {b.raised or '-'} |"
        )


def waited(outcome: Outcome) -> str:
    return "never" if outcome.recovery is None else f"{outcome.recovery:.1f} s"


def main(arguments: Sequence[str] | None = None) -> list[tuple[Case, Outcome, Outcome]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[case.name for case in cases(5)])
    parser.add_argument("--quick", action="store_true", help="8 words")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    words = 8 if options.quick else 48
    rows = asyncio.run(compare(words, options.only))
    logging.disable(logging.NOTSET)
    show(rows, words)
    return rows


if __name__ == "__main__":
    main()
