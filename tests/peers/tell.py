"""What one client's script tells ``run.py``: a line of JSON for each thing tried. Needs the standard library alone."""

from __future__ import annotations

import array
import json
import re
import signal
import sys
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from importlib.metadata import version
from typing import NamedTuple

# In the audio that each client is given.
SAID = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness"
TEXT = "Hello there, how are you? The meeting begins at half past ten."  # for each client to have spoken
CHECK_SECONDS = 60.0  # the longest needs some 12: the audio in real time, and the 4 s after which `complete` comes
LEAST_HEARD = 0.7  # of the words of SAID: the recogniser misses some, a client that loses a final misses a third
SPOKEN_SECONDS = (2.0, 8.0)  # TEXT in any voice
LINE = 160  # letters of an error: a row of a table
LOUD = 500  # of 32767: a sample of speech, at its loudest, is above it


class Check(NamedTuple):
    """One thing that is tried. ``fault``: what is the client's own doing where the result has ``sign`` in it."""

    tried: str
    run: Callable[[], str]  # says what came of it, or raises
    fault: str = ""
    sign: str = ""


class NotRun(Exception):
    """A check that cannot be run."""


def tell(package: str, checks: Sequence[Check]) -> None:
    """Try each, within a bound, and print what came of it."""
    for check in checks:
        row = {"client": package, "version": version(package), "tried": check.tried, **outcome_of(check)}
        print(json.dumps(row), flush=True)


def outcome_of(check: Check) -> dict[str, object]:
    """``result``, whether it is ``fine``, and the ``fault`` where the client has one."""
    signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, CHECK_SECONDS)
    try:
        result, fine = check.run(), True
    except NotRun as reason:
        result, fine = str(reason), False
    except Exception as error:  # a client may raise anything; the row says what
        result, fine = f"{type(error).__name__}: {' '.join(str(error).split())[:LINE]}", False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    fault = check.fault if not check.sign or check.sign in result else ""
    return {"result": result, "fine": fine, "fault": fault}


def _too_long(*_: object) -> None:
    raise TimeoutError(f"nothing came of it within {CHECK_SECONDS:.0f} s")


def heard(text: str) -> str:
    """How much of ``SAID`` is in a transcript. Raises ``AssertionError`` if a part is missing or said again."""
    said, got = _words(SAID), _words(text)
    same = sum(block.size for block in SequenceMatcher(None, said, got, autojunk=False).get_matching_blocks())
    if same < LEAST_HEARD * len(said) or len(got) > len(said) * (2 - LEAST_HEARD):
        raise AssertionError(f"{same} of {len(said)} words in {len(got)}")
    return f"{same} of {len(said)} words"


def spoken(pcm: bytes, rate: int) -> str:
    """How long 16-bit samples are. Raises ``AssertionError`` where they cannot be ``TEXT``."""
    samples = array.array("h", pcm)
    seconds = len(samples) / rate
    if not SPOKEN_SECONDS[0] <= seconds <= SPOKEN_SECONDS[1]:
        raise AssertionError(f"{seconds:.1f} s of audio")
    if max(map(abs, samples)) < LOUD:
        raise AssertionError(f"{seconds:.1f} s of silence")
    return f"{seconds:.1f} s of speech"


def pieces(path: str, seconds: float) -> tuple[int, list[bytes]]:
    """The rate of a WAV and its samples in pieces of so many seconds."""
    with wave.open(path) as file:
        rate, size = file.getframerate(), round(file.getframerate() * seconds)
        return rate, [file.readframes(size) for _ in range(0, file.getnframes(), size)]


def waits(seconds: float) -> Iterator[float]:
    """How long to wait before each piece, that pieces of so many seconds go out as a microphone has them."""
    start, count = time.monotonic(), 0
    while True:
        yield max(0.0, start + seconds * count - time.monotonic())
        count += 1


def arguments() -> tuple[str, str]:
    """The server's base URL and the audio, as ``run.py`` names them."""
    base_url, audio = sys.argv[1:]
    return base_url, audio


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())
