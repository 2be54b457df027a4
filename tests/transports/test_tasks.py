"""The drivers for trio and anyio, each where it runs, over real loopback sockets: what structured concurrency promises.

The servers are anyio's, so that they run beside the client on every backend, speaking by hand.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener

from smallest_proto.config import RetryPolicy, Timeouts
from smallest_proto.errors import (
    ConfigurationError,
    ConnectError,
    DeadlineError,
    DisconnectedError,
    LocalProtocolError,
    RemoteError,
    StatusError,
)
from smallest_proto.events import AudioLost, EndReason, FinalTranscript, LinkLost, LinkOpened, SessionEnded
from smallest_transports import _wire as wire
from smallest_transports import anyio as of_anyio
from smallest_transports import trio as of_trio

if TYPE_CHECKING:
    from .conftest import Tls

KEY = "sk-very-secret"
FAST = Timeouts(message_interval=0)
ONCE = RetryPolicy(max_retries=0)
PCM = bytes(range(256)) * 125  # 1 s

Talk = Callable[[ByteStream], Awaitable[None]]


class Place(NamedTuple):
    """A driver and where it runs."""

    client: Any
    backend: str
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed

    def run(self, main: Callable[[], Awaitable[None]]) -> None:
        """What is left behind is found when it is collected: as a ResourceWarning, which is an error."""
        anyio.run(main, backend=self.backend, backend_options=self.options)
        gc.collect()


PLACES = {
    "trio": Place(of_trio.Client, "trio"),
    "anyio on trio": Place(of_anyio.Client, "trio"),
    "anyio on asyncio": Place(of_anyio.Client, "asyncio"),
    "anyio on uvloop": Place(of_anyio.Client, "asyncio", {"use_uvloop": True}),
}


@pytest.fixture(params=PLACES.values(), ids=PLACES.keys())
def place(request: pytest.FixtureRequest) -> Place:
    made: Place = request.param
    return made


@contextmanager
def nothing_left() -> Any:
    """No task that was not there before is there after it; whatever else fails, that is looked at first."""
    before = {task.id for task in anyio.get_running_tasks()}
    try:
        yield
    finally:
        left = [task.name for task in anyio.get_running_tasks() if task.id not in before]
        assert [name for name in left if "smallest_transports" in str(name)] == []


@asynccontextmanager
async def serving(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that is a function of a stream."""

    async def connected(stream: ByteStream) -> None:
        try:
            await talk(stream)
        except (anyio.BrokenResourceError, anyio.EndOfStream):
            pass  # the client went away, which is the point of some tests
        finally:
            await anyio.aclose_forcefully(stream)

    async def refused(_: BaseException, stream: Any) -> None:
        await anyio.aclose_forcefully(stream)  # a handshake that came to nothing is the point of some tests

    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = plain.extra(SocketAttribute.local_port)
    listener: Any = plain
    if tls:
        listener = TLSListener(plain, tls, standard_compatible=False)
        listener.handle_handshake_error = refused
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, connected)
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}/waves/v1"
        tasks.cancel_scope.cancel()


async def accept(stream: ByteStream) -> wire.ServerConnection:
    """Answer a handshake."""
    server = wire.ServerConnection()
    while not server.receive_data(await stream.receive()):
        pass
    server.accept()
    await stream.send(server.data_to_send())
    return server


class Service:
    """Hears each 5 s as one word, answers ``finalize`` and ``close_stream``, and keeps what it was sent."""

    def __init__(self) -> None:
        self.audio = bytearray()
        self.bodies: list[bytes] = []
        self.codes: list[int] = []  # with which its WebSockets were closed
        self.gone = anyio.Event()

    async def talk(self, stream: ByteStream) -> None:
        server = wire.ServerConnection()
        try:
            while not server.finished:
                try:
                    data = await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    data = b""
                for event in server.receive_data(data):
                    self.hear(server, event)
                await stream.send(server.data_to_send())
        finally:
            self.gone.set()

    def hear(self, server: wire.ServerConnection, event: wire.ServerEvent) -> None:
        match event:
            case wire.RequestReceived(websocket=True):
                server.accept()
            case wire.RequestReceived(body=body):
                self.bodies.append(body)
                server.respond(200, (), b'{"transcription": "said in a file"}')
            case wire.BinaryMessage(data=data):
                finals = len(self.audio) // 160_000
                self.audio += data
                if len(self.audio) // 160_000 > finals:
                    end = len(self.audio) / 32_000
                    words = [{"word": "so", "start": end - 1, "end": end}]
                    server.send_text(json.dumps({"transcript": "so", "is_final": True, "words": words}))
            case wire.TextMessage(text=text):
                last = json.loads(text)["type"] == "close_stream"
                heard = {"transcript": f"{len(self.audio)} bytes", "is_final": True}
                server.send_text(json.dumps({**heard, "is_last" if last else "from_finalize": True}))
            case wire.Closed(code=code):
                self.codes.append(code)


