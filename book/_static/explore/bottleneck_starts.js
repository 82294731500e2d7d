// A bottleneck in an infinitely wide linear network, from random starts: growth of the kernel against its spread.
import { grid, number } from "./plot.js";
import { integrate } from "./integrate.js";
import { normals } from "./random.js";

// Upper matrix A of one row and lower matrix B with d rows, W = AB/√d; with G = W* - W on white inputs
// dA/dt = c_f G B'/√d and dB/dt = c_g A'G/√d. The state is [A, B row by row].
export function slope(state, target, d, cg, cf) {
  const n = target.length, root = Math.sqrt(d), G = map(state, d, n).map((w, j) => target[j] - w);
  const A = state.slice(0, d), B = state.slice(d);
  const dA = A.map((_, i) => (cf / root) * G.reduce((sum, g, j) => sum + g * B[i * n + j], 0));
  return [...dA, ...B.map((_, k) => (cg / root) * A[Math.floor(k / n)] * G[k % n])];
}

export function map(state, d, n) {
  return Array.from({ length: n }, (_, j) => {
    let sum = 0;
    for (let i = 0; i < d; i += 1) sum += state[i] * state[d + i * n + j];
    return sum / Math.sqrt(d);
  });
}

export const start = (d, n, seed) => normals(d * (n + 1), seed);
export const flow = (state, target, d, cg, cf, times) => integrate((v) => slope(v, target, d, cg, cf), state, times, 1e-8, 1e-10);

// Rate along the target's direction, the first input: c_g P + c_f Q_11
export function rate(state, d, n, cg, cf) {
  let P = 0, Q = 0;
  for (let i = 0; i < d; i += 1) {
    P += state[i] ** 2 / d;
    Q += state[d + i * n] ** 2 / d;
  }
  return cg * P + cf * Q;
}

const INPUTS = 6, SEEDS = [1, 2, 3, 4, 5], END = 6, times = grid(0, END, 61), LEVEL = 0.01;
let last = { key: "" };

function run(d, S) {
  const key = `${d} ${S}`;
  if (last.key !== key) {
    const target = [S, ...Array(INPUTS - 1).fill(0)], clocked = times.map((t) => t / 2);
    const runs = SEEDS.map((seed) => flow(start(d, INPUTS, seed), target, d, 1, 1, clocked));
    const loss = runs.map((states) => states.map((v) => map(v, d, INPUTS).reduce((sum, w, j) => sum + (w - target[j]) ** 2, 0) / S ** 2));
    const rates = runs.map((states) => states.map((v) => rate(v, d, INPUTS, 1, 1) / 2));
    last = { key, loss, rates };
  }
  return last;
}

export default {
  controls: [
    { name: "width", label: "bottleneck width *d*", min: 0, max: 5, step: 1, value: 2, show: (v) => String(2 ** v) },
    { name: "scale", label: "strength of the target *S*", min: 0.5, max: 12, step: 0.5, value: 2 },
  ],
  draw({ width, scale }) {
    const { loss, rates } = run(2 ** width, scale), all = Math.log(1 / LEVEL) / 2; // of the infinite network
    const reached = loss.map((run) => { const k = run.findIndex((v) => v < LEVEL); return k < 0 ? Infinity : times[k]; }).sort((a, b) => a - b);
    const middle = reached[2], sooner = middle < Infinity ? `reaches one per cent after ${number(middle)}` : `has not come to one per cent by ${END}`;
    const x = { label: "time, in units of 1/*h*₀", from: 0, to: END };
    return {
      panels: [{
        name: "loss from five starts against time", x, y: { label: "loss over |*W*∗|²", from: 1e-4, to: 10, log: true },
        marks: [
          { line: [times, times.map((t) => Math.exp(-2 * t))], color: 6, dash: true, name: "infinite width" },
          ...loss.map((run, i) => ({ line: [times, run], color: 0, thin: i > 0, name: i ? undefined : "five random starts" })),
        ],
      }, {
        name: "rate along the target against time", x, y: { label: "rate over *h*₀", from: 0.1, to: 30, log: true },
        marks: [{ line: [[0, END], [1, 1]], color: 6, dash: true }, ...rates.map((run, i) => ({ line: [times, run], color: 1, thin: i > 0 }))],
      }],
      says: `The middle one of the five networks ${sooner}; the infinite network needs ${number(all)}.`,
    };
  },
};
