"""Other people's clients against the local server, unmodified: what works, and what is whose fault.

Each client is installed into an environment of its own beside ``.venv`` (``make peers`` makes it) and run by a script
of this folder, in a process of its own, over real sockets, against the real engines. It is pointed at the server by
its own means. Prints a table in Markdown; exits with 1 if anything fails that is not the client's own fault.

python tests/peers/run.py --python .peers/bin/python
python tests/peers/run.py --python .peers/bin/python --only pipecat-ai -v
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from smallest_transports.local.recordings import two_cities
from smallest_transports.local.server import LocalServer

SAMPLE_RATE = 16000  # Hz: what every client here takes by default
SPEECH_SECONDS = 8.5  # of the recording: four clauses, to a pause (`SAID` in tell.py)
SILENCE_SECONDS = 1.5  # after it: the end of speech is heard within it
INSTALL_SECONDS = 900.0  # an agent framework is a hundred packages
CLIENT_SECONDS = 600.0  # all checks of a client; each has a bound of its own


class Client(NamedTuple):
    """A package of the index, and the script of this folder that tries it."""

    package: str
    script: str
    extra: str = ""

    @property
    def requirement(self) -> str:
        return f"{self.package}[{self.extra}]" if self.extra else self.package


CLIENTS = (
    Client("livekit-plugins-smallestai", "with_livekit.py"),
    Client("pipecat-ai", "with_pipecat.py", extra="smallest"),
    Client("smallestai", "with_sdk.py"),
)


class Row(NamedTuple):
    """A line of the table. ``fault``: what is the client's own."""

    client: str
    version: str
    tried: str
    result: str
    fine: bool
    fault: str = ""


def install(python: str, client: Client) -> str | None:
    """Install a client. Returns why that failed, if it did."""
    command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input", client.requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        return f"pip took more than {INSTALL_SECONDS:.0f} s"
    if done.returncode == 0:
        return None
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    return errors[0].removeprefix("ERROR: ") if errors else f"pip ended with {done.returncode}"


def attempt(python: str, script: Path, client: Client, base_url: str, audio: Path, *, verbose: bool) -> Iterator[Row]:
    """Run a client's script and give the rows that it tells; one more if it did not come to its end."""
    with tempfile.TemporaryDirectory() as home:
        # The SDK's command keeps its settings in the home folder, and reports its use unless told not to.
        environment = {**os.environ, "HOME": home, "SMALLESTAI_TELEMETRY": "0", "DO_NOT_TRACK": "1"}
        command = [python, str(script), base_url, str(audio)]
        errors = None if verbose else subprocess.DEVNULL
        try:
            done = subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, stderr=errors, timeout=CLIENT_SECONDS, check=False
            )
            told, end = done.stdout, f"its script ended with {done.returncode}" if done.returncode else ""
        except subprocess.TimeoutExpired as late:
            told, end = late.stdout or b"", f"nothing more came within {CLIENT_SECONDS:.0f} s"
    yield from (Row(**json.loads(line)) for line in told.splitlines() if line.startswith(b'{"client"'))
    if end:
        yield Row(client.package, "", "all of it", end, fine=False)


def rows(python: str, clients: Iterable[Client], base_url: str, *, verbose: bool = False) -> Iterator[Row]:
    """Install and try each client against the server at a URL."""
    with tempfile.TemporaryDirectory() as folder:
        audio = Path(folder) / "speech.wav"
        write_speech(audio)
        for client in clients:
            if why := install(python, client):
                yield Row(client.package, "", "installation", why, fine=False)
                continue
            script = Path(__file__).parent / client.script
            yield from attempt(python, script, client, base_url, audio, verbose=verbose)


def write_speech(path: Path) -> None:
    """The beginning of the human recording, and silence."""
    speech, rate = soundfile.read(two_cities().path, dtype="float32")
    speech = soxr.resample(speech, rate, SAMPLE_RATE)[: round(SPEECH_SECONDS * SAMPLE_RATE)]
    silence = np.zeros(round(SILENCE_SECONDS * SAMPLE_RATE), np.float32)
    soundfile.write(path, np.concatenate((speech, silence)), SAMPLE_RATE, subtype="PCM_16")


HEAD = ("client", "version", "what was tried", "result", "the client's own fault")


def table(told: Iterable[Row]) -> Iterator[str]:
    """The lines of a table in Markdown, as the rows come."""
    yield line_of(HEAD)
    yield line_of(["---"] * len(HEAD))
    for row in told:
        yield line_of((row.client, row.version or "-", row.tried, row.result, row.fault or "-"))


def line_of(cells: Sequence[str]) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def show(told: Iterable[Row]) -> int:
    """Print the table as it comes. Returns how many rows are not fine and not known to be the client's own fault."""
    unexplained = 0

    def counted() -> Iterator[Row]:
        nonlocal unexplained
        for row in told:
            unexplained += not (row.fine or row.fault)
            yield row

    for line in table(counted()):
        print(line, flush=True)
    return unexplained


async def main(arguments: Sequence[str], server: LocalServer) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", required=True, help="the Python of the environment for the clients")
    parser.add_argument("--only", action="append", choices=[client.package for client in CLIENTS])
    parser.add_argument("-v", "--verbose", action="store_true", help="show what the clients say on standard error")
    options = parser.parse_args(arguments)
    clients = [client for client in CLIENTS if client.package in (options.only or [client.package])]
    async with server:
        await server.warm_up()  # the first client does not wait for what is loaded once
        told = rows(options.python, clients, server.base_url, verbose=options.verbose)
        unexplained = await asyncio.to_thread(show, told)
    if unexplained:
        print(f"{unexplained} not fine, and not known to be the client's own fault", file=sys.stderr)
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:], LocalServer())))
