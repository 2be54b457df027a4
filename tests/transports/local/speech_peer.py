"""A client of the server's speech, by ``websockets`` and ``aiohttp``; the server speaks coded audio."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import aiohttp
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from smallest_proto.server.recogniser import CodedRecogniser
from smallest_proto.server.synthesiser import CodedSynthesiser
from smallest_transports.local.server import LocalServer

KEY = {"Authorization": "Bearer sk-test-key"}
SPEAK = "/tts/live"
# Whoever does not want to wait for complete says so: the service's default is 4 s.
VOICE = {"voice_id": "sophia", "sample_rate": 16000, "complete_backoff_ms": 0}


def coded(**more: Any) -> LocalServer:
    """A server that hears and speaks coded audio."""
    return LocalServer(recogniser=CodedRecogniser, synthesiser=CodedSynthesiser, **more)


async def say(socket: ClientConnection, **message: Any) -> None:
    """One message, with a voice if it names none."""
    await socket.send(json.dumps({**VOICE, **message}))


async def listen(socket: ClientConnection, completes: int = 1) -> tuple[bytes, list[dict[str, Any]]]:
    """The audio and the other messages, up to so many completes, an error, or the end of the socket."""
    pcm, others = b"", list[dict[str, Any]]()
    try:
        while not others or (others[-1]["status"] != "error" and completes):
            message = json.loads(await socket.recv())
            if message["status"] == "chunk":
                pcm += base64.b64decode(message["data"]["audio"])
                continue
            others.append(message)
            completes -= message["status"] == "complete"
    except ConnectionClosed:
        pass
    return pcm, others


async def post(
    server: LocalServer, path: str = "/tts", headers: Mapping[str, str] = KEY, **body: Any
) -> tuple[int, bytes, Mapping[str, str]]:
    """Ask for speech over HTTP: status, body, headers."""
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(server.base_url + path, json={**VOICE, **body}) as answer,
    ):
        return answer.status, await answer.read(), answer.headers
