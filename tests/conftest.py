"""What holds for all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# No test is a timed test: a machine that is busy with other work is no bug. And two runs over the same code give the
# same result: new examples are for ``make soak``, which draws others each time.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("soak", deadline=None)
settings.load_profile("soak" if os.environ.get("SOAK") else "repeatable")
