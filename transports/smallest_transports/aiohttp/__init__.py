"""The driver for aiohttp: its connections around the core's state machines. It holds no policy.

aiohttp connects, as the session that was handed in does it: proxy, trust, cookies, traces. Then the transport is ours,
and frames are what they are everywhere. Deadlines, pings and retries are the core's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

try:
    import aiohttp
except ModuleNotFoundError as exc:
    if (exc.name or "").partition(".")[0] != "aiohttp":
        raise
    raise ImportError('this driver needs aiohttp: pip install "smallest-proto[aiohttp]"') from exc

from smallest_transports import _client
from smallest_transports._client import Options, hide_options
from smallest_transports._speech import Speech, SynthesisStream
from smallest_transports._transcription import TranscriptionStream

from .connector import Connector
from .links import Driver

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Client", "Speech", "SynthesisStream", "TranscriptionStream"]


class Client(_client.Client):
    """A client of the service, for any number of calls at once, over aiohttp.

    ``http_session`` is a ``ClientSession`` to use: its connections, headers, cookies, traces and proxy; it stays open,
    and its timeouts do not hold: the core has its own. All else is as ``smallest_transports.asyncio.Client`` has it.
    """

    _driver = Driver
    _world_of = Connector
    _world: Connector

    def __init__(self, *, http_session: aiohttp.ClientSession | None = None, **options: Unpack[Options]) -> None:
        hide_options(options)
        super().__init__(**options)
        self._world.http_session = http_session
