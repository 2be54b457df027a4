"""The calls of the page: a browser's microphone transcribed, a text spoken, by this library's own client.

Everything between the client and the server goes over a real link, whose faults are asked for by the browser.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from smallest_proto.config import SynthesisConfig, Timeouts, TranscriptionConfig
from smallest_proto.errors import ConfigurationError, RemoteError
from smallest_proto.events import EndReason, LinkLost, LinkOpened, SessionEnded
from smallest_proto.synthesis.events import AudioChunk, SpeechEvent, SpokenSoFar, WordSpoken
from smallest_proto.transcription.events import AudioLost, Event, FinalTranscript, InterimTranscript
from smallest_transports import pictures
from smallest_transports.asyncio import Client, SynthesisStream, TranscriptionStream
from smallest_transports.local.faults import FaultPlan
from smallest_transports.local.server import LocalServer
from smallest_transports.local.together import together

from .socket import Browser

SPEECH_RATE = 24000  # Hz; the browser resamples to what its loudspeaker has
LAST_SECONDS = 60.0  # for the last final: a recogniser on a small machine can be behind
PICTURE_SECONDS = 0.5  # between two pictures, at least: what grows is seen to grow
PICTURE_PART = 0.1  # of the time, at most, goes into pictures, however long the call is


class _Call:
    """What every call has: a browser, a client with faults of its own, a picture."""

    def __init__(self, browser: Browser, client: Client, faults: FaultPlan, watch: pictures.Watch) -> None:
        self.browser = browser
        self.client = client
        self._faults = faults
        self._watch = watch

    async def fault(self, message: Mapping[str, Any]) -> None:
        """Do to the link what the browser asks for, if it does."""
        if isinstance(name := message.get("fault"), str):
            try:
                self._faults.do_next(name)
            except ConfigurationError as error:
                await self.browser.tell({"kind": "refused", "why": str(error)})

    async def link(self, event: object, at: float) -> None:
        """Tell of a link that came or went."""
        if isinstance(event, LinkOpened):
            await self.browser.tell({"kind": "opened", "at": at, "link": event.link})
        elif isinstance(event, LinkLost):
            await self.browser.tell({"kind": "lost", "at": at, "link": event.link, "why": event.failure.reason})

    async def paint(self) -> None:
        """Tell what the call looks like by now."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await self.picture()
            await asyncio.sleep(max(PICTURE_SECONDS, (loop.time() - began) / PICTURE_PART))

    async def picture(self) -> None:
        scenes = msgspec.Raw(pictures.scenes(self._watch.calls()))
        await self.browser.tell({"kind": "picture", "scenes": scenes})


@contextlib.asynccontextmanager
async def _call(browser: Browser, server: LocalServer) -> AsyncIterator[_Call]:
    """A call; whatever it fails with, the browser is told. At its end the browser is told what it looked like."""
    watch = pictures.Watch()
    try:
        with server.faults_apart() as (options, faults):
            options["timeouts"] = Timeouts(last=LAST_SECONDS)
            options["trace"], options["trace_private"] = watch.line, True
            async with Client(**options) as client:
                call = _Call(browser, client, faults, watch)
                try:
                    yield call
                except (RemoteError, ConfigurationError) as error:
                    await browser.tell({"kind": "failed", "why": str(error)})
            await call.picture()
        await browser.close()
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            await browser.close(1001, "the server goes away")
        raise


async def hear(browser: Browser, server: LocalServer) -> None:
    """Transcribe what a microphone hears: 16-bit samples, mono, of ``rate`` Hz."""
    async with _call(browser, server) as call:
        rate = browser.query.get("rate", "")
        config = TranscriptionConfig(language="en", sample_rate=int(rate) if rate.isdecimal() else 16000)
        async with call.client.stream_transcription(config) as stream:
            await together(
                _tell_heard(call, stream), _give_audio(call, stream), call.paint(), until=asyncio.FIRST_COMPLETED
            )


async def _give_audio(call: _Call, stream: TranscriptionStream) -> None:
    ended = False
    async for message in call.browser.messages():
        if isinstance(message, bytes):
            if not ended:
                await stream.send_audio(message)
        elif message.get("end") and not ended:
            ended = True
            await stream.end_input()
        else:
            await call.fault(message)


async def _tell_heard(call: _Call, stream: TranscriptionStream) -> None:
    async for event in stream:
        await call.link(event, stream.stats.seconds_given)
        if (told := _heard(event)) is not None:
            await call.browser.tell(told)


def _heard(event: Event) -> dict[str, Any] | None:
    if isinstance(event, InterimTranscript):
        return {"kind": "interim", "start": event.start, "end": event.end, "text": event.text}
    if isinstance(event, FinalTranscript) and event.text:
        return {"kind": "final", "start": event.start, "end": event.end, "text": event.text}
    if isinstance(event, AudioLost):
        return {"kind": "gap", "start": event.start, "end": event.end, "why": event.reason}
    if isinstance(event, SessionEnded) and event.reason is EndReason.INCOMPLETE:
        return {"kind": "failed", "why": "The last final did not come: the end may be missing."}
    return None


async def speak(browser: Browser, server: LocalServer) -> None:
    """Speak the text that comes first: audio as it is made, words with their times; until it was heard, or no more is
    wanted."""
    async with _call(browser, server) as call:
        config = SynthesisConfig(sample_rate=SPEECH_RATE, word_timestamps=True)
        async with call.client.stream_synthesis(config, resume=True) as stream:
            await together(
                _tell_spoken(call, stream), _give_text(call, stream), call.paint(), until=asyncio.FIRST_COMPLETED
            )


async def _give_text(call: _Call, stream: SynthesisStream) -> None:
    async for message in call.browser.messages():
        if isinstance(message, bytes):
            continue
        if isinstance(text := message.get("text"), str):
            await stream.send_text(text)
            await stream.end_input()
        elif message.get("over"):
            return
        else:
            await call.fault(message)


async def _tell_spoken(call: _Call, stream: SynthesisStream) -> None:
    seconds = 0.0
    async for event in stream:
        if isinstance(event, AudioChunk):
            seconds = event.start + (event.samples or 0) / SPEECH_RATE
            await call.browser.tell(event.data)
        await call.link(event, seconds)
        if (told := _spoken(event)) is not None:
            await call.browser.tell(told)
    await call.browser.tell({"kind": "done"})
    await asyncio.Event().wait()  # what is on its way to the loudspeaker can still be cut off


def _spoken(event: SpeechEvent) -> dict[str, Any] | None:
    if isinstance(event, WordSpoken):
        return {"kind": "word", "start": event.start, "end": event.end, "text": event.written or event.text}
    if isinstance(event, SpokenSoFar):
        return {"kind": "cut", "at": event.seconds, "spoken": event.spoken, "unspoken": event.unspoken}
    return None