async def deaf(stream: ByteStream) -> None:
    """Accept a WebSocket, and read no more."""
    await accept(stream)
    await anyio.sleep_forever()


def resize(stream: ByteStream, size: int) -> None:
    """How much the kernel keeps for a server that does not read."""
    stream.extra(SocketAttribute.raw_socket).setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


async def close(server: wire.ServerConnection, stream: ByteStream) -> None:
    server.close(1011)
    await stream.send(server.data_to_send())


async def agreed(server: wire.ServerConnection, stream: ByteStream) -> int:
    """The code with which the client answers a close; 1006: it does not."""
    while True:
        try:
            heard = server.receive_data(await stream.receive())
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            heard = server.receive_data(b"")
        for event in heard:
            if isinstance(event, wire.Closed):
                return event.code


async def fill(stream: Any) -> float:
    """Send until no more is taken, and be cancelled then; seconds that were given."""

    async def speak() -> None:
        for _ in range(3000):  # 96 MB: more than any kernel keeps for us
            await stream.send_audio(PCM)

    given, still = 0.0, 0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(speak)
        while still < 50:  # turns of the loop in which nothing went
            await anyio.lowlevel.checkpoint()
            still = still + 1 if stream.stats.seconds_given == given > 0 else 0
            given = stream.stats.seconds_given
        tasks.cancel_scope.cancel()
    return given


async def silent(stream: ByteStream) -> None:
    """Read, and say nothing."""
    while True:
        await stream.receive()


