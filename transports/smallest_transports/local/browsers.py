"""Which requests of browsers are let in: a page elsewhere must not reach a server on this machine.

A browser says with ``Origin`` which page asks, on every WebSocket and every request that changes something or goes
elsewhere (Fetch, section 3.2); no other client has a need to. So whatever has one must come from the server's own
pages, on each route. A page elsewhere can also give its own name the address of this machine (DNS rebinding): then
``Host`` has that name, so it must be one that nobody else can give away. Where there is no ``Origin``, on the routes of
the service, ``Host`` may be any: a client in a container has good reasons for another name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit


def why_foreign(headers: Iterable[tuple[str, str]], own: str, *, secure: bool, page: bool) -> str | None:
    """Why a request is not let in, if it is not. ``own`` is the name that the server was given, ``page``: it is for a
    page of the server's own."""
    fields = {name.lower(): value.strip().lower() for name, value in headers}
    host, origin = fields.get("host", ""), fields.get("origin")
    if origin is None and not page:
        return None
    if not _is_ours(host, own):
        return f"this server does not go by the name {host[:80]!r}: use localhost, or its address as a number"
    if origin not in (None, f"{'https' if secure else 'http'}://{host}"):
        return f"pages of {(origin or '')[:80]!r} may not use this server; outside a browser leave out Origin"
    return None


def _is_ours(host: str, own: str) -> bool:
    """Whether nobody else can give that name to this machine."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name == own.lower() or name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
            return True
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
