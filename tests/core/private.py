"""What nobody may see: tests look for it wherever something is shown."""

from __future__ import annotations

KEY = "key-that-nobody-may-see"
SAID = "the patient's name is Wilhelmina"
