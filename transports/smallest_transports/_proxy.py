"""Which proxy leads to the service, if any."""

from __future__ import annotations

import base64
import ipaddress
import re
from typing import ClassVar
from urllib.parse import unquote_to_bytes, urlsplit

from smallest_proto.errors import ConfigurationError
from smallest_proto.values import Secret, Value

ENVIRONMENT = "environment"  # the proxy is what the environment says: HTTPS_PROXY, NO_PROXY and their like


class Proxy(Value, frozen=True, kw_only=True):
    """A proxy that is asked for a tunnel (CONNECT)."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"authorization"})

    host: str  # without the brackets of an IPv6 address
    port: int
    authorization: str | None = None  # of Proxy-Authorization

    @property
    def headers(self) -> dict[str, str]:
        """What a proxy is told beside the request."""
        return {} if self.authorization is None else {"Proxy-Authorization": self.authorization}


def read_proxy(url: str, named: str = "proxy") -> Proxy:
    """The proxy of a URL such as ``http://user:password@proxy.example:3128``; ``named`` is where the URL stands.

    Raises ``ConfigurationError``, which shows nothing of the URL: it can hold a password.
    """
    example = f"set {named} to a URL such as http://proxy.example:3128, or proxy=None for a direct connection"
    try:
        scheme, host, port, authorization = _read(url if "://" in url else f"http://{url}")
    except (ValueError, TypeError):
        scheme, host, port, authorization = "", None, 0, None
    if not host or not re.fullmatch(r"[a-z0-9_.:-]+", host):
        raise ConfigurationError(f"{named} is no URL of a proxy: {example}")
    if scheme != "http":
        raise ConfigurationError(f"{named} is a proxy of a kind that is not spoken ({scheme}): {example}")
    return Proxy(host=host, port=port, authorization=authorization)


def bypasses(exceptions: str, host: str, port: int) -> bool:
    """Whether ``NO_PROXY`` says that no proxy leads to a host, read as curl does.

    Its entries are names, which hold for what is under them too (with a dot or ``*.`` before them or without),
    addresses, networks (``10.0.0.0/8``), and ``*`` for all; a port after one narrows it.
    """
    name = host.lower().removesuffix(".")
    return any(_excepts(entry, name, port) for entry in re.split(r"[\s,]+", exceptions.lower()) if entry)


def _excepts(entry: str, name: str, port: int) -> bool:
    if match := re.fullmatch(r"(\[[^]]*\]|[^:]*):([0-9]+)", entry):  # an IPv6 address without brackets has no port
        entry = match[1]
        if int(match[2]) != port:
            return False
    entry = entry.strip("[]")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        entry = entry.removeprefix("*").removeprefix(".").removesuffix(".")
        return entry == "" or name == entry or name.endswith(f".{entry}")
    try:
        return entry == "*" or address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _read(url: str) -> tuple[str, str | None, int, Secret | None]:
    """Scheme, host, port and credentials: in here, so that no frame of the one who raises holds them."""
    parts = urlsplit(url)
    authorization = None
    if parts.username is not None:
        user, password = unquote_to_bytes(parts.username), unquote_to_bytes(parts.password or "")
        authorization = Secret("Basic " + base64.b64encode(user + b":" + password).decode())
    return parts.scheme, parts.hostname, parts.port or 80, authorization
