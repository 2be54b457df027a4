"""A client of whom the command line names: the service, or a local server that lives as long as the command."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from smallest_proto.config import RetryPolicy, Timeouts
from smallest_proto.errors import FailureKind
from smallest_proto.http.exchange import ExchangeRetried
from smallest_transports.asyncio import Client
from smallest_transports.local.faults import Fault, links_of

from .options import Service
from .outages import tell_left
from .problems import say

LONGEST_ANSWER = 3600.0  # seconds for a whole file: Ctrl-C is there for whoever has less patience
# For our own server, faster than real time: it is not lost, it is behind at most, as sockets and recogniser may hold
# minutes of audio. It needs no pauses between messages either.
PATIENT = Timeouts(
    **dict.fromkeys(("response", "last", "ping", "pong", "write", "mute"), LONGEST_ANSWER), message_interval=0.0
)
# Some eight seconds in all for a link, half a minute for a file while the service is busy: somebody is waiting.
RETRY = RetryPolicy(max_retries=5)
_WORTH_A_LINE = 1.0  # seconds of waiting of which somebody wants to know before they are over


def tell_retry(retried: ExchangeRetried) -> None:
    """A file or a text is sent again. Raises the ``RemoteError`` of a first try to where nobody is."""
    if retried.failure.kind is FailureKind.CONNECT:
        # That is a wrong URL far more often than a bad moment: not worth a wait.
        raise retried.failure.error()
    if retried.retry_in >= _WORTH_A_LINE:
        say(f"{retried.failure.reason}; trying again in {retried.retry_in:.0f} s")


@contextlib.asynccontextmanager
async def connect(
    service: Service,
    *,
    timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
    faults: Sequence[Fault] = (),
    jobs: int = 1,
    trace: Callable[[bytes], object] | None = None,
) -> AsyncIterator[Client]:
    """A client for so many ``jobs`` at a time. ``faults`` are the local server's; those that were not met are told.

    ``trace`` is given all that the client's sessions are told, with what was said.
    """
    if not service.local:
        async with Client(
            api_key=service.api_key,
            base_url=service.base_url,
            route=service.route,
            any_region=service.any_region,
            timeouts=timeouts,
            retry=RETRY,
            on_retry=tell_retry,
            trace=trace,
            trace_private=True,
        ) as client:
            yield client
        return
    # Imported here: whoever speaks with the service needs none of it.
    from smallest_transports.local.server import LocalServer

    if faults:
        from smallest_transports.local.recogniser import engines

        await asyncio.to_thread(engines)  # loaded first: in a call nobody waits for that
    async with (
        LocalServer(max_live=jobs + links_of(faults), max_files=jobs, faults=faults) as server,
        Client(api_key="local", base_url=server.base_url, timeouts=timeouts, trace=trace, trace_private=True) as client,
    ):
        yield client
        tell_left(say, server.faults_left)
