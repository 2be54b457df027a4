"""What all links of one client have in common in aiohttp: the connector, and the words for what it fails with."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from yarl import URL

from smallest_proto.errors import ConfigurationError, Failure, FailureKind, LocalProtocolError, RemoteError
from smallest_transports._address import Address
from smallest_transports._failures import bad_handshake, cut_short, no_proxy, not_http, proxy_refused
from smallest_transports._world import World, connection_lost, no_connection, no_proxy_connection

if TYPE_CHECKING:
    from typing_extensions import Self

# The sockets of the link that is opened in this task.
opened_sockets: ContextVar[list[socket.socket]] = ContextVar("sockets")


def _make_socket(found: tuple[Any, ...]) -> socket.socket:
    """A socket for an address, noted for the link that it is for: aiohttp itself has no way to drop a connection."""
    made = socket.socket(*found[:3])
    opened_sockets.get().append(made)
    return made


class Connector(World):
    """The connector of one client: its own from entering to leaving, or that of a session which was handed in."""

    http_session: aiohttp.ClientSession | None = None
    _connector: aiohttp.TCPConnector | None = None

    def __init__(self, where: Address, **options: Any) -> None:
        super().__init__(where, **options)
        if self.proxy is not None and not where.secure:
            raise ConfigurationError(
                "aiohttp makes a tunnel through a proxy for https alone: use an https base_url, proxy=None, or "
                "smallest_transports.asyncio"
            )

    async def __aenter__(self) -> Self:
        if self.http_session is None:
            self._connector = aiohttp.TCPConnector(
                limit=0,  # how many links there are is the application's business
                force_close=True,
                socket_factory=_make_socket,
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connector is not None:
            await self._connector.close()

    def check_open(self) -> None:
        """Raises ``LocalProtocolError`` where the session that was handed in is closed."""
        if self.http_session is not None and self.http_session.closed:
            raise LocalProtocolError("the http_session is closed: hand in one that lives as long as the client")

    def session(self, *middlewares: Any) -> aiohttp.ClientSession:
        """A session for one request over the shared connector, or one of its own where the client was not entered."""
        given, connector = self.http_session, self._connector
        options: dict[str, Any] = {"cookie_jar": aiohttp.DummyCookieJar()}
        if given is not None:
            connector = cast("aiohttp.TCPConnector", given.connector)
            options = {"headers": given.headers, "cookie_jar": given.cookie_jar, "trace_configs": given.trace_configs}
            options["proxy"] = getattr(given, "_default_proxy", None)  # it has no public name
        return aiohttp.ClientSession(
            connector=connector,
            connector_owner=connector is None,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the core has deadlines
            middlewares=middlewares,
            skip_auto_headers=("Accept-Encoding",),  # audio does not shrink
            **options,
        )

    def options(self, headers: Iterable[tuple[str, str]]) -> dict[str, Any]:
        """What each request is given beside its URL."""
        options: dict[str, Any] = {"headers": list(headers)}
        if self.ssl_context is not None:
            options["ssl"] = self.ssl_context
        if self.proxy is not None:
            options["proxy"] = URL.build(scheme="http", host=self.proxy.host, port=self.proxy.port)
            options["proxy_headers"] = self.proxy.headers
        return options


def failure_of(exc: Exception, where: Address, world: World) -> Failure:
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
        case aiohttp.WSServerHandshakeError():
            return bad_handshake()
        case aiohttp.ClientResponseError():
            return no_proxy(exc.message) if exc.request_info.method == "CONNECT" else not_http(exc.message)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return cut_short()
        case OSError():
            return connection_lost(exc)
        case aiohttp.ClientError() | ValueError():
            return Failure(kind=FailureKind.CONNECT, reason=f"aiohttp could not do the request: {type(exc).__name__}")
    raise exc
