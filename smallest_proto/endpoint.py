"""Where the service is, who calls it, and by which paths.

Facts of the wire: the vendor's API files for Pulse and Lightning (August 2026), and its pages on running the service on
premises (``/v1/listen``, ``/v1/listen/stream``, ``Authorization: Token``).
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, TypeAlias, get_args
from urllib.parse import urlsplit

import msgspec

from .errors import ConfigurationError
from .values import Secret, Value, hide

Route: TypeAlias = Literal["unified", "model", "direct", "on-premises"]

BASE_URL = "https://api.smallest.ai/waves/v1"
US_BASE_URL = "https://api.us.smallest.ai/waves/v1"


class Paths(NamedTuple):
    """What follows the base URL on one route; ``None``: the route has no such thing."""

    live: str  # a WebSocket
    file: str | None = None
    speech: str | None = None  # one reply
    speech_live: str | None = None  # a WebSocket, and server-sent events
    voices: bool = False  # see ``VOICES``
    gateway: bool = True  # it takes keepalives; a server reached otherwise does not know them
    scheme: str = "Bearer"  # of Authorization


# A path that names the model has no ``model`` in its query.
ROUTES: dict[Route, Paths] = {
    "unified": Paths("/stt/live", "/stt/", "/tts", "/tts/live", voices=True),
    "model": Paths("/{model}/get_text", "/{model}/get_text", "/{model}/get_speech", voices=True),
    "direct": Paths("/transcribe", gateway=False),
    "on-premises": Paths("/v1/listen/stream", "/v1/listen", gateway=False, scheme="Token"),
}
VOICES = {"all": "/voice/get-all-models", "model": "/{model}/get_voices"}

_HEADER_VALUE = re.compile(r"[\x21-\x7e]+( [\x21-\x7e]+)*")
_BASE_URL = re.compile(
    r"(https?|wss?)://([a-z0-9][a-z0-9_.-]*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?(/[a-z0-9._~!$&'()*+,;=:@%/-]*)?", re.I
)
# Headers that the library or its transport writes itself: a second one would contradict it.
_OWN_HEADER = re.compile(
    "accept|accept-encoding|authorization|connection|content-.*|expect|host|keep-alive|sec-websocket-.*|te|trailer"
    "|transfer-encoding|upgrade|x-source",
    re.I,
)


class Endpoint(Value, frozen=True, kw_only=True):
    """Where the service is and who calls it.

    Raises ``ConfigurationError`` for a URL that is no base URL and for a key that cannot stand in a header.

    Fields (default):
        api_key (required): the key of the service; for ``route='on-premises'`` the license key. Never shown.
        base_url ('https://api.smallest.ai/waves/v1'): http, https, ws or wss; what the paths of the route follow.
        route ('unified'): the shape of the paths: unified (``/stt/live?model=pulse``, today's), model
            (``/pulse/get_text``, the older contract), direct (``/transcribe``, a server reached without the gateway),
            on-premises (``/v1/listen``, the vendor's server in your own house).
        source ('smallest-proto'): who calls, as the header X-Source; ASCII.
        headers (()): more headers as (name, value) pairs, such as X-LiveKit-Version; ASCII.
        any_region (False): do not check languages against the region of ``base_url``: your contract has all.
    """

    api_key: str = Secret()
    base_url: str = BASE_URL
    route: Route = "unified"
    source: str = "smallest-proto"
    headers: tuple[tuple[str, str], ...] = ()
    any_region: bool = False

    def __post_init__(self) -> None:
        # From here on they cannot be shown by accident, not even by a traceback of the checks that follow.
        msgspec.structs.force_setattr(self, "api_key", hide(self.api_key))
        msgspec.structs.force_setattr(self, "headers", hide(self.headers))
        msgspec.structs.force_setattr(self, "base_url", hide(self.base_url))
        if not isinstance(self.api_key, str) or not self.api_key.strip():
            raise ConfigurationError(
                "no API key: pass api_key, or set SMALLEST_API_KEY where the client reads the environment"
            )
        if not _HEADER_VALUE.fullmatch(self.api_key) or self.api_key[0] in "'\"":
            raise ConfigurationError("the API key holds characters that no key has: check for line ends and quotes")
        if self.route not in get_args(Route):
            raise ConfigurationError(f"route must be one of {', '.join(get_args(Route))}, not {self.route!r}")
        self._check_url()
        if not isinstance(self.source, str) or not _HEADER_VALUE.fullmatch(self.source):
            raise ConfigurationError("source cannot stand in a header: use ASCII without line ends")
        _check_headers(self.headers)
        if not isinstance(self.any_region, bool):
            raise ConfigurationError(f"any_region must be True or False, not {self.any_region!r}")

    @property
    def paths(self) -> Paths:
        """The paths of its route."""
        return ROUTES[self.route]

    def _check_url(self) -> None:
        example = f"use a URL such as {BASE_URL}"
        if not isinstance(self.base_url, str):
            raise ConfigurationError(f"base_url must be text: {example}")
        # What can hold a secret goes before the URL is taken apart, where a traceback would show it.
        if "?" in self.base_url or "#" in self.base_url:
            raise ConfigurationError("base_url must end with its path: options are set in the configuration")
        if "@" in (self.base_url.partition("//")[2] or self.base_url).partition("/")[0]:
            raise ConfigurationError("base_url must not hold a user or a password: the key goes into api_key")
        try:
            url = urlsplit(self.base_url)
            url.port  # noqa: B018 - reading it checks it
        except ValueError:
            raise ConfigurationError(f"base_url cannot be read: {example}") from None
        if url.scheme not in ("http", "https", "ws", "wss"):
            raise ConfigurationError(f"base_url has the scheme {url.scheme!r}, not http, https, ws or wss: {example}")
        if not _BASE_URL.fullmatch(self.base_url) or url.port == 0:
            raise ConfigurationError(f"base_url has no host that can be reached: {example}")
        msgspec.structs.force_setattr(self, "base_url", str(self.base_url))  # it holds no secret


def _check_headers(headers: object) -> None:
    """Of headers that are hidden already."""
    if not isinstance(headers, tuple):
        raise ConfigurationError("headers must be a tuple of (name, value) pairs")
    for at, pair in enumerate(headers):
        if not isinstance(pair, tuple) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise ConfigurationError(f"header {at} must be a pair (name, value) of texts")
        name, value = pair
        if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not _HEADER_VALUE.fullmatch(value):
            raise ConfigurationError(f"the header {name!r} cannot be sent: use ASCII without line ends")
        if _OWN_HEADER.fullmatch(name):
            raise ConfigurationError(f"the header {name!r} is written by the library: leave it out (key: api_key)")
