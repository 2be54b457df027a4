"""What a human's words become when the link breaks in mid-speech: the published LiveKit plugin beside ours.

44 s of a novel, read aloud, go through ``STT.stream()`` to a local server with the real recogniser, over real sockets
in virtual time. The link is lost at each half second of the recording: once, again 1 s of audio later, or with 3 s in
which nobody can connect. The words of each call are compared with those of the same plugin's call to which nothing
happens: lost, added, changed. As a recogniser does not hear the same twice where it begins at another sample, calls
without a fault that begin some milliseconds later are compared in the same way: that much is nobody's loss.

python tests/benchmarks/speech_cuts.py                  all of it: some ten minutes on two cores
python tests/benchmarks/speech_cuts.py --every 5        a cut each 5 s
python tests/benchmarks/speech_cuts.py --case once --at 12.5 -v    one cut, and what was heard
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from difflib import SequenceMatcher
from functools import lru_cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast
from unittest import mock

sys.path[:0] = [str(Path(__file__).parents[2])]  # as a script, and as a module

import aiohttp  # noqa: E402
import livekit.agents.stt.stt  # noqa: E402
import soundfile  # noqa: E402
import soxr  # noqa: E402
from livekit import rtc  # noqa: E402
from livekit.agents.stt import SpeechEventType  # noqa: E402
from livekit.plugins import smallest_proto as ours  # noqa: E402
from livekit.plugins import smallestai as theirs  # noqa: E402

from smallest_proto.config import TranscriptionConfig  # noqa: E402
from smallest_proto.server.answers import Response, error_answer  # noqa: E402
from smallest_proto.server.recogniser import Recognised  # noqa: E402
from smallest_transports.local.faults import FaultPlan  # noqa: E402
from smallest_transports.local.pcm import SAMPLE_RATE, Samples, to_linear16  # noqa: E402
from smallest_transports.local.recogniser import Engines, LocalRecogniser, engines  # noqa: E402
from smallest_transports.local.recordings import two_cities  # noqa: E402
from smallest_transports.local.server import LocalServer  # noqa: E402
from tests.virtual_time import run  # noqa: E402

STEP = 0.5  # seconds from one cut to the next
AGAIN = 1.0  # seconds of audio on the second link after which it is lost as well
OUTAGE = 3.0  # seconds
FRAME_SECONDS = 0.02
PATIENCE = 60.0  # seconds after the last frame: the published plugin can wait for ever
INTERIM_SECONDS = 1.5  # a decoding each 0.3 s would be most of the work, and no part of a final
LATER = (0.003, 0.007, 0.011, 0.013, 0.017, 0.019, 0.023, 0.029)  # seconds: calls without a fault that begin later
PLUGINS = {"published": theirs, "ours": ours}
CASES = ("once", "twice", "outage")


class Cut(NamedTuple):
    """One call: where its link is lost, or how much later it begins."""

    plugin: str
    case: str  # one of CASES, or "nothing"
    at: float  # seconds


class Difference(NamedTuple):
    """Words that are not as they are without a fault."""

    lost: int
    added: int
    changed: int


class Ear:
    """The real recogniser; what it has heard before from the same beginning, it answers from memory."""

    _memory: dict[bytes, Sequence[Recognised]] = {}  # noqa: RUF012 - shared on purpose

    def __init__(self, options: TranscriptionConfig) -> None:
        self._options = options
        self._so_far = hashlib.blake2b(repr(options).encode()).digest()
        self._unheard: list[bytes | None] = []  # None: finalize
        self._recogniser: _Seldom | None = None

    def hear(self, audio: bytes) -> Sequence[Recognised]:
        return self._next(audio)

    def finalize(self) -> Sequence[Recognised]:
        return self._next(None)

    def _next(self, audio: bytes | None) -> Sequence[Recognised]:
        self._so_far = hashlib.blake2b(self._so_far + (audio or b"finalize")).digest()
        self._unheard.append(audio)
        if self._so_far not in self._memory:
            self._memory[self._so_far] = self._listen()
        return self._memory[self._so_far]

    def _listen(self) -> Sequence[Recognised]:
        self._recogniser = self._recogniser or _Seldom(self._options)
        results: Sequence[Recognised] = ()
        for audio in self._unheard:
            results = self._recogniser.finalize() if audio is None else self._recogniser.hear(audio)
        self._unheard.clear()
        return results


class _Remembered:
    """The models; what they made of a stretch of audio once, they need not make again."""

    def __init__(self) -> None:
        models = engines()
        self.moonshine = self.aligner = self
        self._transcribe, self._align = models.moonshine.transcribe, models.aligner.align
        self._memory: dict[tuple[Any, ...], Any] = {}

    def transcribe(self, samples: Samples, _: Any = None) -> Any:
        return self._once(self._transcribe, samples)

    def align(self, samples: Samples, texts: Sequence[str]) -> Any:
        return self._once(self._align, samples, tuple(texts))

    def _once(self, do: Callable[..., Any], samples: Samples, *more: Any) -> Any:
        key = (hashlib.blake2b(samples.tobytes()).digest(), *more)
        if key not in self._memory:
            self._memory[key] = do(samples, *more)
        return self._memory[key]


_models = lru_cache(maxsize=1)(_Remembered)


class _Seldom(LocalRecogniser):
    """With few interims."""

    def __init__(self, options: TranscriptionConfig) -> None:
        super().__init__(options, models=cast("Engines", _models()))

    def _interim(self) -> Any:
        told = super()._interim()
        if told:
            self._interim_at += round(INTERIM_SECONDS * SAMPLE_RATE)
        return told


class _Outage(FaultPlan):
    """After each fault nobody is let in for a while."""

    over_at = 0.0

    def happened(self) -> None:
        super().happened()
        self.over_at = asyncio.get_running_loop().time() + OUTAGE

    def refusal(self, request_id: str) -> Response | None:
        if asyncio.get_running_loop().time() < self.over_at:
            return error_answer(503, "no worker is free", request_id)
        return super().refusal(request_id)


@lru_cache(maxsize=2)
def recording(seconds: float | None = None) -> bytes:
    """The recording, or its beginning: linear16 at 16 kHz, and 1 s of silence."""
    samples, rate = soundfile.read(two_cities().path, dtype="float32")
    pcm = to_linear16(soxr.resample(samples, rate, SAMPLE_RATE))
    return (pcm if seconds is None else pcm[: round(seconds * SAMPLE_RATE) * 2]) + bytes(2 * SAMPLE_RATE)


def heard(cut: Cut, seconds: float | None = None) -> list[str]:
    """The words of one call."""
    pcm = recording(seconds)
    faults: tuple[str, ...] = ()
    if cut.case == "nothing":
        pcm = bytes(2 * round(cut.at * SAMPLE_RATE)) + pcm
    else:
        faults = (f"drop@{cut.at}", *((f"drop@{AGAIN}",) if cut.case == "twice" else ()))
    server = LocalServer(recogniser=Ear, faults=() if cut.case == "outage" else faults, max_live=16)
    if cut.case == "outage":
        server._faults = _Outage(faults)
    return words(run(_call(PLUGINS[cut.plugin], server, pcm)))


def words(text: str) -> list[str]:
    """Without case and punctuation."""
    return re.sub(r"[^\w\s']", " ", text.lower()).split()


async def _call(module: Any, server: LocalServer, pcm: bytes) -> str:
    loop = asyncio.get_running_loop()
    finals: list[str] = []
    # The framework asks the clock how long a link has lived: it is to be told of virtual seconds.
    clock = mock.patch.object(livekit.agents.stt.stt, "time", SimpleNamespace(time=loop.time, perf_counter=loop.time))
    async with server, aiohttp.ClientSession() as http:
        with clock:
            stt = module.STT(api_key="any", base_url=server.base_url, http_session=http)
            stream = stt.stream()
            speaking = asyncio.create_task(_speak(stream, pcm))

            async def hear() -> None:
                async for event in stream:
                    if event.type is SpeechEventType.FINAL_TRANSCRIPT:
                        finals.append(event.alternatives[0].text)

            with contextlib.suppress(Exception):  # what it does not survive shows in the words
                await asyncio.wait_for(hear(), len(pcm) / 2 / SAMPLE_RATE + PATIENCE)
            speaking.cancel()
            with contextlib.suppress(asyncio.CancelledError, RuntimeError):
                await speaking
            await stream.aclose()
            await stt.aclose()
    return " ".join(finals)


async def _speak(stream: Any, pcm: bytes) -> None:
    loop = asyncio.get_running_loop()
    begin, size = loop.time(), round(FRAME_SECONDS * SAMPLE_RATE) * 2
    for number, at in enumerate(range(0, len(pcm), size)):
        await asyncio.sleep(begin + number * FRAME_SECONDS - loop.time())
        piece = pcm[at : at + size]
        stream.push_frame(rtc.AudioFrame(piece, SAMPLE_RATE, 1, len(piece) // 2))
    stream.end_input()


def difference(right: Sequence[str], told: Sequence[str]) -> Difference:
    """What became of ``right``."""
    lost = added = changed = 0
    for kind, a, b, c, d in SequenceMatcher(None, right, told, autojunk=False).get_opcodes():
        if kind != "equal":
            both = min(b - a, d - c)
            lost, added, changed = lost + b - a - both, added + d - c - both, changed + both
    return Difference(lost, added, changed)


def plan(every: float, seconds: float) -> list[Cut]:
    """All the calls, each plugin's undisturbed one first."""
    ats = [every * step for step in range(1, int(seconds / every) + 1)]
    calls = [Cut(plugin, "nothing", at) for plugin in PLUGINS for at in (0.0, *LATER)]
    return calls + [Cut(plugin, case, at) for at in ats for plugin in PLUGINS for case in CASES]


