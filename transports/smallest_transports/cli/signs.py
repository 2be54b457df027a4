"""Signs that a terminal does not have: no line is lost for one of them."""

from __future__ import annotations

import codecs
import sys

_ERRORS = "smallest-proto-plain"
# Our own typography, and that of transcripts; of anything else a question mark is left.
_PLAIN = {"–": "-", "—": "-", "━": "-", "→": "->", "…": "...", "’": "'", "‘": "'", "“": '"', "”": '"', "⧵": "\\"}


def spare_strict_terminals() -> None:
    """Let standard output and standard error take any text: cp1252, gbk and ASCII lack most signs there are."""
    codecs.register_error(_ERRORS, _plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not where somebody has put something else in its place
            stream.reconfigure(errors=_ERRORS)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(sign, "?") for sign in error.object[error.start : error.end]), error.end
