"""Barge-in: the caller speaks while the agent does. The agent falls silent at once, and knows what the caller heard.

Usage: ``python examples/barge_in.py``. What was heard is what a language model should be told of its own last turn.
"""

import asyncio
import os
from collections.abc import AsyncIterator

from smallest_proto import AudioChunk, SegmentDone, SpokenSoFar, SynthesisConfig, WordSpoken
from smallest_transports.asyncio import Client

ANSWER = "We are open from nine to five on weekdays. On Saturdays we open at ten, and on Sundays we"
INTERRUPTED = 6  # words after which the caller speaks; in a call, voice activity says when


async def answer() -> AsyncIterator[str]:
    """What a language model writes, token by token; it is still writing when the caller speaks."""
    for token in ANSWER.split(" "):
        yield f"{token} "


async def main() -> None:
    base_url = os.environ.get("SMALLEST_BASE_URL", "http://127.0.0.1:8765")
    config = SynthesisConfig(continuations=True, word_timestamps=True)  # the cut is exact to the word
    async with Client(api_key="any", base_url=base_url) as client:
        async with client.stream_synthesis(config, strict=False) as stream:
            async for token in answer():
                await stream.send_text(token)
            words, seconds = list[WordSpoken](), 0.0
            async for event in stream:
                if isinstance(event, AudioChunk):
                    seconds += (event.samples or 0) / config.sample_rate  # event.data goes to the loudspeaker
                elif isinstance(event, WordSpoken) and event.segment == 0:
                    words.append(event)
                    if len(words) == INTERRUPTED:
                        await stream.cancel()  # silent from here on; drop what the loudspeaker has not played, too
                        await stream.send_text("Go ahead.")  # the next segment, on a warm connection
                        await stream.end_input()
                elif isinstance(event, SpokenSoFar):
                    # Audio comes faster than it is played. Of a segment that was played to its end, it is event.spoken.
                    heard = "".join(word.written for word in words[:INTERRUPTED])
                    print(f"heard: {heard.strip()}")
                    print(f"came: {event.spoken.strip()}")
                    print(f"never spoken: {event.unspoken.strip()}")
                elif isinstance(event, SegmentDone):
                    print(f"segment {event.segment} is done")


if __name__ == "__main__":
    asyncio.run(main())
