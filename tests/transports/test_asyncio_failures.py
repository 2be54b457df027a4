"""The asyncio driver when things go wrong, and when it is left: each failure by its name, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pytest

from smallest_proto.config import RetryPolicy, Timeouts
from smallest_proto.errors import (
    ConfigurationError,
    ConnectError,
    DeadlineError,
    DisconnectedError,
    LocalProtocolError,
    ProtocolError,
    RemoteError,
    ServiceError,
    StatusError,
)
from smallest_proto.events import EndReason, Event, LinkOpened, SessionEnded
from smallest_transports import _wire as wire
from smallest_transports.asyncio import Client, TranscriptionStream

if TYPE_CHECKING:
    from .conftest import Serve, Service, Tls

KEY = "sk-very-secret"
ONCE = RetryPolicy(max_retries=0)
PCM = bytes(range(256)) * 125  # 1 s

Run = Callable[[Callable[[], Awaitable[None]]], None]
ServeBytes = Callable[..., AbstractAsyncContextManager[str]]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def collect(stream: TranscriptionStream, events: list[Event]) -> None:
    async for event in stream:
        events.append(event)


async def fail(nothing_left: Any, url: str, *, live: bool = True, **options: Any) -> RemoteError:
    """What a client meets there: the error, after it was seen to be as it should."""
    options = {"retry": ONCE, **options}
    with nothing_left():
        async with Client(api_key=KEY, base_url=url, **options) as client:
            attempt: Awaitable[Any] = stream_until_it_fails(client) if live else client.transcribe(PCM)
            with pytest.raises(RemoteError) as raised:
                await attempt
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value.failure)
    assert KEY not in shown
    assert raised.value.__context__ is None
    return raised.value


async def stream_until_it_fails(client: Client) -> None:
    """Stream until it fails, and see that it says so everywhere, and again when it is asked again."""
    async with client.stream_transcription() as stream:
        events: list[Event] = []
        with pytest.raises(RemoteError) as raised:
            await collect(stream, events)
        assert isinstance(events[-1], SessionEnded)
        assert events[-1].reason is EndReason.FAILED
        assert events[-1].failure == raised.value.failure
        for again in (stream.send_audio(PCM), stream.finalize(), stream.end_input(), stream.__anext__()):
            with pytest.raises(type(raised.value)):
                await again
        raise raised.value.failure.error() from None


def answering(answer: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await reader.read()

    return talk


def opening(then: Callable[[wire.ServerConnection, asyncio.StreamWriter], None]) -> Talk:
    """Accept the WebSocket, then do something to it."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = wire.ServerConnection()
        while not server.receive_data(await reader.read(65536)):
            pass
        server.accept()
        writer.write(server.data_to_send())
        then(server, writer)
        if not writer.is_closing():
            writer.write(server.data_to_send())
            await reader.read()

    return talk


def reset(_: Any, writer: asyncio.StreamWriter) -> None:
    linger = struct.pack("ii", 1, 0)  # close with RST
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


