"""The benchmarks of live streams run and print their rows. No figure is asserted."""

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
    assert [row.split()[:2] for row in rows] == [[transport, "2"] for transport in TRANSPORTS]


def test_other_clients_are_measured_beside_ours() -> None:
    """Of these the published plugin alone is installed here."""
    script = Path(__file__).with_name("others.py")
    command = [sys.executable, str(script), "--quick", "--installed", "--only", "livekit-plugins-smallestai"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    _title, mine, theirs = done.stdout.strip().splitlines()
    assert mine.startswith("our plugin ")
    assert theirs.startswith("livekit-plugins-smallestai ")
    assert "   our plugin " in theirs
