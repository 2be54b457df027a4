"""What goes wrong, each by its name, raised where the application awaits; no exception of it shows the key."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from smallest_proto.config import Timeouts, TranscriptionConfig
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
from smallest_proto.events import EndReason, SessionEnded
from smallest_proto.http.files import FileTranscription
from smallest_proto.transcription.events import Event
from smallest_proto.transcription.session import TranscriptionSession
from smallest_transports import _wire as wire
from smallest_transports._client import Client
from smallest_transports._transcription import TranscriptionStream
from smallest_transports.testing.certificates import Tls
from smallest_transports.testing.servers import (
    answering,
    drop,
    hang_up,
    in_thread,
    local_server,
    opening,
    reset,
    serving,
)

from .drivers import KEY, ONCE, PCM, SECURE, Driver
from .others import Service, serve_by_aiohttp

LIVE = pytest.mark.parametrize("live", [True, False], ids=["live", "file"])
PRIVATE = "private words"


async def fail(transport: Driver, url: str, *, live: bool = True, **options: Any) -> RemoteError:
    """What a client meets there: the error, after it was seen to be as it should."""
    async with transport.client(url, **{"retry": ONCE, **options}) as client:
        with pytest.raises(RemoteError) as raised:
            await (stream_until_it_fails(client) if live else client.transcribe(PCM))
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value.failure) + of_ours(raised.value)
    assert KEY not in shown
    assert PRIVATE not in shown
    assert raised.value.__context__ is None
    return raised.value


def of_ours(error: BaseException) -> str:
    """The local variables of our frames, as error services send them home."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "\n".join(f"{frame.locals}" for frame in told.stack if "smallest_" in frame.filename)


async def collect(stream: TranscriptionStream, events: list[Event]) -> None:
    async for event in stream:
        events.append(event)


async def stream_until_it_fails(client: Client) -> None:
    """Stream until it fails, and see that it says so everywhere, and again when it is asked again."""
    async with client.stream_transcription() as stream:
        events: list[Event] = []
        with pytest.raises(RemoteError) as raised:
            await collect(stream, events)
        assert isinstance(events[-1], SessionEnded)
        assert events[-1].reason is EndReason.FAILED
        assert events[-1].failure == raised.value.failure
        for again in (lambda: stream.send_audio(PCM), stream.finalize, stream.end_input, stream.__anext__):
            with pytest.raises(type(raised.value)):
                await again()
        raise raised.value.failure.error() from None


# --- no connection ---


