// Bring the page's figures to life: each is a module of this folder, loaded where its figure stands. Its default is
// { controls, draw }: draw(values) returns { panels, says }, all that is seen at these values of the controls.
import { clip, html, number, Panel, symbols } from "./plot.js";

const of = (bound, values) => (typeof bound === "function" ? bound(values) : bound);

function control(description, change, id) {
  const { name, label, choices, show = (value) => number(value) } = description;
  const input = choices ? html("select", { id, name }, ...choices.map((text, i) => html("option", { value: i }, text))) : html("input", { id, name, type: "range" });
  const output = html("output", { for: id, "aria-hidden": "true" }); // the control itself says its value
  input.addEventListener("input", () => change({ [name]: Number(input.value) }));
  const update = (values) => {
    if (!choices) ["min", "max", "step"].forEach((bound) => input.setAttribute(bound, of(description[bound], values)));
    input.disabled = Boolean(description.off?.(values));
    input.value = values[name];
    output.textContent = choices ? "" : show(values[name], values);
    if (!choices) input.setAttribute("aria-valuetext", output.textContent);
  };
  return { box: html("div", { class: "explore-control" }, html("label", { for: id }, ...symbols(label)), output, input), update };
}

// A button that lets a control run from its least value to its largest, unless the reader wants no motion.
function player(description, change, says) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return [];
  const button = html("button", { type: "button" }, "Play");
  let start = null;
  const frame = (now) => {
    if (start === null) return;
    const share = clip((now - start) / 5000, 0, 1), { name, min, max, step } = description;
    change({ [name]: min + step * Math.round((share * (max - min)) / step) });
    if (share < 1) requestAnimationFrame(frame);
    else stop();
  };
  const stop = () => { start = null; button.textContent = "Play"; says.ariaLive = "polite"; };
  button.addEventListener("click", () => {
    if (start !== null) return stop();
    start = performance.now();
    button.textContent = "Stop";
    says.ariaLive = "off"; // only where it ends is said aloud
    requestAnimationFrame(frame);
  });
  return [button];
}

// The values at the start, each within its bounds.
export function initial(figure) {
  return Object.fromEntries([...figure.controls.map((c) => [c.name, c.value]), ...Object.entries(figure.values ?? {})]);
}

export function mount(place, figure) {
  const values = initial(figure), panels = [];
  const tools = html("div", { class: "explore-tools" }), plots = html("div", { class: "explore-plots" });
  const says = html("p", { class: "explore-says", role: "status" });
  let waiting = false;
  const draw = () => {
    waiting = false;
    controls.forEach(({ update }) => update(values));
    const view = figure.draw(values);
    while (panels.length < view.panels.length) panels.push(new Panel(plots, change));
    view.panels.forEach((panel, i) => panels[i].draw(panel));
    if (says.textContent !== view.says) says.textContent = view.says;
  };
  const change = (changed) => {
    Object.assign(values, changed);
    for (const c of figure.controls) if (!c.choices) values[c.name] = clip(values[c.name], of(c.min, values), of(c.max, values));
    if (!waiting) requestAnimationFrame(draw);
    waiting = true;
  };
  const controls = figure.controls.map((c, i) => control(c, change, `${place.id}-${i}`));
  tools.append(...controls.map(({ box }) => box));
  figure.controls.filter((c) => c.play).forEach((c) => tools.append(...player(c, change, says)));
  const reset = html("button", { type: "button" }, "Reset");
  reset.addEventListener("click", () => change(initial(figure)));
  tools.append(reset);
  place.querySelector(".explore-place").replaceChildren(tools, plots, says);
  new ResizeObserver(draw).observe(plots);
  draw();
  place.dataset.ready = "yes";
}

for (const figure of document.querySelectorAll("figure[data-explore]")) {
  import(`./${figure.dataset.explore}.js`).then((module) => mount(figure, module.default));
}
