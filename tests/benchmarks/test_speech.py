"""The benchmark of speech runs and prints every row of its three tables. No figure is asserted."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

TRANSPORTS = ("asyncio", "uvloop", "trio", "anyio", "anyio-trio", "aiohttp")
WAYS = ("socket", "continuations", "SSE", "HTTP")
DECODERS = (
    "json, base64.b64decode",
    "decode_message",
    "SynthesisSession",
    "with continuations",
    "to be resumed",
    "SseDecoder, to its text",
    "Synthesis by SSE",
)


def test_the_speech_benchmark_prints_every_row() -> None:
    script = Path(__file__).with_name("speech.py")
    done = subprocess.run([sys.executable, str(script), "--quick"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, decoding, links = (table.splitlines() for table in done.stdout.strip().split("\n\n"))
    assert first[0].startswith("first audio")
    assert [tuple(row.split()[:2]) for row in first[2:]] == list(itertools.product(TRANSPORTS, WAYS))
    assert decoding[0].startswith("decoding")
    assert [row[:24].strip() for row in decoding[2:]] == [*DECODERS, *DECODERS]
    assert links[0].startswith("a segment over a link out of the pool")
    kinds = [tuple(row.split()[1::-1]) for row in links[3:]]
    assert kinds == list(itertools.product(["TCP", "TLS"], TRANSPORTS))
