"""The vendor's SDK: files, live, speech over each road it has, and its command.

Its hosts are those of a ``SmallestAIEnvironment``, which is an argument; its command reads ``SMALLEST_BASE_URL``.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from smallestai import AsyncSmallestAI, SmallestAI
from smallestai.core.api_error import ApiError
from smallestai.environment import SmallestAIEnvironment
from smallestai.waves.helpers import stream_speech_to_text, synthesize_to_file
from smallestai.waves.speech_to_text.types.close_stream import CloseStream
from smallestai.waves.speech_to_text.types.finalize_signal import FinalizeSignal
from smallestai.waves.streaming_tts.types.stream_tts_request_message import StreamTtsRequestMessage
from smallestai.waves.tts.types.tts_request_message import TtsRequestMessage
from tell import TEXT, Check, NotRun, arguments, heard, pieces, spoken, tell, waits

BASE_URL, AUDIO = arguments()
HOST = BASE_URL.removesuffix("/waves/v1")  # the SDK adds the path
ENVIRONMENT = SmallestAIEnvironment(
    atoms=f"{HOST}/atoms/v1", waves=HOST, waves_ws=HOST.replace("http", "ws", 1), payment=HOST
)
VOICE, RATE = "sophia", 24000  # Hz
SERVICE_RATE = 44100  # Hz, where none is asked for
PIECE = 0.05  # seconds: what the service asks for

client = SmallestAI(api_key="any", environment=ENVIRONMENT)


def of_wav(data: bytes) -> str:
    with wave.open(io.BytesIO(data)) as file:
        return spoken(file.readframes(file.getnframes()), file.getframerate())


# Transcription.


def file() -> str:
    answer = client.waves.speech_to_text.transcribe(
        model="pulse", language="en", request=Path(AUDIO).read_bytes(), word_timestamps=True
    )
    return f"{heard(answer.transcription)}, {len(answer.words)} of them with times"


def live() -> str:
    rate, parts = pieces(AUDIO, PIECE)
    with stream_speech_to_text(client, language="en", sample_rate=rate) as stream:

        def speak() -> None:
            for number, (part, wait) in enumerate(zip(parts, waits(PIECE), strict=False)):
                time.sleep(wait)
                stream.send_audio_chunk_out(part)
                if number == len(parts) // 2:
                    stream.send_finalize_signal(FinalizeSignal(type="finalize"))
            stream.send_close_stream(CloseStream(type="close_stream"))

        speaking = threading.Thread(target=speak, daemon=True)
        speaking.start()
        told = finals_of(stream)
        speaking.join()
    return told


def live_async() -> str:
    async def run() -> str:
        rate, parts = pieces(AUDIO, PIECE)
        theirs = AsyncSmallestAI(api_key="any", environment=ENVIRONMENT)
        async with stream_speech_to_text(theirs, language="en", sample_rate=rate) as stream:

            async def speak() -> None:
                for part, wait in zip(parts, waits(PIECE), strict=False):
                    await asyncio.sleep(wait)
                    await stream.send_audio_chunk_out(part)
                await stream.send_close_stream(CloseStream(type="close_stream"))

            speaking = asyncio.create_task(speak())
            events = [event async for event in stream]
            await speaking
        return finals_of(events)

    return asyncio.run(run())


def finals_of(events: Iterable[Any]) -> str:
    finals = [event for event in events if event.is_final]
    if not finals[-1].is_last:
        raise AssertionError("no final with `is_last`")
    return f"{heard(' '.join(event.transcript for event in finals))}, {len(finals)} finals, the last with `is_last`"


def finalize_as_its_page_says() -> str:
    with stream_speech_to_text(client, language="en") as stream:
        stream.send_finalize_signal({"type": "finalize"})
    return "sent"


# Speech.


def one_reply() -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        synthesize_to_file(client, TEXT, voice_id=VOICE, path=str(path))
        return of_wav(path.read_bytes())


def one_reply_by_default() -> str:
    data = b"".join(client.waves.synthesize_tts(text=TEXT, voice_id=VOICE))
    return f"{spoken(data, SERVICE_RATE)}, raw samples"


def server_sent_events() -> str:
    events = list(client.waves.synthesize_sse_tts(text=TEXT, voice_id=VOICE, sample_rate=RATE))
    if not events:
        raise AssertionError("no event came through")
    return spoken(b"".join(base64.b64decode(json.loads(event).get("audio", "")) for event in events), RATE)


def socket() -> str:
    audio, words, began = b"", 0, time.monotonic()
    with client.waves.tts.connect() as stream:
        stream.synthesize_streaming_tts(
            TtsRequestMessage(voice_id=VOICE, text=TEXT, sample_rate=RATE, word_timestamps=True)
        )
        for message in stream:
            if message.status == "complete":
                break
            if message.status == "error":
                raise AssertionError(message.message)
            audio += base64.b64decode(message.data.audio or "") if message.status == "chunk" else b""
            words += message.status == "word_timestamp"
    return f"{spoken(audio, RATE)}, {words} word times, `complete` after {time.monotonic() - began:.1f} s"


def socket_async() -> str:
    async def run() -> str:
        audio = b""
        theirs = AsyncSmallestAI(api_key="any", environment=ENVIRONMENT)
        async with theirs.waves.tts.connect() as stream:
            await stream.synthesize_streaming_tts(TtsRequestMessage(voice_id=VOICE, text=TEXT, sample_rate=RATE))
            async for message in stream:
                if message.status != "chunk":
                    break
                audio += base64.b64decode(message.data.audio or "")
        return spoken(audio, RATE)

    return asyncio.run(run())


def retired_socket() -> str:
    with client.waves.streaming_tts.connect() as stream:
        stream.synthesize_streaming(StreamTtsRequestMessage(voice_id=VOICE, text=TEXT))
        return stream.recv().status


def old_model() -> str:
    try:
        client.waves.synthesize_lightning_v2()
    except ApiError as error:
        raise AssertionError(f"HTTP {error.status_code}") from None
    return "an answer"


def hard_coded() -> str:
    raise NotRun("not run")


# Voices, and the command.


def voices() -> str:
    of_model = client.waves.get_voices(model="lightning-v3.1").voices
    catalog = client.waves.voices.get_all_voice_models().voices
    return f"{len(of_model)} voices of the model, a catalog of {len(catalog)}"


def command(*words: str) -> str:
    environment = {**os.environ, "SMALLEST_BASE_URL": HOST, "SMALLEST_API_KEY": "any"}
    program = Path(sys.executable).parent / "smallestai"
    done = subprocess.run([program, "models", *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr or done.stdout)
    return done.stdout


def command_stt() -> str:
    return heard(command("stt", AUDIO))


def command_tts() -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command("tts", TEXT, "--voice-id", VOICE, "--out", str(path))
        return of_wav(path.read_bytes())


def command_voices() -> str:
    return f"{len(json.loads(command('voices', '--json'))['voices'])} voices"


tell(
    "smallestai",
    [
        Check("`speech_to_text.transcribe()`", file),
        Check("`stream_speech_to_text()`, a finalize in the middle", live),
        Check("the same, asynchronous", live_async),
        Check(
            'a finalize as its helper\'s page writes it, `{"type": "finalize"}`',
            finalize_as_its_page_says,
            "the example of its own page: the method takes a `FinalizeSignal` alone",
            "has no attribute 'dict'",
        ),
        Check("`synthesize_to_file()`", one_reply),
        Check("`synthesize_tts()`, no format named", one_reply_by_default),
        Check(
            "`synthesize_sse_tts()`",
            server_sent_events,
            "it reads the JSON of every event as a `str`, fails, and skips it, whoever the server is",
            "no event came through",
        ),
        Check("`tts.connect()`, word times", socket),
        Check("the same, asynchronous", socket_async),
        Check(
            "`streaming_tts.connect()`",
            retired_socket,
            "its path, `/streaming-tts/stream`, is in none of the service's API files; and it catches what an older "
            "`websockets` raised, so no refusal becomes its `ApiError`",
            "HTTP 404",
        ),
        Check(
            "`synthesize_lightning_v2()`",
            old_model,
            "the model is retired, and the method takes no text",
            "HTTP 410",
        ),
        Check("`WavesStreamingTTS`", hard_coded, "its host is a constant, `WS_URL`, which nothing documented changes"),
        Check("`get_voices()`, `get_all_voice_models()`", voices),
        Check("`smallestai models stt`", command_stt),
        Check("`smallestai models tts`", command_tts),
        Check("`smallestai models voices`", command_voices),
    ],
)
