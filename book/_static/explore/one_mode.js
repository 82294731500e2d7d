// One mode: the strength of a chain of weights, in closed form for every depth, and gradient descent on its weights.
import { grid, number, power } from "./plot.js";

const expit = (z) => 1 / (1 + Math.exp(-z));

// z, with expit(z) the depth-th root of a share of the final strength
function logit(share, depth) {
  const log = Math.log(share) / depth;
  return log - Math.log(-Math.expm1(log));
}

// Time law at x = expit(z), up to a constant: the integral of dx / (x^(L-1) (1 - x^L)).
function clock(z, depth) {
  const x = expit(z);
  let G = z > 0 ? z + Math.log1p(Math.exp(-z)) : Math.log1p(Math.exp(z)); // -ln(1 - x)
  for (let k = 1; k < depth; k += 1) { // the real part of ω² ln(1 - x/ω) over the other roots of one
    const angle = (2 * Math.PI * k) / depth, re = 1 - x * Math.cos(angle), im = x * Math.sin(angle);
    G -= Math.cos(2 * angle) * Math.log(Math.hypot(re, im)) - Math.sin(2 * angle) * Math.atan2(im, re);
  }
  if (depth === 1) return G;
  if (depth === 2) return Math.log(x) + G / 2;
  return G / depth - x ** (2 - depth) / (depth - 2);
}

// τ da/dt = L a^(2-2/L) (s - a), from balanced weights; the input has variance one
export function depthTime(a, s, a0, depth) {
  return (clock(logit(a / s, depth), depth) - clock(logit(a0 / s, depth), depth)) / (s * s ** ((depth - 2) / depth));
}

export function depthStrength(t, s, a0, depth) {
  const z0 = logit(a0 / s, depth), wanted = t * s * s ** ((depth - 2) / depth) + clock(z0, depth);
  let low = z0, high = Math.max(z0, 0) + 40;
  for (let i = 0; i < 64; i += 1) {
    const middle = (low + high) / 2;
    if (clock(middle, depth) > wanted) high = middle;
    else low = middle;
  }
  return Math.max(s * expit((low + high) / 2) ** depth, a0);
}

// dP/dt = 2 s P - (P² - q²) / 2
export function riccati(t, s, P, q) {
  const R = Math.hypot(2 * s, q), e = Math.exp(-R * t), near = R + 2 * Math.abs(s), far = q ** 2 / near;
  const [up, down] = s >= 0 ? [near, far] : [far, near], bottom = down + up * e + P * (1 - e);
  return bottom > 0 ? (P * (up + down * e) + q ** 2 * (1 - e)) / bottom : 0;
}

// Two weights with b1 b2 = a0 at the start and b1² - b2² = q for ever
export function unbalancedStrength(t, s, a0, q) {
  const large = Math.hypot(q, 2 * a0) + 2 * Math.abs(a0), small = large > 0 ? q ** 2 / large : 0;
  const [plus, minus] = a0 >= 0 ? [large, small] : [small, large];
  return (riccati(t, s, plus, q) - riccati(t, -s, minus, q)) / 4;
}

export function startWeights(depth, a0, q) {
  if (depth !== 2) return Array(depth).fill(a0 ** (1 / depth));
  const b1 = Math.sqrt((Math.hypot(q, 2 * a0) + q) / 2);
  return [b1, a0 / b1];
}

// b_l ← b_l + lr (s - a) Π_{k≠l} b_k, and what the product is after every step
export function descend(weights, s, lr, steps) {
  const strengths = [];
  let b = weights;
  for (let step = 0; ; step += 1) {
    const a = b.reduce((product, w) => product * w, 1);
    strengths.push(a);
    if (step === steps) return strengths;
    b = b.map((w, l) => w + lr * (s - a) * b.reduce((product, v, k) => (k === l ? product : product * v), 1));
  }
}

const END = 20;
export function strength(t, depth, a0, q) {
  return depth === 2 ? unbalancedStrength(t, 1, a0, q) : depthStrength(t, 1, a0, depth);
}

export default {
  controls: [
    { name: "depth", label: "layers of weights *L*", min: 1, max: 5, step: 1, value: 2 },
    { name: "start", label: "start *a*₀", min: -6, max: -0.5, step: 0.25, value: -3, show: power },
    { name: "imbalance", label: "imbalance *q* (two layers)", min: 0, max: 8, step: 0.1, value: 0, off: ({ depth }) => depth !== 2 },
  ],
  draw({ depth, start, imbalance }) {
    const a0 = 10 ** start, q = depth === 2 ? imbalance : 0, times = grid(0, END, 401), lr = 0.005;
    const theory = times.map((t) => strength(t, depth, a0, q));
    const trained = descend(startWeights(depth, a0, q), 1, lr, END / lr).filter((_, step) => step % 200 === 0);
    const half = theory.findIndex((a) => a >= 0.5);
    const when = half < 0 ? `only after ${number(depthTime(0.5, 1, a0, depth))} time constants` : `after ${number(times[half], 2)} time constants`;
    return {
      panels: [{
        name: "strength of the mode against time", x: { label: "time *t*/τ", from: 0, to: END }, y: { label: "mode strength *a*", from: 0, to: 1.05 },
        marks: [
          { line: [times, times.map((t) => strength(t, 2, 1e-3, 0))], color: 6, dash: true, thin: true, name: "two balanced layers from 0.001" },
          { line: [times, theory], color: 0, name: "closed form" },
          { dots: [grid(0, END, trained.length), trained], color: 0, name: "gradient descent on the weights" },
        ],
      }],
      says: `The mode reaches half of its final strength ${when}.`,
    };
  },
};
