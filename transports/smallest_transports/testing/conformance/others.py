"""Servers that no one here wrote, those of websockets and aiohttp, with a service that the cases look into."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from aiohttp import web
    from websockets.asyncio.server import ServerConnection

LAST = {"type": "transcription", "transcript": "the last", "is_final": True, "is_last": True}


class Service:
    """A service that answers ``finalize`` and ``close_stream``, and keeps what it was sent.

    Each 5 s of linear16 at 16 kHz become final as they come, as a service does; what is given faster waits for that.
    """

    def __init__(self) -> None:
        self.audio = bytearray()
        self.targets: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.texts: list[str] = []
        self.bodies: list[bytes] = []

    def note(self, target: str, headers: Any) -> None:
        self.targets.append(target)
        self.headers.append({name.lower(): value for name, value in headers.items()})

    async def hear(self, message: str | bytes, send: Callable[[str], Awaitable[Any]]) -> bool:
        """Take a message and answer it; whether it was the last."""
        if isinstance(message, bytes):
            finals = len(self.audio) // 160_000
            self.audio += message
            if len(self.audio) // 160_000 > finals:
                end = len(self.audio) / 32_000
                heard = {"transcript": "so", "is_final": True, "words": [{"word": "so", "start": end - 1, "end": end}]}
                await send(json.dumps({"type": "transcription", **heard}))
            return False
        self.texts.append(message)
        kind = json.loads(message)["type"]
        if kind == "finalize":
            heard = {"transcript": f"{len(self.audio)} bytes", "is_final": True, "from_finalize": True}
            await send(json.dumps({"type": "transcription", **heard}))
        elif kind == "close_stream":
            await send(json.dumps(LAST))
            return True
        return False


Serve = Callable[[Service, "ssl.SSLContext | None"], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def serve_by_websockets(service: Service, tls: ssl.SSLContext | None) -> AsyncIterator[str]:
    """The server of websockets; the case is skipped where it is not installed."""
    serve = pytest.importorskip("websockets.asyncio.server").serve

    async def talk(socket: ServerConnection) -> None:
        assert socket.request is not None
        service.note(socket.request.path, socket.request.headers)
        async for message in socket:
            if await service.hear(message, socket.send):
                await socket.close(1000)

    async with serve(talk, "127.0.0.1", 0, ssl=tls, max_size=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}/waves/v1"


@asynccontextmanager
async def serve_by_aiohttp(service: Service, tls: ssl.SSLContext | None) -> AsyncIterator[str]:
    """The server of aiohttp; the case is skipped where it is not installed."""
    pytest.importorskip("aiohttp")
    from aiohttp import WSMsgType, web

    async def talk(request: web.Request) -> web.StreamResponse:
        service.note(request.path_qs, request.headers)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) and await service.hear(message.data, socket.send_str):
                await socket.close(code=1000)
        return socket

    async def transcribe(request: web.Request) -> web.StreamResponse:
        service.note(request.path_qs, request.headers)
        service.bodies.append(await request.read())
        return web.json_response({"transcription": "said in a file", "request_id": "r-1"})

    app = web.Application(client_max_size=2**26)
    app.router.add_get("/waves/v1/stt/live", talk)
    app.router.add_post("/waves/v1/stt/", transcribe)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}/waves/v1"
    finally:
        await runner.cleanup()
