"""Characters that a terminal cannot show: no line is lost because of one."""

from __future__ import annotations

import codecs
import sys

_ERRORS = "smallest-proto-plain"
# Common characters of our output and of transcripts; any other becomes a question mark.
_PLAIN = {
    "–": "-",
    "—": "-",
    "━": "-",
    "→": "->",
    "…": "...",
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
    "⧵": "\\",
    **dict.fromkeys("┣├", "|"),
    **dict.fromkeys("─╌▁", "-"),
    **dict.fromkeys("▂▃▄", "="),
    **dict.fromkeys("▅▆▇█▒", "#"),
    "×": "x",
    "◆": "*",
    "▼": "v",
    "▲": "^",
    "■": "#",
    "►": ">",
    "·": ".",
}


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
