"""The way through a proxy: CONNECT, which a tunnel of bytes comes of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import h11

from smallest_transports._address import Address
from smallest_transports._events import Opened, ProtocolBroken, Refused
from smallest_transports._failures import no_proxy, proxy_refused
from smallest_transports._proxy import Proxy

from .connection import Phase, Wire, read_headers


class ClientTunnel(Wire):
    """Asks a proxy for a connection to ``where``. After ``Opened`` the connection is another's."""

    def __init__(self, proxy: Proxy, where: Address) -> None:
        super().__init__(h11.CLIENT)
        host = f"[{where.host}]" if ":" in where.host else where.host
        target = f"{host}:{where.port}"
        self._say(h11.Request(method="CONNECT", target=target, headers=[("Host", target), *proxy.headers.items()]))
        self._say(h11.EndOfMessage())

    def receive_data(self, data: bytes) -> list[Opened | Refused | ProtocolBroken]:
        """What the proxy said; ``b""``: it says nothing more. What the page of a refusal says helps nobody."""
        if self._phase is Phase.OVER:
            return []
        try:
            for event in self._http_events(data):
                if isinstance(event, h11.Response):
                    self._phase = Phase.OVER
                    if 200 <= event.status_code <= 299:
                        return [Opened(headers=read_headers(event))]
                    return [Refused(failure=proxy_refused(event.status_code))]
        except h11.RemoteProtocolError as exc:
            self._phase = Phase.OVER
            return [ProtocolBroken(failure=no_proxy(str(exc)))]
        return []


async def open_tunnel(
    proxy: Proxy, where: Address, send: Callable[[bytes], Awaitable[Any]], receive: Callable[[], Awaitable[bytes]]
) -> None:
    """Ask the proxy at the other end for the way. Raises the ``RemoteError`` of its refusal.

    Nobody speaks before the client does, in TLS and in HTTP: what comes after the answer is nobody's.
    """
    tunnel = ClientTunnel(proxy, where)
    await send(tunnel.data_to_send())
    while not (events := tunnel.receive_data(await receive())):
        pass
    if not isinstance(events[0], Opened):
        raise events[0].failure.error()
