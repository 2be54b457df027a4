"""The drivers that the suite runs on: a new one is one more line in ``TRANSPORTS``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smallest_transports.testing.conformance import Driver

TUNNEL = "aiohttp makes a tunnel through a proxy for https alone; that it says so is tested with it"
TRANSPORTS = (
    Driver("asyncio", "smallest_transports.asyncio:Client"),
    Driver("uvloop", "smallest_transports.asyncio:Client", uvloop=True),
    Driver("trio", "smallest_transports.trio:Client", "trio"),
    Driver("anyio-asyncio", "smallest_transports.anyio:Client"),
    Driver("anyio-uvloop", "smallest_transports.anyio:Client", uvloop=True),
    Driver("anyio-trio", "smallest_transports.anyio:Client", "trio"),
    Driver(
        "aiohttp",
        "smallest_transports.aiohttp:Client",
        lacks={"test_way_through_a_proxy*plain*": TUNNEL, "test_way_a_proxy_that_refuses*plain*": TUNNEL},
    ),
)


def those(fit: Callable[[Driver], bool]) -> pytest.MarkDecorator:
    """The mark of a test that is for some of the drivers alone."""
    found = [made for made in TRANSPORTS if fit(made)]
    return pytest.mark.parametrize("transport", found, ids=[made.name for made in found], indirect=True)
