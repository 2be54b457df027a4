"""The models and the recording, loaded once; clients of the server that others wrote."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import numpy as np
import pytest
import soundfile
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from smallest_proto.config import TranscriptionConfig
from smallest_proto.server.recogniser import Recognised, RecogniserFactory
from smallest_transports.local.files import read_samples
from smallest_transports.local.pcm import Samples
from smallest_transports.local.recogniser import Engines, engines
from smallest_transports.local.recordings import two_cities
from smallest_transports.local.server import LocalServer
from smallest_transports.local.synthesiser import HibariSynthesiser, synthesiser

from .speech_peer import KEY

LIVE = "/stt/live?model=pulse&language=en&encoding=linear16&sample_rate=16000"


@pytest.fixture(scope="session")
def models() -> Engines:
    return engines()


@pytest.fixture(scope="session")
def voice() -> HibariSynthesiser:
    return synthesiser()


@pytest.fixture(scope="session")
def reading() -> Samples:
    """The human recording, 16 kHz."""
    return read_samples(two_cities().path)


@pytest.fixture(scope="session")
def spoken(voice: HibariSynthesiser) -> Samples:
    """A short sentence by the synthetic voice, 16 kHz, with silence around it."""
    (speech,) = voice.speak("Please call me back on Tuesday morning.", sample_rate=16000)
    silence = np.zeros(16000, np.float32)
    return np.concatenate((silence, np.frombuffer(speech.pcm, "<i2").astype(np.float32) / 2**15, silence))


@pytest.fixture
def run() -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Runs a test to the end in a new loop; then nothing may be left of it."""

    def run(test: Callable[[], Awaitable[None]]) -> None:
        async def checked() -> None:
            await asyncio.wait_for(test(), 60)
            for _ in range(3):  # what a client has cancelled, but not awaited, ends in the next turns of the loop
                await asyncio.sleep(0)
            assert not asyncio.all_tasks() - {asyncio.current_task()}
            assert not [thread for thread in threading.enumerate() if thread.name.startswith("local-server")]

        asyncio.run(checked())

    return run


class Peer:
    """What a client of the server does, by ``websockets`` and ``aiohttp``."""

    @staticmethod
    @asynccontextmanager
    async def live(server: LocalServer, path: str = LIVE, **headers: str) -> AsyncIterator[ClientConnection]:
        url = server.base_url.replace("http", "ws", 1) + path
        async with connect(url, additional_headers=headers or KEY, proxy=None, compression=None) as socket:
            yield socket

    @staticmethod
    def port_of(server: LocalServer) -> int:
        port = urlsplit(server.base_url).port
        assert port is not None
        return port

    @staticmethod
    async def messages(socket: ClientConnection) -> list[dict[str, Any]]:
        """All that still comes, until the close."""
        received = []
        while True:
            try:
                received.append(json.loads(await socket.recv()))
            except ConnectionClosed:
                return received

    @staticmethod
    async def receive(socket: ClientConnection) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(await socket.recv())
        return read

    @staticmethod
    async def send_audio(socket: ClientConnection, pcm: bytes) -> None:
        for at in range(0, len(pcm), 1600):
            await socket.send(pcm[at : at + 1600])

    async def status_of(self, server: LocalServer, path: str, **headers: str) -> tuple[int, str]:
        """The refusal of a WebSocket: its status and what it says."""
        with pytest.raises(InvalidStatus) as refused:
            async with self.live(server, path, **headers):
                pass
        response = refused.value.response
        body = json.loads(response.body)
        assert body["request_id"]
        return response.status_code, body["error"]

    @staticmethod
    async def post(
        server: LocalServer, body: bytes, path: str = "/stt/?model=pulse", **headers: str
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Send a file; the answer's status, JSON and headers."""
        kind = {"Content-Type": "application/octet-stream"}
        async with (
            aiohttp.ClientSession(headers={**kind, **(headers or KEY)}) as session,
            session.post(server.base_url + path, data=body) as answer,
        ):
            return answer.status, await answer.json(), dict(answer.headers)

    @staticmethod
    def wav(pcm: bytes) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, np.frombuffer(pcm, "<i2"), 16000, format="WAV")
        return file.getvalue()


@pytest.fixture(scope="session")
def peer() -> Peer:
    return Peer()


class Deaf:
    """A recogniser that waits in ``hear`` until it is told to go on, and notes what it was given."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.entered = threading.Event()
        self.calls: list[int | str] = []

    def hear(self, audio: bytes) -> Sequence[Recognised]:
        self.calls.append(len(audio))
        self.entered.set()
        self.go_on.wait()
        return ()

    def finalize(self) -> Sequence[Recognised]:
        self.calls.append("finalize")
        return ()

    def hurry(self) -> None:
        self.calls.append("hurry")
        self.go_on.set()


@pytest.fixture
def deaf() -> Deaf:
    return Deaf()


class Failing:
    """A recogniser that raises, with words that are nobody's business."""

    def __init__(self, _: TranscriptionConfig) -> None: ...

    def hear(self, audio: bytes) -> Sequence[Recognised]:
        raise ValueError("what the user said")

    def finalize(self) -> Sequence[Recognised]:
        raise ValueError("what the user said")


@pytest.fixture
def failing() -> RecogniserFactory:
    return Failing
