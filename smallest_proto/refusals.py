"""An HTTP status that is no answer -> ``Failure``: for an exchange, and for a WebSocket refused before it opened.

What the service says can repeat what the user said, so the reason is a sentence of ours and the service's words are
the failure's private ``detail``; but for those of which it says (``"private": false``, as the local server does) that
they do not. Shapes of its errors: the vendor's OpenAPI files (August 2026):
``{"error", "request_id", "details"}``, ``{"errors", "status", "message"}``, ``{"error", "message"}``, ``{"message"}``,
``{"status", "error_code", "message", "language", "region"}``; recorded from the speech routes:
``{"error": [{"code", "path", "message"}]}``; of a server on premises: ``{"error", "code", "retry_after"}``. A proxy's
are pages of HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from .codings import decoded
from .errors import Failure, FailureKind
from .reading import ErrorMessage, error_text, read_json_object, read_number, refused_fields
from .statuses import IN_DETAIL, STATUSES, Verdict, meaning_of, meaning_of_code, read_code

MAX_REFUSAL_BYTES = 64 * 2**10  # more of an error page does not help

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")  # cannot hold what a user said, as near as can be
_EXPIRY = re.compile(r"[a-z][a-z-]{0,39}")
_MAX_DETAIL = 4096  # characters
_MAX_SHOWN = 300  # characters of a peer's words in a sentence of ours

_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_HTTP_DATE = re.compile(
    rf"[A-Z][a-z]{{2}}, ([0-9]{{2}}) ({'|'.join(re.findall('...', _MONTHS))}) ([0-9]{{4}})"
    r" ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)


def refusal(status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> Failure:
    """What an HTTP answer that is not the one asked for means. Never raises, whatever the peer sent.

    ``body`` is what came of the answer's body, compressed or not; it may be cut short. 5xx, 408, 425 and 429 can be
    tried again, all others are ``final``. Here a 2xx comes from something that is not the service (a
    WebSocket was asked for).
    """
    headers = tuple(headers)
    return _refusal(status, headers, decoded(headers, body, MAX_REFUSAL_BYTES))


def _refusal(status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> Failure:
    decoded = read_json_object(body)
    answer = decoded if isinstance(decoded, dict) else {}
    code = read_code(answer.get("error_code"), answer.get("code"))
    named = f" ({code})" if code else ""
    meaning = meaning_of(status)
    advice = by_code.advice if (by_code := meaning_of_code(code)) is not None else meaning.advice
    if answer.get("private") is False:
        advice = _shown(advice, error_text(answer.get("message")) or error_text(answer.get("error")))
    fields = refused_fields(*map(answer.get, ("error", "errors", "details")))
    wait = retry_after(headers)
    return Failure(
        kind=FailureKind.STATUS if 300 <= status <= 599 else FailureKind.PROTOCOL,
        reason=f"HTTP {status}{named}: {_wrong(fields)}{advice}",
        status=status,
        retry_after=_seconds(answer.get("retry_after")) if wait is None else wait,
        request_id=request_id(answer, headers),
        detail=_detail(answer, body),
        final=meaning.verdict is Verdict.FINAL,
    )


def no_answer(status: int, headers: Iterable[tuple[str, str]], body: bytes, what: str) -> Failure:
    """A success without what was asked for: the service reports an error in it, or ``what`` is wrong with it.

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

    A date counts from the answer's own Date header: the core has no clock, and both come from the server's.
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


def content_expiry(headers: Iterable[tuple[str, str]]) -> str | None:
    """What the service says became of a wish for deletion: "applied", "not-entitled" or "unavailable", so far."""
    expiry = header(headers, "X-Content-Expiry")
    return expiry if expiry is not None and _EXPIRY.fullmatch(expiry) else None


def header(headers: Iterable[tuple[str, str]], name: str) -> str | None:
    """The first value of a header, whatever the case of its name."""
    return next((value.strip() for key, value in headers if key.lower() == name.lower()), None)


