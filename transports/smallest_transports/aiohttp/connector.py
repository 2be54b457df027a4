"""What all links of one client share in aiohttp: the connector, and what its errors mean."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from aiohttp.tracing import Trace
from yarl import URL

from smallest_proto.errors import ConfigurationError, Failure, FailureKind, LocalProtocolError, RemoteError
from smallest_proto.requests import Request
from smallest_proto.values import hide
from smallest_transports._address import Address
from smallest_transports._events import Headers
from smallest_transports._failures import no_proxy, proxy_refused
from smallest_transports._proxy import ENVIRONMENT
from smallest_transports._wire import FRAMING
from smallest_transports._world import World, connection_lost, no_connection, no_proxy_connection

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from typing_extensions import Self

# The sockets of the link that is opened in this task.
opened_sockets: ContextVar[list[socket.socket]] = ContextVar("sockets")

_TUNNELS = (
    "aiohttp makes a tunnel through a proxy for https alone: use an https base_url, proxy=None, or "
    "smallest_transports.asyncio"
)


def _make_socket(found: tuple[Any, ...]) -> socket.socket:
    """A socket for an address, noted for the link that it is for: aiohttp itself has no way to drop a connection."""
    made = socket.socket(*found[:3])
    opened_sockets.get().append(made)
    return made


class _Connected(BaseException):
    """Leaves aiohttp's request once we have its connection. No ``Exception``, so that nobody else catches it."""


class Connector(World):
    """Makes the connections of one client: with a connector of its own, or with that of a session that was handed in.

    It uses only public parts of aiohttp, except two names: ``Trace``, and where a session keeps its proxy.
    """

    http_session: aiohttp.ClientSession | None = None
    _session: aiohttp.ClientSession | None = None  # asks for all links, from entering to leaving

    def __init__(self, where: Address, *, proxy: str | None = ENVIRONMENT, **options: Any) -> None:
        super().__init__(where, proxy=proxy, **options)
        self._named = proxy != ENVIRONMENT  # the proxy, or that there is none
        if self.proxy is not None and not where.secure:
            raise ConfigurationError(_TUNNELS)

    @staticmethod
    def default_context(where: Address) -> ssl.SSLContext | None:
        """None of ours: the connector has the certificates to trust, the given session's or aiohttp's own."""

    async def __aenter__(self) -> Self:
        if self.http_session is None or not self.http_session.closed:
            self._session = self._new_session()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def check_open(self) -> None:
        """Raises ``LocalProtocolError`` where the session that was handed in is closed."""
        if self.http_session is not None and self.http_session.closed:
            raise LocalProtocolError("the http_session is closed: hand in one that lives as long as the client")

    @asynccontextmanager
    async def session(self) -> AsyncIterator[aiohttp.ClientSession]:
        """A session to connect with: that of the client, or one of its own where the client was not entered."""
        if self._session is not None:
            yield self._session
        else:
            async with self._new_session() as session:
                yield session

    def _new_session(self) -> aiohttp.ClientSession:
        given = self.http_session
        connector = (
            aiohttp.TCPConnector(
                limit=0,  # the application decides how many links there are
                force_close=True,
                socket_factory=_make_socket,
            )
            if given is None
            else given.connector
        )
        return aiohttp.ClientSession(
            connector=connector,
            connector_owner=given is None,
            cookie_jar=aiohttp.DummyCookieJar() if given is None else given.cookie_jar,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the core has deadlines
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type"),
        )

    async def connect(self, session: aiohttp.ClientSession, request: Request) -> tuple[Connection, Headers]:
        """Open a connection for a request. Returns it with the headers of the request and of the session."""
        found: list[Any] = []

        async def take(made: aiohttp.ClientRequest, _: Any) -> aiohttp.ClientResponse:
            if made.proxy is not None and not made.is_ssl():
                raise Failure(kind=FailureKind.CONNECT, reason=_TUNNELS, final=True).error()
            assert session.connector is not None
            found.append(await session.connector.connect(made, self._traces(), aiohttp.ClientTimeout()))
            found.append(_headers(made))
            raise _Connected

        url = URL(request.full_url, encoded=True)
        try:
            # aiohttp makes of it whom to connect to, through which proxy, and what the session adds to the headers.
            async with session.request(
                "GET", url, headers=self._all_headers(request), middlewares=(take,), **self._options()
            ):
                raise AssertionError
        except _Connected:
            return found[0], found[1]
        except BaseException:
            if found:
                found[0].close()
            raise

    def keep_cookies(self, headers: Headers, url: str) -> None:
        """Cookies that a server sets go to the session that was handed in."""
        if self.http_session is None:
            return
        cookies: SimpleCookie = SimpleCookie()
        for name, value in headers:
            try:
                cookies.load(value if name == "set-cookie" else "")
            except CookieError:
                continue
        self.http_session.cookie_jar.update_cookies(cookies, URL(url, encoded=True))

    def _all_headers(self, request: Request) -> list[tuple[str, str]]:
        """The headers of a request, and those that the session that was handed in adds to every one."""
        names = {name.lower() for name, _ in request.headers}
        theirs = () if self.http_session is None else self.http_session.headers.items()
        return [*((name, value) for name, value in theirs if name.lower() not in names), *request.headers]

    def _options(self) -> dict[str, Any]:
        """How to connect, as the user said; the session decides what is left out."""
        options: dict[str, Any] = {}
        theirs = getattr(self.http_session, "_default_proxy", None)  # it has no public name
        if self.ssl_context is not None:
            options["ssl"] = self.ssl_context
        if theirs is not None and not self._named:
            options["proxy"] = theirs
            options["proxy_auth"] = getattr(self.http_session, "_default_proxy_auth", None)
        elif self.proxy is not None:
            options["proxy"] = URL.build(scheme="http", host=self.proxy.host, port=self.proxy.port)
            options["proxy_headers"] = self.proxy.headers
        return options

    def _traces(self) -> list[Trace]:
        """The traces of the session that was handed in, as far as they concern connections."""
        given = self.http_session
        configs = () if given is None else given.trace_configs
        return [Trace(cast("aiohttp.ClientSession", given), config, config.trace_config_ctx()) for config in configs]


def _headers(made: aiohttp.ClientRequest) -> Headers:
    """Its headers, without those that say how the message is framed."""
    return hide(tuple((name, value) for name, value in made.headers.items() if name.lower() not in FRAMING))  # type: ignore[no-any-return]


def failure_of(exc: Exception, where: Address, world: World) -> Failure | None:
    """What aiohttp's exception means. It is not kept as a cause: it holds the request with the key."""
    match exc:
        case RemoteError():
            return exc.failure
        case aiohttp.ClientProxyConnectionError() if world.proxy is not None:
            return no_proxy_connection(exc.os_error, world.proxy)
        case aiohttp.ClientHttpProxyError():
            return proxy_refused(exc.status)
        case aiohttp.ClientConnectorCertificateError():
            return no_connection(cast("OSError", exc.certificate_error), where)
        case aiohttp.ClientConnectorDNSError() | aiohttp.InvalidURL() | UnicodeError():
            return no_connection(UnicodeError(), where)
        case aiohttp.ClientConnectorError():
            return no_connection(exc.os_error, where)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientResponseError():  # of CONNECT: all else is read by us
            return no_proxy()
        case OSError():
            return connection_lost(exc)
        case aiohttp.ClientError() | ValueError():
            return Failure(kind=FailureKind.CONNECT, reason=f"aiohttp could not connect: {type(exc).__name__}")
    return None
