"""``python -m smallest_proto`` is the command ``smallest-proto``: above the house, imported by nothing."""

from __future__ import annotations

if __name__ == "__main__":
    from smallest_transports.cli import main

    main()
