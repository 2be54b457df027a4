"""The page of the local server: speak into it, break the link, and look at what became of the call."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from smallest_proto.server.answers import Response
from smallest_transports import pictures
from smallest_transports._wire import RequestReceived
from smallest_transports.local.link import Connection
from smallest_transports.local.server import LocalServer

from .calls import hear, speak
from .socket import Browser

_HERE = Path(__file__).parent
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page/call.js": ("call.js", "text/javascript; charset=utf-8"),
    "/page/microphone.js": ("microphone.js", "text/javascript; charset=utf-8"),
    "/page/speech.js": ("speech.js", "text/javascript; charset=utf-8"),
    "/page/recorder.js": ("recorder.js", "text/javascript; charset=utf-8"),
    "/page/picture.css": ("", "text/css; charset=utf-8"),
    "/page/picture.js": ("", "text/javascript; charset=utf-8"),
}
_CALLS = {"/page/hear": hear, "/page/speak": speak}
# Nothing comes from elsewhere or goes there, and no other page can frame this one and have its buttons pressed.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),  # after an update the old page would speak with the new server
)


class LocalPage:
    """For ``LocalServer(pages=LocalPage())``: at ``/``, for a browser on this machine.

    Where the server lets in one key alone, a browser on another machine is refused: the page needs none.
    """

    def has(self, path: str) -> bool:
        """Whether the page has something there."""
        return path in _FILES or path in _CALLS

    async def answer(self, request: RequestReceived, connection: Connection, server: LocalServer) -> Response | None:
        """A file of the page; or a call of its, to its end."""
        url = urlsplit(request.target)
        if server.keyed and not _is_near(connection):
            return _refusal(403, "this server wants a key, so its page is for this machine alone")
        if (call := _CALLS.get(url.path)) is not None:
            if not request.websocket:
                return _refusal(426, "this is a WebSocket of the page", ("Upgrade", "websocket"))
            await call(Browser(connection, dict(parse_qsl(url.query))), server)
            return None
        if request.websocket or request.method not in ("GET", "HEAD"):
            return _refusal(405, "this is a page to read", ("Allow", "GET, HEAD"))
        name, kind = _FILES[url.path]
        if name:
            body = (_HERE / name).read_bytes()
        else:
            body = (pictures.script() if url.path.endswith(".js") else pictures.style()).encode()
        return Response(status=200, headers=(("Content-Type", kind), *_HEADERS), body=body)


def _is_near(connection: Connection) -> bool:
    """Whether the client is on this machine."""
    peer = connection.writer.get_extra_info("peername")
    return bool(peer) and ipaddress.ip_address(peer[0].partition("%")[0]).is_loopback


def _refusal(status: int, why: str, *headers: tuple[str, str]) -> Response:
    kind = ("Content-Type", "text/plain; charset=utf-8")
    return Response(status=status, headers=(kind, *headers, *_HEADERS), body=f"{why}\n".encode())
