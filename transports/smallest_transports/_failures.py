"""What a peer does wrong below the core's protocol, in words: WebSocket, HTTP, proxy. Every driver says the same."""

from __future__ import annotations

from smallest_proto.errors import Failure, FailureKind
from smallest_proto.statuses import Verdict, meaning_of

from ._events import MAX_MESSAGE_BYTES

_BREACHES = {
    1007: "sent text that is not UTF-8",
    1009: f"sent a message of over {MAX_MESSAGE_BYTES // 2**20} MiB",
}


def broken_websocket(code: int) -> Failure:
    """The peer broke WebSocket's rules; ``code`` is the close code that says which."""
    what = _BREACHES.get(code, "sent a frame that breaks the rules")
    return Failure(kind=FailureKind.PROTOCOL, reason=f"the peer {what}: the WebSocket was closed ({code:d})")


def bad_handshake() -> Failure:
    """A 101 that does not answer what was asked."""
    reason = "the server's answer to the WebSocket handshake is not a right one: check base_url"
    return Failure(kind=FailureKind.PROTOCOL, reason=reason, status=101)


def not_http(detail: str | None = None) -> Failure:
    """The answer is no HTTP."""
    reason = "what answers here does not speak HTTP/1.1: check base_url"
    return Failure(kind=FailureKind.PROTOCOL, reason=reason, detail=detail)


def cut_short(detail: str | None = None) -> Failure:
    """The answer ended before its end."""
    reason = "the server closed the connection before its answer was whole"
    return Failure(kind=FailureKind.DISCONNECTED, reason=reason, detail=detail)


def proxy_refused(status: int) -> Failure:
    """A proxy answered CONNECT with a status that is no success."""
    if status == 407:
        advice = "it wants other credentials: check the user and the password in HTTPS_PROXY or proxy"
    else:
        advice = f"it makes no connection to the service (HTTP {status}): check HTTPS_PROXY, NO_PROXY or proxy"
    final = 300 <= status <= 499 and meaning_of(status).verdict is Verdict.FINAL
    return Failure(kind=FailureKind.CONNECT, reason=f"the proxy refuses: {advice}", final=final)


def no_proxy(detail: str | None = None) -> Failure:
    """What answers CONNECT is no proxy."""
    reason = "what should be a proxy does not answer as one: check HTTPS_PROXY or proxy"
    return Failure(kind=FailureKind.CONNECT, reason=reason, detail=detail)
