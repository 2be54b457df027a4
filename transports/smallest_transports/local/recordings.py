"""Human speech for trials, and its text.

The recording is one that the package of the recogniser's weights carries. The text is in the public domain.
"""

from __future__ import annotations

from pathlib import Path

from smallest_proto.errors import ConfigurationError
from smallest_proto.values import Value

from .moonshine import PACKAGE, package_folder


class Recording(Value, frozen=True, kw_only=True):
    """A recording and its text."""

    path: Path
    title: str
    text: str


# Charles Dickens, A Tale of Two Cities (1859), the first paragraph.
_TWO_CITIES = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, "
    "it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of "
    "Darkness, it was the spring of hope, it was the winter of despair, we had everything before us, we had nothing "
    "before us, we were all going direct to Heaven, we were all going direct the other way – in short, the period was "
    "so far like the present period, that some of its noisiest authorities insisted on its being received, for good "
    "or for evil, in the superlative degree of comparison only."
)


def two_cities() -> Recording:
    """44 s of a novel, read aloud: 48 kHz, mono.

    Raises ``ConfigurationError`` if the package that carries it is not installed.
    """
    path = package_folder() / "two_cities.wav"
    if not path.is_file():
        raise ConfigurationError(f"the recording {path.name} is not there: reinstall {PACKAGE}")
    return Recording(path=path, title="A Tale of Two Cities, read aloud", text=_TWO_CITIES)
