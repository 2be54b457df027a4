"""An HTTP status that is no answer -> ``Failure``: for an exchange, and for a WebSocket refused before it opened.

What the service says can repeat what the user said, so the reason is a sentence of ours and the service's words are
the failure's private ``detail``. Shapes of its errors: the vendor's OpenAPI files (August 2026):
``{"error", "request_id", "details"}``, ``{"errors", "status", "message"}``, ``{"error", "message"}``, ``{"message"}``,
``{"status", "error_code", "message", "language", "region"}``; a proxy's are pages of HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from .codings import decoded
from .errors import Failure, FailureKind
from .reading import ErrorMessage, error_text, read_json_object, read_text

MAX_REFUSAL_BYTES = 64 * 2**10  # more of an error page helps nobody

_ADVICE = {
    400: "the service refuses an option or what was sent: check the configuration, its words are in failure.detail",
    401: "the service does not accept the API key: check api_key (SMALLEST_API_KEY)",
    402: "the account has no credit left: see the plan in the service's console",
    403: "the plan of this API key does not include what was asked for: check the model and the plan",
    404: "there is nothing at this address: check base_url, route and model",
    405: "this address does not take such a request: check base_url and route",
    408: "the service waited too long for the request: try again, over a faster connection or with a smaller file",
    413: "it is too much at once: a file may have 250 MB (compress it, or stream it live), text goes in parts",
    414: "the address is too long for this server, or for a gateway before it: give fewer keywords, or shorter ones",
    415: "the service does not take this kind of file: send WAV, MP3, FLAC or OGG",
    422: "the service refuses an option or what was sent: check the configuration, its words are in failure.detail",
    426: "this address speaks WebSocket alone: check base_url and route",
    429: "too many requests at once for this plan: slow down, and wait failure.retry_after seconds where it is given",
    431: "the headers are too large for this server, or for a gateway before it: give fewer, or shorter ones",
    503: "the service has no worker free: try again later",
}
_REDIRECT = (
    "the server redirects elsewhere, and redirects are not followed as the API key would go with them: "
    "set base_url to where the service is"
)
_TRY_AGAIN = frozenset((408, 425, 429))  # of the 4xx, those that a second try can help

_ERROR_CODE = re.compile(r"[A-Z_]{1,64}")  # cannot hold what a user said
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")  # likewise, as near as can be
_MAX_DETAIL = 4096  # characters

_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_HTTP_DATE = re.compile(
    rf"[A-Z][a-z]{{2}}, ([0-9]{{2}}) ({'|'.join(re.findall('...', _MONTHS))}) ([0-9]{{4}})"
    r" ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)


def refusal(status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> Failure:
    """What an HTTP answer that is not the one asked for means. Never raises, whatever the peer sent.

    ``body`` is what came of the answer's body, compressed or not; it may be cut short. 5xx, 408, 425 and 429 can be
    tried again, all others are ``final``. A 2xx is here the answer of something that is not the service (a WebSocket
    was asked for).
    """
    headers = tuple(headers)
    return _refusal(status, headers, decoded(headers, body, MAX_REFUSAL_BYTES))


def _refusal(status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> Failure:
    told = read_json_object(body)
    answer = told if isinstance(told, dict) else {}
    code = answer.get("error_code")
    named = f" ({code})" if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""
    return Failure(
        kind=FailureKind.STATUS if 300 <= status <= 599 else FailureKind.PROTOCOL,
        reason=f"HTTP {status}{named}: {_advice(status)}",
        status=status,
        retry_after=retry_after(headers),
        request_id=request_id(answer, headers),
        detail=_detail(answer, body),
        final=status < 500 and status not in _TRY_AGAIN,
    )


def no_answer(status: int, headers: Iterable[tuple[str, str]], body: bytes, what: str) -> Failure:
    """A success in which what was asked for is not: the service tells of an error there, or ``what`` is wrong with it.

    The latter is an answer of something that is not the service, or was cut short on its way.
    """
    kind, reason = FailureKind.PROTOCOL, f"HTTP {status}, but {what}: check that base_url leads to the service"
    if tells_error(read_json_object(body)):
        kind = FailureKind.SERVICE
        reason = f"the service told of an error with HTTP {status}: its words are in failure.detail"
    return msgspec.structs.replace(_refusal(status, tuple(headers), body), kind=kind, reason=reason, final=False)


def tells_error(answer: dict[str, Any] | str) -> bool:
    """Whether the JSON of an answer tells of an error."""
    return isinstance(answer, dict) and (
        answer.get("status") == "error" or any(map(answer.get, ("error", "errors", "error_code")))
    )


def retry_after(headers: Iterable[tuple[str, str]]) -> float | None:
    """Seconds that a Retry-After header asks to wait, or ``None`` where none can be read.

    As a date it is reckoned from the answer's own Date: the core has no clock, and the two come from the same one.
    """
    headers = tuple(headers)
    value = header(headers, "Retry-After")
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return float(value)
    until, date = _http_date(value), _http_date(header(headers, "Date") or "")
    return None if until is None or date is None else float(max(0, until - date))


def request_id(answer: dict[str, Any], headers: Iterable[tuple[str, str]] = ()) -> str | None:
    """The service's name for a request, from its answer or its headers; ``None`` where it is not shaped like one."""
    for named in (answer.get("request_id"), header(headers, "X-Request-Id")):
        if isinstance(named, str) and _REQUEST_ID.fullmatch(named):
            return named
    return None


