"""Scenes as one HTML file that needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from pathlib import Path

import msgspec

from .heard_scene import heard_scene
from .model import Call, Heard
from .said_scene import said_scene
from .scene import Scene

_HERE = Path(__file__).parent
# As JSON within a script: no end of it, no comment, and no separator of lines that older browsers took for one.
_HARMFUL = re.compile("[<>&\u2028\u2029]")
# Nothing is fetched, whatever is in the data.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
body {{ margin: 0; }}
main {{ box-sizing: border-box; min-height: 100vh; padding: 20px 24px; }}
@media (max-width: 620px) {{ main {{ padding: 12px; }} }}
{style}</style>
</head>
<body>
<main id="picture">
<noscript>JavaScript draws this picture; smallest-proto trace FILE --svg draws one without.</noscript>
</main>
<script type="application/json" id="scenes">{scenes}</script>
<script>
{script}
smallestPicture(document.getElementById("picture")).show(JSON.parse(document.getElementById("scenes").textContent));
</script>
</body>
</html>
"""


def script() -> str:
    """The JavaScript that draws scenes: it defines ``smallestPicture(element)``, with ``show(scenes)``."""
    return (_HERE / "picture.js").read_text("utf-8")


def style() -> str:
    """The style sheet that goes with it; all of it is within the class ``sp``, which the element gets."""
    return (_HERE / "picture.css").read_text("utf-8") + (_HERE / "page.css").read_text("utf-8")


def scene(call: Call) -> Scene:
    """The picture of a call, to be painted."""
    return heard_scene(call) if isinstance(call, Heard) else said_scene(call)


def scenes(calls: Iterable[Call]) -> bytes:
    """What ``show`` takes: JSON that can stand in a page as it is."""
    return as_json(map(scene, calls))


def as_json(drawn: Iterable[Scene]) -> bytes:
    """Scenes as JSON, without a sign that HTML could take for its own."""
    text = msgspec.json.encode(list(drawn)).decode()
    return _HARMFUL.sub(lambda sign: f"\\u{ord(sign[0]):04x}", text).encode()


def html(calls: Iterable[Call], title: str = "smallest-proto: calls") -> str:
    """One file: every call, to look at and to zoom into, with no network."""
    return _PAGE.format(
        policy=_POLICY, title=escape(title), style=style(), script=script(), scenes=scenes(calls).decode()
    )
