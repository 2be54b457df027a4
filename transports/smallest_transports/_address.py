"""Where a request goes: host, port, and whether over TLS."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from smallest_proto.errors import ConfigurationError
from smallest_proto.requests import Request

PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Address(NamedTuple):
    """Where a request goes."""

    host: str  # without the brackets of an IPv6 address
    port: int
    secure: bool  # over TLS

    @property
    def name(self) -> str:
        """The name that stands in a certificate: without the dot that can end a host, and says that it is whole."""
        return self.host.removesuffix(".")


def address(request: Request) -> Address:
    """Where to connect for a request. Raises ``ConfigurationError`` for a URL that leads nowhere."""
    return address_of(request.url)


def address_of(full: str) -> Address:
    """Where a URL leads. Raises ``ConfigurationError`` for one that leads nowhere."""
    try:
        url = urlsplit(full)
        host, port = url.hostname, url.port
    except ValueError:
        host, port, url = None, None, urlsplit("")
    if not host or url.scheme not in PORTS or port == 0:
        raise ConfigurationError("the URL must be an absolute http, https, ws or wss URL with a host")
    return Address(host, port or PORTS[url.scheme], url.scheme in ("https", "wss"))


def is_websocket(request: Request) -> bool:
    """Whether a request opens a WebSocket."""
    return urlsplit(request.url).scheme in ("ws", "wss")