@LIVE
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_nobody_listens(transport: Driver, host: str, live: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = await fail(transport, f"http://{host}:{port}/", live=live)
    assert isinstance(error, ConnectError)
    assert f"no connection to {host}, port {port}: Connection refused: check base_url" in str(error)
    assert not error.failure.final


@pytest.mark.parametrize("host", ["nobody.invalid", "a" * 64 + ".invalid", "two..dots"])
async def test_no_such_host(transport: Driver, host: str) -> None:
    error = await fail(transport, f"http://{host}/")
    assert isinstance(error, ConnectError)
    assert f"the host {host} was not found: check base_url" in str(error)


@LIVE
async def test_a_certificate_that_does_not_hold_is_final(transport: Driver, tls: Tls, live: bool) -> None:
    service = Service()
    for of_server, of_client in ((tls.server, None), (tls.of_another, tls.client)):
        with in_thread(serve_by_aiohttp(service, of_server)) as url:
            error = await fail(transport, url, live=live, ssl_context=of_client)
            assert isinstance(error, ConnectError)
            assert "the certificate of 127.0.0.1 does not hold (" in str(error)
            assert "ssl_context" in str(error)
            assert error.failure.final
    assert service.targets == []


@LIVE
async def test_tls_that_is_none(transport: Driver, tls: Tls, live: bool) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    with serving(talk) as url:
        error = await fail(transport, url.replace("http:", "https:"), live=live, ssl_context=tls.client)
    assert isinstance(error, ConnectError)
    assert "check base_url and that TLS is spoken there" in str(error)


async def test_a_context_that_is_for_servers(transport: Driver) -> None:
    with pytest.raises(ConfigurationError, match="create_default_context"):
        transport.client("https://127.0.0.1:1/", ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


@LIVE
@SECURE
async def test_a_server_that_says_nothing(transport: Driver, tls: Tls, secure: bool, live: bool) -> None:
    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()  # of TLS as well, which so never gets anywhere

    with serving(talk) as url:
        url = url.replace("http:", "https:") if secure else url
        timeouts = Timeouts(opening=0.05, response=0.05)
        error = await fail(transport, url, live=live, timeouts=timeouts, ssl_context=tls.client)
    assert isinstance(error, DeadlineError)


# --- refused ---


@LIVE
@pytest.mark.parametrize(
    ("status", "advice"), [(401, "key"), (429, "slow"), (503, "worker"), (302, "redirect"), (307, "redirect")]
)
async def test_with_a_status(transport: Driver, status: int, advice: str, live: bool) -> None:
    body = b'{"error":"private words"}'
    head = f"HTTP/1.1 {status} No\r\nRetry-After: 3\r\nLocation: /elsewhere\r\nContent-Length: {len(body)}\r\n\r\n"
    with serving(answering(head.encode() + body)) as url:
        error = await fail(transport, url, live=live)
    assert isinstance(error, StatusError)
    assert error.failure.status == status
    assert error.failure.retry_after == 3.0
    assert advice in str(error)
    assert error.failure.detail == PRIVATE


@LIVE
async def test_with_a_page_that_never_ends(transport: Driver, live: bool) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 999999999999\r\n\r\n")
        while True:
            writer.write(b"private words " * 5000)
            await writer.drain()

    with serving(talk) as url:
        error = await fail(transport, url, live=live, timeouts=Timeouts(response=2.0, opening=2.0))
    if live or isinstance(error, StatusError):
        assert isinstance(error, StatusError)
        assert error.failure.status == 403
    else:
        assert isinstance(error, ProtocolError)
    assert len(error.failure.detail or "") <= 70_000


@LIVE
@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"\x16\x03\x01\x00\x00" * 9],
    ids=["ssh", "a page", "bytes"],
)
async def test_by_something_else(transport: Driver, answer: bytes, live: bool) -> None:
    with serving(answering(answer)) as url:
        assert isinstance(await fail(transport, url, live=live), ProtocolError)


async def test_by_an_upgrade_that_is_not_one(transport: Driver) -> None:
    wrong = b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n"
    with serving(answering(wrong)) as url:
        assert isinstance(await fail(transport, url), ProtocolError)


