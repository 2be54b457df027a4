"""The page in a real browser, without a window: it draws, it zooms, the keyboard goes through it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from smallest_transports import pictures

from .traces import HOSTILE, call, speech

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom"),
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt install chromium")


def browse(tmp_path: Path, page: str, script: str, *, size: str = "1200,900") -> dict[str, Any]:
    """What ``script`` puts into ``out``, run in the page once it is drawn. Nothing may be said on the console."""
    path = tmp_path / "call.html"
    ending = f"<script>const out = {{}};{script};document.body.dataset.out = JSON.stringify(out);</script>"
    path.write_text(page.replace("</body>", f"{ending}</body>"), "utf-8")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [str(CHROMIUM), *FLAGS, profile, f"--window-size={size}", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert not re.findall(r".*CONSOLE.*", done.stderr)
    (found,) = re.findall(r'data-out="([^"]*)"', done.stdout)
    read: dict[str, Any] = json.loads(found.replace("&quot;", '"').replace("&lt;", "<").replace("&amp;", "&"))
    return read


PRESS = """
const canvas = document.querySelector(".sp-canvas"), detail = document.querySelector(".sp-detail");
const press = (key, more) => canvas.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, ...more }));
const count = (what) => document.querySelectorAll(what).length;
const ticks = () => [...document.querySelectorAll(".sp-canvas .axis")].map((one) => one.textContent).join();
"""


def test_the_page_draws_zooms_and_is_read_by_keyboard(tmp_path: Path) -> None:
    lines, _, _ = call({1: (1.2, "lose"), 2: (0.9, "lose")})
    calls = (*pictures.read_calls(lines), *pictures.read_calls(speech(text=HOSTILE)))
    out = browse(
        tmp_path,
        pictures.html(calls),
        PRESS
        + """
        out.links = count(".sp-canvas .bar.link"); out.again = count(".sp-canvas .bar.again");
        out.lanes = count(".sp-canvas .lane"); out.figures = count(".sp-figures dt");
        out.calls = count(".sp-calls button");
        out.focus = canvas.tabIndex; canvas.focus(); out.focused = document.activeElement === canvas;
        const whole = ticks(); press("+"); out.zoomed = ticks() !== whole; press("0"); out.back = ticks() === whole;
        press("ArrowRight"); out.first = detail.textContent; press("ArrowRight"); out.second = detail.textContent;
        out.chosen = count(".sp-chosen");
        press("End"); out.last = detail.textContent; press("Home"); out.home = detail.textContent;
        press("Escape"); out.none = count(".sp-chosen");
        document.querySelector(".sp-all").open = true;
        const turn = { ctrlKey: true, deltaY: -200, clientX: 600, clientY: 300, bubbles: true };
        canvas.dispatchEvent(new WheelEvent("wheel", turn)); out.wheel = ticks() !== whole;
        document.querySelectorAll(".sp-calls button")[1].click();
        out.title = document.querySelector(".sp-head h2").textContent; out.texts = count(".sp-canvas .bar.piece");
        out.injected = typeof window.injected; out.scripts = count("script");
        """,
    )
    assert (out["links"], out["calls"], out["title"]) == (3, 2, "Speech")
    assert out["again"] >= 2
    assert out["lanes"] >= 8
    assert out["figures"] >= 5
    assert out["focus"] == 0
    assert all(out[name] for name in ("focused", "zoomed", "back", "wheel"))
    assert "link 1 is open" in out["first"]
    assert out["second"] != out["first"] == out["home"] != out["last"]
    assert out["chosen"] >= 1
    assert (out["none"], out["injected"], out["scripts"]) == (0, "undefined", 3)
    assert out["texts"] >= 1


def test_a_call_that_goes_on_grows_and_keeps_its_zoom(tmp_path: Path) -> None:
    lines, _, _ = call({1: (1.2, "lose")})
    watch = pictures.Watch()
    states = []
    for number, line in enumerate(lines):
        watch.line(line)
        if number in (len(lines) // 4, len(lines) // 2):
            states.append(json.loads(pictures.scenes(watch.calls())))
    states.append(json.loads(pictures.scenes(watch.calls())))
    page = (
        "<!doctype html><meta charset=utf-8><style>" + pictures.style() + "</style><body><div id=here></div><script>"
        f"{pictures.script()}; const states = {json.dumps(states)};"
        'const picture = smallestPicture(document.getElementById("here"));</script></body>'
    )
    out = browse(
        tmp_path,
        page,
        PRESS.replace(
            "const canvas",
            "picture.show([]); out.empty = document.querySelectorAll('.sp-canvas svg').length; const canvas",
        )
        + """
        picture.show(states[0]); out.early = count(".sp-canvas .bar.final");
        out.calls = document.querySelector(".sp-calls").hidden;
        picture.show(states[1]); const whole = ticks(); press("+"); press("+"); const near = ticks();
        picture.show(states[2]); out.kept = ticks() === near && near !== whole; press("0");
        out.late = count(".sp-canvas .bar.final"); out.ending = document.querySelector(".sp-ending").textContent;
        """,
        size="500,700",
    )
    assert out["empty"] == 0
    assert out["early"] < out["late"]
    assert out["kept"]
    assert out["calls"]
    assert out["ending"] == "completed"


def test_labels_hold_whole_letters_and_signs_at_the_end_are_whole(tmp_path: Path) -> None:
    lines, _, _ = call({})
    page = re.sub(r'"text":"w1 w2 w3"', '"text":"' + "e\u0301" * 90 + '"', pictures.html(pictures.read_calls(lines)))
    out = browse(
        tmp_path,
        page,
        PRESS
        + """
        let asked = 0; // how wide the canvas is: each time costs a layout
        Object.defineProperty(canvas, "clientWidth", { get() { asked += 1; return this.offsetWidth; } });
        press("ArrowRight"); out.asked = asked;
        out.labels = [...document.querySelectorAll(".sp-canvas svg svg text")].map((one) => one.textContent);
        const area = document.querySelector(".sp-canvas svg svg").viewBox.baseVal;
        out.area = area.x + area.width; out.lane = 124 + Number(document.querySelector(".lane").getAttribute("width"));
        press("+"); const near = document.querySelector(".sp-canvas svg svg").viewBox.baseVal;
        out.near = near.x + near.width;
        """,
    )
    (label,) = {label for label in out["labels"] if "e\u0301" in label}
    assert re.fullmatch("(e\u0301){12,}…", label)  # such a letter is as wide as any: none is counted twice
    assert out["asked"] <= 2
    assert out["area"] >= out["lane"] + 6
    assert out["near"] == out["lane"]
