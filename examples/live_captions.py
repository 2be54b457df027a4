"""Live captions from a microphone: interims move, finals stay. Needs ``pip install sounddevice``.

Usage: ``smallest-proto serve`` in one terminal, ``python examples/live_captions.py`` in another. Ctrl-C ends.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import sounddevice

from smallest_proto import FinalTranscript, InterimTranscript, TranscriptionConfig
from smallest_transports.asyncio import Client

RATE = 16000  # Hz
PIECE = RATE // 20  # samples: 50 ms


async def microphone() -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    def keep(data: object, *_: object) -> None:  # on a thread of the sound system's
        loop.call_soon_threadsafe(heard.put_nowait, bytes(data))  # type: ignore[arg-type]

    with sounddevice.RawInputStream(samplerate=RATE, channels=1, dtype="int16", blocksize=PIECE, callback=keep):
        while piece := await heard.get():
            yield piece


async def main() -> None:
    config = TranscriptionConfig(language="en", sample_rate=RATE)
    base_url = os.environ.get("SMALLEST_BASE_URL", "http://127.0.0.1:8765")
    async with Client(api_key="any", base_url=base_url) as client:
        async with client.transcribe_live(microphone(), config) as events:
            async for event in events:
                if isinstance(event, InterimTranscript):
                    sys.stdout.write(f"\r\033[K{event.text[-78:]}")
                elif isinstance(event, FinalTranscript) and event.text:
                    sys.stdout.write(f"\r\033[K{event.text}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print()
