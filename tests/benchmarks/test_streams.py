"""The benchmark of live streams runs and prints a row for each transport. No figure is asserted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TRANSPORTS = ["asyncio", "uvloop", "trio", "anyio", "anyio-trio", "aiohttp"]


def test_the_benchmark_of_live_streams_prints_every_transport() -> None:
    script = Path(__file__).with_name("streams.py")
    done = subprocess.run([sys.executable, str(script), "--quick"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    _title, header, *rows = done.stdout.strip().splitlines()
    assert header.startswith("transport   streams")
    assert [row.split()[:2] for row in rows] == [[transport, "3"] for transport in TRANSPORTS]