def header(headers: Iterable[tuple[str, str]], name: str) -> str | None:
    """The first value of a header, whatever the case of its name."""
    return next((value.strip() for key, value in headers if key.lower() == name.lower()), None)


def _advice(status: int) -> str:
    if 300 <= status <= 399:
        return _REDIRECT
    if status in _ADVICE:
        return _ADVICE[status]
    if 400 <= status <= 499:
        return "the service refuses the request: its words are in failure.detail"
    if 500 <= status <= 599:
        return "the service failed: try again later"
    return "this is not what the service answers: check base_url and route"


def _detail(answer: dict[str, Any], body: bytes) -> str | None:
    """The service's words: the texts of its JSON, each once, or what came instead of JSON."""
    said = [error_text(answer.get(name)) for name in ("error", "errors", "message", "detail")]
    for name in ("errors", "details", "detail"):
        items = answer.get(name)
        if isinstance(items, list):
            said += [error_text(item) or read_text(item) or "" for item in items[:100]]
    text = "; ".join(dict.fromkeys(filter(None, said))) or str(body[: 4 * _MAX_DETAIL], "utf-8", "replace").strip()
    return text[:_MAX_DETAIL] or None


def _http_date(text: str) -> int | None:
    """Seconds since some day of an HTTP date (RFC 9110, section 5.6.7).

    The two obsolete spellings are not read: no server of today writes them, and the header is a hint.
    """
    if (found := _HTTP_DATE.fullmatch(text)) is None:
        return None
    day, year, hour, minute, second = (int(found[at]) for at in (1, 3, 4, 5, 6))
    month = _MONTHS.index(found[2]) // 3 + 1
    if month < 3:  # the year begins in March, so that the leap day is its last
        month, year = month + 12, year - 1
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day
    return ((days * 24 + hour) * 60 + minute) * 60 + second


def told_failure(message: ErrorMessage) -> Failure:
    """The failure that an error message over an open connection tells of; its status is an HTTP status, or a word."""
    status = int(message.status) if message.status is not None and message.status in _STATUSES else None
    said = "the service told of an error" + (f" with status {status}" if status else "")
    return Failure(kind=FailureKind.SERVICE, reason=said, status=status, detail=message.text[:_MAX_DETAIL] or None)


_STATUSES = frozenset(map(str, range(400, 600)))


def closed_failure(code: int, said: str) -> Failure:
    """The failure that a close of the WebSocket is; what the peer ``said`` with it is private."""
    reason = f"the service closed the connection with code {code}{_CLOSES.get(code, '')}"
    return Failure(kind=FailureKind.DISCONNECTED, reason=reason, code=code, detail=said or None)


_CLOSES = {
    1001: " (it goes away)",
    1008: " (too many sessions at once)",
    1011: " (an error inside the service)",
    1012: " (it restarts)",
    1013: " (it is full)",
}
