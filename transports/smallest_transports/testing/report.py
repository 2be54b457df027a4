"""What the judge found: each thing that is not as promised, by its kind, and a text that can be read."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

__all__ = ["KINDS", "Report", "Wrong"]

# lost: a word, and nobody was told; told: a word, with AudioLost; audio: AudioLost where no word was.
KINDS = ("lost", "told", "audio", "repeated", "damaged", "mistimed", "order", "turns", "end")


class Wrong(NamedTuple):
    """One thing that is not as promised."""

    kind: str  # one of KINDS
    text: str


class Report(NamedTuple):
    """What is wrong with a call. ``str`` of it can be read: ``assert report.ok, report``."""

    wrongs: tuple[Wrong, ...]
    words: int  # that were said

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.wrongs

    @property
    def lost(self) -> tuple[str, ...]:
        """Words that never came, told of or not."""
        return self.of("lost") + self.of("told")

    @property
    def untold(self) -> tuple[str, ...]:
        """Words that never came, and no ``AudioLost`` told so."""
        return self.of("lost")

    @property
    def repeated(self) -> tuple[str, ...]:
        """Words that came too often."""
        return self.of("repeated")

    @property
    def damaged(self) -> tuple[str, ...]:
        """Words that came in parts, or were never said."""
        return self.of("damaged")

    @property
    def mistimed(self) -> tuple[str, ...]:
        """Words, transcripts and turns with a time that is not theirs."""
        return self.of("mistimed")

    @property
    def unpaired(self) -> tuple[str, ...]:
        """Turns that are missing, have but one end, or come in another order."""
        return self.of("turns")

    def of(self, kind: str) -> tuple[str, ...]:
        """What is wrong of one kind."""
        return tuple(wrong.text for wrong in self.wrongs if wrong.kind == kind)

    def __str__(self) -> str:
        if self.ok:
            return f"{self.words} words: each is there, once, whole and in its place"
        counts = Counter(wrong.kind for wrong in self.wrongs)
        head = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind])
        return "\n".join([f"{self.words} words: {head}", *(f"  {kind:9} {text}" for kind, text in self.wrongs)])
