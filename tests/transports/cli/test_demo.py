"""The demo, with the real recogniser."""

from __future__ import annotations

import re
import signal

from .stage import StartCommand


def test_the_demo_hears_what_was_read(start_command: StartCommand) -> None:
    with start_command("demo", "--fast") as process:
        stdout, stderr = (stream.decode() for stream in process.communicate())
    assert process.returncode == 0, stderr
    assert stderr == ""
    rate = re.search(r"Word error rate +([0-9.]+)%", stdout)
    assert rate
    assert float(rate[1]) < 15
    finals = re.findall(r"^\d\d:\d\d\.\d – \d\d:\d\d\.\d  .+$", stdout, re.MULTILINE)
    assert len(finals) >= 3
    assert "Latency            not measured" in stdout
    assert "\x1b" not in stdout  # no colours and no cursor in a pipe


def test_ctrl_c_ends_the_demo_cleanly(start_command: StartCommand) -> None:
    with start_command("demo") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"A local server listens at http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stderr == b""
