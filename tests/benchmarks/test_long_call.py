"""The benchmark of the long call runs and prints what it promises. No figure is asserted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_long_call_prints_its_first_and_its_last_minute() -> None:
    script = Path(__file__).with_name("long_call.py")
    done = subprocess.run([sys.executable, str(script), "--quick"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    title, header, *minutes, bookkeeping = done.stdout.strip().splitlines()
    assert title == "a call of 3 minutes: 36 finals, 1 links, lost 0.0 s"
    assert header.startswith("minute")
    assert [line.split()[0] for line in minutes] == ["1", "3"]
    assert bookkeeping.startswith("audio message   session")
