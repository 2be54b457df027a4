"""What of the world all drivers share: environment, chance, files, TLS, and what went wrong, in words. No framework."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import random
import socket
import ssl
import traceback
import urllib.request
import wave
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from smallest_proto.contract import Machine
from smallest_proto.errors import ConfigurationError, Failure, FailureKind
from smallest_proto.requests import MAX_FILE_BYTES
from smallest_proto.values import hide

from ._logs import ROOT, CallLog
from ._proxy import ENVIRONMENT, Proxy, bypasses, read_proxy

if TYPE_CHECKING:
    from typing_extensions import Self

    from ._address import Address

logging.getLogger(ROOT).addHandler(logging.NullHandler())  # silent, unless the application listens

READ_BYTES = 64 * 2**10  # of a socket at once
_LEFT_BYTES = 2**20  # of what a connection that broke still holds: more than what is kept of a refusal
_TLS_BYTES = 64 * 2**10  # decrypted at once


class World:
    """What all connections of one client have in common; it is entered and left with the client.

    A driver adds what its framework needs to keep a connection alive. All lead ``where`` the service is, through
    ``proxy`` if there is one. Raises ``ConfigurationError`` for a proxy or an ``ssl_context`` that cannot be.
    """

    def __init__(
        self, where: Address, *, ssl_context: ssl.SSLContext | None = None, proxy: str | None = ENVIRONMENT
    ) -> None:
        if ssl_context is not None and ssl_context.protocol is ssl.PROTOCOL_TLS_SERVER:
            raise ConfigurationError("ssl_context is one for servers: make it with ssl.create_default_context()")
        self.ssl_context = ssl_context or self.default_context(where)
        if proxy is None:
            self.proxy = None
        else:
            self.proxy = self.find_proxy(where) if proxy == ENVIRONMENT else read_proxy(proxy)

    @staticmethod
    def default_context(where: Address) -> ssl.SSLContext | None:
        """Which certificates to trust if the user does not say: those that the system trusts."""
        return ssl.create_default_context() if where.secure else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Every driver has been closed by then."""

    @staticmethod
    def find_proxy(where: Address) -> Proxy | None:
        """The proxy that the environment names; none for this machine itself, nor for what ``NO_PROXY`` names."""
        proxies = hide(urllib.request.getproxies())  # a password may be in one
        name = next((name for name in ("https" if where.secure else "http", "all") if proxies.get(name)), None)
        if name is None or _is_loopback(where.host) or bypasses(proxies.get("no", ""), where.host, where.port):
            return None
        # Where the system's settings name the proxy, as they can on macOS and Windows, they name the exceptions too.
        if not urllib.request.getproxies_environment() and urllib.request.proxy_bypass(where.host):
            return None
        return read_proxy(proxies[name], f"{name.upper()}_PROXY")

    @staticmethod
    def write_file(path: str, audio: bytes, rate: int | None) -> None:
        """Make a file of audio, whole or not at all; with ``rate`` in Hz a WAV of linear16. Raises ``OSError``."""
        whole = os.path.realpath(path)  # a link goes on leading there
        part = f"{whole}.{os.getpid()}-{random.getrandbits(32):08x}.part"
        try:
            with open(part, "xb") as file:
                if rate is None:
                    file.write(audio)
                else:
                    with wave.open(file, "wb") as made:
                        made.setparams((1, 2, rate, 0, "NONE", "not compressed"))
                        made.writeframes(audio)
            os.replace(part, whole)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise

    @staticmethod
    def append_file(path: str | os.PathLike[str], line: bytes) -> None:
        """Add a line to a file. Opened for each, it is whole whatever happens to the process. Raises ``OSError``."""
        with open(path, "ab") as file:
            file.write(line)

    def log(self, machine: Machine) -> CallLog | None:
        """The log of one call, with a logger for each room of the core; ``None`` if logging is off."""
        logger = logging.getLogger(f"{ROOT}.{type(machine).__module__.split('.')[1]}")
        if not logger.isEnabledFor(logging.INFO):
            return None
        return CallLog(logger, debug=logger.isEnabledFor(logging.DEBUG), proxy=self.proxy)

    @staticmethod
    def complain(what: str) -> None:
        """Log the exception that is being handled: the application's, met where nobody awaits it."""
        # As text: a record that somebody keeps would keep the whole call with its traceback.
        logging.getLogger(ROOT).error("%s\n%s", what, traceback.format_exc())

    getenv = staticmethod(os.getenv)
    jitter = staticmethod(random.random)


