"""What the tests of the transports share: certificates, servers by other hands, and a look at what is left behind."""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import pytest
import trustme
from aiohttp import WSMsgType, web
from websockets.asyncio.server import ServerConnection, serve

LAST = {"type": "transcription", "transcript": "the last", "is_final": True, "is_last": True}


class Tls(NamedTuple):
    """Both sides of TLS on loopback."""

    server: ssl.SSLContext
    of_another: ssl.SSLContext  # a server with another's name in its certificate
    client: ssl.SSLContext


@pytest.fixture(scope="session")
def tls() -> Tls:
    authority = trustme.CA()
    server, another = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.create_default_context()
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    authority.issue_cert("elsewhere.example").configure_cert(another)
    authority.configure_trust(client)
    return Tls(server, another, client)


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
        self.gone = asyncio.Event()  # a client's connection is over

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
    async def talk(socket: ServerConnection) -> None:
        assert socket.request is not None
        service.note(socket.request.path, socket.request.headers)
        try:
            async for message in socket:
                if await service.hear(message, socket.send):
                    await socket.close(1000)
        finally:
            service.gone.set()

    async with serve(talk, "127.0.0.1", 0, ssl=tls, max_size=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}/waves/v1"


@asynccontextmanager
async def serve_by_aiohttp(service: Service, tls: ssl.SSLContext | None) -> AsyncIterator[str]:
    async def talk(request: web.Request) -> web.StreamResponse:
        service.note(request.path_qs, request.headers)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        try:
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) and await service.hear(
                    message.data, socket.send_str
                ):
                    await socket.close(code=1000)
        finally:
            service.gone.set()
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


@pytest.fixture(params=[serve_by_websockets, serve_by_aiohttp], ids=["websockets", "aiohttp"])
def serve_live(request: pytest.FixtureRequest) -> Serve:
    """A live service on a real socket, written with a library that is not ours."""
    made: Serve = request.param
    return made


@pytest.fixture
def serve_files() -> Serve:
    """A service for files, and for live links as well."""
    return serve_by_aiohttp


@pytest.fixture
def make_service() -> type[Service]:
    """Makes the other end, inside a running loop."""
    return Service


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _serve_bytes(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(reader, writer)
        except OSError:
            pass  # the client went away, which is the point of some tests
        except asyncio.CancelledError:
            pass  # the test is over; asyncio.streams would log it
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/waves/v1"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        await server.wait_closed()


@pytest.fixture
def serve_bytes() -> Callable[..., AbstractAsyncContextManager[str]]:
    """A server that is a function of a reader and a writer: for what no library would do."""
    return _serve_bytes


@contextmanager
def _nothing_left() -> Iterator[None]:
    loop = asyncio.get_running_loop()
    yield
    assert [task for task in asyncio.all_tasks() if "smallest_transports" in _file_of(task)] == []
    armed = [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
    assert [handle for handle in armed if "smallest_transports" in repr(handle)] == []
    # What is left holds its loop, so it is found when it is collected: as a ResourceWarning, which is an error.
    gc.collect()


def _file_of(task: asyncio.Task[Any]) -> str:
    coroutine: Any = task.get_coro()
    return str(coroutine.cr_code.co_filename)


@pytest.fixture
def nothing_left() -> Callable[[], Any]:
    """``with nothing_left():`` around a client's whole life, inside the loop: no task, timer or socket of it stays."""
    return _nothing_left


@pytest.fixture
def run() -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Runs a coroutine function in a new loop; what the loop complains of, but for servers, fails the test."""

    def run(main: Callable[[], Awaitable[None]]) -> None:
        complaints: list[Any] = []

        def complain(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            # In debug mode asyncio tells of each TLS handshake that a client of a server did not finish.
            if "incoming connection" not in context["message"]:
                complaints.append(context)

        async def complaining() -> None:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(complain)
            await main()
            await asyncio.sleep(0)

        asyncio.run(complaining())
        gc.collect()
        assert complaints == []

    return run
