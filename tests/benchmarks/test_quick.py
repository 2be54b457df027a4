"""The benchmark runs and prints every row. No figure is asserted: a timed test would fail on a busy machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROWS = (
    "audio message, 50 ms",
    "interim, 20 words",
    "final, 20 words",
    "final that frees 8 s of audio",
    "import of the core",
    "process that imports it",
    "idle session",
)


def test_the_core_benchmark_prints_every_row() -> None:
    script = Path(__file__).with_name("core.py")
    done = subprocess.run([sys.executable, str(script), "--quick"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for row in ROWS:
        (line,) = [line for line in lines if line.startswith(row)]
        assert any(character.isdigit() for character in line.removeprefix(row))
