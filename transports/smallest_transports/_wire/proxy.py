"""The way through a proxy: CONNECT, which makes a tunnel for bytes."""

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
    """Asks a proxy for a connection to ``where``. After ``Opened`` something else takes over the connection."""

    def __init__(self, proxy: Proxy, where: Address) -> None:
        super().__init__(h11.CLIENT)
        host = f"[{where.host}]" if ":" in where.host else where.host
        target = f"{host}:{where.port}"
        self._say(h11.Request(method="CONNECT", target=target, headers=[("Host", target), *proxy.headers.items()]))
        self._say(h11.EndOfMessage())

    def receive_data(self, data: bytes) -> list[Opened | Refused | ProtocolBroken]:
        """What the proxy sent; ``b""``: it sends nothing more. The page of a refusal is of no help."""
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
    """Ask the proxy at the other end for a tunnel. Raises the ``RemoteError`` of its refusal.

    In TLS and in HTTP the client speaks first: bytes after the proxy's answer belong to nothing, and are dropped.
    """
    tunnel = ClientTunnel(proxy, where)
    await send(tunnel.data_to_send())
    while not (events := tunnel.receive_data(await receive())):
        pass
    if not isinstance(events[0], Opened):
        raise events[0].failure.error()
