// The map of five theories: which of them is nearest to a network of scale γ and width N, and the curves of that network.
import { grid, number } from "./plot.js";

const table = await (await fetch(new URL("one_network.json", import.meta.url))).json();
const { scales, widths, strengths, times } = table.parameters, names = table.parameters.theories, count = widths.length;
const WORDS = { mean_field: "mean field", frozen: "frozen kernel", empirical: "own kernel", race: "race", align_ada: "Align-ada" };
const SHAPES = ["circle", "square", "triangle", "diamond", "cross"];
const total = strengths.reduce((sum, s) => sum + s * s, 0);

const root = (F, gamma) => ((4 * gamma) / Math.sqrt(3)) * Math.sinh(Math.asinh((Math.sqrt(27) * F) / (8 * gamma)) / 3);

// Time at which Align-ada has the integrated error end (1 - exp(-z)), by partial fractions
function adaClock(z, end, gamma) {
  const E = -end * Math.expm1(-z), q = end ** 2 + 4 * gamma ** 2, w = Math.sqrt(q - end ** 2 / 4);
  const angle = Math.atan2(E * w, w ** 2 + (end / 2) * (E + end / 2));
  return (z + Math.log1p((E * (E + end)) / q) / 2 + ((1.5 * end) / w) * angle) / (2 + 1.5 * (end / gamma) ** 2);
}

// Strength of a mode s at time t at infinite width
export function strength(t, s, gamma, theory) {
  const end = Math.asinh(s / gamma), passed = Math.exp(-2 * Math.cosh(end) * t);
  if (theory === "mean_field") return gamma * Math.sinh(Math.log1p((Math.expm1(end) * (1 - passed)) / (1 + Math.exp(end) * Math.tanh(end / 2) * passed)));
  if (theory === "frozen") return -s * Math.expm1(-2 * t);
  if (theory === "race") return s / (1 + ((2 * s) / gamma - 1) * Math.exp((-2 * s * t) / gamma));
  const last = root(s, gamma);
  let low = 0, high = Math.min((2 + 1.5 * (last / gamma) ** 2) * t, 800);
  for (let i = 0; i < 60; i += 1) {
    const middle = (low + high) / 2;
    if (adaClock(middle, last, gamma) < t) low = middle;
    else high = middle;
  }
  const E = -last * Math.expm1(-(low + high) / 2);
  return 2 * E + (E * (E / gamma) ** 2) / 2;
}

export const loss = (t, gamma, theory) => strengths.reduce((sum, s) => sum + (s - strength(t, s, gamma, theory)) ** 2, 0) / total;

// The theory with the smallest error in a cell, and that error
export function best(question, scale, width) {
  const errors = table.results[question][scale * count + width];
  const known = errors.map((e) => e ?? Infinity), error = Math.min(...known);
  return [names[known.indexOf(error)], error];
}

const QUESTIONS = ["when", "what"], SAYS = ["Half-time of the strongest mode", "Predictor stopped half-way"];
const late = times.slice(1), fine = grid(-2.5, 1, 71).map((v) => 10 ** v);
const percent = (error) => (error < 1e-4 ? "less than 0.01" : number(100 * error, 2));

export default {
  controls: [
    { name: "question", label: "what is predicted", choices: ["when: half-time", "what: stopped predictor"], value: 0 },
    { name: "scale", label: "scale *γ*", min: 0, max: scales.length - 1, step: 1, value: 1, show: (i) => number(scales[i]) },
    { name: "width", label: "width *N*", min: 0, max: count - 1, step: 1, value: 4, show: (i) => number(widths[i]) },
  ],
  draw({ question, scale, width }) {
    const gamma = scales[scale], at = scale * count + width, asked = QUESTIONS[question], from = scales.length - 1;
    const cells = scales.flatMap((_, i) => widths.map((__, j) => ({ x: j + 0.36, y: from - i + 0.5, found: best(asked, i, j) })));
    const won = (name) => cells.filter((cell) => cell.found[0] === name);
    const speaking = names.filter((name, k) => table.results[asked][at][k] !== null), [name, error] = best(asked, scale, width);
    const pick = (x, y) => ({ width: Math.min(Math.floor(x), count - 1), scale: from - Math.min(Math.floor(y), from) });
    return {
      panels: [{
        name: "best theory in every cell of scale and width, with its error in per cent", square: true,
        x: { label: "width *N*", from: 0, to: count, ticks: widths.map((_, j) => j + 0.5), words: widths.map(String) },
        y: { label: "scale *γ*", from: 0, to: from + 1, ticks: scales.map((_, i) => from - i + 0.5), words: scales.map(String) },
        marks: [
          ...names.flatMap((theory, k) => (won(theory).length ? [{ dots: [won(theory).map((c) => c.x), won(theory).map((c) => c.y + 0.18)], color: k, shape: SHAPES[k], name: WORDS[theory] }] : [])),
          ...cells.map((cell) => ({ text: [cell.x, cell.y - 0.36, String(Math.round(100 * cell.found[1]))] })),
          { handle: [width + 0.8, from - scale + 0.5], name: "network", step: [1, 1], says: `scale ${number(gamma)}, width ${widths[width]}`, move: pick },
        ],
      }, {
        name: "loss of the chosen network and of its predictions against time", x: { label: "time *t*", from: 3e-3, to: 10, log: true }, y: { label: "reducible loss", from: 1e-3, to: 2, log: true },
        marks: [
          ...speaking.map((theory) => ({ line: theory === "empirical" ? [late, table.results.own[at].slice(1)] : [fine, fine.map((t) => loss(t, gamma, theory))], color: names.indexOf(theory), dash: theory === "frozen" || theory === "empirical", thin: theory === "align_ada", name: WORDS[theory] })),
          { dots: [late, table.results.curve[at].slice(1)], color: 6, name: "network" },
        ],
      }],
      says: `${SAYS[question]}, scale ${number(gamma)}, width ${widths[width]}: the ${WORDS[name]} is nearest, off by ${percent(error)} per cent. ` + (speaking.includes("race") ? "" : "The race says nothing at this scale."),
    };
  },
};