class Tls:
    """The client's side of TLS, from bytes to bytes."""

    def __init__(self, context: ssl.SSLContext, where: Address) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=where.name)

    async def shake_hands(
        self, send: Callable[[bytes], Awaitable[Any]], receive: Callable[[], Awaitable[bytes | bytearray]]
    ) -> None:
        """Over a stream of bytes. Raises ``ssl.SSLError``, and what the stream raises."""
        while True:
            try:
                self._object.do_handshake()
                return  # what is still to be said goes out with the first bytes
            except ssl.SSLWantReadError:
                pass
            await send(self._outgoing.read())
            self._take(await receive())

    def encrypt(self, data: bytes) -> bytes:
        """What is to go out for it; for ``b""`` what TLS itself has to say."""
        if data:
            self._object.write(data)
        return self._outgoing.read()

    def goodbye(self) -> bytes:
        """What is to go out last. The peer's own goodbye is not waited for: HTTP and WebSocket have theirs."""
        with contextlib.suppress(ssl.SSLError):  # that it has not come yet, or that the connection is lost
            self._object.unwrap()
        return self._outgoing.read()

    def decrypt(self, data: bytes) -> Iterator[bytes]:
        """What came in, in pieces; ``b""`` is the end, with or without a goodbye. Raises ``ssl.SSLError``."""
        self._take(data)
        piece = b"."
        while piece:
            try:
                piece = self._object.read(_TLS_BYTES)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLEOFError:
                piece = b""
            yield piece

    def _take(self, data: bytes | bytearray) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


def left_in(broken: Any) -> Iterator[bytes]:
    """What the kernel still holds of what a peer said over a socket that broke: a copy of it reads on."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(broken.fileno())) as copy:
        copy.setblocking(False)
        for _ in range(_LEFT_BYTES // READ_BYTES):
            if not (data := copy.recv(READ_BYTES)):
                break
            yield data


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file of a size that ``check_size`` allows. Raises ``OSError`` if it cannot be read. It blocks."""
    # The size is checked before anything is read, and bounded as it is: the file may be growing, or a pipe.
    with open(path, "rb") as file:
        check_size(path, max(1, os.fstat(file.fileno()).st_size))
        audio = file.read(MAX_FILE_BYTES + 1)
    check_size(path, len(audio))
    return audio


def check_size(name: object, size: int) -> None:
    """Raises ``ConfigurationError`` for a file of so many bytes that is empty, or more than the service takes."""
    if size > MAX_FILE_BYTES:
        limit = f"{MAX_FILE_BYTES / 1e6:.0f} MB"
        raise ConfigurationError(f"{name} is over {limit}, the service's limit: compress it, or stream it live")
    if not size:
        raise ConfigurationError(f"{name} is empty: there is nothing to transcribe")


def _is_loopback(host: str) -> bool:
    host = host.removesuffix(".")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def no_proxy_connection(exc: OSError | UnicodeError, proxy: Proxy) -> Failure:
    """Why there is no connection to the proxy."""
    words = "not found" if isinstance(exc, (socket.gaierror, UnicodeError)) else _words_of(exc)
    reason = f"no connection to the proxy {proxy.host}, port {proxy.port}: {words}: check HTTPS_PROXY or proxy"
    return Failure(kind=FailureKind.CONNECT, reason=reason)


def no_connection(exc: OSError | UnicodeError, where: Address) -> Failure:
    """Why there is no connection."""
    final = False
    if isinstance(exc, ssl.SSLCertVerificationError):
        final = True
        advice = "check base_url, or give an ssl_context that trusts it"
        reason = f"the certificate of {where.host} does not hold ({exc.verify_message}): {advice}"
    elif isinstance(exc, (socket.gaierror, UnicodeError)):  # a name that is too long is a UnicodeError
        reason = f"the host {where.host} was not found: check base_url and the network"
    else:
        advice = "that TLS is spoken there" if isinstance(exc, ssl.SSLError) else "the network"
        reason = f"no connection to {where.host}, port {where.port}: {_words_of(exc)}: check base_url and {advice}"
    return Failure(kind=FailureKind.CONNECT, reason=reason, final=final)


def connection_lost(exc: OSError) -> Failure:
    """Why a connection broke."""
    return Failure(kind=FailureKind.DISCONNECTED, reason=f"the connection was lost: {_words_of(exc)}", code=1006)


def _words_of(exc: OSError) -> str:
    if isinstance(exc, ssl.SSLError):
        return f"TLS failed ({exc.reason})"
    return os.strerror(exc.errno) if exc.errno else str(exc) or type(exc).__name__
