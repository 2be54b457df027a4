"""trio: a transcription that may take so long and no longer. What is cancelled leaves no task and no socket behind.

Usage: ``python examples/trio_timeout.py speech.wav 5``: at most 5 s.
"""

import os
import sys

import trio

from smallest_proto import FinalTranscript
from smallest_transports.trio import Client


async def main(path: str, seconds: float) -> None:
    base_url = os.environ.get("SMALLEST_BASE_URL", "http://127.0.0.1:8765")
    async with Client(api_key="any", base_url=base_url) as client:
        with trio.move_on_after(seconds) as scope:
            async with client.transcribe_live(path) as events:
                async for event in events:
                    if isinstance(event, FinalTranscript):
                        print(f"{event.start:6.2f} s  {event.text}")
        if scope.cancelled_caught:  # the block above was left: its connection is gone
            print(f"not done after {seconds:g} s")
        print(len(await client.voices()), "voices: the client goes on")


if __name__ == "__main__":
    trio.run(main, sys.argv[1], float(sys.argv[2]))