class TestNoConnection:
    @pytest.mark.parametrize("live", [True, False])
    def test_nobody_listens(self, run: Run, nothing_left: Any, live: bool) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]

        async def main() -> None:
            error = await fail(nothing_left, f"http://127.0.0.1:{port}/", live=live)
            assert isinstance(error, ConnectError)
            assert f"127.0.0.1, port {port}: Connection refused: check base_url" in str(error)
            assert not error.failure.final

        run(main)

    @pytest.mark.parametrize("host", ["nobody.invalid", "a" * 64 + ".invalid", "two..dots"])
    def test_no_such_host(self, run: Run, nothing_left: Any, host: str) -> None:
        async def main() -> None:
            error = await fail(nothing_left, f"http://{host}/")
            assert isinstance(error, ConnectError)
            assert f"the host {host} was not found: check base_url" in str(error)

        run(main)

    @pytest.mark.parametrize("live", [True, False])
    def test_a_certificate_that_does_not_hold_is_final(
        self, run: Run, nothing_left: Any, serve_files: Serve, make_service: type[Service], tls: Tls, live: bool
    ) -> None:
        async def main() -> None:
            service = make_service()
            async with serve_files(service, tls.server) as url:
                error = await fail(nothing_left, url, live=live, retry=RetryPolicy())
                assert isinstance(error, ConnectError)
                assert "the certificate of 127.0.0.1 does not hold (" in str(error)
                assert "ssl_context" in str(error)
                assert error.failure.final
            async with serve_files(service, tls.of_another) as url:
                error = await fail(nothing_left, url, live=live, ssl_context=tls.client, retry=RetryPolicy())
                assert isinstance(error, ConnectError)
                assert error.failure.final
            assert service.targets == []

        run(main)

    def test_tls_that_is_none(self, run: Run, nothing_left: Any, serve_bytes: ServeBytes, tls: Tls) -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await reader.read()

        async def main() -> None:
            async with serve_bytes(talk) as url:
                error = await fail(nothing_left, url.replace("http:", "https:"), ssl_context=tls.client)
                assert isinstance(error, ConnectError)
                assert "check base_url and that TLS is spoken there" in str(error)

        run(main)

    def test_a_context_that_is_for_servers(self) -> None:
        with pytest.raises(ConfigurationError, match="create_default_context"):
            Client(api_key=KEY, ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    @pytest.mark.parametrize("secure", [False, True])
    def test_a_server_that_says_nothing(
        self, run: Run, nothing_left: Any, serve_bytes: ServeBytes, tls: Tls, secure: bool
    ) -> None:
        async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()  # of TLS as well, which so never gets anywhere

        async def main() -> None:
            timeouts = Timeouts(opening=0.05, response=0.05)
            async with serve_bytes(talk) as url:
                if secure:
                    url = url.replace("http:", "https:")
                for live in (True, False):
                    error = await fail(nothing_left, url, live=live, timeouts=timeouts, ssl_context=tls.client)
                    assert isinstance(error, DeadlineError)

        run(main)


class TestRefused:
    @pytest.mark.parametrize("live", [True, False])
    @pytest.mark.parametrize(("status", "advice"), [(401, "key"), (429, "slow"), (503, "worker"), (302, "redirect")])
    def test_with_a_status(
        self, run: Run, nothing_left: Any, serve_bytes: ServeBytes, status: int, advice: str, live: bool
    ) -> None:
        body = b'{"error":"private words"}'
        head = (
            f"HTTP/1.1 {status} No\r\nRetry-After: 3\r\nLocation: http://[::1]/\r\nContent-Length: {len(body)}\r\n\r\n"
        )

        async def main() -> None:
            async with serve_bytes(answering(head.encode() + body)) as url:
                error = await fail(nothing_left, url, live=live)
            assert isinstance(error, StatusError)
            assert error.failure.status == status
            assert error.failure.retry_after == 3.0
            assert advice in str(error)
            assert "private" not in str(error)
            assert error.failure.detail == "private words"

        run(main)

    @pytest.mark.parametrize("live", [True, False])
    def test_by_something_else(self, run: Run, nothing_left: Any, serve_bytes: ServeBytes, live: bool) -> None:
        async def main() -> None:
            async with serve_bytes(answering(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")) as url:
                assert isinstance(await fail(nothing_left, url, live=live), ProtocolError)
            async with serve_bytes(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")) as url:
                assert isinstance(await fail(nothing_left, url, live=live), ProtocolError)

        run(main)

    @pytest.mark.parametrize("live", [True, False])
    @pytest.mark.parametrize("how", [reset, lambda _, writer: writer.close()])
    def test_without_a_word(
        self, run: Run, nothing_left: Any, serve_bytes: ServeBytes, live: bool, how: Callable[..., None]
    ) -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            how(None, writer)

        async def main() -> None:
            async with serve_bytes(talk) as url:
                assert isinstance(await fail(nothing_left, url, live=live), DisconnectedError)

        run(main)


class TestLost:
    @pytest.mark.parametrize("code", [1001, 1008, 1011, 1013, 4000])
    def test_closed_with_a_code(self, run: Run, nothing_left: Any, serve_bytes: ServeBytes, code: int) -> None:
        async def main() -> None:
            async with serve_bytes(opening(lambda server, _: server.close(code, "private words"))) as url:
                error = await fail(nothing_left, url)
            assert isinstance(error, DisconnectedError)
            assert error.failure.code == code
            assert "private" not in str(error)

        run(main)

    @pytest.mark.parametrize("how", [reset, lambda _, writer: writer.close()])
    def test_without_goodbye(
        self, run: Run, nothing_left: Any, serve_bytes: ServeBytes, how: Callable[..., None]
    ) -> None:
        async def main() -> None:
            async with serve_bytes(opening(how)) as url:
                error = await fail(nothing_left, url)
            assert isinstance(error, DisconnectedError)
            assert error.failure.code == 1006

        run(main)

    def test_without_goodbye_over_tls(self, run: Run, nothing_left: Any, serve_bytes: ServeBytes, tls: Tls) -> None:
        async def main() -> None:
            for how in (reset, lambda _, writer: writer.transport.abort(), lambda _, writer: writer.close()):
                async with serve_bytes(opening(how), tls.server) as url:
                    error = await fail(nothing_left, url, ssl_context=tls.client)
                assert isinstance(error, DisconnectedError)
                assert error.failure.code == 1006

        run(main)

    def test_by_frames_that_cannot_be(self, run: Run, nothing_left: Any, serve_bytes: ServeBytes) -> None:
        async def main() -> None:
            async with serve_bytes(opening(lambda _, writer: writer.write(b"\x83\x00"))) as url:
                assert isinstance(await fail(nothing_left, url), ProtocolError)

        run(main)

    def test_after_an_error_message(self, run: Run, nothing_left: Any, serve_bytes: ServeBytes) -> None:
        async def main() -> None:
            said = '{"type":"error","status":"400","message":"private words"}'
            async with serve_bytes(opening(lambda server, _: server.send_text(said))) as url:
                error = await fail(nothing_left, url)
            assert isinstance(error, ServiceError)
            assert "private" not in str(error)

        run(main)

    def test_a_mistake_of_ours_reaches_the_application(
        self, run: Run, nothing_left: Any, serve_live: Serve, make_service: type[Service]
    ) -> None:
        async def main() -> None:
            async with serve_live(make_service(), None) as url:
                with nothing_left():
                    async with Client(api_key=KEY, base_url=url).stream_transcription() as stream:
                        stream._session.link_opened = lambda *_: 1 / 0  # type: ignore[method-assign, assignment]
                        with pytest.raises(ZeroDivisionError):
                            await stream.__anext__()
                        with pytest.raises(ZeroDivisionError):
                            await stream.send_audio(PCM)

        run(main)


class TestLeaving:
    @pytest.mark.parametrize("secure", [False, True])
    def test_early_drops_the_connection(
        self, run: Run, nothing_left: Any, serve_live: Serve, make_service: type[Service], tls: Tls, secure: bool
    ) -> None:
        async def main() -> None:
            service = make_service()
            async with serve_live(service, tls.server if secure else None) as url:
                with nothing_left():
                    client = Client(api_key=KEY, base_url=url, ssl_context=tls.client)
                    async with client.stream_transcription() as stream:
                        await stream.send_audio(PCM)
                        assert isinstance(await stream.__anext__(), LinkOpened)
                *_, last = [event async for event in stream]
                assert last == SessionEnded(reason=EndReason.ABORTED)
                with pytest.raises(LocalProtocolError):
                    await stream.send_audio(PCM)
                await service.gone.wait()

        run(main)

    def test_with_an_exception_passes_it_on(
        self, run: Run, nothing_left: Any, serve_live: Serve, make_service: type[Service]
    ) -> None:
        async def call(url: str) -> None:
            async with Client(api_key=KEY, base_url=url).stream_transcription() as stream:
                await stream.__anext__()
                raise KeyError("mine")

        async def main() -> None:
            async with serve_live(make_service(), None) as url:
                with nothing_left(), pytest.raises(KeyError, match="mine"):
                    await call(url)

        run(main)

    def test_the_client_ends_what_is_under_way(self, run: Run, nothing_left: Any, serve_bytes: ServeBytes) -> None:
        async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()

        async def main() -> None:
            async with serve_bytes(talk) as url:
                with nothing_left():
                    async with contextlib.AsyncExitStack() as stack:
                        async with Client(api_key=KEY, base_url=url) as client:
                            stream = await stack.enter_async_context(client.stream_transcription())
                            upload = asyncio.create_task(client.transcribe(PCM))
                            while len(client._drivers) < 2:  # noqa: ASYNC110
                                await asyncio.sleep(0)
                        assert [event async for event in stream] == [SessionEnded(reason=EndReason.ABORTED)]
                        with pytest.raises(DisconnectedError, match="aborted"):
                            await upload

        run(main)

    @pytest.mark.parametrize("times", [1, 2])
    @pytest.mark.parametrize("secure", [False, True])
    @pytest.mark.parametrize("live", [True, False])
    def test_cancelled_at_each_step(
        self,
        run: Run,
        nothing_left: Any,
        serve_files: Serve,
        make_service: type[Service],
        tls: Tls,
        live: bool,
        secure: bool,
        times: int,
    ) -> None:
        async def call(url: str, done: list[int]) -> None:
            async with Client(api_key=KEY, base_url=url, ssl_context=tls.client) as client:
                if live:
                    async with client.stream_transcription() as stream:
                        await stream.send_audio(PCM[:1600])
                        await stream.finalize()
                        await stream.end_input()
                        async for _ in stream:
                            pass
                else:
                    await client.transcribe(PCM * 10)
            done.append(1)

        async def main() -> None:
            done: list[int] = []
            async with serve_files(make_service(), tls.server if secure else None) as url:
                steps = 0
                while not done:
                    with nothing_left():
                        task = asyncio.create_task(call(url, done))
                        for _ in range(steps):
                            await asyncio.sleep(0)
                        for _ in range(times):
                            task.cancel()
                            await asyncio.sleep(0)
                        with contextlib.suppress(asyncio.CancelledError):
                            await task
                        assert task.cancelled() or done
                    steps += 1
                assert steps > 5

        run(main)