def reset(stream: ByteStream) -> None:
    stream.extra(SocketAttribute.raw_socket).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class TestStreams:
    @pytest.mark.parametrize("secure", [False, True])
    def test_lose_nothing_of_what_is_given_at_once(self, place: Place, tls: Tls, secure: bool) -> None:
        audio = os.urandom(32000 * 300)

        async def main() -> None:
            service = Service()
            async with serving(service.talk, tls.server if secure else None) as url:
                with nothing_left():
                    async with (
                        place.client(api_key=KEY, base_url=url, ssl_context=tls.client, timeouts=FAST) as client,
                        client.stream_transcription() as stream,
                    ):
                        await stream.send_audio(audio)
                        await stream.finalize()
                        await stream.end_input()
                        events = [event async for event in stream]
                        assert [event async for event in stream] == []
                assert not [event for event in events if isinstance(event, AudioLost)]
                assert isinstance(events[0], LinkOpened)
                assert events[-1] == SessionEnded(reason=EndReason.COMPLETED)
                assert f"{len(audio)} bytes" in [event.text for event in events if isinstance(event, FinalTranscript)]
                assert service.audio == audio

        place.run(main)

    @pytest.mark.parametrize("secure", [False, True])
    @pytest.mark.parametrize("size", [1, 20_000_000])
    def test_files(self, place: Place, tls: Tls, secure: bool, size: int, tmp_path: Path) -> None:
        audio = os.urandom(size)
        (tmp_path / "a.wav").write_bytes(audio)

        async def main() -> None:
            service = Service()
            async with serving(service.talk, tls.server if secure else None) as url:
                with nothing_left():
                    async with place.client(api_key=KEY, base_url=url, ssl_context=tls.client) as client:
                        for given in (audio, tmp_path / "a.wav"):
                            assert (await client.transcribe(given)).text == "said in a file"
                        with pytest.raises(FileNotFoundError):
                            await client.transcribe(tmp_path / "b.wav")
                assert service.bodies == [audio, audio]

        place.run(main)

    def test_nagle_is_off(self, place: Place) -> None:
        async def main() -> None:
            async with (
                serving(Service().talk) as url,
                place.client(api_key=KEY, base_url=url) as client,
                client.stream_transcription() as stream,
            ):
                await stream.__anext__()
                (link,) = stream._driver.links.values()
                made = link._socket if hasattr(link, "_socket") else link._stream.extra(SocketAttribute.raw_socket)
                assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

        place.run(main)

    def test_two_consumers_both_come_to_an_end(self, place: Place) -> None:
        async def main() -> None:
            ends: list[Any] = []

            async def consume(stream: Any) -> None:
                ends.append([event async for event in stream])

            async with (
                serving(Service().talk) as url,
                place.client(api_key=KEY, base_url=url) as client,
                client.stream_transcription() as stream,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(consume, stream)
                tasks.start_soon(consume, stream)
                await stream.end_input()
            assert len(ends) == 2

        place.run(main)

    def test_a_mistake_of_ours_reaches_the_application(self, place: Place) -> None:
        async def main() -> None:
            async with serving(Service().talk) as url:
                with nothing_left():
                    async with (
                        place.client(api_key=KEY, base_url=url) as client,
                        client.stream_transcription() as stream,
                    ):
                        stream._session.link_opened = lambda *_: 1 / 0
                        with pytest.raises(ZeroDivisionError):
                            await stream.__anext__()
                        with pytest.raises(ZeroDivisionError):
                            await stream.send_audio(PCM)

        place.run(main)


class TestTheClient:
    def test_is_to_be_entered_once(self, place: Place) -> None:
        async def main() -> None:
            client = place.client(api_key=KEY)
            for _ in range(2):
                with pytest.raises(LocalProtocolError, match="async with Client"):
                    await client.transcribe(PCM)
                with pytest.raises(LocalProtocolError, match="async with Client"):
                    await client.stream_transcription().__aenter__()
                async with client:
                    with pytest.raises(LocalProtocolError, match="open already"):
                        await client.__aenter__()

        place.run(main)

    def test_ends_what_is_under_way(self, place: Place) -> None:
        async def main() -> None:
            errors: list[Exception] = []

            async def upload(client: Any) -> None:
                try:
                    await client.transcribe(PCM)
                except DisconnectedError as exc:
                    errors.append(exc)

            async with serving(silent) as url, anyio.create_task_group() as tasks:
                with nothing_left():
                    async with AsyncExitStack() as stack:
                        async with place.client(api_key=KEY, base_url=url) as client:
                            stream = await stack.enter_async_context(client.stream_transcription())
                            tasks.start_soon(upload, client)
                            while len(client._drivers) < 2:
                                await anyio.lowlevel.checkpoint()
                        assert [event async for event in stream] == [SessionEnded(reason=EndReason.ABORTED)]
            assert ["aborted" in str(error) for error in errors] == [True]

        place.run(main)

    def test_lets_an_error_of_the_application_out_as_it_is(self, place: Place) -> None:
        async def call(url: str, *, cancelled: bool) -> None:
            with anyio.CancelScope() as scope:
                async with (
                    place.client(api_key=KEY, base_url=url) as client,
                    client.stream_transcription() as stream,
                ):
                    await stream.__anext__()
                    if cancelled:
                        scope.cancel()
                    raise KeyError("mine")

        async def main() -> None:
            async with serving(Service().talk) as url:
                for cancelled in (False, True):
                    with nothing_left(), pytest.raises(KeyError, match="mine") as raised:
                        await call(url, cancelled=cancelled)
                    assert raised.value.__context__ is None

        place.run(main)


class TestLeaving:
    @pytest.mark.parametrize("secure", [False, True])
    def test_at_once_says_goodbye_all_the_same(self, place: Place, tls: Tls, secure: bool) -> None:
        """The answer to a close is written in the moment in which the application is told of it, and leaves."""
        codes: list[int] = []

        async def talk(stream: ByteStream) -> None:
            server = await accept(stream)
            await stream.receive()
            await close(server, stream)
            codes.append(await agreed(server, stream))

        async def main() -> None:
            for _ in range(20):  # trio shuffles its tasks
                codes.clear()
                async with serving(talk, tls.server if secure else None) as url:
                    async with (
                        place.client(api_key=KEY, base_url=url, ssl_context=tls.client) as client,
                        client.stream_transcription() as stream,
                    ):
                        await stream.send_audio(PCM)
                        while not isinstance(await stream.__anext__(), LinkLost):
                            pass
                    while not codes:
                        await anyio.lowlevel.checkpoint()
                assert codes == [1011]

        place.run(main)

    @pytest.mark.parametrize("secure", [False, True])
    def test_a_full_socket_says_goodbye_last(self, place: Place, tls: Tls, secure: bool) -> None:
        codes: list[int] = []

        async def main() -> None:
            full, lost = anyio.Event(), anyio.Event()

            async def talk(stream: ByteStream) -> None:
                # Else the acknowledgement that goes with the close lets the client write the rest.
                resize(stream, 2**15)
                server = await accept(stream)
                await full.wait()
                await close(server, stream)
                await lost.wait()
                resize(stream, 2**22)
                codes.append(await agreed(server, stream))

            async with serving(talk, tls.server if secure else None) as url:
                with nothing_left():
                    timeouts = Timeouts(message_interval=0, write=100)
                    options = {"timeouts": timeouts, "ssl_context": tls.client, "buffer_seconds": 3600.0}
                    async with (
                        place.client(api_key=KEY, base_url=url, retry=ONCE, **options) as client,
                        client.stream_transcription() as stream,
                    ):
                        await stream.__anext__()
                        await fill(stream)
                        full.set()
                        with pytest.raises(DisconnectedError):
                            [event async for event in stream]
                        lost.set()
                        while not codes:
                            await anyio.lowlevel.checkpoint()
                        assert codes == [1011]

        place.run(main)

    @pytest.mark.parametrize("secure", [False, True])
    def test_early_drops_the_connection(self, place: Place, tls: Tls, secure: bool) -> None:
        async def main() -> None:
            service = Service()
            async with serving(service.talk, tls.server if secure else None) as url:
                with nothing_left():
                    async with place.client(api_key=KEY, base_url=url, ssl_context=tls.client) as client:
                        async with client.stream_transcription() as stream:
                            await stream.send_audio(PCM)
                            assert isinstance(await stream.__anext__(), LinkOpened)
                        with pytest.raises(LocalProtocolError):
                            await stream.send_audio(PCM)
                        *_, last = [event async for event in stream]
                assert last == SessionEnded(reason=EndReason.ABORTED)
                await service.gone.wait()
                assert service.codes == [1006]

        place.run(main)

    @pytest.mark.parametrize("secure", [False, True])
    def test_cancelled_while_the_socket_is_full(self, place: Place, tls: Tls, secure: bool) -> None:
        """What is cancelled while it waits was not taken."""

        async def main() -> None:
            async with serving(deaf, tls.server if secure else None) as url:
                with nothing_left():
                    timeouts = Timeouts(message_interval=0, write=100)
                    options = {"timeouts": timeouts, "ssl_context": tls.client, "buffer_seconds": 3600.0}
                    async with (
                        place.client(api_key=KEY, base_url=url, **options) as client,
                        client.stream_transcription() as stream,
                    ):
                        await stream.__anext__()
                        given = await fill(stream)
                        assert stream.stats.seconds_given == given == int(given)
                        assert given < 3000

        place.run(main)

    @pytest.mark.parametrize("live", [True, False])
    @pytest.mark.parametrize("secure", [False, True])
    def test_cancelled_from_outside_at_each_step(self, place: Place, tls: Tls, secure: bool, live: bool) -> None:
        async def call(url: str, done: list[int]) -> None:
            async with place.client(api_key=KEY, base_url=url, ssl_context=tls.client) as client:
                if live:
                    async with client.stream_transcription() as stream:
                        await stream.send_audio(PCM[:1600])
                        await stream.end_input()
                        async for _ in stream:
                            pass
                else:
                    await client.transcribe(PCM)
            done.append(1)

        async def main() -> None:
            done: list[int] = []
            async with serving(Service().talk, tls.server if secure else None) as url:
                steps = 0
                while not done:
                    with nothing_left():
                        async with anyio.create_task_group() as tasks:
                            tasks.start_soon(call, url, done)
                            for _ in range(steps):
                                await anyio.lowlevel.checkpoint()
                            tasks.cancel_scope.cancel()
                    steps += 1
                assert steps > 5

        place.run(main)


class TestFailures:
    def fail(self, place: Place, url: str, **options: Any) -> Any:
        """What a client meets there, live and with a file, after it was seen to hold no key."""

        async def live() -> None:
            with nothing_left():
                async with place.client(**options) as client, client.stream_transcription() as stream:
                    async for _ in stream:
                        pass

        async def file() -> None:
            with nothing_left():
                async with place.client(**options) as client:
                    await client.transcribe(PCM)

        async def main() -> RemoteError:
            errors = []
            for attempt in (live, file):
                with pytest.raises(RemoteError) as raised:
                    await attempt()
                assert KEY not in "".join(traceback.format_exception(raised.value)) + repr(raised.value.failure)
                assert raised.value.__context__ is None
                errors.append(raised.value)
            assert type(errors[0]) is type(errors[1])
            return errors[0]

        options = {"api_key": KEY, "base_url": url, "retry": ONCE, **options}
        return main()

    def test_nobody_listens(self, place: Place) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]

        async def main() -> None:
            for host, shown in (("127.0.0.1", "127.0.0.1"), ("localhost", "localhost")):
                error = await self.fail(place, f"http://{host}:{port}/")
                assert isinstance(error, ConnectError)
                assert f"{shown}, port {port}: Connection refused: check base_url" in str(error)
                assert not error.failure.final

        place.run(main)

    @pytest.mark.parametrize("host", ["nobody.invalid", "a" * 64 + ".invalid", "two..dots"])
    def test_no_such_host(self, place: Place, host: str) -> None:
        async def main() -> None:
            error = await self.fail(place, f"http://{host}/")
            assert f"the host {host} was not found: check base_url" in str(error)

        place.run(main)

    def test_a_certificate_that_does_not_hold_is_final(self, place: Place, tls: Tls) -> None:
        async def main() -> None:
            async with serving(silent, tls.server) as url:
                error = await self.fail(place, url, retry=RetryPolicy())
                assert "the certificate of 127.0.0.1 does not hold (" in str(error)
                assert error.failure.final
            async with serving(silent, tls.of_another) as url:
                error = await self.fail(place, url, ssl_context=tls.client, retry=RetryPolicy())
                assert error.failure.final

        place.run(main)

    def test_tls_that_is_none(self, place: Place, tls: Tls) -> None:
        async def talk(stream: ByteStream) -> None:
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await silent(stream)

        async def main() -> None:
            async with serving(talk) as url:
                error = await self.fail(place, url.replace("http:", "https:"), ssl_context=tls.client)
                assert "check base_url and that TLS is spoken there" in str(error)

        place.run(main)

    @pytest.mark.parametrize("secure", [False, True])
    def test_an_end_without_a_goodbye(
        self, place: Place, tls: Tls, secure: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def talk(stream: ByteStream) -> None:
            await stream.receive()

        async def main() -> None:
            async with serving(talk, tls.server if secure else None) as url:
                error = await self.fail(place, url, ssl_context=tls.client)
                assert isinstance(error, DisconnectedError)
                assert "the server closed the connection" in str(error)

        # Python's contexts pass over it by default; an application's need not.
        strict = tls.client.options & ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
        monkeypatch.setattr(tls.client, "options", strict)
        place.run(main)

    @pytest.mark.parametrize("secure", [False, True])
    def test_a_reset(self, place: Place, tls: Tls, secure: bool) -> None:
        async def talk(stream: ByteStream) -> None:
            await stream.receive()
            reset(stream)

        async def main() -> None:
            async with serving(talk, tls.server if secure else None) as url:
                error = await self.fail(place, url, ssl_context=tls.client)
                assert isinstance(error, DisconnectedError)
                assert "Connection reset by peer" in str(error)

        place.run(main)

    @pytest.mark.parametrize("secure", [False, True])
    def test_a_server_that_says_nothing(self, place: Place, tls: Tls, secure: bool) -> None:
        async def main() -> None:
            async with serving(silent) as url:  # of TLS as well, which so never gets anywhere
                url = url.replace("http:", "https:") if secure else url
                timeouts = Timeouts(opening=0.05, response=0.05)
                error = await self.fail(place, url, ssl_context=tls.client, timeouts=timeouts)
                assert isinstance(error, DeadlineError)

        place.run(main)

    def test_a_refusal(self, place: Place) -> None:
        async def talk(stream: ByteStream) -> None:
            server = wire.ServerConnection()
            while not server.receive_data(await stream.receive()):
                pass
            server.respond(401, (), b'{"error": "private words"}')
            await stream.send(server.data_to_send())
            await silent(stream)

        async def main() -> None:
            async with serving(talk) as url:
                error = await self.fail(place, url)
                assert isinstance(error, StatusError)
                assert error.failure.status == 401
                assert "private" not in str(error)

        place.run(main)

    def test_a_file_that_is_none(self, place: Place) -> None:
        async def main() -> None:
            async with place.client(api_key=KEY) as client:
                with nothing_left(), pytest.raises(ConfigurationError, match="empty"):
                    await client.transcribe(os.devnull)

        place.run(main)


class TestProxies:
    @pytest.mark.parametrize("secure", [False, True])
    def test_lead_to_the_service(self, place: Place, tls: Tls, secure: bool) -> None:
        asked: list[str] = []

        async def proxy(stream: ByteStream) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += await stream.receive()
            asked.append(head.decode())
            _, target, *_ = head.decode().split()
            host, _, port = target.rpartition(":")
            async with await anyio.connect_tcp(host, int(port)) as there, anyio.create_task_group() as tasks:
                await stream.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                tasks.start_soon(pipe, there, stream)
                await pipe(stream, there)
                tasks.cancel_scope.cancel()

        async def main() -> None:
            service = Service()
            async with serving(service.talk, tls.server if secure else None) as url, serving(proxy) as way:
                with nothing_left():
                    way = way.replace("http://", "http://user:very-secret@")
                    options = {"ssl_context": tls.client, "proxy": way, "timeouts": FAST}
                    async with place.client(api_key=KEY, base_url=url, **options) as client:
                        assert (await client.transcribe(PCM)).text == "said in a file"
                        async with client.stream_transcription() as stream:
                            await stream.send_audio(PCM)
                            await stream.end_input()
                            assert [event async for event in stream][-1].reason is EndReason.COMPLETED
                assert (service.audio, service.bodies) == (PCM, [PCM])
                port = url.partition("127.0.0.1:")[2].partition("/")[0]
                assert [head.startswith(f"CONNECT 127.0.0.1:{port} HTTP/1.1") for head in asked] == [True, True]
                assert all("Proxy-Authorization: Basic dXNlcjp2ZXJ5LXNlY3JldA==" in head for head in asked)

        place.run(main)

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", "it wants other credentials"),
            (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "does not answer as one"),
            (b"", "proxy"),
        ],
    )
    def test_that_lead_nowhere(self, place: Place, answer: bytes, said: str) -> None:
        async def proxy(stream: ByteStream) -> None:
            await stream.receive()
            await stream.send(answer)

        async def main() -> None:
            async with serving(proxy) as url:
                client = place.client(api_key=KEY, base_url="http://service.example/", proxy=url, retry=ONCE)
                with nothing_left():
                    async with client:
                        with pytest.raises(ConnectError, match=said) as raised:
                            await client.transcribe(PCM)
                assert raised.value.__context__ is None

        place.run(main)

    def test_that_are_not_there(self, place: Place) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]

        async def main() -> None:
            way = f"http://127.0.0.1:{port}"
            async with place.client(api_key=KEY, base_url="http://service.example/", proxy=way) as client:
                with pytest.raises(ConnectError, match=f"the proxy 127.0.0.1, port {port}: Connection refused"):
                    await client.transcribe(PCM)

        place.run(main)


