"""Audio files as they come -> mono samples at 16 kHz: whole, or with a word on what is left out.

libsndfile reads one well-formed file and stops where its head says. What people have is joined, cut off, or begun by a
recorder that never came back to write the length: so the outer shape is read here (``containers``), and each part is
decoded for itself. What libsndfile does not know (m4a, mp4, webm) PyAV reads, if it is installed (``media``).
"""

from __future__ import annotations

from .containers import is_file
from .decoder import Decoder, Raw, Unreadable

__all__ = ["Decoder", "Raw", "Unreadable", "is_file"]
