"""Pictures of calls: what was given, sent, sent again, heard and lost, on one time axis.

A trace has all of it (``Client(trace=...)``)::

    from smallest_transports import pictures

    calls = pictures.read_file("calls.jsonl")
    Path("call.html").write_text(pictures.html(calls), "utf-8")
    Path("call.svg").write_text(pictures.svg(pictures.scene(calls[0])), "utf-8")
    print(pictures.text(list(map(pictures.scene, calls))))

``html`` is one file that needs no network, ``svg`` a still for a document, ``text`` is for a terminal. For a page that
shows a call while it goes on: ``watch = Watch()``, ``Client(trace=watch.line)``, and now and then ``scenes`` of
``watch.calls()``, which is JSON, to what ``script()`` and ``style()`` put into the page::

    const picture = smallestPicture(element)   // an element of the page, such as a div
    picture.show(scenes)                       // again whenever there is more: zoom and choice stay as they are

All of it is pure: no file but ``read_file``'s, no clock.
"""

from __future__ import annotations

from .model import Call, Heard, Said
from .page import html, scene, scenes, script, style
from .svg import svg
from .text import text
from .watch import Watch, read_calls, read_file

__all__ = [
    "Call",
    "Heard",
    "Said",
    "Watch",
    "html",
    "read_calls",
    "read_file",
    "scene",
    "scenes",
    "script",
    "style",
    "svg",
    "text",
]
