"""The command ``smallest-proto``: transcribe and speak, see both work live, run the local server."""

from __future__ import annotations

import sys

from .signs import spare_strict_terminals


def main() -> None:
    """Run the command line and exit with its code: 0 fine, 1 something failed, 2 wrong use, 130 interrupted."""
    spare_strict_terminals()
    try:
        try:
            from .app import commands
        except ModuleNotFoundError as missing:
            if (missing.name or "").partition(".")[0] in ("smallest_proto", "smallest_transports"):
                raise  # not an extra: the installation itself is broken
            sys.exit(f'Error: {missing.name} is not installed: pip install "smallest-proto[cli]"')
        commands(prog_name="smallest-proto")
    except KeyboardInterrupt:  # before the commands' own handling, or after it
        sys.exit(130)
