"""The published LiveKit plugin, with its default settings but for the URLs, which are arguments of its classes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import aiohttp
from livekit import rtc
from livekit.agents import stt, tts
from livekit.plugins import smallestai
from tell import TEXT, Check, arguments, heard, pieces, spoken, tell, waits

BASE_URL, AUDIO = arguments()
SOCKET_URL = f"{BASE_URL.replace('http', 'ws', 1)}/tts/live"
FRAME = 0.02  # seconds: what a LiveKit room gives
TOKENS = TEXT.split(" ")

Try = Callable[[aiohttp.ClientSession], Awaitable[str]]


def within_session(attempt: Try) -> Callable[[], str]:
    """Outside an agent's job the plugin needs a session of the caller's."""

    async def run() -> str:
        async with aiohttp.ClientSession() as session:
            return await attempt(session)

    return lambda: asyncio.run(run())


def frames() -> list[rtc.AudioFrame]:
    rate, parts = pieces(AUDIO, FRAME)
    return [rtc.AudioFrame(part, rate, 1, len(part) // 2) for part in parts]


async def live(session: aiohttp.ClientSession) -> str:
    recogniser = smallestai.STT(api_key="any", base_url=BASE_URL, http_session=session)
    kinds, finals = list[stt.SpeechEventType](), list[str]()
    async with recogniser.stream() as stream:
        speaking = asyncio.create_task(speak(stream))
        async for event in stream:
            kinds.append(event.type)
            if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
                finals.append(event.alternatives[0].text)
        await speaking
    import sys

    print([k.name for k in kinds], file=sys.stderr)
    return f"{heard(' '.join(finals))}, {len(finals)} finals, {turns(kinds)}"


def turns(kinds: Sequence[stt.SpeechEventType]) -> str:
    """How many starts of speech there were; one that begins with a final is nobody's speaking."""
    names = [kind.name for kind in kinds]
    starts = [index for index, name in enumerate(names) if name == "START_OF_SPEECH"]
    false = [index for index in starts if names[index + 1] == "FINAL_TRANSCRIPT"]
    return f"{len(starts)} turns" + (f", {len(false)} of them false" if false else "")


async def speak(stream: stt.RecognizeStream) -> None:
    for frame, wait in zip(frames(), waits(FRAME), strict=False):
        await asyncio.sleep(wait)
        stream.push_frame(frame)
    stream.end_input()


async def file(session: aiohttp.ClientSession) -> str:
    recogniser = smallestai.STT(api_key="any", base_url=BASE_URL, http_session=session)
    event = await recogniser.recognize(frames())
    return f"{heard(event.alternatives[0].text)}, {len(event.alternatives[0].words or ())} of them with times"


async def one_reply(session: aiohttp.ClientSession) -> str:
    voice = smallestai.TTS(api_key="any", base_url=BASE_URL, ws_url=SOCKET_URL, http_session=session)
    frame = await voice.synthesize(TEXT).collect()
    return spoken(bytes(frame.data), frame.sample_rate)


async def socket(session: aiohttp.ClientSession, **options: bool) -> str:
    voice = smallestai.TTS(api_key="any", base_url=BASE_URL, ws_url=SOCKET_URL, http_session=session, **options)
    told = [await segment(voice) for _ in range(2)]  # the second may use the first one's connection
    await voice.aclose()
    return f"{told[0]}, then {told[1]}"


async def segment(voice: tts.TTS) -> str:
    got, words, rate = b"", 0, voice.sample_rate
    async with voice.stream() as stream:
        for token in TOKENS:
            stream.push_text(f"{token} ")
        stream.end_input()
        async for audio in stream:
            got += bytes(audio.frame.data)
            words += len(audio.frame.userdata.get("lk.timed_transcripts", ()))
    return spoken(got, rate) + (f" with {words} word times" if words else "")


tell(
    "livekit-plugins-smallestai",
    [
        Check(
            "`STT.stream()`, audio in real time",
            within_session(live),
            "a final that comes after the end of speech opens a turn of its own, and ends it",
            "of them false",
        ),
        Check("`STT.recognize()`", within_session(file)),
        Check("`TTS.synthesize()`", within_session(one_reply)),
        Check("`TTS.stream()` (continuations), two segments", within_session(socket)),
        Check("`TTS.stream()` with word times", within_session(partial(socket, word_timestamps=True))),
        Check("`TTS.stream()`, plain protocol, two segments", within_session(partial(socket, use_continuations=False))),
    ],
)