def _shown(advice: str, words: str) -> str:
    """The service's ``words``, which are not private, if ``advice`` only points to them."""
    return words[:_MAX_SHOWN] if words and (not advice or advice.endswith(IN_DETAIL)) else advice


def _wrong(fields: str) -> str:
    return f"wrong: {fields}; " if fields else ""


def _seconds(read: Any) -> float | None:
    seconds = read_number(read)
    return seconds if seconds is not None and seconds >= 0 else None


def _detail(answer: dict[str, Any], body: bytes) -> str | None:
    """The service's words: the texts of its JSON, each once, or what came instead of JSON."""
    texts = [error_text(answer.get(name)) for name in ("error", "errors", "message", "detail")]
    if isinstance(details := answer.get("details"), list):
        texts.append(error_text(details))
    text = "; ".join(dict.fromkeys(filter(None, texts))) or str(body[: 4 * _MAX_DETAIL], "utf-8", "replace").strip()
    return text[:_MAX_DETAIL] or None


def _http_date(text: str) -> int | None:
    """An HTTP date as seconds since a fixed day (RFC 9110, section 5.6.7).

    The two obsolete spellings are not read: no server of today writes them, and the header is a hint.
    """
    if (match := _HTTP_DATE.fullmatch(text)) is None:
        return None
    day, year, hour, minute, second = (int(match[at]) for at in (1, 3, 4, 5, 6))
    month = _MONTHS.index(match[2]) // 3 + 1
    if month < 3:  # the year begins in March, so that the leap day is its last
        month, year = month + 12, year - 1
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day
    return ((days * 24 + hour) * 60 + minute) * 60 + second


def message_failure(message: ErrorMessage) -> Failure:
    """The failure that an error message over an open connection tells of; its status is an HTTP status, or a word.

    It is ``final`` where the code of the error says that no other try can help, or fields are named as wrong.
    """
    status = int(message.status) if message.status is not None and message.status in _STATUSES else None
    meaning = meaning_of_code(message.code)
    if meaning is None and message.fields and status is None:
        meaning = STATUSES[400]
    advice = "" if meaning is None else meaning.advice
    if not message.private:
        advice = _shown(advice, message.text)
    advice = _wrong(message.fields) + advice if advice else _wrong(message.fields).removesuffix("; ")
    reason = "the service told of an error" + (f" ({message.code})" if message.code else "")
    return Failure(
        kind=FailureKind.SERVICE,
        reason=reason + (f" with status {status}" if status else "") + (f": {advice}" if advice else ""),
        status=status,
        detail=message.text[:_MAX_DETAIL] or None,
        final=meaning is not None and meaning.verdict is Verdict.FINAL,
    )


_STATUSES = frozenset(map(str, range(400, 600)))


def closed_failure(code: int, close_reason: str) -> Failure:
    """The failure that a close of the WebSocket is; its ``close_reason`` is private."""
    reason = f"the service closed the connection with code {code}{_CLOSES.get(code, '')}"
    return Failure(kind=FailureKind.DISCONNECTED, reason=reason, code=code, detail=close_reason or None)


_CLOSES = {
    1001: " (it goes away)",
    1008: " (too many sessions at once)",
    1011: " (an error inside the service)",
    1012: " (it restarts)",
    1013: " (it is full)",
}


def silent_close(failure: Failure, key: str | None) -> Failure:
    """What may be wrong when link after link is closed right after it opens, before the service says anything.

    The words of the close are in the message, without the ``key``; ``None`` leaves them out, as they may repeat what
    the user wrote.
    """
    words = "" if key is None else " ".join((failure.detail or "").split())
    words = words.replace(key, "***") if key else words
    quote = f'; it says "{words[:_MAX_CLOSE]}"' if words.isprintable() and words else ""
    reason = f"{failure.reason} right after it was opened, again, without a message{quote}: {_SILENT_CLOSE}"
    return msgspec.structs.replace(failure, reason=reason)


_MAX_CLOSE = 123  # bytes of a close frame's reason (RFC 6455, section 5.5)
_SILENT_CLOSE = (
    "as a rule a language that this region does not serve, or an option that the service does not take: "
    "check language, base_url and the other options"
)