@LIVE
@SECURE
@pytest.mark.parametrize(
    ("how", "said"), [(reset, "Connection reset by peer"), (hang_up, "the server closed the connection")]
)
async def test_without_a_word(
    transport: Driver, tls: Tls, secure: bool, how: Callable[..., None], said: str, live: bool
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        how(None, writer)

    with serving(talk, tls.server if secure else None) as url:
        error = await fail(transport, url, live=live, ssl_context=tls.client)
    assert isinstance(error, DisconnectedError)
    # A file can still be going out: it meets the reset, or turns the end into one, as nobody reads it any more.
    assert said in str(error) or (not live and re.search("Connection reset by peer|closed the connection", str(error)))


async def test_a_wrong_key(transport: Driver) -> None:
    with local_server(key="another") as url:
        error = await fail(transport, url)
    assert isinstance(error, StatusError)
    assert error.failure.status == 401


# --- lost ---


@pytest.mark.parametrize("code", [1001, 1008, 1011, 1013, 4000])
async def test_closed_with_a_code(transport: Driver, code: int) -> None:
    with serving(opening(lambda server, _: server.close(code, PRIVATE))) as url:
        error = await fail(transport, url)
    assert isinstance(error, DisconnectedError)
    assert error.failure.code == code


@pytest.mark.parametrize("how", [reset, hang_up, drop])
@SECURE
async def test_without_goodbye(transport: Driver, tls: Tls, secure: bool, how: Callable[..., None]) -> None:
    with serving(opening(how), tls.server if secure else None) as url:
        error = await fail(transport, url, ssl_context=tls.client)
    assert isinstance(error, DisconnectedError)
    assert error.failure.code == 1006
    assert how is not reset or "Connection reset by peer" in str(error)


MASKED = b"\x81\x81\0\0\0\0a"


NO_CODES = [b"\x88\x02" + code.to_bytes(2, "big") for code in (999, 1004, 1005, 1006, 1015, 2999, 5000, 65535)]


@pytest.mark.parametrize(
    "frames",
    [b"\x83\x00", b"\x81\x02\xff\xfe", b"\xc1\x01a", MASKED, b"\x89\x7e\x00\x80" + bytes(128), b"\x88\x01a", *NO_CODES],
)
async def test_by_frames_that_cannot_be(transport: Driver, frames: bytes) -> None:
    with serving(opening(lambda _, writer: writer.write(frames))) as url:
        assert isinstance(await fail(transport, url), ProtocolError)


async def test_by_a_message_that_is_too_long(transport: Driver) -> None:
    def say(_: wire.ServerConnection, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x81\x7f" + (2**24 + 1).to_bytes(8, "big") + b" " * (2**24 + 1))

    with serving(opening(say)) as url:
        error = await fail(transport, url)
    assert isinstance(error, ProtocolError)
    assert "sent a message of over 16 MiB" in str(error)


async def test_after_an_error_message(transport: Driver) -> None:
    said = '{"type":"error","status":"400","message":"private words"}'
    with serving(opening(lambda server, _: server.send_text(said))) as url:
        assert isinstance(await fail(transport, url), ServiceError)


@LIVE
async def test_an_end_without_tls_goodbye_is_an_end(
    transport: Driver, tls: Tls, monkeypatch: pytest.MonkeyPatch, live: bool
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(0 if live else len(PCM))  # what is not read makes it a reset
        drop(None, writer)

    # Python's contexts pass over it by default; an application's need not.
    strict = tls.client.options & ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    monkeypatch.setattr(tls.client, "options", strict)
    with serving(talk, tls.server) as url:
        error = await fail(transport, url, live=live, ssl_context=tls.client)
    assert isinstance(error, DisconnectedError)
    assert "the server closed the connection" in str(error)


# --- what the application does wrong ---


@pytest.mark.parametrize(
    "wrong", [{"base_url": "ftp://127.0.0.1/"}, {"api_key": ""}, {"api_key": " "}, {"proxy": "ftp://x:1"}]
)
async def test_options_that_cannot_be(transport: Driver, wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"base_url|API key|proxy"):
        transport.client(**{"url": "http://127.0.0.1:1/", **wrong})


async def test_the_key_comes_from_the_environment(transport: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMALLEST_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="SMALLEST_API_KEY"):
        transport.client("http://127.0.0.1:1/", api_key=None)
    monkeypatch.setenv("SMALLEST_API_KEY", KEY)
    client = transport.client("http://127.0.0.1:1/", api_key=None)
    assert client._endpoint.api_key == KEY
    assert KEY not in repr(vars(client))
    assert transport.client("http://127.0.0.1:1/", api_key="another")._endpoint.api_key == "another"


async def test_a_configuration_that_the_route_cannot_carry(transport: Driver) -> None:
    async with transport.client("http://127.0.0.1:1/", route="direct") as client:
        with pytest.raises(ConfigurationError, match="direct"):
            await client.transcribe(b"abc")
    async with transport.client("https://api.smallest.ai/waves/v1") as client:
        with pytest.raises(ConfigurationError, match="US"):
            async with client.stream_transcription(TranscriptionConfig(language="ja")):
                raise AssertionError("it must not begin")


async def test_what_the_application_does_wrong_is_said_at_once(transport: Driver) -> None:
    with local_server() as url:
        async with transport.client(url) as client, client.stream_transcription() as stream:
            for wrong in ("text", None, 1.5, [b"list"]):
                with pytest.raises(LocalProtocolError, match="bytes-like"):
                    await stream.send_audio(wrong)
            await stream.end_input()
            with pytest.raises(LocalProtocolError):
                await stream.end_input()
            with pytest.raises(LocalProtocolError):
                await stream.send_audio(PCM)
            assert [event async for event in stream][-1] == SessionEnded(reason=EndReason.COMPLETED)


async def test_a_mistake_of_ours_reaches_the_application(transport: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TranscriptionSession, "link_opened", lambda *_: 1 / 0)
    monkeypatch.setattr(FileTranscription, "response_started", lambda *_: 1 / 0)
    with local_server() as url:
        async with transport.client(url) as client, client.stream_transcription() as stream:
            with pytest.raises(ZeroDivisionError):
                await anext(stream)
            with pytest.raises(ZeroDivisionError):
                await stream.send_audio(PCM)
            with pytest.raises(ZeroDivisionError):
                await client.transcribe(PCM)
