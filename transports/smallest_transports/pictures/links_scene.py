"""The links of a call as bars, a row for each."""

from __future__ import annotations

from .model import Bar, Call
from .scene import Stage, clock, rows_of

ROW, BAR = 24.0, 18.0  # pixels
_OWN_ROWS = 8  # as many links have a row of their own

_SIGNS = {
    "finalize": ("asks", "down", "finalize was sent"),
    "close_stream": ("asks", "square", "the end of the audio was sent"),
    "keepalive": ("quiet", "dot", "a keepalive was sent"),
    "ping": ("quiet", "ring", "a ping was sent"),
    "text": ("fresh", "up", "text was sent"),
    "text again": ("again", "up", "text was sent again"),
    "cancel": ("lost", "cross", "cancel was sent"),
}
_QUIET = ("text", "ping", "keepalive")  # not worth a line in the list


def links(stage: Stage, call: Call) -> dict[int, float]:
    """Draw them; returns the top of the bar of each link by its number."""
    if not call.links:
        return {}
    rows = rows_of(call.links, call.seconds, own=_OWN_ROWS)
    top = stage.y
    for row in range(max(rows) + 1):
        names = [str(link.link) for link, its in zip(call.links, rows, strict=True) if its == row]
        stage.lane(f"Link {names[0]}" if len(names) == 1 else "Links", BAR, gap=ROW - BAR)
    stage.y += 8
    tops = {}
    for link, row in zip(call.links, rows, strict=True):
        tops[link.link] = y = top + row * ROW
        alone = rows.count(row) == 1
        _link(stage, call, link, y, alone=alone)
    return tops


def _link(stage: Stage, call: Call, link: Bar, y: float, *, alone: bool) -> None:
    end = call.seconds if link.ended is None else link.ended
    stage.bar("opening", link.asked, min(end, link.opened if link.opened is not None else end), y, BAR, tip="")
    if link.opened is not None:
        stage.bar("link", link.opened, end, y, BAR, tip=about(link))
    for run in link.runs:
        (a, begins), (b, ends) = run.points[0], run.points[-1]
        again = "again, " if run.again else ""
        tip = f"link {link.link} is sent {begins:.2f}–{ends:.2f} s of the audio {again}until {clock(b)}"
        stage.bar("again" if run.again else "fresh", a, b, y + 4, BAR - 8, tip=tip)
    for a, b in _spans(link):
        stage.bar("fresh", a, b, y + 4, BAR - 8, tip=f"link {link.link} brings audio until {clock(b)}")
    for sign in link.signs:
        if sign.what in _SIGNS:
            look, shape, what = _SIGNS[sign.what]
            told = sign.what not in ("text", "ping", "keepalive")
            stage.sign(look, shape, sign.at, y + BAR / 2, f"{what} on link {link.link}" if told else "")
    if link.ended is not None and link.lost:
        tip = about(link) if link.opened is None else f"link {link.link} is lost: {link.why}"
        stage.sign("lost", "cross", end, y + BAR / 2, tip)
    if link.ended is not None and link.why and alone:
        stage.add("text", "lost" if link.lost else "quiet", end, b=stage_end(call), y=y + BAR / 2, text=link.why)


def stage_end(call: Call) -> float:
    """Text may go on to the end of the picture."""
    return call.seconds * 2 + 1e3


def _spans(link: Bar) -> list[tuple[float, float]]:
    """When audio came in on a link: pieces less than a second apart are one."""
    spans: list[tuple[float, float]] = []
    for sign in link.signs:
        if sign.what == "audio":
            if spans and sign.at - spans[-1][1] < 1.0:
                spans[-1] = (spans[-1][0], sign.at)
            else:
                spans.append((sign.at, sign.at))
    return spans


def about(link: Bar) -> str:
    """What became of a link, in a line."""
    if link.opened is None:
        what = f"link {link.link} was asked for at {clock(link.asked)}"
        return f"{what} and did not open: {link.why}" if link.ended is not None else f"{what} and is not open yet"
    what = f"link {link.link} is open, {link.opened - link.asked:.3f} s after it was asked for"
    if link.ended is None:
        return what
    return f"{what}; it {'is lost' if link.lost else 'ends'} at {clock(link.ended)}: {link.why or 'its work was done'}"
