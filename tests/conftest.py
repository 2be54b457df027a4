"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# No test is a timed test: a machine that is busy with other work is no bug.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
