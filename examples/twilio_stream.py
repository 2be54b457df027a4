"""A telephone call over Twilio's Media Streams, both ways: 8 kHz µ-law comes and goes as it is, nothing is resampled.

Usage: ``python examples/twilio_stream.py 8080``, and TwiML of ``<Connect><Stream url="wss://your.host/media"/></Connect>``.
It says again what it heard, and is silent when the caller speaks.
"""

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import WSMsgType, web

from smallest_proto import FinalTranscript, SpeechStarted, SynthesisConfig, TranscriptionConfig
from smallest_transports.aiohttp import Client

HEARING = TranscriptionConfig(encoding="mulaw", sample_rate=8000)
SPEAKING = SynthesisConfig(output_format="ulaw", sample_rate=8000)


class Call:
    def __init__(self, client: Client, socket: web.WebSocketResponse) -> None:
        self.client, self.socket = client, socket
        self.stream = ""  # Twilio's name for it
        self.speaking: asyncio.Task[None] | None = None

    async def caller(self) -> AsyncIterator[bytes]:
        async for message in self.socket:
            told = message.json() if message.type is WSMsgType.TEXT else {}
            if told.get("event") == "start":
                self.stream = told["start"]["streamSid"]
            elif told.get("event") == "media":
                yield base64.b64decode(told["media"]["payload"])
            elif told.get("event") == "stop":
                return

    async def talk(self) -> None:
        async with self.client.transcribe_live(self.caller(), HEARING) as events:
            async for event in events:
                if isinstance(event, SpeechStarted):
                    await self.silence()
                elif isinstance(event, FinalTranscript) and event.text:
                    await self.silence()
                    self.speaking = asyncio.create_task(self.say(f"You said: {event.text}"))
        if self.speaking is not None:
            await self.speaking

    async def say(self, text: str) -> None:
        async for chunk in self.client.synthesize(text, SPEAKING, sse=True):
            await self.tell("media", media={"payload": base64.b64encode(chunk.data).decode()})

    async def silence(self) -> None:
        """The caller speaks: nothing more is said, and what Twilio has not played yet is dropped."""
        if self.speaking is not None:
            self.speaking.cancel()
            with suppress(asyncio.CancelledError):
                await self.speaking
            self.speaking = None
            await self.tell("clear")

    async def tell(self, event: str, **more: object) -> None:
        await self.socket.send_json({"event": event, "streamSid": self.stream, **more})


async def media(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    base_url = os.environ.get("SMALLEST_BASE_URL", "http://127.0.0.1:8765")
    async with Client(api_key="any", base_url=base_url) as client:
        await Call(client, socket).talk()
    return socket


def application() -> web.Application:
    app = web.Application()
    app.router.add_get("/media", media)
    return app


if __name__ == "__main__":
    web.run_app(application(), port=int(sys.argv[1]))
