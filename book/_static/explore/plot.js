// Small plots in SVG: axes, lines, markers, maps, and points that are dragged or moved by the arrow keys.

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = { circle: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0", square: "M-3.5-3.5h7v7h-7z", triangle: "M0-4.5l4.2 7.5h-8.4z", diamond: "M0-5l4 5-4 5-4-5z", cross: "M-4 0h8M0-4v8" };
const MARGIN = { left: 54, right: 20, top: 12, bottom: 44 };
const VIRIDIS = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"];
const DIVERGING = ["#2166ac", "#92c5de", "#f7f7f7", "#f4a582", "#b2182b"];

const node = (space, name, attributes, children) => {
  const made = space ? document.createElementNS(space, name) : document.createElement(name);
  Object.entries(attributes).forEach(([key, value]) => value !== undefined && made.setAttribute(key, value));
  made.append(...children);
  return made;
};
export const html = (name, attributes = {}, ...children) => node(null, name, attributes, children);
const svg = (name, attributes = {}, ...children) => node(SVG, name, attributes, children);
export const clip = (value, low, high) => Math.min(Math.max(value, low), high);

// Numbers as a reader sees them: three digits, a true minus, powers of ten raised.
export function number(value, digits = 3) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size && (size < 1e-3 || size >= 1e5)) {
    const [front, power] = value.toExponential(digits - 1).split("e");
    const raised = [...String(Number(power))].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c])).join("");
    return `${Number(front)} × 10${raised}`.replace(/^1 × /, "").replace(/^-/, "−");
  }
  return String(Number(value.toPrecision(digits))).replace("-", "−");
}
export const power = (exponent) => number(10 ** exponent, 2);
export const grid = (from, to, n) => Array.from({ length: n }, (_, i) => from + ((to - from) * i) / (n - 1));
// The next of 1, 2, 5, 10, ... above a value: where an axis ends.
export function round(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * [1, 2, 5, 10].find((step) => step * unit >= value * (1 - 1e-9));
}