def show(told: dict[Cut, list[str]]) -> None:
    """The table, in Markdown."""
    right = {plugin: told[Cut(plugin, "nothing", 0.0)] for plugin in PLUGINS}
    print(f"{len(right['ours'])} words; each cell: the published plugin / ours")
    print("| what happens | calls | words lost | added | changed | most in one call | calls without any |")
    print("|---|---|---|---|---|---|---|")
    names = {
        "nothing": "nothing, begun some ms later",
        "once": "the link is lost",
        "twice": "and once more 1 s later",
        "outage": "and nobody can connect for 3 s",
    }
    for case, name in names.items():
        rows = [
            [
                difference(right[plugin], told[cut])
                for cut in told
                if cut[:2] == (plugin, case) and (case != "nothing" or cut.at)
            ]
            for plugin in PLUGINS
        ]
        cells = [" / ".join(str(sum(one[column] for one in row)) for row in rows) for column in range(3)]
        cells.append(" / ".join(str(max(map(sum, row), default=0)) for row in rows))
        cells.append(" / ".join(str(sum(not any(one) for one in row)) for row in rows))
        print(f"| {name} | {len(rows[0])} | " + " | ".join(cells) + " |")


def _run(calls: Sequence[Cut], seconds: float | None, jobs: int) -> list[list[str]]:
    if jobs == 1:
        return [heard(cut, seconds) for cut in calls]
    with ProcessPoolExecutor(jobs, initializer=_begin, initargs=(seconds,)) as pool:
        return list(pool.map(partial(heard, seconds=seconds), calls, chunksize=len(CASES)))


