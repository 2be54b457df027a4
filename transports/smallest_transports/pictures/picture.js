"use strict";
// One scene to SVG, as svg.py draws it, but for a part of the time: zoom, hover, keyboard.
const smallestPicture = (() => {
  const NAMES = 124, RIGHT = 14, AXIS = 24, NS = "http://www.w3.org/2000/svg";
  const LEVELS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
  const SHAPES = {
    diamond: "M0-5L5 0 0 5-5 0Z", down: "M-5-4H5L0 5Z", up: "M-4 4H4L0-5Z", square: "M-4-4H4V4H-4Z", dot: "M-1.5 0a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0",
    ring: "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0", cross: "M-5-5L5 5M-5 5L5-5", flag: "M0 7V-6L7-3 0 0",
  };
  const HOLLOW = new Set(["ring"]);
  const STEPS = [.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200];
  const IDLE = "Point at something to read what it is, or press → to go from one thing to the next.";
  const LEAST = .05; // seconds across at the most zoom

  const svg = (name, attributes, text) => {
    const made = document.createElementNS(NS, name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const html = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const exactly = (at) => (at >= 60 ? `${Math.floor(at / 60)}:${(at % 60).toFixed(3).padStart(6, "0")}` : `${at.toFixed(3)} s`);
  const told = (item) => `${exactly(item.at || 0)}  ${item.tip}`;
  const clock = (seconds, step) => {
    const digits = step >= 1 ? 0 : step >= .1 ? 1 : 2, minutes = Math.floor(seconds / 60 + 1e-9);
    const rest = Math.max(0, seconds - minutes * 60).toFixed(digits);
    return minutes ? `${minutes}:${rest.padStart(digits ? digits + 3 : 2, "0")}` : `${rest} s`;
  };
  // Where in a track of [time, value] a time is, and the other way round.
  const between = (track, from, to, at) => {
    if (!track.length) return 0;
    let low = 0, high = track.length;
    while (low < high) { const middle = (low + high) >> 1; if (track[middle][from] <= at) low = middle + 1; else high = middle; }
    if (low === 0) return track[0][to];
    if (low === track.length) return track[low - 1][to];
    const a = track[low - 1], b = track[low];
    return b[from] > a[from] ? a[to] + (b[to] - a[to]) * (at - a[from]) / (b[from] - a[from]) : b[to];
  };
  // As much of a text as there is room for, measured: scripts differ, and no letter or emoji is cut in two.
  const pen = document.createElement("canvas").getContext("2d"), MOST = 400; // signs that any screen has room for
  const letters = (text) => (Intl.Segmenter ? Array.from(new Intl.Segmenter().segment(text), (one) => one.segment) : [...text]);
  const fit = (text, room) => {
    if (!text || room < 14) return "";
    pen.font = "11px system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif";
    const fits = (some) => pen.measureText(some).width <= room - 8;
    if (text.length <= MOST && fits(text)) return text;
    const signs = letters(text.slice(0, MOST)), cut = (count) => signs.slice(0, count).join("").trimEnd() + "…";
    let low = 0, high = signs.length - 1;
    while (low < high) { const middle = (low + high + 1) >> 1; if (fits(cut(middle))) low = middle; else high = middle - 1; }
    return low >= 3 ? cut(low) : "";
  };

  class Chart {
    constructor(element) {
      this.element = element;
      element.classList.add("sp");
      this.scenes = [];
      this.chosen = 0; // which call is shown
      this.from = 0; this.to = null; // null: to the end, as it grows
      this.item = null; // the place in the scene's list of what can be chosen
      this.room = 60; // pixels across, as it was last drawn: to ask for it each time costs a layout
      this.build();
      new ResizeObserver(() => this.draw()).observe(this.canvas);
    }

    build() {
      this.list = html("nav", "sp-calls"); this.list.setAttribute("aria-label", "Calls");
      this.head = html("header", "sp-head");
      this.figures = html("dl", "sp-figures");
      this.tools = html("div", "sp-tools"); this.tools.setAttribute("role", "toolbar"); this.tools.setAttribute("aria-label", "Zoom");
      for (const [sign, name, act] of [["+", "Zoom in", () => this.zoom(.5)], ["−", "Zoom out", () => this.zoom(2)], ["Whole call", "Show the whole call", () => this.whole()]]) {
        const button = html("button", "", sign);
        button.type = "button"; button.title = name; button.setAttribute("aria-label", name); button.onclick = act;
        this.tools.append(button);
      }
      this.tools.append(html("span", "sp-hint", "Drag or Shift+←→ moves · Ctrl+wheel or + − zooms · 0 shows all · ←→ goes through what happened"));
      this.canvas = html("div", "sp-canvas"); this.canvas.tabIndex = 0;
      this.canvas.setAttribute("role", "application");
      this.canvas.setAttribute("aria-label", "The call over time. Left and right go from one thing that happened to the next; plus and minus zoom.");
      this.window = html("div", "sp-window"); this.thumb = html("div"); this.window.append(this.thumb); this.window.setAttribute("aria-hidden", "true");
      this.detail = html("p", "sp-detail", IDLE); this.detail.setAttribute("role", "status"); this.detail.setAttribute("aria-live", "polite");
      this.legend = html("ul", "sp-legend");
      this.notes = html("div", "sp-notes");
      this.all = html("details", "sp-all"); this.all.append(html("summary", "", "All of it as a list"));
      this.table = html("ol"); this.all.append(this.table);
      this.all.addEventListener("toggle", () => this.fill());
      this.element.replaceChildren(this.list, this.head, this.figures, this.tools, this.canvas, this.window, this.detail, this.legend, this.notes, this.all);
      this.listen();
    }

    // Show scenes; again when they have grown.
    show(scenes) {
      this.scenes = scenes;
      if (!this.scene || this.chosen >= scenes.length) this.choose(0);
      else { this.take(); this.calls(); this.draw(); }
    }

    choose(number) {
      this.chosen = number; this.from = 0; this.to = null; this.item = null;
      this.take(); this.calls(); this.draw();
    }

    calls() {
      this.list.hidden = this.scenes.length < 2;
      if (this.list.hidden) return;
      const buttons = this.scenes.map((scene, number) => {
        const bad = scene.well ? "" : " ✕", button = html("button", "", `${number + 1}  ${scene.title}, ${scene.seconds.toFixed(1)} s${bad}`);
        button.type = "button"; button.setAttribute("aria-pressed", String(number === this.chosen));
        button.title = scene.ending; button.onclick = () => this.choose(number);
        return button;
      });
      this.list.replaceChildren(...buttons);
    }

    take() {
      this.scene = this.scenes[this.chosen] || null;
      const scene = this.scene;
      this.element.classList.toggle("sp-empty", !scene);
      if (!scene) return;
      this.tips = scene.items.filter((item) => item.tip).sort((one, other) => (one.at || 0) - (other.at || 0));
      const title = html("h2", "", scene.title), ending = html("span", scene.well ? "sp-ending" : "sp-ending sp-bad", scene.ending);
      this.head.replaceChildren(title, ending);
      this.figures.replaceChildren(...scene.figures.map((figure) => {
        const box = html("div", figure.bad ? "sp-bad" : "");
        box.append(html("dt", "", figure.name), html("dd", "", figure.value), html("dd", "sp-small", figure.hint || " "));
        return box;
      }));
      this.legend.replaceChildren(...scene.legend.map(([look, what]) => {
        const row = html("li"), swatch = svg("svg", { width: 26, height: 12, "aria-hidden": "true" });
        this.swatch(swatch, look); row.append(swatch, what);
        return row;
      }));
      this.notes.replaceChildren(...scene.notes.map((note) => html("p", "", note)));
      this.fill();
    }

    swatch(into, look) {
      if (["given", "watermark"].includes(look)) into.append(svg("path", { class: `plot ${look}`, d: look === "given" ? "M1 11L25 1" : "M1 11H10V5H18V1H25" }));
      else if (look === "interim") into.append(svg("path", { class: "rule interim", d: "M13 0V12" }));
      else if (look === "lost") into.append(svg("path", { class: "sign lost", d: SHAPES.cross, transform: "translate(13 6)" }));
      else into.append(svg("rect", { class: `bar ${look}`, x: 1, y: 1, width: 24, height: 10 }));
    }

    fill() {
      if (!this.all.open || !this.scene) return;
      this.table.replaceChildren(...this.tips.map((item, number) => {
        const row = html("li"), button = html("button", "", told(item));
        button.type = "button"; button.onclick = () => { this.select(number); this.canvas.focus(); };
        row.append(button);
        return row;
      }));
    }

    // Times and pixels.
    get end() { return this.scene ? this.scene.seconds : 1; }
    get until() { return this.to === null ? this.end : this.to; }
    x(at) { return NAMES + (at - this.from) / (this.until - this.from) * this.room; }
    time(x) { return this.from + (x - NAMES) / this.room * (this.until - this.from); }

    look(from, to) {
      const lasting = Math.min(Math.max(to - from, LEAST), this.end);
      from = Math.max(0, Math.min(from, this.end - lasting));
      const whole = from <= 0 && lasting >= this.end;
      this.from = whole ? 0 : from;
      this.to = whole ? null : from + lasting;
      this.draw();
    }
    zoom(factor, around) {
      const at = around === undefined ? this.middle() : around;
      this.look(at - (at - this.from) * factor, at + (this.until - at) * factor);
    }
    middle() {
      const item = this.item === null ? null : this.tips[this.item];
      return item && item.a >= this.from && item.a <= this.until ? item.a : (this.from + this.until) / 2;
    }
    move(part) { const by = (this.until - this.from) * part; if (this.to !== null) this.look(this.from + by, this.until + by); }
    whole() { this.look(0, this.end); }

    select(number) {
      if (!this.tips || !this.tips.length) return;
      this.item = Math.max(0, Math.min(number, this.tips.length - 1));
      const item = this.tips[this.item], lasting = this.until - this.from;
      this.detail.textContent = told(item);
      if (item.a < this.from || item.a > this.until) this.look(item.a - lasting / 2, item.a + lasting / 2);
      else this.draw();
    }

    listen() {
      const canvas = this.canvas;
      canvas.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const first = () => this.tips.findIndex((item) => item.a >= this.from);
        const next = (step) => this.select(this.item === null ? (step > 0 ? Math.max(0, first()) : this.tips.length - 1) : this.item + step);
        const keys = {
          "+": () => this.zoom(.5), "=": () => this.zoom(.5), "-": () => this.zoom(2), 0: () => this.whole(),
          ArrowRight: () => event.shiftKey ? this.move(.2) : next(1), ArrowLeft: () => event.shiftKey ? this.move(-.2) : next(-1),
          Home: () => this.select(0), End: () => this.select(this.tips.length - 1),
          PageDown: () => this.move(.9), PageUp: () => this.move(-.9),
          Escape: () => { this.item = null; this.detail.textContent = IDLE; this.draw(); },
        };
        if (this.scene && Object.hasOwn(keys, event.key)) { event.preventDefault(); keys[event.key](); }
      });
      canvas.addEventListener("wheel", (event) => {
        if (!this.scene) return;
        if (event.ctrlKey || event.metaKey) { event.preventDefault(); this.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) / 120), this.time(event.offsetX)); }
        else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) { event.preventDefault(); this.move((event.deltaX || event.deltaY) / this.room); }
      }, { passive: false });
      let dragged = null;
      canvas.addEventListener("pointerdown", (event) => { if (event.button === 0) dragged = { x: event.clientX, from: this.from, until: this.until, moved: false }; });
      canvas.addEventListener("pointermove", (event) => {
        if (!this.scene) return;
        if (dragged && event.buttons & 1) {
          const by = (dragged.x - event.clientX) / this.room * (dragged.until - dragged.from);
          if (Math.abs(dragged.x - event.clientX) > 3) { dragged.moved = true; canvas.setPointerCapture(event.pointerId); }
          if (dragged.moved && this.to !== null) this.look(dragged.from + by, dragged.until + by);
          return;
        }
        this.hover(event);
      });
      canvas.addEventListener("pointerup", (event) => {
        const at = dragged; dragged = null;
        const found = at && !at.moved && event.target.dataset && event.target.dataset.tip;
        if (found) this.select(Number(found));
      });
      canvas.addEventListener("pointerleave", () => this.hover(null));
      canvas.addEventListener("dblclick", (event) => this.zoom(.4, this.time(event.offsetX)));
      let window = null;
      this.window.addEventListener("pointerdown", (event) => { window = true; this.window.setPointerCapture(event.pointerId); this.centre(event); });
      this.window.addEventListener("pointermove", (event) => { if (window) this.centre(event); });
      this.window.addEventListener("pointerup", () => { window = null; });
    }
    centre(event) {
      const box = this.window.getBoundingClientRect(), at = (event.clientX - box.left) / box.width * this.end, half = (this.until - this.from) / 2;
      if (this.to !== null) this.look(at - half, at + half);
    }

    hover(event) {
      const at = event && event.offsetX >= NAMES && this.drawn ? this.time(event.offsetX) : null;
      if (!this.drawn) return;
      const line = this.drawn.querySelector(".sp-now"), label = this.drawn.querySelector(".sp-when");
      line.style.display = label.style.display = at === null ? "none" : "";
      if (at !== null) {
        const x = this.x(at);
        line.setAttribute("x1", x); line.setAttribute("x2", x);
        label.setAttribute("x", Math.min(x + 4, NAMES + this.room - 44)); label.textContent = clock(at, .01);
      }
      const found = event && event.target.dataset && event.target.dataset.tip;
      if (found) this.detail.textContent = told(this.tips[Number(found)]);
      else if (this.item !== null && this.tips[this.item]) this.detail.textContent = told(this.tips[this.item]);
    }

    draw() {
      const scene = this.scene;
      if (!scene || !this.canvas.clientWidth) { this.canvas.replaceChildren(); this.drawn = null; return; }
      this.room = Math.max(60, this.canvas.clientWidth - NAMES - RIGHT);
      const width = NAMES + this.room + RIGHT, height = scene.height;
      const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
      root.append(patterns());
      for (const lane of scene.lanes) {
        root.append(svg("rect", { class: "lane", x: NAMES, y: lane.y, width: this.room, height: lane.h }));
        root.append(svg("text", { class: "name", x: NAMES - 10, y: lane.y + lane.h / 2 + 4, "text-anchor": "end" }, lane.name));
      }
      this.axis(root, height);
      const beside = this.to === null ? 8 : 0; // of the whole call all is seen, signs at its very ends too
      const left = NAMES - beside, across = this.room + 2 * beside;
      const area = svg("svg", { x: left, y: 0, width: across, height, viewBox: `${left} 0 ${across} ${height}` });
      const scales = this.scales();
      this.last = new Map();
      const order = new Map(this.tips.map((item, number) => [item, number]));
      for (const item of scene.items) {
        const made = this.paint(item, scales);
        if (!made) continue;
        const number = order.get(item);
        for (const one of [].concat(made)) {
          if (number !== undefined) one.dataset.tip = number;
          if (number !== undefined && number === this.item) one.classList.add("sp-chosen");
          area.append(one);
        }
      }
      area.append(svg("line", { class: "rule now sp-now", y1: AXIS, y2: height, style: "display:none" }));
      root.append(area);
      for (const lane of scene.lanes) {
        const scale = scales.get(lane.y);
        if (!scale) continue;
        const label = { class: "axis end", "pointer-events": "none" };
        root.append(svg("text", { ...label, x: NAMES + 4, y: lane.y + 12 }, `${scale[1].toFixed(1)} s`));
        root.append(svg("text", { ...label, x: NAMES + this.room - 4, y: lane.y + lane.h - 5, "text-anchor": "end" }, `${scale[0].toFixed(1)} s`));
      }
      root.append(svg("text", { class: "axis sp-when", y: 22, style: "display:none" }));
      this.canvas.replaceChildren(root);
      this.drawn = root;
      this.thumb.style.left = `${this.from / this.end * 100}%`;
      this.thumb.style.width = `${(this.until - this.from) / this.end * 100}%`;
      this.window.classList.toggle("sp-all-seen", this.to === null);
    }

    axis(root, height) {
      const lasting = this.until - this.from, step = STEPS.find((each) => each / lasting * this.room >= 70) || 14400;
      for (let number = Math.ceil(this.from / step - 1e-9); number * step <= this.until + 1e-9; number++) {
        const x = Math.round(this.x(number * step)) + .5;
        root.append(svg("line", { class: "grid", x1: x, x2: x, y1: 18, y2: height }));
        root.append(svg("text", { class: "axis", x, y: 12, "text-anchor": x > NAMES + this.room - 20 ? "end" : "middle" }, clock(number * step, step)));
      }
    }

    // The least and the most value of the plots at each place, in the time that is shown.
    scales() {
      const scales = new Map();
      for (const item of this.scene.items) {
        if (item.kind !== "plot") continue;
        const last = item.points[item.points.length - 1][0];
        if (last < this.from || item.points[0][0] > this.until) continue;
        const inside = item.points.filter((point) => point[0] >= this.from && point[0] <= this.until).map((point) => point[1]);
        const ends = [Math.max(this.from, item.points[0][0]), Math.min(this.until, last)].map((at) => between(item.points, 0, 1, at));
        const found = scales.get(item.y) || [Infinity, -Infinity];
        scales.set(item.y, [Math.min(found[0], ...inside, ...ends), Math.max(found[1], ...inside, ...ends)]);
      }
      return scales;
    }

    paint(item, scales) {
      const { kind, look } = item, y = item.y || 0, h = item.h || 0, text = item.text || "";
      if (kind === "bar") {
        if (item.b < this.from || item.a > this.until) return null;
        const x = this.x(item.a), wide = Math.max(1.5, this.x(item.b) - x);
        if (wide < (item.least || 0) || wide === 1.5 && this.hidden(item, 1, "thin")) return null;
        const seen = Math.max(x, NAMES), label = fit(text, Math.min(x + wide, NAMES + this.room) - seen);
        const bar = svg("rect", { class: `bar ${look}${wide < 4 ? " thin" : ""}`, x, y, width: wide, height: h });
        return label ? [bar, svg("text", { x: seen + 4, y: y + h / 2 + 4, "pointer-events": "none" }, label)] : bar;
      }
      if (kind === "sign") {
        if (item.a < this.from || item.a > this.until || this.hidden(item, look === "quiet" ? 9 : 3)) return null;
        return svg("path", { class: `sign ${look}${HOLLOW.has(text) ? " hollow" : ""}`, d: SHAPES[text] || SHAPES.dot, transform: `translate(${this.x(item.a)} ${y})` });
      }
      if (kind === "rule") {
        if (item.a < this.from || item.a > this.until) return null;
        const x = this.x(item.a), d = `M${x} ${y}V${y + h}`;
        if (look === "interim" && this.hidden(item, 2)) return null;
        return [svg("path", { class: `rule ${look}`, d }), ...(item.tip ? [svg("path", { class: "sp-catch", d })] : [])];
      }
      if (kind === "text") {
        if (item.a < this.from || item.a > this.until) return null;
        const x = this.x(item.a) + 10, label = fit(text, Math.min(this.x(item.b), NAMES + this.room) - x);
        return label ? svg("text", { class: look, x, y: y + 4 }, label) : null;
      }
      if (kind === "shape" || kind === "join") {
        const times = item.points.map((point) => point[0]);
        if (Math.max(...times) < this.from || Math.min(...times) > this.until) return null;
        const d = "M" + item.points.map(([at, down]) => `${this.x(at).toFixed(1)} ${down}`).join("L") + (kind === "shape" ? "Z" : "");
        return svg("path", { class: kind === "shape" ? look : `join ${look}`, d });
      }
      if (kind === "plot") return this.plot(item, scales.get(y));
      return kind === "level" ? this.level(item) : null;
    }

    // Whether one like it is so near, in pixels, that nobody could tell them apart.
    hidden(item, least, text = item.text) {
      const kind = `${item.look} ${text} ${item.y}`, x = this.x(item.a);
      if (item !== this.tips[this.item] && Math.abs(x - (this.last.get(kind) ?? -1e9)) < least) return true;
      this.last.set(kind, x);
      return false;
    }

    plot(item, scale) {
      const points = item.points;
      if (!scale || points[points.length - 1][0] < this.from || points[0][0] > this.until) return null;
      const across = Math.max(.05, scale[1] - scale[0]), at = (value) => item.y + item.h - 3 - (value - scale[0]) / across * (item.h - 6);
      const d = "M" + points.map(([when, value]) => `${clip(this.x(when))} ${at(value).toFixed(1)}`).join("L");
      return svg("path", { class: `plot ${item.look}`, d });
    }

    level(item) {
      const { y, h, points, text = "" } = item, middle = y + h / 2;
      const first = Math.max(NAMES, this.x(points[0][0])), last = Math.min(NAMES + this.room, this.x(points[points.length - 1][0]));
      if (last <= first) return null;
      if (!text) return svg("rect", { class: "level unknown", x: first, y: middle - 5, width: last - first, height: 10 });
      const step = Math.max(1, this.room / 1600), up = [], down = [];
      for (let x = first; x < last + step; x += step) {
        const begin = between(points, 0, 1, this.time(x)), end = between(points, 0, 1, this.time(x + step));
        let top = 0;
        for (let at = Math.floor(begin / .05); at <= Math.max(Math.floor(begin / .05), Math.ceil(end / .05) - 1); at++) top = Math.max(top, at < text.length ? LEVELS.indexOf(text[at]) : 0);
        const high = Math.max(.5, top / 63 * (h / 2 - 1)), at = Math.min(x, last).toFixed(1);
        up.push(`${at} ${(middle - high).toFixed(1)}`); down.unshift(`${at} ${(middle + high).toFixed(1)}`);
      }
      return svg("path", { class: "level", d: `M${up.join("L")}L${down.join("L")}Z` });
    }
  }

  const clip = (x) => Math.max(-1e5, Math.min(1e5, x)).toFixed(1);
  const patterns = () => {
    const defs = svg("defs", {});
    for (const [name, lines] of [["again", "M0 6L6 0"], ["loss", "M0 6L6 0M0 0L6 6"]]) {
      const pattern = svg("pattern", { id: `sp-${name}`, width: 6, height: 6, patternUnits: "userSpaceOnUse" });
      pattern.append(svg("rect", { class: `hatch-${name}`, width: 6, height: 6 }), svg("path", { class: `hatch-${name}-line`, d: lines }));
      defs.append(pattern);
    }
    return defs;
  };
  return (element) => new Chart(element);
})();