async def pipe(one: ByteStream, other: ByteStream) -> None:
    try:
        while True:
            await other.send(await one.receive())
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        await other.send_eof()


@pytest.mark.parametrize("times", [1, 2, 3])
def test_asyncios_own_cancellation_leaves_nothing(times: int) -> None:
    """anyio's shields do not hold it off, as ``asyncio.wait_for`` and ``TaskGroup`` cancel by it."""

    async def call(url: str, done: list[int]) -> None:
        async with (
            of_anyio.Client(api_key=KEY, base_url=url) as client,
            client.stream_transcription() as stream,
        ):
            await stream.send_audio(PCM[:1600])
            await stream.end_input()
            async for _ in stream:
                pass
        done.append(1)

    async def main() -> None:
        done: list[int] = []
        async with serving(Service().talk) as url:
            steps = 0
            while not done:
                with nothing_left():
                    task = asyncio.create_task(call(url, done))
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    for _ in range(times):
                        task.cancel()
                        await asyncio.sleep(0)
                    await asyncio.wait([task])
                    assert task.cancelled() or done
                steps += 1
            assert steps > 5

    PLACES["anyio on asyncio"].run(main)


@pytest.mark.parametrize("name", ["trio", "anyio"])
def test_without_the_framework_an_import_says_what_to_install(name: str) -> None:
    code = f"import sys; sys.modules['{name}'] = None; import smallest_transports.{name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f'ImportError: the driver for {name} needs {name}: pip install "smallest-proto[{name}]"' in done.stderr