def _begin(seconds: float | None) -> None:
    """A process has heard the recording once: up to its cut, a call is answered from memory."""
    logging.disable(logging.CRITICAL)
    for plugin in PLUGINS:
        heard(Cut(plugin, "nothing", 0.0), seconds)


def main(arguments: Sequence[str] | None = None) -> dict[Cut, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=float, default=STEP, help="seconds from one cut to the next")
    parser.add_argument("--seconds", type=float, help="of the recording, from its beginning")
    parser.add_argument("--case", choices=CASES, help="this one alone")
    parser.add_argument("--at", type=float, help="this cut alone")
    parser.add_argument("--plugin", choices=PLUGINS, help="this one alone")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--verbose", "-v", action="store_true", help="tell what differs in each call")
    asked = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    begun = time.perf_counter()
    calls = [
        cut
        for cut in plan(asked.every, len(recording(asked.seconds)) / 2 / SAMPLE_RATE - 1.0)
        if cut.case == "nothing"
        or ((asked.case in (None, cut.case)) and asked.at in (None, cut.at) and asked.plugin in (None, cut.plugin))
    ]
    told = dict(zip(calls, _run(calls, asked.seconds, asked.jobs), strict=True))
    logging.disable(logging.NOTSET)
    if asked.verbose:
        for cut, text in told.items():
            right = told[Cut(cut.plugin, "nothing", 0.0)]
            for kind, a, b, c, d in SequenceMatcher(None, right, text, autojunk=False).get_opcodes():
                if kind != "equal":
                    print(f"{cut.plugin} {cut.case} {cut.at:g}: {' '.join(right[a:b])!r} -> {' '.join(text[c:d])!r}")
    show(told)
    print(f"{len(calls)} calls in {time.perf_counter() - begun:.0f} s")
    return told


if __name__ == "__main__":
    main()
