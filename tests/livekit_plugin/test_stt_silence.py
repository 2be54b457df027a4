"""A caller who says nothing for a long while, at a service that says nothing to that: in virtual time, real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import aiohttp
import pytest
from livekit import rtc
from livekit.agents.stt import SpeechEventType, STTError
from livekit.plugins import smallest_proto, smallestai

from smallest_proto.server.imperfection import Imperfection
from smallest_proto.server.recogniser import CodedRecogniser, CodedSpeech, coded_speech
from smallest_transports.local.server import LocalServer
from tests.virtual_time import run

from .stage import KEY, RATE

FRAME = 0.02  # seconds
SILENT = 40.0  # seconds
SPEECH = coded_speech([2.22, 1, 2, 3, SILENT, 4, 5, 6, 3.0])  # which ends at 44.0 s
NEVER_SILENT = coded_speech([0.5, 4, 5, 6, 3.0])
NO_ANSWERS = (Imperfection(silent_when_empty=True), Imperfection(unanswered=True))


class Told(NamedTuple):
    """What a plugin told of a call."""

    finals: list[tuple[float, str]]  # when, and what
    errors: list[STTError]
    links: int


async def call(module: Any, speech: CodedSpeech, imperfection: Imperfection) -> Told:
    """Speak in real time, flush where a turn detector would: a second after the voice."""
    loop = asyncio.get_running_loop()
    finals: list[tuple[float, str]] = []
    errors: list[STTError] = []
    links: list[object] = []

    def recogniser(options: Any) -> CodedRecogniser:
        links.append(options)
        return CodedRecogniser(options)

    server = LocalServer(recogniser=recogniser, imperfection=imperfection, max_live=8)
    async with server, aiohttp.ClientSession() as http:
        stt = module.STT(api_key=KEY, base_url=server.base_url, http_session=http)
        stt.on("error", errors.append)
        stream = stt.stream()
        began = loop.time()

        async def hear() -> None:
            async for event in stream:
                if event.type is SpeechEventType.FINAL_TRANSCRIPT:
                    finals.append((loop.time() - began, event.alternatives[0].text.strip()))

        hearing = asyncio.create_task(hear())
        for number, frame in enumerate(_frames(speech)):
            await _until(began + number * FRAME)
            stream.push_frame(frame)
            if any(word.end <= number * FRAME * RATE - RATE < word.end + FRAME * RATE for word in speech.words[2::3]):
                stream.flush()
        stream.end_input()
        await hearing
        await stream.aclose()
        await stt.aclose()
    return Told(finals, errors, len(links))


def _frames(speech: CodedSpeech) -> Iterator[rtc.AudioFrame]:
    size = round(FRAME * RATE) * 2
    for at in range(0, len(speech.pcm), size):
        piece = speech.pcm[at : at + size]
        yield rtc.AudioFrame(piece, RATE, 1, len(piece) // 2)


def _until(time: float) -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    due = loop.create_future()
    loop.call_at(time, lambda: due.done() or due.set_result(None))
    return due


@pytest.mark.parametrize("imperfection", NO_ANSWERS, ids=lambda imperfection: imperfection.kinds[0])
def test_a_caller_may_be_silent_for_40_seconds(imperfection: Imperfection) -> None:
    """A link that lives costs no second one, no error and no word; what is said then is final as soon as ever."""
    told = run(call(smallest_proto, SPEECH, imperfection))
    assert [text for _, text in told.finals if text] == ["w1 w2 w3", "w4 w5 w6"]
    assert told.errors == []
    assert told.links == 1
    theirs = run(call(smallestai, SPEECH, imperfection))
    assert [text for _, text in theirs.finals if text] == ["w1 w2 w3", "w4 w5 w6"]
    spoken = SPEECH.words[-1].end / RATE
    assert spoken == 44.0
    assert spoken < _when(told, "w4 w5 w6") <= _when(theirs, "w4 w5 w6") + FRAME
    # As soon as in a call that was never silent.
    fresh = run(call(smallest_proto, NEVER_SILENT, imperfection))
    waited = _when(fresh, "w4 w5 w6") - NEVER_SILENT.words[-1].end / RATE
    assert _when(told, "w4 w5 w6") - spoken == pytest.approx(waited, abs=2 * FRAME)


def _when(told: Told, text: str) -> float:
    return next(time for time, final in told.finals if final == text)