// Where an axis has ticks, about so many as there is room for.
function ticks(axis, room) {
  if (axis.ticks) return axis.ticks.filter((_, i) => i % Math.ceil(axis.ticks.length / (1.5 * room)) === 0);
  if (axis.log) {
    const [low, high] = [Math.ceil(Math.log10(axis.from) - 1e-9), Math.floor(Math.log10(axis.to) + 1e-9)];
    const step = Math.ceil((high - low + 1) / Math.max(2, room));
    return Array.from({ length: Math.floor((high - low) / step) + 1 }, (_, i) => 10 ** (low + i * step));
  }
  const step = round((axis.to - axis.from) / Math.max(2, room));
  const first = Math.ceil(axis.from / step - 1e-9);
  return Array.from({ length: Math.floor(axis.to / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

function scale(axis, start, end) {
  const map = axis.log ? Math.log10 : (v) => v;
  const [low, high] = [map(axis.from), map(axis.to)];
  const to = (v) => start + ((end - start) * (map(v) - low)) / (high - low);
  const back = (pixel) => low + ((high - low) * (pixel - start)) / (end - start);
  return { to, back: (pixel) => clip(axis.log ? 10 ** back(pixel) : back(pixel), axis.from, axis.to) };
}

// Words with *symbols* in italics.
const words = (text) => text.split("*").map((part, i) => (i % 2 ? svg("tspan", { "font-style": "italic" }, part) : part));
export const symbols = (text) => text.split("*").map((part, i) => (i % 2 ? html("i", {}, part) : part));

function path(xs, ys, x, y) {
  let open = false;
  return Array.from(xs, (v, i) => {
    const [px, py] = [x.to(v), y.to(ys[i])];
    if (!Number.isFinite(px + py)) { open = false; return ""; }
    const command = `${open ? "L" : "M"}${px.toFixed(2)} ${clip(py, -1e4, 1e4).toFixed(2)}`;
    open = true;
    return command;
  }).join("");
}

// A colour between 0 and 1 of a map.
export function shade(share, diverging) {
  const stops = diverging ? DIVERGING : VIRIDIS, at = clip(share, 0, 1) * (stops.length - 1), k = Math.min(Math.floor(at), stops.length - 2);
  const parts = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  const [low, high] = [parts(stops[k]), parts(stops[k + 1])];
  return `rgb(${low.map((v, i) => Math.round(v + (high[i] - v) * (at - k))).join(" ")})`;
}

function marks(mark, x, y) {
  const look = { class: `c${mark.color ?? 6}` };
  if (mark.line) return [svg("path", { ...look, class: `${look.class} line${mark.dash ? " dash" : ""}${mark.thin ? " thin" : ""}`, d: path(...mark.line, x, y) })];
  if (mark.dots) {
    const [xs, ys] = mark.dots;
    return Array.from(xs, (v, i) => [x.to(v), y.to(ys[i])]).filter((at) => Number.isFinite(at[0] + at[1]))
      .map((at) => svg("path", { class: `${look.class} dot`, d: SHAPES[mark.shape ?? "circle"], transform: `translate(${at.map((v) => v.toFixed(2))})` }));
  }
  if (mark.cells) { // rows from below, columns from the left, on axes that count them from zero
    const [low, high] = mark.range;
    return mark.cells.flatMap((row, i) => row.map((value, j) => svg("rect", {
      x: x.to(j), y: y.to(i + 1), width: x.to(j + 1) - x.to(j) + 0.5, height: y.to(i) - y.to(i + 1) + 0.5, fill: shade((value - low) / (high - low), mark.diverging),
    }, svg("title", {}, number(value)))));
  }
  if (mark.text) return [svg("text", { x: x.to(mark.text[0]), y: y.to(mark.text[1]), "text-anchor": mark.anchor ?? "middle", class: "note" }, ...words(mark.text[2]))];
  return [];
}

export class Panel {
  constructor(place, change) {
    this.back = svg("g", { "aria-hidden": "true" }); // heard are its name, handles and the words below
    this.front = svg("g");
    this.svg = svg("svg", {}, this.back, this.front);
    this.key = html("ul", { class: "explore-key" });
    this.box = html("div", { class: "explore-panel" }, this.svg, this.key);
    this.change = change;
    this.handles = [];
    place.append(this.box);
    this.svg.addEventListener("pointerdown", (event) => this.grab(event));
    this.svg.addEventListener("click", (event) => this.pick(event)); // a tap, too, but not a finger that scrolls
  }

  draw(panel) {
    this.panel = panel;
    const width = Math.max(this.box.clientWidth, 200), height = Math.round(panel.square ? Math.min(width - MARGIN.left - MARGIN.right + MARGIN.top + MARGIN.bottom, 420) : clip(0.66 * width, 220, 340));
    this.x = scale(panel.x, MARGIN.left, panel.square ? MARGIN.left + height - MARGIN.bottom - MARGIN.top : width - MARGIN.right);
    this.y = scale(panel.y, height - MARGIN.bottom, MARGIN.top);
    const { x, y } = this, right = x.to(panel.x.to), bottom = y.to(panel.y.from), inner = { x: MARGIN.left, y: MARGIN.top, width: right - MARGIN.left, height: bottom - MARGIN.top };
    Object.entries({ width, height, viewBox: `0 0 ${width} ${height}`, "aria-label": panel.name }).forEach(([k, v]) => this.svg.setAttribute(k, v));
    const name = (axis, v) => (axis.words ? axis.words[axis.ticks.indexOf(v)] : axis.show ? axis.show(v) : number(Math.abs(v) < 1e-12 * (axis.to - axis.from) ? 0 : v));
    const inside = svg("svg", { ...inner, viewBox: `${inner.x} ${inner.y} ${inner.width} ${inner.height}`, class: "inside" }, ...panel.marks.flatMap((mark) => marks(mark, x, y)));
    this.back.replaceChildren(
      svg("rect", { ...inner, class: "ground" }), inside,
      svg("path", { class: "axis", d: `M${MARGIN.left} ${MARGIN.top}V${bottom}H${right}` }),
      ...ticks(panel.x, inner.width / 60).map((v) => svg("g", { transform: `translate(${x.to(v)} ${bottom})` }, svg("path", { class: "axis", d: "M0 0v4" }), svg("text", { y: 17, "text-anchor": "middle" }, name(panel.x, v)))),
      ...ticks(panel.y, inner.height / 36).map((v) => svg("g", { transform: `translate(${MARGIN.left} ${y.to(v)})` }, svg("path", { class: "axis", d: "M0 0h-4" }), svg("text", { x: -7, y: 4, "text-anchor": "end" }, name(panel.y, v)))),
      svg("text", { x: (MARGIN.left + right) / 2, y: height - 8, "text-anchor": "middle" }, ...words(panel.x.label)),
      svg("text", { transform: `translate(13 ${(MARGIN.top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, ...words(panel.y.label)),
    );
    const named = panel.marks.filter((mark) => mark.name && (mark.line || mark.dots));
    this.key.replaceChildren(...named.map((mark) => html("li", {}, svg("svg", { width: 26, height: 12, "aria-hidden": "true" },
      mark.line ? svg("path", { class: `c${mark.color} line${mark.dash ? " dash" : ""}${mark.thin ? " thin" : ""}`, d: "M0 6H26" })
        : svg("path", { class: `c${mark.color} dot`, d: SHAPES[mark.shape ?? "circle"], transform: "translate(13 6)" })), " ", ...symbols(mark.name))));
    const handles = panel.marks.filter((mark) => mark.handle);
    this.svg.setAttribute("role", handles.length ? "group" : "img");
    this.place(handles);
  }

  // Handles stay the same elements, so that one that is moved keeps the focus.
  place(found) {
    while (this.handles.length > found.length) this.handles.pop().remove();
    found.forEach((mark, i) => {
      if (!this.handles[i]) {
        const handle = svg("g", { tabindex: 0, role: "slider", class: "handle" }, svg("circle", { r: 14, class: "halo" }), svg("circle", { r: 7, class: "knob" }));
        handle.addEventListener("keydown", (event) => this.press(event, i));
        this.handles[i] = handle;
        this.front.append(handle);
      }
      const at = (map, axis, v) => map.to(clip(v, axis.from, axis.to)); // in sight, wherever it is
      const [px, py] = [at(this.x, this.panel.x, mark.handle[0]), at(this.y, this.panel.y, mark.handle[1])];
      this.handles[i].setAttribute("transform", `translate(${px.toFixed(2)} ${py.toFixed(2)})`);
      const says = mark.says ?? `${number(mark.handle[0])}, ${number(mark.handle[1])}`;
      const label = { "aria-label": mark.name, "aria-valuenow": mark.handle[mark.along ?? 0], "aria-valuetext": says };
      const axis = mark.along === 1 ? this.panel.y : this.panel.x;
      Object.entries({ ...label, "aria-valuemin": axis.from, "aria-valuemax": axis.to }).forEach(([k, v]) => this.handles[i].setAttribute(k, v));
    });
    this.marks = found;
  }

  press(event, i) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1], Home: [-Infinity, 0], End: [Infinity, 0] }[event.key];
    if (!way) return;
    event.preventDefault();
    const mark = this.marks[i], [x, y] = mark.handle, [sx, sy] = mark.step;
    const next = (axis, v, step, sign) => (sign ? clip(axis.log ? v * step ** sign : v + step * sign, axis.from, axis.to) : v);
    this.change(mark.move(next(this.panel.x, x, sx, way[0]), next(this.panel.y, y, sy, way[1])));
  }

  // Where a pointer is, and the number of the point nearest to it.
  aim(event) {
    const box = this.svg.getBoundingClientRect(), at = [event.clientX - box.left, event.clientY - box.top];
    const far = this.marks.map(({ handle }) => Math.hypot(at[0] - this.x.to(handle[0]), at[1] - this.y.to(handle[1])));
    const nearest = far.indexOf(Math.min(...far));
    return { at, nearest, far: far[nearest] };
  }

  follow(i, [px, py]) {
    this.handles[i].focus({ preventScroll: true });
    this.change(this.marks[i].move(this.x.back(px), this.y.back(py)));
  }

  pick(event) {
    if (!this.marks?.length) return;
    const { at, nearest } = this.aim(event);
    this.follow(nearest, at);
  }

  grab(event) {
    if (!this.marks?.length || event.button) return;
    const { at, nearest, far } = this.aim(event);
    if (event.pointerType === "touch" && far > 30) return;
    event.preventDefault();
    const drag = (e) => this.follow(nearest, this.aim(e).at);
    const end = () => ["pointermove", "pointerup", "pointercancel"].forEach((name, k) => this.svg.removeEventListener(name, k ? end : drag));
    this.svg.setPointerCapture(event.pointerId);
    ["pointermove", "pointerup", "pointercancel"].forEach((name, k) => this.svg.addEventListener(name, k ? end : drag));
    this.follow(nearest, at);
  }
}
