"""The plugin's logger. What the user or the service said goes nowhere but into ``extra={"lk.pii.…"}``."""

from __future__ import annotations

import logging

logger = logging.getLogger("livekit.plugins.smallest_proto")
