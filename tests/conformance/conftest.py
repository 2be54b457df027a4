"""One suite for every transport: each case is an async function, written once, run on each of ``makers.TRANSPORTS``."""

from __future__ import annotations

from tests.transports.conftest import leaves_nothing, run, tls, transport

__all__ = ["leaves_nothing", "run", "tls", "transport"]
