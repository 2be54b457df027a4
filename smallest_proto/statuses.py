"""What an error of the service means: one table for HTTP statuses, one for the codes of its error messages.

``retry``, ``refusals`` and the drivers read them, so that a status has one meaning. Facts: the vendor's OpenAPI files
and error reference (August 2026), and RFC 9110.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .values import Name


class Verdict(Name):
    """What to do after a failure."""

    FINAL = "final"  # another try cannot help
    RETRY = "retry"
    RETRY_BUSY = "retry busy"  # the service has no room now: a request that is not urgent waits longer
    RETRY_SLOWLY = "retry slowly"  # the service is full of our own sessions: with the longest wait


class Meaning(NamedTuple):
    """What a status or a code means to the caller."""

    verdict: Verdict
    advice: str


IN_DETAIL = "words are in failure.detail"  # how advice ends that points to the service's own words

_OPTION = f"check the configuration, the service's {IN_DETAIL}"
_SHORTER = (
    "the URL is longer than the service takes, as a rule because of many keywords (2,000 pass, 10,000 do not): "
    "send fewer keywords"
)
_RETIRED = (
    "the service has retired this model or address: use lightning_v3.1 or lightning_v3.1_pro to speak, "
    "pulse or pulse-pro to transcribe, with route='unified'"
)

STATUSES: dict[int, Meaning] = {
    400: Meaning(Verdict.FINAL, f"the service refuses an option or what was sent: {_OPTION}"),
    401: Meaning(Verdict.FINAL, "the service does not accept the API key: check api_key (SMALLEST_API_KEY)"),
    402: Meaning(Verdict.FINAL, "the account has no credit left: see the plan in the service's console"),
    403: Meaning(
        Verdict.FINAL,
        "the plan of this API key does not include what was asked for: check the model and the plan",
    ),
    404: Meaning(Verdict.FINAL, "there is nothing at this address: check base_url, route and model"),
    405: Meaning(Verdict.FINAL, "this address does not take such a request: check base_url and route"),
    408: Meaning(
        Verdict.RETRY,
        "the service waited too long for the request: try again, over a faster connection or with a smaller file",
    ),
    410: Meaning(Verdict.FINAL, _RETIRED),
    413: Meaning(
        Verdict.FINAL,
        "it is too much at once: a file may have 250 MB (compress it, or stream it live), text goes in parts",
    ),
    414: Meaning(Verdict.FINAL, _SHORTER),
    415: Meaning(Verdict.FINAL, "the service does not take this kind of file: send WAV, MP3, FLAC or OGG"),
    422: Meaning(Verdict.FINAL, f"the service refuses an option or what was sent: {_OPTION}"),
    425: Meaning(Verdict.RETRY, "the service does not take the request this early in the connection: try again"),
    426: Meaning(Verdict.FINAL, "this address speaks WebSocket alone: check base_url and route"),
    429: Meaning(
        Verdict.RETRY_BUSY,
        "too many requests at once for this plan: slow down, and wait failure.retry_after seconds where it is given",
    ),
    431: Meaning(Verdict.FINAL, _SHORTER),
    503: Meaning(Verdict.RETRY_BUSY, "the service has no worker free: try again later"),
}

_REDIRECT = (
    "the server redirects elsewhere, and redirects are not followed as the API key would go with them: "
    "set base_url to where the service is"
)


def meaning_of(status: int) -> Meaning:
    """What a failing status means. A 1xx or 2xx comes from something that is not the service."""
    if (known := STATUSES.get(status)) is not None:
        return known
    if status < 300:
        return Meaning(Verdict.FINAL, _FOREIGN)
    if status <= 399:
        return Meaning(Verdict.FINAL, _REDIRECT)
    if status <= 499:
        return Meaning(Verdict.FINAL, f"the service refuses the request: its {IN_DETAIL}")
    return Meaning(Verdict.RETRY, "the service failed: try again later" if status <= 599 else _FOREIGN)


_FOREIGN = "this is not what the service answers: check base_url and route"

# The codes that the vendor's pages name, and what to do about them.
_REGION = (
    "the service does not have this language in this region: use another base_url (the US has zh, yue, ja, ko and "
    "multi-asian, India ta, te, kn, ml, multi-south-indic and multi-indic), another language, or ask the vendor for it"
)
CODES: dict[str, Meaning] = {
    "LANGUAGE_NOT_ENABLED_IN_REGION": Meaning(Verdict.FINAL, _REGION),
    "MODEL_DEPRECATED": Meaning(Verdict.FINAL, _RETIRED),
    "INVALID_LICENSE": Meaning(Verdict.FINAL, "the server does not accept the license key: check api_key"),
    "LICENSE_EXPIRED": Meaning(Verdict.FINAL, "the license of this server has expired: renew it"),
    "FILE_TOO_LARGE": STATUSES[413],
    "UNSUPPORTED_FORMAT": STATUSES[415],
    "RATE_LIMIT_EXCEEDED": STATUSES[429],
    "SERVICE_UNAVAILABLE": STATUSES[503],
}

_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")  # cannot hold what a user said
# Parts of a code after which a retry cannot help. INVALID alone is none of them: it can be about one message.
_HOPELESS = re.compile(
    r"(^|_)(UNSUPPORTED|DEPRECATED|UNAUTHORIZED|FORBIDDEN|NOT_(ENABLED|ALLOWED|SUPPORTED)"
    r"|(INVALID|MISSING)_(API_KEY|KEY|TOKEN|LANGUAGE|MODEL|PARAMETER|OPTION))(_|$)"
)


def read_code(*read: object) -> str | None:
    """The first of some JSON values that looks like a code of the service."""
    return next((one for one in read if isinstance(one, str) and _CODE.fullmatch(one)), None)


def meaning_of_code(code: str | None) -> Meaning | None:
    """What an error's code means, or ``None`` if it does not say whether to try again."""
    if code is None or code in CODES:
        return None if code is None else CODES[code]
    return Meaning(Verdict.FINAL, f"the service refuses an option: {_OPTION}") if _HOPELESS.search(code) else None
