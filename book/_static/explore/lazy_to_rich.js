// From lazy to rich: three modes of two layers with imbalance λ, and how far the tangent kernel turns.
import { grid, number, power } from "./plot.js";
import { chainWeights, descend } from "./phase.js";

const MODES = [1.5, 1, 0.5];

// Weights of a mode with b1 b2 = a0 and b2² - b1² = λ
export function startWeights(a0, imbalance) {
  const large = Math.sqrt((Math.hypot(imbalance, 2 * a0) + Math.abs(imbalance)) / 2), small = a0 / large;
  return imbalance > 0 ? [small, large] : [large, small];
}

// <K, K'> of two kernels, from the diagonals A of W1'W1 and B of W2 W2' at each
function product([A, B], [C, D]) {
  const sum = (v) => v.reduce((total, x) => total + x, 0), dot = (v, w) => sum(v.map((x, i) => x * w[i])), n = A.length;
  return n * dot(A, C) + n * dot(B, D) + sum(A) * sum(D) + sum(C) * sum(B);
}

// 1 - cosine of the angle between the kernels of two sets of weights, each mode [b1, b2]
export function kernelDistance(weights, start) {
  const moments = (w) => [w.map(([b1]) => b1 ** 2), w.map(([, b2]) => b2 ** 2)];
  const [K, L] = [moments(weights), moments(start)], sizes = [K, L].map((k) => Math.sqrt(product(k, k)));
  const turn = K.map((part, k) => part.map((v, i) => v / sizes[0] - L[k][i] / sizes[1]));
  return product(turn, turn) / 2;
}

export const flow = (t, a0, imbalance) => MODES.map((s) => chainWeights(t, s, ...startWeights(a0, imbalance)));

const END = 16, LR = 0.005, times = grid(0, END, 201);

export default {
  controls: [
    { name: "imbalance", label: "imbalance *λ*", min: -6, max: 6, step: 0.1, value: 0 },
    { name: "start", label: "strength at the start *a*₀", min: -3, max: 0.5, step: 0.1, value: -2, show: power },
  ],
  draw({ imbalance, start }) {
    const a0 = 10 ** start, weights = times.map((t) => flow(t, a0, imbalance)), first = weights[0];
    const runs = MODES.map((s) => descend(...startWeights(a0, imbalance), s, LR, END / LR).filter((_, k) => k % 160 === 0));
    const trained = runs[0].map((_, k) => runs.map((run) => run[k])), marked = grid(0, END, trained.length);
    const distance = weights.map((w) => kernelDistance(w, first)), largest = Math.max(...distance);
    const bound = Math.max(0.2, 1.1 * largest), top = Math.max(1.6, 1.1 * a0);
    return {
      panels: [{
        name: "strengths of three modes against time", x: { label: "time *t*/τ", from: 0, to: END }, y: { label: "strength of the map *a*", from: 0, to: top },
        marks: MODES.flatMap((s, i) => [
          { line: [times, weights.map((w) => w[i][0] * w[i][1])], color: i, name: `mode *s* = ${s}` },
          { dots: [marked, trained.map((w) => w[i][0] * w[i][1])], color: i, shape: ["circle", "square", "triangle"][i] },
        ]),
      }, {
        name: "distance of the tangent kernel from its start against time", x: { label: "time *t*/τ", from: 0, to: END }, y: { label: "kernel distance *Δ*", from: 0, to: bound },
        marks: [
          { line: [times, distance], color: 3, name: "closed form" },
          { dots: [marked, trained.map((w) => kernelDistance(w, first))], color: 3, shape: "diamond", name: "gradient descent" },
        ],
      }],
      says: `The kernel turns by ${number(largest)} at most and ends at ${number(distance[distance.length - 1])} from where it began.`,
    };
  },
};
