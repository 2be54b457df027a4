"""A recorded call, cut down to the fewest inputs that still show a fault, and written as a test.

``smallest-proto trace shrink calls.jsonl --fails "AudioLost"`` does it; here is what it does it with::

    recording = read_recordings(open("calls.jsonl", "rb"))[0]
    shrunk = shrink(recording, Condition("AudioLost"))
    print(written(shrunk))

``minimal`` is the delta debugging alone, of any list and any test. All of it is pure: no clock, no file.
"""

from __future__ import annotations

from .condition import Condition
from .minimal import minimal
from .recording import Outcome, Recording, read_recordings
from .shrink import Shrunk, shrink
from .written import written

__all__ = ["Condition", "Outcome", "Recording", "Shrunk", "minimal", "read_recordings", "shrink", "written"]
